//! The window by accessible names and by keys alone: one input large, a marker, another language (R-UI-2, R-UI-3, R-UI-4).

use crate::record::{LIVE_WITHIN, RECORDS_WITHIN, wait_media};
use crate::support::display::{Display, Region};
use crate::support::evidence::manifest;
use crate::support::proc::{Holdfast, find_input, test_inputs};
use crate::support::process::Deadline;
use std::time::Duration;

/// What a person can do something with, as assistive tools call it.
const CONTROLS: [&str; 8] =
    ["push button", "toggle button", "check box", "menu item", "entry", "slider", "combo box", "link"];

/// Every control has a name of its own, not that of its class.
fn assert_named(tree: &str) {
    for line in tree.lines() {
        let mut parts = line.split('\t').skip(1);
        let (role, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let nameless = name.trim().is_empty() || name.starts_with("Gtk");
        assert!(!(CONTROLS.contains(&role) && nameless), "a {role} without a name: {tree}");
    }
}

/// A session is closed and proved well within this on a machine under full load.
const CLOSED_WITHIN: Duration = Duration::from_secs(30);

fn preview(snapshot: &serde_json::Value, input: &str) -> (u64, String) {
    let view = &find_input(snapshot, input)["preview"];
    (view["width"].as_u64().unwrap_or(0), view["state"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn one_input_is_shown_large_a_marker_is_set_and_the_language_changed_without_a_pointer() {
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    holdfast.spawn_engine();
    let display = Display::start(&holdfast, 1280, 800);
    let _window = display.window(&holdfast, &[]);
    holdfast.wait_live(LIVE_WITHIN);
    let do_it = |args: &[&str]| display.atspi_ok(&holdfast, args);
    assert_named(&do_it(&["show", "Record"]));
    do_it(&["press", "Record"]);
    holdfast.wait_until("both record", RECORDS_WITHIN, |snapshot| {
        ["cam1", "cam2"].iter().all(|input| find_input(snapshot, input)["recording"]["state"] == "recording")
    });
    let small = holdfast.wait_until("both are watched", RECORDS_WITHIN, |snapshot| preview(snapshot, "cam2").0 > 0);

    // The other one is not to be seen, and its picture costs nothing.
    do_it(&["press", "Show Camera 2 large"]);
    let shown = do_it(&["show", "All inputs"]);
    for said in ["Lost in a full queue", "Pictures per second", "Back to all inputs"] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    assert!(!shown.contains("Show Camera 1 large"), "{shown}");
    let (before, _) = preview(&small, "cam2");
    holdfast.wait_until("a larger picture, and none of the other", RECORDS_WITHIN, |snapshot| {
        preview(snapshot, "cam2").0 >= before && preview(snapshot, "cam1").1 == "off"
    });
    assert_named(&shown);
    display.key(&holdfast, &["Escape"]);
    do_it(&["wait", "Show Camera 1 large"]);

    // The keyboard is where it was; its tile goes first, and is taken back by a finger.
    let first = |snapshot: &serde_json::Value| {
        let importance = |input| find_input(snapshot, input)["importance"].as_i64().unwrap_or(0);
        importance("cam2") - importance("cam1")
    };
    display.key(&holdfast, &["alt+Left"]);
    holdfast.wait_until("camera 2 comes first", RECORDS_WITHIN, |snapshot| first(snapshot) > 0);
    display.drag(&holdfast, (300, 400), (900, 400));
    holdfast.wait_until("camera 1 comes first", RECORDS_WITHIN, |snapshot| first(snapshot) < 0);

    wait_media(&holdfast, "cam1", Duration::from_secs(2));
    do_it(&["press", "Set a marker"]);
    holdfast.wait_until("a marker", RECORDS_WITHIN, |snapshot| snapshot["session"]["markers"]["count"] == 1);
    display.key(&holdfast, &["m"]);
    holdfast.wait_until("another one", RECORDS_WITHIN, |snapshot| snapshot["session"]["markers"]["count"] == 2);

    do_it(&["press", "Menu"]);
    do_it(&["press", "Health"]);
    let health = do_it(&["show", "Record until it is written"]);
    assert!(health.contains("✓ granted") && health.contains("Camera 1"), "{health}");
    assert_named(&health);
    do_it(&["press", "All inputs"]);
    do_it(&["wait", "Show Camera 1 large"]);

    // The recording does not notice that the window speaks otherwise, and what was large stays large.
    do_it(&["press", "Show Camera 2 large"]);
    do_it(&["wait", "Back to all inputs"]);
    do_it(&["press", "Menu"]);
    do_it(&["press", "Language"]);
    do_it(&["press", "Deutsch"]);
    do_it(&["wait", "Nimmt auf"]);
    do_it(&["wait", "Zurück zu allen Eingängen"]);
    assert_eq!(holdfast.status()["session"]["state"], "recording");
    // Two presses of the key are one deliberate act.
    display.key(&holdfast, &["F9", "F9"]);
    holdfast.wait_until("the session is closed", CLOSED_WITHIN, |snapshot| {
        snapshot["session"].is_null() && snapshot["last_session"]["state"] == "completed"
    });
    let markers = manifest(&holdfast.session())["markers"].as_array().map_or(0, Vec::len);
    assert_eq!(markers, 2);
}

fn wait_recording(holdfast: &Holdfast) {
    holdfast.wait_until("it records", RECORDS_WITHIN, |snapshot| {
        find_input(snapshot, "cam1")["recording"]["state"] == "recording" && !snapshot["session"].is_null()
    });
}

fn wait_saved(holdfast: &Holdfast) {
    holdfast.wait_until("the session is closed", CLOSED_WITHIN, |snapshot| snapshot["session"].is_null());
}

/// Nobody has stopped it, though everything that was on its way has arrived.
fn assert_records(holdfast: &Holdfast, display: &Display) {
    display.atspi_ok(holdfast, &["wait", "Stop"]);
    let media = find_input(&holdfast.status(), "cam1")["recording"]["media_ms"].as_u64().unwrap_or(0);
    wait_media(holdfast, "cam1", Duration::from_millis(media) + Duration::from_secs(1));
    assert_eq!(holdfast.status()["session"]["state"], "recording");
}

#[test]
fn a_finger_on_stop_stops_when_it_is_held_and_only_then() {
    let mut holdfast = Holdfast::new(&test_inputs(1, "auto"));
    holdfast.spawn_engine();
    let display = Display::start(&holdfast, 1024, 600);
    let _window = display.window(&holdfast, &[]);
    holdfast.wait_live(LIVE_WITHIN);
    let record = |display: &Display| {
        display.atspi_ok(&holdfast, &["press", "Record"]);
        wait_recording(&holdfast);
        display.place(&holdfast, "Stop")
    };
    let stop = record(&display);
    display.hold(&holdfast, stop, None, "0.1");
    display.hold(&holdfast, stop, Some((stop.0, stop.1 + 200)), "2");
    assert_records(&holdfast, &display);
    assert!(!display.atspi_ok(&holdfast, &["tree"]).contains("Stop recording"), "a tap opens nothing");
    // Every hold stops, also the one behind a tap and the one behind a hold.
    for _ in 0..2 {
        display.hold(&holdfast, stop, None, "2");
        wait_saved(&holdfast);
        assert_eq!(record(&display), stop, "Stop lies where it lay");
    }
    display.hold(&holdfast, stop, None, "2");
    wait_saved(&holdfast);
}

#[test]
fn a_whole_run_needs_no_pointer_and_the_focus_is_seen() {
    let mut holdfast = Holdfast::new(&test_inputs(1, "silence"));
    holdfast.spawn_engine();
    let mut display = Display::start(&holdfast, 1024, 600);
    let _window = display.window(&holdfast, &[]);
    holdfast.wait_live(LIVE_WITHIN);
    let see = |display: &Display, what: &str| display.atspi_ok(&holdfast, &["wait", what]);
    let keys = |display: &Display, keys: &[&str]| display.key(&holdfast, keys);
    // Keys begin at Record (DESK), without a look for it.
    let soon = Deadline::after(RECORDS_WITHIN);
    while !display.atspi_ok(&holdfast, &["tree"]).contains("\tpush button\tRecord\tfocused") {
        assert!(soon.left().is_some(), "the focus is elsewhere: {}", display.atspi_ok(&holdfast, &["tree"]));
    }
    keys(&display, &["space"]);
    wait_recording(&holdfast);
    // What has the focus looks otherwise than before.
    let whole = Region { x: 0, y: 0, width: 1024, height: 66 };
    let focused = |tree: &str| tree.lines().find(|line| line.contains("focused")).map(str::to_owned);
    for _ in 0..3 {
        let (before, was) = (display.shot(&holdfast), focused(&display.atspi_ok(&holdfast, &["tree"])));
        keys(&display, &["Tab"]);
        let (after, is) = (display.shot(&holdfast), focused(&display.atspi_ok(&holdfast, &["tree"])));
        assert!(was != is && after.changed(&before, whole) > 0.0, "{was:?} {is:?}");
    }
    keys(&display, &["m"]);
    holdfast.wait_until("a marker", RECORDS_WITHIN, |snapshot| snapshot["session"]["markers"]["count"] == 1);
    keys(&display, &["ctrl+l"]);
    see(&display, "Close alerts");
    keys(&display, &["Escape"]);
    display.atspi_ok(&holdfast, &["gone", "Close alerts"]);
    keys(&display, &["ctrl+h"]);
    see(&display, "Health");
    keys(&display, &["Escape"]);
    // From there the tile has the focus.
    see(&display, "Show Camera 1 large");
    keys(&display, &["Return"]);
    see(&display, "Back to all inputs");
    keys(&display, &["Escape"]);
    see(&display, "Show Camera 1 large");
    keys(&display, &["F1"]);
    see(&display, "Keyboard shortcuts");
    keys(&display, &["Escape", "F9", "F9"]);
    wait_saved(&holdfast);
    assert_eq!(holdfast.status()["last_session"]["state"], "completed");
}

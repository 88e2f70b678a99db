//! Pictures of the window in every state a tile has, at every size, in every dress and direction (DESK, R-UI-1): nothing
//! is wider than the screen, and everything that has to be said is there. The pictures are kept in `target/pictures`, to
//! be looked at.
//!
//! States and alerts are those of a stand-in for the engine, because no recorder is in all of them at once; the pictures in
//! the tiles are those of real processes, lent by a recorder beside it. The large view and the health are of a recorder that
//! records.

use crate::record::{LIVE_WITHIN, wait_media};
use crate::support::display::Display;
use crate::support::proc::{Holdfast, find_input, rounds, test_inputs};
use crate::support::process::{self, MARK};
use crate::support::stage::{Stage, idle};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

const KEPT_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/pictures");
/// A question to X is answered at once; this is for a machine under full load.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// Nine processes that start at once, on a machine under full load.
const WATCHED_WITHIN: Duration = Duration::from_secs(60);
/// The width of a front panel.
const NARROW: u32 = 480;
/// So much of a recording, and the plots of the large view have something to show.
const RECORDED: Duration = Duration::from_secs(8);

/// How the window is dressed and spoken.
struct Look {
    name: &'static str,
    size: (u32, u32),
    env: &'static [(&'static str, &'static str)],
    /// A word that must be on it.
    says: &'static str,
}

const DARK: Look = Look { name: "1920-dark", size: (1920, 1080), env: &[], says: "Recording" };
const LOOKS: [Look; 6] = [
    DARK,
    Look {
        name: "1024-light",
        size: (1024, 600),
        env: &[("ADW_DEBUG_COLOR_SCHEME", "prefer-light")],
        says: "Recording",
    },
    Look { name: "480-contrast", size: (480, 640), env: &[("ADW_DEBUG_HIGH_CONTRAST", "1")], says: "Recording" },
    Look { name: "1024-german", size: (1024, 600), env: &[("LANGUAGE", "de")], says: "Nimmt auf" },
    Look { name: "1920-mirrored", size: (1920, 1080), env: &[("LANGUAGE", "ar-XB")], says: "[Réçördîñg~~~]" },
    Look { name: "480-french", size: (480, 640), env: &[("LANGUAGE", "fr")], says: "Enregistre" },
];

/// Every state of a tile (DESK "Tile"): the words it must say in English, and the fields of its input.
fn states() -> Vec<(&'static str, Value)> {
    let recording = |state: &str| {
        json!({
            "state": state, "verdict": null, "part": 1, "file": "a.mp4", "media_ms": 751_000, "safe_ms": 750_000,
            "bytes": 9_000_000, "bytes_per_s": 500_000,
            "frames": {"captured": 22_530, "encoded": 22_530, "written": 22_500, "duplicated": 0,
                       "dropped": {"source": 0, "queue": 0, "encoder": 0}}
        })
    };
    let since = "2026-11-21T20:30:55Z";
    let preview = |state: &str| json!({"state": state, "width": 640, "height": 360, "fps": 15.0, "reduced": null});
    let retry = json!({"state": "retrying", "attempt": 2, "max": 3, "next_in_ms": 4000, "error_class": "network"});
    vec![
        ("recording", json!({"recording": recording("recording")})),
        ("no signal since", json!({"state": "no_signal", "since": since, "recording": recording("stalled")})),
        ("not writing since", json!({"recording": recording("stalled"), "recording_since": since})),
        ("finalising", json!({"recording": recording("stopping")})),
        ("starting to record", json!({"recording": recording("starting")})),
        ("retry", json!({"state": "reconnecting", "retry": retry, "recording": recording("stalled")})),
        ("out of service", json!({"state": "quarantined", "recording": recording("failed")})),
        ("preview reduced", json!({"preview": preview("reduced"), "recording": recording("recording")})),
        ("preview off", json!({"preview": preview("shed"), "recording": recording("recording")})),
    ]
}

fn snapshot() -> Value {
    let states = states();
    let mut snapshot = idle(u32::try_from(states.len()).expect("a few"));
    for (place, (_, fields)) in states.iter().enumerate() {
        for (name, value) in fields.as_object().expect("fields") {
            snapshot["inputs"][place][name] = value.clone();
        }
    }
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/snapshot.json"));
    let golden: Value = serde_json::from_str(&text.expect("a golden file")).expect("a snapshot");
    snapshot["session"] = golden["session"].clone();
    snapshot["session"]["open"] = json!(true);
    snapshot
}

/// Width and height of the one window of the display, whatever is cut off by the screen.
fn window_size(display: &Display, holdfast: &Holdfast) -> (u32, u32) {
    let mut xdotool = holdfast.command("xdotool");
    display.attach(&mut xdotool).args([
        "search",
        "--onlyvisible",
        "--name",
        "Holdfast",
        "getwindowgeometry",
        "--shell",
    ]);
    let said = process::run("xdotool", &mut xdotool, holdfast.root(), ANSWERS_WITHIN).stdout;
    let of = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {name} in {said}"))
    };
    (of("WIDTH"), of("HEIGHT"))
}

/// Three alerts as they stand in the sidebar: one nobody has seen, one that came again and again, one that is over.
fn alerts() -> Value {
    let alert = |id: u64, severity: &str, source: &str, code: &str, params: Value, actions: &[&str]| {
        json!({
            "id": id, "seq": id, "at": "2026-11-21T20:31:07Z", "last_at": "2026-11-21T20:31:07Z", "severity": severity,
            "source": source, "code": code, "params": params, "message": code, "count": 1, "more": 0, "state": "active",
            "resolved_at": null, "acknowledged": false, "actions": actions
        })
    };
    let mut again = alert(2, "warning", "cam2", "no_signal", json!({"reason": "unplugged"}), &["retry", "acknowledge"]);
    again["count"] = json!(3);
    let mut over = alert(3, "warning", "cam3", "no_signal", json!({"reason": "unplugged"}), &[]);
    (over["state"], over["resolved_at"], over["acknowledged"]) =
        (json!("resolved"), json!("2026-11-21T20:31:21Z"), json!(true));
    json!([
        over,
        again,
        alert(
            1,
            "critical",
            "storage",
            "disk_critical",
            json!({"free": "1.9 GB", "used": "97", "floor": "1.5 GB"}),
            &["open_folder", "acknowledge"]
        )
    ])
}

/// The window opens at the size of `look`, without motion: nothing is on its way while its picture is taken.
fn dress(holdfast: &Holdfast, look: &Look) {
    let remembered = holdfast.root().join("home/.local/state/holdfast");
    std::fs::create_dir_all(&remembered).expect("the folder is ours");
    let (width, height) = look.size;
    std::fs::write(remembered.join("window.toml"), format!("size = [{width}, {height}]\n"))
        .expect("the folder is ours");
    let settings = holdfast.root().join("home/.config/gtk-4.0");
    std::fs::create_dir_all(&settings).expect("the folder is ours");
    std::fs::write(settings.join("settings.ini"), "[Settings]\ngtk-enable-animations=false\n").expect("the same");
}

/// A place for the stand-in and the window, in which the processes of `holdfast` are found.
fn place(holdfast: &Holdfast) -> PathBuf {
    let place = holdfast.root().join("desk");
    std::fs::create_dir_all(place.join("workers")).expect("the folder is ours");
    let private: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    for folder in [&place, &place.join("workers")] {
        std::fs::set_permissions(folder, private.clone()).expect("the folder is ours");
    }
    for input in 1..=states().len() {
        let socket = format!("workers/cam{input}.sock");
        std::os::unix::fs::symlink(holdfast.runtime().join(&socket), place.join(socket)).expect("the folder is new");
    }
    place
}

/// Every state of a tile, the sidebar open and folded.
fn take(holdfast: &Holdfast, place: &Path, look: &Look) {
    dress(holdfast, look);
    let (width, height) = look.size;
    let mut display = Display::start(holdfast, width, height);
    let stage = Stage::start_at(holdfast, &place.join("engine.sock"), &snapshot());
    stage.alerts(alerts().as_array().expect("some"));
    let env = [&[(MARK, place.to_str().expect("a path of ours"))], look.env].concat();
    let _window = display.window_with(holdfast, &env);
    display.atspi_ok(holdfast, &["wait", look.says]);
    let tree = display.atspi_ok(holdfast, &["tree"]);
    if look.name == DARK.name {
        display.atspi_ok(holdfast, &["wait", "The disk is almost full: 1.9\u{a0}GB are left, 97 % are used."]);
    }
    if look.says == DARK.says {
        for (said, _) in states() {
            assert!(tree.contains(said), "{}: nobody says {said:?}: {tree}", look.name);
        }
    }
    // A list has no pictures.
    if width > NARROW && holdfast.try_status().is_ok() {
        holdfast.wait_until("somebody looks at it", WATCHED_WITHIN, |snapshot| {
            find_input(snapshot, "cam1")["preview"]["width"].as_u64() > Some(0)
        });
    }
    // What asks for more room than there is gets it, and is cut off by the edge of the screen.
    assert_eq!(window_size(&display, holdfast), look.size, "{}", look.name);
    keep(&mut display, holdfast, &format!("{}-1", look.name));
    display.key(holdfast, &["ctrl+l"]);
    keep(&mut display, holdfast, &format!("{}-2", look.name));
    if width > NARROW && look.says == DARK.says {
        lose_preview(&mut display, holdfast, look);
    }
}

/// The engine says that the first input records, and its picture stands still.
fn lose_preview(display: &mut Display, holdfast: &Holdfast, look: &Look) {
    let Ok(snapshot) = holdfast.try_status() else { return };
    let pid = find_input(&snapshot, "cam1")["worker"]["pid"].as_u64().expect("it has a process");
    let pid = u32::try_from(pid).expect("a process");
    let health = holdfast.api("GET", "/api/v1/health", &[], None).expect("an answer");
    let engine = u32::try_from(health.body["pid"].as_u64().expect("a process")).expect("a process");
    // Whoever would replace it stands still as well.
    holdfast.signal(engine, Signal::STOP);
    holdfast.signal(pid, Signal::STOP);
    display.atspi_ok(holdfast, &["wait", "preview lost, recording goes on"]);
    keep(display, holdfast, &format!("{}-3", look.name));
    holdfast.signal(pid, Signal::CONT);
    holdfast.signal(engine, Signal::CONT);
}

/// What a recorder that records shows: its inputs, one of them large, and how the machine is.
fn take_recording(look: &Look) {
    let mut holdfast = Holdfast::new(&test_inputs(4, "auto"));
    dress(&holdfast, look);
    let (width, height) = look.size;
    let mut display = Display::start(&holdfast, width, height);
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    let _window = display.window_with(&holdfast, look.env);
    if width > NARROW {
        holdfast.wait_until("somebody looks at them", WATCHED_WITHIN, |snapshot| {
            find_input(snapshot, "cam4")["preview"]["width"].as_u64() > Some(0)
        });
        keep(&mut display, &holdfast, &format!("{}-idle", look.name));
    }
    holdfast.cli_ok(&["record", "start", "--name", "keynote"]);
    display.atspi_ok(&holdfast, &["wait", look.says]);
    wait_media(&holdfast, "cam1", RECORDED);
    keep(&mut display, &holdfast, &format!("{}-recording", look.name));
    display.key(&holdfast, &["ctrl+h"]);
    wait_media(&holdfast, "cam1", 2 * RECORDED);
    assert_eq!(window_size(&display, &holdfast), look.size, "{}: health", look.name);
    keep(&mut display, &holdfast, &format!("{}-health", look.name));
    display.key(&holdfast, &["Escape"]);
    display.click(&holdfast, (width / 4, height / 3));
    wait_media(&holdfast, "cam1", 3 * RECORDED);
    assert_eq!(window_size(&display, &holdfast), look.size, "{}: large", look.name);
    keep(&mut display, &holdfast, &format!("{}-large", look.name));
    holdfast.cli_ok(&["record", "stop"]);
    holdfast.wait_until("it is proved", WATCHED_WITHIN, |snapshot| {
        snapshot["last_session"]["verdict"].as_str().is_some_and(|verdict| verdict != "unverified")
    });
    display.key(&holdfast, &["Escape"]);
    display.atspi_ok(&holdfast, &["gone", look.says]);
    keep(&mut display, &holdfast, &format!("{}-saved", look.name));
}

fn keep(display: &mut Display, holdfast: &Holdfast, name: &str) {
    let shot = display.shot(holdfast);
    let first = &shot.rgb[..3];
    assert!(shot.rgb.chunks_exact(3).any(|pixel| pixel != first), "{name}: nothing is drawn");
    std::fs::create_dir_all(KEPT_IN).expect("the folder of the build is ours");
    std::fs::copy(&shot.file, Path::new(KEPT_IN).join(format!("{name}.png"))).expect("room for a picture");
}

#[test]
fn every_state_has_its_words_and_its_room_at_every_size() {
    // The widest words on the smallest screens are looked at with every change, the others in torture.
    if rounds(0, 1) == 0 {
        let holdfast = Holdfast::new("");
        let place = place(&holdfast);
        LOOKS.iter().skip(2).chain([&DARK]).for_each(|look| take(&holdfast, &place, look));
        return;
    }
    let mut holdfast = Holdfast::new(&test_inputs(u32::try_from(states().len()).expect("a few"), "auto"));
    holdfast.spawn_engine();
    holdfast.wait_live(WATCHED_WITHIN);
    let place = place(&holdfast);
    LOOKS.iter().for_each(|look| take(&holdfast, &place, look));
}

#[test]
fn what_a_recording_looks_like_at_every_size() {
    if rounds(0, 1) == 1 {
        LOOKS.iter().for_each(take_recording);
    }
}

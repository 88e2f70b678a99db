//! What the window says, in which language, and to whom: another language leaves nothing of the window before, what happens
//! is announced, what is refused is said in words, nothing on the desk is a raw string (R-UI-2, R-UI-4, R-ALR-7).

use crate::support::display::Display;
use crate::support::proc::{Holdfast, wait_for_change};
use crate::support::process::{Deadline, Running};
use crate::support::stage::{Stage, idle};
use holdfast::model::incident::{Incident, IncidentCode};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::process::ExitStatus;
use std::time::Duration;

/// Something that takes milliseconds, on a machine under full load.
const SOON: Duration = Duration::from_secs(20);
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// How often the language is changed.
const CHANGES: usize = 5;
/// What comes and goes by itself: a thread that has nothing to do, a connection that is about to close.
const COMES_AND_GOES: usize = 3;
/// A disk that does not answer keeps the window for a second; this is for a machine under full load.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// Menu, submenu and entry that lead from one language to the other.
const TO_GERMAN: [&str; 3] = ["Menu", "Language", "Deutsch"];
const TO_ENGLISH: [&str; 3] = ["Menü", "Sprache", "English"];

fn open(env: &[(&str, &str)]) -> (Holdfast, Display, Stage, Running) {
    let holdfast = Holdfast::new("");
    let display = Display::start(&holdfast, 1280, 800);
    let stage = Stage::start(&holdfast, &idle(4));
    let window = display.window_with(&holdfast, env);
    (holdfast, display, stage, window)
}

fn critical(id: u64) -> Value {
    let code = IncidentCode::DiskFull;
    json!({
        "id": id, "seq": id, "at": "2026-11-21T20:30:15Z", "last_at": "2026-11-21T20:30:15Z",
        "severity": "critical", "source": "storage", "code": code.as_str(), "params": {},
        "message": Incident::new(code).message(), "count": 1, "more": 0, "state": "active", "resolved_at": null,
        "acknowledged": false, "actions": ["open_folder", "acknowledge"]
    })
}

/// Descriptors and threads of a process.
fn held(pid: u32) -> (usize, usize) {
    let count = |what: &str| std::fs::read_dir(format!("/proc/{pid}/{what}")).map_or(0, Iterator::count);
    (count("fd"), count("task"))
}

fn wait(what: &str, mut fits: impl FnMut() -> Result<(), String>) {
    let deadline = Deadline::after(SOON);
    while let Err(why) = fits() {
        assert!(deadline.left().is_some(), "{what}: {why}");
        wait_for_change(std::path::Path::new(env!("CARGO_MANIFEST_DIR")), ASK_AGAIN);
    }
}

/// A name in the memory of the window that never answers, as on a disk that hangs.
fn hang(holdfast: &Holdfast) {
    let own = holdfast.root().join("home/.local/state/holdfast/window.toml");
    std::fs::remove_file(&own).expect("the window remembers its language");
    let mut mkfifo = holdfast.command("mkfifo");
    assert!(mkfifo.arg(&own).status().is_ok_and(|status: ExitStatus| status.success()));
}

#[test]
fn another_language_leaves_nothing_of_the_window_before() {
    let (holdfast, display, stage, mut window) = open(&[]);
    let told = holdfast.root().join("told");
    let _desktop = display.service(&holdfast, &format!("notify:{}", told.display()));
    let change = |to: [&str; 3]| {
        to.into_iter().for_each(|name| drop(display.atspi_ok(&holdfast, &["press", name])));
        let ready = if to == TO_GERMAN { "Bereit" } else { "Ready" };
        display.atspi_ok(&holdfast, &["wait", ready]);
    };
    display.atspi_ok(&holdfast, &["wait", "Ready"]);
    // What was typed and opened goes on in the other language.
    display.click(&holdfast, display.place(&holdfast, "Session name"));
    display.key(&holdfast, &["slash"]);
    display.atspi_ok(&holdfast, &["wait", "A name has no / in it."]);
    ["Menu", "Health"].iter().for_each(|name| drop(display.atspi_ok(&holdfast, &["press", name])));
    // What only comes with the first menu is there then.
    change(TO_GERMAN);
    ["Ein Name enthält kein /.", "Alle Eingänge"]
        .iter()
        .for_each(|name| drop(display.atspi_ok(&holdfast, &["wait", name])));
    wait("one window follows", || (stage.clients() == 1).then_some(()).ok_or_else(|| stage.clients().to_string()));
    let before = held(window.pid());
    for turn in 0..CHANGES {
        // The last one meets a disk that does not answer: it is spoken all the same.
        if turn + 1 == CHANGES {
            hang(&holdfast);
        }
        change(if turn % 2 == 0 { TO_ENGLISH } else { TO_GERMAN });
    }
    wait("what the windows before had is given back", || {
        let (clients, after) = (stage.clients(), held(window.pid()));
        let same = after.0 <= before.0 + COMES_AND_GOES && after.1 <= before.1 + COMES_AND_GOES;
        let said = format!("{clients} follow; descriptors and threads {before:?}, then {after:?}");
        if clients == 1 && same {
            println!("after {CHANGES} changes of language: {said}");
            return Ok(());
        }
        Err(said)
    });
    stage.alerts(&[critical(1)]);
    let lines = || std::fs::read_to_string(&told).unwrap_or_default();
    wait("the desktop is told", || (!lines().is_empty()).then_some(()).ok_or_else(lines));
    display.atspi_ok(&holdfast, &["wait", "Alerts: 1 critical"]);
    assert_eq!(lines().lines().collect::<Vec<_>>(), ["Storage · Critical"], "it was told by more than one window");
    // Its memory still hangs, and it leaves.
    window.signal(Signal::TERM);
    let left = Deadline::after(SOON);
    assert!(window.wait(ENDS_WITHIN).is_some(), "the window waits for its disk");
    println!("it left {:?} after SIGTERM", left.elapsed());
}

#[test]
fn what_happens_is_announced_and_what_is_not_done_is_said_in_words() {
    let (holdfast, display, stage, _window) = open(&[]);
    display.atspi_ok(&holdfast, &["wait", "Ready"]);
    let announced = |words: &str| {
        let line = format!("\talert\t{words}");
        wait(words, || {
            let tree = display.atspi_ok(&holdfast, &["tree"]);
            if tree.lines().any(|known| known.contains(&line)) { Ok(()) } else { Err(tree) }
        });
    };
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/event_session.json"));
    let golden: Value = serde_json::from_str(&text.expect("a golden file")).expect("an event");
    stage.event("session", &golden["data"]);
    announced("Recording");
    // The time runs, and whoever has the focus on a tile does not hear it every second.
    let tree = display.atspi_ok(&holdfast, &["tree"]);
    let tiles = tree.lines().filter(|line| line.contains("HDMI 1,")).collect::<Vec<_>>();
    assert!(!tiles.is_empty() && tiles.iter().all(|tile| !tile.contains("00:00:")), "{tiles:?}");
    stage.event("session", &Value::Null);
    announced("Stopped");

    // The stand-in answers what no engine would.
    let refused = "The recorder answered in a way this window does not understand. Close the window and open it again.";
    display.atspi_ok(&holdfast, &["press", "Record"]);
    display.atspi_ok(&holdfast, &["wait", refused]);
    announced(refused);
    let log = std::fs::read_to_string(holdfast.root().join("window.log")).unwrap_or_default();
    assert!(log.contains("missing field"), "the log does not say what was not understood: {log}");

    // Nothing here shows folders.
    stage.alerts(&[critical(1)]);
    display.atspi_ok(&holdfast, &["press", "Alerts: 1 critical"]);
    display.atspi_ok(&holdfast, &["press", "Open folder"]);
    let library = idle(1)["storage"]["path"].as_str().expect("a path").to_owned();
    let said = format!("Nothing on this machine can show a folder. The files are in {library}");
    display.atspi_ok(&holdfast, &["wait", &said]);
}

/// In the pseudo-locale every vowel of what can be translated has an accent.
#[test]
fn no_raw_string_is_on_the_desk() {
    let (holdfast, display, stage, _window) = open(&[("LANGUAGE", "en-XA")]);
    stage.alerts(&[critical(1)]);
    display.atspi_ok(&holdfast, &["wait", "[Réàdý~]"]);
    display.key(&holdfast, &["ctrl+l"]);
    let open = display.atspi_ok(&holdfast, &["show", "[Öpéñ földér~~~]"]);
    display.key(&holdfast, &["ctrl+h"]);
    let health = display.atspi_ok(&holdfast, &["show", "[Héàlth~~]"]);
    // What carries a name of its own, what GTK names in its own language, and what has none: GTK calls that by its class.
    let names = ["HDMI", "Holdfast", "/library", "Close"];
    let raw = |line: &&str| {
        let name = line.split('\t').nth(2).unwrap_or_default();
        let named = !name.starts_with("Gtk") && !name.starts_with("Adw");
        let rest = names.iter().fold(name.to_owned(), |rest, own| rest.replace(own, ""));
        named && rest.contains(['a', 'e', 'i', 'o', 'u', 'A', 'E', 'I', 'O', 'U'])
    };
    let found: Vec<&str> = open.lines().chain(health.lines()).filter(raw).collect();
    assert!(found.is_empty(), "nobody can translate {found:#?}");
}

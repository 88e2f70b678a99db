//! What a crash of everything left is closed at the next start, in the background, while somebody records (R-FM-11).

use crate::adopt::{CLOSED_WITHIN, INPUTS, assert_one_session, kill_engine, lines};
use crate::record::{LIVE_WITHIN, RECORDS_WITHIN, start, wait_media};
use crate::support::evidence::parts;
use crate::support::proc::{Holdfast, test_inputs};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Record must be possible this long after launch (R-FM-11).
const RECORD_WITHIN: Duration = Duration::from_secs(2);
/// Two processors, a debug build, and other tests beside this one.
const BUSY_MACHINE: Duration = Duration::from_secs(3);
/// A hundred small sessions, each with a process of its own at idle priority.
const RECOVERED_WITHIN: Duration = Duration::from_secs(180);

/// Copies of the crashed session `original`, each with an id and a folder of its own; every third is of another boot.
fn plant_interrupted(library: &Path, original: &Path, count: usize) {
    let journal = std::fs::read_to_string(original.join("journal.jsonl")).expect("a journal");
    let (first, rest) = journal.split_once('\n').expect("a plan");
    let names: Vec<PathBuf> =
        std::fs::read_dir(original).expect("a folder").flatten().map(|entry| entry.path()).collect();
    for n in 0..count {
        let dir = library.join(format!("2026-01-01_00-{:02}-{:02}_old_{n:04x}", n / 60, n % 60));
        std::fs::create_dir(&dir).expect("a new folder");
        for path in names.iter().filter(|path| !path.ends_with("journal.jsonl")) {
            std::fs::copy(path, dir.join(path.file_name().expect("a name"))).expect("a copy");
        }
        let mut plan: Value = serde_json::from_str(first).expect("a plan");
        plan["id"] = json!(format!("01900000-0000-7000-8000-{n:012x}"));
        if n % 3 == 0 {
            plan["boot_id"] = json!("00000000-0000-0000-0000-000000000000");
        }
        std::fs::write(dir.join("journal.jsonl"), format!("{plan}\n{rest}")).expect("a journal");
    }
}

/// Session folders without a `closed` line.
fn open_sessions(holdfast: &Holdfast) -> usize {
    let closed = |session: &PathBuf| lines(&session.join("journal.jsonl")).iter().any(|line| line["kind"] == "closed");
    holdfast.sessions().iter().filter(|session| !closed(session)).count()
}

/// Every file of every session with its bytes.
fn contents(holdfast: &Holdfast) -> BTreeMap<PathBuf, Vec<u8>> {
    let files =
        holdfast.sessions().into_iter().flat_map(|session| std::fs::read_dir(session).expect("a folder").flatten());
    files.map(|entry| (entry.path(), std::fs::read(entry.path()).expect("a file"))).collect()
}

#[test]
fn a_hundred_interrupted_sessions_keep_nobody_from_recording_and_are_all_closed_once() {
    let mut holdfast = Holdfast::new(&test_inputs(1, "auto"));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &INPUTS[..1]);
    wait_media(&holdfast, "cam1", Duration::from_secs(2));
    let worker = holdfast.worker_pid("cam1");
    kill_engine(&mut holdfast);
    holdfast.signal(worker, Signal::KILL);
    assert!(holdfast.ended(worker, RECORDS_WITHIN));
    plant_interrupted(&holdfast.library(), &holdfast.session(), 99);
    assert_eq!(open_sessions(&holdfast), 100);
    // Somebody made room, and left a link.
    let moved = holdfast.library().join("2026-01-01_00-00-01_old_0001/cam1.mp4");
    let elsewhere = holdfast.root().join("elsewhere.mp4");
    std::fs::rename(&moved, &elsewhere).expect("moved away");
    std::os::unix::fs::symlink(&elsewhere, &moved).expect("a link");
    let kept = std::fs::read(&elsewhere).expect("a file");

    let launched = std::time::Instant::now();
    holdfast.spawn_engine();
    let reply = holdfast.api("POST", "/api/v1/recorder/start", &[], Some(&json!({"name": "new"}))).expect("an answer");
    let possible = launched.elapsed();
    assert_eq!(reply.status, 201, "{reply:?}");
    println!("Record possible {possible:?} after launch with 100 interrupted sessions");
    assert!(possible <= RECORD_WITHIN + BUSY_MACHINE, "{possible:?}");
    // Killed amid recovery, while it records as well: the next one goes on with both.
    wait_until(&holdfast, "ten are closed", || open_sessions(&holdfast) <= 91);
    kill_engine(&mut holdfast);
    let left = open_sessions(&holdfast);
    holdfast.spawn_engine();
    wait_until(&holdfast, "all others are closed", || open_sessions(&holdfast) == 1);
    wait_media(&holdfast, "cam1", Duration::from_secs(1));
    holdfast.cli_ok(&["record", "stop"]);
    assert_eq!(open_sessions(&holdfast), 0);
    for (n, session) in holdfast.sessions().into_iter().enumerate() {
        // They are copies: every journal and manifest is read, and the pictures of some.
        let manifest = assert_one_session(&session, if n % 25 == 0 { &[("cam1", 1)] } else { &[] });
        let new = manifest["name"] == "new";
        assert_eq!(manifest["state"], if new { "completed" } else { "recovered" }, "{manifest:#}");
        let end = match new {
            _ if moved.starts_with(&session) => "damaged",
            true => "completed",
            false => "worker_died",
        };
        assert_eq!(parts(&manifest, "cam1")[0]["end"], end, "{manifest:#}");
    }
    assert!(std::fs::read(&elsewhere).expect("a file") == kept, "written through a link");
    println!("killed with {left} sessions left to close; 101 sessions whole");
    // A second run changes nothing.
    let engine = holdfast.engine().pid();
    holdfast.signal(engine, Signal::TERM);
    assert!(holdfast.engine().wait(CLOSED_WITHIN).is_some(), "the engine does not leave");
    let before = contents(&holdfast);
    holdfast.cli_ok(&["recover"]);
    assert!(contents(&holdfast) == before, "a second recovery changed something");
}

/// Waits until something on the disk is so; an engine that works there publishes what it does.
fn wait_until(holdfast: &Holdfast, what: &str, mut done: impl FnMut() -> bool) {
    holdfast.wait_until(what, RECOVERED_WITHIN, |_| done());
}

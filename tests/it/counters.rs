//! How often a worker was replaced outlives the engine: another engine is no way around the limits (R-SUP-5).

use crate::adopt::kill_engine;
use crate::record::LIVE_WITHIN;
use crate::support::proc::{Holdfast, find_input, test_inputs, wait_for_change};
use crate::support::process::Deadline;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;

/// Replacements are 5 s apart, and a worker starts.
const REPLACED_WITHIN: Duration = Duration::from_secs(25);

/// A change that came between a look and the wait for the next is seen then.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

fn kill_worker(holdfast: &Holdfast) {
    let worker = holdfast.worker_pid("cam1");
    holdfast.signal(worker, Signal::KILL);
    holdfast.wait_until("the death is seen", REPLACED_WITHIN, |snapshot| {
        find_input(snapshot, "cam1")["worker"]["pid"].as_u64() != Some(worker.into())
    });
}

/// What the engine has kept for the next one, once it is so.
pub fn wait_kept(holdfast: &Holdfast, condition: impl Fn(&Value) -> bool) -> Value {
    let file = holdfast.library().join(".holdfast.state.json");
    let deadline = Deadline::after(LIVE_WITHIN);
    loop {
        // Whoever is late with it keeps a pipe in its place.
        let text = file.metadata().is_ok_and(|meta| meta.is_file()).then(|| std::fs::read(&file));
        let kept = text.and_then(|text| serde_json::from_slice(&text.expect("a file")).ok());
        if let Some(kept) = kept.filter(&condition) {
            return kept;
        }
        let left = deadline.left().expect("it is kept");
        wait_for_change(&holdfast.library(), left.min(LOOK_AGAIN));
    }
}

fn is_quarantined(snapshot: &Value) -> bool {
    find_input(snapshot, "cam1")["state"] == "quarantined"
}

#[test]
fn an_input_that_was_given_up_stays_so_whatever_engine_comes() {
    let mut holdfast = Holdfast::new(&test_inputs(1, "auto"));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    // Nothing is recorded: no journal tells of these deaths.
    for _ in 0..2 {
        kill_worker(&holdfast);
        holdfast.wait_live(REPLACED_WITHIN);
    }
    // Each is kept at once, which takes two syncs; whoever kills the engine before gets one attempt more.
    wait_kept(&holdfast, |kept| kept["restarts"]["cam1"]["attempts"] == 2);
    kill_engine(&mut holdfast);
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    kill_worker(&holdfast);
    let seen = holdfast.wait_until("the third replacement", REPLACED_WITHIN, |snapshot| {
        is_quarantined(snapshot) || find_input(snapshot, "cam1")["state"] == "live"
    });
    assert!(!is_quarantined(&seen), "three replacements are made");
    kill_worker(&holdfast);
    holdfast.wait_until("nothing more is tried", REPLACED_WITHIN, is_quarantined);
    wait_kept(&holdfast, |kept| kept["restarts"]["cam1"]["given_up"] == true);
    for leave in [Signal::KILL, Signal::TERM] {
        let engine = holdfast.engine().pid();
        holdfast.signal(engine, leave);
        assert!(holdfast.engine().wait(LIVE_WITHIN).is_some(), "the engine does not end");
        let engine = holdfast.spawn_engine();
        holdfast.wait_until("it is still given up", LIVE_WITHIN, is_quarantined);
        assert_eq!(holdfast.processes(), [engine], "a worker was started all the same");
        let critical = holdfast.status()["alerts"]["critical"].as_u64();
        assert_eq!(critical, Some(1), "the operator is told again");
    }
    let retry = holdfast.api("POST", "/api/v1/inputs/cam1/retry", &[], None).expect("an answer");
    assert_eq!(retry.status, 202, "{retry:?}");
    holdfast.wait_live(LIVE_WITHIN);
    // Forgiven, also for the next engine.
    wait_kept(&holdfast, |kept| kept["restarts"]["cam1"].is_null());
    kill_engine(&mut holdfast);
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
}

/// The disk answers only when the engine has begun without it: what it tells then counts, and is kept.
#[test]
fn an_account_that_the_disk_is_late_with_counts_and_is_not_wiped() {
    let mut holdfast = Holdfast::new(&test_inputs(1, "auto"));
    std::fs::create_dir_all(holdfast.library()).expect("a library");
    let file = holdfast.library().join(".holdfast.state.json");
    let made = std::process::Command::new("mkfifo").arg(&file).status();
    assert!(made.expect("mkfifo runs").success());
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    // The engine has begun without it and reads on until this is dropped; were nobody to read, it would be refused.
    let nonblocking = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK;
    let disk = rustix::fs::open(&file, nonblocking, rustix::fs::Mode::empty()).expect("the engine reads");
    let mut disk = std::fs::File::from(disk);
    let boot_id = holdfast::sys::clock::boot_id().expect("a boot");
    let restarts = json!({"cam1": {"attempts": 3, "hour": [1, 2, 3], "given_up": false}});
    let alert = json!({"id": 1, "seq": 1, "at": "2026-11-21T20:30:15Z", "severity": "critical", "source": "cam1",
        "code": "file_damaged", "params": {}, "message": "x", "count": 1, "state": "active", "resolved_at": null,
        "acknowledged": false, "actions": []});
    let kept = json!({"seq": 1, "alerts": [alert], "boot_id": boot_id, "restarts": &restarts, "recent": []});
    disk.write_all(kept.to_string().as_bytes()).expect("written");
    drop(disk);
    // It is replaced, first by what was kept before the account was taken in.
    let kept = wait_kept(&holdfast, |_| true);
    assert_eq!((&kept["restarts"], &kept["alerts"][0]["code"]), (&restarts, &json!("file_damaged")));
    holdfast.wait_until("it is taken in", LIVE_WITHIN, |snapshot| snapshot["alerts"]["critical"] == 1);
    kill_worker(&holdfast);
    holdfast.wait_until("nothing more is tried", REPLACED_WITHIN, is_quarantined);
    let engine = holdfast.engine().pid();
    holdfast.signal(engine, Signal::TERM);
    assert!(holdfast.engine().wait(LIVE_WITHIN).is_some(), "the engine does not leave");
    wait_kept(&holdfast, |kept| kept["restarts"]["cam1"]["given_up"] == true);
}

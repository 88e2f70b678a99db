//! How often a worker was replaced outlives the engine: another engine is no way around the limits (R-SUP-5).

use crate::adopt::kill_engine;
use crate::record::LIVE_WITHIN;
use crate::support::proc::{Holdfast, find_input, test_inputs};
use rustix::process::Signal;
use serde_json::Value;
use std::time::Duration;

/// Replacements are 5 s apart, and a worker starts.
const REPLACED_WITHIN: Duration = Duration::from_secs(25);

fn kill_worker(holdfast: &Holdfast) {
    let worker = holdfast.worker_pid("cam1");
    holdfast.signal(worker, Signal::KILL);
    holdfast.wait_until("the death is seen", REPLACED_WITHIN, |snapshot| {
        find_input(snapshot, "cam1")["worker"]["pid"].as_u64() != Some(worker.into())
    });
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
    kill_engine(&mut holdfast);
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
}

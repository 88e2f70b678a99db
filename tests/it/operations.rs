//! Long operations of the real recorder that are really stuck, and what a clean-up does to them (R-ALR-4).

use crate::adopt::CLOSED_WITHIN;
use crate::alerts::wait_alert;
use crate::faults::stall::hold_muxer;
use crate::proof::crash::catch;
use crate::record::{LIVE_WITHIN, RECORDS_WITHIN, REPLACED_WITHIN, start, wait_media};
use crate::support::api::Reply;
use crate::support::evidence::{assert_no_frame_missing, assert_sound, manifest, parts};
use crate::support::proc::{Holdfast, find_input, test_inputs, wait_for_change};
use crate::support::process::Deadline;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::Duration;

const INPUTS: [&str; 2] = ["cam1", "cam2"];
/// Deadlines of these tests are some seconds; this is for a busy machine.
const STUCK_WITHIN: Duration = Duration::from_secs(25);
const ASK_AGAIN: Duration = Duration::from_millis(100);

fn recording(supervision: &str) -> Holdfast {
    let mut holdfast = Holdfast::new(&format!("[supervision]\n{supervision}{}", test_inputs(2, "auto")));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &INPUTS);
    wait_media(&holdfast, "cam2", Duration::from_secs(2));
    holdfast
}

fn operations(holdfast: &Holdfast) -> Value {
    holdfast.api("GET", "/api/v1/operations", &[], None).expect("an answer").body
}

fn clean_up(holdfast: &Holdfast, id: &Value) -> Reply {
    holdfast.api("POST", &format!("/api/v1/operations/{id}/cleanup"), &[], None).expect("an answer")
}

/// Whether process `pid` is dead. One of its threads may be held all the same, by who traces it.
fn is_dead(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X'])))
}

/// Waits for an operation of `kind` that is stuck, or not.
fn wait_operation(holdfast: &Holdfast, kind: &str, stuck: bool) -> Value {
    let deadline = Deadline::after(STUCK_WITHIN);
    loop {
        let seen = operations(holdfast);
        let all = seen["operations"].as_array().expect("a list").clone();
        if let Some(found) = all.iter().find(|one| one["kind"] == kind && one["stuck"] == stuck) {
            assert_eq!((&seen["action_required"], &found["cancellable"]), (&json!(stuck), &json!(stuck)), "{seen}");
            return found.clone();
        }
        assert!(deadline.left().is_some(), "no {kind} with stuck = {stuck}: {seen:#}");
        wait_for_change(&holdfast.library(), ASK_AGAIN);
    }
}

#[test]
fn a_proof_that_hangs_is_listed_told_and_cleaned_up_and_no_file_is_touched() {
    // Long enough to be asked for before it has passed, also on a busy machine.
    let holdfast = recording("operation_verify_ms = 6000\n");
    holdfast.cli_ok(&["record", "stop", "--no-wait"]);
    let prover = catch(&holdfast, None);
    let session = holdfast.session();
    let operation = wait_operation(&holdfast, "verify", false);
    let early = clean_up(&holdfast, &operation["id"]);
    assert_eq!((early.status, early.body["code"].as_str()), (409, Some("not_stuck")), "{early:?}");
    let operation = wait_operation(&holdfast, "verify", true);
    assert!(operation["since_ms"].as_u64() >= operation["deadline_ms"].as_u64(), "{operation}");
    let alert = wait_alert(&holdfast, "engine", "operation_stuck", "active");
    assert_eq!(alert["actions"], json!(["cleanup", "acknowledge"]));
    assert_eq!(alert["params"]["id"].as_str(), Some(operation["id"].to_string().as_str()));
    // It keeps nobody from recording.
    start(&holdfast, &INPUTS);
    let reply = clean_up(&holdfast, &operation["id"]);
    assert_eq!((reply.status, reply.body["status"].as_str()), (200, Some("cleaned")), "{reply:?}");
    assert!(holdfast.ended(prover, STUCK_WITHIN), "the process that reads goes on");
    wait_alert(&holdfast, "engine", "operation_stuck", "resolved");
    wait_alert(&holdfast, "engine", "proof_abandoned", "active");
    let again = clean_up(&holdfast, &operation["id"]);
    assert_eq!((again.status, &again.body), (200, &reply.body), "it is idempotent");
    let unknown = clean_up(&holdfast, &json!(7));
    assert_eq!((unknown.status, unknown.body["code"].as_str()), (404, Some("unknown_operation")));
    wait_media(&holdfast, "cam1", Duration::from_secs(1));
    holdfast.cli_ok(&["record", "stop"]);
    let found = manifest(&session);
    for input in INPUTS {
        assert_eq!(parts(&found, input)[0]["end"], "completed");
        assert_no_frame_missing(&session.join(format!("{input}.mp4")));
    }
    assert_eq!(found["inputs"][0]["verdict"], "unverified", "what was not read is not called good");
}

#[test]
fn a_stop_that_hangs_is_cut_for_its_input_only_and_the_session_is_closed() {
    let holdfast = recording("operation_stop_ms = 1000\nflush_deadline_ms = 60000\n");
    let stuck = holdfast.worker_pid("cam1");
    // Its worker goes on reporting: one that does not is ended after some seconds anyway.
    let Some(held) = hold_muxer(&holdfast, "cam1") else { return };
    let stop = holdfast.api("POST", "/api/v1/recorder/stop", &[], Some(&json!({}))).expect("an answer");
    assert_eq!(stop.status, 202, "{stop:?}");
    let operation = wait_operation(&holdfast, "stop", true);
    assert_eq!(operation["source"], "cam1", "{operation}");
    assert_eq!(clean_up(&holdfast, &operation["id"]).status, 200);
    let deadline = Deadline::after(STUCK_WITHIN);
    while !is_dead(stuck) {
        assert!(deadline.left().is_some(), "the stuck worker is left behind");
        wait_for_change(&holdfast.library(), ASK_AGAIN);
    }
    drop(held);
    assert!(holdfast.ended(stuck, STUCK_WITHIN), "the stuck worker is left behind");
    holdfast.wait_until("the session is closed", CLOSED_WITHIN, |snapshot| {
        snapshot["session"].is_null() && snapshot["last_session"]["parts"] == 2
    });
    let session = holdfast.session();
    assert_no_frame_missing(&session.join("cam2.mp4"));
    let cut = assert_sound(&session.join("cam1.mp4"));
    assert!(cut.video.duration() >= 1.0, "{} s", cut.video.duration());
    assert_eq!(operations(&holdfast)["stuck"], 0);
    // And the input is back for the next one.
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &INPUTS);
    holdfast.cli_ok(&["record", "stop"]);
}

/// R-SUP-5: any end counts, also a proper one; then the operator asks in the middle of the session.
#[test]
fn an_input_that_was_given_up_records_again_as_the_next_part_when_the_operator_asks() {
    let holdfast = recording("");
    // Code 0; a signal that leaves a core; one that leaves nothing.
    let ends = [Signal::TERM, Signal::ABORT, Signal::KILL, Signal::KILL];
    for (deaths, signal) in ends.into_iter().enumerate() {
        let worker = holdfast.worker_pid("cam1");
        let part = find_input(&holdfast.status(), "cam1")["recording"]["part"].as_u64().expect("a part");
        holdfast.signal(worker, signal);
        holdfast.wait_until("it is replaced, or given up", REPLACED_WITHIN, |snapshot| {
            let input = find_input(snapshot, "cam1");
            let next = input["recording"]["part"].as_u64() > Some(part) && input["recording"]["state"] == "recording";
            if deaths < 3 { next } else { input["state"] == "quarantined" }
        });
    }
    let alert = wait_alert(&holdfast, "cam1", "worker_gave_up", "active");
    assert_eq!((&alert["severity"], &alert["actions"]), (&json!("critical"), &json!(["retry", "acknowledge"])));
    holdfast.wait_until("the other records on", RECORDS_WITHIN, |snapshot| {
        find_input(snapshot, "cam2")["recording"]["state"] == "recording"
    });
    let retry = holdfast.api("POST", "/api/v1/inputs/cam1/retry", &[], None).expect("an answer");
    assert_eq!(retry.status, 202, "{retry:?}");
    holdfast.wait_until("it records again", REPLACED_WITHIN, |snapshot| {
        let recording = &find_input(snapshot, "cam1")["recording"];
        recording["state"] == "recording" && recording["part"].as_u64() >= Some(5)
    });
    wait_alert(&holdfast, "cam1", "worker_gave_up", "resolved");
    wait_media(&holdfast, "cam1", Duration::from_secs(2));
    holdfast.cli_ok(&["record", "stop"]);
    let session = holdfast.session();
    let found = manifest(&session);
    let files: Vec<_> = parts(&found, "cam1").iter().map(|part| part["file"].clone()).collect();
    assert_eq!(files.len(), 5, "{found:#}");
    assert_eq!((files.first(), files.last()), (Some(&json!("cam1.mp4")), Some(&json!("cam1.part5.mp4"))));
    assert_eq!(parts(&found, "cam1").last().expect("five")["end"], "completed");
    assert_eq!(parts(&found, "cam2").len(), 1);
    assert_no_frame_missing(&session.join("cam2.mp4"));
}

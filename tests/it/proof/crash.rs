//! The prover or the engine dies while files are read: nothing is lost, nothing is read twice at once.

use super::{PROVED_WITHIN, wait_verdict};
use crate::record::{LIVE_WITHIN, start, wait_media};
use crate::support::evidence::{clean_verdict, manifest};
use crate::support::proc::{Holdfast, test_inputs, wait_for_change};
use crate::support::process::Deadline;
use rustix::process::Signal;
use std::time::Duration;

const INPUTS: [&str; 2] = ["cam1", "cam2"];
/// How long to look before looking again for a process that lives for half a second.
const GLANCE: Duration = Duration::from_millis(2);

/// The process that reads files again, if one runs.
fn prover(holdfast: &Holdfast) -> Option<u32> {
    let proves = |pid: &u32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).any(|word| word == b"--verify")
    };
    holdfast.processes().into_iter().find(proves)
}

/// Waits for the next prover that is not `before`, and stops it in its tracks.
pub fn catch(holdfast: &Holdfast, before: Option<u32>) -> u32 {
    let deadline = Deadline::after(PROVED_WITHIN);
    loop {
        if let Some(pid) = prover(holdfast).filter(|pid| Some(*pid) != before) {
            holdfast.signal(pid, Signal::STOP);
            return pid;
        }
        assert!(deadline.left().is_some(), "no file is read again");
        wait_for_change(&holdfast.library(), GLANCE);
    }
}

/// A recorder that has just been told to stop a recording of two inputs.
fn stopped() -> Holdfast {
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &INPUTS);
    wait_media(&holdfast, "cam2", Duration::from_secs(2));
    holdfast.cli_ok(&["record", "stop", "--no-wait"]);
    holdfast
}

#[test]
fn a_prover_that_is_killed_is_replaced_and_the_verdict_is_the_same() {
    let holdfast = stopped();
    let first = catch(&holdfast, None);
    assert_eq!(manifest(&holdfast.session())["inputs"][0]["verdict"], "unverified");
    holdfast.signal(first, Signal::KILL);
    let second = catch(&holdfast, Some(first));
    assert_eq!(holdfast.status()["last_session"]["verdict"], "unverified");
    // A start waits for nobody: the prover is still held here.
    start(&holdfast, &INPUTS);
    holdfast.cli_ok(&["record", "stop"]);
    holdfast.signal(second, Signal::CONT);
    let last = wait_verdict(&holdfast);
    assert_eq!(last["verdict"], clean_verdict(&manifest(&holdfast.session()), &INPUTS), "{last:#}");
    let sessions = holdfast.sessions();
    holdfast.wait_until("both verdicts", PROVED_WITHIN, |_| {
        sessions.iter().map(|session| manifest(session)).all(|found| {
            assert_eq!(found["inputs"][0]["id"], "cam1");
            found["inputs"][0]["verdict"] == clean_verdict(&found, &["cam1"])
        })
    });
}

#[test]
fn an_engine_that_is_killed_meanwhile_leaves_the_proof_to_the_next_one() {
    let mut holdfast = stopped();
    let first = catch(&holdfast, None);
    holdfast.engine().kill();
    holdfast.spawn_engine();
    // The old prover holds the folder: the new one steps back, then does its work.
    holdfast.signal(first, Signal::CONT);
    let last = wait_verdict(&holdfast);
    assert_eq!(last["verdict"], clean_verdict(&manifest(&holdfast.session()), &INPUTS), "{last:#}");
    assert!(holdfast.ended(first, PROVED_WITHIN), "a prover nobody listens to goes on");
}

#[test]
fn a_prover_that_dies_every_time_is_named_and_the_session_stays_unverified() {
    let holdfast = stopped();
    let mut last = None;
    for _ in 0..3 {
        let pid = catch(&holdfast, last);
        holdfast.signal(pid, Signal::KILL);
        last = Some(pid);
    }
    let snapshot = holdfast.wait_until("an alert", PROVED_WITHIN, |snapshot| {
        snapshot["last_session"]["proof_percent"].is_null() && snapshot["alerts"]["warning"] != 0
    });
    assert_eq!(snapshot["last_session"]["verdict"], "unverified");
    let alerts = holdfast.api("GET", "/api/v1/alerts", &[], None).expect("alerts").body;
    let told = alerts["alerts"].as_array().into_iter().flatten().any(|alert| alert["code"] == "proof_abandoned");
    assert!(told, "{alerts:#}");
    // By hand it is proved at once, and found good.
    holdfast.cli_ok(&["verify", holdfast.session().to_str().expect("a path")]);
}

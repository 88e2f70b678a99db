//! A pipeline that stalls although frames arrive: seen, told, set up anew; without an engine as well (R-FM-2, R-SUP-16).

use super::*;
use crate::record::{RECORDS_WITHIN, REPLACED_WITHIN};
use crate::support::evidence::{assert_no_frame_missing, manifest};
use crate::support::inject::{Injected, has_thread, thread_named};
use crate::support::proc::{test_inputs, wait_for_change};
use crate::support::truth::Watch;
use rustix::process::Signal;
use std::path::Path;

const INPUTS: [&str; 3] = ["cam1", "cam2", "cam3"];
/// From a stall to the next part here; 30 s are the default.
const RESTART: &str = "[watchdog]\nstall_restart_ms = 3000\n";
/// A worker that cannot let go of a stalled pipeline gives up after 8 s, and makes room for another.
const LET_GO_WITHIN: Duration = Duration::from_secs(8 + REPLACED_WITHIN.as_secs());
/// For less than a worker waits for its pipelines: it is to be let go in time.
const LOOK_SOON: Duration = Duration::from_millis(20);

/// The thread of the muxer of `input` stands still from here on; its other threads go on, and its disk is well.
pub fn hold_muxer(holdfast: &Holdfast, input: &str) -> Option<Injected> {
    hold_muxer_of(holdfast, input, input)
}

/// The same of the part whose file is called `stem`: threads have names of 15 letters.
fn hold_muxer_of(holdfast: &Holdfast, input: &str, stem: &str) -> Option<Injected> {
    let thread = thread_named(holdfast.worker_pid(input), &format!("{stem}-part-mu"));
    Injected::into_thread(thread, "futex:delay_enter=100000000")
}

/// Waits until the worker `pid` throws away the pipeline of the part whose file is called `stem`: it does so on a thread of
/// that name, which lives for as long as the pipeline does not let go.
fn wait_cut(holdfast: &Holdfast, pid: u32, stem: &str) {
    let deadline = Deadline::after(LET_GO_WITHIN);
    // As much of it as the kernel keeps.
    let name: String = format!("stop-{stem}-part").chars().take(15).collect();
    while !has_thread(pid, &name) {
        assert!(deadline.left().is_some(), "{stem} is not thrown away within {LET_GO_WITHIN:?}");
        wait_for_change(&holdfast.root().join("home"), LOOK_SOON);
    }
}

/// The parts of `input` are whole, and two.
fn assert_two_parts(session: &Path, manifest: &Value, input: &str) {
    let parts = media_parts(manifest, input);
    assert_eq!(parts.len(), 2, "{input}: {manifest:#}");
    for part in parts {
        assert_no_frame_missing(&session.join(part["file"].as_str().expect("a name")));
    }
    assert!(!gap_causes(manifest, input).is_empty(), "{input}: {manifest:#}");
}

#[test]
fn a_stalled_part_is_followed_by_the_next_and_a_stuck_worker_by_another() {
    let mut holdfast = Holdfast::new(&(test_inputs(3, "auto") + RESTART));
    begin(&mut holdfast, &INPUTS);
    let session = holdfast.session();
    let workers = INPUTS.map(|input| holdfast.worker_pid(input));
    let watch = Watch::start(holdfast.socket(), session.clone(), &INPUTS);
    // The one that has time first: taking hold of the other may take long.
    let Some(never) = hold_muxer(&holdfast, "cam2") else { return };
    let Some(soon) = hold_muxer(&holdfast, "cam1") else { return };
    let held = monotonic();
    // cam1 throws its pipelines away; then they let go.
    wait_cut(&holdfast, workers[0], "cam1");
    drop(soon);
    for input in &INPUTS[..2] {
        holdfast.wait_until("the next part", LET_GO_WITHIN, |snapshot| {
            let recording = recording(snapshot, input);
            recording["part"] == 2 && recording["state"] == "recording"
        });
        wait_more(&holdfast, input);
    }
    drop(never);
    let seen = watch.stop();
    assert_true(&seen, &INPUTS);
    for input in &INPUTS[..2] {
        let told = seen.called_after(input, "stalled", Duration::ZERO).expect("a stall is called one");
        assert!(told <= held + TOLD_WITHIN, "{input} was called stalled {:?} late", told - held);
    }
    assert_eq!(seen.slander("cam3"), None, "cam3 was not called recording throughout");
    let now = INPUTS.map(|input| holdfast.worker_pid(input));
    assert_eq!((now[0], now[2]), (workers[0], workers[2]), "only a worker that is stuck makes room");
    assert_ne!(now[1], workers[1], "a worker that is stuck makes room");
    holdfast.cli_ok(&["record", "stop"]);
    let manifest = manifest(&session);
    for input in &INPUTS[..2] {
        assert_two_parts(&session, &manifest, input);
    }
    assert_eq!(gap_causes(&manifest, "cam1"), ["recording_stalled"], "{manifest:#}");
    let untouched = media_parts(&manifest, "cam3");
    assert_eq!(untouched.len(), 1, "{manifest:#}");
    assert_exact(untouched[0], assert_no_frame_missing(&session.join("cam3.mp4")).video.samples());
}

/// Part `part` of `input` stalls for long enough that its worker throws it away, and can.
fn stall(holdfast: &Holdfast, input: &str, part: u64) -> Option<()> {
    let stem = format!("{input}.part{part}");
    let worker = holdfast.worker_pid(input);
    let held = hold_muxer_of(holdfast, input, &stem)?;
    wait_cut(holdfast, worker, &stem);
    // Long since; and until the next part is recorded.
    wait_state(holdfast, input, "stalled", TOLD_WITHIN);
    drop(held);
    Some(())
}

#[test]
fn an_input_that_stalls_again_and_again_is_quarantined_like_one_whose_worker_dies_and_can_be_retried() {
    let config = test_inputs(2, "auto").replace("\"cam1\"", "\"a\"").replace("\"cam2\"", "\"b\"");
    let mut holdfast = Holdfast::new(&(config + RESTART));
    begin(&mut holdfast, &["a", "b"]);
    let session = holdfast.session();
    let records = |holdfast: &Holdfast, part: u64| {
        holdfast.wait_until("the next part", LET_GO_WITHIN, |snapshot| {
            let recording = recording(snapshot, "a");
            recording["part"] == part && recording["state"] == "recording"
        });
    };
    // A death and two stalls in a row are three attempts.
    holdfast.signal(holdfast.worker_pid("a"), Signal::KILL);
    records(&holdfast, 2);
    let (worker, other) = (holdfast.worker_pid("a"), holdfast.worker_pid("b"));
    for part in [3, 4] {
        let Some(()) = stall(&holdfast, "a", part - 1) else { return };
        records(&holdfast, part);
    }
    assert_eq!(holdfast.worker_pid("a"), worker, "it goes on by itself");
    let Some(()) = stall(&holdfast, "a", 4) else { return };
    let quarantined = |snapshot: &Value| find_input(snapshot, "a")["state"] == "quarantined";
    let shown = holdfast.wait_until("it is given up", LET_GO_WITHIN, quarantined);
    assert_eq!(recording(&shown, "a")["state"], "failed");
    wait_state(&holdfast, "b", "recording", RECORDS_WITHIN);
    wait_alert(&holdfast, "a", "worker_gave_up", monotonic());
    assert_eq!(holdfast.worker_pid("b"), other);
    let reply = holdfast.api("POST", "/api/v1/inputs/a/retry", &[], None).expect("a retry");
    assert_eq!(reply.status, 202, "{:#}", reply.body);
    holdfast
        .wait_until("it records again", REPLACED_WITHIN, |snapshot| recording(snapshot, "a")["state"] == "recording");
    wait_more(&holdfast, "a");
    holdfast.cli_ok(&["record", "stop"]);
    let manifest = manifest(&session);
    assert!(incidents(&manifest, "a").contains(&"worker_gave_up".to_owned()), "{manifest:#}");
    let stalled = media_parts(&manifest, "a").iter().filter(|part| part["stalled"] == true).count();
    assert_eq!(stalled, 3, "{manifest:#}");
    let untouched = media_parts(&manifest, "b");
    assert_eq!(untouched.len(), 1, "{manifest:#}");
    assert_exact(untouched[0], assert_no_frame_missing(&session.join("b.mp4")).video.samples());
}

#[test]
fn without_an_engine_a_stalled_part_is_followed_by_the_next_all_the_same() {
    let mut holdfast = Holdfast::new(&(test_inputs(2, "auto") + RESTART));
    begin(&mut holdfast, &INPUTS[..2]);
    let session = holdfast.session();
    let workers = [holdfast.worker_pid("cam1"), holdfast.worker_pid("cam2")];
    let Some(held) = hold_muxer(&holdfast, "cam1") else { return };
    holdfast.engine().kill();
    wait_cut(&holdfast, workers[0], "cam1");
    drop(held);
    let deadline = Deadline::after(RECORDS_WITHIN);
    let next = session.join("cam1.part2.mp4");
    while std::fs::metadata(&next).map_or(0, |meta| meta.len()) < 100_000 {
        assert!(deadline.left().is_some(), "the worker did not begin another part by itself");
        wait_for_change(&session, Duration::from_millis(200));
    }
    holdfast.spawn_engine();
    holdfast.wait_until("both record", RECORDS_WITHIN, |snapshot| {
        INPUTS[..2].iter().all(|input| recording(snapshot, input)["state"] == "recording")
    });
    assert_eq!([holdfast.worker_pid("cam1"), holdfast.worker_pid("cam2")], workers);
    holdfast.cli_ok(&["record", "stop"]);
    let manifest = manifest(&session);
    assert_two_parts(&session, &manifest, "cam1");
    assert_eq!(gap_causes(&manifest, "cam1"), ["recording_stalled"], "{manifest:#}");
    let untouched = media_parts(&manifest, "cam2");
    assert_eq!(untouched.len(), 1, "{manifest:#}");
    assert_exact(untouched[0], assert_no_frame_missing(&session.join("cam2.mp4")).video.samples());
}

//! One timeline for all inputs and parts: the manifest says where a picture belongs, the picture says it itself.

use crate::record::{LIVE_WITHIN, RECORDS_WITHIN, REPLACED_WITHIN, start, wait_media};
use crate::support::dice::Dice;
use crate::support::evidence::{assert_no_frame_missing, assert_on_timeline, manifest, parts};
use crate::support::proc::{Holdfast, find_input, rounds, test_inputs, wait_for_change};
use crate::support::process::Deadline;
use rustix::process::Signal;
use serde_json::json;
use std::time::Duration;

const FPS: f64 = 30.0;
/// More than the header of a part, less than half a second of the test picture.
const FIRST_FRAGMENT_BYTES: u64 = 6_000;

#[test]
fn parts_of_a_worker_killed_twice_lie_where_the_burnt_in_clock_says() {
    let mut dice = Dice::for_test("two kills on one timeline");
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &["cam1", "cam2"]);
    for part in [2, 3] {
        let media = find_input(&holdfast.status(), "cam1")["recording"]["media_ms"].as_u64().expect("media");
        wait_media(&holdfast, "cam1", Duration::from_millis(media + 1000 + dice.below(2000) as u64));
        holdfast.signal(holdfast.worker_pid("cam1"), Signal::KILL);
        // The second replacement waits 5 s (R-SUP-5).
        holdfast.wait_until("the next part", REPLACED_WITHIN, |snapshot| {
            let recording = &find_input(snapshot, "cam1")["recording"];
            recording["part"] == part && recording["state"] == "recording"
        });
    }
    let media = find_input(&holdfast.status(), "cam1")["recording"]["media_ms"].as_u64().expect("media");
    wait_media(&holdfast, "cam1", Duration::from_millis(media + 1500));
    holdfast.cli_ok(&["record", "stop"]);

    let session = holdfast.session();
    let manifest = manifest(&session);
    for (input, wanted) in [("cam1", 3), ("cam2", 1)] {
        let parts = parts(&manifest, input);
        assert_eq!(parts.len(), wanted, "{input}: {manifest:#}");
        let mut end = i64::MIN;
        for part in parts {
            assert_no_frame_missing(&session.join(part["file"].as_str().expect("a name")));
            let worst = assert_on_timeline(&session, part, FPS);
            let offset = part["offset_ns"].as_i64().expect("an offset");
            assert!(offset >= end, "{input}: a part begins before the one before it ends: {manifest:#}");
            end = offset + part["duration_ns"].as_i64().expect("a duration");
            println!("{}: at most {worst:.3} frames from its place", part["file"]);
        }
    }
}

/// Regression: whoever was killed less than a tenth of a second or two behind the first fragment of a part took with it
/// where the part lies.
#[test]
fn a_part_killed_with_its_first_fragment_still_has_its_place() {
    let killed = ["mp4", "mkv"].map(|container| {
        let config = test_inputs(1, "auto") + &format!("[recording]\ncontainer = \"{container}\"\n");
        let mut holdfast = Holdfast::new(&config);
        holdfast.spawn_engine();
        holdfast.wait_live(LIVE_WITHIN);
        (0..rounds(2, 10)).filter(|_| kill_at_first_fragment(&holdfast, container)).count()
    });
    assert!(killed.iter().sum::<usize>() > 0, "no kill came behind a first fragment");
}

/// Kills a worker as soon as its part has grown; whether there was a whole fragment, which then lies in its place.
fn kill_at_first_fragment(holdfast: &Holdfast, container: &str) -> bool {
    let worker = holdfast.worker_pid("cam1");
    // The command line would wait for evidence.
    let reply = holdfast.api("POST", "/api/v1/recorder/start", &[], Some(&json!({"name": "test"}))).expect("an answer");
    assert_eq!(reply.status, 201, "{reply:?}");
    let session = holdfast.session();
    let part = session.join(format!("cam1.{container}"));
    let deadline = Deadline::after(RECORDS_WITHIN);
    while std::fs::metadata(&part).map_or(0, |meta| meta.len()) < FIRST_FRAGMENT_BYTES {
        assert!(deadline.left().is_some(), "nothing is written");
        wait_for_change(&session, Duration::from_millis(20));
    }
    holdfast.signal(worker, Signal::KILL);
    holdfast.wait_until("the next part", REPLACED_WITHIN, |snapshot| {
        let recording = &find_input(snapshot, "cam1")["recording"];
        recording["part"] == 2 && recording["state"] == "recording"
    });
    holdfast.cli_ok(&["record", "stop"]);
    let manifest = manifest(&session);
    let first = parts(&manifest, "cam1")[0];
    let whole = first["end"] == "worker_died";
    if whole {
        let worst = assert_on_timeline(&session, first, FPS);
        println!("{container}: {} ns of media, at most {worst:.3} frames from its place", first["duration_ns"]);
    }
    let forgiven = holdfast.api("POST", "/api/v1/inputs/cam1/retry", &[], None).expect("a reply");
    assert!(forgiven.status < 300, "{forgiven:?}");
    holdfast.wait_live(LIVE_WITHIN);
    whole
}

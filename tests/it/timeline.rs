//! One timeline for all inputs and parts: the manifest says where a picture belongs, the picture says it itself.

use crate::record::{LIVE_WITHIN, RECORDS_WITHIN, start, wait_media};
use crate::support::dice::Dice;
use crate::support::evidence::{assert_no_frame_missing, assert_on_timeline, manifest, parts};
use crate::support::proc::{Holdfast, find_input, test_inputs};
use rustix::process::Signal;
use std::time::Duration;

const FPS: f64 = 30.0;

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
        holdfast.wait_until("the next part", RECORDS_WITHIN + Duration::from_secs(5), |snapshot| {
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

//! Files that are removed, renamed or replaced while they are recorded (R-FM-13), and a disk that vanishes.

use super::*;
use crate::record::RECORDS_WITHIN;
use crate::support::disk::Disk;
use crate::support::evidence::{assert_no_frame_missing, manifest, parts};
use crate::support::frames::assert_consecutive;
use crate::support::proc::test_inputs;
use crate::support::truth::Watch;
use std::fs;

const INPUTS: [&str; 4] = ["cam1", "cam2", "cam3", "cam4"];

#[test]
fn a_file_that_is_removed_renamed_or_replaced_is_followed_by_the_next_part_without_a_missing_frame() {
    let mut holdfast = Holdfast::new(&test_inputs(4, "auto"));
    begin(&mut holdfast, &INPUTS);
    let session = holdfast.session();
    let watch = Watch::start(holdfast.socket(), session.clone(), &INPUTS);
    let at = monotonic();
    fs::remove_file(session.join("cam1.mp4")).expect("removed");
    fs::rename(session.join("cam2.mp4"), session.join("moved.bin")).expect("renamed");
    fs::rename(session.join("cam3.mp4"), session.join("kept.bin")).expect("renamed");
    fs::write(session.join("cam3.mp4"), "somebody else's").expect("written");
    for input in &INPUTS[..3] {
        println!("{input}: told after {:?}", wait_alert(&holdfast, input, "file_displaced", at));
        let is = alert(&holdfast, input, "file_displaced").expect("just seen");
        assert_eq!((&is["severity"], &is["params"]["file"]), (&"critical".into(), &format!("{input}.mp4").into()));
    }
    for input in &INPUTS[..3] {
        holdfast.wait_until("the next part", RECORDS_WITHIN, |snapshot| {
            let recording = recording(snapshot, input);
            recording["part"] == 2 && recording["state"] == "recording"
        });
        wait_more(&holdfast, input);
        wait_resolved(&holdfast, input, "file_displaced");
    }
    assert_true(&watch.stop(), &INPUTS);
    holdfast.cli_ok(&["record", "stop"]);

    let manifest = manifest(&session);
    for (input, old) in [("cam1", None), ("cam2", Some("moved.bin")), ("cam3", Some("kept.bin"))] {
        let [before, after] = parts(&manifest, input)[..] else { panic!("{input}: {manifest:#}") };
        assert_eq!((&before["end"], &after["end"]), (&"displaced".into(), &"completed".into()), "{manifest:#}");
        assert_eq!(gap_causes(&manifest, input), Vec::<String>::new());
        assert!(incidents(&manifest, input).contains(&"file_displaced".to_owned()), "{manifest:#}");
        let found = assert_no_frame_missing(&session.join(after["file"].as_str().expect("a name")));
        assert_exact(after, found.video.samples());
        let number = |value: &Value| value.as_i64().expect("a number");
        let (end, begin) = (number(&before["offset_ns"]) + number(&before["duration_ns"]), number(&after["offset_ns"]));
        // Sound reaches over the boundary.
        assert!((begin - end).abs() < 60_000_000, "{input}: from {end} to {begin}");
        if let Some(old) = old {
            // Named so that both demuxers know it: it is whole, wherever it is.
            let path = holdfast.root().join(format!("{input}-old.mp4"));
            fs::copy(session.join(old), &path).expect("it is there");
            assert_exact(before, assert_no_frame_missing(&path).video.samples());
            let (_, last) = assert_consecutive(&path);
            let (first, _) = assert_consecutive(&session.join(format!("{input}.part2.mp4")));
            assert_eq!(last + 1, first, "{input}: frames are missing between the parts");
        }
    }
    assert_eq!(fs::read_to_string(session.join("cam3.mp4")).expect("it is there"), "somebody else's");
    let untouched = parts(&manifest, "cam4");
    assert_eq!((untouched.len(), &untouched[0]["end"]), (1, &"completed".into()), "{manifest:#}");
    assert_exact(untouched[0], assert_no_frame_missing(&session.join("cam4.mp4")).video.samples());
}

#[test]
fn a_disk_that_vanishes_and_comes_back_costs_nothing_that_reached_it() {
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    let Some(disk) = Disk::ext4(&holdfast.library()) else { return };
    let inputs = &INPUTS[..2];
    begin(&mut holdfast, inputs);
    let session = holdfast.session();
    let watch = Watch::start(holdfast.socket(), session.clone(), inputs);
    let at = monotonic();
    disk.unplug();
    for input in inputs {
        println!("{input}: told after {:?}", wait_alert(&holdfast, input, "storage_vanished", at));
        wait_state(&holdfast, input, "stalled", TOLD_WITHIN);
    }
    disk.plug_in();
    for input in inputs {
        wait_state(&holdfast, input, "recording", RECORDS_WITHIN);
        wait_more(&holdfast, input);
        wait_resolved(&holdfast, input, "storage_vanished");
    }
    assert_true(&watch.stop(), inputs);
    holdfast.cli_ok(&["record", "stop"]);
    let manifest = manifest(&session);
    for input in inputs {
        // The next part may have been tried in the very moment the disk was back.
        let parts = media_parts(&manifest, input);
        assert!(parts.len() <= 2, "{manifest:#}");
        let mut next = None;
        for part in parts {
            let path = session.join(part["file"].as_str().expect("a name"));
            assert_exact(part, assert_no_frame_missing(&path).video.samples());
            let (first, last) = assert_consecutive(&path);
            assert_eq!(next.replace(last + 1).unwrap_or(first), first, "{input}: frames are missing between the parts");
        }
        assert_eq!(gap_causes(&manifest, input), Vec::<String>::new());
    }
    // Nothing of it is held any more.
    holdfast.engine().kill();
    drop(holdfast);
    drop(disk);
}

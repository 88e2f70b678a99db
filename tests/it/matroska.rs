//! Matroska parts from end to end: a killed worker leaves a file that is readable as it is, and recovery makes an
//! ordinary one of it (R-FM-9, R-JOB-6).

use crate::record::{LIVE_WITHIN, start, wait_safe};
use crate::support::demux;
use crate::support::evidence::{assert_no_frame_missing, manifest, parts};
use crate::support::proc::{Holdfast, test_inputs};
use holdfast::media::finalise::{self, Audited, MediaReader};
use rustix::process::Signal;
use std::fs::File;
use std::time::Duration;

#[test]
fn a_killed_matroska_part_is_readable_and_becomes_an_ordinary_file() {
    let config = test_inputs(2, "auto") + "[recording]\ncontainer = \"mkv\"\n";
    let mut holdfast = Holdfast::new(&config);
    let engine = holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &["cam1", "cam2"]);
    // A cluster that was written only is one that nobody sees.
    wait_safe(&holdfast, "cam1", Duration::from_secs(3));
    let worker = holdfast.worker_pid("cam1");
    holdfast.signal(engine, Signal::KILL);
    holdfast.signal(worker, Signal::KILL);
    let session = holdfast.session();
    let file = session.join("cam1.mkv");
    let left = [demux::ffprobe(&file), demux::gstreamer(&file)];
    for found in &left {
        assert!(found.video.samples() >= 75, "{found:?}");
    }

    holdfast.spawn_engine();
    holdfast.wait_until("it records on", Duration::from_secs(30), |snapshot| !snapshot["session"].is_null());
    holdfast.cli_ok(&["record", "stop"]);
    let manifest = manifest(&session);
    let killed = parts(&manifest, "cam1")[0];
    assert_eq!((&killed["end"], &killed["payload_blake3"]), (&"worker_died".into(), &serde_json::Value::Null));
    let found = assert_no_frame_missing(&file);
    assert_eq!(killed["frames"]["written"], found.video.samples() as u64);
    assert!(left.iter().all(|left| left.video.samples() <= found.video.samples()), "recovery lost frames");

    let whole = parts(&manifest, "cam2")[0];
    assert_eq!(whole["end"], "completed", "{manifest:#}");
    let path = session.join("cam2.mkv");
    assert_no_frame_missing(&path);
    let file = File::open(&path).expect("the part");
    let Ok(Audited::Part(audit)) = finalise::audit(&file) else { panic!("{} is not a part", path.display()) };
    let read = MediaReader::new(&file).read(Some(&audit), &mut |_| {}).expect("it reads");
    assert_eq!(whole["payload_blake3"], read.payload_blake3.as_str());
}

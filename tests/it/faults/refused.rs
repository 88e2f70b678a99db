//! A disk that refuses: its parts are lost to it, the recording goes on as soon as it takes the next (R-FM-4).

use super::*;
use crate::record::RECORDS_WITHIN;
use crate::support::disk::Disk;
use crate::support::evidence::{assert_no_frame_missing, manifest};
use crate::support::inject::Injected;
use crate::support::proc::{test_inputs, wait_for_change};
use crate::support::truth::Watch;
use rustix::process::Signal;
use std::path::PathBuf;

const INPUTS: [&str; 2] = ["cam1", "cam2"];

#[test]
fn refused_writes_cost_one_input_some_parts_and_the_others_nothing() {
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    begin(&mut holdfast, &INPUTS);
    let session = holdfast.session();
    let watch = Watch::start(holdfast.socket(), session.clone(), &INPUTS);
    let name = |part: u32| if part == 1 { "cam1.mp4".to_owned() } else { format!("cam1.part{part}.mp4") };
    let files: Vec<PathBuf> = (1..20).map(|part| session.join(name(part))).collect();
    let refused = "pwritev,pwritev2,pwrite64,openat:error=EIO";
    let Some(sick) = Injected::into_files(holdfast.worker_pid("cam1"), refused, &files) else { return };
    println!("told after {:?}", wait_alert(&holdfast, "cam1", "disk_error", monotonic()));
    wait_state(&holdfast, "cam1", "stalled", TOLD_WITHIN);
    wait_for_change(&holdfast.root().join("home"), Duration::from_secs(2));
    assert_eq!(recording(&holdfast.status(), "cam1")["state"], "stalled");
    drop(sick);
    wait_state(&holdfast, "cam1", "recording", RECORDS_WITHIN);
    wait_more(&holdfast, "cam1");
    wait_resolved(&holdfast, "cam1", "disk_error");
    let seen = watch.stop();
    assert_true(&seen, &INPUTS);
    assert_eq!(seen.slander("cam2"), None, "cam2 was not called recording throughout");
    holdfast.cli_ok(&["record", "stop"]);

    let manifest = manifest(&session);
    let parts = media_parts(&manifest, "cam1");
    assert_eq!(parts.len(), 2, "{manifest:#}");
    for part in &parts {
        let found = assert_no_frame_missing(&session.join(part["file"].as_str().expect("a name")));
        assert_eq!(part["frames"]["written"], found.video.samples() as u64, "{manifest:#}");
    }
    assert_eq!(gap_causes(&manifest, "cam1"), ["disk_error"], "{manifest:#}");
    let untouched = media_parts(&manifest, "cam2");
    assert_eq!(untouched.len(), 1, "{manifest:#}");
    assert_exact(untouched[0], assert_no_frame_missing(&session.join("cam2.mp4")).video.samples());
}

#[test]
fn a_disk_that_turns_read_only_is_named_and_what_was_safe_on_it_is_there() {
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    let Some(disk) = Disk::ext4(&holdfast.library()) else { return };
    begin(&mut holdfast, &INPUTS);
    let session = holdfast.session();
    let safe = |input: &str| recording(&holdfast.status(), input)["safe_ms"].as_u64().unwrap_or(0);
    let safe = INPUTS.map(safe);
    let watch = Watch::start(holdfast.socket(), session.clone(), &INPUTS);
    disk.break_read_only();
    for input in INPUTS {
        println!("{input}: told after {:?}", wait_alert(&holdfast, input, "disk_read_only", monotonic()));
        wait_state(&holdfast, input, "stalled", TOLD_WITHIN);
    }
    assert_true(&watch.stop(), &INPUTS);
    holdfast.cli_ok(&["record", "stop", "--no-wait"]);
    for input in INPUTS {
        holdfast.wait_until("it has ended", RECORDS_WITHIN, |snapshot| {
            ["done", "failed"].contains(&recording(snapshot, input)["state"].as_str().unwrap_or("done"))
        });
    }
    holdfast.engine().kill();
    for pid in holdfast.processes() {
        holdfast.signal(pid, Signal::KILL);
        assert!(holdfast.ended(pid, RECORDS_WITHIN), "process {pid} outlives a SIGKILL");
    }
    disk.restore();
    holdfast.spawn_engine();
    holdfast.wait_until("the session is closed", Duration::from_secs(30), |_| session.join("session.json").exists());
    for (input, safe) in INPUTS.iter().zip(safe) {
        let found = assert_no_frame_missing(&session.join(format!("{input}.mp4")));
        let media = found.video.duration() * 1000.0;
        println!("{input}: {safe} ms were safe, {media} ms are there");
        assert!(media + 100.0 >= safe as f64, "{input}: {safe} ms were called safe, {media} ms are there");
    }
}

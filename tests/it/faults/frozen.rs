//! A file system that does not answer: nothing deadlocks, nothing is cut, nothing is lost that fits the queues.

use super::*;
use crate::proof::wait_verdict;
use crate::record::RECORDS_WITHIN;
use crate::support::disk::Disk;
use crate::support::evidence::{assert_no_frame_missing, assert_sound, findings, manifest};
use crate::support::frames;
use crate::support::inject::Injected;
use crate::support::proc::{rounds, test_inputs, wait_for_change};
use crate::support::truth::Watch;
use std::path::PathBuf;

const INPUTS: [&str; 2] = ["cam1", "cam2"];
/// An order to stop is answered within this also where the engine cannot write it down (2 s are waited for that).
const ANSWERED_WITHIN: Duration = Duration::from_secs(8);

#[test]
fn what_is_recorded_while_the_disk_is_frozen_is_written_when_it_answers_and_a_stop_waits_for_it() {
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    let Some(mut disk) = Disk::ext4(&holdfast.library()) else { return };
    // The log goes to the disk that freezes: whoever waited for its lines would stand still with it.
    holdfast.log = holdfast.library().join("engine.log");
    begin(&mut holdfast, &INPUTS);
    // Nothing changes there: to wait for.
    let home = holdfast.root().join("home");
    let session = holdfast.session();
    let workers = INPUTS.map(|input| holdfast.worker_pid(input));
    let watch = Watch::start(holdfast.socket(), session.clone(), &INPUTS);
    disk.freeze();
    let at = monotonic();
    for input in INPUTS {
        println!("{input}: told after {:?}", wait_alert(&holdfast, input, "storage_frozen", at));
        wait_state(&holdfast, input, "stalled", TOLD_WITHIN);
    }
    let lasts = Duration::from_secs(u64::from(rounds(4, 20)));
    wait_for_change(&home, lasts.saturating_sub(monotonic() - at));
    assert_eq!(INPUTS.map(|input| holdfast.worker_pid(input)), workers, "a worker was replaced for its disk");
    disk.thaw();
    for input in INPUTS {
        wait_state(&holdfast, input, "recording", RECORDS_WITHIN);
        wait_more(&holdfast, input);
        wait_resolved(&holdfast, input, "storage_frozen");
    }
    assert_true(&watch.stop(), &INPUTS);

    disk.freeze();
    let at = monotonic();
    for input in INPUTS {
        wait_state(&holdfast, input, "stalled", TOLD_WITHIN);
    }
    let asked = monotonic();
    holdfast.cli_ok(&["record", "stop", "--no-wait"]);
    let answered = monotonic() - asked;
    println!("the stop was answered after {answered:?}");
    assert!(answered <= ANSWERED_WITHIN, "{answered:?}");
    // In torture longer than flush, finalise and kill would ever be waited for.
    wait_for_change(&home, Duration::from_secs(u64::from(rounds(3, 100))).saturating_sub(monotonic() - at));
    assert_eq!(INPUTS.map(|input| holdfast.worker_pid(input)), workers, "a worker was replaced for its disk");
    disk.thaw();
    holdfast.wait_until("the session is closed", Duration::from_secs(30), |snapshot| snapshot["session"].is_null());

    let manifest = manifest(&session);
    for input in INPUTS {
        let parts = media_parts(&manifest, input);
        assert_eq!((parts.len(), &parts[0]["end"]), (1, &"completed".into()), "{manifest:#}");
        assert_exact(parts[0], assert_no_frame_missing(&session.join(format!("{input}.mp4"))).video.samples());
        assert!(incidents(&manifest, input).contains(&"storage_frozen".to_owned()), "{manifest:#}");
    }
}

#[test]
fn one_file_that_is_not_answered_for_is_the_trouble_of_its_input_alone() {
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    begin(&mut holdfast, &INPUTS);
    let session = holdfast.session();
    let watch = Watch::start(holdfast.socket(), session.clone(), &INPUTS);
    let files = [session.join("cam1.mp4")];
    let late = "pwritev,pwritev2,pwrite64,fdatasync:delay_enter=20000000";
    let Some(slow) = Injected::into_files(holdfast.worker_pid("cam1"), late, &files) else { return };
    println!("told after {:?}", wait_alert(&holdfast, "cam1", "storage_frozen", monotonic()));
    wait_state(&holdfast, "cam1", "stalled", TOLD_WITHIN);
    drop(slow);
    wait_state(&holdfast, "cam1", "recording", RECORDS_WITHIN);
    wait_more(&holdfast, "cam1");
    let seen = watch.stop();
    assert_true(&seen, &INPUTS);
    assert_eq!(seen.slander("cam2"), None, "cam2 was not called recording throughout");
    holdfast.cli_ok(&["record", "stop"]);
    let manifest = manifest(&session);
    for input in INPUTS {
        let parts = media_parts(&manifest, input);
        assert_eq!(parts.len(), 1, "{manifest:#}");
        assert_exact(parts[0], assert_no_frame_missing(&session.join(format!("{input}.mp4"))).video.samples());
    }
}

/// Records cam1 while its file is not answered for, for `time`: longer than its queue, which holds 30 s. The recorder and
/// its session, stopped and proved; `None` = this cannot be done here.
fn outlast_the_queues(time: Duration, meanwhile: impl FnOnce(&Holdfast)) -> Option<(Holdfast, PathBuf)> {
    let mut holdfast = Holdfast::new(&test_inputs(1, "auto"));
    begin(&mut holdfast, &INPUTS[..1]);
    let session = holdfast.session();
    let late = "pwritev,pwritev2,pwrite64,fdatasync:delay_enter=90000000";
    let slow = Injected::into_files(holdfast.worker_pid("cam1"), late, &[session.join("cam1.mp4")])?;
    wait_alert(&holdfast, "cam1", "storage_frozen", monotonic());
    meanwhile(&holdfast);
    wait_for_change(&holdfast.root().join("home"), time);
    drop(slow);
    wait_state(&holdfast, "cam1", "recording", RECORDS_WITHIN);
    wait_more(&holdfast, "cam1");
    holdfast.cli_ok(&["record", "stop"]);
    wait_verdict(&holdfast);
    Some((holdfast, session))
}

#[test]
fn a_freeze_that_outlasts_the_queues_costs_whole_stretches_and_what_is_written_decodes() {
    for _ in 0..rounds(0, 1) {
        let Some((_holdfast, session)) = outlast_the_queues(Duration::from_secs(36), |_| {}) else { return };
        let file = session.join("cam1.mp4");
        let manifest = manifest(&session);
        let parts = media_parts(&manifest, "cam1");
        assert_eq!((parts.len(), &parts[0]["end"]), (1, &"completed".into()), "{manifest:#}");
        let frames = &parts[0]["frames"];
        println!("{frames:#}");
        let count = |name: &str| frames[name].as_u64().unwrap_or_else(|| panic!("{name} is not known: {frames:#}"));
        assert_eq!(count("written"), assert_sound(&file).video.samples() as u64, "{frames:#}");
        assert_eq!([count("encoded"), count("readable")], [count("written"); 2], "{frames:#}");
        assert!(count("dropped") > 0, "the queue held it all");
        assert_eq!(count("captured") + count("duplicated"), count("encoded") + count("dropped"), "{frames:#}");
        assert!(!findings(&manifest, "cam1").contains(&"frames_differ".to_owned()), "{manifest:#}");
        let numbers = frames::numbers(&file).expect("pictures");
        let breaks = frames::breaks(&numbers);
        println!("{breaks:?}");
        assert_eq!(numbers.len() as u64, count("written"), "not every sample is a picture");
        assert!(breaks.len() == 1 && numbers.iter().all(Option::is_some), "{breaks:?}");
    }
}

#[test]
fn what_an_old_part_loses_behind_a_split_while_its_file_is_not_answered_for_is_counted_for_neither() {
    // The old part's queue takes the pictures of the next one until its own have passed.
    for _ in 0..rounds(0, 1) {
        let split = |holdfast: &Holdfast| drop(holdfast.cli_ok(&["record", "split"]));
        let Some((_holdfast, session)) = outlast_the_queues(Duration::from_secs(40), split) else { return };
        let manifest = manifest(&session);
        let parts = media_parts(&manifest, "cam1");
        let ends: Vec<&Value> = parts.iter().map(|part| &part["end"]).collect();
        assert_eq!(ends, ["split", "completed"], "{manifest:#}");
        for part in parts {
            let frames = &part["frames"];
            println!("{frames:#}");
            let count = |name: &str| frames[name].as_u64().unwrap_or_else(|| panic!("{name} is not known: {frames:#}"));
            assert_eq!([count("encoded"), count("readable")], [count("written"); 2], "{frames:#}");
            assert_eq!(count("captured") + count("duplicated"), count("encoded") + count("dropped"), "{frames:#}");
            assert_eq!(count("dropped") > 0, part["end"] == "split", "{frames:#}");
        }
        assert!(!findings(&manifest, "cam1").contains(&"frames_differ".to_owned()), "{manifest:#}");
    }
}

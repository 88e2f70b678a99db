//! The power goes while the real program records: what is on the disk is readable as it is, little is lost, the next
//! start closes the session, and what it says of the loss is true (R-FM-9, R-FM-11).

use crate::record::{LIVE_WITHIN, RECORDS_WITHIN, start, wait_media};
use crate::support::dice::Dice;
use crate::support::disk::Disk;
use crate::support::evidence::{assert_no_frame_missing, manifest, parts, plan};
use crate::support::loss::{TRUE_TO, alert, assert_no_pulse, end_of, monotonic, stated};
use crate::support::power::SyncWatch;
use crate::support::proc::{Holdfast, rounds, test_inputs, wait_for_change};
use crate::support::{demux, frames};
use rustix::process::Signal;
use std::path::Path;
use std::time::Duration;

const INPUTS: [&str; 2] = ["cam1", "cam2"];
/// Pictures per second of every input.
const FPS: f64 = 30.0;
/// Something is written at least this often.
const FRAGMENT: Duration = Duration::from_millis(500);
/// R-FM-9.
const WORST_LOSS: Duration = Duration::from_secs(2);
#[test]
fn a_power_cut_costs_little_and_the_next_start_says_how_much() {
    let mut dice = Dice::for_test("power cuts");
    let (mut worst, mut least_true) = (Duration::ZERO, Duration::ZERO);
    let first = u32::from(dice.coin());
    for round in 0..rounds(3, 20) {
        let container = if (round + first).is_multiple_of(2) { "mp4" } else { "mkv" };
        let config = test_inputs(2, "auto") + &format!("[recording]\ncontainer = \"{container}\"\n");
        let mut holdfast = Holdfast::new(&config);
        let Some(disk) = Disk::ext4(&holdfast.library()) else { return };
        holdfast.spawn_engine();
        holdfast.wait_live(LIVE_WITHIN);
        start(&holdfast, &INPUTS);
        let syncs = SyncWatch::start(&holdfast.library());
        wait_media(&holdfast, "cam2", Duration::from_millis(1500 + dice.below(4000) as u64));
        // Somewhere within a fragment: the counters alone would always hit the same place of it.
        for _ in 0..dice.below(60) {
            holdfast.status();
        }
        let engine_dead = dice.coin();
        if engine_dead {
            // Only the workers live to see when the power goes.
            holdfast.engine().kill();
            holdfast.engine().wait(RECORDS_WITHIN);
            (0..4).for_each(|_| wait_for_change(&holdfast.session(), FRAGMENT));
            // Nothing changes there: a moment of chance within a fragment.
            wait_for_change(&holdfast.root().join("home"), Duration::from_millis(1 + dice.below(500) as u64));
        }
        // The call first stops the file system, then waits for a write of its own: the cut lies somewhere between.
        let before_cut = monotonic();
        disk.cut();
        let cut_at = monotonic();
        let slow = syncs.slowest();
        // The engine first: it would start new workers in the place of those that die.
        holdfast.engine().kill();
        holdfast.engine().wait(RECORDS_WITHIN);
        for pid in holdfast.processes() {
            holdfast.signal(pid, Signal::KILL);
            assert!(holdfast.ended(pid, RECORDS_WITHIN), "process {pid} outlives a SIGKILL");
        }
        disk.restore();

        let session = holdfast.session();
        let file = |input: &str| session.join(format!("{input}.{container}"));
        let before: Vec<usize> = INPUTS.iter().map(|input| readable(&file(input), cut_at)).collect();
        let date = |input: &&str| std::fs::metadata(file(input)).and_then(|meta| meta.modified()).expect("a part");
        let dates: Vec<_> = INPUTS.iter().map(date).collect();

        holdfast.spawn_engine();
        holdfast.wait_until("the session is recovered", Duration::from_secs(30), |snapshot| {
            snapshot["session"].is_null() && snapshot["last_session"]["state"] == "recovered"
        });
        let alert = alert(&holdfast);
        let found = manifest(&session);
        assert_eq!(INPUTS.iter().map(date).collect::<Vec<_>>(), dates, "the time of the last write is evidence");
        for (input, before) in INPUTS.iter().zip(before) {
            let part = parts(&found, input)[0];
            assert_eq!(part["end"], "worker_died", "{found:#}");
            let sound = assert_no_frame_missing(&file(input));
            assert!(sound.video.samples() >= before, "{input}: recovery lost pictures that were readable");
            assert_eq!(part["frames"]["written"], sound.video.samples() as u64, "{part:#}");
            let end = end_of(&file(input));
            let (least, lost) = (before_cut.saturating_sub(end), cut_at.saturating_sub(end));
            let placed = placed_end(&session, part);
            let (early, late) = (end.saturating_sub(placed), placed.saturating_sub(end));
            println!("{input}: the manifest ends it {early:?} before or {late:?} behind its last picture");
            let stated = stated(&alert, &found, input);
            let off = stated.abs_diff(stated.clamp(least, lost));
            let alone = if engine_dead { ", no engine" } else { "" };
            println!(
                "round {round}, {container}{alone}: {input} lost {least:?} to {lost:?}, stated {stated:?}; a sync came {slow:?} late"
            );
            (worst, least_true) = (worst.max(lost), least_true.max(off));
            assert!(lost <= WORST_LOSS, "{input} lost {lost:?}");
            assert!(off <= TRUE_TO + slow, "{input} lost {lost:?}, but {stated:?} was stated");
        }
        assert_no_pulse(&session);
    }
    println!("worst loss {worst:?}; stated at worst {least_true:?} off");
}

/// Where the manifest says that `part` ends, on the clock of the pictures.
fn placed_end(session: &Path, part: &serde_json::Value) -> Duration {
    let number = |value: &serde_json::Value| value.as_u64().expect("a number");
    let start = number(&plan(session)["start_at_ns"]);
    Duration::from_nanos(start + number(&part["offset_ns"]) + number(&part["duration_ns"]))
}

/// Reads `file` as the power cut left it, with both demuxers; the pictures both find.
fn readable(file: &Path, cut_at: Duration) -> usize {
    let found = [demux::ffprobe(file), demux::gstreamer(file)];
    let pictures = found.iter().map(|found| found.video.samples()).min().unwrap_or(0);
    assert!(found.iter().all(|found| found.audio.samples() > 0), "{}: no sound: {found:?}", file.display());
    let first = frames::numbers(file).unwrap_or_else(|error| panic!("{error}"))[0].expect("a number");
    let end = Duration::from_secs_f64((f64::from(first) + pictures as f64) / FPS);
    let lost = cut_at.saturating_sub(end);
    assert!(lost <= WORST_LOSS, "{}: {lost:?} are not readable without repair", file.display());
    pictures
}

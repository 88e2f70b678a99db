//! Processes die at random moments; only what they held is lost (R-SUP-1, R-SUP-2, R-SUP-3).

use crate::record::{LIVE_WITHIN, RECORDS_WITHIN, REPLACED_WITHIN, start, wait_media};
use crate::support::dice::Dice;
use crate::support::evidence::{assert_no_frame_missing, manifest, parts, plan};
use crate::support::loss::{self, TRUE_TO, assert_no_pulse, end_of, monotonic};
use crate::support::proc::{Holdfast, find_input, rounds, test_inputs};
use crate::support::{frames, media_file};
use rustix::process::Signal;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

const INPUTS: [&str; 4] = ["cam1", "cam2", "cam3", "cam4"];
/// Media that a kill may cost before it (0.5 s fragment + queue).
const LOSS_BEFORE_KILL: Duration = Duration::from_millis(1000);
/// From a kill to the first frame of the next part.
const NEXT_PART_WITHIN: Duration = Duration::from_secs(2);
/// The test's own reading of the clock around a kill, and a beat that came late to a busy machine.
const CLOCK_SLACK: Duration = Duration::from_millis(50);

/// Two inputs with silence (all samples alike), two with noise (PEERS #21).
fn silent_and_noisy() -> String {
    let quiet = test_inputs(4, "silence");
    let (head, tail) = quiet.split_once("id = \"cam3\"").expect("four inputs");
    format!("{head}id = \"cam3\"{}", tail.replace("audio = \"silence\"", "audio = \"noise\""))
}

/// A moment between 1.0 s and 4.0 s of media.
fn random_moment(dice: &mut Dice) -> Duration {
    Duration::from_millis(1000 + dice.below(3000) as u64)
}

#[test]
fn a_killed_worker_costs_its_input_a_second_and_the_others_nothing() {
    let mut dice = Dice::for_test("kill a worker");
    let mut holdfast = Holdfast::new(&silent_and_noisy());
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    let mut worst = (Duration::ZERO, Duration::ZERO);
    for round in 1..=rounds(2, 50) {
        start(&holdfast, &INPUTS);
        let victim = INPUTS[dice.below(INPUTS.len())];
        wait_media(&holdfast, victim, random_moment(&mut dice));
        let pid = holdfast.worker_pid(victim);
        holdfast.signal(pid, Signal::KILL);
        let killed_at = monotonic();
        holdfast.wait_until("the next part", REPLACED_WITHIN, |snapshot| {
            let recording = &find_input(snapshot, victim)["recording"];
            recording["part"] == 2 && recording["state"] == "recording"
        });
        for input in INPUTS {
            let media = find_input(&holdfast.status(), input)["recording"]["media_ms"].as_u64().unwrap_or(0);
            wait_media(&holdfast, input, Duration::from_millis(media + 700));
        }
        holdfast.cli_ok(&["record", "stop"]);
        let (lost, paused) = check_kill(&holdfast.session(), victim, killed_at);
        println!("round {round}: {victim} lost {lost:?} before the kill, part 2 began {paused:?} after it");
        worst = (worst.0.max(lost), worst.1.max(paused));
        // An operator's Retry: deaths without 60 s of media in between would end in quarantine, as they should.
        let path = format!("/api/v1/inputs/{victim}/retry");
        let forgiven = holdfast.api("POST", &path, &[], None).expect("a reply");
        assert!(forgiven.status < 300, "{forgiven:?}");
        holdfast.wait_live(LIVE_WITHIN);
    }
    println!("worst: {:?} lost before the kill, {:?} until the next part", worst.0, worst.1);
}

/// Checks all files of a session in which `victim` was killed; what that cost before and after the kill.
fn check_kill(session: &Path, victim: &str, killed_at: Duration) -> (Duration, Duration) {
    let manifest = manifest(session);
    let started_at = Duration::from_nanos(plan(session)["start_at_ns"].as_u64().expect("an origin"));
    let killed = killed_at - started_at;
    for input in INPUTS {
        let parts = parts(&manifest, input);
        let wanted = if input == victim { 2 } else { 1 };
        assert_eq!(parts.len(), wanted, "{input}: {manifest:#}");
        for part in &parts {
            assert_no_frame_missing(&session.join(part["file"].as_str().expect("a name")));
        }
    }
    let parts = parts(&manifest, victim);
    assert_eq!(parts[0]["end"], "worker_died", "{manifest:#}");
    let ns = |value: &Value| Duration::from_nanos(value.as_u64().expect("a time"));
    // A start that came late cost nothing before the kill.
    let end = ns(&parts[0]["offset_ns"]) + ns(&parts[0]["duration_ns"]);
    let lost = killed.saturating_sub(end);
    assert!(lost <= LOSS_BEFORE_KILL + CLOCK_SLACK, "{victim} lost {lost:?} before the kill: {manifest:#}");
    let next = ns(&parts[1]["offset_ns"]);
    let paused = next.saturating_sub(killed);
    assert!(next >= end, "part 2 begins before part 1 ends: {manifest:#}");
    assert!(paused <= NEXT_PART_WITHIN, "{victim} paused for {paused:?}: {manifest:#}");
    let journal = std::fs::read_to_string(session.join("journal.jsonl")).expect("a journal");
    assert!(journal.contains("worker_lost"), "the loss is not in the journal:\n{journal}");
    (lost, paused)
}

#[test]
fn everything_killed_at_once_is_recovered_at_the_next_start() {
    let mut holdfast = Holdfast::new(&silent_and_noisy());
    let engine = holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &INPUTS);
    wait_media(&holdfast, "cam3", Duration::from_secs(3));
    let workers: Vec<u32> = INPUTS.iter().map(|input| holdfast.worker_pid(input)).collect();
    // Each signal first looks whom it meets: they lie milliseconds apart, more on a busy machine.
    let before_kill = monotonic();
    holdfast.signal(engine, Signal::KILL);
    for worker in workers {
        holdfast.signal(worker, Signal::KILL);
    }
    let killed_at = monotonic();
    holdfast.engine().wait(RECORDS_WITHIN);
    let session = holdfast.session();
    let lost: Vec<usize> = INPUTS.iter().map(|input| frames_of(&session, input)).collect();

    holdfast.spawn_engine();
    holdfast.wait_until("the session is recovered", Duration::from_secs(30), |snapshot| {
        snapshot["session"].is_null() && snapshot["last_session"]["state"] == "recovered"
    });
    let found = manifest(&session);
    assert_eq!(found["state"], "recovered");
    let alert = loss::alert(&holdfast);
    assert_no_pulse(&session);
    for (input, before) in INPUTS.iter().zip(lost) {
        let parts = parts(&found, input);
        assert_eq!(parts[0]["end"], "worker_died", "{found:#}");
        let sound = assert_no_frame_missing(&session.join(parts[0]["file"].as_str().expect("a name")));
        assert!(sound.video.samples() >= before, "recovery lost frames of {input}");
        assert!(sound.video.samples() >= 60, "{input}: {}", sound.video.samples());
        let end = end_of(&session.join(format!("{input}.mp4")));
        let (least, lost) = (before_kill.saturating_sub(end), killed_at.saturating_sub(end));
        let stated = loss::stated(&alert, &found, input);
        println!("{input} lost {least:?} to {lost:?}, stated {stated:?}");
        let off = stated.abs_diff(stated.clamp(least, lost));
        assert!(off <= TRUE_TO + CLOCK_SLACK, "{input} lost {least:?} to {lost:?}, {stated:?} was stated");
        let meta = std::fs::metadata(session.join(format!("{input}.mp4"))).expect("the part");
        let blocks = std::os::unix::fs::MetadataExt::blocks(&meta) * 512;
        assert!(blocks <= meta.len() + 64 * 1024, "{input}: {blocks} bytes stay reserved for {}", meta.len());
    }
    let text = std::fs::read(session.join("session.json")).expect("a manifest");
    // A second run changes nothing.
    let engine = holdfast.engine().pid();
    holdfast.signal(engine, Signal::TERM);
    assert!(holdfast.engine().wait(RECORDS_WITHIN).is_some(), "the engine does not leave");
    let again = holdfast.cli(&["recover"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(std::fs::read(session.join("session.json")).expect("a manifest"), text);
    // And recording goes on as if nothing had been.
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &INPUTS);
    holdfast.cli_ok(&["record", "stop"]);
    assert_eq!(holdfast.sessions().len(), 2);
}

/// Regression: the time in which there was no camera counted as lost with the worker that died before it.
#[test]
fn what_a_replacement_could_not_record_is_a_gap_with_its_cause_and_the_rest_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let (film, away) = (folder.path().join("film.mp4"), folder.path().join("away.mp4"));
    media_file::camera(&film, 60);
    let input = format!("[[input]]\nid = \"film\"\nname = \"Film\"\nkind = \"file\"\npath = \"{}\"\n", film.display());
    let mut holdfast = Holdfast::new(&input);
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &["film"]);
    wait_media(&holdfast, "film", Duration::from_secs(2));
    std::fs::rename(&film, &away).expect("moved away");
    // The first replacement tells what it finds, and dies as well; the second comes 5 s behind it (R-SUP-5).
    let outages = || {
        let facts = std::fs::read_to_string(holdfast.session().join("film.facts.jsonl")).expect("facts");
        facts.lines().filter(|line| line.contains("\"source_unreachable\"")).count()
    };
    for death in 0..2 {
        holdfast.signal(holdfast.worker_pid("film"), Signal::KILL);
        let found = |_: &Value| outages() > death;
        holdfast.wait_until("a replacement finds nothing", REPLACED_WITHIN, found);
    }
    std::fs::rename(&away, &film).expect("back again");
    holdfast.wait_until("the next part", 2 * RECORDS_WITHIN, |snapshot| {
        let recording = &find_input(snapshot, "film")["recording"];
        recording["part"] == 2 && recording["state"] == "recording"
    });
    holdfast.cli_ok(&["record", "stop"]);

    let manifest = manifest(&holdfast.session());
    let [first, next] = parts(&manifest, "film")[..] else { panic!("two parts: {manifest:#}") };
    let ns = |value: &Value| value.as_i64().expect("a number");
    let without = ns(&next["offset_ns"]) - ns(&first["offset_ns"]) - ns(&first["duration_ns"]);
    let gaps = [first, next].into_iter().flat_map(|part| part["gaps"].as_array().expect("gaps"));
    let dark =
        gaps.filter(|gap| gap["cause"] == "source_unreachable").map(|gap| ns(&gap["to_ns"]) - ns(&gap["from_ns"]));
    let dark: i64 = dark.sum();
    let lost = ns(&first["lost"]["ms"]) * 1_000_000;
    println!("{without} ns without media, {dark} of them without a signal; stated as lost: {lost}");
    assert!(dark > 0, "{manifest:#}");
    // Nobody looked for the film between two replacements: it may have been there.
    assert!(lost >= 4_000_000_000, "the second replacement came 5 s behind the first: {manifest:#}");
    let off = (without - dark - lost).abs();
    assert!(off <= 200_000_000, "what is no gap of the signal is lost: {off} ns: {manifest:#}");
    assert_eq!(first["lost"]["within_ms"], Value::Null, "nobody knows when the signal went: {manifest:#}");
}

/// Pictures that can be read of a part before anybody repaired it.
fn frames_of(session: &Path, input: &str) -> usize {
    frames::numbers(&session.join(format!("{input}.mp4"))).expect("pictures").len()
}

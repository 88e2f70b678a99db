//! One file after the other without a gap: by command, by size, around a worker that dies (R-JOB-5, R-JOB-7).

use crate::record::{LIVE_WITHIN, start, wait_media};
use crate::support::evidence::{assert_on_timeline, assert_sound, manifest, parts, plan};
use crate::support::frames;
use crate::support::proc::{Holdfast, find_input, rounds, test_inputs};
use crate::support::tone::{Sound, apart_degrees};
use holdfast::sys::clock::mono_now;
use rustix::process::Signal;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// How far the tone may jump where one part ends and the next begins. A part begins with a picture, whose time lies
/// between two samples: each part's sound is placed to half a sample (10 µs), so two parts may differ by a whole one,
/// which is 3.3° at 440 Hz and 5.8° at 770 Hz. What is lost or doubled comes in packets of 1024 samples.
fn phase_jump_degrees(hertz: f64) -> f64 {
    360.0 * hertz / 48_000.0 + MEASURED_DEGREES
}
/// What the measurement itself is off by, with what AAC does to a steady tone. Measured below 0.3°.
const MEASURED_DEGREES: f64 = 1.0;
/// Sound over which a phase is measured, and how far it keeps from both ends of a file.
const WINDOW_S: f64 = 0.3;
/// A keyframe comes with the next frame that is encoded; the file before it costs two syncs of a busy disk.
const SPLITS_WITHIN: Duration = Duration::from_secs(10);
/// Media behind the news of a part, after which it is split if somebody asks: the split lies half a second ahead, where the
/// part must be older than a group of pictures (1 s).
const OLD_ENOUGH: Duration = Duration::from_secs(1);

/// The tone of a test input (DESIGN §4): 440 + 110·n Hz.
fn tone_hz(input: &str) -> f64 {
    440.0 + 110.0 * (input.trim_start_matches("cam").parse::<f64>().expect("a number") - 1.0)
}

fn split(holdfast: &Holdfast) -> Value {
    let reply = holdfast.api("POST", "/api/v1/recorder/split", &[], None).expect("an answer");
    assert_eq!(reply.status, 202, "{:#}", reply.body);
    reply.body
}

fn wait_part(holdfast: &Holdfast, inputs: &[&str], part: u64) {
    holdfast.wait_until(&format!("part {part} of every input"), SPLITS_WITHIN, |snapshot| {
        inputs.iter().all(|input| find_input(snapshot, input)["recording"]["part"].as_u64() >= Some(part))
    });
}

/// Media of `input` in its files, as far as the engine knows.
fn media(holdfast: &Holdfast, input: &str) -> Duration {
    let media = find_input(&holdfast.status(), input)["recording"]["media_ms"].as_u64();
    Duration::from_millis(media.unwrap_or_else(|| panic!("{input} does not record")))
}

/// Waits until each of `inputs` has `more` media than it has now.
fn wait_more(holdfast: &Holdfast, inputs: &[&str], more: Duration) {
    let wanted: Vec<Duration> = inputs.iter().map(|input| media(holdfast, input) + more).collect();
    for (input, wanted) in inputs.iter().zip(wanted) {
        wait_media(holdfast, input, wanted);
    }
}

/// Everything that must hold of the parts of one input that follow each other without a gap: pictures and their numbers,
/// places on the timeline, sound over every boundary, counters. Returns first and last picture.
fn assert_seamless(session: &Path, parts: &[&Value], input: &str) -> (u32, u32) {
    let mut ends: Option<(u32, f64, f64)> = None;
    let mut first_of_all = None;
    for part in parts {
        let file = session.join(part["file"].as_str().expect("a name"));
        let found = assert_sound(&file);
        let (first, last) = frames::assert_consecutive(&file);
        assert_eq!((last - first + 1) as usize, found.video.samples(), "{}", file.display());
        let off = assert_on_timeline(session, part, 30.0);
        let offset = part["offset_ns"].as_f64().expect("an offset") / 1e9;
        let counted = &part["frames"];
        let number = |name: &str| counted[name].as_u64().unwrap_or_else(|| panic!("{name}: {part:#}"));
        assert_eq!(number("written"), found.video.samples() as u64, "{part:#}");
        assert_eq!(number("captured") + number("duplicated"), number("encoded") + number("dropped"), "{part:#}");
        assert_eq!((number("dropped"), number("encoded")), (0, number("written")), "{part:#}");

        let (sound, hertz) = (Sound::decode(&file).expect("sound"), tone_hz(input));
        let length = sound.length();
        assert!(length > 2.0 * WINDOW_S, "{}: {length} s of sound", file.display());
        // The phase the tone would have at session time 0: the same in every part, if nothing is missing or moved.
        let placed = |(phase, amplitude): (f64, f64)| {
            assert!(amplitude > 1000.0, "{}: the tone is missing", file.display());
            (phase - hertz * offset).rem_euclid(1.0)
        };
        let head = placed(sound.phase(hertz, 0.0, WINDOW_S));
        let tail = placed(sound.phase(hertz, length - WINDOW_S - 0.03, length - 0.03));
        let jump = ends.map_or(0.0, |(.., before)| apart_degrees(before, head));
        println!("{}: {first}…{last}, {off:.2} frames off, jump {jump:.2}°", file.display());
        assert!(jump <= phase_jump_degrees(hertz), "{}: the tone jumps by {jump:.1}°", file.display());
        if let Some((before, end, _)) = ends {
            assert_eq!(first, before + 1, "{}: pictures missing or doubled at the boundary", file.display());
            assert!(
                (offset - end).abs() < 0.001,
                "{}: begins at {offset}, the one before ends at {end}",
                file.display()
            );
        }
        first_of_all.get_or_insert(first);
        ends = Some((last, offset + found.video.end(), tail));
    }
    (first_of_all.expect("a part"), ends.expect("a part").0)
}

#[test]
fn split_every_two_seconds_loses_and_doubles_nothing() {
    let inputs = ["cam1", "cam2", "cam3", "cam4"];
    let boundaries = u64::from(rounds(3, 29));
    let mut holdfast = Holdfast::new(&test_inputs(4, "auto"));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &inputs);
    for boundary in 1..=boundaries {
        // Every two seconds, on a machine that is as quick.
        let old_enough = media(&holdfast, "cam1") + OLD_ENOUGH;
        wait_media(&holdfast, "cam1", old_enough.max(Duration::from_secs(2 * boundary)));
        split(&holdfast);
        wait_part(&holdfast, &inputs, boundary + 1);
    }
    wait_more(&holdfast, &inputs, Duration::from_secs(2));
    holdfast.cli_ok(&["record", "stop"]);

    let session = holdfast.session();
    let manifest = manifest(&session);
    assert_eq!(manifest["state"], "completed");
    let mut begins: Vec<Vec<f64>> = Vec::new();
    for input in inputs {
        let parts = parts(&manifest, input);
        assert_eq!(parts.len() as u64, boundaries + 1, "{manifest:#}");
        let (last, before) = parts.split_last().expect("parts");
        assert!(before.iter().all(|part| part["end"] == "split"), "{manifest:#}");
        assert_eq!(last["end"], "completed");
        assert_seamless(&session, &parts, input);
        begins.push(parts.iter().map(|part| part["offset_ns"].as_f64().expect("an offset")).collect());
    }
    // One instant for all, each at its first frame at or after it.
    for part in 0..begins[0].len() {
        let at = begins.iter().map(|begins| begins[part]);
        let apart = at.clone().fold(0.0, f64::max) - at.fold(f64::MAX, f64::min);
        assert!(apart <= 34e6, "part {}: inputs begin {apart} ns apart", part + 1);
    }
}

#[test]
fn a_part_that_reaches_its_size_is_followed_by_the_next() {
    let limit = 1_000_000u64;
    let config = format!("[recording]\nsplit_bytes = {limit}\n{}", test_inputs(1, "auto"));
    let mut holdfast = Holdfast::new(&config);
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &["cam1"]);
    holdfast.wait_until("three parts by size", Duration::from_secs(120), |snapshot| {
        find_input(snapshot, "cam1")["recording"]["part"].as_u64() >= Some(3)
    });
    wait_more(&holdfast, &["cam1"], Duration::from_secs(2));
    holdfast.cli_ok(&["record", "stop"]);
    let session = holdfast.session();
    let manifest = manifest(&session);
    let parts = parts(&manifest, "cam1");
    assert_seamless(&session, &parts, "cam1");
    for part in &parts[..2] {
        let bytes = part["bytes"].as_u64().expect("bytes");
        assert_eq!(part["end"], "split");
        assert!(bytes <= limit && bytes > limit / 2, "{part:#}");
    }
}

#[test]
fn a_split_around_a_dead_worker_keeps_numbers_and_places() {
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &["cam1", "cam2"]);
    let nothing = holdfast.api(
        "POST",
        "/api/v1/recorder/split",
        &[],
        Some(&serde_json::json!({
            "session_id": "01934f5e-0000-7000-8000-000000007f3a"
        })),
    );
    assert_eq!(nothing.expect("an answer").status, 400, "another session is not split");
    wait_media(&holdfast, "cam1", Duration::from_secs(2));
    wait_media(&holdfast, "cam2", Duration::from_secs(2));
    // Twice within a group of pictures is once.
    holdfast.cli_ok(&["record", "split", "--json"]);
    split(&holdfast);
    wait_part(&holdfast, &["cam1", "cam2"], 2);
    wait_more(&holdfast, &["cam1"], Duration::from_millis(2500));
    holdfast.signal(holdfast.worker_pid("cam1"), Signal::KILL);
    wait_part(&holdfast, &["cam1"], 3);
    wait_media(&holdfast, "cam2", Duration::from_secs(10));
    holdfast.wait_until("both record", SPLITS_WITHIN, |snapshot| {
        ["cam1", "cam2"].iter().all(|input| find_input(snapshot, input)["recording"]["state"] == "recording")
    });
    wait_more(&holdfast, &["cam1", "cam2"], OLD_ENOUGH);
    split(&holdfast);
    wait_part(&holdfast, &["cam1"], 4);
    wait_part(&holdfast, &["cam2"], 3);
    wait_more(&holdfast, &["cam1", "cam2"], Duration::from_secs(2));
    holdfast.cli_ok(&["record", "stop"]);

    let session = holdfast.session();
    let manifest = manifest(&session);
    let killed = parts(&manifest, "cam1");
    let ends: Vec<&Value> = killed.iter().map(|part| &part["end"]).collect();
    assert_eq!(ends, ["split", "worker_died", "split", "completed"], "{manifest:#}");
    assert_seamless(&session, &killed[2..], "cam1");
    for part in &killed {
        assert_on_timeline(&session, part, 30.0);
    }
    let whole = parts(&manifest, "cam2");
    assert_eq!(whole.len(), 3, "{manifest:#}");
    assert_seamless(&session, &whole, "cam2");
}

/// The keyframe of a split comes 200 ms after its file is there; a stop falls before, upon and behind it, and no picture
/// may be in no file.
#[test]
fn a_stop_right_behind_a_split_keeps_every_picture_up_to_the_last() {
    const ROUNDS: u32 = 10;
    let mut holdfast = Holdfast::new(&test_inputs(1, "auto"));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    let mut split_in = 0;
    for round in 0..rounds(ROUNDS / 2, 10 * ROUNDS) {
        start(&holdfast, &["cam1"]);
        wait_media(&holdfast, "cam1", Duration::from_secs(2));
        let known = holdfast.media(&holdfast.session()).len();
        split(&holdfast);
        holdfast.wait_until("the next file", SPLITS_WITHIN, |_| holdfast.media(&holdfast.session()).len() > known);
        let later = mono_now().plus(Duration::from_millis(150 + 20 * u64::from(round % (ROUNDS / 2))));
        while mono_now() < later {
            holdfast.status();
        }
        let stopped = mono_now();
        holdfast.cli_ok(&["record", "stop"]);

        let session = holdfast.session();
        let manifest = manifest(&session);
        let began = plan(&session)["start_at_ns"].as_u64().expect("a start");
        let whole: Vec<&Value> = parts(&manifest, "cam1").into_iter().filter(|part| part["end"] != "empty").collect();
        split_in += whole.len() - 1;
        let mut before = None;
        let mut end_ns = began;
        for part in whole {
            let counted = &part["frames"];
            assert_eq!((&counted["dropped"], &counted["written"]), (&0.into(), &counted["encoded"]), "{manifest:#}");
            let (first, last) = frames::assert_consecutive(&session.join(part["file"].as_str().expect("a name")));
            assert!(before.is_none_or(|before| first == before + 1), "{before:?}, then {first}: {manifest:#}");
            before = Some(last);
            let offset = part["offset_ns"].as_u64().expect("an offset");
            end_ns = began + offset + part["duration_ns"].as_u64().expect("a length");
        }
        // The last picture before the stop ends less than a period before it.
        let missing = Duration::from_nanos(stopped.0.saturating_sub(end_ns));
        println!("round {round}: {missing:?} before the stop");
        assert!(missing < Duration::from_millis(40), "{missing:?} before the stop are missing: {manifest:#}");
    }
    println!("{split_in} of the splits came about");
}

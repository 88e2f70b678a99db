//! What every recording test checks of a finished session.

use super::demux::{self, Found};
use super::frames;
use serde_json::Value;
use std::path::Path;

/// `session.json` of `session`.
pub fn manifest(session: &Path) -> Value {
    let path = session.join("session.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("a manifest")
}

/// The parts of `input` in a manifest.
pub fn parts<'a>(manifest: &'a Value, input: &str) -> Vec<&'a Value> {
    let inputs = manifest["inputs"].as_array().into_iter().flatten();
    let found = inputs.into_iter().find(|entry| entry["id"] == input);
    let parts = found.and_then(|entry| entry["parts"].as_array());
    parts.unwrap_or_else(|| panic!("{input} is not in {manifest:#}")).iter().collect()
}

/// What the proof found of `input`, by code.
pub fn findings(manifest: &Value, input: &str) -> Vec<String> {
    let inputs = manifest["inputs"].as_array().into_iter().flatten();
    let found = inputs.into_iter().find(|entry| entry["id"] == input).map(|entry| &entry["findings"]);
    let found = found.and_then(Value::as_array).into_iter().flatten();
    found.filter_map(|finding| Some(finding["code"].as_str()?.to_owned())).collect()
}

/// What a start may come late on the busiest machine the tests run on; later is a fault of ours.
const LATE_AT_MOST: u64 = 1_000_000_000;

/// Whether `input` began late, by a second at most, and nothing else is amiss with it.
pub fn lost_at_the_start(manifest: &Value, input: &str) -> bool {
    let parts = parts(manifest, input);
    let mut gaps = parts.iter().filter_map(|part| part["gaps"].as_array()).flatten().peekable();
    let is_late =
        |gap: &Value| gap["cause"] == "late_start" && gap["to_ns"].as_u64().is_some_and(|to| to <= LATE_AT_MOST);
    let late = gaps.peek().is_some() && gaps.all(is_late);
    late && findings(manifest, input).iter().all(|code| code == "gap")
}

/// The verdict on `inputs` where nothing goes wrong. On a machine under full load plan and files may take longer than a
/// start looks ahead: what is lost by that is a gap, and said.
pub fn clean_verdict(manifest: &Value, inputs: &[&str]) -> &'static str {
    if inputs.iter().any(|input| lost_at_the_start(manifest, input)) { "warning" } else { "ok" }
}

/// The plan: line 1 of the journal.
pub fn plan(session: &Path) -> Value {
    let journal = std::fs::read_to_string(session.join("journal.jsonl")).expect("a journal");
    serde_json::from_str(journal.lines().next().expect("a plan")).expect("a plan")
}

/// Reads a finalised part with both demuxers: no complaint, rising times, the same samples, an MP4 an
/// ordinary one.
pub fn assert_sound(path: &Path) -> Found {
    let what = path.display().to_string();
    if path.extension().is_some_and(|name| name == "mp4") {
        let bytes = std::fs::read(path).expect("a part");
        assert_eq!(demux::top_level_boxes(&bytes), ["ftyp", "mdat", "moov"], "{what}");
    }
    let (probed, demuxed) = (demux::ffprobe(path), demux::gstreamer(path));
    for found in [&probed, &demuxed] {
        assert_eq!(found.complaints, Vec::<String>::new(), "{what}");
        found.video.assert_monotonic(&what);
        found.audio.assert_monotonic(&what);
    }
    assert_eq!(probed.video.samples(), demuxed.video.samples(), "{what}: the demuxers disagree");
    assert_eq!(probed.audio.samples(), demuxed.audio.samples(), "{what}: the demuxers disagree");
    assert!(probed.video.samples() > 0, "{what}: no pictures");
    probed
}

/// The same, and every picture carries the number after the one before (no frame missing, none twice).
pub fn assert_no_frame_missing(path: &Path) -> Found {
    let found = assert_sound(path);
    let (first, last) = frames::assert_consecutive(path);
    assert_eq!((last - first + 1) as usize, found.video.samples(), "{}: pictures not decoded", path.display());
    found
}

/// A picture that stands in for one its source dropped lies a whole frame from its place, and times in a file are
/// rounded to the ticks of its track, 11 µs and less.
const ROUNDING_FRAMES: f64 = 0.001;

/// How far the pictures of a part lie from where the manifest puts them: the number burnt into a picture is the frame
/// of CLOCK_MONOTONIC it was made in (DESIGN §2), its session time is `offset_ns` + its time in the file (R-JOB-5).
/// Panics when one is off by more than a frame; returns the largest distance in frames.
pub fn assert_on_timeline(session: &Path, part: &Value, fps: f64) -> f64 {
    let path = session.join(part["file"].as_str().expect("a name"));
    let origin = plan(session)["start_at_ns"].as_f64().expect("an origin");
    let offset = part["offset_ns"].as_f64().unwrap_or_else(|| panic!("no offset: {part:#}"));
    let numbers = frames::numbers(&path).unwrap_or_else(|error| panic!("{error}"));
    let times = demux::ffprobe(&path).video.pts;
    assert_eq!(numbers.len(), times.len(), "{}: not every sample is a picture", path.display());
    let distance = |(number, time): (Option<u32>, f64)| {
        let number = number.unwrap_or_else(|| panic!("{}: a picture without a number at {time} s", path.display()));
        ((origin + offset) / 1e9 + time) * fps - f64::from(number)
    };
    let worst = numbers.into_iter().zip(times).map(distance).map(f64::abs).fold(0.0, f64::max);
    assert!(
        worst <= 1.0 + ROUNDING_FRAMES,
        "{}: a picture lies {worst} frames from its place: {part:#}",
        path.display()
    );
    worst
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_late_start_excuses_nothing_else() {
        let verdict = |causes: &[&str], codes: &[&str]| {
            let gap = |cause: &&str| json!({"cause": cause, "from_ns": 0, "to_ns": 110_000_000});
            let gaps: Vec<Value> = causes.iter().map(gap).collect();
            let found: Vec<Value> = codes.iter().map(|code| json!({"code": code})).collect();
            let whole = json!({"id": "cam1", "parts": [{"gaps": []}], "findings": []});
            let one = json!({"id": "cam2", "parts": [{"gaps": gaps}, {"gaps": []}], "findings": found});
            clean_verdict(&json!({"inputs": [whole, one]}), &["cam1", "cam2"])
        };
        assert_eq!(verdict(&["late_start"], &["gap"]), "warning");
        assert_eq!(verdict(&[], &[]), "ok");
        assert_eq!(verdict(&[], &["gap"]), "ok");
        assert_eq!(verdict(&["no_signal"], &["gap"]), "ok");
        assert_eq!(verdict(&["late_start", "worker_died"], &["gap"]), "ok");
        assert_eq!(verdict(&["late_start"], &["gap", "frames_differ"]), "ok");
    }
}

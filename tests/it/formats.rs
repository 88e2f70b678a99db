//! Every container with every codec it takes, recorded by the real program and read by two demuxers.
//!
//! Contract: a recording of the matrix has four inputs, so that one engine shows both video codecs: synthetic ones,
//! whose frames are numbered, and files that flash and tick, whose sound and picture can be held together.

use crate::record::{LIVE_WITHIN, REPLACED_WITHIN, start, wait_media};
use crate::support::evidence::{assert_no_frame_missing, assert_sound, manifest, parts};
use crate::support::proc::{Holdfast, find_input};
use crate::support::{demux, flash_tick, media_file};
use rustix::process::Signal;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// Length of each recording of the matrix: at least three flashes.
const RECORDED: Duration = Duration::from_secs(4);
/// Sound and picture may be this far apart (R-JOB-5).
const IN_STEP_MS: f64 = 40.0;
/// The video codecs an encoder exists for here.
const VIDEO: [&str; 2] = ["h264", "h265"];
/// Small pictures: four encoders share a machine of two cores, and x265 is no light one.
const SIZE: &str = "width = 320\nheight = 180\nfps = 30";

/// Records what the configuration `[recording]` says, both video codecs at once, and checks every file.
fn record_matrix(container: &str, audio: &str) {
    let films = tempfile::tempdir().expect("a folder");
    let film = films.path().join("camera.mp4");
    media_file::camera(&film, 20);
    let inputs = VIDEO.iter().map(|codec| {
        format!(
            "[[input]]\nid = \"test-{codec}\"\nkind = \"test\"\n{SIZE}\ncodec = \"{codec}\"\n\
             [[input]]\nid = \"film-{codec}\"\nkind = \"file\"\npath = \"{}\"\nrepeat = true\ncodec = \"{codec}\"\n",
            film.display()
        )
    });
    let keys = format!("[recording]\ncontainer = \"{container}\"\naudio_codec = \"{audio}\"\n");
    let mut holdfast = Holdfast::new(&(keys + &inputs.collect::<String>()));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &["test-h264", "test-h265", "film-h264", "film-h265"]);
    wait_media(&holdfast, "test-h265", RECORDED);
    wait_media(&holdfast, "film-h265", RECORDED);
    holdfast.cli_ok(&["record", "stop"]);

    let session = holdfast.session();
    let manifest = manifest(&session);
    for codec in VIDEO {
        let part = only_part(&manifest, &format!("test-{codec}"));
        let file = session.join(part["file"].as_str().expect("a name"));
        assert_eq!(file.extension().and_then(|name| name.to_str()), Some(container));
        let found = assert_no_frame_missing(&file);
        let frames = &part["frames"];
        for count in ["captured", "encoded", "written"] {
            assert_eq!(frames[count], found.video.samples() as u64, "{count} of {codec}: {part:#}");
        }
        assert_described(part, container, codec, audio, &file);
        let (picture, sound) = (found.video.duration(), found.audio.duration());
        assert!(picture >= RECORDED.as_secs_f64() - 0.1, "{codec}: {picture} s");
        assert!((sound - picture).abs() < 0.25, "{codec}: {sound} s of sound, {picture} s of pictures");
        let said = part["duration_ns"].as_u64().expect("a duration") as f64 / 1e9;
        assert!((said - picture.max(sound)).abs() < 0.05, "{codec}: said {said} s, are {picture} s and {sound} s");

        let file = session.join(only_part(&manifest, &format!("film-{codec}"))["file"].as_str().expect("a name"));
        assert_sound(&file);
        assert_in_step(&file, &format!("{container}, {codec}, {audio}"));
    }
}

fn only_part<'a>(manifest: &'a Value, input: &str) -> &'a Value {
    let parts = parts(manifest, input);
    assert_eq!(parts.len(), 1, "{input}: {manifest:#}");
    assert_eq!(parts[0]["end"], "completed");
    parts[0]
}

/// What the manifest says of a part is what ffprobe finds in it.
fn assert_described(part: &Value, container: &str, video: &str, audio: &str, file: &Path) {
    assert_eq!(part["container"], container);
    assert_eq!(part["video"]["codec"], video, "{part:#}");
    assert_eq!(part["video"]["width"], 320, "{part:#}");
    assert_eq!(part["audio"], serde_json::json!({"codec": audio, "rate": 48_000, "channels": 2}), "{part:#}");
    let named = |codec: &str| match codec {
        "h265" => "hevc".to_owned(),
        "pcm" => "pcm_s16le".to_owned(),
        other => other.to_owned(),
    };
    assert_eq!(demux::codecs(file), [named(video), named(audio)]);
}

fn assert_in_step(file: &Path, what: &str) {
    let marks = flash_tick::marks(file).expect("flashes and ticks");
    assert!(marks.flashes.len() >= 3 && marks.ticks.len() >= 3, "{what}: {marks:?}");
    let offset = marks.offset_ms().expect("pairs");
    println!("{what}: sound {offset:.1} ms after the picture");
    assert!(offset.abs() <= IN_STEP_MS, "{what}: sound is {offset} ms off: {marks:?}");
}

#[test]
fn mp4_takes_h264_and_h265_with_aac() {
    record_matrix("mp4", "aac");
}

#[test]
fn mp4_takes_h264_and_h265_with_opus() {
    record_matrix("mp4", "opus");
}

#[test]
fn mkv_takes_h264_and_h265_with_aac() {
    record_matrix("mkv", "aac");
}

#[test]
fn mkv_takes_h264_and_h265_with_opus() {
    record_matrix("mkv", "opus");
}

#[test]
fn mkv_takes_h264_and_h265_with_pcm() {
    record_matrix("mkv", "pcm");
}

#[test]
fn pairs_that_cannot_be_are_refused_by_name() {
    let input = "[[input]]\nid = \"cam\"\nkind = \"test\"\n";
    let pairs = [
        ("[recording]\naudio_codec = \"pcm\"\n", "", ["recording.audio_codec", "\"mkv\""]),
        ("", "codec = \"copy\"\n", ["input.codec", "\"h264\" or \"h265\""]),
        ("[recording]\ncodec = \"copy\"\n", "", ["input.codec", "\"h264\" or \"h265\""]),
        ("[recording]\ncontainer = \"mov\"\n", "", ["recording.container", "\"mp4\", \"mkv\""]),
    ];
    for (recording, keys, words) in pairs {
        let holdfast = Holdfast::new(&format!("{recording}{input}{keys}"));
        for args in [&["config", "check"][..], &["engine"]] {
            let output = holdfast.cli(args);
            assert_eq!(output.code, Some(1), "{recording}{keys}: {output:?}");
            for word in words.iter().chain(&["config.toml:"]) {
                assert!(output.stderr.contains(word), "{args:?} does not say {word:?}: {}", output.stderr);
            }
        }
    }
}

/// A worker that is killed while it writes `container` with `audio`: what reached the disk is readable, and finalised.
fn kill_while_recording(container: &str, audio: &str) {
    let keys = format!("[recording]\ncontainer = \"{container}\"\naudio_codec = \"{audio}\"\n");
    let mut holdfast = Holdfast::new(&format!("{keys}[[input]]\nid = \"cam\"\nkind = \"test\"\n{SIZE}\n"));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &["cam"]);
    wait_media(&holdfast, "cam", Duration::from_secs(3));
    holdfast.signal(holdfast.worker_pid("cam"), Signal::KILL);
    holdfast.wait_until("a second part", REPLACED_WITHIN, |snapshot| {
        let recording = &find_input(snapshot, "cam")["recording"];
        recording["part"] == 2 && recording["state"] == "recording"
    });
    holdfast.cli_ok(&["record", "stop"]);
    let session = holdfast.session();
    let manifest = manifest(&session);
    let parts = parts(&manifest, "cam");
    assert_eq!(parts.len(), 2, "{manifest:#}");
    for part in parts {
        let found = assert_no_frame_missing(&session.join(part["file"].as_str().expect("a name")));
        assert!(found.audio.samples() > 0, "{part:#}");
    }
    let first = demux::ffprobe(&session.join(format!("cam.{container}")));
    // 1 s of it may be lost (R-SUP-2).
    assert!(first.video.duration() >= 2.0, "{container}, {audio}: {} s are left", first.video.duration());
}

#[test]
fn a_killed_worker_leaves_pcm_in_matroska_and_opus_in_mp4() {
    kill_while_recording("mkv", "pcm");
    kill_while_recording("mp4", "opus");
}

//! What cameras do wrong, or simply do: pictures that travel less than sound, a split, a new picture size, a clock that goes
//! back, a network that swallows datagrams, and pictures for whoever watches.

use crate::copy::{FRAME, H265, IN_STEP_MS, camera, settle};
use crate::record::{LIVE_WITHIN, RECORDS_WITHIN, start, wait_media};
use crate::support::evidence::{assert_sound, manifest, parts};
use crate::support::nal::{self, Codec};
use crate::support::proc::{Holdfast, find_input, rounds, test_inputs};
use crate::support::rtsp::RtspServer;
use crate::support::viewer::Viewer;
use crate::support::{flash_tick, frames, media_file};
use holdfast::sys::clock::mono_now;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A keyframe comes every second, and a file before that.
const SPLITS_WITHIN: Duration = Duration::from_secs(15);

/// Between two troubles: longer than a group of pictures.
const TURN: Duration = Duration::from_millis(1500);
/// More than a jitter buffer waits for (200 ms), less than the loss of a signal.
const HELD_UP: Duration = Duration::from_millis(500);

fn file_of(session: &Path, part: &Value) -> PathBuf {
    session.join(part["file"].as_str().expect("a name"))
}

fn wait_part(holdfast: &Holdfast, part: u64) {
    holdfast.wait_until(&format!("part {part}"), SPLITS_WITHIN, |snapshot| {
        find_input(snapshot, "net")["recording"]["part"].as_u64() >= Some(part)
    });
}

/// The last three flashes, and a second for the mixer to follow.
const BEHIND_REPORTS: Duration = Duration::from_millis(4500);

/// The pictures of this film travel 166 ms less than its sound, because of its B-frames, and the camera reports so some
/// seconds after PLAY. Recording begins before that.
#[test]
fn picture_and_sound_are_in_step_once_the_camera_has_reported() {
    let films = tempfile::tempdir().expect("a folder");
    let film = films.path().join("film.mp4");
    media_file::camera_with(&film, 40, H265);
    for keys in ["codec = \"copy\"\n", ""] {
        let mut holdfast = Holdfast::new("");
        let server = RtspServer::start_film(&holdfast, Codec::H265, &film);
        camera(&holdfast, &server, keys);
        holdfast.spawn_engine();
        holdfast.wait_live(LIVE_WITHIN);
        start(&holdfast, &["net"]);
        settle(&holdfast);
        let media_ms = find_input(&holdfast.status(), "net")["recording"]["media_ms"].as_u64().expect("media");
        wait_media(&holdfast, "net", Duration::from_millis(media_ms) + BEHIND_REPORTS);
        holdfast.cli_ok(&["record", "stop"]);
        let session = holdfast.session();
        let file = file_of(&session, parts(&manifest(&session), "net")[0]);
        assert_sound(&file);
        let marks = flash_tick::marks(&file).expect("flashes and ticks");
        let apart = marks.offsets_ms();
        println!("{keys:?}: sound {apart:.1?} ms after the picture");
        assert!(apart.len() >= 4, "{keys:?}: {marks:?}");
        let last = &apart[apart.len() - 3..];
        assert!(last.iter().all(|apart| apart.abs() <= IN_STEP_MS), "{keys:?}: {apart:?}, {marks:?}");
    }
}

/// Records a film through what a busy machine or network does, and splits it. Pictures come late, all at once: the jitter
/// buffer begins anew then, and once more with each B-frame behind; their times were lost, and the file ended by itself.
/// Every picture must be in one part, in the order it was sent.
fn hold_up_and_split(codec: Codec, options: &[&str]) {
    let films = tempfile::tempdir().expect("a folder");
    let film = films.path().join("film.mp4");
    let turns = rounds(2, 10);
    media_file::camera_with(&film, 20 + 4 * turns, options);
    let mut holdfast = Holdfast::new("");
    let server = RtspServer::start_film(&holdfast, codec, &film);
    camera(&holdfast, &server, "codec = \"copy\"\n");
    holdfast.spawn_engine();
    settle(&holdfast);
    start(&holdfast, &["net"]);
    for turn in 1..=turns {
        if turn > 1 {
            holdfast.cli_ok(&["record", "split"]);
            wait_part(&holdfast, turn.into());
        }
        wait_media(&holdfast, "net", TURN * (2 * turn - 1));
        server.freeze();
        let later = mono_now().plus(HELD_UP);
        while mono_now() < later {
            holdfast.status();
        }
        server.thaw();
        wait_media(&holdfast, "net", TURN * (2 * turn));
    }
    holdfast.cli_ok(&["record", "stop"]);

    let session = holdfast.session();
    let manifest = manifest(&session);
    let parts = parts(&manifest, "net");
    assert_eq!(parts.len(), turns as usize, "{manifest:#}");
    let (mut written, mut end) = (Vec::new(), None);
    for part in parts {
        let file = file_of(&session, part);
        let found = assert_sound(&file);
        for count in ["captured", "encoded", "written"] {
            assert_eq!(part["frames"][count], found.video.samples() as u64, "{count}: {part:#}");
        }
        assert_eq!(part["frames"]["dropped"], 0, "{part:#}");
        let offset = part["offset_ns"].as_f64().expect("an offset") / 1e9;
        let shown = found.video.pts.iter().copied().fold(0.0, f64::max) + FRAME.as_secs_f64();
        let apart = end.map_or(0.0, |end: f64| offset - end);
        assert!(apart.abs() < FRAME.as_secs_f64() / 2.0, "{}: {apart} s behind the one before", file.display());
        end = Some(offset + shown);
        written.extend(nal::pictures(&file, codec));
    }
    nal::assert_run(&nal::pictures(&film, codec), &written);
}

#[test]
fn copied_h264_that_is_held_up_and_split_loses_and_doubles_no_picture() {
    hold_up_and_split(Codec::H264, &[]);
}

#[test]
fn copied_h265_that_is_held_up_and_split_loses_and_doubles_no_picture() {
    // The other codec takes the same way with every change.
    for _ in 0..rounds(0, 1) {
        hold_up_and_split(Codec::H265, H265);
    }
}

#[test]
fn whoever_watches_a_copied_stream_sees_moving_pictures_and_costs_no_frame() {
    for codec in &["h264", "h265"][..rounds(1, 2) as usize] {
        let mut holdfast = Holdfast::new("");
        let server = RtspServer::start_with(&holdfast, &["--codec", codec]);
        camera(&holdfast, &server, "codec = \"copy\"\n");
        holdfast.spawn_engine();
        holdfast.wait_live(LIVE_WITHIN);
        let watch = |what: &str| {
            let seen = Viewer::watch(&holdfast, "net").pictures(10, RECORDS_WITHIN);
            assert_eq!(seen.len(), 10, "{codec}, {what}: only these different pictures were shown: {seen:?}");
            assert!(seen.iter().all(|(width, height, _)| (*width, *height) == (320, 180)), "{seen:?}");
        };
        watch("idle");
        start(&holdfast, &["net"]);
        watch("recording");
        holdfast.cli_ok(&["record", "stop"]);
        let manifest = manifest(&holdfast.session());
        assert_eq!(parts(&manifest, "net")[0]["frames"]["dropped"], 0, "{manifest:#}");
    }
}

#[test]
fn a_camera_that_changes_its_picture_size_is_copied_into_the_next_part() {
    let mut holdfast = Holdfast::new("");
    let server = RtspServer::start_with(&holdfast, &["--resize-to", "320x180", "--after", "8"]);
    camera(&holdfast, &server, "codec = \"copy\"\n");
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &["net"]);
    wait_part(&holdfast, 2);
    let media = find_input(&holdfast.status(), "net")["recording"]["media_ms"].as_u64().expect("media");
    wait_media(&holdfast, "net", Duration::from_millis(media + 1500));
    holdfast.cli_ok(&["record", "stop"]);

    let session = holdfast.session();
    let manifest = manifest(&session);
    let parts = parts(&manifest, "net");
    assert_eq!(parts.len(), 2, "{manifest:#}");
    for (part, size) in parts.iter().zip([(640, 360), (320, 180)]) {
        let file = file_of(&session, part);
        let found = assert_sound(&file);
        assert_eq!((&part["video"]["width"], &part["video"]["height"]), (&size.0.into(), &size.1.into()), "{part:#}");
        assert_eq!(part["frames"]["written"], found.video.samples() as u64, "{part:#}");
        let (mut decoded, mut sizes) = (0, std::collections::BTreeSet::new());
        frames::each_picture(&file, |picture| {
            decoded += 1;
            sizes.insert((picture.width, picture.height));
        })
        .expect("it decodes");
        assert_eq!((decoded, sizes), (found.video.samples(), [size].into()), "{}", file.display());
    }
}

/// Records a camera whose clock goes back by 0.3 s and by 5 s, with `keys`. Nothing may stop, the file must be whole, and
/// what is not in it is counted; returns how much that is.
fn record_a_clock_that_goes_back(keys: &str) -> u64 {
    let mut holdfast = Holdfast::new("");
    let server = RtspServer::start_with(&holdfast, &["--back", "0.3,5", "--after", "2"]);
    camera(&holdfast, &server, keys);
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &["net"]);
    wait_media(&holdfast, "net", Duration::from_secs(5));
    holdfast.cli_ok(&["record", "stop"]);
    let session = holdfast.session();
    let manifest = manifest(&session);
    let parts = parts(&manifest, "net");
    assert_eq!(parts.len(), 1, "{manifest:#}");
    let found = assert_sound(&file_of(&session, parts[0]));
    let count = |name: &str| parts[0]["frames"][name].as_u64().unwrap_or_else(|| panic!("{name}: {manifest:#}"));
    assert_eq!(count("written"), found.video.samples() as u64, "{manifest:#}");
    assert_eq!(count("captured") + count("duplicated"), count("written") + count("dropped"), "{manifest:#}");
    let (picture, sound) = (found.video.duration(), found.audio.duration());
    println!("{keys:?}: {picture} s of pictures, {} of them", found.video.samples());
    assert!(picture >= 4.5 && (sound - picture).abs() < 0.4, "{picture} s of pictures, {sound} s of sound");
    count("dropped")
}

#[test]
fn a_camera_whose_clock_goes_back_is_recorded_on_into_a_whole_file() {
    assert_eq!(record_a_clock_that_goes_back("codec = \"copy\"\n"), 0);
    for _ in 0..rounds(0, 1) {
        // What comes for a time that has passed: 0.3 s of it.
        assert!(record_a_clock_that_goes_back("") <= 12);
    }
}

#[test]
fn auto_goes_on_over_tcp_where_datagrams_are_swallowed() {
    for keys in &["codec = \"copy\"\n", ""][..rounds(1, 2) as usize] {
        let mut holdfast = Holdfast::new("");
        let server = RtspServer::start_with(&holdfast, &["--block-udp"]);
        camera(&holdfast, &server, &format!("transport = \"auto\"\n{keys}"));
        holdfast.spawn_engine();
        holdfast.wait_live(LIVE_WITHIN);
        start(&holdfast, &["net"]);
        wait_media(&holdfast, "net", Duration::from_secs(2));
        holdfast.cli_ok(&["record", "stop"]);
        let found = assert_sound(&holdfast.session().join("net.mp4"));
        let (picture, sound) = (found.video.duration(), found.audio.duration());
        assert!(picture >= 1.9 && (sound - picture).abs() < 0.25, "{keys}: {picture} s, {sound} s of sound");
    }
}

#[test]
fn an_encoder_that_is_missing_is_named_and_the_others_record() {
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto").replacen("fps = 30\n", "fps = 30\ncodec = \"h265\"\n", 1));
    holdfast.hide_plugins(&["x265", "va", "video4linux2", "mpp"]);
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &["cam2"]);
    holdfast.wait_until("the missing encoder by name", RECORDS_WITHIN, |_| {
        let alerts = holdfast.api("GET", "/api/v1/alerts", &[], None).expect("an answer").body;
        let told = |alert: &Value| {
            let message = alert["message"].as_str().unwrap_or_default();
            alert["source"] == "cam1" && alert["code"] == "encoder_missing" && message.contains("H.265 encoder")
        };
        alerts["alerts"].as_array().is_some_and(|alerts| alerts.iter().any(told))
    });
    wait_media(&holdfast, "cam2", Duration::from_secs(1));
    holdfast.cli_ok(&["record", "stop"]);
    let session = holdfast.session();
    let manifest = manifest(&session);
    assert!(parts(&manifest, "cam1").is_empty(), "{manifest:#}");
    let recorded = parts(&manifest, "cam2");
    assert_eq!((recorded.len(), &recorded[0]["frames"]["dropped"]), (1, &0.into()), "{manifest:#}");
    assert_sound(&file_of(&session, recorded[0]));
}

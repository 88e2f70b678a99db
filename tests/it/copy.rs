//! Streams of network cameras written as they come, and the ways they travel.

use crate::record::{LIVE_WITHIN, start, wait_media};
use crate::support::evidence::{assert_sound, manifest, parts};
use crate::support::nal::{self, Codec};
use crate::support::proc::{Holdfast, find_input};
use crate::support::rtsp::RtspServer;
use crate::support::{flash_tick, media_file};
use std::time::Duration;

/// One frame period of every camera here.
pub const FRAME: Duration = Duration::from_millis(34);
/// H.265 in closed groups: in an open one the pictures before the first keyframe's own time cannot be decoded and stay
/// out.
pub const H265: &[&str] = &["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:open-gop=0"];
/// Sound and picture may be this far apart (R-JOB-5).
pub const IN_STEP_MS: f64 = 40.0;

/// An input `net` that gets its stream from `server`.
pub fn camera(holdfast: &Holdfast, server: &RtspServer, keys: &str) {
    let old = std::fs::read_to_string(holdfast.config()).expect("a configuration");
    let input = format!("[[input]]\nid = \"net\"\nname = \"Network\"\nkind = \"rtsp\"\nurl = \"{}\"\n", server.url());
    holdfast.write_config(&format!("{old}{input}{keys}"));
}

/// Waits until the camera is live and has reported how its streams belong together: first within 3.1 s (RFC 3550, 6.3.1).
pub fn settle(holdfast: &Holdfast) {
    holdfast.wait_live(LIVE_WITHIN);
    holdfast.wait_until("picture and sound in step", LIVE_WITHIN, |_| {
        let log = std::fs::read_to_string(holdfast.log()).unwrap_or_default();
        log.matches("in step by the camera's reports").count() >= 2
    });
}

/// Records a film that a real server sends, and expects every picture as it was sent, and the first one at once.
fn copy_a_film(codec: Codec, container: &str, options: &[&str]) {
    let films = tempfile::tempdir().expect("a folder");
    let film = films.path().join("film.mp4");
    // A keyframe every 3 s only: without what is kept, a recording would begin 1.5 s late on average.
    media_file::camera_with(&film, 40, &[options, &["-g", "90", "-keyint_min", "90"]].concat());
    let mut holdfast = Holdfast::new(&format!("[recording]\ncontainer = \"{container}\"\n"));
    let server = RtspServer::start_film(&holdfast, codec, &film);
    camera(&holdfast, &server, "codec = \"copy\"\n");
    holdfast.spawn_engine();
    settle(&holdfast);
    start(&holdfast, &["net"]);
    wait_media(&holdfast, "net", Duration::from_secs(5));
    holdfast.cli_ok(&["record", "stop"]);

    let session = holdfast.session();
    let manifest = manifest(&session);
    let parts = parts(&manifest, "net");
    assert_eq!(parts.len(), 1, "{manifest:#}");
    let part = parts[0];
    let file = session.join(part["file"].as_str().expect("a name"));
    let found = assert_sound(&file);
    let offset = part["offset_ns"].as_i64().expect("an offset");
    println!("{codec:?} in {container}: begins {} ms after the press", offset / 1_000_000);
    assert!(offset <= FRAME.as_nanos() as i64, "it begins {offset} ns late");
    for count in ["captured", "encoded", "written"] {
        assert_eq!(part["frames"][count], found.video.samples() as u64, "{count}: {part:#}");
    }
    assert_eq!((&part["frames"]["duplicated"], &part["frames"]["dropped"]), (&0.into(), &0.into()), "{part:#}");
    let (picture, sound) = (found.video.duration(), found.audio.duration());
    assert!((sound - picture).abs() < 0.25, "{sound} s of sound, {picture} s of pictures");
    nal::assert_run(&nal::pictures(&film, codec), &nal::pictures(&file, codec));
    let marks = flash_tick::marks(&file).expect("flashes and ticks");
    let apart = marks.offset_ms().expect("pairs");
    println!("{codec:?} in {container}: sound {apart:.1} ms after the picture, {} frames", found.video.samples());
    assert!(apart.abs() <= IN_STEP_MS, "sound is {apart} ms off: {marks:?}");
}

#[test]
fn h264_is_copied_picture_by_picture_and_begins_at_once() {
    copy_a_film(Codec::H264, "mp4", &[]);
}

#[test]
fn h265_is_copied_picture_by_picture_and_begins_at_once() {
    copy_a_film(Codec::H265, "mp4", H265);
}

#[test]
fn both_are_copied_into_matroska_too() {
    // In the order of showing: Matroska has no decode times, and ffprobe's guesses do not rise when arrival jitters.
    copy_a_film(Codec::H264, "mkv", &["-bf", "0"]);
    let h265 = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:bframes=0"];
    copy_a_film(Codec::H265, "mkv", &h265);
}

/// Records a few seconds of a camera that can be reached by `only` one way, with `transport`.
fn record_by(only: Option<&str>, transport: &str) {
    let mut holdfast = Holdfast::new("");
    let server = RtspServer::start_with(&holdfast, &only.map_or(vec![], |only| vec!["--only", only]));
    camera(&holdfast, &server, &format!("transport = \"{transport}\"\n"));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &["net"]);
    wait_media(&holdfast, "net", Duration::from_secs(3));
    holdfast.cli_ok(&["record", "stop"]);
    let session = holdfast.session();
    let found = assert_sound(&session.join("net.mp4"));
    let (picture, sound) = (found.video.duration(), found.audio.duration());
    assert!(picture >= 2.9 && (sound - picture).abs() < 0.25, "{transport}: {picture} s, {sound} s of sound");
}

#[test]
fn a_camera_that_speaks_udp_only_is_recorded_by_udp_and_by_auto() {
    record_by(Some("udp"), "udp");
    record_by(Some("udp"), "auto");
}

#[test]
fn auto_goes_on_over_tcp_where_udp_is_refused() {
    record_by(Some("tcp"), "auto");
}

#[test]
fn a_way_the_camera_does_not_offer_is_named() {
    let mut holdfast = Holdfast::new("");
    let server = RtspServer::start_with(&holdfast, &["--only", "udp"]);
    camera(&holdfast, &server, "transport = \"tcp\"\n");
    holdfast.spawn_engine();
    holdfast.wait_until("the reason", LIVE_WITHIN, |snapshot| {
        let detail = find_input(snapshot, "net")["detail"].to_string();
        detail.contains("transport")
    });
}

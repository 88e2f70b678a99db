//! Streams of network cameras written as they come, and the ways they travel.

use crate::record::{LIVE_WITHIN, start, wait_media};
use crate::support::evidence::{assert_sound, manifest, parts};
use crate::support::nal::{self, Codec};
use crate::support::proc::Holdfast;
use crate::support::rtsp::RtspServer;
use crate::support::{flash_tick, media_file};
use std::path::Path;
use std::time::Duration;

/// One frame period of every camera here.
const FRAME: Duration = Duration::from_millis(34);
/// Sound and picture may be this far apart (R-JOB-5).
const IN_STEP_MS: f64 = 40.0;

/// An input `net` that gets its stream from `server`.
fn camera(holdfast: &Holdfast, server: &RtspServer, keys: &str) {
    let old = std::fs::read_to_string(holdfast.config()).expect("a configuration");
    let input = format!("[[input]]\nid = \"net\"\nname = \"Network\"\nkind = \"rtsp\"\nurl = \"{}\"\n", server.url());
    holdfast.write_config(&format!("{old}{input}{keys}"));
}

/// Records a film that a real server sends, and expects every picture as it was sent, and the first one at once.
fn copy_a_film(codec: Codec, container: &str, options: &[&str]) {
    let films = tempfile::tempdir().expect("a folder");
    let film = films.path().join("film.mp4");
    // A keyframe every 3 s only: without what is kept, a recording would begin 1.5 s late on average.
    media_file::camera_with(&film, 40, &[options, &["-g", "90", "-keyint_min", "90"]].concat());
    let mut holdfast = Holdfast::new(&format!("[recording]\ncontainer = \"{container}\"\n"));
    let name = if codec == Codec::H264 { "h264" } else { "h265" };
    let server = RtspServer::start_with(&holdfast, &["--codec", name, "--file", film.to_str().expect("a path")]);
    camera(&holdfast, &server, "codec = \"copy\"\n");
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
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
    assert_same_pictures(&film, &file, codec);
    let marks = flash_tick::marks(&file).expect("flashes and ticks");
    let apart = marks.offset_ms().expect("pairs");
    println!("{codec:?} in {container}: sound {apart:.1} ms after the picture, {} frames", found.video.samples());
    assert!(apart.abs() <= IN_STEP_MS, "sound is {apart} ms off: {marks:?}");
}

/// Every picture of `copy` is, byte for byte, the one after the one before in `original`.
fn assert_same_pictures(original: &Path, copy: &Path, codec: Codec) {
    let (sent, written) = (nal::pictures(original, codec), nal::pictures(copy, codec));
    let first = written.first().expect("pictures");
    let at = sent.iter().position(|picture| picture == first).expect("the first picture was sent");
    let same = sent[at..].iter().zip(&written).take_while(|(sent, written)| sent == written).count();
    assert_eq!(same, written.len(), "picture {same} of {} is another one than was sent", written.len());
}

#[test]
fn h264_is_copied_picture_by_picture_and_begins_at_once() {
    copy_a_film(Codec::H264, "mp4", &[]);
}

#[test]
fn h265_is_copied_picture_by_picture_and_begins_at_once() {
    copy_a_film(Codec::H265, "mp4", &["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"]);
}

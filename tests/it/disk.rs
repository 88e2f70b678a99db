//! The durable sink on real file systems: in a pipeline, with a full disk, with room given back (R-FM-4, R-JOB-4).

use crate::support::disk::Disk;
use crate::support::evidence::assert_sound;
use gst::prelude::*;
use holdfast::media::durable_sink::{self, DiskWatch, Finished, OpenError, SinkEvent, SinkOptions, Trouble};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Longest time a short recording without a clock may take.
const RECORDED_WITHIN: gst::ClockTime = gst::ClockTime::from_seconds(120);

/// Records `frames` frames of noise with sound to `path`, as fast as the machine can.
fn record(path: &Path, frames: u32) -> (Finished, Vec<Trouble>) {
    gst::init().expect("GStreamer");
    gstfmp4::plugin_register_static().expect("the fmp4 plugin");
    let troubles = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&troubles);
    let options = SinkOptions { path: path.to_owned(), name: "cam1-sink".to_owned(), watch: DiskWatch::default() };
    let sink = durable_sink::make(options, move |event| match event {
        SinkEvent::Trouble(trouble) => seen.lock().expect("troubles").push(trouble),
        SinkEvent::Progress(_) => {}
    });
    let sink = sink.expect("a new part");
    let line = format!(
        "videotestsrc pattern=snow num-buffers={frames} ! video/x-raw,format=I420,width=320,height=180,framerate=30/1 \
         ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30 bitrate=4000 ! h264parse \
         ! isofmp4mux name=mux fragment-duration=500000000 chunk-duration=500000000 \
         audiotestsrc wave=silence num-buffers={} samplesperbuffer=1600 ! audio/x-raw,rate=48000,channels=2 \
         ! avenc_aac ! aacparse ! mux.",
        frames
    );
    let pipeline = gst::parse::launch(&line).expect("a pipeline").downcast::<gst::Pipeline>().expect("a pipeline");
    pipeline.add(&sink).expect("added");
    pipeline.by_name("mux").expect("the muxer").link(&sink).expect("linked");
    pipeline.set_state(gst::State::Playing).expect("playing");
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline.bus().expect("a bus").timed_pop_filtered(RECORDED_WITHIN, &ends);
    assert!(matches!(end.as_ref().map(|message| message.type_()), Some(gst::MessageType::Eos)), "{end:?}");
    pipeline.set_state(gst::State::Null).expect("null");
    let finished = durable_sink::finish(&sink).expect("the first finish");
    assert!(durable_sink::finish(&sink).is_none(), "a part ends once");
    let troubles = std::mem::take(&mut *troubles.lock().expect("troubles"));
    (finished, troubles)
}

#[test]
fn a_part_is_an_ordinary_file_of_its_own_size_and_is_never_opened_twice() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("cam1.mp4");
    let (finished, troubles) = record(&path, 150);
    assert_eq!(troubles, []);
    let found = assert_sound(&path);
    assert_eq!(found.video.samples(), 150);
    let meta = std::fs::metadata(&path).expect("the part");
    assert_eq!(finished.bytes, meta.len());
    assert!(
        meta.blocks() * 512 <= meta.len() + 64 * 1024,
        "{} blocks stay reserved for {} bytes",
        meta.blocks(),
        meta.len()
    );

    let again = SinkOptions { path: path.clone(), name: "cam1-sink".to_owned(), watch: DiskWatch::default() };
    assert!(matches!(durable_sink::make(again, |_| {}), Err(OpenError::Exists(_))));
    assert_eq!(std::fs::metadata(&path).expect("the part").len(), meta.len());
}

#[test]
fn on_a_disk_that_fills_up_the_part_is_closed_whole() {
    let dir = tempfile::tempdir().expect("a folder");
    let Some(_disk) = Disk::tmpfs(dir.path(), "8m") else { return };
    let path = dir.path().join("cam1.mp4");
    // 60 s at 4 Mbit/s would take 30 MB.
    let (finished, troubles) = record(&path, 1800);
    assert_eq!(troubles, [Trouble::DiskFull]);
    assert!(finished.unfinalised.is_none(), "{finished:?}");
    let summary = finished.summary.expect("media");
    let found = assert_sound(&path);
    assert_eq!(found.video.samples() as u64, summary.video_samples);
    assert!(summary.video_samples >= 150, "{summary:?}");
    println!("{} frames and a moov on an 8 MB disk", summary.video_samples);
}

#[test]
fn a_disk_without_room_for_a_name_is_refused_at_open() {
    let dir = tempfile::tempdir().expect("a folder");
    let missing = dir.path().join("nowhere").join("cam1.mp4");
    let options = SinkOptions { path: missing.clone(), name: "cam1-sink".to_owned(), watch: DiskWatch::default() };
    gst::init().expect("GStreamer");
    let error = durable_sink::make(options, |_| {}).expect_err("there is no folder").to_string();
    assert!(error.contains("nowhere/cam1.mp4"), "{error}");
}

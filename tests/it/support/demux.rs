//! Two independent demuxers: ffprobe (libavformat) and GStreamer. A file counts as readable when both find
//! the samples that must be there; what either says about a torn tail is kept in `complaints`.

use super::process;
use gst::prelude::*;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Longest time one file of a test may take to be read.
const READ_DEADLINE_SECONDS: u64 = 60;

/// One track as a demuxer sees it. Times in seconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Track {
    /// Presentation times of all samples, in file order.
    pub pts: Vec<f64>,
    /// Decode times of all samples, where the demuxer names them.
    pub dts: Vec<f64>,
    /// Duration of the last sample.
    pub last_duration: f64,
}

impl Track {
    /// Samples found.
    pub fn samples(&self) -> usize {
        self.pts.len()
    }

    /// Time of the first sample.
    pub fn start(&self) -> f64 {
        self.pts.first().copied().unwrap_or(f64::NAN)
    }

    /// End of the last sample.
    pub fn end(&self) -> f64 {
        self.pts.last().copied().unwrap_or(f64::NAN) + self.last_duration
    }

    /// Time from the first sample's begin to the last one's end, zero without samples.
    pub fn duration(&self) -> f64 {
        if self.pts.is_empty() { 0.0 } else { self.end() - self.start() }
    }

    /// The longest step between the presentation times of two samples, zero with fewer than two.
    pub fn longest_step(&self) -> f64 {
        self.pts.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max)
    }

    /// Panics unless decode times (presentation times where there are none) rise strictly.
    pub fn assert_monotonic(&self, what: &str) {
        let times = if self.dts.is_empty() { &self.pts } else { &self.dts };
        for pair in times.windows(2) {
            assert!(pair[1] > pair[0], "{what}: time goes from {} to {}", pair[0], pair[1]);
        }
    }
}

/// What a demuxer found in a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// The video track.
    pub video: Track,
    /// The audio track, empty without one.
    pub audio: Track,
    /// Errors, which are no failure by themselves: a torn tail may be complained about.
    pub complaints: Vec<String>,
}

/// Whether an edit list hides a sample: it ends before time 0 and only warms a decoder up. One demuxer hands such
/// samples out, the other does not.
fn is_hidden(pts: f64, length: f64) -> bool {
    const ROUNDING_S: f64 = 0.0005;
    pts < 0.0 && pts + length <= ROUNDING_S
}

/// Reads `path` with ffprobe.
pub fn ffprobe(path: &Path) -> Found {
    let mut found = Found::default();
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-show_entries", "packet=codec_type,pts_time,dts_time,duration_time,size"]);
    command.args(["-of", "csv"]).arg(path);
    let output = process::run("ffprobe", &mut command, folder.path(), Duration::from_secs(READ_DEADLINE_SECONDS));
    found.complaints.extend(output.stderr.lines().map(str::to_owned));
    for line in output.stdout.lines() {
        let fields: Vec<&str> = line.split(',').collect();
        let [_, kind, pts, dts, duration, size, ..] = fields.as_slice() else { continue };
        let track = match *kind {
            "video" => &mut found.video,
            "audio" => &mut found.audio,
            _ => continue,
        };
        let hidden = pts.parse().ok().zip(duration.parse().ok()).is_some_and(|(pts, length)| is_hidden(pts, length));
        if size.parse::<u64>().is_ok_and(|size| size > 0) && !hidden {
            track.pts.extend(pts.parse::<f64>());
            track.dts.extend(dts.parse::<f64>());
            track.last_duration = duration.parse().unwrap_or(0.0);
        }
    }
    found
}

/// The codec of each track as ffprobe names it, pictures first: `["h264", "aac"]`.
pub fn codecs(path: &Path) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-show_entries", "stream=codec_type,codec_name", "-of", "csv=p=0"]).arg(path);
    let output = process::run("ffprobe", &mut command, folder.path(), Duration::from_secs(READ_DEADLINE_SECONDS));
    let mut tracks: Vec<(&str, &str)> = output.stdout.lines().filter_map(|line| line.split_once(',')).collect();
    tracks.sort_by_key(|(_, kind)| !kind.starts_with("video"));
    tracks.into_iter().map(|(name, _)| name.to_owned()).collect()
}

/// Reads `path` with GStreamer's demuxer for its container, qtdemux or matroskademux.
pub fn gstreamer(path: &Path) -> Found {
    gst::init().expect("GStreamer");
    let pipeline = gst::Pipeline::new();
    let source = gst::ElementFactory::make("filesrc").property("location", path).build().expect("filesrc");
    let factory = if path.extension().is_some_and(|name| name == "mkv") { "matroskademux" } else { "qtdemux" };
    let demux = gst::ElementFactory::make(factory).build().expect(factory);
    pipeline.add_many([&source, &demux]).expect("elements");
    source.link(&demux).expect("a link");
    let found = Arc::new(Mutex::new(Found::default()));
    let (weak, sink) = (pipeline.downgrade(), Arc::clone(&found));
    demux.connect_pad_added(move |_, pad| {
        let Some(pipeline) = weak.upgrade() else { return };
        let end = gst::ElementFactory::make("fakesink").property("sync", false).property("async", false);
        let end = end.build().expect("fakesink");
        pipeline.add(&end).expect("added");
        end.sync_state_with_parent().expect("playing");
        let input = end.static_pad("sink").expect("a pad");
        pad.link(&input).expect("linked");
        let video = pad.name().starts_with("video");
        let sink = Arc::clone(&sink);
        input.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let Some(gst::PadProbeData::Buffer(buffer)) = &info.data else { return gst::PadProbeReturn::Ok };
            let segment = pad.sticky_event::<gst::event::Segment>(0).map(|event| event.segment().to_owned());
            let segment = segment.and_then(|segment| segment.downcast::<gst::ClockTime>().ok());
            let seconds = |time: Option<gst::ClockTime>| {
                let stream = segment.as_ref().and_then(|segment| segment.to_stream_time_full(time?));
                stream.map(|time| match time {
                    gst::Signed::Positive(time) => time.nseconds() as f64 / 1e9,
                    gst::Signed::Negative(time) => -(time.nseconds() as f64) / 1e9,
                })
            };
            let mut found = sink.lock().expect("the result");
            let track = if video { &mut found.video } else { &mut found.audio };
            let length = buffer.duration().map_or(0.0, |duration| duration.nseconds() as f64 / 1e9);
            if buffer.size() > 0 && !seconds(buffer.pts()).is_some_and(|pts| is_hidden(pts, length)) {
                track.pts.extend(seconds(buffer.pts()));
                track.dts.extend(seconds(buffer.dts()));
                track.last_duration = buffer.duration().map_or(0.0, |duration| duration.nseconds() as f64 / 1e9);
            }
            gst::PadProbeReturn::Ok
        });
    });
    let _ = pipeline.set_state(gst::State::Playing);
    let bus = pipeline.bus().expect("a bus");
    let wanted = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(READ_DEADLINE_SECONDS), &wanted);
    let _ = pipeline.set_state(gst::State::Null);
    let mut found = found.lock().expect("the result").clone();
    match message.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Error(error)) => found.complaints.push(format!("{}", error.error())),
        Some(_) => {}
        None => found.complaints.push(format!("not read within {READ_DEADLINE_SECONDS} s")),
    }
    found
}

/// How long GStreamer says that `path` is, and the time of the first picture after a seek to the keyframe at or before
/// `to`, both in seconds.
pub fn seek(path: &Path, to: f64) -> (f64, f64) {
    gst::init().expect("GStreamer");
    let line = format!("filesrc location=\"{}\" ! matroskademux name=d d.video_0 ! fakesink name=out", path.display());
    let pipeline = gst::parse::launch(&line).expect("a pipeline").downcast::<gst::Pipeline>().expect("a pipeline");
    let patience = gst::ClockTime::from_seconds(READ_DEADLINE_SECONDS);
    pipeline.set_state(gst::State::Paused).expect("paused");
    pipeline.state(patience).0.expect("a first picture");
    let duration = pipeline.query_duration::<gst::ClockTime>().expect("a duration");
    let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT | gst::SeekFlags::SNAP_BEFORE;
    pipeline.seek_simple(flags, gst::ClockTime::from_seconds_f64(to)).expect("a seek");
    pipeline.state(patience).0.expect("a picture");
    let sample = pipeline.by_name("out").expect("the sink").property::<Option<gst::Sample>>("last-sample");
    let first = sample.as_ref().and_then(|sample| sample.buffer()).and_then(|buffer| buffer.pts()).expect("a time");
    pipeline.set_state(gst::State::Null).expect("null");
    (duration.seconds_f64(), first.seconds_f64())
}

/// Reads `path` with both, expects them to find the same samples without a complaint, and returns ffprobe's opinion.
pub fn both(path: &Path) -> Found {
    let (one, other) = (ffprobe(path), gstreamer(path));
    let samples = |found: &Found| (found.video.samples(), found.audio.samples());
    assert_eq!(samples(&one), samples(&other), "ffprobe and GStreamer disagree on {}", path.display());
    assert_eq!((&one.complaints, &other.complaints), (&vec![], &vec![]), "{}", path.display());
    one
}

/// The names of the top-level boxes of an MP4, independent of our own parser.
pub fn top_level_boxes(bytes: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = 0;
    while let Some(head) = bytes.get(at..at + 8) {
        let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let size = match size {
            0 => bytes.len() - at,
            1 => bytes.get(at + 8..at + 16).map_or(0, |large| {
                u64::from_be_bytes([large[0], large[1], large[2], large[3], large[4], large[5], large[6], large[7]])
                    as usize
            }),
            size => size,
        };
        names.push(String::from_utf8_lossy(&head[4..8]).into_owned());
        if size < 8 {
            break;
        }
        at += size;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::super::media_file;
    use super::*;

    #[test]
    fn both_demuxers_agree_on_a_camera_like_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("camera.mp4");
        media_file::camera(&path, 2);
        for found in [ffprobe(&path), gstreamer(&path)] {
            assert_eq!(found.video.samples(), 60);
            // ffmpeg cuts the last AAC frame short; qtdemux leaves such a frame out. The first only warms decoders up.
            assert!((93..=94).contains(&found.audio.samples()), "{:?}", found.audio);
            found.video.assert_monotonic("video");
            found.audio.assert_monotonic("audio");
            assert_eq!(found.complaints, Vec::<String>::new());
        }
        assert_eq!(top_level_boxes(&std::fs::read(&path).expect("a file")), ["ftyp", "free", "mdat", "moov"]);
    }

    #[test]
    fn what_is_readable_of_a_torn_file_is_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let (whole, torn) = (folder.path().join("whole.mp4"), folder.path().join("torn.mp4"));
        media_file::fragmented(&whole, 3);
        let all = both(&whole).video;
        assert!((all.duration() - 3.0).abs() < 0.05 && all.longest_step() < 0.2, "{all:?}");
        let bytes = std::fs::read(&whole).expect("a file");
        std::fs::write(&torn, &bytes[..bytes.len() * 2 / 3]).expect("a copy");
        for found in [ffprobe(&torn), gstreamer(&torn)] {
            let some = found.video.samples();
            assert!(some > all.samples() / 3 && some < all.samples(), "{some} of {}", all.samples());
        }
        std::fs::write(&torn, b"not a film").expect("written");
        for found in [ffprobe(&torn), gstreamer(&torn)] {
            assert!(found.video.samples() == 0 && !found.complaints.is_empty());
        }
    }
}

<<<<<<< HEAD
//! Two independent demuxers: ffprobe (libavformat) and GStreamer's qtdemux. A file counts as readable when both find
//! the samples that must be there; what either says about a torn tail is kept in `complaints`.

use gst::prelude::*;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

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
=======
//! Two independent opinions on a media file: `ffprobe`, and GStreamer's `qtdemux`.
//!
//! Contract: neither shares code with the recorder. Both count what can be read of a file whose tail is torn, and
//! report trouble beside the counts instead of giving up. Times are media time in ns, edit lists applied.

use super::process;
use gst::prelude::*;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Reading a test's file takes well under a second; this is for a machine under full load.
const READ_WITHIN: Duration = Duration::from_secs(60);

/// What a demuxer found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Streams {
    /// The first video track.
    pub video: Option<Track>,
    /// The first audio track.
    pub audio: Option<Track>,
    /// What it complained about; empty for a sound file.
    pub errors: Vec<String>,
}

/// The samples of one track that could be read, in file order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Track {
    /// Codec name (`h264`, `aac`).
    pub codec: String,
    /// Presentation time of every sample.
    pub pts: Vec<i64>,
    /// Duration of the last sample, 0 if not known.
    pub last_duration: i64,
    /// Bytes of all samples.
    pub bytes: u64,
}

impl Track {
    /// Number of samples.
    pub fn packets(&self) -> usize {
>>>>>>> infra
        self.pts.len()
    }

    /// Time of the first sample.
<<<<<<< HEAD
    pub fn start(&self) -> f64 {
        self.pts.first().copied().unwrap_or(f64::NAN)
    }

    /// End of the last sample.
    pub fn end(&self) -> f64 {
        self.pts.last().copied().unwrap_or(f64::NAN) + self.last_duration
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

/// Reads `path` with ffprobe.
pub fn ffprobe(path: &Path) -> Found {
    let mut found = Found::default();
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "packet=codec_type,pts_time,dts_time,duration_time,size", "-of", "csv"])
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .expect("ffprobe runs");
    found.complaints.extend(String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned));
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let fields: Vec<&str> = line.split(',').collect();
        let [_, kind, pts, dts, duration, size, ..] = fields.as_slice() else { continue };
        let track = match *kind {
            "video" => &mut found.video,
            "audio" => &mut found.audio,
            _ => continue,
        };
        if size.parse::<u64>().is_ok_and(|size| size > 0) {
            track.pts.extend(pts.parse::<f64>());
            track.dts.extend(dts.parse::<f64>());
            track.last_duration = duration.parse().unwrap_or(0.0);
        }
    }
    found
}

/// Reads `path` with qtdemux.
pub fn qtdemux(path: &Path) -> Found {
    gst::init().expect("GStreamer");
    let pipeline = gst::Pipeline::new();
    let source = gst::ElementFactory::make("filesrc").property("location", path).build().expect("filesrc");
    let demux = gst::ElementFactory::make("qtdemux").build().expect("qtdemux");
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
            if buffer.size() > 0 {
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
=======
    pub fn first_pts(&self) -> i64 {
        self.pts.first().copied().unwrap_or(0)
    }

    /// Time of the last sample.
    pub fn last_pts(&self) -> i64 {
        self.pts.last().copied().unwrap_or(0)
    }

    /// From the first sample's begin to the last one's end.
    pub fn duration(&self) -> Duration {
        Duration::from_nanos((self.last_pts() - self.first_pts() + self.last_duration).max(0).cast_unsigned())
    }

    /// Whether every sample is later than the one before.
    pub fn monotonic(&self) -> bool {
        self.pts.windows(2).all(|pair| pair[0] < pair[1])
    }

    /// The longest step between two samples in ns.
    pub fn longest_step(&self) -> i64 {
        self.pts.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0)
    }
}

/// Reads `path` with ffprobe. An error = it could not be opened at all.
pub fn ffprobe(path: &Path) -> Result<Streams, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut command = Command::new("ffprobe");
    command.args(["-v", "warning", "-print_format", "json", "-show_streams", "-show_packets"]).arg(path);
    let output = process::run("ffprobe", &mut command, folder.path(), READ_WITHIN);
    if output.code != Some(0) {
        return Err(format!("ffprobe {}: {}", path.display(), output.stderr.trim()));
    }
    let report: Value = serde_json::from_str(&output.stdout).map_err(|error| format!("ffprobe: {error}"))?;
    let list = |name: &str| report[name].as_array().cloned().unwrap_or_default();
    let mut streams = Streams { errors: output.stderr.lines().map(str::to_owned).collect(), ..Streams::default() };
    for stream in list("streams") {
        let slot = match stream["codec_type"].as_str() {
            Some("video") => &mut streams.video,
            Some("audio") => &mut streams.audio,
            _ => continue,
        };
        let codec = stream["codec_name"].as_str().unwrap_or_default().to_owned();
        let mut track = Track { codec, ..Track::default() };
        for packet in list("packets").iter().filter(|packet| packet["stream_index"] == stream["index"]) {
            track.pts.push(nanoseconds(&packet["pts_time"]).ok_or("ffprobe: a packet without a time")?);
            track.last_duration = nanoseconds(&packet["duration_time"]).unwrap_or(0);
            track.bytes += packet["size"].as_str().and_then(|size| size.parse::<u64>().ok()).unwrap_or(0);
        }
        slot.get_or_insert(track);
    }
    Ok(streams)
}

/// `"1.033333"` in ns.
fn nanoseconds(seconds: &Value) -> Option<i64> {
    let seconds: f64 = seconds.as_str()?.parse().ok()?;
    #[allow(clippy::cast_possible_truncation, reason = "media times are far below 2^63 ns")]
    Some((seconds * 1e9).round() as i64)
}

/// Reads `path` with `filesrc ! qtdemux`, in this process. An error = not one track was found.
pub fn qtdemux(path: &Path) -> Result<Streams, String> {
    gst::init().map_err(|error| error.to_string())?;
    let found = Arc::new(Mutex::new(Streams::default()));
    let pipeline = gst::Pipeline::new();
    let make = |name: &str| gst::ElementFactory::make(name).build().map_err(|error| error.to_string());
    let (source, demuxer) = (make("filesrc")?, make("qtdemux")?);
    source.set_property("location", path);
    pipeline.add_many([&source, &demuxer]).map_err(|error| error.to_string())?;
    source.link(&demuxer).map_err(|error| error.to_string())?;
    let (weak, into) = (pipeline.downgrade(), Arc::clone(&found));
    demuxer.connect_pad_added(move |_, pad| {
        if let Some(pipeline) = weak.upgrade()
            && let Err(error) = count(&pipeline, pad, &into)
        {
            into.lock().expect("no holder panics").errors.push(error);
        }
    });
    let ended = drive(&pipeline, READ_WITHIN);
    let mut streams = found.lock().expect("no holder panics").clone();
    streams.errors.extend(ended.err());
    if streams.video.is_none() && streams.audio.is_none() {
        return Err(format!("qtdemux {}: no track: {}", path.display(), streams.errors.join("; ")));
    }
    Ok(streams)
}

/// Gives `pad` a sink and counts what passes into `found`.
fn count(pipeline: &gst::Pipeline, pad: &gst::Pad, found: &Arc<Mutex<Streams>>) -> Result<(), String> {
    let sink = gst::ElementFactory::make("fakesink").property("sync", false).property("async", false).build();
    let sink = sink.map_err(|error| error.to_string())?;
    pipeline.add(&sink).map_err(|error| error.to_string())?;
    let end = sink.static_pad("sink").ok_or("a fakesink has a sink")?;
    let caps = pad.current_caps().map(|caps| caps.to_string()).unwrap_or_default();
    let codec = if caps.starts_with("video/x-h264") { "h264" } else { caps.split(',').next().unwrap_or_default() };
    let codec = if caps.starts_with("audio/mpeg, mpegversion=(int)4") { "aac" } else { codec };
    let video = caps.starts_with("video/");
    let slot = |streams: &mut Streams| if video { streams.video.is_none() } else { streams.audio.is_none() };
    {
        let mut streams = found.lock().expect("no holder panics");
        if slot(&mut streams) {
            let track = Some(Track { codec: codec.to_owned(), ..Track::default() });
            if video { streams.video = track } else { streams.audio = track }
        }
    }
    let found = Arc::clone(found);
    end.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let segment = pad.sticky_event::<gst::event::Segment>(0);
        let segment = segment.as_ref().and_then(|event| event.segment().downcast_ref::<gst::ClockTime>());
        let mut streams = found.lock().expect("no holder panics");
        let track = if video { streams.video.as_mut() } else { streams.audio.as_mut() };
        if let (Some(buffer), Some(track), Some(segment)) = (info.buffer(), track, segment) {
            track.pts.push(stream_time(segment, buffer.pts()));
            track.last_duration = buffer.duration().map_or(0, |duration| duration.nseconds().cast_signed());
            track.bytes += buffer.size() as u64;
        }
        gst::PadProbeReturn::Ok
    });
    pad.link(&end).map_err(|error| error.to_string())?;
    sink.sync_state_with_parent().map_err(|error| error.to_string())
}

fn stream_time(segment: &gst::FormattedSegment<gst::ClockTime>, pts: Option<gst::ClockTime>) -> i64 {
    match segment.to_stream_time_full(pts) {
        Some(gst::Signed::Positive(time)) => time.nseconds().cast_signed(),
        Some(gst::Signed::Negative(time)) => -time.nseconds().cast_signed(),
        None => i64::MIN,
    }
}

/// Plays `pipeline` to its end or first error, at most `time`, and throws it away.
pub fn drive(pipeline: &gst::Pipeline, time: Duration) -> Result<(), String> {
    let bus = pipeline.bus().ok_or("a pipeline has a bus")?;
    let wanted = [gst::MessageType::Eos, gst::MessageType::Error];
    let time = gst::ClockTime::from_nseconds(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    let started = pipeline.set_state(gst::State::Playing).map_err(|error| error.to_string());
    let message = bus.timed_pop_filtered(time, &wanted);
    pipeline.set_state(gst::State::Null).map_err(|error| error.to_string())?;
    match message.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Error(error)) => Err(format!("{} ({:?})", error.error(), error.debug())),
        Some(_) => started.map(|_| ()),
        None => Err("no end of stream in time".to_owned()),
    }
}

/// Reads `path` with both and expects them to agree on the number of samples; returns ffprobe's opinion.
pub fn both(path: &Path) -> Streams {
    let ours = ffprobe(path).unwrap_or_else(|error| panic!("{error}"));
    let other = qtdemux(path).unwrap_or_else(|error| panic!("{error}"));
    let counts = |streams: &Streams| [&streams.video, &streams.audio].map(|track| track.as_ref().map(Track::packets));
    assert_eq!(counts(&ours), counts(&other), "ffprobe and qtdemux disagree on {}: {ours:?} {other:?}", path.display());
    ours
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
        let (one, other) = (ffprobe(&path).expect("readable"), qtdemux(&path).expect("readable"));
        for streams in [&one, &other] {
            let (video, audio) = (streams.video.as_ref().expect("a picture"), streams.audio.as_ref().expect("a sound"));
            assert_eq!((video.codec.as_str(), video.packets(), audio.codec.as_str()), ("h264", 60, "aac"));
            // ffmpeg cuts the last AAC frame short; qtdemux leaves such a frame out.
            assert!((94..=95).contains(&audio.packets()) && audio.monotonic(), "{audio:?}");
            assert!(!video.monotonic(), "a camera film has B-frames: {video:?}");
            assert_eq!(streams.errors, Vec::<String>::new());
        }
    }

    #[test]
    fn what_is_readable_of_a_torn_file_is_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let (whole, torn) = (folder.path().join("whole.mp4"), folder.path().join("torn.mp4"));
        media_file::fragmented(&whole, 3);
        let bytes = std::fs::read(&whole).expect("a file");
        std::fs::write(&torn, &bytes[..bytes.len() * 2 / 3]).expect("a copy");
        let all = ffprobe(&whole).expect("readable").video.expect("a picture").packets();
        for read in [ffprobe, qtdemux] {
            let some = read(&torn).expect("readable").video.expect("a picture").packets();
            assert!(some > all / 3 && some < all, "{some} of {all}");
        }
        std::fs::write(&torn, b"not a film").expect("written");
        assert!(ffprobe(&torn).is_err() && qtdemux(&torn).is_err());
    }
>>>>>>> infra
}

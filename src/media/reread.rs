//! A second opinion: a demuxer of GStreamer's, which shares no code with ours, reads every sample of a part.
//!
//! ```text
//! filesrc ─▶ qtdemux | matroskademux ─┬─▶ fakesink (pictures, counted)
//!                                     └─▶ fakesink (sound, counted)
//! ```
//! Contract: counts samples and bytes per track, decodes nothing, holds one sample at a time. The demuxer pulls, so one
//! thread reads and delivers everything and no queue can fill up. It never waits longer than [`QUIET`] without a sample.
//! What the demuxer refuses is a fact about the file ([`Reread::refused`]); a disk that fails or is silent is an error.

use super::error::BuildError;
use crate::model::encoding::Container;
use gst::prelude::*;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A disk that delivers nothing for this long (spun down, error recovery of the drive: 7 s and more) delivers nothing.
const QUIET: Duration = Duration::from_secs(60);
/// How often progress is looked at.
const LOOK: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// What the demuxer found in one track.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrackRead {
    /// Samples with bytes in them.
    pub samples: u64,
    /// Their bytes.
    pub bytes: u64,
    /// End of the last one in the file's time, `None` without times.
    pub end: Option<Duration>,
}

/// What the demuxer found in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reread {
    /// All pictures.
    pub video: TrackRead,
    /// All sound.
    pub audio: TrackRead,
    /// Why it did not come to the end, in English.
    pub refused: Option<String>,
}

/// Reads `file` from its beginning, whatever its name. `on_bytes` is told how many bytes of media came since it was told last. Blocks.
pub fn reread(file: &File, container: Container, on_bytes: &mut dyn FnMut(u64)) -> Result<Reread, BuildError> {
    let pipeline = gst::Pipeline::with_name("reread");
    // The very file that was opened, also when its name has been given to another one meanwhile.
    let location = format!("/proc/self/fd/{}", file.as_raw_fd());
    let source = gst::ElementFactory::make("filesrc").name("reread-file").property("location", location).build()?;
    let demux = match container {
        Container::Mp4 => "qtdemux",
        Container::Mkv => "matroskademux",
    };
    let demux = gst::ElementFactory::make(demux).name("reread-demux").build()?;
    pipeline.add_many([&source, &demux])?;
    source.link(&demux)?;
    let found = Arc::new(Mutex::new(Reread::default()));
    let passed = Arc::new(AtomicU64::new(0));
    let (weak, sum, bytes) = (pipeline.downgrade(), Arc::clone(&found), Arc::clone(&passed));
    demux.connect_pad_added(move |_, pad| {
        let Some(pipeline) = weak.upgrade() else { return };
        if let Err(error) = count(&pipeline, pad, &sum, &bytes) {
            gst::element_error!(pipeline, gst::CoreError::Failed, ["a track cannot be read: {error}"]);
        }
    });
    let bus = pipeline.bus().ok_or_else(|| BuildError::Refused("a pipeline without a bus".to_owned()))?;
    let refused = match pipeline.set_state(gst::State::Playing) {
        Ok(_) => follow(&bus, &passed, on_bytes),
        Err(error) => said(&bus).unwrap_or_else(|| Err(error.into())),
    };
    // This process does nothing else: blocking here blocks nobody, and whoever started it ends it.
    let _ = pipeline.set_state(gst::State::Null);
    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner).clone();
    found.refused = refused?;
    Ok(found)
}

/// Waits for the end; returns why it did not come. `Err` = the disk, not the file, is to blame.
fn follow(bus: &gst::Bus, passed: &AtomicU64, on_bytes: &mut dyn FnMut(u64)) -> Result<Option<String>, BuildError> {
    let wanted = [gst::MessageType::Eos, gst::MessageType::Error];
    let (mut told, mut quiet) = (0, Duration::ZERO);
    loop {
        let message = bus.timed_pop_filtered(LOOK, &wanted);
        let now = passed.load(Ordering::Relaxed);
        quiet = if now > told { Duration::ZERO } else { quiet + Duration::from_nanos(LOOK.nseconds()) };
        on_bytes(now - told);
        told = now;
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => return why(&error.error()),
            Some(_) => return Ok(None),
            None if quiet >= QUIET => {
                return Err(BuildError::Unreachable(format!("nothing came for {} s", QUIET.as_secs())));
            }
            None => {}
        }
    }
}

fn said(bus: &gst::Bus) -> Option<Result<Option<String>, BuildError>> {
    match bus.pop_filtered(&[gst::MessageType::Error])?.view() {
        gst::MessageView::Error(error) => Some(why(&error.error())),
        _ => None,
    }
}

/// Errors of the resource come from the file source: the system did not deliver. All others are about what is in it.
fn why(error: &gst::glib::Error) -> Result<Option<String>, BuildError> {
    match error.is::<gst::ResourceError>() {
        true => Err(BuildError::Unreachable(error.to_string())),
        false => Ok(Some(error.to_string())),
    }
}

fn count(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    found: &Arc<Mutex<Reread>>,
    passed: &Arc<AtomicU64>,
) -> Result<(), BuildError> {
    // No preroll: a track whose first sample lies far behind the other's must not hold it up.
    let sink = gst::ElementFactory::make("fakesink").property("sync", false).property("async", false);
    let sink = sink.property("enable-last-sample", false).build()?;
    pipeline.add(&sink)?;
    sink.sync_state_with_parent()?;
    let input = sink.static_pad("sink").ok_or_else(|| BuildError::Refused("a sink without a pad".to_owned()))?;
    let video = pad.name().starts_with("video");
    let (found, passed) = (Arc::clone(found), Arc::clone(passed));
    input.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data
            && buffer.size() > 0
        {
            let bytes = buffer.size() as u64;
            passed.fetch_add(bytes, Ordering::Relaxed);
            let end = end_of(pad, buffer);
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            let track = if video { &mut found.video } else { &mut found.audio };
            track.samples += 1;
            track.bytes += bytes;
            track.end = track.end.max(end);
        }
        gst::PadProbeReturn::Ok
    });
    pad.link(&input).map_err(|error| BuildError::Refused(error.to_string()))?;
    Ok(())
}

fn end_of(pad: &gst::Pad, buffer: &gst::BufferRef) -> Option<Duration> {
    let segment = pad.sticky_event::<gst::event::Segment>(0)?.segment().clone();
    let segment = segment.downcast::<gst::ClockTime>().ok()?;
    let end = buffer.pts()? + buffer.duration().unwrap_or(gst::ClockTime::ZERO);
    match segment.to_stream_time_full(end)? {
        gst::Signed::Positive(time) => Some(Duration::from_nanos(time.nseconds())),
        gst::Signed::Negative(_) => Some(Duration::ZERO),
    }
}

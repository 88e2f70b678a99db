//! One part: encoded streams into one file.
//!
//! ```text
//! in (video) ─▶ (pad offset) ┐
//! in (sound) ─▶ (pad offset) ┴▶ isofmp4mux ─▶ durable sink
//! ```
//! Contract: append only, one fragment per `fragment_ms`, first sample at 0. The inlets are not live: the muxer
//! waits for both streams instead of guessing by time-out; the stage guarantees that sound never stops.

use super::durable_sink::{self, OpenError, SinkEvent, SinkOptions};
use super::element;
use super::encoder::Encode;
use super::error::BuildError;
use super::joint::{Inlet, Limits};
use super::pipeline::{BusEvent, Pipeline};
use crate::model::encoding::Encoding;
use gst::prelude::*;
use std::path::PathBuf;
use std::time::Duration;

/// Why a part could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// The file could not be created.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The pipeline could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// A part that is being written.
#[derive(Debug)]
pub struct Part {
    pipeline: Pipeline,
    sink: gst::Element,
    video: Inlet,
    audio: Option<Inlet>,
}

impl Part {
    /// Creates the file `path` (refused when it exists) and takes everything `encode` makes from now on.
    /// `priming` is how far the sound lies before its stamps. `on_progress` is called from streaming threads, `on_event` on the glib main loop.
    pub fn open(
        name: &str,
        path: PathBuf,
        encoding: &Encoding,
        encode: &Encode,
        priming: Duration,
        on_progress: impl Fn(SinkEvent) + Send + Sync + 'static,
        on_event: impl FnMut(BusEvent) + 'static,
    ) -> Result<Self, PartError> {
        let mut pipeline = Pipeline::new(name);
        let bin = pipeline.bin().clone();
        let mux = element::make("isofmp4mux", &format!("{name}-mux")).map_err(PartError::Build)?;
        let fragment = gst::ClockTime::from_mseconds(u64::from(encoding.fragment_ms)).nseconds();
        mux.set_property("fragment-duration", fragment);
        mux.set_property("chunk-duration", fragment);
        // The encoder keeps its own keyframe distance; a forced keyframe per fragment would cost bitrate.
        mux.set_property("send-force-keyunit", false);
        mux.set_property("offset-to-zero", true);
        mux.set_property_from_str("write-edts-mode", "never");
        bin.add(&mux).map_err(BuildError::from)?;

        let mut video = Inlet::add(&bin, &format!("{name}-video-in"), Limits::ENCODED, false)?;
        attach(&video, &mux)?;
        let mut audio = None;
        if encode.audio_out().is_some() {
            let inlet = Inlet::add(&bin, &format!("{name}-audio-in"), Limits::ENCODED, false)?;
            // The encoder's first packet only warms decoders up; see [`super::clip`].
            inlet.pad()?.set_offset(-i64::try_from(priming.as_nanos()).unwrap_or(0));
            attach(&inlet, &mux)?;
            audio = Some(inlet);
        }

        let sink = durable_sink::make(SinkOptions { path, name: format!("{name}-sink") }, on_progress)?;
        bin.add(&sink).map_err(BuildError::from)?;
        mux.link(&sink).map_err(BuildError::from)?;
        pipeline.play(on_event)?;
        video.connect(encode.video_out())?;
        if let (Some(inlet), Some(outlet)) = (&mut audio, encode.audio_out()) {
            inlet.connect(outlet)?;
        }
        Ok(Self { pipeline, sink, video, audio })
    }

    /// Writes what is queued, then reports [`BusEvent::Ended`]. Every stream must end, one alone never finishes.
    pub fn end(&mut self) {
        self.video.end();
        if let Some(audio) = &mut self.audio {
            audio.end();
        }
    }

    /// Encoded buffers lost because the disk was too slow for too long.
    pub fn overflowed(&self) -> u64 {
        self.video.overflowed() + self.audio.as_ref().map_or(0, Inlet::overflowed)
    }

    /// Throws the pipeline away and hands the sink, now at rest, to `done` on the teardown thread.
    pub fn discard(self, done: impl FnOnce(gst::Element) + Send + 'static) {
        let sink = self.sink.clone();
        self.pipeline.discard(move || done(sink));
    }
}

fn attach(inlet: &Inlet, mux: &gst::Element) -> Result<(), BuildError> {
    inlet.pad()?.link(&element::request_pad(mux, "sink_%u")?)?;
    Ok(())
}

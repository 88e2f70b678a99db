//! One part: encoded streams into one file.
//!
//! ```text
//! in (video) ─▶ (pad offset) ┐
//! in (sound) ─▶ (pad offset) ┴▶ muxer ─▶ durable sink
//! ```
//! Contract: append only, one fragment per `fragment_ms`, first sample at 0. The inlets are not live: the muxer
//! waits for both streams instead of guessing by time-out; the stage guarantees that sound never stops.

use super::encoder::Encode;
use super::error::BuildError;
use super::joint::{Inlet, Limits};
use super::muxer::{self, Stream, make_muxer};
use super::pipeline::{BusEvent, Pipeline};
use crate::model::encoding::Encoding;
use gst::prelude::*;
use std::time::Duration;

/// A part that is being written.
#[derive(Debug)]
pub struct Part {
    pipeline: Pipeline,
    sink: gst::Element,
    video: Inlet,
    audio: Option<Inlet>,
}

impl Part {
    /// Writes everything `encode` makes from now on into `sink`, a fresh durable sink. `priming` is how far the
    /// sound lies before its stamps.
    pub fn open(
        name: &str,
        sink: gst::Element,
        encoding: &Encoding,
        encode: &Encode,
        priming: Duration,
        on_event: impl FnMut(BusEvent) + 'static,
    ) -> Result<Self, BuildError> {
        let mut pipeline = Pipeline::new(name);
        let bin = pipeline.bin().clone();
        let mux = make_muxer(&format!("{name}-mux"), encoding)?;
        bin.add(&mux)?;

        let mut video = Inlet::add(&bin, &format!("{name}-video-in"), Limits::ENCODED, false)?;
        attach(&video, &mux, Stream::Video)?;
        video.prepare(encode.video_out())?;
        let mut audio = None;
        if let Some(outlet) = encode.audio_out() {
            let mut inlet = Inlet::add(&bin, &format!("{name}-audio-in"), Limits::ENCODED, false)?;
            // The encoder's first packet only warms decoders up; see [`super::clip`].
            inlet.pad()?.set_offset(-i64::try_from(priming.as_nanos()).unwrap_or(0));
            attach(&inlet, &mux, Stream::Audio)?;
            inlet.prepare(outlet)?;
            audio = Some(inlet);
        }

        bin.add(&sink)?;
        mux.link(&sink)?;
        pipeline.play(on_event)?;
        video.open();
        if let Some(inlet) = &audio {
            inlet.open();
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

fn attach(inlet: &Inlet, mux: &gst::Element, stream: Stream) -> Result<(), BuildError> {
    inlet.pad()?.link(&muxer::request_pad(mux, stream)?)?;
    Ok(())
}

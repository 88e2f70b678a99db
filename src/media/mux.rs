//! One part: encoded streams into one file.
//!
//! ```text
//! in (video) ─▶ (window) ─────▶ (gate) ──┐
//! in (sound) ─▶ (pad offset) ─▶ (window) ┴▶ muxer ─▶ durable sink
//! ```
//! Contract: append only, one fragment per `fragment_ms`, first sample at 0, nothing outside its [`Window`], no
//! picture that a full queue has made undecodable ([`super::decodable`]). Several parts may hang on one encoder. The
//! inlets are not live: the muxer waits for both streams instead of guessing by time-out; the stage guarantees that
//! sound never stops.

use super::boundary::Window;
use super::decodable::Gate;
use super::encoder::Encode;
use super::error::BuildError;
use super::joint::{Inlet, Limits};
use super::muxer::{self, Stream};
use super::pipeline::{BusEvent, Pipeline};
use crate::model::MonoNs;
use crate::model::encoding::Encoding;
use gst::prelude::*;

/// A track's clock ticks at least this often per second, so that where the sound of a part begins is true to 11 µs
/// (1.7° of a 440 Hz tone).
const LEAST_TIMESCALE: u32 = 90_000;

/// A part that is being written.
#[derive(Debug)]
pub struct Part {
    pipeline: Pipeline,
    sink: gst::Element,
    video: Inlet,
    gate: Gate,
    audio: Option<Inlet>,
}

impl Part {
    /// Writes what `encode` makes from now on and `window` lets pass into `sink`, a fresh durable sink.
    pub fn open(
        name: &str,
        sink: gst::Element,
        encoding: &Encoding,
        encode: &Encode,
        window: &Window,
        on_event: impl FnMut(BusEvent) + 'static,
    ) -> Result<Self, BuildError> {
        let mut pipeline = Pipeline::new(name);
        let bin = pipeline.bin().clone();
        let mux = muxer::make_muxer(&format!("{name}-mux"), encoding)?;
        bin.add(&mux)?;

        let mut video = Inlet::add(&bin, &format!("{name}-video-in"), Limits::ENCODED, false)?;
        let pad = attach(&video, &mux, Stream::Video)?;
        window.attach_video(&pad);
        let gate = Gate::default();
        gate.attach(&video, &pad)?;
        if pad.find_property("trak-timescale").is_some() {
            pad.set_property("trak-timescale", timescale(encode.rate()));
            muxer::end_with_gap(&video.pad()?, &pad);
        }
        video.prepare(encode.video_out())?;
        let mut audio = None;
        if let Some(outlet) = encode.audio_out() {
            let mut inlet = Inlet::add(&bin, &format!("{name}-audio-in"), Limits::ENCODED, false)?;
            // The encoder's first packet only warms decoders up; see [`super::clip`].
            inlet.pad()?.set_offset(-i64::try_from(encode.audio_priming().as_nanos()).unwrap_or(0));
            // Behind the offset, where a packet's time is that of the sound in it.
            window.attach_sound(&attach(&inlet, &mux, Stream::Audio)?);
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
        Ok(Self { pipeline, sink, video, gate, audio })
    }

    /// Writes what is queued, then reports [`BusEvent::Ended`]. Every stream must end, one alone never finishes.
    pub fn end(&mut self) {
        self.end_video();
        self.end_sound();
    }

    /// No more pictures; the muxer does not wait for them any more while it takes the sound that is still to come.
    pub fn end_video(&mut self) {
        self.video.end();
    }

    /// No more sound.
    pub fn end_sound(&mut self) {
        if let Some(audio) = &mut self.audio {
            audio.end();
        }
    }

    /// Whether there is a sound track.
    pub fn has_sound(&self) -> bool {
        self.audio.is_some()
    }

    /// Its pictures end at `at`; `later` of the next part's have come out of the encoder so far. What its queue loses of
    /// those while it still takes them is no loss of this part.
    pub fn end_pictures_at(&mut self, at: MonoNs, later: impl FnOnce() -> u64) {
        self.video.end_at(at, later);
    }

    /// How full its queues are, in percent.
    pub fn fill_percent(&self) -> u8 {
        self.video.fill_percent().max(self.audio.as_ref().map_or(0, Inlet::fill_percent))
    }

    /// Encoded buffers known to be lost because the disk was too slow for too long, with the pictures that could not be
    /// decoded without them.
    pub fn overflowed(&self) -> u64 {
        self.lost_pictures() + self.audio.as_ref().map_or(0, Inlet::overflowed)
    }

    /// Pictures among them.
    pub fn lost_pictures(&self) -> u64 {
        self.video.overflowed() + self.kept_out()
    }

    /// Pictures that came through the queue and could not be decoded without those that it lost.
    pub fn kept_out(&self) -> u64 {
        self.gate.kept_out()
    }

    /// Throws the pipeline away and hands the sink, now at rest, to `done` on the teardown thread.
    pub fn discard(self, done: impl FnOnce(gst::Element) + Send + 'static) {
        let sink = self.sink.clone();
        self.pipeline.discard(move || done(sink));
    }
}

fn attach(inlet: &Inlet, mux: &gst::Element, stream: Stream) -> Result<gst::Pad, BuildError> {
    let pad = muxer::request_pad(mux, stream)?;
    inlet.pad()?.link(&pad)?;
    Ok(pad)
}

/// The smallest multiple of the frame rate's numerator that ticks often enough: every frame lasts whole ticks.
fn timescale(rate: gst::Fraction) -> u32 {
    let numerator = rate.numer().unsigned_abs().max(1);
    numerator * LEAST_TIMESCALE.div_ceil(numerator)
}

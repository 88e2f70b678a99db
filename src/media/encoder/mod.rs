//! Encoding one input: chooses encoders that really work here, and runs them.
//!
//! ```text
//! in ─▶ (clip) ─▶ videoconvert ─▶ encoder ─▶ h264parse ─▶ avc, one frame per buffer ─▶ out
//! in ─▶ (clip) ─▶ audioconvert ─▶ encoder ─▶ raw AAC ─▶ out
//! ```
//! Contract: an encoder is never reset; it ends, or is thrown away.

mod choice;

pub use choice::Encoders;

use super::clip::Clip;
use super::element;
use super::error::BuildError;
use super::joint::{Inlet, Limits, Outlet};
use super::pipeline::{BusEvent, Pipeline};
use super::signal::VideoFormat;
use super::stage::{self, Stage};
use super::tally::Tally;
use crate::model::encoding::Encoding;
use choice::{AAC_BITRATE, configure_video, set_first};
use gst::prelude::*;

/// A running encoder pair.
#[derive(Debug)]
pub struct Encode {
    pipeline: Pipeline,
    video: Track,
    audio: Option<Track>,
}

/// One encoded stream.
#[derive(Debug)]
struct Track {
    input: Inlet,
    output: Outlet,
    /// What reaches the encoder.
    taken: Tally,
    /// What leaves it.
    made: Tally,
}

/// Frames through an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EncoderFrames {
    /// Given to the encoder.
    pub taken: u64,
    /// Come out of it.
    pub made: u64,
    /// Lost because the queue before it was full.
    pub overflowed: u64,
}

impl Encode {
    /// Builds encoders for what `stage` hands out in `format`, with sound if wanted and there, clipped by `clip`.
    pub fn build(
        name: &str,
        encoders: &Encoders,
        encoding: &Encoding,
        format: &VideoFormat,
        stage: &Stage,
        with_audio: bool,
        clip: &Clip,
    ) -> Result<Self, BuildError> {
        let pipeline = Pipeline::new(name);
        let bin = pipeline.bin();
        let mut video = make_video(bin, name, encoders, encoding, format, clip)?;
        video.input.prepare(&stage.video_out)?;
        let mut audio = None;
        if let (Some(factory), Some(sound), true) = (&encoders.audio, &stage.audio, with_audio) {
            let mut track = make_audio(bin, name, factory, clip)?;
            track.input.prepare(&sound.output)?;
            audio = Some(track);
        }
        Ok(Self { pipeline, video, audio })
    }

    /// Takes what the stage hands out from now on.
    pub fn start(&mut self, on_event: impl FnMut(BusEvent) + 'static) -> Result<(), BuildError> {
        self.pipeline.play(on_event)?;
        if let Some(track) = &self.audio {
            track.input.open();
        }
        self.video.input.open();
        Ok(())
    }

    /// Where encoded video comes out.
    pub fn video_out(&self) -> &Outlet {
        &self.video.output
    }

    /// Where encoded sound comes out, if there is any.
    pub fn audio_out(&self) -> Option<&Outlet> {
        self.audio.as_ref().map(|track| &track.output)
    }

    /// Takes no more, encodes what is queued, then reports [`BusEvent::Ended`].
    pub fn end(&mut self) {
        self.video.input.end();
        if let Some(audio) = &mut self.audio {
            audio.input.end();
        }
    }

    /// Frames of video so far.
    pub fn frames(&self) -> EncoderFrames {
        let (made, taken) = (self.video.made.count(), self.video.taken.count());
        EncoderFrames { taken, made, overflowed: self.video.input.overflowed() }
    }

    /// Throws the encoders away.
    pub fn discard(self, done: impl FnOnce() + Send + 'static) {
        self.pipeline.discard(done);
    }
}

fn make_video(
    bin: &gst::Bin,
    name: &str,
    encoders: &Encoders,
    encoding: &Encoding,
    format: &VideoFormat,
    clip: &Clip,
) -> Result<Track, BuildError> {
    let input = Inlet::add(bin, &format!("{name}-video-in"), Limits::RAW_VIDEO, false)?;
    // Passes through for encoders that take I420, converts for those that want NV12.
    let convert = element::make("videoconvert", &format!("{name}-convert"))?;
    let encoder = element::make(&encoders.video, &format!("{name}-h264"))?;
    configure_video(&encoder, encoding, format);
    let parse = element::make("h264parse", &format!("{name}-parse"))?;
    let caps = gst::Caps::builder("video/x-h264").field("stream-format", "avc").field("alignment", "au").build();
    let filter = element::caps_filter(&format!("{name}-avc"), &caps)?;
    element::chain(bin, &[&convert, &encoder, &parse, &filter])?;
    input.element().link(&convert)?;
    let output = Outlet::append(bin, &filter, &format!("{name}-video-out"))?;

    let (taken, made) = (Tally::default(), Tally::default());
    clip.attach_video(&input.pad()?);
    taken.attach(&element::pad(&encoder, "sink")?);
    made.attach(&output.pad()?);
    Ok(Track { input, output, taken, made })
}

fn make_audio(bin: &gst::Bin, name: &str, factory: &str, clip: &Clip) -> Result<Track, BuildError> {
    let input = Inlet::add(bin, &format!("{name}-audio-in"), Limits::RAW_AUDIO, false)?;
    let convert = element::audio_convert(&format!("{name}-audio-convert"))?;
    let encoder = element::make(factory, &format!("{name}-aac"))?;
    set_first(&encoder, &[("bitrate", &AAC_BITRATE.to_string())]);
    let caps = gst::Caps::builder("audio/mpeg").field("mpegversion", 4).field("stream-format", "raw").build();
    let filter = element::caps_filter(&format!("{name}-raw-aac"), &caps)?;
    element::chain(bin, &[&convert, &encoder, &filter])?;
    input.element().link(&convert)?;
    let output = Outlet::append(bin, &filter, &format!("{name}-audio-out"))?;

    let (taken, made) = (Tally::default(), Tally::default());
    clip.attach_audio(&input.pad()?, stage::AUDIO_RATE, stage::AUDIO_FRAME_BYTES);
    taken.attach(&element::pad(&encoder, "sink")?);
    made.attach(&output.pad()?);
    Ok(Track { input, output, taken, made })
}

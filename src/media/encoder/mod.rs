//! Encoding one input: chooses encoders that really work here, and runs them.
//!
//! ```text
//! in ─▶ (clip) ─▶ videoconvert ─▶ encoder ─▶ parser ─▶ avc/hvc1, one frame per buffer ─▶ out
//! in ─▶ (clip) ──────── where pictures are copied ──────────▶ avc/hvc1, one frame per buffer ─▶ out
//! in ─▶ (clip) ─▶ audioconvert ─▶ encoder ─▶ AAC, Opus or PCM ─▶ out
//! ```
//! Contract: an encoder is never reset; it ends, or is thrown away.

mod choice;
mod copy;
mod sound;

pub use choice::{Chosen, Encoders};

use super::clip::Clip;
use super::element;
use super::error::BuildError;
use super::joint::{Inlet, Limits, Outlet};
use super::kept::Kept;
use super::pipeline::{BusEvent, Pipeline};
use super::signal::VideoFormat;
use super::source::Coded;
use super::stage::{self, Stage};
use super::tally::Tally;
use crate::model::encoding::{Encoding, VideoCodec};
use choice::{VideoEncoder, configure_video};
use gst::prelude::*;
use sound::SoundEncoder;

/// A running encoder pair.
#[derive(Debug)]
pub struct Encode {
    pipeline: Pipeline,
    video: Track,
    audio: Option<Track>,
    /// What each stream begins with, where pictures are copied.
    kept: Option<(Kept, Option<Kept>)>,
}

/// What encoders take: raw pictures and sound from a stage, or pictures that arrive encoded.
#[derive(Debug, Clone, Copy)]
pub struct Feed<'a> {
    /// Steady pictures and sound.
    pub stage: &'a Stage,
    /// The pictures of a source that is copied.
    pub coded: Option<&'a Coded>,
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
    /// Builds the `chosen` encoders for what `feed` hands out in `format`, clipped by `clip`.
    pub fn build(
        name: &str,
        chosen: &Chosen,
        encoding: &Encoding,
        format: &VideoFormat,
        feed: Feed<'_>,
        clip: &Clip,
    ) -> Result<Self, BuildError> {
        let pipeline = Pipeline::new(name);
        let bin = pipeline.bin();
        let video = match (&chosen.video, feed.coded) {
            (Some(encoder), _) => {
                let mut track = make_video(bin, name, encoder, encoding, format, clip)?;
                track.input.prepare(&feed.stage.video_out)?;
                track
            }
            (None, Some(coded)) => {
                let mut track = copy::make(bin, name, clip)?;
                track.input.prepare(&coded.outlet)?;
                track
            }
            (None, None) => return Err(BuildError::Refused("there is nothing to copy from".to_owned())),
        };
        let mut audio = None;
        if let (Some(encoder), Some(sound)) = (&chosen.audio, &feed.stage.audio) {
            let mut track = make_audio(bin, name, encoder, clip)?;
            track.input.prepare(&sound.output)?;
            audio = Some(track);
        }
        let copied = feed.coded.filter(|_| chosen.video.is_none());
        let sound = feed.stage.audio.as_ref().and_then(|sound| sound.kept.clone());
        let kept = copied.map(|coded| (coded.kept.clone(), sound));
        Ok(Self { pipeline, video, audio, kept })
    }

    /// Takes what the stage hands out from now on.
    pub fn start(&mut self, on_event: impl FnMut(BusEvent) + 'static) -> Result<(), BuildError> {
        self.pipeline.play(on_event)?;
        let (pictures, sound) = self.kept.as_ref().map_or((None, None), |(video, audio)| (Some(video), audio.as_ref()));
        if pictures.is_some_and(Kept::gave_up) {
            tracing::warn!("the camera's keyframes are too far apart to be kept; the recording waits for the next one");
        }
        // Pictures that are kept decide where the sound begins; else the sound is there when the first picture comes.
        if let Some(kept) = pictures {
            self.video.input.open_with(kept)?;
        }
        match (&mut self.audio, sound) {
            (Some(track), Some(kept)) => track.input.open_with(kept)?,
            (Some(track), None) => track.input.open(),
            (None, _) => {}
        }
        if pictures.is_none() {
            self.video.input.open();
        }
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
    chosen: &VideoEncoder,
    encoding: &Encoding,
    format: &VideoFormat,
    clip: &Clip,
) -> Result<Track, BuildError> {
    let input = Inlet::add(bin, &format!("{name}-video-in"), Limits::RAW_VIDEO, false)?;
    // Passes through for encoders that take I420, converts for those that want NV12.
    let convert = element::make("videoconvert", &format!("{name}-convert"))?;
    let encoder = element::make(&chosen.factory, &format!("{name}-encoder"))?;
    configure_video(&encoder, encoding, format);
    let (parse, filter) = parse(name, chosen.codec)?;
    element::chain(bin, &[&convert, &encoder, &parse, &filter])?;
    input.element().link(&convert)?;
    let output = Outlet::append(bin, &filter, &format!("{name}-video-out"))?;

    let (taken, made) = (Tally::default(), Tally::default());
    clip.attach_video(&input.pad()?);
    taken.attach(&element::pad(&encoder, "sink")?);
    made.attach(&output.pad()?);
    Ok(Track { input, output, taken, made })
}

/// A parser for `codec` and what follows it: whole pictures as containers want them, the headers in the caps.
fn parse(name: &str, codec: VideoCodec) -> Result<(gst::Element, gst::Element), BuildError> {
    let (parser, media, layout) = match codec {
        VideoCodec::H264 => ("h264parse", "video/x-h264", "avc"),
        VideoCodec::H265 => ("h265parse", "video/x-h265", "hvc1"),
    };
    let caps = gst::Caps::builder(media).field("stream-format", layout).field("alignment", "au").build();
    let filter = element::caps_filter(&format!("{name}-{layout}"), &caps)?;
    Ok((element::make(parser, &format!("{name}-parse"))?, filter))
}

fn make_audio(bin: &gst::Bin, name: &str, chosen: &SoundEncoder, clip: &Clip) -> Result<Track, BuildError> {
    let input = Inlet::add(bin, &format!("{name}-audio-in"), Limits::RAW_AUDIO, false)?;
    let convert = element::audio_convert(&format!("{name}-audio-convert"))?;
    let elements = chosen.elements(name)?;
    let chain: Vec<&gst::Element> = std::iter::once(&convert).chain(&elements).collect();
    element::chain(bin, &chain)?;
    input.element().link(&convert)?;
    let (first, last) = (elements.first().unwrap_or(&convert), elements.last().unwrap_or(&convert));
    let output = Outlet::append(bin, last, &format!("{name}-audio-out"))?;

    let (taken, made) = (Tally::default(), Tally::default());
    clip.attach_audio(&input.pad()?, stage::AUDIO_RATE, stage::AUDIO_FRAME_BYTES);
    taken.attach(&element::pad(first, "sink")?);
    made.attach(&output.pad()?);
    Ok(Track { input, output, taken, made })
}

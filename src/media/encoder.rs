//! Encoding one input: chooses encoders that really work here, and runs them.
//!
//! ```text
//! in ─▶ (clip) ─▶ videoconvert ─▶ encoder ─▶ h264parse ─▶ avc, one frame per buffer ─▶ out
//! in ─▶ (clip) ─▶ audioconvert ─▶ encoder ─▶ raw AAC ─▶ out
//! ```
//! Contract: property names differ between builds of the same encoder (R58.md), so each is probed and an absent
//! one is skipped. Bitrates go in as kbit/s and leave in the unit of the property.

use super::clip::Clip;
use super::element;
use super::error::BuildError;
use super::joint::{Inlet, Limits, Outlet};
use super::pipeline::{BusEvent, Pipeline};
use super::signal::VideoFormat;
use super::stage::{self, Stage};
use super::tally::Tally;
use crate::model::encoding::Encoding;
use gst::prelude::*;
use std::time::Duration;

/// Video encoders, best first: the R58's, generic hardware, then software.
const H264_RANKED: [&str; 5] = ["mpph264enc", "v4l2h264enc", "vah264enc", "x264enc", "openh264enc"];
/// Sound encoders, best first.
const AAC_RANKED: [&str; 3] = ["fdkaacenc", "avenc_aac", "voaacenc"];
/// Bitrate of the sound in bit/s: transparent for stereo AAC-LC.
const AAC_BITRATE: i32 = 160_000;

/// The encoders that work on this machine, probed once per worker.
#[derive(Debug, Clone)]
pub struct Encoders {
    video: String,
    audio: Option<String>,
}

impl Encoders {
    /// Probes the ranked lists. Opens and closes devices: not while another encoder of this process runs.
    pub fn probe() -> Result<Self, BuildError> {
        let video = element::first_working("H.264 encoder", &H264_RANKED, "probe")?;
        let audio = element::first_working("AAC encoder", &AAC_RANKED, "probe");
        Ok(Self { video: factory_name(&video), audio: audio.as_ref().map(factory_name).ok() })
    }

    /// How far the sound that comes out lies behind its time stamps. Measured with a tick: `avenc_aac` 1024 samples,
    /// `voaacenc` 576 more; `fdkaacenc` as its library documents the delay of AAC-LC.
    pub fn audio_priming(&self) -> Duration {
        let samples: u32 = match self.audio.as_deref() {
            Some("fdkaacenc") => 2048,
            Some("voaacenc") => 1600,
            _ => 1024,
        };
        Duration::from_nanos(u64::from(samples) * 1_000_000_000 / u64::from(stage::AUDIO_RATE))
    }
}

fn factory_name(element: &gst::Element) -> String {
    element.factory().map(|factory| factory.name().to_string()).unwrap_or_default()
}

/// Sets the first of `names` the element has; returns whether it had one.
fn set_first(element: &gst::Element, settings: &[(&str, &str)]) -> bool {
    for (name, value) in settings {
        if element.find_property(name).is_some() {
            element.set_property_from_str(name, value);
            return true;
        }
    }
    false
}

/// Applies rate, keyframe distance and low latency to whichever encoder was chosen.
fn configure_video(encoder: &gst::Element, encoding: &Encoding, format: &VideoFormat) {
    let bits = (encoding.bitrate_kbps * 1000).to_string();
    let kilobits = encoding.bitrate_kbps.to_string();
    let rate = format.recorded_rate();
    let frames = u64::from(encoding.keyframe_interval_ms) * u64::from(rate.numer().unsigned_abs())
        / (1000 * u64::from(rate.denom().unsigned_abs()));
    let gop = frames.max(1).to_string();
    let set = |settings: &[(&str, &str)]| set_first(encoder, settings);
    match factory_name(encoder).as_str() {
        "mpph264enc" => {
            // Older builds say bps, newer ones bitrate, both in bit/s.
            set(&[("bps", &bits), ("bitrate", &bits)]);
            set(&[("rc-mode", "cbr")]);
            set(&[("gop", &gop)]);
            set(&[("header-mode", "each-idr")]);
            for limit in [("qp-init", "26"), ("qp-min", "10"), ("qp-max", "51")] {
                set(&[limit]);
            }
        }
        "v4l2h264enc" => {
            let controls = format!("controls,video_bitrate={bits},h264_i_frame_period={gop}");
            set(&[("extra-controls", &controls)]);
        }
        "vah264enc" => {
            set(&[("bitrate", &kilobits)]);
            set(&[("key-int-max", &gop)]);
            set(&[("b-frames", "0")]);
        }
        "openh264enc" => {
            set(&[("bitrate", &bits)]);
            set(&[("gop-size", &gop)]);
            set(&[("complexity", "low")]);
            set(&[("rate-control", "bitrate")]);
        }
        _ => {
            set(&[("bitrate", &kilobits)]);
            set(&[("key-int-max", &gop)]);
            // Measured: 47 MB instead of 297 MB at 1080p, and nothing is held back when the process dies.
            set(&[("speed-preset", "ultrafast")]);
            set(&[("tune", "zerolatency")]);
            set(&[("bframes", "0")]);
        }
    }
}

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

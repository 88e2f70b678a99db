//! Encoding one input: chooses encoders that really work here, and runs them.
//!
//! ```text
//! in ─▶ (clip) ─▶ videoconvert ─▶ encoder ─▶ parser ─▶ avc/hvc1, one frame per buffer ─▶ out
//! in ─▶ (clip) ──────── where pictures are copied ──────────▶ avc/hvc1, one frame per buffer ─▶ out
//! in ─▶ (clip) ─▶ audioconvert ─▶ encoder ─▶ AAC, Opus or PCM ─▶ out
//! ```
//! Contract: one pair per input and session; parts come and go at its outlets ([`super::mux::Part`]) while it runs.
//! It is never reset; it ends, or is thrown away. Where one part ends and the next begins is decided here, at the
//! keyframe it makes for that ([`Encode::arm`]).

mod bitrate;
mod choice;
mod copy;
mod sound;

pub use choice::{Chosen, Encoders};

use super::boundary::Boundary;
use super::clip::Clip;
use super::decodable;
use super::element;
use super::error::BuildError;
use super::joint::{Inlet, Limits, Outlet};
use super::kept::Kept;
use super::pipeline::{BusEvent, Pipeline};
use super::signal::VideoFormat;
use super::source::Coded;
use super::stage::{self, Stage};
use super::tally::{Tally, running_time};
use crate::model::MonoNs;
use crate::model::encoding::{Encoding, VideoCodec};
use bitrate::Bitrate;
use choice::{VideoEncoder, configure_video};
use gst::prelude::*;
use sound::SoundEncoder;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A running encoder pair.
#[derive(Debug)]
pub struct Encode {
    pipeline: Pipeline,
    video: Track,
    audio: Option<Track>,
    /// What each stream begins with, where pictures are copied.
    kept: Option<(Kept, Option<Kept>)>,
    rate: gst::Fraction,
    audio_priming: Duration,
    audio_warm_up: Duration,
    armed: Arc<Mutex<Option<Armed>>>,
}

/// What encoders take: raw pictures and sound from a stage, or pictures that arrive encoded.
#[derive(Debug, Clone, Copy)]
pub struct Feed<'a> {
    /// Steady pictures and sound.
    pub stage: &'a Stage,
    /// The pictures of a source that is copied.
    pub coded: Option<&'a Coded>,
}

/// A boundary that waits for its keyframe, and whom to tell.
struct Armed {
    boundary: Boundary,
    on_decided: Box<dyn FnOnce(MonoNs) + Send>,
}

impl fmt::Debug for Armed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.boundary.fmt(f)
    }
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
    /// Its rate, where that can be changed.
    bitrate: Option<Bitrate>,
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
            (None, Some(_)) => copy::make(bin, name, clip)?,
            (None, None) => return Err(BuildError::Refused("there is nothing to copy from".to_owned())),
        };
        let kept_sound = || feed.stage.audio.as_ref().and_then(|sound| sound.kept.clone());
        let kept = feed.coded.filter(|_| chosen.copies()).map(|coded| (coded.kept.clone(), kept_sound()));
        let mut audio = None;
        if let (Some(encoder), Some(sound)) = (&chosen.audio, &feed.stage.audio) {
            let mut track = make_audio(bin, name, encoder, clip)?;
            if kept.as_ref().is_none_or(|(_, sound)| sound.is_none()) {
                track.input.prepare(&sound.output)?;
            }
            audio = Some(track);
        }
        let armed = Arc::default();
        decide(&video.output.pad()?, &armed);
        decodable::number(&video.output.pad()?);
        let (rate, audio_priming, audio_warm_up) =
            (format.recorded_rate(), chosen.audio_priming(), chosen.audio_warm_up());
        Ok(Self { pipeline, video, audio, rate, audio_priming, audio_warm_up, armed, kept })
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
            self.video.input.open_with(kept);
        }
        match (&mut self.audio, sound) {
            (Some(track), Some(kept)) => track.input.open_with(kept),
            (Some(track), None) => track.input.open(),
            (None, _) => {}
        }
        if pictures.is_none() {
            self.video.input.open();
        }
        Ok(())
    }

    /// Asks for a keyframe and lets `boundary` be decided by the first at or after the time it wants; `on_decided` is
    /// called then, on the streaming thread, before that picture reaches any part. Replaces one armed before.
    pub fn arm(&self, boundary: &Boundary, on_decided: impl FnOnce(MonoNs) + Send + 'static) -> Result<(), BuildError> {
        let armed = Armed { boundary: boundary.clone(), on_decided: Box::new(on_decided) };
        *self.armed.lock().unwrap_or_else(PoisonError::into_inner) = Some(armed);
        let event = gst_video::UpstreamForceKeyUnitEvent::builder()
            .running_time(gst::ClockTime::from_nseconds(boundary.wanted().0))
            .all_headers(true)
            .build();
        // Unheard where nothing can make keyframes on demand (a stream that is copied); then the next one decides.
        let heard = self.video.output.pad()?.push_event(event);
        tracing::debug!(at = boundary.wanted().0, heard, "a keyframe is asked for");
        Ok(())
    }

    /// Frames per second of the video.
    pub fn rate(&self) -> gst::Fraction {
        self.rate
    }

    /// How far the sound that comes out lies before its stamps.
    pub fn audio_priming(&self) -> Duration {
        self.audio_priming
    }

    /// How much sound before its first picture a part needs ([`super::boundary::Window`]).
    pub fn audio_warm_up(&self) -> Duration {
        self.audio_warm_up
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

    /// Frames of video so far; `before` = only those before this time ([`Tally::count_before`]).
    pub fn frames(&self, before: Option<MonoNs>) -> EncoderFrames {
        let count = |tally: &Tally| before.map_or_else(|| tally.count(), |before| tally.count_before(before));
        let (made, taken) = (count(&self.video.made), count(&self.video.taken));
        EncoderFrames { taken, made, overflowed: self.video.input.overflowed() }
    }

    /// Pictures at or after `time` that have come out so far.
    pub fn made_from(&self, time: MonoNs) -> u64 {
        self.video.made.count_from(time)
    }

    /// How full the queues before the encoders are, in percent.
    pub fn fill_percent(&self) -> u8 {
        self.video.input.fill_percent().max(self.audio.as_ref().map_or(0, |audio| audio.input.fill_percent()))
    }

    /// Running time of the newest picture that has come out.
    pub fn newest(&self) -> Option<MonoNs> {
        self.video.made.newest()
    }

    /// Whether the bitrate can be changed while pictures are encoded.
    pub fn is_adjustable(&self) -> bool {
        self.video.bitrate.is_some()
    }

    /// From the next keyframe on the pictures get `percent` of the bitrate that was asked for, where the encoder can.
    pub fn set_bitrate_percent(&self, percent: u8) {
        if let Some(bitrate) = &self.video.bitrate {
            bitrate.set_percent(percent);
        }
    }

    /// Throws the encoders away.
    pub fn discard(self, done: impl FnOnce() + Send + 'static) {
        self.pipeline.discard(done);
    }
}

/// Offers every keyframe that passes `pad` to the boundary that is armed.
fn decide(pad: &gst::Pad, armed: &Arc<Mutex<Option<Armed>>>) {
    let armed = armed.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(buffer) = info.buffer().filter(|b| !b.flags().contains(gst::BufferFlags::DELTA_UNIT)) else {
            return gst::PadProbeReturn::Ok;
        };
        let Some(time) = running_time(pad, buffer) else { return gst::PadProbeReturn::Ok };
        let decided = {
            let mut armed = armed.lock().unwrap_or_else(PoisonError::into_inner);
            armed.take_if(|armed| armed.boundary.offer(time))
        };
        if let Some(Armed { on_decided, .. }) = decided {
            on_decided(time);
        }
        gst::PadProbeReturn::Ok
    });
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
    let bitrate = Bitrate::of(&encoder, &output.pad()?, encoding);
    Ok(Track { input, output, taken, made, bitrate })
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
    Ok(Track { input, output, taken, made, bitrate: None })
}

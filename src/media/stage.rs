//! The stage of an input: whatever the source does, from here on come steady pictures and sound.
//!
//! ```text
//! in ─▶ videorate ─▶ videoscale ─▶ videoconvert ─▶ capsfilter (frozen) ─▶ out
//! silence (live) ─────────────────────┐
//! in ─▶ audioconvert ─▶ audioresample ┴▶ audiomixer ─▶ level ─▶ out (48 kHz stereo)
//! ```
//! Contract: lives as long as its worker; sources come and go before it, encoders after it. The video caps never
//! change while something is recorded ([`Stage::freeze`] is only called in between): a change behind an encoder
//! silently makes a broken file. Sound never stops, because a dead sound source would otherwise stop the picture
//! in the file too (measured).

use super::element;
use super::error::BuildError;
use super::joint::{Inlet, Limits, Outlet};
use super::kept::Kept;
use super::level;
use super::pipeline::{BusEvent, Pipeline};
use super::signal::VideoFormat;
use super::tally::Tally;
use gst::prelude::*;

/// Sample rate of every recording.
pub const AUDIO_RATE: u32 = 48_000;
/// Bytes of one sound frame: two channels of 16 bit.
pub const AUDIO_FRAME_BYTES: usize = 4;
/// Channels of every recording.
pub const AUDIO_CHANNELS: u32 = 2;
/// A gap longer than this is not filled with copies: measured, 5 s of loss would otherwise burst 154 of them.
const MAX_DUPLICATION: gst::ClockTime = gst::ClockTime::from_mseconds(100);
/// How long the mixer waits for late sound. Measured: 100 ms covers a loaded machine.
const MIXER_LATENCY: gst::ClockTime = gst::ClockTime::from_mseconds(100);
/// Sound that lies this far from its place for a second is moved there. R-JOB-5 allows 40 ms in all, and half a frame of
/// them is the picture's, which is put at the next time of its rate. Measured: with the mixer's own 40 ms the sound of copied
/// streams was either right or 36 to 41 ms late, with 20 ms that of a camera that was encoded anew up to 34 ms.
const MIXER_ALIGNMENT: gst::ClockTime = gst::ClockTime::from_mseconds(10);
/// Sound travels in steps of 20 ms: half the wake-ups of the mixer's own 10 ms, still short beside a frame.
const STEP: gst::ClockTime = gst::ClockTime::from_mseconds(20);
/// One step of silence.
const SILENCE_SAMPLES: i32 = 960;

/// The stage; see the module.
#[derive(Debug)]
pub struct Stage {
    pipeline: Pipeline,
    /// Takes the source's pictures.
    pub video_in: Inlet,
    /// Hands out frozen pictures.
    pub video_out: Outlet,
    /// Frames repeated to keep the rate.
    pub copies: Tally,
    frozen: gst::Element,
    /// Sound, when the input has any.
    pub audio: Option<Sound>,
}

/// The sound half of a stage.
#[derive(Debug)]
pub struct Sound {
    /// Takes the source's sound.
    pub input: Inlet,
    /// Hands out mixed sound.
    pub output: Outlet,
    level: gst::Element,
    /// The last seconds of it, for recordings that begin with pictures that are kept.
    pub kept: Option<Kept>,
}

/// Caps of all recorded sound.
pub fn audio_caps() -> gst::Caps {
    gst::Caps::builder("audio/x-raw")
        .field("format", "S16LE")
        .field("layout", "interleaved")
        .field("rate", AUDIO_RATE as i32)
        .field("channels", AUDIO_CHANNELS as i32)
        .field("channel-mask", gst::Bitmask::new(0x3))
        .build()
}

impl Stage {
    /// Builds and starts the stage of `input`.
    pub fn start(input: &str, with_audio: bool, on_event: impl FnMut(BusEvent) + 'static) -> Result<Self, BuildError> {
        let mut pipeline = Pipeline::new(&format!("{input}-stage"));
        let bin = pipeline.bin().clone();
        let name = |part: &str| format!("{input}-stage-{part}");

        let video_in = Inlet::add(&bin, &name("video-in"), Limits::RAW_VIDEO, true)?;
        let rate = element::make("videorate", &name("rate"))?;
        rate.set_property("max-duplication-time", MAX_DUPLICATION.nseconds());
        // Running time counts from boot; without this the first frame would be repeated all the way from there.
        rate.set_property("skip-to-first", true);
        let copies = Tally::default();
        // videorate marks what it repeats.
        copies.attach_if(&element::pad(&rate, "src")?, |frame| frame.flags().contains(gst::BufferFlags::GAP));
        let scale = element::make("videoscale", &name("scale"))?;
        let convert = element::make("videoconvert", &name("convert"))?;
        let frozen = element::caps_filter(&name("frozen"), &gst::Caps::new_any())?;
        element::chain(&bin, &[&rate, &scale, &convert, &frozen])?;
        video_in.element().link(&rate)?;
        let video_out = Outlet::append(&bin, &frozen, &name("video-out"))?;

        let audio = if with_audio { Some(Sound::add(&bin, &name)?) } else { None };
        pipeline.play(on_event)?;
        Ok(Self { pipeline, video_in, video_out, copies, frozen, audio })
    }

    /// From now on every picture has the size and rate of `format`, whatever arrives.
    pub fn freeze(&self, format: &VideoFormat) {
        let (width, height) = format.recorded_size();
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", "I420")
            .field("width", width as i32)
            .field("height", height as i32)
            .field("framerate", format.recorded_rate())
            .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
            .field("colorimetry", if height < 720 { "bt601" } else { "bt709" })
            .build();
        self.frozen.set_property("caps", caps);
    }

    /// Keeps the last sound from now on.
    pub fn keep_sound(&mut self) -> Result<(), BuildError> {
        if let Some(sound) = &mut self.audio {
            let kept = Kept::sound();
            kept.attach(&sound.output.pad()?);
            sound.kept = Some(kept);
        }
        Ok(())
    }

    /// Reads the meters as often as a picture of them needs (`watched`), or as the status does.
    pub fn watch_meters(&self, watched: bool) {
        let Some(sound) = &self.audio else { return };
        let interval = if watched { level::INTERVAL } else { level::IDLE_INTERVAL }.nseconds();
        // Asked first, because this is called at every tick and a change makes the element count anew.
        if sound.level.property::<u64>("interval") != interval {
            sound.level.set_property("interval", interval);
        }
    }

    /// Throws the stage away.
    pub fn discard(self, done: impl FnOnce() + Send + 'static) {
        self.pipeline.discard(done);
    }
}

impl Sound {
    fn add(bin: &gst::Bin, name: &impl Fn(&str) -> String) -> Result<Self, BuildError> {
        let silence = element::make("audiotestsrc", &name("silence"))?;
        silence.set_property("is-live", true);
        silence.set_property_from_str("wave", "silence");
        silence.set_property("samplesperbuffer", SILENCE_SAMPLES);
        // Its time begins now, not at boot.
        silence.set_property("timestamp-offset", crate::sys::clock::mono_now().0 as i64);
        let silence_caps = element::caps_filter(&name("silence-caps"), &audio_caps())?;

        let input = Inlet::add(bin, &name("audio-in"), Limits::RAW_AUDIO, true)?;
        let convert = element::audio_convert(&name("audio-convert"))?;
        let resample = element::make("audioresample", &name("audio-resample"))?;
        let input_caps = element::caps_filter(&name("audio-caps"), &audio_caps())?;

        let mixer = element::make("audiomixer", &name("mixer"))?;
        mixer.set_property("latency", MIXER_LATENCY.nseconds());
        mixer.set_property("alignment-threshold", MIXER_ALIGNMENT.nseconds());
        mixer.set_property("output-buffer-duration", STEP.nseconds());
        mixer.set_property_from_str("start-time-selection", "first");
        let level = element::make("level", &name("level"))?;
        level.set_property("interval", level::IDLE_INTERVAL.nseconds());
        let output_caps = element::caps_filter(&name("mixed"), &audio_caps())?;

        element::chain(bin, &[&silence, &silence_caps])?;
        element::chain(bin, &[&convert, &resample, &input_caps])?;
        element::chain(bin, &[&mixer, &output_caps, &level])?;
        input.element().link(&convert)?;
        for branch in [&silence_caps, &input_caps] {
            element::pad(branch, "src")?.link(&element::request_pad(&mixer, "sink_%u")?)?;
        }
        let output = Outlet::append(bin, &level, &name("audio-out"))?;
        Ok(Self { input, output, level, kept: None })
    }
}

//! Which encoders are used, and how each is told rate, keyframe distance and low latency.
//!
//! Contract: only what a recording needs is probed; what does not exist is a named failure, never another codec.
//! Property names differ between builds of the same encoder (R58.md), so each is probed and an absent one is
//! skipped. Bitrates go in as kbit/s and leave in the unit of the property.

use super::sound::SoundEncoder;
use crate::media::element;
use crate::media::error::BuildError;
use crate::media::signal::VideoFormat;
use crate::model::encoding::{AudioCodec, Encoding, VideoChoice, VideoCodec};
use gst::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A codec and the elements that encode it, best first.
#[derive(Debug)]
struct Ranked {
    what: &'static str,
    elements: &'static [&'static str],
    /// What to do when none works.
    remedy: &'static str,
}

/// The R58's, generic hardware, then software.
const H264: Ranked = Ranked {
    what: "H.264 encoder",
    elements: &["mpph264enc", "v4l2h264enc", "vah264enc", "x264enc", "openh264enc"],
    remedy: "install gstreamer1.0-plugins-ugly",
};
const H265: Ranked = Ranked {
    what: "H.265 encoder",
    elements: &["mpph265enc", "v4l2h265enc", "vah265enc", "x265enc"],
    remedy: "use codec \"h264\", or install gstreamer1.0-plugins-bad",
};
const AAC: Ranked = Ranked {
    what: "AAC encoder",
    elements: &["fdkaacenc", "avenc_aac", "voaacenc"],
    remedy: "use audio_codec \"opus\", or install gstreamer1.0-libav",
};
const OPUS: Ranked = Ranked {
    what: "Opus encoder",
    elements: &["opusenc"],
    remedy: "use audio_codec \"aac\", or install gstreamer1.0-plugins-base",
};

/// The encoders known to work on this machine. Each is probed when it is first needed and once per worker; whoever asks
/// while it is being probed waits, so ask on a thread that may.
#[derive(Debug, Clone, Default)]
pub struct Encoders {
    working: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

/// The encoders of one recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// `None` = the pictures are copied.
    pub(super) video: Option<VideoEncoder>,
    /// `None` = no sound.
    pub(super) audio: Option<SoundEncoder>,
}

/// A video encoder and what it makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VideoEncoder {
    pub(super) codec: VideoCodec,
    pub(super) factory: String,
}

impl Encoders {
    /// Chooses what `codec` needs. Opens and closes devices: not while another encoder of this process runs.
    fn video(&self, codec: VideoChoice) -> Result<Option<VideoEncoder>, BuildError> {
        let (codec, ranked) = match codec {
            VideoChoice::H264 => (VideoCodec::H264, &H264),
            VideoChoice::H265 => (VideoCodec::H265, &H265),
            VideoChoice::Copy => return Ok(None),
        };
        Ok(Some(VideoEncoder { codec, factory: self.first_working(ranked)? }))
    }

    /// Chooses the encoders of a recording, or says which one is missing. Opens and closes devices the first time:
    /// not while another encoder of this process runs.
    pub fn choose(&self, encoding: &Encoding, with_audio: bool) -> Result<Chosen, BuildError> {
        let video = self.video(encoding.codec)?;
        let audio = match encoding.audio_codec {
            _ if !with_audio => None,
            AudioCodec::Aac => Some(SoundEncoder::Aac(self.first_working(&AAC)?)),
            AudioCodec::Opus => Some(SoundEncoder::Opus(self.first_working(&OPUS)?)),
            AudioCodec::Pcm => Some(SoundEncoder::Pcm),
        };
        Ok(Chosen { video, audio })
    }

    fn first_working(&self, ranked: &Ranked) -> Result<String, BuildError> {
        let mut working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(factory) = working.get(ranked.what) {
            return Ok(factory.clone());
        }
        let element = element::first_working(ranked.elements, "probe").ok_or_else(|| BuildError::NoneWorks {
            what: ranked.what,
            tried: ranked.elements.join(", "),
            remedy: ranked.remedy,
        })?;
        let factory = factory_name(&element);
        tracing::debug!(what = ranked.what, factory, "probed");
        working.insert(ranked.what, factory.clone());
        Ok(factory)
    }
}

impl Chosen {
    /// Whether the pictures are written as they come.
    pub fn copies(&self) -> bool {
        self.video.is_none()
    }

    /// How far the sound that comes out lies behind its time stamps.
    pub fn audio_priming(&self) -> Duration {
        self.audio.as_ref().map_or(Duration::ZERO, SoundEncoder::priming)
    }

    /// How much sound a decoder must have heard before what it makes is right.
    pub fn audio_warm_up(&self) -> Duration {
        self.audio.as_ref().map_or(Duration::ZERO, SoundEncoder::warm_up)
    }
}

fn factory_name(element: &gst::Element) -> String {
    element.factory().map(|factory| factory.name().to_string()).unwrap_or_default()
}

/// Sets the first of `names` the element has; returns whether it had one.
pub(super) fn set_first(element: &gst::Element, settings: &[(&str, &str)]) -> bool {
    for (name, value) in settings {
        if element.find_property(name).is_some() {
            element.set_property_from_str(name, value);
            return true;
        }
    }
    false
}

/// Pixels per second that x265 encodes on one thread with room to spare: 1280×720 at 30 took half of a core.
const ONE_THREAD: u64 = 1280 * 720 * 30;

/// Whether x265 does without its pool of helpers. They start at a nice value 10 above the encoder's, which nobody but the
/// privileged can take back (the engine's ladder does where it may); without them it takes no more processor time
/// (640×360: 0.99 s instead of 1.14 s for 150 pictures, 1920×1080: 7.1 s either way), but one core at most.
fn is_light(format: &VideoFormat) -> bool {
    let rate = format.recorded_rate();
    let frames = u64::from(rate.numer().unsigned_abs());
    let pixels = u64::from(format.width) * u64::from(format.height);
    pixels * frames <= ONE_THREAD * u64::from(rate.denom().unsigned_abs())
}

/// Applies rate, keyframe distance and low latency to whichever encoder was chosen.
pub(super) fn configure_video(encoder: &gst::Element, encoding: &Encoding, format: &VideoFormat) {
    let bits = (encoding.bitrate_kbps * 1000).to_string();
    let kilobits = encoding.bitrate_kbps.to_string();
    let rate = format.recorded_rate();
    let frames = u64::from(encoding.keyframe_interval_ms) * u64::from(rate.numer().unsigned_abs())
        / (1000 * u64::from(rate.denom().unsigned_abs()));
    let gop = frames.max(1).to_string();
    let set = |settings: &[(&str, &str)]| set_first(encoder, settings);
    match factory_name(encoder).as_str() {
        "mpph264enc" | "mpph265enc" => {
            // Older builds say bps, newer ones bitrate, both in bit/s.
            set(&[("bps", &bits), ("bitrate", &bits)]);
            set(&[("rc-mode", "cbr")]);
            set(&[("gop", &gop)]);
            set(&[("header-mode", "each-idr")]);
            for limit in [("qp-init", "26"), ("qp-min", "10"), ("qp-max", "51")] {
                set(&[limit]);
            }
        }
        name @ ("v4l2h264enc" | "v4l2h265enc") => {
            // The period has a control of its own for H.264 only; the general one serves both.
            let period = if name == "v4l2h264enc" { "h264_i_frame_period" } else { "video_gop_size" };
            let controls = format!("controls,video_bitrate={bits},{period}={gop}");
            set(&[("extra-controls", &controls)]);
        }
        "vah264enc" | "vah265enc" => {
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
        "x265enc" => {
            set(&[("bitrate", &kilobits)]);
            set(&[("key-int-max", &gop)]);
            set(&[("speed-preset", "ultrafast")]);
            // No B-frames, no lookahead, one frame at a time: measured, nothing is held back.
            set(&[("tune", "zerolatency")]);
            // Keyframes that are asked for are then IDR (measured: CRA otherwise); `info` is a text of 2 KB per file.
            let options = "open-gop=0:scenecut=0:info=0";
            let options = if is_light(format) { format!("{options}:pools=none") } else { options.to_owned() };
            set(&[("option-string", &options)]);
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

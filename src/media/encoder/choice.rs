//! Which encoders are used, and how each is told rate, keyframe distance and low latency.
//!
//! Contract: property names differ between builds of the same encoder (R58.md), so each is probed and an absent
//! one is skipped. Bitrates go in as kbit/s and leave in the unit of the property.

use crate::media::element;
use crate::media::error::BuildError;
use crate::media::signal::VideoFormat;
use crate::media::stage;
use crate::model::encoding::Encoding;
use gst::prelude::*;
use std::time::Duration;

/// Video encoders, best first: the R58's, generic hardware, then software.
const H264_RANKED: [&str; 5] = ["mpph264enc", "v4l2h264enc", "vah264enc", "x264enc", "openh264enc"];
/// Sound encoders, best first.
const AAC_RANKED: [&str; 3] = ["fdkaacenc", "avenc_aac", "voaacenc"];
/// Bitrate of the sound in bit/s: transparent for stereo AAC-LC.
pub(super) const AAC_BITRATE: i32 = 160_000;

/// The encoders that work on this machine, probed once per worker.
#[derive(Debug, Clone)]
pub struct Encoders {
    pub(super) video: String,
    pub(super) audio: Option<String>,
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

/// How much sound a decoder must have heard before what it makes is right: one AAC frame overlaps the next.
pub(super) fn audio_warm_up() -> Duration {
    Duration::from_nanos(1024 * 1_000_000_000 / u64::from(stage::AUDIO_RATE))
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

//! How recorded sound is encoded: AAC, Opus, or not at all (PCM).
//!
//! Contract: every choice says how far what it makes lies behind its stamps (its *priming*), so that
//! [`crate::media::clip`] and the muxer's pad offset can bring both tracks to the same beginning.

use crate::media::element;
use crate::media::error::BuildError;
use crate::media::stage;
use gst::prelude::*;
use std::time::Duration;

use super::choice::set_first;

/// Bitrate of AAC in bit/s: transparent for stereo AAC-LC.
const AAC_BITRATE: i32 = 160_000;
/// Bitrate of Opus in bit/s: transparent for stereo (listening tests of RFC 6716's authors end at 128 kbit/s).
const OPUS_BITRATE: i32 = 128_000;

/// Packets of PCM in a second: each as long as a step of the stage, so that nothing waits for more sound to come.
const PCM_PACKETS: i32 = 50;

/// A sound encoder that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SoundEncoder {
    /// An element that makes AAC-LC.
    Aac(String),
    /// An element that makes Opus.
    Opus(String),
    /// The samples as they are.
    Pcm,
}

impl SoundEncoder {
    /// How far the sound that comes out lies behind its time stamps. Measured with a tick: `avenc_aac` 1024 samples,
    /// `voaacenc` 576 more; `fdkaacenc` as its library documents the delay of AAC-LC; `opusenc` 312 samples at
    /// 48 kHz, which it also states as its pre-skip.
    pub(super) fn priming(&self) -> Duration {
        let samples: u32 = match self {
            SoundEncoder::Aac(factory) if factory == "fdkaacenc" => 2048,
            SoundEncoder::Aac(factory) if factory == "voaacenc" => 1600,
            SoundEncoder::Aac(_) => 1024,
            SoundEncoder::Opus(_) => 312,
            SoundEncoder::Pcm => 0,
        };
        Duration::from_nanos(u64::from(samples) * 1_000_000_000 / u64::from(stage::AUDIO_RATE))
    }

    /// How much sound a decoder must have heard before what it makes is right: one AAC frame overlaps the next; Opus
    /// converges within 80 ms (RFC 7845, 4.6); PCM needs none.
    pub(super) fn warm_up(&self) -> Duration {
        let samples: u32 = match self {
            SoundEncoder::Aac(_) => 1024,
            SoundEncoder::Opus(_) => 3840,
            SoundEncoder::Pcm => 0,
        };
        Duration::from_nanos(u64::from(samples) * 1_000_000_000 / u64::from(stage::AUDIO_RATE))
    }

    /// The elements from raw sound to what a muxer takes, to be linked in order. The first takes raw sound as the
    /// stage hands it out.
    pub(super) fn elements(&self, name: &str) -> Result<Vec<gst::Element>, BuildError> {
        let (factory, settings, caps) = match self {
            SoundEncoder::Aac(factory) => {
                let caps = gst::Caps::builder("audio/mpeg").field("mpegversion", 4).field("stream-format", "raw");
                (factory, [("bitrate", AAC_BITRATE.to_string()), ("", String::new())], caps.build())
            }
            SoundEncoder::Opus(factory) => {
                // Constrained: a burst of noise must not exceed what a fragment is expected to hold.
                let settings = [("bitrate", OPUS_BITRATE.to_string()), ("bitrate-type", "constrained-vbr".to_owned())];
                (factory, settings, gst::Caps::new_empty_simple("audio/x-opus"))
            }
            SoundEncoder::Pcm => {
                // The first packet was cut to where the sound begins. One of a few samples would begin in the same
                // millisecond as the next, and Matroska counts in those.
                let even = element::make("audiobuffersplit", &format!("{name}-pcm-packets"))?;
                even.set_property("output-buffer-duration", gst::Fraction::new(1, PCM_PACKETS));
                return Ok(vec![even, element::caps_filter(&format!("{name}-pcm"), &stage::audio_caps())?]);
            }
        };
        let encoder = element::make(factory, &format!("{name}-sound"))?;
        for (property, value) in &settings {
            set_first(&encoder, &[(property, value)]);
        }
        Ok(vec![encoder, element::caps_filter(&format!("{name}-sound-caps"), &caps)?])
    }
}

//! Sound devices: the test devices, ALSA cards and PulseAudio/PipeWire sources.

use super::element;
use crate::media::error::BuildError;
use crate::media::joint::Outlet;
use crate::model::input::{AudioChoice, InputSpec, SourceSpec};
use gst::prelude::*;
use std::path::Path;

/// Peak of tone and noise: −20 dBFS.
const VOLUME: f64 = 0.1;
/// 20 ms per buffer, a usual period of a sound card.
const SAMPLES_PER_BUFFER: i32 = 960;
/// The device `dies` delivers this many buffers: 4 s.
const DIES_AFTER_BUFFERS: i32 = 200;

/// A sound device of its own, beside the source of the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SoundDevice {
    /// A test signal: wave of `audiotestsrc`, frequency, and whether it dies after 4 s.
    Test {
        /// `sine`, `silence` or `white-noise`.
        wave: &'static str,
        /// Frequency of a sine in Hz.
        hz: u32,
        /// Stops without a word after 4 s.
        dies: bool,
    },
    /// Never delivers anything.
    Never,
    /// A sound card or a source of the sound server.
    Named(String),
}

/// The separate sound device of `input`; `None` when its sound is off or comes with the picture.
pub fn device_of(input: &InputSpec) -> Option<SoundDevice> {
    let device = match &input.audio {
        AudioChoice::Off => return None,
        AudioChoice::Auto => None,
        AudioChoice::Device(name) => Some(name.as_str()),
    };
    match &input.source {
        SourceSpec::Test { tone_hz, .. } => {
            let test = |wave, dies| Some(SoundDevice::Test { wave, hz: *tone_hz, dies });
            match device {
                None | Some("tone") => test("sine", false),
                Some("silence") => test("silence", false),
                Some("noise") => test("white-noise", false),
                Some("dies") => test("sine", true),
                Some("never") => Some(SoundDevice::Never),
                Some(name) => Some(SoundDevice::Named(name.to_owned())),
            }
        }
        _ => device.map(|name| SoundDevice::Named(name.to_owned())),
    }
}

/// Adds `device` to `bin`; without an outlet it never delivers.
pub fn add(bin: &gst::Bin, name: &str, device: &SoundDevice) -> Result<Option<Outlet>, BuildError> {
    let source = match device {
        SoundDevice::Never => return Ok(None),
        SoundDevice::Test { wave, hz, dies } => {
            let source = element::make("audiotestsrc", &format!("{name}-device"))?;
            source.set_property("is-live", true);
            source.set_property_from_str("wave", wave);
            source.set_property("freq", f64::from(*hz));
            source.set_property("volume", VOLUME);
            source.set_property("samplesperbuffer", SAMPLES_PER_BUFFER);
            // Its time begins now, not at boot.
            source.set_property("timestamp-offset", crate::sys::clock::mono_now().0 as i64);
            if *dies {
                source.set_property("num-buffers", DIES_AFTER_BUFFERS);
            }
            source
        }
        SoundDevice::Named(device) if Path::new("/proc/asound").join(device).exists() => {
            let source = element::make("alsasrc", &format!("{name}-device"))?;
            source.set_property("device", format!("hw:CARD={device}"));
            source
        }
        SoundDevice::Named(device) => {
            let source = element::make("pulsesrc", &format!("{name}-device"))?;
            source.set_property("device", device);
            source
        }
    };
    let caps = element::caps_filter(&format!("{name}-caps"), &crate::media::stage::audio_caps())?;
    let convert = element::audio_convert(&format!("{name}-convert"))?;
    let resample = element::make("audioresample", &format!("{name}-resample"))?;
    element::chain(bin, &[&source, &convert, &resample, &caps])?;
    Outlet::append(bin, &caps, &format!("{name}-audio")).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::{OnSignalLoss, TestPattern};

    fn input(audio: AudioChoice) -> InputSpec {
        InputSpec {
            id: "cam1".parse().expect("an id"),
            name: "Camera".into(),
            source: SourceSpec::Test { pattern: TestPattern::Ball, width: 64, height: 48, fps: 30, tone_hz: 550 },
            audio,
            on_signal_loss: OnSignalLoss::Split,
            codec: None,
            importance: 0,
            armed: true,
        }
    }

    #[test]
    fn test_devices_go_by_their_names() {
        let device = |name: &str| device_of(&input(AudioChoice::Device(name.into())));
        assert_eq!(device_of(&input(AudioChoice::Off)), None);
        assert_eq!(device_of(&input(AudioChoice::Auto)), device("tone"));
        assert_eq!(device("dies"), Some(SoundDevice::Test { wave: "sine", hz: 550, dies: true }));
        assert_eq!(device("never"), Some(SoundDevice::Never));
        assert_eq!(device("hdmiin"), Some(SoundDevice::Named("hdmiin".into())));
    }
}

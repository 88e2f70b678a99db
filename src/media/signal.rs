//! What a source really delivers, and when that counts as a signal: pure rules.

use crate::model::encoding::VideoCodec;
use crate::model::snapshot::Signal;
use std::time::Duration;

/// Rate assumed while a source names none; the frozen caps of a recording need one.
const UNKNOWN_RATE: gst::Fraction = gst::Fraction::new_raw(30, 1);
/// Below this, silence on the wire is normal jitter (R-FM-8).
const LEAST_TIMEOUT: Duration = Duration::from_millis(500);
/// Frames that may be missing before it counts as a loss (R-FM-8).
const FRAMES_MISSING: u32 = 3;
/// What `rk_hdmirx` delivers without a cable: never a live picture (R58.md, R-TRU-6).
const STAND_IN: (u32, u32, &str) = (640, 480, "BGR");

/// The format of video as it arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoFormat {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Pixel format as GStreamer names it; empty for pictures that arrive encoded.
    pub pixels: String,
    /// How the pictures are encoded, `None` = not at all.
    pub coding: Option<Coding>,
    /// Frames per second, `None` when the source names none.
    pub rate: Option<gst::Fraction>,
}

/// How pictures arrive encoded. Two that differ cannot lie in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coding {
    /// The codec.
    pub codec: VideoCodec,
    /// Its parameter sets, as a container stores them.
    pub headers: Vec<u8>,
}

impl Coding {
    /// The coding in fixed caps, `None` without whole headers.
    pub fn from_caps(caps: &gst::CapsRef) -> Option<Self> {
        Self::from_structure(caps.structure(0)?)
    }

    fn from_structure(structure: &gst::StructureRef) -> Option<Self> {
        let codec = match structure.name().as_str() {
            "video/x-h264" => VideoCodec::H264,
            "video/x-h265" => VideoCodec::H265,
            _ => return None,
        };
        let headers = structure.get::<gst::Buffer>("codec_data").ok()?;
        let headers = headers.map_readable().ok()?.to_vec();
        Some(Self { codec, headers })
    }
}

impl VideoFormat {
    /// The format in fixed video caps, raw or encoded; `None` for anything else.
    pub fn from_caps(caps: &gst::CapsRef) -> Option<Self> {
        let structure = caps.structure(0)?;
        let coding = Coding::from_structure(structure);
        if coding.is_none() && structure.name() != "video/x-raw" {
            return None;
        }
        let pixels = |field| u32::try_from(structure.get::<i32>(field).ok()?).ok().filter(|&pixels| pixels > 0);
        let positive = |rate: &gst::Fraction| rate.numer() > 0 && rate.denom() > 0;
        Some(Self {
            width: pixels("width")?,
            height: pixels("height")?,
            pixels: if coding.is_some() { String::new() } else { structure.get::<String>("format").ok()? },
            coding,
            rate: ["framerate", "max-framerate"]
                .into_iter()
                .find_map(|field| structure.get::<gst::Fraction>(field).ok().filter(positive)),
        })
    }

    /// As the snapshot shows it.
    pub fn signal(&self) -> Signal {
        let fps = self.rate.map(|rate| f64::from(rate.numer()) / f64::from(rate.denom()));
        Signal { width: self.width, height: self.height, fps }
    }

    /// The rate recordings are made at.
    pub fn recorded_rate(&self) -> gst::Fraction {
        self.rate.unwrap_or(UNKNOWN_RATE)
    }

    /// The period of one recorded frame.
    pub fn period(&self) -> Duration {
        let rate = self.recorded_rate();
        Duration::from_secs_f64(f64::from(rate.denom()) / f64::from(rate.numer()))
    }

    /// The size recordings are made at: 4:2:0 encoders need even numbers.
    pub fn recorded_size(&self) -> (u32, u32) {
        ((self.width & !1).max(2), (self.height & !1).max(2))
    }

    /// Whether this is the picture an HDMI receiver (`driver`) makes up when it has no signal.
    pub fn is_stand_in(&self, driver: &str) -> bool {
        driver == "rk_hdmirx" && (self.width, self.height, self.pixels.as_str()) == STAND_IN
    }
}

/// No frame for this long is a loss: the policy's time, but never less than max(0.5 s, 3 periods).
pub fn loss_timeout(policy: Duration, period: Duration) -> Duration {
    policy.max(LEAST_TIMEOUT).max(period * FRAMES_MISSING)
}

/// Two equal readings in a row before a format counts: receivers report nonsense while they lock.
#[derive(Debug, Default)]
pub struct Settled<T> {
    last: Option<T>,
}

impl<T: PartialEq> Settled<T> {
    /// Takes a reading; true once it equals the one before.
    pub fn reads(&mut self, reading: T) -> bool {
        let settled = self.last.as_ref() == Some(&reading);
        self.last = Some(reading);
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(caps: &str) -> Option<VideoFormat> {
        gst::init().expect("GStreamer");
        VideoFormat::from_caps(&caps.parse::<gst::Caps>().expect("caps"))
    }

    #[test]
    fn caps_become_a_format() {
        let hd = format("video/x-raw,format=NV16,width=1921,height=1080,framerate=30000/1001").expect("a format");
        assert_eq!(hd.recorded_size(), (1920, 1080));
        assert_eq!(hd.recorded_rate(), gst::Fraction::new(30000, 1001));
        let variable = format("video/x-raw,format=I420,width=64,height=48,framerate=0/1").expect("a format");
        assert_eq!((variable.rate, variable.recorded_rate()), (None, UNKNOWN_RATE));
        assert_eq!(format("audio/x-raw,rate=48000"), None);
        assert_eq!(format("video/x-raw,format=UYVY,width=0,height=0"), None);
    }

    #[test]
    fn the_picture_of_an_empty_receiver_is_not_a_signal() {
        let stand_in = format("video/x-raw,format=BGR,width=640,height=480").expect("a format");
        assert!(stand_in.is_stand_in("rk_hdmirx"));
        assert!(!stand_in.is_stand_in("uvcvideo"));
    }

    #[test]
    fn slow_sources_get_more_time() {
        let ms = Duration::from_millis;
        assert_eq!(loss_timeout(ms(750), ms(33)), ms(750));
        assert_eq!(loss_timeout(ms(100), ms(33)), ms(500));
        assert_eq!(loss_timeout(ms(750), ms(1000)), ms(3000));
    }

    #[test]
    fn a_format_counts_when_read_twice() {
        let mut settled = Settled::default();
        assert_eq!([1, 2, 2, 3].map(|reading| settled.reads(reading)), [false, false, true, false]);
    }
}

//! Another bitrate for an encoder that runs (R-DEG-T3).
//!
//! Contract: taken up behind the next keyframe, so that one group of pictures has one rate. Only encoders that are known to
//! take another rate while they run: whether a property may be set then says nothing of what comes of it.

use crate::model::encoding::Encoding;
use gst::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};

/// The property, and bits per second of its unit; the first one the element has counts.
type Units = &'static [(&'static str, u32)];

/// Encoders that take another rate while they run.
const ADJUSTABLE: [(&str, Units); 7] = [
    ("x264enc", &[("bitrate", 1000)]),
    ("x265enc", &[("bitrate", 1000)]),
    ("openh264enc", &[("bitrate", 1)]),
    ("vah264enc", &[("bitrate", 1000)]),
    ("vah265enc", &[("bitrate", 1000)]),
    ("mpph264enc", &[("bps", 1), ("bitrate", 1)]),
    ("mpph265enc", &[("bps", 1), ("bitrate", 1)]),
];

/// The rate of one encoder.
#[derive(Debug, Clone)]
pub(super) struct Bitrate {
    full_kbps: u32,
    /// In percent; waits for a keyframe.
    wanted: Arc<Mutex<Option<u8>>>,
}

impl Bitrate {
    /// For `encoder`, whose pictures pass `pad`. `None` = it keeps the rate it began with.
    pub fn of(encoder: &gst::Element, pad: &gst::Pad, encoding: &Encoding) -> Option<Self> {
        let factory = encoder.factory()?.name();
        let (_, units) = ADJUSTABLE.iter().find(|(name, _)| *name == factory.as_str())?;
        let (property, bits) = units.iter().find(|(name, _)| encoder.find_property(name).is_some())?;
        let bitrate = Self { full_kbps: encoding.bitrate_kbps, wanted: Arc::default() };
        let (waiting, encoder) = (bitrate.clone(), encoder.downgrade());
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let keyframe = info.buffer().is_some_and(|b| !b.flags().contains(gst::BufferFlags::DELTA_UNIT));
            if let Some(kbps) = keyframe.then(|| waiting.take()).flatten()
                && let Some(encoder) = encoder.upgrade()
            {
                // In 64 bits: kbit/s of the configuration are bit/s here.
                let value = (u64::from(kbps) * 1000 / u64::from(*bits)).max(1).to_string();
                encoder.set_property_from_str(property, &value);
            }
            gst::PadProbeReturn::Ok
        });
        Some(bitrate)
    }

    /// From the next keyframe on it is this many percent of what was asked for.
    pub fn set_percent(&self, percent: u8) {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = Some(percent);
    }

    fn take(&self) -> Option<u32> {
        let percent = self.wanted.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some((self.full_kbps * u32::from(percent) / 100).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::element;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    /// Pictures per group, and groups before and behind the change.
    const GROUP: u64 = 15;
    const HALF: u64 = 6 * GROUP;

    /// Bytes per picture of noise with the whole bitrate and with half of it, leaving out the group in which it changes.
    fn measured(factory: &str) -> (u64, u64) {
        gst::init().expect("GStreamer");
        let pipeline = gst::Pipeline::new();
        let source = element::make("videotestsrc", "source").expect("a source");
        source.set_property("num-buffers", i32::try_from(2 * HALF).expect("few"));
        let caps = gst::Caps::builder("video/x-raw").field("width", 320).field("height", 240);
        let caps = caps.field("format", "I420").field("framerate", gst::Fraction::new(30, 1)).build();
        source.set_property_from_str("pattern", "snow");
        let filter = element::caps_filter("caps", &caps).expect("a filter");
        let encoder = element::make(factory, "encoder").expect("an encoder");
        for (name, value) in [("speed-preset", "ultrafast"), ("tune", "zerolatency"), ("bitrate", "2000")] {
            encoder.set_property_from_str(name, value);
        }
        encoder.set_property_from_str("key-int-max", &GROUP.to_string());
        let sink = element::make("fakesink", "sink").expect("a sink");
        element::chain(pipeline.upcast_ref::<gst::Bin>(), &[&source, &filter, &encoder, &sink]).expect("a chain");
        let pad = element::pad(&encoder, "src").expect("a pad");
        let encoding = Encoding { bitrate_kbps: 2000, ..Encoding::default() };
        let bitrate = Bitrate::of(&encoder, &pad, &encoding);
        let (count, before, behind) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (first, second) = (before.clone(), behind.clone());
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let Some(buffer) = info.buffer() else { return gst::PadProbeReturn::Ok };
            let number = count.fetch_add(1, Ordering::Relaxed);
            if number == HALF - GROUP / 2
                && let Some(bitrate) = &bitrate
            {
                bitrate.set_percent(50);
            }
            if (GROUP..HALF - GROUP).contains(&number) {
                first.fetch_add(buffer.size() as u64, Ordering::Relaxed);
            } else if number >= HALF + GROUP {
                second.fetch_add(buffer.size() as u64, Ordering::Relaxed);
            }
            gst::PadProbeReturn::Ok
        });
        pipeline.set_state(gst::State::Playing).expect("it plays");
        let bus = pipeline.bus().expect("a bus");
        let ended = bus.timed_pop_filtered(
            gst::ClockTime::try_from(Duration::from_secs(60)).expect("a time"),
            &[gst::MessageType::Eos, gst::MessageType::Error],
        );
        pipeline.set_state(gst::State::Null).expect("it stops");
        assert!(ended.is_some_and(|message| message.type_() == gst::MessageType::Eos), "{factory} does not encode");
        let bytes = |sum: &AtomicU64, pictures: u64| sum.load(Ordering::Relaxed) / pictures;
        (bytes(&before, HALF - 2 * GROUP), bytes(&behind, HALF - GROUP))
    }

    #[test]
    fn half_of_the_bitrate_is_half_of_the_bytes() {
        for factory in ["x264enc", "x265enc"] {
            let (before, behind) = measured(factory);
            assert!(
                (40..65).contains(&(behind * 100 / before)),
                "{factory}: {before} bytes per picture became {behind}"
            );
        }
    }

    #[test]
    fn an_encoder_that_is_not_known_to_follow_keeps_its_rate() {
        gst::init().expect("GStreamer");
        for factory in ["v4l2h264enc", "identity"] {
            let Ok(encoder) = element::make(factory, "encoder") else { continue };
            let pad = element::pad(&encoder, "src").expect("a pad");
            assert!(Bitrate::of(&encoder, &pad, &Encoding::default()).is_none(), "{factory}");
        }
    }
}

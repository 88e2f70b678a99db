//! Audio meters from the `level` element.

use crate::model::snapshot::Meter;
use gst::glib;

/// Distance between two readings while somebody looks at them: 20 per second.
pub const INTERVAL: gst::ClockTime = gst::ClockTime::from_mseconds(50);
/// Distance between two readings for the status alone, which goes out twice per second: a peak then stands for the
/// whole time since the last one, and the main loop is not woken 18 times per second for nobody.
pub const IDLE_INTERVAL: gst::ClockTime = gst::ClockTime::from_mseconds(500);
/// Below this everything counts as silence; −∞ cannot travel as JSON.
const FLOOR_DBFS: f64 = -120.0;
/// A peak this close to full scale counts as clipped (one 16-bit step is 0.0003 dB).
const CLIP_DBFS: f64 = -0.001;

/// The meters in a message of a `level` element, one per channel; `None` for any other message.
pub fn meters(structure: &gst::StructureRef) -> Option<Vec<Meter>> {
    if structure.name() != "level" {
        return None;
    }
    let values = |field| -> Option<Vec<f64>> {
        let array = structure.get::<glib::ValueArray>(field).ok()?;
        array.iter().map(|value| value.get::<f64>().ok()).collect()
    };
    let (peaks, rms) = (values("peak")?, values("rms")?);
    let finite = |level: f64| if level.is_finite() { level.max(FLOOR_DBFS) } else { FLOOR_DBFS };
    let meter = |(peak, rms)| Meter { peak_dbfs: finite(peak), rms_dbfs: finite(rms), clip: peak >= CLIP_DBFS };
    Some(peaks.into_iter().zip(rms).map(meter).collect())
}

/// Keeps a clip on the meters until somebody clears it: one lasts a millisecond, and nobody looks that often (R-UI-6).
#[derive(Debug, Default)]
pub struct ClipLatch(Vec<bool>);

impl ClipLatch {
    /// Takes in what `meters` say, and puts what was not cleared onto them.
    pub fn hold(&mut self, meters: &mut [Meter]) {
        self.0.resize(meters.len(), false);
        for (clipped, meter) in self.0.iter_mut().zip(meters) {
            *clipped |= meter.clip;
            meter.clip = *clipped;
        }
    }

    /// Forgets everything, also on `meters`.
    pub fn clear(&mut self, meters: &mut [Meter]) {
        self.0.clear();
        meters.iter_mut().for_each(|meter| meter.clip = false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gst::prelude::*;

    /// The first meters of `source`, from the real element.
    fn measured(source: &str) -> Vec<Meter> {
        gst::init().expect("GStreamer");
        let line = format!(
            "audiotestsrc num-buffers=48 samplesperbuffer=1000 {source} ! audio/x-raw,format=S16LE,rate=48000,channels=2 \
             ! level interval={} ! fakesink",
            INTERVAL.nseconds()
        );
        let pipeline = gst::parse::launch(&line).expect("a pipeline");
        pipeline.set_state(gst::State::Playing).expect("playing");
        let bus = pipeline.bus().expect("a bus");
        let wanted = [gst::MessageType::Element, gst::MessageType::Error];
        let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(20), &wanted).expect("a message");
        pipeline.set_state(gst::State::Null).expect("null");
        meters(message.structure().expect("a level message")).expect("a level message")
    }

    #[test]
    fn a_tone_of_minus_20_dbfs_reads_so_and_does_not_clip() {
        let meters = measured("wave=sine freq=440 volume=0.1");
        assert_eq!(meters.len(), 2);
        assert!((meters[0].peak_dbfs + 20.0).abs() < 0.5, "{meters:?}");
        assert!((meters[0].rms_dbfs + 23.0).abs() < 0.5 && !meters[0].clip, "{meters:?}");
    }

    #[test]
    fn a_clip_stays_until_it_is_cleared() {
        let quiet = |clip| Meter { peak_dbfs: -20.0, rms_dbfs: -20.0, clip };
        let clips = |meters: &[Meter]| meters.iter().map(|meter| meter.clip).collect::<Vec<_>>();
        let mut latch = ClipLatch::default();
        let mut meters = [quiet(false), quiet(true)];
        latch.hold(&mut meters);
        let mut next = [quiet(false), quiet(false)];
        latch.hold(&mut next);
        assert_eq!(clips(&next), [false, true]);
        latch.clear(&mut next);
        assert_eq!(clips(&next), [false, false]);
        latch.hold(&mut next);
        assert_eq!(clips(&next), [false, false]);
    }

    #[test]
    fn silence_is_a_number_and_full_scale_clips() {
        assert_eq!(measured("wave=silence")[0], Meter { peak_dbfs: FLOOR_DBFS, rms_dbfs: FLOOR_DBFS, clip: false });
        assert!(measured("wave=square volume=1.0")[0].clip);
        assert_eq!(meters(&gst::Structure::builder("other").build()), None);
    }
}

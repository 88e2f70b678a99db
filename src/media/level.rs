//! Audio meters from the `level` element.

use crate::model::snapshot::Meter;
use gst::glib;

/// Distance between two readings: 20 per second.
pub const INTERVAL: gst::ClockTime = gst::ClockTime::from_mseconds(50);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_a_number_and_full_scale_clips() {
        gst::init().expect("GStreamer");
        let array = |values: &[f64]| glib::ValueArray::new(values.iter().map(glib::prelude::ToValue::to_value));
        let message = gst::Structure::builder("level")
            .field("peak", array(&[f64::NEG_INFINITY, 0.0]))
            .field("rms", array(&[f64::NEG_INFINITY, -3.0]))
            .build();
        let meters = meters(&message).expect("a level message");
        assert_eq!(meters[0], Meter { peak_dbfs: FLOOR_DBFS, rms_dbfs: FLOOR_DBFS, clip: false });
        assert_eq!(meters[1], Meter { peak_dbfs: 0.0, rms_dbfs: -3.0, clip: true });
        assert_eq!(super::meters(&gst::Structure::builder("other").build()), None);
    }
}

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
    Some(peaks.into_iter().zip(rms).map(|(peak, rms)| meter(peak, rms)).collect())
}

/// One channel's meter. Pure.
fn meter(peak: f64, rms: f64) -> Meter {
    let finite = |level: f64| if level.is_finite() { level.max(FLOOR_DBFS) } else { FLOOR_DBFS };
    Meter { peak_dbfs: finite(peak), rms_dbfs: finite(rms), clip: peak >= CLIP_DBFS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_a_number_and_full_scale_clips() {
        let silent = meter(f64::NEG_INFINITY, f64::NEG_INFINITY);
        assert_eq!(silent, Meter { peak_dbfs: FLOOR_DBFS, rms_dbfs: FLOOR_DBFS, clip: false });
        assert_eq!(meter(0.0, -3.0), Meter { peak_dbfs: 0.0, rms_dbfs: -3.0, clip: true });
    }
}

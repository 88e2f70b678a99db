//! Times muxers take: one to decode at for every picture, rising, and none to show at before that.
//!
//! Contract: no picture is dropped for its times. Where a camera repeats times, goes back or gives none, the picture
//! follows the one before as closely as files can tell apart, until its time is ahead again; all other times stay.

use gst::prelude::*;
use std::sync::{Mutex, PoisonError};

/// The step between pictures that have no usable times. The finest Matroska knows.
const STEP_NS: u64 = 1_000_000;

/// Puts the times of what passes `pad` right, pictures in the order of decoding.
pub fn attach(pad: &gst::Pad) {
    let order = Mutex::new(Order::default());
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let Some(buffer) = info.buffer_mut() else { return gst::PadProbeReturn::Ok };
        let given = (buffer.pts().map(gst::ClockTime::nseconds), buffer.dts().map(gst::ClockTime::nseconds));
        let (shown, decoded) = order.lock().unwrap_or_else(PoisonError::into_inner).next(given);
        if given != (Some(shown), Some(decoded)) {
            let buffer = buffer.make_mut();
            buffer.set_pts(gst::ClockTime::from_nseconds(shown));
            buffer.set_dts(gst::ClockTime::from_nseconds(decoded));
        }
        gst::PadProbeReturn::Ok
    });
}

/// What was given last.
#[derive(Debug, Default)]
struct Order {
    decoded: Option<u64>,
}

impl Order {
    /// When to show and to decode a picture that came with these times (to show, to decode). Both become those of
    /// the picture before it, and a step, where there is nothing better.
    fn next(&mut self, (shown, decoded): (Option<u64>, Option<u64>)) -> (u64, u64) {
        let least = self.decoded.map_or(0, |before| before + STEP_NS);
        let shown = shown.or(decoded).unwrap_or(least).max(least);
        let decoded = decoded.unwrap_or(shown).min(shown).max(least);
        self.decoded = Some(decoded);
        (shown, decoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = STEP_NS;

    #[test]
    fn times_of_a_whole_stream_stay() {
        let mut order = Order::default();
        for given in [(80, 0), (240, 40), (160, 80), (120, 120), (200, 160)] {
            let given = (given.0 * MS, given.1 * MS);
            assert_eq!(order.next((Some(given.0), Some(given.1))), given);
        }
    }

    #[test]
    fn a_camera_that_goes_back_is_followed_closely_until_its_time_is_ahead_again() {
        let mut order = Order::default();
        let shown = [0, 40, 80, 10, 50, 90, 130].map(|time| order.next((Some(time * MS), Some(time * MS))));
        assert_eq!(shown.map(|(time, _)| time / MS), [0, 40, 80, 81, 82, 90, 130]);
        assert_eq!(order.next((Some(130 * MS), None)), (131 * MS, 131 * MS));
        assert_eq!(order.next((None, None)), (132 * MS, 132 * MS));
    }

    proptest! {
        #[test]
        fn any_times_become_some_a_muxer_takes(
            given in prop::collection::vec((prop::option::of(0u64..1 << 40), prop::option::of(0u64..1 << 40)), 1..100),
        ) {
            let mut order = Order::default();
            let mut before = None;
            for times in given {
                let (shown, decoded) = order.next(times);
                prop_assert!(shown >= decoded);
                prop_assert!(before.is_none_or(|before| decoded >= before + STEP_NS));
                before = Some(decoded);
            }
        }
    }
}

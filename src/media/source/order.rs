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

    /// Times as a jitter buffer and a timestamper made them of B-frames that came late; without a time to decode at
    /// `isofmp4mux` ends its file.
    #[test]
    fn times_that_ended_a_file_do_so_no_more() {
        const BYTES: usize = 1000;
        crate::media::init().expect("GStreamer");
        let caps = "video/x-h264,stream-format=avc,alignment=au,width=64,height=48,framerate=30/1,codec_data=(buffer)01640014ffe10000010000";
        let source = gst_app::AppSrc::builder()
            .caps(&caps.parse::<gst::Caps>().expect("caps"))
            .format(gst::Format::Time)
            .build();
        let mux = crate::media::element::make("isofmp4mux", "order-mux").expect("an element");
        let sink = crate::media::element::make("fakesink", "order-sink").expect("an element");
        let pipeline = gst::Pipeline::new();
        pipeline.add_many([source.upcast_ref(), &mux, &sink]).expect("added");
        gst::Element::link_many([source.upcast_ref(), &mux, &sink]).expect("linked");
        attach(&source.static_pad("src").expect("a pad"));
        let written = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counter = written.clone();
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        sink.static_pad("sink").expect("a pad").add_probe(kinds, move |_, info| {
            let bytes = match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => buffer.size(),
                Some(gst::PadProbeData::BufferList(list)) => list.iter().map(gst::BufferRef::size).sum(),
                _ => 0,
            };
            counter.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
        pipeline.set_state(gst::State::Playing).expect("playing");
        let broken =
            [(543, Some(503)), (503, Some(503)), (468, Some(468)), (532, Some(532)), (543, None), (610, Some(540))];
        let whole = (0..12).map(|n| (700 + 33 * n, Some(700 + 33 * n)));
        let times: Vec<(u64, Option<u64>)> = broken.into_iter().chain(whole).collect();
        for (number, (shown, decoded)) in times.iter().enumerate() {
            let mut buffer = gst::Buffer::from_slice([0u8; BYTES]);
            let unit = buffer.make_mut();
            unit.set_pts(gst::ClockTime::from_mseconds(*shown));
            unit.set_dts(decoded.map(gst::ClockTime::from_mseconds));
            unit.set_duration(gst::ClockTime::from_mseconds(33));
            if number > 0 {
                unit.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
            // Refused once the muxer has failed, which is seen below.
            let _ = source.push_buffer(buffer);
        }
        let _ = source.end_of_stream();
        let bus = pipeline.bus().expect("a bus");
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        let last = bus.timed_pop_filtered(gst::ClockTime::from_seconds(10), &kinds).expect("it ends");
        pipeline.set_state(gst::State::Null).expect("stopped");
        assert_eq!(last.type_(), gst::MessageType::Eos, "{last:?}");
        let written = written.load(std::sync::atomic::Ordering::Relaxed);
        assert!(written >= times.len() * BYTES, "{written} bytes of {} pictures", times.len());
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

//! When pictures and sound were made, from the times a camera gives them.
//!
//! RTP times are exact, but of a clock nobody knows; the jitter buffer places them by arrival. It does so picture by
//! picture, in the order of decoding: when one arrives late it begins anew at that time, and the B-frames behind it,
//! which are older, it calls backward and begins anew again (measured beside compilers: times repeated, swapped, hence
//! none to decode at, and `isofmp4mux` ended the file). So the camera's times say how far apart pictures are, and the
//! jitter buffer's only where all of them lie.
//!
//! ```text
//! time = camera's time + shift        shift follows (jitter buffer's time − camera's time):
//!   down slowly, because what travels comes late and never early: the least is the truest
//!   up hardly, until it stayed up: then in one step
//!   anew, behind everything before, where the camera's clock was set
//! ```
//! Contract: pictures keep their order and, but for the shift's slow way, their distances, whatever arrival does.

use gst::prelude::*;
use std::sync::{Mutex, PoisonError};

/// Parts of the stream's time by which the shift may change in it. Below 1, so that times keep their order.
const DOWN: f64 = 0.2;
/// The same where the stream began with what a camera had kept, far too early.
const FAR_DOWN: f64 = 0.5;
/// More than this is far.
const FAR_NS: i64 = 500_000_000;
/// Clocks differ by 0.01 % at most, so this follows every one and nearly nothing else.
const UP: f64 = 0.01;
/// Later than this and for so long is no hold-up, of which a jitter buffer has forgotten all but a little after 2 s: the
/// camera stood still, or said how picture and sound belong together.
const LATE_NS: i64 = 10_000_000;
const LATE_FOR_NS: i64 = 3_000_000_000;
/// The same in the beginning, when that is usually said and nothing is recorded yet.
const YOUNG_LATE_FOR_NS: i64 = 500_000_000;
const YOUNG_NS: i64 = 8_000_000_000;
/// A step of the camera's clock that arrival knows nothing of; B-frames lie closer to their neighbours.
const CLOCK_SET_NS: i64 = 1_000_000_000;
/// How far behind the latest picture the next lies when the clock was set.
const BEHIND_NS: i64 = 1_000_000;

/// Gives what leaves `pad`, RTP behind its jitter buffer, the times described above.
pub fn attach(pad: &gst::Pad) {
    let times = Mutex::new(Times::default());
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(buffer) = info.buffer_mut() else { return gst::PadProbeReturn::Ok };
        let rate = pad.current_caps().and_then(|caps| caps.structure(0)?.get::<i32>("clock-rate").ok());
        if let (Some(stamp), Some(arrived), Some(rate)) = (stamp(buffer), buffer.pts(), rate.filter(|rate| *rate > 0)) {
            let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
            let placed = times.place(stamp, rate, ns(arrived.nseconds()));
            buffer.make_mut().set_pts(gst::ClockTime::from_nseconds(placed.unsigned_abs()));
        }
        gst::PadProbeReturn::Ok
    });
}

fn ns(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

/// The time in an RTP header (RFC 3550, 5.1): bytes 4 to 7.
fn stamp(packet: &gst::BufferRef) -> Option<u32> {
    let mut stamp = [0; 4];
    packet.copy_to_slice(4, &mut stamp).ok()?;
    Some(u32::from_be_bytes(stamp))
}

/// The mapping of one stream. All in nanoseconds.
#[derive(Debug, Default)]
struct Times {
    last: Option<Last>,
    shift: i64,
    /// The latest time of the camera, and the latest that was given.
    newest: i64,
    latest: i64,
    /// The first time of the camera.
    first: i64,
    /// It has been late.
    late: Option<Late>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    stamp: u32,
    ticks: i64,
    sent: i64,
    arrived: i64,
    placed: i64,
}

/// Packets that come later than they should, one behind the other.
#[derive(Debug, Clone, Copy)]
struct Late {
    /// Since this time of the camera.
    since: i64,
    /// The shift that would suit the least late of them.
    least: i64,
}

impl Times {
    /// The time of a packet with this `stamp` of a clock with `rate` ticks a second, which the jitter buffer would
    /// place at `arrived`.
    fn place(&mut self, stamp: u32, rate: i32, arrived: i64) -> i64 {
        let ticks = match self.last {
            Some(last) if last.stamp == stamp => return last.placed,
            // Wraps after 13 h at 90 kHz.
            Some(last) => last.ticks + i64::from(stamp.wrapping_sub(last.stamp).cast_signed()),
            None => 0,
        };
        let sent = i64::try_from(i128::from(ticks) * 1_000_000_000 / i128::from(rate)).unwrap_or(i64::MAX);
        match self.last {
            None => {
                self.shift = arrived - sent;
                (self.newest, self.first) = (sent, sent);
            }
            Some(last) if is_set(sent - last.sent, arrived - last.arrived) => {
                self.shift = arrived.max(self.latest + BEHIND_NS) - sent;
                (self.newest, self.first) = (sent, sent);
                self.late = None;
            }
            Some(_) => self.follow(sent, arrived - sent),
        }
        let placed = (sent + self.shift).max(0);
        self.latest = self.latest.max(placed);
        self.last = Some(Last { stamp, ticks, sent, arrived, placed });
        placed
    }

    fn follow(&mut self, sent: i64, shift: i64) {
        let passed = (sent - self.newest).max(0);
        self.newest = self.newest.max(sent);
        let off = shift - self.shift;
        if off <= LATE_NS {
            self.late = None;
        } else {
            let late = self.late.get_or_insert(Late { since: sent, least: shift });
            late.least = late.least.min(shift);
            let limit = if sent - self.first < YOUNG_NS { YOUNG_LATE_FOR_NS } else { LATE_FOR_NS };
            if sent - late.since >= limit {
                self.shift = late.least;
                self.late = None;
                return;
            }
        }
        let part = |share: f64| (passed as f64 * share) as i64;
        let down = part(if off < -FAR_NS { FAR_DOWN } else { DOWN });
        self.shift += off.clamp(-down, part(UP));
    }
}

/// Whether a step of the camera's time is one of its clock.
fn is_set(sent: i64, arrived: i64) -> bool {
    sent.abs() > CLOCK_SET_NS && (sent - arrived).abs() > CLOCK_SET_NS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: i32 = 90_000;
    const MS: i64 = 1_000_000;
    const FRAME: u32 = 3000;

    /// Places pictures (stamp, arrival in ms).
    fn place(pictures: impl IntoIterator<Item = (u32, i64)>) -> Vec<i64> {
        let mut times = Times::default();
        pictures.into_iter().map(|(stamp, arrived)| times.place(stamp, RATE, arrived * MS)).collect()
    }

    #[test]
    fn what_is_late_for_a_moment_keeps_its_place_and_b_frames_theirs() {
        // I0 P4 B2 B1 B3 P8 …; from the 30th picture on a hold-up of 300 ms, which a jitter buffer passes on. The camera's
        // clock wraps before.
        let order = [4u32, 2, 1, 3];
        let pictures: Vec<(u32, i64)> = (0..100u32)
            .map(|n| {
                let number = n / 4 * 4 + order[(n % 4) as usize];
                let late = if (30..40).contains(&n) { 300 } else { 0 };
                (0u32.wrapping_sub(20 * FRAME).wrapping_add(number * FRAME), 1000 + i64::from(number) * 100 / 3 + late)
            })
            .collect();
        let placed = place(pictures.clone());
        for (pair, times) in pictures.windows(2).zip(placed.windows(2)) {
            let sent = i64::from(pair[1].0.wrapping_sub(pair[0].0).cast_signed()) * 1_000_000_000 / i64::from(RATE);
            let off = times[1] - times[0] - sent;
            assert!(off.abs() < 4 * MS, "{off} ns: {pair:?} {times:?}");
        }
        let last = placed.last().expect("pictures") - pictures.last().expect("pictures").1 * MS;
        assert!(last.abs() < 5 * MS, "{last} ns off in the end");
    }

    #[test]
    fn a_clock_that_was_set_back_or_on_goes_on_behind() {
        for step in [-100_000i64, -3600, 3600, 20_000] {
            let set = (step * i64::from(RATE)) as u32;
            let placed = place((0..60u32).map(|n| {
                let stamp = (n * FRAME).wrapping_add(if n < 30 { 0 } else { set });
                (stamp, 1000 + i64::from(n) * 100 / 3)
            }));
            for (n, pair) in placed.windows(2).enumerate() {
                let step = pair[1] - pair[0];
                assert!((20 * MS..50 * MS).contains(&step), "picture {n}: {step} ns after the one before");
            }
        }
    }

    #[test]
    fn a_camera_that_stood_still_is_caught_up_with_in_one_step_forward() {
        let placed =
            place((0..200u32).map(|n| (n * FRAME, 1000 + i64::from(n) * 100 / 3 + if n < 50 { 0 } else { 800 })));
        assert!(placed.windows(2).all(|pair| pair[1] > pair[0]));
        let expected = (1000 + 199 * 100 / 3 + 800) * MS;
        assert!((placed[199] - expected).abs() < 5 * MS, "{} instead of {expected}", placed[199]);
    }

    #[test]
    fn a_stream_that_begins_with_the_past_finds_its_place() {
        // A second of it at once, then in real time.
        let placed = place((0..400u32).map(|n| (n * FRAME, 1000 + i64::from(n.saturating_sub(30)) * 100 / 3)));
        assert!(placed.windows(2).all(|pair| pair[1] > pair[0]));
        let expected = (1000 + 369 * 100 / 3) * MS;
        assert!((placed[399] - expected).abs() < 5 * MS, "{} instead of {expected}", placed[399]);
    }

    proptest! {
        #[test]
        fn order_is_kept_whatever_arrival_does(late in prop::collection::vec(0i64..900, 2..300)) {
            let arrivals = late.iter().enumerate().map(|(n, late)| (n as u32 * FRAME, n as i64 * 100 / 3 + late));
            let placed = place(arrivals);
            prop_assert!(placed.windows(2).all(|pair| pair[1] > pair[0]));
        }
    }
}

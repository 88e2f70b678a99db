//! When pictures and sound of a camera were made, from the times it gives them.
//!
//! RTP times are exact, but each stream counts by a clock of its own that nobody knows. What is known of it:
//!
//! ```text
//! arrival (the jitter buffer)          where all of a stream lies, ± what travelling took     [`arrival`]
//! RTCP sender reports, RFC 3550 6.4.1  how the streams of one camera lie to each other        [`in_step`]
//! RTP-Info, RFC 2326 12.33             the same, from the first packet on, less trustworthy
//! ```
//! `rtpbin` would combine these too, and is told not to: it moves one stream by how both had arrived at the moment of a
//! report, and leaves it there until the next. Measured: where pictures were held up just then, sound stayed 166 ms
//! beside them. Here one correction moves all streams of a camera.
//!
//! Contract: what leaves keeps its order and, but for slow corrections, its distances, whatever arrival does. Streams of
//! a camera that says how they belong together do so to some milliseconds, at any time.

mod arrival;
mod in_step;

use arrival::Arrival;
use gst::prelude::*;
pub use in_step::Streams;
use in_step::{Said, Stream};
use std::sync::{Mutex, PoisonError};

/// The clock of sender reports in GStreamer: nanoseconds since 1900.
const REPORTED: &str = "timestamp/x-ntp";

/// Lets `rtspsrc` say what a camera reports, and leave the streams where they are.
pub fn prepare(rtspsrc: &gst::Element) {
    rtspsrc.set_property("add-reference-timestamp-meta", true);
    rtspsrc.connect("new-manager", false, |arguments| {
        let manager = arguments.get(1)?.get::<gst::Element>().ok()?;
        // No correction is this large.
        manager.set_property("min-ts-offset", u64::MAX);
        None
    });
}

/// Gives what leaves `pad`, RTP behind its jitter buffer and one of the `streams` of a camera, the times described above.
pub fn attach(pad: &gst::Pad, streams: &Streams) {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    let begin = caps.structure(0).and_then(|caps| caps.get::<u32>("clock-base").ok());
    let times = Mutex::new(Times::new(streams.join(), begin));
    let reported: gst::Caps = gst::Caps::new_empty_simple(REPORTED);
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(buffer) = info.buffer_mut() else { return gst::PadProbeReturn::Ok };
        let rate = pad.current_caps().and_then(|caps| caps.structure(0)?.get::<i32>("clock-rate").ok());
        if let (Some(stamp), Some(arrived), Some(rate)) = (stamp(buffer), buffer.pts(), rate.filter(|rate| *rate > 0)) {
            let report = buffer
                .iter_meta::<gst::ReferenceTimestampMeta>()
                .find(|meta| meta.reference().is_subset(&reported))
                .map(|meta| ns(meta.timestamp().nseconds()));
            let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
            let placed = times.place(Packet { stamp, rate, arrived: ns(arrived.nseconds()), report });
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

/// What is known of a packet; times in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Packet {
    stamp: u32,
    /// Ticks of `stamp` in a second.
    rate: i32,
    /// Where the jitter buffer would place it.
    arrived: i64,
    /// The camera's wall clock, once it has reported it.
    report: Option<i64>,
}

/// The mapping of one stream.
#[derive(Debug)]
struct Times {
    arrival: Arrival,
    stream: Stream,
    /// The stamp at which, the camera says, its streams begin together.
    begin: Option<u32>,
    /// From the stream's own time to that of the begin.
    since_begin: Option<i64>,
    last: Option<Last>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    stamp: u32,
    ticks: i64,
    placed: i64,
}

impl Times {
    fn new(stream: Stream, begin: Option<u32>) -> Self {
        Self { arrival: Arrival::default(), stream, begin, since_begin: None, last: None }
    }

    /// When the packet was made, in the time of `arrived`.
    fn place(&mut self, packet: Packet) -> i64 {
        let ticks = match self.last {
            Some(last) if last.stamp == packet.stamp => return last.placed,
            // Wraps after 13 h at 90 kHz.
            Some(last) => last.ticks + since(last.stamp, packet.stamp),
            None => {
                self.since_begin = self.begin.map(|begin| in_ns(since(begin, packet.stamp), packet.rate));
                0
            }
        };
        let sent = in_ns(ticks, packet.rate);
        let heard = self.arrival.take(sent, packet.arrived);
        let said = Said { report: packet.report.map(|wall| wall - sent), begin: self.since_begin };
        let placed = self.stream.place(sent, heard, said).max(0);
        self.last = Some(Last { stamp: packet.stamp, ticks, placed });
        placed
    }
}

/// Ticks from one stamp to another, which is less than half a turn of the counter away.
fn since(earlier: u32, later: u32) -> i64 {
    i64::from(later.wrapping_sub(earlier).cast_signed())
}

fn in_ns(ticks: i64, rate: i32) -> i64 {
    i64::try_from(i128::from(ticks) * 1_000_000_000 / i128::from(rate)).unwrap_or(i64::MAX)
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
        let mut times = Times::new(Streams::default().join(), None);
        let packet = |(stamp, arrived)| Packet { stamp, rate: RATE, arrived: arrived * MS, report: None };
        pictures.into_iter().map(|picture| times.place(packet(picture))).collect()
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

    const SOUND_RATE: i32 = 48_000;

    /// A camera with pictures and sound, both every 20 ms; what it knows of its own time, and what comes of it.
    struct Camera {
        times: [Times; 2],
        begins: [u32; 2],
    }

    impl Camera {
        /// Its streams count from these stamps.
        fn new(says_begin: bool) -> Self {
            let (streams, begins) = (Streams::default(), [u32::MAX - 5000, 77]);
            Self { times: begins.map(|begin| Times::new(streams.join(), says_begin.then_some(begin))), begins }
        }

        /// How far sound lies behind the picture that was made with it, at `made` (ms since the begin), when they take
        /// (pictures, sound) that many ms to arrive.
        fn apart(&mut self, made: i64, takes: (i64, i64), reports: bool) -> i64 {
            let mut placed = [0; 2];
            for (n, (rate, takes)) in [(RATE, takes.0), (SOUND_RATE, takes.1)].into_iter().enumerate() {
                let stamp = self.begins[n].wrapping_add((made * i64::from(rate) / 1000) as u32);
                // Nobody knows when 1900 was exactly.
                let report = reports.then_some((4_004_632_154_694 + made) * MS + made % 3);
                placed[n] = self.times[n].place(Packet { stamp, rate, arrived: (5000 + made + takes) * MS, report });
            }
            placed[1] - placed[0]
        }
    }

    #[test]
    fn a_camera_that_reports_is_in_step_from_its_first_report_on() {
        let mut camera = Camera::new(false);
        for made in (0..10_000).step_by(20) {
            let apart = camera.apart(made, (40, 206), made >= 3000);
            // The picture that brings the first report does not know that of the sound.
            let expected = if made > 3000 { 0 } else { 166 * MS };
            assert!((apart - expected).abs() < MS, "{apart} ns apart at {made} ms");
        }
    }

    #[test]
    fn a_camera_that_says_where_its_streams_begin_is_in_step_from_the_first_packet_on() {
        let mut camera = Camera::new(true);
        for made in (0..10_000).step_by(20) {
            let apart = camera.apart(made, (206, 40), made > 3000);
            // The picture comes first here, so sound knows of it.
            assert!(apart.abs() < MS, "{apart} ns apart at {made} ms");
        }
    }

    /// What moved one stream and not the other, when `rtpbin` put them in step.
    #[test]
    fn pictures_that_are_held_up_while_the_camera_reports_stay_in_step() {
        for held_up in [60, 160, 700, 1500] {
            let mut camera = Camera::new(false);
            for made in (0..12_000).step_by(20) {
                let late = if (2500..4500).contains(&made) { held_up } else { 0 };
                let apart = camera.apart(made, (40 + late, 40), made >= 3000);
                let limit = if made > 3000 { MS } else { 10 * MS };
                assert!(apart.abs() < limit, "{apart} ns apart at {made} ms, {held_up} ms late");
            }
        }
    }

    #[test]
    fn a_stream_that_begins_with_the_past_is_in_step_once_the_camera_reports() {
        let mut camera = Camera::new(false);
        for made in (0..10_000).step_by(20) {
            let apart = camera.apart(made, ((1000 - made).max(0), 40), made > 600);
            assert!(made <= 600 || apart.abs() < MS, "{apart} ns apart at {made} ms");
        }
    }

    #[test]
    fn a_report_or_a_begin_that_contradicts_arrival_is_not_believed() {
        for (begin_off, report_off) in [(Some(600), None), (None, Some(3100))] {
            let mut camera = Camera::new(begin_off.is_some());
            let mut made_up = |made: i64| {
                let at = |n: usize, rate: i32| camera.begins[n].wrapping_add((made * i64::from(rate) / 1000) as u32);
                let (picture, sound) = (at(0, RATE), at(1, SOUND_RATE));
                let arrived = (5000 + made) * MS;
                let report = report_off.map(|_| (4_004_632_154_694 + made) * MS);
                let first = camera.times[0].place(Packet { stamp: picture, rate: RATE, arrived, report });
                let report = report.zip(report_off).map(|(report, off)| report + off * MS);
                let second = camera.times[1].place(Packet { stamp: sound, rate: SOUND_RATE, arrived, report });
                second - first
            };
            // The begin of sound is said to be that much later than it is.
            let off = begin_off.unwrap_or(0);
            for made in (off..off + 5000).step_by(20) {
                let apart = made_up(made);
                assert!(apart.abs() < MS, "{apart} ns apart at {made} ms");
            }
        }
    }

    #[test]
    fn a_clock_that_was_set_waits_for_a_new_report() {
        let (streams, rate) = (Streams::default(), RATE);
        let mut times = [(); 2].map(|()| Times::new(streams.join(), Some(0)));
        let wall = |made: i64| (4_004_632_154_694 + made) * MS;
        for made in (0..20_000i64).step_by(20) {
            // The pictures' clock goes back 2 s; it reports so 5 s later. Until then its wall clock is believed to go back too.
            let set = made >= 8000;
            let (back, report) = match (set, made >= 13_000) {
                (false, _) => (0, wall(made)),
                (true, false) => (2000, wall(made - 2000)),
                (true, true) => (2000, wall(made) + 1),
            };
            let stamp = |made: i64| (made * i64::from(rate) / 1000) as u32;
            let arrived = (5000 + made) * MS;
            let picture = Packet { stamp: stamp(made - back), rate, arrived, report: Some(report) };
            let sound = Packet { stamp: stamp(made), rate, arrived, report: Some(wall(made)) };
            let apart = times[1].place(sound) - times[0].place(picture);
            assert!(apart.abs() <= 2 * MS, "{apart} ns apart at {made} ms");
        }
    }

    #[test]
    fn a_stream_that_is_gone_or_silent_holds_nobody() {
        for gone in [false, true] {
            let mut camera = Camera::new(true);
            camera.apart(0, (40, 240), true);
            let packet = |made: i64| {
                let stamp = (u32::MAX - 5000).wrapping_add((made * 90) as u32);
                Packet { stamp, rate: RATE, arrived: (5000 + made + 40) * MS, report: Some((9_000_000 + made) * MS) }
            };
            let [mut pictures, sound] = camera.times;
            let silent = (!gone).then_some(sound);
            let last = (20..12_000).step_by(20).map(|made| pictures.place(packet(made)) / MS - made).last();
            assert_eq!(last, Some(5040), "gone: {gone}");
            drop(silent);
        }
    }

    proptest! {
        #[test]
        fn order_is_kept_whatever_arrival_does(late in prop::collection::vec(0i64..900, 2..300)) {
            let arrivals = late.iter().enumerate().map(|(n, late)| (n as u32 * FRAME, n as i64 * 100 / 3 + late));
            let placed = place(arrivals);
            prop_assert!(placed.windows(2).all(|pair| pair[1] > pair[0]));
        }

        #[test]
        fn order_is_kept_and_streams_are_in_step_whatever_arrival_does(
            late in prop::collection::vec((0i64..900, 0i64..900), 30..300),
            reports_from in 0usize..20,
        ) {
            let mut camera = Camera::new(false);
            for (n, (pictures, sound)) in late.into_iter().enumerate() {
                let apart = camera.apart(n as i64 * 20, (pictures, sound), n >= reports_from);
                // One of them may learn a packet later what the other does.
                prop_assert!(n <= reports_from + 1 || apart.abs() <= 10 * MS, "{apart} ns apart at {n}");
            }
        }
    }
}

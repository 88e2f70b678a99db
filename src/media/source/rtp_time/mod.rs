//! When pictures and sound of a camera were made, from the times it gives them.
//!
//! RTP times are exact, but each stream counts by a clock of its own that nobody knows. What is known of it:
//!
//! ```text
//! arrival (the jitter buffer)          where all of a stream lies, ± what travelling took     [`arrival`]
//! RTCP sender reports, RFC 3550 6.4.1  how the streams of one camera lie to each other        [`in_step`]
//! ```
//! Reports come some seconds after PLAY. What RTP-Info says before (RFC 2326, 12.33) is not asked: measured, a server gave
//! the first packet of each stream as the begin of both, 133 ms apart.
//!
//! `rtpbin` would combine these too, and is told not to: it moves one stream by how both had arrived at the moment of a
//! report, and leaves it there until the next. Measured: where pictures were held up just then, sound stayed 166 ms
//! beside them. Here one correction moves the streams of a camera.
//!
//! Contract: what leaves keeps its order ([`course`]) and, but for corrections, its distances, whatever arrival does. The
//! streams of a camera that reports truly how they belong together do so to some milliseconds from its reports on; where
//! one of them alone came much later for [seconds](arrival), and may have left something out, from the next reports on.

mod arrival;
mod course;
mod in_step;
#[cfg(test)]
mod tests;

use arrival::{Arrival, Heard};
use course::Course;
use gst::prelude::*;
pub use in_step::{Kind, Streams};
use in_step::{Report, Stream};
use std::sync::{Mutex, PoisonError};

/// Lets `jitter_buffer` tell `streams` what the camera reports of its stream.
pub fn listen(jitter_buffer: &gst::Element, streams: &Streams) {
    let streams = streams.clone();
    jitter_buffer.connect("handle-sync", false, move |arguments| {
        let report = arguments.get(1)?.get::<gst::Structure>().ok()?;
        take_report(&streams, &report)
    });
}

/// A sender report, as `rtpjitterbuffer` hands it on: with the largest number for a time too far ahead of what has arrived.
/// Some cameras report before they know what time it is.
fn take_report(streams: &Streams, report: &gst::StructureRef) -> Option<gst::glib::Value> {
    let source = report.get::<u32>("ssrc").ok()?;
    let stamp = report.get::<u64>("sr-ext-rtptime").ok().filter(|stamp| *stamp != u64::MAX)? as u32;
    let wall = i64::try_from(report.get::<u64>("sr-ntpnstime").ok()?).ok().filter(|wall| *wall > 0)?;
    streams.report(source, stamp, wall);
    None
}

/// Gives what leaves `pad`, RTP behind its jitter buffer and one of the `streams` of a camera, the times described above;
/// nothing where there is one of this kind.
pub fn attach(pad: &gst::Pad, streams: &Streams, kind: Kind) {
    let Some(stream) = streams.join(kind) else { return };
    let (streams, times) = (streams.clone(), Mutex::new(Times::new(stream)));
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(buffer) = info.buffer_mut() else { return gst::PadProbeReturn::Ok };
        let rate = pad.current_caps().and_then(|caps| caps.structure(0)?.get::<i32>("clock-rate").ok());
        let header = Header::of(buffer);
        if let (Some(header), Some(arrived), Some(rate)) = (header, buffer.pts(), rate.filter(|rate| *rate > 0)) {
            let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
            let arrived = i64::try_from(arrived.nseconds()).unwrap_or(i64::MAX);
            let placed = times.place(&streams, header, rate, arrived);
            buffer.make_mut().set_pts(gst::ClockTime::from_nseconds(placed.unsigned_abs()));
        }
        gst::PadProbeReturn::Ok
    });
}

/// What an RTP header says (RFC 3550, 5.1).
#[derive(Debug, Clone, Copy)]
struct Header {
    stamp: u32,
    source: u32,
}

impl Header {
    fn of(packet: &gst::BufferRef) -> Option<Self> {
        let number = |offset| {
            let mut number = [0; 4];
            packet.copy_to_slice(offset, &mut number).ok()?;
            Some(u32::from_be_bytes(number))
        };
        Some(Self { stamp: number(4)?, source: number(8)? })
    }
}

/// The mapping of one stream.
#[derive(Debug)]
struct Times {
    arrival: Arrival,
    course: Course,
    stream: Stream,
    /// What the camera reported last, if that is true of the stream as it is now.
    report: Option<Report>,
    /// The number of the last report that was read.
    read: u64,
    last: Option<Last>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    stamp: u32,
    ticks: i64,
    placed: i64,
}

impl Times {
    fn new(stream: Stream) -> Self {
        let (arrival, course) = (Arrival::default(), Course::default());
        Self { arrival, course, stream, report: None, read: 0, last: None }
    }

    /// When a packet was made, in the time of `arrived`, which is where the jitter buffer would place it (ns). Its clock
    /// ticks at `rate`.
    fn place(&mut self, streams: &Streams, Header { stamp, source }: Header, rate: i32, arrived: i64) -> i64 {
        let ticks = match self.last {
            Some(last) if last.stamp == stamp => return last.placed,
            // Wraps after 13 h at 90 kHz.
            Some(last) => last.ticks + since(last.stamp, stamp),
            None => 0,
        };
        let sent = in_ns(ticks, rate);
        if let Some(report) = streams.news(source, self.read) {
            let reported = in_ns(ticks + since(stamp, report.stamp), rate);
            let wall = report.wall.saturating_sub(reported);
            self.report = Some(Report { number: report.number, at: arrived, wall });
            self.read = report.number;
        }
        let heard = self.arrival.take(sent, arrived);
        if heard != Heard::More {
            // It may be untrue now; the next report is not.
            self.report = None;
        }
        let shift = self.arrival.shift();
        let lead = self.stream.lead(sent + shift, shift, self.report);
        let placed = self.course.place(sent, shift + lead, heard == Heard::ClockSet).max(0);
        self.last = Some(Last { stamp, ticks, placed });
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

/// A `share` of a time.
fn share_of(time: i64, share: f64) -> i64 {
    (time as f64 * share) as i64
}

//! How the streams of a camera lie to each other, by what it says.
//!
//! ```text
//! arrival:  a stream's time + shift          = running time
//! camera:   a stream's time + wall           = a time that all its streams share
//! so:       shared time     + (shift − wall) = running time, the same for all streams but for what travelling took
//! ```
//! The largest of these is taken for all: sound and picture that were made together wait for the one that took longer.
//! Nothing is taken where the camera contradicts arrival by more than anything explains.
//!
//! Contract: one correction for all streams, at every packet. A stream that ends, or falls silent, holds nobody.

use super::arrival::{FAR_DOWN, Heard, share_of};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Reports that contradict arrival by more are not believed. As in `rtpbin`: some cameras report nonsense.
const REPORT_APART_NS: i64 = 3_000_000_000;
/// The same of the common begin: some cameras give the first packet of each stream, whenever that was.
const BEGIN_APART_NS: i64 = 500_000_000;
/// Reports differ by what the camera took to write them; a smaller change is none. As in `rtpbin`.
const REPORT_NOISE_NS: i64 = 4_000_000;
/// Reports repeated to this are one report: they are carried on with roundings.
const ROUNDING_NS: i64 = 1_000;
/// Nothing came for so long: the stream stands still or has ended.
const SILENT_NS: i64 = 10_000_000_000;
/// How far behind everything before a stream goes on when its clock was set.
const BEHIND_NS: i64 = 1_000_000;

/// The streams of one camera; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Streams(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    joined: u32,
    places: BTreeMap<u32, Place>,
}

/// What one stream knows of the way from shared times to running time.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Running time of its last packet.
    at: i64,
    by_report: Option<i64>,
    by_begin: Option<i64>,
}

/// What the camera says of a stream: the way from its time to a shared one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Said {
    /// By its last report, to its wall clock.
    pub report: Option<i64>,
    /// By where it said the streams begin.
    pub begin: Option<i64>,
}

/// One stream; leaves when dropped.
#[derive(Debug)]
pub struct Stream {
    streams: Streams,
    number: u32,
    /// What is believed of what was said.
    said: Said,
    /// A report from before the clock was set.
    stale: Option<i64>,
    was_set: bool,
    /// The shift and the latest time that were given.
    given: Option<Given>,
}

#[derive(Debug, Clone, Copy)]
struct Given {
    shift: i64,
    latest: i64,
}

impl Streams {
    /// One stream more.
    pub fn join(&self) -> Stream {
        let mut book = self.lock();
        book.joined += 1;
        let number = book.joined;
        Stream { streams: self.clone(), number, said: Said::default(), stale: None, was_set: false, given: None }
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    /// The running time of a packet that was `sent` then, of which arrival and the camera say this.
    pub fn place(&mut self, sent: i64, heard: Heard, said: Said) -> i64 {
        self.believe(heard.anew, said);
        let wanted = self.agree(sent, heard.shift);
        let shift = match self.given {
            None => wanted,
            Some(given) if heard.anew => wanted.max(given.latest + BEHIND_NS - sent),
            // Between a picture and the B-frames before it nothing changes.
            Some(given) if heard.passed == 0 => given.shift,
            Some(given) => wanted.max(given.shift - share_of(heard.passed, FAR_DOWN)),
        };
        let placed = sent + shift;
        let latest = self.given.map_or(placed, |given| given.latest.max(placed));
        self.given = Some(Given { shift, latest });
        placed
    }

    fn believe(&mut self, anew: bool, said: Said) {
        if anew {
            self.was_set = true;
            self.stale = said.report;
            self.said = Said::default();
        }
        self.said.begin = said.begin.filter(|_| !self.was_set);
        let near = |a: i64, b: i64, limit: i64| (a - b).abs() <= limit;
        if let Some(report) =
            said.report.filter(|report| !self.stale.is_some_and(|old| near(old, *report, ROUNDING_NS)))
        {
            self.stale = None;
            if !self.said.report.is_some_and(|known| near(known, report, REPORT_NOISE_NS)) {
                self.said.report = Some(report);
            }
        }
    }

    /// The shift that puts this stream in step with the others, or that of its arrival.
    fn agree(&self, sent: i64, shift: i64) -> i64 {
        let Said { report, begin } = self.said;
        let at = sent + shift;
        let mut book = self.streams.lock();
        let place = Place { at, by_report: report.map(|wall| shift - wall), by_begin: begin.map(|wall| shift - wall) };
        book.places.insert(self.number, place);
        let heard = book.places.values().filter(|place| at - place.at < SILENT_NS);
        let (reports, begins): (Vec<_>, Vec<_>) = heard.map(|place| (place.by_report, place.by_begin)).unzip();
        let by = |wall: Option<i64>, places: Vec<Option<i64>>, apart| Some(wall? + common(places, apart)?);
        by(report, reports, REPORT_APART_NS).or_else(|| by(begin, begins, BEGIN_APART_NS)).unwrap_or(shift)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.streams.lock().places.remove(&self.number);
    }
}

/// The largest, if all are known and none is further from it than `apart`.
fn common(places: Vec<Option<i64>>, apart: i64) -> Option<i64> {
    let places: Vec<i64> = places.into_iter().collect::<Option<_>>()?;
    let (least, most) = (places.iter().min()?, places.iter().max()?);
    (most - least <= apart).then_some(*most)
}

//! How the streams of a camera lie to each other, by what it says.
//!
//! ```text
//! arrival:  a stream's time + shift          = running time
//! camera:   a stream's time + wall           = a time that its streams share
//! so:       shared time     + (shift − wall) = running time, the same for all streams but for what travelling took
//! ```
//! The largest of these is taken for all: sound and picture that were made together wait for the one that took longer.
//! What that adds to a stream's own arrival, its *lead*, is measured while what the camera says is whole, new and
//! believable, and kept as it is otherwise: arrival alone then follows clocks that drift.
//!
//! Contract: one correction for all streams. Nothing a single stream does or says moves the others against it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Streams that the camera says lie further apart than they arrive by this are not believed to: some cameras report
/// nonsense. As in `rtpbin`.
const REPORT_APART_NS: i64 = 3_000_000_000;
/// Reports differ by what the camera took to write them; a smaller change is none. As in `rtpbin`.
const REPORT_NOISE_NS: i64 = 4_000_000;
/// Cameras report every 5 s (RFC 3550, 6.2). A report is too old when clocks of 0.01 % lie 12 ms apart; so is that of a
/// stream which stands still, because it is read with its packets.
const REPORT_FOR_NS: i64 = 120_000_000_000;

/// More synchronisation sources than this in one session are none of a camera.
const SOURCES: usize = 16;

/// What a stream carries; of each kind one is kept in step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Pictures,
    Sound,
}

/// The streams of one camera; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Streams(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    /// The last report of each synchronisation source (RFC 3550, 3).
    heard: BTreeMap<u32, SenderReport>,
    /// Reports so far.
    reports: u64,
    /// The first report that does not agree with those believed: all streams must have reported since.
    changed: Option<u64>,
    members: BTreeMap<Kind, Member>,
}

/// A camera's wall clock at one of its RTP times (RFC 3550, 6.4.1).
#[derive(Debug, Clone, Copy)]
pub struct SenderReport {
    /// Counts the reports of a camera.
    pub number: u64,
    pub stamp: u32,
    /// Nanoseconds since 1900.
    pub wall: i64,
}

/// What is known of a stream.
#[derive(Debug, Clone, Copy)]
struct Member {
    shift: i64,
    report: Option<Report>,
    /// The wall clock that all streams agreed on.
    believed: Option<i64>,
}

/// A report as seen from its stream. All in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    pub number: u64,
    /// Running time when it was heard.
    pub at: i64,
    /// From the stream's time to the wall clock.
    pub wall: i64,
}

/// One stream; leaves when dropped.
#[derive(Debug)]
pub struct Stream {
    streams: Streams,
    kind: Kind,
    lead: i64,
    /// It has been measured.
    in_step: bool,
}

impl Streams {
    /// A stream of this kind; `None` = there is one.
    pub fn join(&self, kind: Kind) -> Option<Stream> {
        let mut book = self.lock();
        let member = Member { shift: 0, report: None, believed: None };
        (!book.members.contains_key(&kind)).then(|| {
            book.members.insert(kind, member);
            Stream { streams: self.clone(), kind, lead: 0, in_step: false }
        })
    }

    /// The camera says that its wall clock was at `wall` when the clock of `source` was at `stamp`.
    pub fn report(&self, source: u32, stamp: u32, wall: i64) {
        let mut book = self.lock();
        book.reports += 1;
        let number = book.reports;
        book.heard.insert(source, SenderReport { number, stamp, wall });
        if book.heard.len() > SOURCES {
            book.heard.retain(|_, report| number - report.number < SOURCES as u64);
        }
    }

    /// The last report of `source`, if it is another than `known`.
    pub fn news(&self, source: u32, known: u64) -> Option<SenderReport> {
        self.lock().heard.get(&source).copied().filter(|report| report.number != known)
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    /// What to add to `shift`, the stream's own by arrival, by which it would be at `at` now.
    pub fn lead(&mut self, at: i64, shift: i64, report: Option<Report>) -> i64 {
        let mut book = self.streams.lock();
        if let Some(member) = book.members.get_mut(&self.kind) {
            let believed = member.believed.filter(|_| report.is_some());
            *member = Member { shift, report, believed };
        }
        book.settle();
        let measured = book.measure(at, self.kind);
        drop(book);
        if let Some(lead) = measured {
            if !std::mem::replace(&mut self.in_step, true) {
                tracing::info!(stream = ?self.kind, lead_ms = lead / 1_000_000, "in step by the camera's reports");
            }
            self.lead = lead;
        }
        self.lead
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.streams.lock().members.remove(&self.kind);
    }
}

impl Book {
    /// Believes what all streams reported, once none speaks of the time before a change: a camera whose clock was set says
    /// so of one stream first.
    fn settle(&mut self) {
        let changes = self.members.values().filter_map(|member| {
            let report = member.report?;
            let same = member.believed.is_some_and(|known| (known - report.wall).abs() <= REPORT_NOISE_NS);
            (!same).then_some(report.number)
        });
        self.changed = self.changed.or(changes.min());
        let Some(changed) = self.changed else { return };
        if self.members.values().all(|member| member.report.is_some_and(|report| report.number >= changed)) {
            self.members.values_mut().for_each(|member| member.believed = member.report.map(|report| report.wall));
            self.changed = None;
        }
    }

    /// How much later than by its own arrival a stream belongs; `None` = nothing tells now.
    fn measure(&self, at: i64, kind: Kind) -> Option<i64> {
        let members = || self.members.values();
        let own = self.members.get(&kind)?;
        if members().len() < 2 {
            return None;
        }
        let wall = |member: &Member| member.believed.filter(|_| member.report.is_some_and(|report| report.is_new(at)));
        let places = members().map(|member| Some(member.shift - wall(member)?)).collect::<Option<Vec<_>>>()?;
        let (least, most) = (places.iter().min()?, places.iter().max()?);
        (most - least <= REPORT_APART_NS).then_some(most - (own.shift - wall(own)?))
    }
}

impl Report {
    fn is_new(&self, at: i64) -> bool {
        at - self.at < REPORT_FOR_NS
    }
}

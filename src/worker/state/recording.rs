//! The recording: parts one after the other until somebody says stop.

use super::growth::Growth;
use super::pace::Pace;
use super::split::{Next, Settling, Why};
use super::{Effect, State, TakeEvidence};
use crate::media::signal::VideoFormat;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::session::{Fact, FactKind, Gap, LATE_START, PartEnd};
use crate::model::snapshot::{Dropped, Frames};
use crate::model::{MonoNs, SessionId};
use crate::protocol::worker::Ticket;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A stretch without media shorter than this is none where nobody knows how long a frame lasts: one frame of the
/// slowest source (10 per second).
const LEAST_GAP: Duration = Duration::from_millis(100);
/// The same in frames, where that is known: two missing frames are a gap, the rounding of times and a late frame are
/// none.
const LEAST_GAP_FRAMES: f64 = 1.5;

/// What happens after a part is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// The next part, as soon as there is something to record.
    Next,
    /// The recording has ended as asked.
    Done,
    /// The recording has ended by a fault.
    Failed,
}

/// How far the closing of a part is, `Phase::Closing::since` this long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// What was captured is on its way into the file.
    Flushing,
    /// Its pipelines are being thrown away.
    Releasing,
    /// It is made an ordinary MP4.
    Finalising,
}

/// Where the recording stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Phase {
    /// No part is open: no signal yet, or not again.
    Awaiting { not_before: MonoNs },
    /// A part file is being created.
    Opening { part: u32, since: MonoNs },
    /// A part is being written.
    Writing {
        part: u32,
        file: String,
        since: MonoNs,
        /// It holds media.
        started: bool,
        /// When the recording last grew, in whichever part.
        grown_at: Option<MonoNs>,
        overflowed: u64,
    },
    /// A part is being closed.
    Closing { part: u32, file: String, since: MonoNs, then: Then, step: Step },
    /// Only the settling part is still being closed.
    Ending { failed: bool },
    /// Nothing more comes.
    Done { failed: bool },
}

/// One session's recording.
#[derive(Debug)]
pub(super) struct Recording {
    pub(super) ticket: Ticket,
    pub(super) phase: Phase,
    /// Asked to stop; what is being closed is the last part.
    pub(super) stopping: bool,
    /// It ends because this worker does, and nobody asked: another one is to go on with it.
    pub(super) handed_on: bool,
    /// The part that follows the one being written, and the one before it that is being closed.
    pub(super) next: Option<Next>,
    pub(super) settling: Option<Settling>,
    /// Somebody wants a split at this time.
    pub(super) split_wanted: Option<MonoNs>,
    pub(super) no_split_before: MonoNs,
    /// What the part being written records, and whether with sound.
    pub(super) recorded: Option<(VideoFormat, bool)>,
    pub(super) next_part: u32,
    next_fact: u64,
    /// Totals of closed parts.
    pub(super) media: Duration,
    pub(super) safe: Duration,
    pub(super) frames: Frames,
    pub(super) parts: u32,
    /// Number and file of the last part.
    pub(super) last: Option<(u32, String)>,
    /// Progress of the current part.
    pub(super) take: TakeEvidence,
    /// The last part whose place on the timeline was told.
    begun: Option<u32>,
    /// (when, bytes) about two seconds ago, for the rate.
    pub(super) rate_from: Option<(MonoNs, u64)>,
    /// End of the last media since the origin, and why it ended.
    pub(super) lost_since: Option<(i64, String)>,
    /// Length of a frame of the last part.
    pub(super) period: Duration,
    pub(super) pace: Pace,
    /// Parts whose closing missed its deadline.
    pub(super) left_behind: BTreeSet<u32>,
    /// When the disk last gave reason to doubt it.
    pub(super) doubted_at: Option<MonoNs>,
    /// What the disk refused the part that is written, or the next one, with; until a part grows.
    pub(super) fault: Option<IncidentCode>,
    /// The part that was thrown away because it had stalled.
    pub(super) stalled: Option<u32>,
    /// Parts that are not at their path.
    pub(super) displaced: BTreeSet<u32>,
    /// What the disk had against which part, told while it was open.
    pub(super) told: BTreeMap<u32, BTreeSet<IncidentCode>>,
    /// Parts of which nothing more becomes safe, and how soon each is followed by one of which something may.
    pub(super) unsynced: BTreeSet<u32>,
    pub(super) sync_pace: Pace,
    /// A stall counts from here on: before, the disk did not answer.
    pub(super) stall_from: MonoNs,
    pub(super) growth: Growth,
    noted: BTreeSet<IncidentCode>,
}

impl Recording {
    /// A recording that begins with the source `live` or not.
    pub(super) fn new(now: MonoNs, ticket: Ticket, live: bool) -> Self {
        let (next_part, next_fact) = (ticket.first_part.max(1), ticket.first_fact.max(1));
        let cause = if live { LATE_START } else { IncidentCode::NoSignal.as_str() };
        Self {
            phase: Phase::Awaiting { not_before: now },
            stopping: false,
            handed_on: false,
            next: None,
            settling: None,
            split_wanted: None,
            no_split_before: now,
            recorded: None,
            next_part,
            next_fact,
            media: Duration::ZERO,
            safe: Duration::ZERO,
            frames: nothing(),
            parts: 0,
            last: None,
            take: TakeEvidence::default(),
            begun: None,
            rate_from: None,
            lost_since: (next_part == 1).then(|| (0, cause.to_owned())),
            period: Duration::ZERO,
            pace: Pace::default(),
            left_behind: BTreeSet::new(),
            doubted_at: None,
            fault: None,
            stalled: None,
            displaced: BTreeSet::new(),
            told: BTreeMap::new(),
            unsynced: BTreeSet::new(),
            sync_pace: Pace::default(),
            stall_from: now,
            growth: Growth::new(now),
            noted: BTreeSet::new(),
            ticket,
        }
    }

    pub(super) fn session(&self) -> SessionId {
        self.ticket.session
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done { .. })
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping
    }

    pub(super) fn since_origin(&self, time: MonoNs) -> i64 {
        i64::try_from(i128::from(time.0) - i128::from(self.ticket.start_at_ns.0)).unwrap_or(i64::MAX)
    }

    pub(super) fn write_fact(&mut self, now: MonoNs, kind: FactKind, out: &mut Vec<Effect>) {
        let fact = Box::new(Fact { n: self.next_fact, kind });
        self.next_fact += 1;
        let t_ns = self.since_origin(now);
        out.push(Effect::WriteFact { session: self.session(), dir: self.ticket.dir.clone(), t_ns, fact });
    }

    /// Tells where `part`, the one `take` is about, begins as soon as that is known: a fragment of it is in the file half
    /// a second later at the earliest, and whoever dies then takes nothing with it.
    pub(super) fn tell_begin(&mut self, now: MonoNs, part: u32, out: &mut Vec<Effect>) {
        if let Some(origin) = self.take.origin.filter(|_| self.begun != Some(part)) {
            self.begun = Some(part);
            let offset_ns = self.since_origin(origin);
            self.write_fact(now, FactKind::PartStarted { part, offset_ns }, out);
        }
    }

    /// Writes an incident once per session, or once per file.
    pub(super) fn note_incident(&mut self, now: MonoNs, incident: Incident, out: &mut Vec<Effect>) {
        if self.noted.insert(incident.code) || incident.code == IncidentCode::FileDisplaced {
            self.write_fact(now, FactKind::Incident(incident), out);
        }
    }

    pub(super) fn note_gap(&mut self, now: MonoNs, to_ns: i64, out: &mut Vec<Effect>) {
        if let Some((from_ns, cause)) = self.lost_since.take()
            && to_ns.saturating_sub(from_ns) > self.least_gap_ns()
        {
            self.write_fact(now, FactKind::Gap(Gap { from_ns, to_ns, cause }), out);
        }
    }

    /// The source has shown nothing since `since`, for this cause. A replacement that finds none tells that, else it would
    /// count as lost with the worker before it, whose end it does not know.
    pub(super) fn note_dark(&mut self, since: MonoNs, cause: IncidentCode) {
        let from_ns = self.since_origin(since);
        self.lost_since.get_or_insert_with(|| (from_ns, cause.as_str().to_owned()));
    }

    fn least_gap_ns(&self) -> i64 {
        let format = self.recorded.as_ref().map(|(format, _)| format).filter(|format| format.rate.is_some());
        let least = format.map_or(LEAST_GAP, |format| format.period().mul_f64(LEAST_GAP_FRAMES));
        i64::try_from(least.as_nanos()).unwrap_or(i64::MAX)
    }

    pub(super) fn finish(&mut self, now: MonoNs, failed: bool, out: &mut Vec<Effect>) {
        self.note_gap(now, self.since_origin(now), out);
        self.drop_next(now, Why::GivenUp, out);
        if self.settling.is_some() {
            self.phase = Phase::Ending { failed };
            return;
        }
        self.phase = Phase::Done { failed: failed || self.parts == 0 };
        self.take = TakeEvidence::default();
        let frames = self.frames;
        if !self.handed_on {
            self.write_fact(now, FactKind::Done { frames }, out);
        }
        out.push(Effect::LetGoOfSession(self.session()));
        out.push(Effect::ReleaseEncoders);
        out.push(Effect::PublishStatus);
    }

    /// Nothing is open, and nothing more is to be.
    pub(super) fn finish_if_awaiting(&mut self, now: MonoNs, out: &mut Vec<Effect>) {
        if matches!(self.phase, Phase::Awaiting { .. }) {
            self.finish(now, true, out);
        }
    }

    /// What follows the part that is being closed, if one is.
    pub(super) fn closing_then(&self) -> Option<Then> {
        if let Phase::Closing { then, .. } = self.phase { Some(then) } else { None }
    }

    /// The settling part is closed: perhaps it was the last.
    pub(super) fn finish_if_ending(&mut self, now: MonoNs, out: &mut Vec<Effect>) {
        if let Phase::Ending { failed } = self.phase {
            self.finish(now, failed, out);
        }
    }

    /// Counts a part whose end nobody will tell by what was seen of it.
    pub(super) fn add_unclosed(&mut self, take: TakeEvidence) {
        self.frames = sum(self.frames, take.frames);
        self.media += take.progress.written;
        self.safe += take.progress.safe;
        if !take.progress.written.is_zero() {
            self.parts += 1;
        }
    }

    pub(super) fn close(&mut self, now: MonoNs, end: PartEnd, then: Then, out: &mut Vec<Effect>) {
        if let Phase::Writing { part, file, .. } = &self.phase {
            self.phase = Phase::Closing { part: *part, file: file.clone(), since: now, then, step: Step::Flushing };
            self.drop_next(now, Why::GivenUp, out);
            out.push(Effect::ClosePart { at: now, end });
            out.push(Effect::PublishStatus);
        }
    }

    pub(super) fn cut(&mut self, now: MonoNs, end: PartEnd, then: Then, out: &mut Vec<Effect>) {
        let (part, file) = match &self.phase {
            Phase::Writing { part, file, .. } | Phase::Closing { part, file, step: Step::Flushing, .. } => {
                (*part, file.clone())
            }
            Phase::Closing { .. }
            | Phase::Awaiting { .. }
            | Phase::Opening { .. }
            | Phase::Done { .. }
            | Phase::Ending { .. } => return,
        };
        self.drop_next(now, Why::GivenUp, out);
        if end == PartEnd::Stalled {
            self.stalled = Some(part);
        }
        self.phase = Phase::Closing { part, file, since: now, then, step: Step::Releasing };
        out.push(Effect::CutPart { end });
        out.push(Effect::PublishStatus);
    }
}

/// The sums of a recording without parts.
pub(super) fn nothing() -> Frames {
    let zero = Some(0);
    let dropped = Dropped { source: zero, queue: zero, encoder: zero };
    Frames { captured: zero, encoded: zero, written: zero, duplicated: zero, dropped }
}

/// Sums of two stretches; unknown in one is unknown in both.
pub(super) fn sum(a: Frames, b: Frames) -> Frames {
    let add = |a: Option<u64>, b: Option<u64>| Some(a? + b?);
    Frames {
        captured: add(a.captured, b.captured),
        encoded: add(a.encoded, b.encoded),
        written: add(a.written, b.written),
        duplicated: add(a.duplicated, b.duplicated),
        dropped: Dropped {
            source: add(a.dropped.source, b.dropped.source),
            queue: add(a.dropped.queue, b.dropped.queue),
            encoder: add(a.dropped.encoder, b.dropped.encoder),
        },
    }
}

impl State {
    pub(super) fn part_is_open(&self) -> bool {
        let phase = self.recording.as_ref().map(|recording| &recording.phase);
        matches!(phase, Some(Phase::Opening { .. } | Phase::Writing { .. } | Phase::Closing { .. }))
    }

    pub(super) fn on_take_failed(&mut self, now: MonoNs, part: Option<u32>, reason: String, out: &mut Vec<Effect>) {
        let incident = Incident::new(IncidentCode::PipelineFailed).with("reason", reason);
        out.push(Effect::Log(incident.clone()));
        self.raise(now, incident, out);
        if let Some(recording) = &mut self.recording {
            if let Some(beside) = part.filter(|part| recording.is_beside(*part)) {
                return self.on_beside_failed(now, beside, out);
            }
            let then = recording.then();
            recording.cut(now, PartEnd::Cut, then, out);
        }
    }

    pub(super) fn stop_recording(&mut self, now: MonoNs, out: &mut Vec<Effect>) {
        let Some(recording) = &mut self.recording else { return };
        if recording.is_done() || recording.stopping {
            return;
        }
        recording.stopping = true;
        match recording.phase {
            Phase::Awaiting { .. } => recording.finish(now, false, out),
            Phase::Writing { .. } => recording.close(now, PartEnd::Completed, Then::Done, out),
            // Goes on in on_part_opened and on_part_closed.
            Phase::Opening { .. } | Phase::Closing { .. } | Phase::Ending { .. } | Phase::Done { .. } => {
                out.push(Effect::PublishStatus);
            }
        }
    }

    pub(super) fn close_part_for_loss(&mut self, now: MonoNs, end: PartEnd, stays: bool, out: &mut Vec<Effect>) {
        let Some(recording) = &mut self.recording else { return };
        if let Some((_, cause)) = recording.lost_since.as_mut().filter(|(_, cause)| cause == LATE_START) {
            IncidentCode::NoSignal.as_str().clone_into(cause);
        }
        match recording.phase {
            Phase::Writing { .. } => recording.close(now, end, if stays { Then::Next } else { Then::Done }, out),
            Phase::Awaiting { .. } if !stays && recording.parts > 0 => recording.finish(now, false, out),
            Phase::Awaiting { .. }
            | Phase::Opening { .. }
            | Phase::Closing { .. }
            | Phase::Ending { .. }
            | Phase::Done { .. } => {}
        }
    }
}

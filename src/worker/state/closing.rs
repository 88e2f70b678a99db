//! Closing a part: what it waits for, what comes out, and what comes next.
//!
//! ```text
//! flushing ─(end of stream)─▶ releasing ─(pipelines at rest)─▶ finalising ─▶ closed
//!     └──────────(cut)───────────▲
//! ```
//! Contract: every step has a deadline. A part that misses one of the last two is left behind: its thread may still
//! finish it, else the close of the session does. A part that could not be finalised is left to that as well, with what
//! is known of it.

use super::disk::incident_of;
use super::recording::{Phase, Recording, Step, Then, sum};
use super::{Effect, PartClosing, State};
use crate::media::pipeline::TEARDOWN_DEADLINE;
use crate::model::MonoNs;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::session::{FactKind, PartEnd};
use std::time::Duration;

/// Finalising appends a few MB and syncs twice; a busy USB disk takes seconds for that, a minute is a broken one.
pub(super) const FINALISE_DEADLINE: Duration = Duration::from_secs(60);

impl Recording {
    /// The part being closed has come this far.
    fn step_on(&mut self, now: MonoNs, from: Step, to: Step) {
        if let Phase::Closing { since, step, .. } = &mut self.phase
            && *step == from
        {
            *step = to;
            *since = now;
        }
    }
}

/// Finalising `file` took too long.
pub(super) fn not_finalised_in_time(file: &str) -> Incident {
    let reason = format!("{file} could not be finalised within {} s", FINALISE_DEADLINE.as_secs());
    Incident::new(IncidentCode::DiskError).with("reason", reason)
}

impl State {
    /// The closing of `part` has come this far.
    pub(super) fn step_on(&mut self, now: MonoNs, part: u32, from: Step, to: Step) {
        let Some(recording) = &mut self.recording else { return };
        recording.settle_on(now, part, from, to);
        if matches!(recording.phase, Phase::Closing { part: closing, .. } if closing == part) {
            recording.step_on(now, from, to);
        }
    }

    /// Notices deadlines of a part being closed.
    pub(super) fn watch_closing(&mut self, now: MonoNs, out: &mut Vec<Effect>) {
        let flush_deadline = self.policy().flush_deadline;
        let take = self.evidence.take;
        let Some(recording) = &mut self.recording else { return };
        let Phase::Closing { part, since, then, step, file } = &recording.phase else { return };
        let (waited, then) = (now.since(*since), *then);
        match step {
            Step::Flushing if waited >= flush_deadline => {
                recording.cut(now, PartEnd::Cut, then, out);
                self.raise(now, Incident::new(IncidentCode::StopCut), out);
            }
            Step::Flushing => {
                let part = *part;
                recording.take = take.unwrap_or(recording.take);
                recording.tell_begin(now, part, out);
            }
            Step::Releasing if waited >= TEARDOWN_DEADLINE => {
                self.leave_part_behind(now, Incident::new(IncidentCode::TeardownStuck), out);
            }
            Step::Finalising if waited >= FINALISE_DEADLINE => {
                let incident = not_finalised_in_time(file);
                self.leave_part_behind(now, incident, out);
            }
            Step::Releasing | Step::Finalising => {}
        }
    }

    /// Goes on without the part being closed, counting what was seen of it.
    fn leave_part_behind(&mut self, now: MonoNs, incident: Incident, out: &mut Vec<Effect>) {
        out.push(Effect::Log(incident.clone()));
        self.raise(now, incident, out);
        let Some(recording) = &mut self.recording else { return };
        let Phase::Closing { part, then, .. } = recording.phase else { return };
        let stuck_in_a_stall = recording.stalled == Some(part);
        recording.left_behind.insert(part);
        let take = std::mem::take(&mut recording.take);
        recording.add_unclosed(take);
        if let Some(origin) = take.origin {
            let end_ns = recording.since_origin(origin.plus(take.progress.written));
            recording.lost_since = (then == Then::Next).then(|| (end_ns, cause_of(PartEnd::Cut).to_owned()));
        }
        let pause = recording.pace.after(PartEnd::Cut, take.progress.written);
        if then == Then::Next && stuck_in_a_stall && !recording.stopping {
            // What hung the part may hang the next one too: another process is to go on with it (R-FM-2).
            recording.handed_on = true;
            self.terminate(now, 1, out);
        }
        self.go_on(now, then, pause, out);
    }

    pub(super) fn on_part_closed(&mut self, now: MonoNs, closing: PartClosing, out: &mut Vec<Effect>) {
        let PartClosing { session, mut record, frames, safe, doubt, unfinalised } = closing;
        let Some(recording) = &mut self.recording else { return };
        if recording.session() != session || recording.is_done() {
            // Its session tells nothing any more.
            out.extend(doubt.map(|doubt| Effect::Log(incident_of(&doubt))));
            return;
        }
        record.stalled = recording.stalled == Some(record.part);
        recording.name_displaced(&mut record);
        if recording.left_behind.remove(&record.part) {
            // Counted when it was left behind; but it is whole after all.
            let part = record.part;
            if unfinalised.is_none() {
                recording.write_fact(now, FactKind::PartClosed(record), out);
            }
            return self.tell_doubt(now, part, doubt, out);
        }
        let settled = recording.settling.take_if(|settling| settling.part == record.part).is_some();
        let then = match recording.phase {
            Phase::Closing { part, then, .. } if part == record.part => Some(then),
            _ if settled => None,
            _ => return,
        };
        let media = Duration::from_nanos(record.duration_ns);
        recording.frames = sum(recording.frames, frames);
        recording.media += media;
        recording.safe += safe;
        if then.is_some() {
            recording.take = Default::default();
        }
        if record.end != PartEnd::Empty {
            recording.parts += 1;
        }
        // What settles has a successor without a gap.
        if let (Some(then), Some(offset)) = (then, record.offset_ns.filter(|_| record.end != PartEnd::Empty)) {
            recording.note_gap(now, offset, out);
            let end_ns = offset.saturating_add_unsigned(record.duration_ns);
            let fault = recording.fault.filter(|_| record.end == PartEnd::DiskError);
            let cause = fault.map_or(cause_of(record.end), IncidentCode::as_str);
            recording.lost_since = (then == Then::Next).then(|| (end_ns, cause.to_owned()));
        }
        let pause = then.map(|_| recording.pace.after(record.end, media));
        let part = record.part;
        match unfinalised {
            None => recording.write_fact(now, FactKind::PartClosed(record), out),
            Some(reason) => {
                let reason = format!("{} could not be finalised: {reason}", record.file);
                recording.write_fact(now, FactKind::PartUnfinished(record), out);
                let incident = Incident::new(IncidentCode::DiskError).with("reason", reason);
                out.push(Effect::Log(incident.clone()));
                // Of a disk that refuses the part itself more was said than that.
                if recording.fault.is_none() {
                    self.raise(now, incident, out);
                }
            }
        }
        // Before the recording may end by this: what comes behind its end belongs to no session.
        self.tell_doubt(now, part, doubt, out);
        match (then, pause) {
            (Some(then), Some(pause)) => self.go_on(now, then, pause, out),
            (_, _) => {
                if let Some(recording) = &mut self.recording {
                    recording.finish_if_ending(now, out);
                }
                out.push(Effect::PublishStatus);
            }
        }
    }

    fn go_on(&mut self, now: MonoNs, then: Then, pause: Duration, out: &mut Vec<Effect>) {
        let Some(recording) = &mut self.recording else { return };
        match then {
            _ if recording.is_stopping() && then != Then::Failed => recording.finish(now, false, out),
            Then::Next => {
                recording.phase = Phase::Awaiting { not_before: now.plus(pause) };
                self.open_part_if_live(now, out);
            }
            Then::Done => recording.finish(now, false, out),
            Then::Failed => recording.finish(now, true, out),
        }
        out.push(Effect::PublishStatus);
    }
}

fn cause_of(end: PartEnd) -> &'static str {
    match end {
        PartEnd::SignalLost => IncidentCode::NoSignal,
        PartEnd::Stalled => IncidentCode::RecordingStalled,
        PartEnd::DiskFull => IncidentCode::DiskFull,
        PartEnd::DiskError => IncidentCode::DiskError,
        PartEnd::WorkerDied => IncidentCode::WorkerDied,
        PartEnd::Displaced => IncidentCode::FileDisplaced,
        PartEnd::Completed | PartEnd::Split | PartEnd::Cut | PartEnd::Empty | PartEnd::Damaged => {
            IncidentCode::PipelineFailed
        }
    }
    .as_str()
}

//! Looks at the part being written: stalls, lost frames, deadlines.

use super::recording::{Phase, Then};
use super::source::SourceState;
use super::{Effect, OF_A_PART, OF_THE_DISK, State};
use crate::model::MonoNs;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::policy::StallAction;
use crate::model::session::PartEnd;
use std::time::Duration;

/// A stall becomes an incident after this long (R-FM-2).
pub(super) const STALL_INCIDENT: Duration = Duration::from_secs(10);

impl State {
    /// Takes in how far the part is, notices stalls, lost frames and deadlines.
    pub(super) fn watch_recording(&mut self, now: MonoNs, out: &mut Vec<Effect>) {
        self.open_part_if_live(now, out);
        self.watch_settling(now, out);
        match self.recording.as_ref().map(|recording| &recording.phase) {
            Some(Phase::Writing { .. }) => {
                self.watch_writing(now, out);
                self.watch_split(now, out);
            }
            Some(Phase::Closing { .. }) => self.watch_closing(now, out),
            Some(Phase::Opening { .. }) => self.watch_opening(now, out),
            Some(Phase::Awaiting { .. } | Phase::Ending { .. } | Phase::Done { .. }) | None => {}
        }
    }

    fn watch_writing(&mut self, now: MonoNs, out: &mut Vec<Effect>) {
        let policy = self.policy();
        let frames_arrive = matches!(self.source, SourceState::Live { .. });
        let (Some(recording), Some(take)) = (&mut self.recording, self.evidence.take) else { return };
        let Phase::Writing { part, since, .. } = recording.phase else { return };
        let before = std::mem::replace(&mut recording.take, take);
        recording.tell_begin(now, part, out);
        let trickles = recording.growth.add(now, take.progress.bytes.saturating_sub(before.progress.bytes));
        let Phase::Writing { started, grown_at, overflowed, .. } = &mut recording.phase else { return };
        let mut over: &[IncidentCode] = &[];
        let mut first = false;
        if take.progress.written > before.progress.written {
            match (std::mem::replace(started, true), grown_at.replace(now)) {
                (false, _) => (first, over) = (true, &OF_A_PART),
                (true, Some(_)) => over = &[IncidentCode::RecordingStalled],
                (true, None) => {}
            }
        }
        let mut incident = None;
        if take.overflowed > *overflowed {
            *overflowed = take.overflowed;
            incident = Some(Incident::new(IncidentCode::QueueOverflow).with("frames", take.overflowed));
        }
        let quiet_from = grown_at.unwrap_or(since).max(recording.ticket.start_at_ns).max(recording.stall_from);
        let quiet = now.since(quiet_from);
        if first {
            recording.fault = None;
            if let Some(origin) = take.origin {
                let offset = recording.since_origin(origin);
                recording.note_gap(now, offset, out);
            }
            out.push(Effect::PublishStatus);
        }
        let stalls = frames_arrive && (quiet >= STALL_INCIDENT || trickles);
        if frames_arrive && quiet >= policy.stall_restart {
            let then = if policy.stall_action == StallAction::Stop { Then::Failed } else { Then::Next };
            recording.cut(now, PartEnd::Stalled, then, out);
        } else if stalls {
            incident = Some(Incident::new(IncidentCode::RecordingStalled));
        }
        // A disk that was doubted before this part began and makes some of it safe works again.
        let proven = before.progress.safe.is_zero() && !take.progress.safe.is_zero();
        let disk_works = proven && recording.doubted_at.is_none_or(|at| at < since);
        // What grows may be nowhere to be found.
        let missed = recording.is_displaced();
        let goes_on = |code: &IncidentCode| match code {
            IncidentCode::RecordingStalled => stalls,
            IncidentCode::FileDisplaced | IncidentCode::StorageVanished => missed,
            _ => false,
        };
        // What stands beside the media goes by its own evidence.
        let beside = [self.space_fault, self.facts_fault];
        let goes_on = |code: &IncidentCode| goes_on(code) || beside.contains(&Some(*code));
        for code in over.iter().chain(OF_THE_DISK.iter().filter(|_| disk_works)).filter(|code| !goes_on(code)) {
            self.clear(*code, out);
        }
        if let Some(incident) = incident {
            self.raise(now, incident, out);
        }
        if !frames_arrive {
            self.count_growth_anew(now);
        }
    }

    /// Nobody expects a file to grow without frames.
    fn count_growth_anew(&mut self, now: MonoNs) {
        if let Some(recording) = &mut self.recording {
            recording.growth.restart(now);
        }
    }
}

//! Looks at the part being written: stalls, lost frames, deadlines.

use super::recording::{Phase, Then};
use super::source::SourceState;
use super::{Effect, State};
use crate::model::MonoNs;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::session::{FactKind, PartEnd};
use std::time::Duration;

/// A stall becomes an incident after this long (R-FM-2).
const STALL_INCIDENT: Duration = Duration::from_secs(10);

impl State {
    /// Takes in how far the part is, notices stalls, lost frames and deadlines.
    pub(super) fn watch_recording(&mut self, now: MonoNs, out: &mut Vec<Effect>) {
        self.open_part_if_live(now, out);
        let policy = self.policy();
        let take = self.evidence.take;
        let frames_arrive = matches!(self.source, SourceState::Live { .. });
        let Some(recording) = &mut self.recording else { return };
        let mut incident = None;
        let mut recovered = false;
        match &mut recording.phase {
            Phase::Writing { part, since, grown_at, overflowed, .. } => {
                let Some(take) = take else { return };
                if take.progress.written > recording.take.progress.written {
                    recovered = grown_at.is_none_or(|at| now.since(at) >= policy.stall_shown);
                    if grown_at.replace(now).is_none() {
                        let (part, first) = (*part, take.origin);
                        recording.take = take;
                        if let Some(origin) = first {
                            let offset = recording.since_origin(origin);
                            recording.note_gap(now, offset, out);
                            recording.write_fact(now, FactKind::PartStarted { part, offset_ns: offset }, out);
                        }
                        out.push(Effect::PublishStatus);
                        return self.clear(IncidentCode::PipelineFailed, out);
                    }
                }
                if take.overflowed > *overflowed {
                    *overflowed = take.overflowed;
                    incident = Some(Incident::new(IncidentCode::QueueOverflow).with("frames", take.overflowed));
                }
                recording.take = take;
                let quiet = now.since(grown_at.unwrap_or(*since).max(recording.ticket.start_at_ns));
                if frames_arrive && quiet >= policy.stall_restart {
                    recording.cut(now, PartEnd::Stalled, Then::Next, out);
                } else if frames_arrive && quiet >= STALL_INCIDENT {
                    incident = Some(Incident::new(IncidentCode::RecordingStalled));
                }
            }
            Phase::Closing { since, then, cut: false, .. } => {
                if now.since(*since) >= policy.flush_deadline {
                    let then = *then;
                    recording.cut(now, PartEnd::Cut, then, out);
                    incident = Some(Incident::new(IncidentCode::StopCut));
                } else if let Some(take) = take {
                    recording.take = take;
                }
            }
            Phase::Awaiting { .. } | Phase::Opening { .. } | Phase::Closing { .. } | Phase::Done { .. } => {}
        }
        if recovered {
            self.clear(IncidentCode::RecordingStalled, out);
        }
        if let Some(incident) = incident {
            self.raise(now, incident, out);
        }
    }
}

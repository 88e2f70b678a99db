//! Opening a part: when there is something to record, and what becomes of a file that could not be made.
//!
//! Contract: a part number is used once, whatever becomes of its file. One that does not come into being although the disk
//! answers hangs in a driver that is probed or a pipeline that starts, and so would the next one of this process: it is
//! left to another one, if there is an engine to start that. Without one this worker stays, for nobody would follow, and
//! what hangs may come to itself; it leaves as soon as an engine is there.

use super::disk::incident_of;
use super::recording::{Phase, Then};
use super::source::SourceState;
use super::watch::STALL_INCIDENT;
use super::{Effect, Engine, PartRefusal, State, TakeEvidence};
use crate::model::MonoNs;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::session::{FactKind, PartEnd};
use crate::storage::layout;
use std::time::Duration;

impl State {
    pub(super) fn open_part_if_live(&mut self, now: MonoNs, out: &mut Vec<Effect>) {
        let SourceState::Live { format, .. } = &self.source else { return };
        let (format, with_audio) = (format.clone(), self.records_audio());
        let Some(recording) = &mut self.recording else { return };
        match recording.phase {
            Phase::Awaiting { not_before } if now >= not_before && !recording.stopping => {}
            _ => return,
        }
        let part = recording.next_part;
        recording.next_part += 1;
        recording.period = format.period();
        recording.recorded = Some((format.clone(), with_audio));
        recording.split_wanted = None;
        recording.phase = Phase::Opening { part, since: now };
        let ticket = recording.ticket.clone();
        let file = layout::part_file(&self.input, part, ticket.encoding.container);
        // Nothing is open, so the stage may take the source's present format on.
        out.push(Effect::Freeze(format.clone()));
        out.push(Effect::OpenPart {
            part,
            path: ticket.dir.join(file),
            start_at: ticket.start_at_ns,
            split_at: None,
            format,
            with_audio,
            ticket: Box::new(ticket),
        });
    }

    pub(super) fn on_part_opened(&mut self, now: MonoNs, part: u32, file: String, out: &mut Vec<Effect>) {
        let Some(recording) = &mut self.recording else { return };
        if recording.is_done() {
            return;
        }
        if recording.is_beside(part) || recording.left_behind.contains(&part) {
            return self.on_next_opened(now, part, file, out);
        }
        if !matches!(recording.phase, Phase::Opening { part: opening, .. } if opening == part) {
            return;
        }
        recording.take = TakeEvidence::default();
        recording.rate_from = None;
        recording.growth.restart(now.max(recording.ticket.start_at_ns));
        recording.last = Some((part, file.clone()));
        recording.phase =
            Phase::Writing { part, file: file.clone(), since: now, started: false, grown_at: None, overflowed: 0 };
        recording.write_fact(now, FactKind::PartOpened { part, file }, out);
        let live = matches!(self.source, SourceState::Live { .. });
        let stopping = recording.stopping;
        if stopping {
            recording.close(now, PartEnd::Completed, Then::Done, out);
        } else if !live {
            recording.close(now, PartEnd::SignalLost, Then::Next, out);
        } else {
            self.replace_displaced(now, out);
        }
        out.push(Effect::PublishStatus);
    }

    /// Notices a part that does not come into being.
    pub(super) fn watch_opening(&mut self, now: MonoNs, out: &mut Vec<Effect>) {
        let Some(recording) = &self.recording else { return };
        let Phase::Opening { since, .. } = recording.phase else { return };
        let waited = now.since(since.max(recording.stall_from));
        // Of a disk that does not answer more was said than that.
        if waited < STALL_INCIDENT || self.disk_is_frozen(now) {
            return;
        }
        self.raise(now, Incident::new(IncidentCode::RecordingStalled), out);
        // Encoders are probed and pipelines started within seconds: nobody is given up before he was named.
        if waited >= self.policy().stall_restart && self.engine == Engine::Connected {
            self.leave_opening(now, waited, out);
        }
    }

    fn leave_opening(&mut self, now: MonoNs, waited: Duration, out: &mut Vec<Effect>) {
        let reason = format!("its next part could not be begun within {} s", waited.as_secs());
        let incident = Incident::new(IncidentCode::PipelineFailed).with("reason", reason);
        out.push(Effect::Log(incident.clone()));
        self.raise(now, incident, out);
        self.hand_on();
        let Some(recording) = &mut self.recording else { return };
        let Phase::Opening { part, .. } = recording.phase else { return };
        recording.left_behind.insert(part);
        let asked = std::mem::replace(&mut recording.stopping, true);
        recording.finish(now, !asked, out);
        self.terminate(now, 1, out);
    }

    pub(super) fn on_part_refused(&mut self, now: MonoNs, part: u32, refusal: PartRefusal, out: &mut Vec<Effect>) {
        let incident = match &refusal {
            PartRefusal::Exists => None,
            PartRefusal::Disk(trouble) => Some(incident_of(trouble)),
            PartRefusal::Encoder { reason } => Some(Incident::new(IncidentCode::EncoderMissing).with("reason", reason)),
            PartRefusal::Pipeline { reason } => {
                Some(Incident::new(IncidentCode::PipelineFailed).with("reason", reason))
            }
        };
        if let Some(incident) = incident {
            out.push(Effect::Log(incident.clone()));
            self.blame_media(incident.code);
            self.raise(now, incident, out);
        }
        let Some(recording) = &mut self.recording else { return };
        if recording.is_done() {
            return;
        }
        if !matches!(recording.phase, Phase::Opening { part: opening, .. } if opening == part) {
            return self.on_next_refused(now, part, &refusal, out);
        }
        match refusal {
            _ if recording.stopping => recording.finish(now, false, out),
            PartRefusal::Disk(trouble) if trouble.is_full() => recording.finish(now, true, out),
            PartRefusal::Disk(trouble) => {
                recording.blame(incident_of(&trouble).code);
                let pause = recording.pace.after_refusal();
                recording.phase = Phase::Awaiting { not_before: now.plus(pause) };
                out.push(Effect::PublishStatus);
            }
            PartRefusal::Exists => recording.phase = Phase::Awaiting { not_before: now },
            PartRefusal::Encoder { .. } | PartRefusal::Pipeline { .. } => {
                let pause = recording.pace.after_failure();
                recording.phase = Phase::Awaiting { not_before: now.plus(pause) };
            }
        }
    }
}

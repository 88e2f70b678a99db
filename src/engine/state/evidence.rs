//! Facts and reports of workers: what they prove about the running session, and what a death takes away.

use super::super::event::{Effect, Now};
use super::State;
use super::session::{Ending, Phase, Take};
use crate::model::incident::IncidentCode;
use crate::model::session::{Fact, FactKind, JournalKind, PartEnd};
use crate::model::snapshot::RecordingState;
use crate::model::{InputId, SessionId};
use crate::protocol::worker::WorkerStatus;
use std::time::Duration;

/// The fact that ends a recording follows the report within milliseconds; after this the connection has lost it.
const FACT_DEADLINE: Duration = Duration::from_secs(1);

impl State {
    /// A fact of a worker: journaled at once, and its meaning for the session.
    pub(super) fn on_fact(
        &mut self,
        now: Now,
        id: &InputId,
        about: SessionId,
        t_ns: i64,
        fact: Fact,
        out: &mut Vec<Effect>,
    ) {
        if let FactKind::Incident(incident) = &fact.kind {
            self.on_incident_fact(now, id, about, incident, out);
        }
        self.note_want_of_room(id, about, &fact);
        self.note_mended(id, &fact);
        let done = matches!(fact.kind, FactKind::Done { .. });
        let stalled = match &fact.kind {
            FactKind::PartClosed(record) | FactKind::PartUnfinished(record) => {
                Some(record.part).filter(|_| record.stalled)
            }
            _ => None,
        };
        if done && self.input(id).is_some_and(|input| input.orphan == Some(about)) {
            self.release_orphan(now, id, out);
        }
        let leaves = self.input(id).is_some_and(|input| input.worker.is_leaving());
        let Some(session) = self.session.as_mut().filter(|session| session.plan.id == about) else { return };
        let runs = session.runs();
        // A session being closed takes the facts from the worker's file: told here as well, they would stand twice.
        if !matches!(session.phase, Phase::Closing { .. } | Phase::Over) {
            let kind = JournalKind::Fact { input: id.clone(), fact };
            out.push(Effect::Journal { dir: session.dir.clone(), t_ns, kind: Box::new(kind) });
        }
        // What was given up does not become done by that; and whoever makes room for another ends nothing but his own.
        let ends = |take: &&mut Take| done && !(runs && (leaves || take.ending == Some(Ending::Failed)));
        if let Some(take) = session.take_mut(id).filter(ends) {
            take.ending = Some(Ending::Done);
        }
        if let Some(part) = stalled {
            self.on_stall(now, id, part, out);
        }
    }

    /// A recording ends for want of room by its reports, which are true while it goes on, or by its last facts.
    fn note_want_of_room(&mut self, id: &InputId, about: SessionId, fact: &Fact) {
        let over = |status: &WorkerStatus| {
            let state = status.recording.as_ref().map(|recording| recording.state);
            status.session != Some(about) || matches!(state, Some(RecordingState::Done | RecordingState::Failed))
        };
        let open = self.input(id).and_then(|input| input.status.as_ref()).filter(|(_, status)| !over(status));
        let stale = open.is_some_and(|(_, status)| !lacks_room(status));
        let starved = match &fact.kind {
            FactKind::Incident(incident) => is_want_of_room(incident.code) && !stale,
            FactKind::PartClosed(record) => record.end == PartEnd::DiskFull,
            _ => false,
        };
        let session = self.session.as_mut().filter(|session| session.plan.id == about);
        if let Some(take) = session.and_then(|session| session.take_mut(id)) {
            take.starved |= starved;
        }
    }

    /// What its worker reports of this session is evidence; an end is taken from it when the fact was missed.
    pub(super) fn fold_status(&mut self, now: Now, id: &InputId, out: &mut Vec<Effect>) {
        let Some((_, status)) = self.input(id).and_then(|input| input.status.as_ref()) else { return };
        let (reported, recording) = (status.session, status.recording.clone());
        let starved = lacks_room(status);
        let Some(session) = self.session.as_mut().filter(|session| Some(session.plan.id) == reported) else { return };
        let Some(recording) = recording else { return };
        let line = session.line(now, JournalKind::Started { input: id.clone() });
        let Some(take) = session.take_mut(id).filter(|take| take.ending.is_none()) else { return };
        if !matches!(recording.state, RecordingState::Done | RecordingState::Failed) {
            take.ended_since = None;
            take.starved = starved;
        }
        match recording.state {
            RecordingState::Recording if !take.evident => {
                take.evident = true;
                out.push(line);
            }
            RecordingState::Done | RecordingState::Failed => {
                let ending = if recording.state == RecordingState::Done { Ending::Done } else { Ending::Failed };
                let since = *take.ended_since.get_or_insert(now.mono);
                if now.mono.since(since) >= FACT_DEADLINE {
                    take.ending = Some(ending);
                }
            }
            _ => {}
        }
        if recording.state == RecordingState::Recording {
            self.alerts.resolve(now, id.as_str(), IncidentCode::WorkerDied.as_str());
        }
    }

    /// New media of an input that is not configured any more.
    pub(super) fn note_evidence(&mut self, id: &InputId, status: &WorkerStatus) {
        let records = status.recording.as_ref().is_some_and(|view| view.state == RecordingState::Recording);
        let session = self.session.as_mut().filter(|session| records && status.session == Some(session.plan.id));
        if let Some(take) = session.and_then(|session| session.take_mut(id)) {
            take.evident = true;
        }
    }

    /// The worker died: what it had safely written counts on, the rest is not claimed.
    pub(super) fn fold_death(&mut self, id: &InputId) {
        let status = self.input_mut(id).and_then(|input| input.status.take());
        let (Some((_, status)), Some(session)) = (status, &mut self.session) else { return };
        if status.session != Some(session.plan.id) {
            return;
        }
        if let (Some(recording), Some(take)) = (status.recording, session.take_mut(id)) {
            take.ended_since = None;
            // Its sums cover the parts from its first one on.
            take.past.retain(|past| status.first_part.is_none_or(|first| past.part < first));
            take.before.media_ms += recording.safe_ms.unwrap_or(0);
            take.before.frames = Some(super::view::add_frames(take.before.frames, &recording.frames));
        }
    }
}

fn is_want_of_room(code: IncidentCode) -> bool {
    matches!(code, IncidentCode::DiskFull | IncidentCode::QuotaExceeded)
}

fn lacks_room(status: &WorkerStatus) -> bool {
    status.active.iter().any(|incident| is_want_of_room(incident.code))
}

//! What the deaths, links and reports of workers mean for inputs, session and alerts.

use super::super::event::{Effect, Now};
use super::super::worker_state::{Act, WorkerEvent};
use super::State;
use super::session::{Ending, Phase};
use crate::model::incident::{Incident, IncidentCode};
use crate::model::session::JournalKind;
use crate::model::snapshot::RecordingState;
use crate::model::{InputId, SessionId};
use crate::protocol::worker::{Command, WorkerStatus};
use std::time::Duration;

impl State {
    pub(super) fn on_worker(&mut self, now: Now, id: &InputId, event: WorkerEvent, out: &mut Vec<Effect>) {
        let recording = self.session.as_ref().is_some_and(|session| session.runs()) && self.is_wanted(id);
        let Some(input) = self.input_mut(id) else { return };
        for act in input.worker.handle(now.mono, event, recording) {
            match act {
                Act::Ready { session } => self.on_ready(id, session, out),
                Act::Died { reason } => self.on_died(now, id, reason, out),
                Act::GaveUp => self.on_gave_up(now, id, IncidentCode::WorkerGaveUp, out),
                Act::Stuck => self.on_gave_up(now, id, IncidentCode::TeardownStuck, out),
                other => out.push(Effect::Worker(id.clone(), other)),
            }
        }
    }

    /// A worker is linked: configure it, then say what it should be doing.
    fn on_ready(&mut self, id: &InputId, records: Option<SessionId>, out: &mut Vec<Effect>) {
        let Some(input) = self.input(id) else { return };
        let (spec, policy) = (input.spec.clone(), self.setup.policy.clone());
        self.send(id, out, |command| Command::Configure { id: command, input: spec, policy });
        let ours = self.session.as_ref().map(|session| session.plan.id);
        if let Some(other) = records.filter(|records| Some(*records) != ours) {
            // An earlier engine's session: in this version it is stopped properly, then closed.
            if let Some(input) = self.input_mut(id) {
                input.orphan = Some(other);
            }
            self.send(id, out, |command| Command::Stop { id: command, session: other });
            return;
        }
        self.hand_over(id, records, out);
    }

    /// Tells a linked worker what the running session wants of it; `records` = the session it records.
    pub(super) fn hand_over(&mut self, id: &InputId, records: Option<SessionId>, out: &mut Vec<Effect>) {
        let Some(session) = &mut self.session else { return };
        let (plan, dir) = (session.plan.clone(), session.dir.clone());
        let records = records == Some(plan.id);
        let phase = session.phase.clone();
        let Some(take) = session.take_mut(id) else { return };
        match phase {
            Phase::Running { .. } if take.ending.is_none() => {
                let fresh = !std::mem::replace(&mut take.ticketed, true);
                out.push(Effect::StartWorker { input: id.clone(), dir, plan: Box::new(plan), fresh });
            }
            // It was thought to be gone, but its files are still open.
            Phase::Stopping { .. } if records => {
                take.ending = None;
                self.send(id, out, |command| Command::Stop { id: command, session: plan.id });
            }
            Phase::Closing { .. } if records => {
                self.send(id, out, |command| Command::Stop { id: command, session: plan.id });
            }
            // A new worker after the old one died while stopping: there is nothing left to stop.
            Phase::Stopping { .. } => take.ending = take.ending.or(Some(Ending::Failed)),
            Phase::Running { .. } | Phase::Persisting { .. } | Phase::Closing { .. } | Phase::Over => {}
        }
    }

    /// The earlier engine's session is closed at this worker: it is free for the running one.
    pub(super) fn release_orphan(&mut self, id: &InputId, out: &mut Vec<Effect>) {
        if let Some(input) = self.input_mut(id) {
            input.orphan = None;
        }
        self.hand_over(id, None, out);
    }

    fn on_died(&mut self, now: Now, id: &InputId, reason: String, out: &mut Vec<Effect>) {
        let wanted = self.is_wanted(id);
        self.fold_death(id);
        if let Some(input) = self.input_mut(id) {
            input.orphan = None;
            input.status = None;
            input.usage = Default::default();
        }
        if wanted && let Some(session) = &mut self.session {
            out.push(session.line(now, JournalKind::WorkerLost { input: id.clone(), reason: reason.clone() }));
            let stopping = matches!(session.phase, Phase::Stopping { .. });
            if let Some(take) = session.take_mut(id).filter(|_| stopping) {
                take.ending = Some(Ending::Failed);
            }
        }
        self.raise(now, id.as_str(), Incident::new(IncidentCode::WorkerDied).with("reason", reason), out);
    }

    fn on_gave_up(&mut self, now: Now, id: &InputId, code: IncidentCode, out: &mut Vec<Effect>) {
        self.alerts.resolve(now, id.as_str(), IncidentCode::WorkerDied.as_str());
        let incident = Incident::new(code);
        if let Some(session) = &mut self.session {
            let line = session.line(now, JournalKind::Incident { input: Some(id.clone()), incident: incident.clone() });
            if let Some(take) = session.take_mut(id).filter(|take| take.ending.is_none()) {
                take.ending = Some(Ending::Failed);
                out.push(line);
            }
        }
        self.raise(now, id.as_str(), incident, out);
    }

    pub(super) fn on_status(&mut self, now: Now, id: &InputId, link: u64, status: WorkerStatus, out: &mut Vec<Effect>) {
        let written = status.recording.as_ref().and_then(|recording| recording.media_ms).map(Duration::from_millis);
        self.on_worker(now, id, WorkerEvent::Heard { link }, out);
        if let Some(written) = written {
            self.on_worker(now, id, WorkerEvent::Media { written }, out);
        }
        let Some(input) = self.input_mut(id).filter(|input| input.worker.is_linked()) else { return };
        let closed =
            status.recording.as_ref().is_none_or(|r| matches!(r.state, RecordingState::Done | RecordingState::Failed));
        let released = input.orphan.is_some() && (status.session != input.orphan || closed);
        let before = input.status.replace((now.mono, status)).map(|(_, status)| status.active).unwrap_or_default();
        if released {
            self.release_orphan(id, out);
        }
        self.follow_causes(now, id, &before, out);
        self.fold_status(now, id, out);
    }

    /// Causes that came or went, as the worker lists them.
    fn follow_causes(&mut self, now: Now, id: &InputId, before: &[Incident], out: &mut Vec<Effect>) {
        let Some((_, status)) = self.input(id).and_then(|input| input.status.as_ref()) else { return };
        let active = status.active.clone();
        for gone in before.iter().filter(|was| active.iter().all(|is| is.code != was.code)) {
            self.alerts.resolve(now, id.as_str(), gone.code.as_str());
        }
        for incident in active {
            self.keep(now, id.as_str(), incident, out);
        }
    }
}

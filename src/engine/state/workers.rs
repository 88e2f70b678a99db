//! What the deaths, links and reports of workers mean for inputs, session and alerts.

use super::super::event::{Effect, Now};
use super::super::worker_state::{Act, WorkerEvent};
use super::State;
use super::session::{Ending, Phase};
use crate::model::InputId;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::session::JournalKind;
use crate::model::snapshot::{InputState, RecordingState};
use crate::protocol::worker::WorkerStatus;
use std::time::Duration;

impl State {
    pub(super) fn on_worker(&mut self, now: Now, id: &InputId, event: WorkerEvent, out: &mut Vec<Effect>) {
        let recording = self.may_record(id);
        // Nothing grows on a disk that stands still, and nobody is killed for that (DESIGN §1).
        let event = match event {
            WorkerEvent::Measured { .. } if self.disk_stands(now) => WorkerEvent::DiskStands,
            other => other,
        };
        let Some(input) = self.input_mut(id) else { return self.on_stray(now, id, event, out) };
        for act in input.worker.handle(now.mono, event, recording) {
            match act {
                Act::Ready { session } => self.on_ready(now, id, session, out),
                Act::Died { reason } => self.on_died(now, id, reason, out),
                Act::GaveUp => self.on_gave_up(now, id, IncidentCode::WorkerGaveUp, out),
                Act::Stuck => self.on_gave_up(now, id, IncidentCode::TeardownStuck, out),
                other => out.push(Effect::Worker(id.clone(), other)),
            }
        }
    }

    /// Media of this input is being written, or it is not known that none is.
    pub(super) fn may_record(&self, id: &InputId) -> bool {
        let Some(input) = self.input(id) else { return false };
        let over = |state| matches!(state, RecordingState::Done | RecordingState::Failed);
        let idle = |status: &WorkerStatus| status.recording.as_ref().is_none_or(|recording| over(recording.state));
        let known_idle = input.orphan.is_none() && input.status.as_ref().is_some_and(|(_, status)| idle(status));
        !known_idle || self.is_wanted(id)
    }

    fn on_died(&mut self, now: Now, id: &InputId, reason: String, out: &mut Vec<Effect>) {
        let wanted = self.is_wanted(id);
        self.forget_told(now, id);
        self.alerts.resolve(now, id.as_str(), IncidentCode::TeardownStuck.as_str());
        self.fold_death(id);
        if let Some(input) = self.input_mut(id) {
            input.orphan = None;
            input.status = None;
            input.orders.forget();
            input.usage = Default::default();
        }
        self.calm_orders(now, id);
        if wanted && let Some(session) = self.session.as_mut().filter(|session| session.is_written()) {
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
            let written = session.is_written();
            if let Some(take) = session.take_mut(id).filter(|take| take.ending.is_none()) {
                take.ending = Some(Ending::Failed);
                out.extend(written.then_some(line));
            }
        }
        self.raise(now, id.as_str(), incident, out);
    }

    pub(super) fn on_status(&mut self, now: Now, id: &InputId, link: u64, status: WorkerStatus, out: &mut Vec<Effect>) {
        if self.input(id).is_none() {
            return self.on_stray_status(now, id, link, &status, out);
        }
        let written = status.recording.as_ref().and_then(|recording| recording.media_ms).map(Duration::from_millis);
        self.on_worker(now, id, WorkerEvent::Heard { link }, out);
        if let Some(written) = written {
            self.on_worker(now, id, WorkerEvent::Media { written }, out);
        }
        let Some(input) = self.input_mut(id).filter(|input| input.worker.is_linked()) else { return };
        let opened = openings(input.status.as_ref().map(|(_, before)| before), &status);
        let closed =
            status.recording.as_ref().is_none_or(|r| matches!(r.state, RecordingState::Done | RecordingState::Failed));
        let released = input.orphan.is_some() && (status.session != input.orphan || closed);
        input.status = Some((now.mono, status));
        self.oversight.errors.note(now.mono, id.as_str(), opened.0, opened.1);
        if released {
            self.release_orphan(now, id, out);
        }
        self.follow_causes(now, id, out);
        self.fold_status(now, id, out);
        self.stop_unwanted(now, id, out);
        if !self.is_wanted(id) {
            // The replacement lives, and there is nothing it could have to prove.
            self.alerts.resolve(now, id.as_str(), IncidentCode::WorkerDied.as_str());
        }
    }
}

/// How often its source could not be opened, and could be, since the report before. Attempts are counted as they begin:
/// the last one may still succeed.
fn openings(before: Option<&WorkerStatus>, now: &WorkerStatus) -> (u64, u64) {
    let Some(before) = before else { return (0, 0) };
    let failed = now.retry.attempt.saturating_sub(before.retry.attempt.max(1));
    let opened = now.state == InputState::Live && before.state != InputState::Live;
    (u64::from(failed), u64::from(opened))
}

//! Which long operations run, and what becomes of one that is stuck (R-ALR-4).
//!
//! Contract: an operation is what the state says it is doing; none is made up for the list. Cleaning up gives up what is
//! stuck, never what is recorded: media is not touched, and what was written is found by the next close or proof.

use super::super::event::{Effect, Now, Reply, Token};
use super::super::operations::{Cleanup, Operation, Task};
use super::super::worker_state::WorkerEvent;
use super::commands::refuse;
use super::session::{Ending, Phase, Session, Take};
use super::{ENGINE, State};
use crate::model::InputId;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::session::JournalKind;
use crate::model::snapshot::{Alert, InputState};
use crate::protocol::operations::{CleanupReply, OperationKind, OperationsReply};
use std::time::Duration;

impl State {
    /// What runs, for the API.
    pub fn operations(&self, now: Now) -> OperationsReply {
        self.oversight.operations.view(now.mono)
    }

    /// Looks what runs; what is past its deadline is told once.
    pub(super) fn watch_operations(&mut self, now: Now) {
        let changes = self.oversight.operations.follow(now.mono, self.tasks(now));
        for (operation, took) in changes.stuck {
            self.alerts.raise(now, &operation.task.source, &stuck(&operation, took));
        }
        for operation in changes.over {
            self.calm_operation(now, &operation);
        }
    }

    pub(super) fn calm_operation(&mut self, now: Now, operation: &Operation) {
        let source = &operation.task.source;
        match self.oversight.operations.stuck_at(source, now.mono) {
            // The alert is one for all of them: it is the other one now that can be given up from there.
            Some((other, took)) => {
                let code = IncidentCode::OperationStuck.as_str();
                let named = |alert: &&Alert| alert.source == *source && alert.code == code;
                let known = self.alerts.list().iter().find(named).and_then(|alert| alert.params.get("id"));
                if known != Some(&other.id.to_string()) {
                    self.alerts.raise(now, source, &stuck(&other, took));
                }
            }
            None => self.alerts.resolve(now, source, IncidentCode::OperationStuck.as_str()),
        }
    }

    fn tasks(&self, now: Now) -> Vec<Task> {
        let rules = &self.setup.supervision;
        let mut tasks = Vec::new();
        let mut add = |kind, source: &str, key: String, within| {
            tasks.push(Task { kind, source: source.to_owned(), key, within });
        };
        if let Some(session) = &self.session {
            let key = || session.plan.id.to_string();
            let open = |take: &&Take| take.ending.is_none();
            match session.phase {
                Phase::Persisting { .. } => add(OperationKind::Start, ENGINE, key(), rules.operation_start),
                Phase::Running { .. } => {
                    for take in
                        session.takes.iter().filter(open).filter(|take| !take.evident && self.delivers(&take.input))
                    {
                        add(OperationKind::Start, take.input.as_str(), key(), rules.operation_start);
                    }
                }
                Phase::Stopping { .. } => {
                    // What a frozen disk holds up is neither late nor to be given up: it is written when the disk answers.
                    let frozen = |take: &&Take| self.input(&take.input).is_some_and(|input| input.waits_for_disk(now));
                    for take in session.takes.iter().filter(open).filter(|take| !frozen(take)) {
                        add(OperationKind::Stop, take.input.as_str(), key(), rules.operation_stop);
                    }
                }
                Phase::Closing { .. } => add(OperationKind::Finalise, ENGINE, key(), rules.operation_finalise),
                Phase::Over => {}
            }
        }
        if let Some(id) = self.recovery.closes() {
            add(OperationKind::Finalise, ENGINE, id.to_string(), rules.operation_finalise);
        }
        if let Some((number, takes)) = self.proofs.reads() {
            add(OperationKind::Verify, ENGINE, number.to_string(), 2 * takes + rules.operation_verify);
        }
        tasks
    }

    /// Its source does not keep this input from recording: without pictures nothing is stuck, and that is told anyway.
    fn delivers(&self, id: &InputId) -> bool {
        let status = self.input(id).and_then(|input| input.status.as_ref());
        status.is_none_or(|(_, status)| status.state == InputState::Live)
    }

    /// Somebody wants a stuck operation given up.
    pub(super) fn on_cleanup(&mut self, now: Now, token: Token, id: u64, out: &mut Vec<Effect>) {
        // What has come since the last look counts: what records by now is not given up.
        self.watch_operations(now);
        let answer = match self.oversight.operations.ask(id) {
            Cleanup::Stuck(operation) => {
                tracing::warn!(id, kind = ?operation.task.kind, source = operation.task.source, "a stuck operation is given up");
                self.give_up_operation(now, &operation, out);
                self.oversight.operations.cleaned(id);
                self.calm_operation(now, &operation);
                cleaned(token, operation)
            }
            Cleanup::Done(operation) => cleaned(token, operation),
            Cleanup::InTime => {
                let message = "it still has time; it can be cleaned up once it is stuck".to_owned();
                refuse(token, 409, "not_stuck", message, true)
            }
            Cleanup::Over => refuse(token, 409, "operation_ended", "it has ended by itself".to_owned(), false),
            Cleanup::Unknown => refuse(token, 404, "unknown_operation", format!("there is no operation {id}"), false),
        };
        out.push(answer);
    }

    fn give_up_operation(&mut self, now: Now, operation: &Operation, out: &mut Vec<Effect>) {
        let session = self.session.as_ref().map(|session| session.plan.id.to_string());
        let ours = session.as_ref() == Some(&operation.task.key);
        match operation.task.kind {
            OperationKind::Start if operation.task.source == ENGINE => {
                if let Some(Session { phase: Phase::Persisting { waiting, .. }, .. }) = &self.session {
                    let waiting = waiting.clone();
                    self.abandon(&waiting, "the disk did not answer, and the start was given up".into(), out);
                }
            }
            OperationKind::Start | OperationKind::Stop if ours => self.give_up_take(now, operation, out),
            OperationKind::Start | OperationKind::Stop => {}
            OperationKind::Finalise if ours => self.close_aside(now),
            OperationKind::Finalise => self.recovery.leave_running(),
            OperationKind::Verify => self.leave_stuck_proof(now, out),
        }
    }

    /// The session goes on, or is closed, without this input. What its worker does that nobody waits for any more is ended.
    fn give_up_take(&mut self, now: Now, operation: &Operation, out: &mut Vec<Effect>) {
        let Some(id) = self.inputs.iter().map(|input| &input.spec.id).find(|id| id.as_str() == operation.task.source)
        else {
            return self.give_up_stray(operation);
        };
        let id = id.clone();
        let Some(session) = &mut self.session else { return };
        let (session_id, stops) = (session.plan.id, matches!(session.phase, Phase::Stopping { .. }));
        let incident = Incident::new(IncidentCode::OperationStuck)
            .with("operation", name(operation.task.kind))
            .with("seconds", operation.task.within.as_secs());
        out.push(session.line(now, JournalKind::Incident { input: Some(id.clone()), incident }));
        if let Some(take) = session.take_mut(&id) {
            take.ending = Some(Ending::Failed);
        }
        if stops {
            self.on_worker(now, &id, WorkerEvent::StopLate, out);
        } else if self.is_told_of(&id, session_id) {
            self.stop_worker(now, &id, session_id, out);
        }
    }

    /// An input that is not configured any more: its worker is not ours to end.
    fn give_up_stray(&mut self, operation: &Operation) {
        let takes = self.session.iter_mut().flat_map(|session| &mut session.takes);
        for take in takes.filter(|take| take.input.as_str() == operation.task.source) {
            take.ending = Some(Ending::Failed);
        }
    }
}

fn stuck(operation: &Operation, took: Duration) -> Incident {
    Incident::new(IncidentCode::OperationStuck)
        .with("operation", name(operation.task.kind))
        .with("seconds", took.as_secs())
        .with("id", operation.id)
}

fn cleaned(token: Token, operation: Operation) -> Effect {
    let (id, task) = (operation.id, operation.task);
    let status = "cleaned".to_owned();
    Effect::Reply(token, Reply::Cleaned(CleanupReply { id, kind: task.kind, source: task.source, status }))
}

/// What an operation is called.
fn name(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Start => "Starting to record",
        OperationKind::Stop => "Stopping",
        OperationKind::Finalise => "Closing a session",
        OperationKind::Verify => "Checking the files of a session",
    }
}

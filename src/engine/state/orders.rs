//! What becomes of commands that a worker does not answer (R-CMD-6).
//!
//! Contract: they are repeated, then named. A worker that answers nothing is replaced once it records nothing by its
//! own account; one that records goes on, because its file grows whatever it answers (DESIGN §1).

use super::super::event::{Effect, Now};
use super::super::orders::Due;
use super::super::worker_state::WorkerEvent;
use super::State;
use super::handover::records;
use crate::model::InputId;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::session::JournalKind;
use crate::protocol::worker::Command;

impl State {
    /// Gives a worker a command that it has to answer.
    pub(super) fn send(&mut self, now: Now, id: &InputId, out: &mut Vec<Effect>, make: impl FnOnce(u64) -> Command) {
        if let Some(input) = self.input_mut(id) {
            let command = make(input.next_command());
            input.orders.give(now.mono, &command);
            out.push(Effect::Send(id.clone(), Box::new(command)));
        }
    }

    /// A new link to the worker that was there before: what it has not answered is said again, under the same number.
    pub(super) fn say_again(&mut self, now: Now, id: &InputId, out: &mut Vec<Effect>) {
        let Some(input) = self.input_mut(id) else { return };
        for command in input.orders.carry_over() {
            input.orders.give(now.mono, &command);
            out.push(Effect::Send(id.clone(), Box::new(command)));
        }
    }

    /// Commands that are due again, or were given often enough; and the end of a worker that answered none.
    pub(super) fn watch_orders(&mut self, now: Now, id: &InputId, out: &mut Vec<Effect>) {
        let running = self.session.as_ref().filter(|session| session.runs()).map(|session| session.plan.id);
        let Some(input) = self.input_mut(id) else { return };
        // What was to begin in a session that is over begins no more.
        input.orders.keep(|command| match command {
            Command::Start { ticket, .. } => running == Some(ticket.session),
            Command::Split { session, .. } => running == Some(*session),
            _ => true,
        });
        let (due, linked) = (input.orders.due(now.mono), input.worker.is_linked());
        for due in due {
            match due {
                Due::Again(command) if linked => {
                    tracing::warn!(input = %id, command = command.word(), "a worker has not answered; it is told again");
                    out.push(Effect::Send(id.clone(), Box::new(command)));
                }
                // The next link begins with it.
                Due::Again(_) => {}
                Due::GivenUp(command) => self.on_unanswered(now, id, &command, out),
            }
        }
        self.end_deaf(now, id, out);
    }

    fn on_unanswered(&mut self, now: Now, id: &InputId, command: &Command, out: &mut Vec<Effect>) {
        let Some(input) = self.input_mut(id) else { return };
        let recorded = input.status.as_ref().and_then(|(_, status)| records(status));
        // It does what it was told: what keeps its answer is the disk, which is no fault of the worker.
        let carried_out = matches!(command, Command::Start { ticket, .. } if recorded == Some(ticket.session));
        input.handover.deaf |= !carried_out;
        let incident = Incident::new(IncidentCode::CommandUnanswered).with("command", command.word());
        if let Some(session) =
            self.session.as_ref().filter(|session| session.is_written() && session.take(id).is_some())
        {
            let kind = JournalKind::Incident { input: Some(id.clone()), incident: incident.clone() };
            out.push(session.line(now, kind));
        }
        self.keep(now, id.as_str(), incident, out);
    }

    /// A worker that answers nothing makes room as soon as nothing is recorded by it, as far as it says.
    fn end_deaf(&mut self, now: Now, id: &InputId, out: &mut Vec<Effect>) {
        let runs = self.session.as_ref().is_some_and(|session| session.runs());
        let wanted = self.is_wanted(id);
        let Some(input) = self.input_mut(id) else { return };
        let idle = input.orphan.is_none() && input.status.as_ref().is_some_and(|(_, status)| records(status).is_none());
        if input.handover.deaf && idle && (runs || !wanted) {
            input.handover.deaf = false;
            self.on_worker(now, id, WorkerEvent::Deaf, out);
        }
    }

    /// It answers (again), or is another one.
    pub(super) fn calm_orders(&mut self, now: Now, id: &InputId) {
        self.alerts.resolve(now, id.as_str(), IncidentCode::CommandUnanswered.as_str());
    }
}

//! From a linked worker to one that records: configured first, then handed a ticket with numbers nobody has used.
//!
//! ```text
//! linked ──Configure──▶ accepted ──(a session runs)──▶ numbers looked up ──Start──▶ accepted
//!   └ of another version, or refused: outdated, replaced once it records nothing        └ refused: named, again in a second
//! ```
//! Contract: no Start before the Configure was accepted; every answer and every number is checked against the phase
//! it arrives in, so that nothing overtakes a Stop; a refusal is never silent.

use super::super::event::{Effect, Now};
use super::super::worker_state::WorkerEvent;
use super::State;
use super::session::{Ending, Phase};
use crate::model::encoding::Encoding;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::session::JournalKind;
use crate::model::snapshot::RecordingState;
use crate::model::{InputId, MonoNs, SessionId};
use crate::protocol::worker::{Command, Refusal, Ticket, WorkerStatus};
use std::time::Duration;

/// Pause before a start that was refused, or whose numbers are not known, is tried again.
const START_AGAIN: Duration = Duration::from_secs(1);
/// A worker that records what nobody wants is told so this often.
const STOP_AGAIN: Duration = Duration::from_secs(1);

/// What the worker at the other end of the current link was told.
#[derive(Debug, Default)]
pub struct Handover {
    /// Number of the Configure that was not answered yet.
    configuring: Option<u64>,
    /// It took its configuration.
    configured: bool,
    /// The session whose ticket it had before it was linked.
    pub(super) ticket: Option<SessionId>,
    /// It serves a source that was changed.
    outdated: bool,
    /// Number of the Start that was not answered yet.
    starting: Option<u64>,
    /// The session it was handed a ticket for since it was linked, unless it refused.
    handed: Option<SessionId>,
    /// When a start that failed is tried again.
    again: Option<MonoNs>,
    /// What is told about a start that failed.
    trouble: Option<IncidentCode>,
    /// When it was told to stop last.
    stopped: Option<MonoNs>,
    /// It has left a command without an answer for good.
    pub(super) deaf: bool,
}

impl State {
    /// A worker is linked: configure it, then say what it should be doing.
    pub(super) fn on_ready(&mut self, now: Now, id: &InputId, records: Option<SessionId>, out: &mut Vec<Effect>) {
        let policy = self.setup.policy.clone();
        self.calm_orders(now, id);
        let Some(input) = self.input_mut(id) else { return };
        // Whoever has its lock answers: what stands is over, unless it says so itself.
        input.told.expects(IncidentCode::TeardownStuck);
        let spec = input.spec.clone();
        let trouble = input.handover.trouble;
        if input.worker.is_older() {
            input.orders.forget();
            // It is told nothing it may not know: it finishes what it does, and makes room then.
            input.handover = Handover { outdated: true, trouble, ..Handover::default() };
        } else {
            input.handover = Handover { configuring: Some(input.commands + 1), trouble, ..Handover::default() };
            self.say_again(now, id, out);
            self.send(now, id, out, |command| Command::Configure { id: command, input: spec, policy });
        }
        let ours = self.session.as_ref().map(|session| session.plan.id);
        if let Some(other) = records.filter(|records| Some(*records) != ours) {
            if let Some(input) = self.input_mut(id) {
                input.orphan = Some(other);
            }
            // Of an earlier engine: gone on with if it is ours to, else stopped properly, then closed.
            if !self.goes_on(other) {
                self.stop_worker(now, id, other, out);
            }
            return;
        }
        match records {
            Some(_) => self.accounted(id),
            None => self.miss_worker(now, id, out),
        }
        self.hand_over(now, id, records, out);
    }

    /// Tells a linked worker what the running session wants of it; `records` = the session it records.
    pub(super) fn hand_over(&mut self, now: Now, id: &InputId, records: Option<SessionId>, out: &mut Vec<Effect>) {
        let Some(session) = &mut self.session else { return };
        let (session_id, phase) = (session.plan.id, session.phase.clone());
        let records = records == Some(session_id);
        let Some(take) = session.take_mut(id) else { return };
        match phase {
            Phase::Running { .. } if records => {
                if let Some(input) = self.input_mut(id) {
                    input.handover.ticket = Some(session_id);
                }
            }
            Phase::Running { .. } => self.start_worker(now, id, out),
            // It was thought to be gone, but its files are still open.
            Phase::Stopping { .. } if records => {
                take.ending = None;
                self.stop_worker(now, id, session_id, out);
            }
            Phase::Closing { .. } if records => self.stop_worker(now, id, session_id, out),
            // A new worker after the old one died while stopping: there is nothing left to stop.
            Phase::Stopping { .. } => take.ending = take.ending.or(Some(Ending::Failed)),
            Phase::Persisting { .. } | Phase::Closing { .. } | Phase::Over => {}
        }
    }

    /// The worker that is linked knows of `session`: it recorded it before, or was handed a ticket.
    pub(super) fn is_told_of(&self, id: &InputId, session: SessionId) -> bool {
        let handover = self.input(id).map(|input| &input.handover);
        handover.is_some_and(|told| [told.ticket, told.handed].contains(&Some(session)))
    }

    /// The earlier engine's session is closed at this worker: it is free for the running one.
    pub(super) fn release_orphan(&mut self, now: Now, id: &InputId, out: &mut Vec<Effect>) {
        if let Some(input) = self.input_mut(id) {
            input.orphan = None;
        }
        self.hand_over(now, id, None, out);
    }

    pub(super) fn stop_worker(&mut self, now: Now, id: &InputId, session: SessionId, out: &mut Vec<Effect>) {
        if let Some(input) = self.input_mut(id) {
            input.handover.stopped = Some(now.mono);
            if let Some(command) = input.orders.stop_of(session) {
                return out.push(Effect::Send(id.clone(), Box::new(command)));
            }
        }
        self.send(now, id, out, |command| Command::Stop { id: command, session });
    }

    /// A worker answered.
    pub(super) fn on_ack(
        &mut self,
        now: Now,
        id: &InputId,
        link: u64,
        command: u64,
        refused: Option<Refusal>,
        out: &mut Vec<Effect>,
    ) {
        if !self.input(id).is_some_and(|input| input.worker.is_linked() && input.worker.link() == link) {
            return;
        }
        self.calm_orders(now, id);
        let refusals = u64::from(refused.is_some());
        self.oversight.errors.note(now.mono, id.as_str(), refusals, 1 - refusals);
        let Some(input) = self.input_mut(id) else { return };
        input.orders.answered(command);
        let handover = &mut input.handover;
        handover.deaf = false;
        if handover.configuring.take_if(|asked| *asked == command).is_some() {
            match refused {
                None => {
                    handover.configured = true;
                    self.start_worker(now, id, out);
                }
                Some(refusal) if refusal.code == "restart_needed" => handover.outdated = true,
                Some(refusal) => {
                    let incident = Incident::new(IncidentCode::SourceMisconfigured).with("reason", refusal.message);
                    self.keep(now, id.as_str(), incident, out);
                }
            }
        } else if handover.starting.take_if(|asked| *asked == command).is_some() {
            match refused {
                None => self.end_trouble(now, id),
                Some(refusal) => {
                    handover.handed = None;
                    let incident = Incident::new(IncidentCode::PipelineFailed).with("reason", refusal.message);
                    self.start_failed(now, id, incident, out);
                }
            }
        }
    }

    /// Hands a worker its ticket if the running session wants it and it is ready for one.
    pub(super) fn start_worker(&mut self, now: Now, id: &InputId, out: &mut Vec<Effect>) {
        let Some(input) = self.inputs.iter().find(|input| input.spec.id == *id) else { return };
        if !input.worker.is_linked() || !input.handover.configured || input.orphan.is_some() {
            return;
        }
        let link = input.worker.link();
        let Some(session) = self.session.as_ref().filter(|session| session.runs()) else { return };
        let (session_id, dir) = (session.plan.id, session.dir.clone());
        if self.is_told_of(id, session_id) {
            return;
        }
        let Some(session) = self.session.as_mut() else { return };
        let Some(take) = session.take_mut(id).filter(|take| take.ending.is_none()) else { return };
        if std::mem::replace(&mut take.ticketed, true) {
            out.push(Effect::Number { input: id.clone(), link, session: session_id, dir });
        } else {
            // No earlier worker can have written anything.
            self.on_numbered(now, id, link, session_id, Ok((1, 1)), out);
        }
    }

    /// The numbers are known; meanwhile somebody may have asked to stop, or the worker may be another one.
    pub(super) fn on_numbered(
        &mut self,
        now: Now,
        id: &InputId,
        link: u64,
        session: SessionId,
        result: Result<(u32, u64), String>,
        out: &mut Vec<Effect>,
    ) {
        let Some(running) = self.session.as_ref().filter(|running| running.runs() && running.plan.id == session) else {
            return;
        };
        // Its numbers may have been asked for twice, after an answer that failed.
        if running.take(id).is_none_or(|take| take.ending.is_some()) || self.is_told_of(id, session) {
            return;
        }
        let (plan, dir) = (&running.plan, running.dir.clone());
        let (start_at_ns, boot_id, encoding) = (plan.start_at_ns, plan.boot_id.clone(), plan.encoding.clone());
        let trace_id = running.trace.clone();
        let Some(input) = self.input_mut(id).filter(|input| input.worker.is_linked() && input.worker.link() == link)
        else {
            return;
        };
        match result {
            Ok((first_part, first_fact)) => {
                let encoding = Encoding { codec: input.spec.video_choice(encoding.codec), ..encoding };
                let ticket = Ticket { session, dir, start_at_ns, boot_id, first_part, first_fact, encoding, trace_id };
                let command = input.next_command();
                input.handover.starting = Some(command);
                input.handover.handed = Some(session);
                input.handover.again = None;
                input.orders.give(now.mono, &Command::Start { id: command, ticket: ticket.clone() });
                out.push(Effect::StartWorker { input: id.clone(), command, ticket: Box::new(ticket) });
            }
            Err(reason) => {
                let incident = Incident::new(IncidentCode::DiskError).with("reason", reason);
                self.start_failed(now, id, incident, out);
            }
        }
    }

    /// A start that failed is named, and tried again as long as the session runs.
    fn start_failed(&mut self, now: Now, id: &InputId, incident: Incident, out: &mut Vec<Effect>) {
        let Some(input) = self.input_mut(id) else { return };
        input.handover.again = Some(now.mono.plus(START_AGAIN));
        if input.handover.trouble.replace(incident.code) == Some(incident.code) {
            return;
        }
        if let Some(session) = &self.session {
            let kind = JournalKind::Incident { input: Some(id.clone()), incident: incident.clone() };
            out.push(session.line(now, kind));
        }
        self.raise(now, id.as_str(), incident, out);
    }

    fn end_trouble(&mut self, now: Now, id: &InputId) {
        if let Some(code) = self.input_mut(id).and_then(|input| input.handover.trouble.take()) {
            self.alerts.resolve(now, id.as_str(), code.as_str());
        }
    }

    /// Starts that are due again, and workers that can be replaced now.
    pub(super) fn watch_handover(&mut self, now: Now, id: &InputId, out: &mut Vec<Effect>) {
        let runs = self.session.as_ref().is_some_and(|session| session.runs());
        let wanted = self.is_wanted(id);
        let Some(input) = self.input_mut(id) else { return };
        let idle = input.orphan.is_none() && input.status.as_ref().is_some_and(|(_, status)| records(status).is_none());
        if input.handover.outdated && idle && (runs || !wanted) {
            input.handover = Handover::default();
            input.status = None;
            self.on_worker(now, id, WorkerEvent::Outdated, out);
        } else if !runs {
            self.end_trouble(now, id);
        } else if input.handover.again.take_if(|at| now.mono >= *at).is_some() {
            self.start_worker(now, id, out);
        }
    }

    /// A worker that records what this engine does not want recorded is stopped, whatever made it do so.
    pub(super) fn stop_unwanted(&mut self, now: Now, id: &InputId, out: &mut Vec<Effect>) {
        let Some(input) = self.input(id) else { return };
        let Some(recorded) = input.status.as_ref().and_then(|(_, status)| records(status)) else { return };
        let ours = self.session.as_ref().filter(|session| session.plan.id == recorded);
        if ours.is_some_and(|session| session.runs()) {
            return;
        }
        let foreign = ours.is_none();
        if self.goes_on(recorded) {
            if let Some(input) = self.input_mut(id) {
                input.orphan = Some(recorded);
            }
            return;
        }
        let Some(input) = self.input_mut(id) else { return };
        if input.handover.stopped.is_some_and(|at| now.mono.since(at) < STOP_AGAIN) {
            return;
        }
        if foreign {
            input.orphan = Some(recorded);
        }
        self.stop_worker(now, id, recorded, out);
    }
}

/// The session a worker records and has not been asked to stop.
pub(super) fn records(status: &WorkerStatus) -> Option<SessionId> {
    let over = |state| matches!(state, RecordingState::Stopping | RecordingState::Done | RecordingState::Failed);
    status.recording.as_ref().filter(|recording| !over(recording.state)).and(status.session)
}

//! What the engine asks for.

use super::recording::Recording;
use super::source::SourceState;
use super::{Config, Effect, HoldFault, Leaving, Reply, State, ends_with_session};
use crate::model::input::InputSpec;
use crate::model::policy::WorkerPolicy;
use crate::model::shed::Shed;
use crate::model::{MonoNs, SessionId};
use crate::protocol::worker::{Refusal, Ticket};

pub(super) fn ack(reply: Reply, out: &mut Vec<Effect>) {
    out.push(Effect::Ack { reply, refused: None });
}

pub(super) fn refuse(reply: Reply, code: &str, message: impl Into<String>, out: &mut Vec<Effect>) {
    let refusal = Refusal { code: code.to_owned(), message: message.into() };
    out.push(Effect::Ack { reply, refused: Some(refusal) });
}

impl State {
    pub(super) fn on_configure(
        &mut self,
        now: MonoNs,
        reply: Reply,
        input: Box<InputSpec>,
        policy: WorkerPolicy,
        out: &mut Vec<Effect>,
    ) {
        if input.id != self.input {
            let message = format!("this worker serves {}, not {}", self.input, input.id);
            return refuse(reply, "wrong_input", message, out);
        }
        match &mut self.config {
            Some(config) if config.input == *input => {
                config.policy = policy;
                ack(reply, out);
            }
            // A worker is made for one source; a changed one gets a fresh process.
            Some(_) => refuse(reply, "restart_needed", "the input changed: dismiss this worker and start another", out),
            None => {
                out.push(Effect::Prepare(input.clone()));
                self.config = Some(Config { input: *input, policy });
                ack(reply, out);
                self.open_source(now, false, out);
            }
        }
    }

    pub(super) fn on_start(&mut self, now: MonoNs, reply: Reply, ticket: Ticket, out: &mut Vec<Effect>) {
        if self.config.is_none() {
            return refuse(reply, "not_configured", "configure this worker first", out);
        }
        if self.leaving != Leaving::No {
            return refuse(reply, "leaving", "this worker is on its way out", out);
        }
        match &self.recording {
            Some(recording) if recording.session() == ticket.session => ack(reply, out),
            Some(recording) if !recording.is_done() => {
                refuse(reply, "busy", format!("session {} is being recorded", recording.session()), out);
            }
            _ => {
                // Answered once nobody can close the session under the worker; it does not wait for that.
                out.push(Effect::HoldSession { reply, session: ticket.session, dir: ticket.dir.clone() });
                let live = matches!(self.source, SourceState::Live { .. });
                let mut recording = Recording::new(now, ticket, live);
                if let Some(cause) = self.source.cause() {
                    recording.note_dark(now, cause.code);
                }
                self.recording = Some(recording);
                // What went wrong in the last session is over; what is wrong still belongs to the new one as well. Facts of
                // the last one may be held up still, which says nothing of this one's media.
                let held_up = self.facts_fault;
                self.active.retain(|code, _| !ends_with_session(*code) || held_up == Some(*code));
                self.space_fault = None;
                let active: Vec<_> = self.active.values().cloned().collect();
                for incident in active {
                    match held_up == Some(incident.code) {
                        true => self.note(now, incident, out),
                        false => self.raise(now, incident, out),
                    }
                }
                self.open_part_if_live(now, out);
                out.push(Effect::PublishStatus);
            }
        }
    }

    pub(super) fn on_session_held(
        &mut self,
        now: MonoNs,
        reply: Reply,
        session: SessionId,
        result: Result<(), HoldFault>,
        out: &mut Vec<Effect>,
    ) {
        match result {
            Ok(()) => ack(reply, out),
            // The media matters more than what guards its session.
            Err(HoldFault::Disk(reason)) => {
                ack(reply, out);
                self.on_facts_failed(now, &reason, out);
            }
            // What came from here on would stand in no manifest.
            Err(HoldFault::Closing) => {
                refuse(reply, "session_closed", format!("session {session} is being closed"), out);
                if self.session() == Some(session) {
                    self.stop_recording(now, out);
                }
            }
        }
    }

    pub(super) fn on_stop(&mut self, now: MonoNs, reply: Reply, session: SessionId, out: &mut Vec<Effect>) {
        ack(reply, out);
        if let Some(recording) = self.recording.as_mut().filter(|recording| recording.session() == session) {
            // Nobody is to go on with it any more.
            recording.handed_on = false;
            self.stop_recording(now, out);
        }
    }

    pub(super) fn on_retry(&mut self, now: MonoNs, reply: Reply, out: &mut Vec<Effect>) {
        ack(reply, out);
        if matches!(self.source, SourceState::Waiting { .. } | SourceState::Failed { .. }) {
            self.attempt = 0;
            self.source = SourceState::Waiting { until: now, cause: self.source.cause() };
            self.watch_source(now, out);
        }
    }

    /// Kept also without an engine: one that comes back says at once what it wants.
    pub(super) fn on_shed(&mut self, reply: Reply, shed: Shed, out: &mut Vec<Effect>) {
        ack(reply, out);
        if std::mem::replace(&mut self.shed, shed) != shed {
            out.push(Effect::Shed(shed));
            out.push(Effect::PublishStatus);
        }
    }

    pub(super) fn on_leave(&mut self, _now: MonoNs, reply: Reply, out: &mut Vec<Effect>) {
        if self.is_recording() {
            return refuse(reply, "recording", "this worker is recording; stop it first", out);
        }
        ack(reply, out);
        if self.leaving == Leaving::No {
            self.leaving = Leaving::WhenIdle(0);
        }
    }
}

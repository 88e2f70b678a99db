//! Start, Stop, Split and Retry: what is refused, with which words, and what is promised.

use super::super::event::{Effect, Now, Refused, Reply, StartCommand, Token, Unwritten};
use super::super::worker_state::WorkerEvent;
use super::State;
use super::session::{Ending, Phase, Session, StopOrder, Take};
use super::storage::refusal_of;
use crate::model::input::InputSpec;
use crate::model::session::Plan;
use crate::model::snapshot::{RecordingState, RecordingView};
use crate::model::{InputId, SessionId, SessionName};
use crate::protocol::api::{RetryReply, SplitReply, StartReply, StopReply};
use crate::protocol::worker::Command;
use crate::storage::layout;
use std::path::PathBuf;
use std::time::Duration;

/// From the command to the common first instant: a hop to four workers takes 5 ms on an idle machine.
pub(super) const START_AHEAD: Duration = Duration::from_millis(100);
/// From the command to the common boundary of all inputs: every worker creates and syncs a file before, which takes
/// 10 ms on an SSD and a few hundred on a busy USB disk. One that is later splits at its next frame.
const SPLIT_AHEAD: Duration = Duration::from_millis(500);

/// Plans that may be on their way to a disk that stands still: one every 7 s, for as long as somebody would wait for it.
/// One that is forgotten is closed by the next engine.
const ABANDONED: usize = 16;

impl State {
    pub(super) fn on_start(&mut self, now: Now, command: StartCommand, out: &mut Vec<Effect>) {
        let token = command.token;
        if let Some(known) = self.keys.find(now, &command.key) {
            let same = known.digest == command.digest;
            let reply = known.reply.clone();
            if same {
                self.repeat_start(token, reply, out);
            } else {
                let message = "this key was used for another start; use a new key".to_owned();
                out.push(refuse(token, 422, "key_reused", message, false));
            }
            return;
        }
        match self.check_start(now, &command) {
            Ok((name, inputs)) => self.begin(now, command, name, inputs, out),
            Err(refused) => out.push(Effect::Reply(token, Reply::Refused(refused))),
        }
    }

    /// What is in the way will be gone in a moment; what is wrong with the request itself is said at once.
    pub(super) fn must_wait(&self, now: Now, command: &StartCommand) -> bool {
        if self.leaving.is_some() {
            return false;
        }
        match self.keys.find(now, &command.key) {
            Some(known) => known.digest == command.digest && self.is_in_doubt(known.reply.session_id),
            None => {
                let may_be_known = !command.fresh && !self.keys.is_complete();
                (self.is_clearing() || may_be_known) && self.check_request(command).is_ok()
            }
        }
    }

    /// Same key, same body: the same session, whatever became of it.
    fn repeat_start(&mut self, token: Token, reply: StartReply, out: &mut Vec<Effect>) {
        if let Some(session) = self.session.as_mut().filter(|session| session.plan.id == reply.session_id)
            && let Phase::Persisting { waiting, .. } = &mut session.phase
        {
            waiting.push(token);
            return;
        }
        let status = self.status_word(reply.session_id);
        out.push(Effect::Reply(token, Reply::Started { body: StartReply { status, ..reply }, new: false }));
    }

    fn status_word(&self, id: SessionId) -> String {
        let running = self.session.as_ref().filter(|session| session.plan.id == id);
        let state = running.map(|session| serde_json::to_value(self.session_state(session)));
        match state {
            Some(Ok(serde_json::Value::String(word))) => word,
            _ => "finished".to_owned(),
        }
    }

    fn check_start(&self, now: Now, command: &StartCommand) -> Result<(SessionName, Vec<InputSpec>), Refused> {
        if self.leaving.is_some() {
            return Err(refused(503, "leaving", "the recorder is leaving; start it again".to_owned(), true));
        }
        let asked = self.check_request(command)?;
        if let Some(session) = self.session.as_ref().filter(|session| session.phase != Phase::Over) {
            let message = format!("session \"{}\" is running; stop it first", session.plan.name);
            return Err(refused(409, "session_running", message, false));
        }
        self.check_space(now)?;
        Ok(asked)
    }

    fn check_request(&self, command: &StartCommand) -> Result<(SessionName, Vec<InputSpec>), Refused> {
        let asked = command.request.name.as_deref();
        let name = command.name.clone().map_err(|fault| refused(422, "bad_name", fault.about(asked), false))?;
        Ok((name, self.wanted_inputs(command.request.inputs.as_deref())?))
    }

    fn wanted_inputs(&self, asked: Option<&[String]>) -> Result<Vec<InputSpec>, Refused> {
        if self.inputs.is_empty() {
            let file = &self.setup.config_file;
            let message = format!("no inputs are configured: add an [[input]] to {file}, or try `holdfast --demo`");
            return Err(refused(503, "nothing_to_record", message, false));
        }
        if let Some(asked) = asked {
            let known = self.inputs.iter().map(|input| input.spec.id.as_str()).collect::<Vec<_>>();
            if let Some(unknown) = asked.iter().find(|id| !known.contains(&id.as_str())) {
                let message = format!("there is no input {unknown:?}; there are {}", known.join(", "));
                return Err(refused(422, "unknown_input", message, false));
            }
        }
        let chosen = |spec: &InputSpec| match asked {
            Some(asked) => asked.iter().any(|id| id == spec.id.as_str()),
            None => spec.armed,
        };
        let inputs: Vec<InputSpec> =
            self.inputs.iter().map(|input| &input.spec).filter(|spec| chosen(spec)).cloned().collect();
        if inputs.is_empty() {
            return Err(refused(503, "nothing_to_record", "no input is armed; arm at least one".to_owned(), false));
        }
        Ok(inputs)
    }

    fn begin(
        &mut self,
        now: Now,
        command: StartCommand,
        name: SessionName,
        inputs: Vec<InputSpec>,
        out: &mut Vec<Effect>,
    ) {
        self.rebase_clocks(now, out);
        self.check_memory(now);
        self.begin_with_room();
        let container = self.setup.encoding.container;
        let plan = Plan {
            id: command.id,
            name,
            key: command.key.clone(),
            request: command.digest.clone(),
            start_at_ns: now.mono.plus(START_AHEAD),
            boot_id: self.setup.boot_id.clone(),
            started_at: now.at + START_AHEAD,
            files: inputs.iter().map(|spec| layout::part_file(&spec.id, 1, container)).collect(),
            // The plan is written to the library; workers get their input, whole, when they are configured.
            inputs: inputs.into_iter().map(InputSpec::redacted).collect(),
            encoding: self.setup.encoding.clone(),
        };
        let dir: PathBuf = self.setup.library.join(layout::session_dir(plan.started_at, &plan.name, plan.id));
        let reply = start_reply(&plan, "starting".to_owned());
        self.keys.remember(now, command.key, command.digest, reply);
        self.presses.begin(command.token, plan.id);
        for input in &mut self.inputs {
            input.frozen = None;
        }
        out.push(Effect::Persist { dir: dir.clone(), plan: Box::new(plan.clone()) });
        self.session = Some(Session {
            trace: command.trace,
            ..Session::new(plan, dir, Phase::Persisting { waiting: vec![command.token], since: now.mono })
        });
    }

    /// The plan is on disk: the first request made the session, the others repeated it.
    pub(super) fn answer_started(&mut self, waiting: &[Token], out: &mut Vec<Effect>) {
        let Some(session) = &self.session else { return };
        for (place, token) in waiting.iter().enumerate() {
            let body = start_reply(&session.plan, self.status_word(session.plan.id));
            out.push(Effect::Reply(*token, Reply::Started { body, new: place == 0 }));
        }
    }

    /// The plan could not be written: there is no session (R-CMD-1).
    pub(super) fn abandon(&mut self, waiting: &[Token], why: Unwritten, out: &mut Vec<Effect>) {
        let Some(session) = self.session.take() else { return };
        self.keys.forget(&session.plan.key);
        self.recovery.give_up(session.plan.id);
        self.abandoned.push_back((session.plan.id, session.dir));
        if self.abandoned.len() > ABANDONED {
            self.abandoned.pop_front();
        }
        let message = format!("nothing was started: {}", why.reason);
        let (status, code, retryable) = refusal_of(why.code);
        for token in waiting {
            out.push(refuse(*token, status, code, message.clone(), retryable));
        }
        for token in session.stop.into_iter().flat_map(|order| order.waiting) {
            out.push(refuse(token, 400, "not_recording", message.clone(), false));
        }
    }

    pub(super) fn on_stop(&mut self, now: Now, token: Token, asked: Option<SessionId>, out: &mut Vec<Effect>) {
        let running = self.session.as_ref().map(|session| (session.plan.id, session.phase.clone()));
        let ended = |id: SessionId| self.has_ended(id);
        match (running, asked) {
            (Some((id, phase)), asked) if asked.is_none_or(|asked| asked == id) => {
                let status = match phase {
                    Phase::Over => "finished",
                    _ => "stopping",
                };
                let body = StopReply { session_id: id, status: status.to_owned() };
                match phase {
                    Phase::Running { .. } => return self.stop_session(now, vec![token], out),
                    // Acknowledged: the failed session leaves the screen.
                    Phase::Over => self.session = None,
                    // It ended by itself a moment ago; now somebody wants it gone.
                    Phase::Closing { .. } => self.ask_closing(),
                    // Answered together with the first who asked.
                    Phase::Stopping { .. } => {
                        let order = self.session.as_mut().and_then(|session| session.stop.as_mut());
                        if let Some(order) = order {
                            return order.waiting.push(token);
                        }
                    }
                    // Carried out and answered as soon as the plan is on disk.
                    Phase::Persisting { .. } => {
                        if let Some(session) = &mut self.session {
                            let order = StopOrder { since: now.mono, waiting: Vec::new() };
                            session.stop.get_or_insert(order).waiting.push(token);
                        }
                        return;
                    }
                }
                out.push(Effect::Reply(token, Reply::Stopped(body)));
            }
            (_, asked) if self.still_recorded(asked).is_some() => {
                let Some(id) = self.still_recorded(asked) else { return };
                self.stop_left(now, id, out);
                let body = StopReply { session_id: id, status: "stopping".to_owned() };
                out.push(Effect::Reply(token, Reply::Stopped(body)));
            }
            (_, Some(asked)) if ended(asked) => {
                let body = StopReply { session_id: asked, status: "finished".to_owned() };
                out.push(Effect::Reply(token, Reply::Stopped(body)));
            }
            (_, Some(asked)) => {
                out.push(refuse(token, 404, "unknown_session", format!("there is no session {asked}"), false));
            }
            (_, None) => {
                let message = "nothing is being recorded".to_owned();
                out.push(refuse(token, 400, "not_recording", message, false));
            }
        }
    }

    fn has_ended(&self, id: SessionId) -> bool {
        self.keys.knows(id) || self.last_session.as_ref().is_some_and(|last| last.id == id)
    }

    /// A session of which is not known yet whether there ever was one: the plans of the last day are still being read.
    pub(super) fn may_have_ended(&self, id: SessionId) -> bool {
        let ours = self.session.as_ref().is_some_and(|session| session.plan.id == id);
        !ours && !self.has_ended(id) && !self.keys.is_complete()
    }

    pub(super) fn on_split(&mut self, now: Now, token: Token, asked: Option<SessionId>, out: &mut Vec<Effect>) {
        let running = self.session.as_ref().filter(|session| matches!(session.phase, Phase::Running { .. }));
        let Some(session) = running.filter(|session| asked.is_none_or(|asked| asked == session.plan.id)) else {
            let message = "nothing is being recorded that could be split".to_owned();
            out.push(refuse(token, 400, "not_recording", message, false));
            return;
        };
        let (session, at_ns) = (session.plan.id, now.mono.plus(SPLIT_AHEAD));
        let planned = self.session.iter().flat_map(|session| &session.plan.inputs).map(|spec| spec.id.clone());
        let linked = |id: &InputId| self.input(id).is_some_and(|input| input.worker.is_linked());
        let inputs: Vec<InputId> = planned.filter(linked).collect();
        for id in &inputs {
            self.send(now, id, out, |command| Command::Split { id: command, session, at_ns });
        }
        out.push(Effect::Reply(token, Reply::Split(SplitReply { session_id: session, inputs })));
    }

    pub(super) fn on_retry(&mut self, now: Now, token: Token, asked: &str, out: &mut Vec<Effect>) {
        let Some(id) = self.inputs.iter().map(|input| &input.spec.id).find(|id| id.as_str() == asked).cloned() else {
            out.push(refuse(token, 404, "unknown_input", format!("there is no input {asked:?}"), false));
            return;
        };
        let replaced = self.revive(&id);
        self.on_worker(now, &id, WorkerEvent::Retry, out);
        if replaced {
            self.replace_worker(now, &id, out);
        } else if self.input(&id).is_some_and(|input| input.worker.is_linked()) {
            self.send(now, &id, out, |command| Command::Retry { id: command });
        }
        self.alerts.resolve(now, id.as_str(), crate::model::incident::IncidentCode::WorkerGaveUp.as_str());
        out.push(Effect::Reply(token, Reply::Retried(RetryReply { input: id })));
    }

    /// An input whose recording was given up joins the running session again; whether a worker is linked that had to do
    /// with that.
    fn revive(&mut self, id: &InputId) -> bool {
        let Some(worker) = self.input(id).map(|input| &input.worker) else { return false };
        let (quarantined, linked) = (worker.is_quarantined(), worker.is_linked());
        let take = self.session.as_mut().filter(|session| session.runs()).and_then(|session| session.take_mut(id));
        // One that has recorded and says itself that it is done has come to its end.
        let given_up = |take: &&mut Take| {
            quarantined || take.ending == Some(Ending::Failed) || (take.ending.is_some() && !take.evident)
        };
        let Some(take) = take.filter(given_up) else { return false };
        (take.ending, take.ended_since) = (None, None);
        linked
    }

    /// Another process is to record what this one was not able to begin: nothing is reset.
    fn replace_worker(&mut self, now: Now, id: &InputId, out: &mut Vec<Effect>) {
        let Some(input) = self.input_mut(id) else { return };
        let closed = |view: &RecordingView| matches!(view.state, RecordingState::Done | RecordingState::Failed);
        let idle = input.status.as_ref().is_some_and(|(_, status)| status.recording.as_ref().is_none_or(closed));
        input.orders.forget();
        // One that still hangs does not leave when it is told to.
        let event = if idle { WorkerEvent::Outdated } else { WorkerEvent::StopLate };
        self.on_worker(now, id, event, out);
    }
}

fn start_reply(plan: &Plan, status: String) -> StartReply {
    let inputs = plan.inputs.iter().map(|spec| spec.id.clone()).collect();
    StartReply { session_id: plan.id, name: plan.name.clone(), started_at: plan.started_at, inputs, status }
}

pub(super) fn refused(status: u16, code: &'static str, message: String, retryable: bool) -> Refused {
    Refused { status, code, message, retryable }
}

pub(super) fn refuse(token: Token, status: u16, code: &'static str, message: String, retryable: bool) -> Effect {
    Effect::Reply(token, Reply::Refused(refused(status, code, message, retryable)))
}

//! Starts that wait until an earlier session is closed (R-CMD-2), and repeated ones whose session is not known yet.
//!
//! Contract: at most [`WAITING`] wait, each at most [`WAIT`]; whoever waits is answered, in the order of asking.

use super::super::event::{Effect, Now, StartCommand};
use super::State;
use super::commands::refuse;
use super::session::Phase;
use crate::model::{MonoNs, SessionId};
use std::collections::VecDeque;
use std::time::Duration;

/// Below the 8 s within which a waiting start is answered; the plan that follows takes milliseconds.
const WAIT: Duration = Duration::from_secs(7);
/// One for every client the API serves at a time.
const WAITING: usize = 64;

/// The starts that wait, oldest first.
pub type Waiting = VecDeque<(MonoNs, StartCommand)>;

impl State {
    /// A session is being closed, or may still be found at a worker.
    pub(super) fn is_clearing(&self) -> bool {
        let closing =
            |session: &super::Session| matches!(session.phase, Phase::Stopping { .. } | Phase::Closing { .. });
        let orphaned = self.inputs.iter().any(|input| input.orphan.is_some());
        self.session.as_ref().is_some_and(closing) || orphaned || !self.is_settled()
    }

    /// A session of an earlier engine of which is not known yet whether a worker still records it.
    pub(super) fn is_in_doubt(&self, id: SessionId) -> bool {
        let ours = self.session.as_ref().is_some_and(|session| session.plan.id == id);
        !ours && !self.is_settled()
    }

    pub(super) fn wait_for_start(&mut self, now: Now, command: StartCommand, out: &mut Vec<Effect>) {
        if self.waiting.len() < WAITING {
            self.waiting.push_back((now.mono, command));
        } else {
            out.push(busy(&command));
        }
    }

    /// Answers those that have waited long enough, and asks again for the others once nothing is in the way.
    pub(super) fn advance_waiting(&mut self, now: Now, out: &mut Vec<Effect>) {
        while let Some((_, late)) = self.waiting.pop_front_if(|(since, _)| now.mono.since(*since) >= WAIT) {
            out.push(busy(&late));
        }
        if self.leaving.is_some() || !self.is_clearing() {
            for (since, command) in std::mem::take(&mut self.waiting) {
                if self.must_wait(now, &command) {
                    self.waiting.push_back((since, command));
                } else {
                    self.on_start(now, command, out);
                }
            }
        }
    }
}

fn busy(command: &StartCommand) -> Effect {
    let message = "an earlier session is still being closed; try again in a few seconds".to_owned();
    refuse(command.token, 503, "busy", message, true)
}

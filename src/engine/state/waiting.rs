//! Requests that wait: starts until an earlier session is closed (R-CMD-2), anything until it is known what an earlier
//! engine left to be stopped, split or repeated (R-CMD-1).
//!
//! Contract: at most [`WAITING`] wait, each at most [`WAIT`]; whoever waits is answered, and whose way is free in the
//! order of asking.

use super::super::event::{Effect, MarkCommand, Now, StartCommand, Token};
use super::State;
use super::commands::refuse;
use super::session::Phase;
use crate::model::{MonoNs, SessionId};
use std::collections::VecDeque;
use std::time::Duration;

/// Below the 8 s within which a waiting request is answered; the plan that follows takes milliseconds.
const WAIT: Duration = Duration::from_secs(7);
/// One for every client the API serves at a time.
const WAITING: usize = 64;

/// The requests that wait, oldest first.
pub type Waiting = VecDeque<(MonoNs, Asked)>;

/// What a client wants.
#[derive(Debug)]
pub enum Asked {
    /// To record.
    Start(StartCommand),
    /// To stop this session, or the running one.
    Stop(Token, Option<SessionId>),
    /// To begin the next parts of this session, or of the running one.
    Split(Token, Option<SessionId>),
    /// To note a moment of this session, or of the running one.
    Mark(MarkCommand),
    /// To try this input again.
    Retry(Token, String),
}

impl Asked {
    fn token(&self) -> Token {
        match self {
            Self::Start(command) => command.token,
            Self::Mark(command) => command.token,
            Self::Stop(token, _) | Self::Split(token, _) | Self::Retry(token, _) => *token,
        }
    }
}

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

    /// Answers a request, or lets it wait for its turn.
    pub(super) fn on_asked(&mut self, now: Now, asked: Asked, out: &mut Vec<Effect>) {
        if !self.has_to_wait(now, &asked) {
            self.carry_out(now, asked, out);
        } else if self.waiting.len() < WAITING {
            self.waiting.push_back((now.mono, asked));
        } else {
            out.push(self.busy(&asked));
        }
    }

    fn has_to_wait(&self, now: Now, asked: &Asked) -> bool {
        match asked {
            Asked::Start(command) => self.must_wait(now, command),
            // What it is meant for may still be found; only then can it be told what became of it.
            Asked::Stop(_, asked) => {
                let unread = asked.is_some_and(|id| self.may_have_ended(id));
                self.leaving.is_none() && (!self.is_settled() || unread)
            }
            Asked::Mark(command) => self.leaving.is_none() && (!self.is_settled() || self.is_about_to_run(command)),
            Asked::Split(..) => self.leaving.is_none() && !self.is_settled(),
            Asked::Retry(_, input) => self.leaving.is_none() && !self.is_settled() && self.knows_input(input),
        }
    }

    fn knows_input(&self, id: &str) -> bool {
        self.inputs.iter().any(|input| input.spec.id.as_str() == id)
    }

    fn carry_out(&mut self, now: Now, asked: Asked, out: &mut Vec<Effect>) {
        match asked {
            Asked::Start(command) => self.on_start(now, command, out),
            Asked::Stop(token, _) | Asked::Split(token, _) | Asked::Mark(MarkCommand { token, .. })
                if self.leaving.is_some() && !self.is_settled() =>
            {
                let message = "the recorder is leaving, and does not know yet what is recorded; start it again";
                out.push(refuse(token, 503, "leaving", message.to_owned(), true));
            }
            Asked::Stop(token, session) => self.on_stop(now, token, session, out),
            Asked::Mark(command) => self.on_mark(now, command, out),
            Asked::Split(token, session) => self.on_split(now, token, session, out),
            Asked::Retry(token, input) => self.on_retry(now, token, &input, out),
        }
    }

    fn busy(&self, asked: &Asked) -> Effect {
        busy(asked, self.keys.is_complete())
    }

    /// Answers those that have waited long enough, and asks again for the others once nothing is in the way.
    pub(super) fn advance_waiting(&mut self, now: Now, out: &mut Vec<Effect>) {
        while let Some((_, late)) = self.waiting.pop_front_if(|(since, _)| now.mono.since(*since) >= WAIT) {
            out.push(self.busy(&late));
        }
        for (since, asked) in std::mem::take(&mut self.waiting) {
            if self.has_to_wait(now, &asked) {
                self.waiting.push_back((since, asked));
            } else {
                self.carry_out(now, asked, out);
            }
        }
    }
}

fn busy(asked: &Asked, read: bool) -> Effect {
    let message = match asked {
        Asked::Start(_) | Asked::Stop(..) if !read => {
            "the library does not say yet which sessions it holds; nothing was done; check its disk and ask again"
        }
        Asked::Start(_) => "an earlier session is still being closed; try again in a few seconds",
        _ => "it is not known yet what an earlier engine left recording; nothing was done; ask again in a few seconds",
    };
    refuse(asked.token(), 503, "busy", message.to_owned(), true)
}

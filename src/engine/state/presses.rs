//! What a start and a stop took, from the click on (R-CMD-5).
//!
//! Contract: measured is what the operator asked for and what came of it: a start until the last of the inputs that record
//! shows evidence (R-TRU-1), a stop until the manifest is written. What was refused, repeated, or never came is no latency.

use super::super::event::{Effect, Now, Token};
use super::State;
use super::session::{Phase, Session};
use crate::model::{MonoNs, SessionId};
use crate::protocol::api::Latency;
use std::collections::VecDeque;
use std::time::Duration;

/// Presses that may wait for what they are about: one of every client.
const WAITING: usize = 64;
/// Inputs that show nothing by then are told as a partial start; the others count.
const EVIDENCE_WITHIN: Duration = Duration::from_secs(10);

/// Somebody pressed something.
#[derive(Debug, Clone)]
struct Press {
    token: Token,
    at: MonoNs,
    trace: String,
}

/// A start whose inputs show evidence one by one.
#[derive(Debug)]
struct Starting {
    session: SessionId,
    press: Press,
    evident: usize,
    last: MonoNs,
}

/// What is being measured.
#[derive(Debug, Default)]
pub(super) struct Presses {
    waiting: VecDeque<Press>,
    starting: Option<Starting>,
    stopping: Option<(SessionId, Press)>,
}

impl Presses {
    /// A request came in, for which somebody clicked at `at`.
    pub fn press(&mut self, token: Token, at: MonoNs, trace: String) {
        if self.waiting.len() >= WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Press { token, at, trace });
    }

    fn take(&mut self, token: Token) -> Option<Press> {
        let place = self.waiting.iter().position(|press| press.token == token)?;
        self.waiting.remove(place)
    }

    /// This request made the session.
    pub fn begin(&mut self, token: Token, session: SessionId) {
        let press = self.take(token);
        self.starting = press.map(|press| Starting { session, last: press.at, press, evident: 0 });
    }

    /// These requests stop the session; the first one counts.
    pub fn stop(&mut self, tokens: &[Token], session: SessionId) {
        if let Some(press) = tokens.first().and_then(|token| self.take(*token)) {
            self.stopping = Some((session, press));
        }
    }
}

impl State {
    /// Looks whether what somebody pressed for is there.
    pub(super) fn watch_presses(&mut self, now: Now, out: &mut Vec<Effect>) {
        if let Some(starting) = &mut self.presses.starting {
            let session = self.session.as_ref().filter(|session| session.plan.id == starting.session);
            let over = match session {
                None => true,
                Some(session) => follow(starting, session, now.mono),
            };
            if let Some(starting) = self.presses.starting.take_if(|_| over).filter(|starting| starting.evident > 0) {
                let took = starting.last.since(starting.press.at);
                out.push(Effect::Measured { kind: Latency::Start, took, trace: starting.press.trace });
            }
        }
        let runs =
            |id| self.session.as_ref().is_some_and(|session| session.plan.id == id && session.phase != Phase::Over);
        if let Some((id, press)) = self.presses.stopping.take_if(|(id, _)| !runs(*id))
            && self.last_session.as_ref().is_some_and(|last| last.id == id)
        {
            let took = now.mono.since(press.at);
            out.push(Effect::Measured { kind: Latency::Stop, took, trace: press.trace });
        }
    }
}

/// Counts the inputs that record; whether that was all of them, or time is up.
fn follow(starting: &mut Starting, session: &Session, now: MonoNs) -> bool {
    let evident = session.takes.iter().filter(|take| take.evident).count();
    if evident > starting.evident {
        (starting.evident, starting.last) = (evident, now);
    }
    let open = session.takes.iter().any(|take| !take.evident && take.ending.is_none());
    let begins = matches!(session.phase, Phase::Persisting { .. } | Phase::Running { .. });
    !begins || !open || now.since(starting.press.at) >= EVIDENCE_WITHIN
}

//! Commands a worker has not answered (R-CMD-6). Pure.
//!
//! Contract: a command without an answer is repeated word for word, under its own number, so that a worker that did
//! carry it out only answers again ([`ANSWER_WITHIN`] after it was given last). After [`ATTEMPTS`] of them it is given
//! up, once. Of each kind only the newest waits; a Stop takes back what was to be begun before it.

use super::worker_state::OWN_PAUSE;
use crate::model::{MonoNs, SessionId};
use crate::protocol::worker::Command;
use std::time::Duration;

/// A worker answers from its main loop within milliseconds; only a start waits for a disk, for one lock and no sync.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How often a command is given in all.
pub const ATTEMPTS: u32 = 3;

/// What is to be done about a command without an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Due {
    /// It is given again.
    Again(Command),
    /// It was given often enough.
    GivenUp(Command),
}

#[derive(Debug, Clone)]
struct Order {
    command: Command,
    given: MonoNs,
    attempts: u32,
}

/// The commands one worker has not answered: at most one of each kind.
#[derive(Debug, Clone, Default)]
pub struct Orders {
    open: Vec<Order>,
    looked: MonoNs,
}

impl Orders {
    /// A command is given; one that nobody waits for (a dismissal has deadlines of its own) is not noted.
    pub fn give(&mut self, now: MonoNs, command: &Command) {
        if matches!(command, Command::Hello { .. } | Command::Watch { .. } | Command::Leave { .. }) {
            return;
        }
        self.open.retain(|order| !takes_back(command, &order.command));
        self.open.push(Order { command: command.clone(), given: now, attempts: 1 });
    }

    /// The worker answered this number.
    pub fn answered(&mut self, id: u64) {
        self.open.retain(|order| order.command.id() != Some(id));
    }

    /// Another process, or another link over which everything is said anew.
    pub fn forget(&mut self) {
        self.open.clear();
    }

    /// Takes out what is to be said again over a new link to the same worker: all but what a link begins with anyway.
    pub fn carry_over(&mut self) -> Vec<Command> {
        let said_anew = |command: &Command| {
            matches!(command, Command::Configure { .. } | Command::Start { .. } | Command::Stop { .. })
        };
        std::mem::take(&mut self.open).into_iter().map(|order| order.command).filter(|one| !said_anew(one)).collect()
    }

    /// Forgets what has become pointless.
    pub fn keep(&mut self, wanted: impl Fn(&Command) -> bool) {
        self.open.retain(|order| wanted(&order.command));
    }

    /// The Stop of `session` that has no answer yet.
    pub fn stop_of(&self, session: SessionId) -> Option<Command> {
        let of = |command: &Command| matches!(command, Command::Stop { session: stopped, .. } if *stopped == session);
        self.open.iter().map(|order| &order.command).find(|command| of(command)).cloned()
    }

    /// What is due. An engine that stood still has heard nobody, and waits anew.
    pub fn due(&mut self, now: MonoNs) -> Vec<Due> {
        if now.since(std::mem::replace(&mut self.looked, now)) >= OWN_PAUSE {
            for order in &mut self.open {
                order.given = now;
            }
        }
        let mut due = Vec::new();
        self.open.retain_mut(|order| {
            if now.since(order.given) < ANSWER_WITHIN {
                return true;
            }
            if order.attempts >= ATTEMPTS {
                due.push(Due::GivenUp(order.command.clone()));
                return false;
            }
            (order.given, order.attempts) = (now, order.attempts + 1);
            due.push(Due::Again(order.command.clone()));
            true
        });
        due
    }
}

/// Whether the older command must not be given any more once the newer one was.
fn takes_back(newer: &Command, older: &Command) -> bool {
    let begins = matches!(older, Command::Start { .. } | Command::Split { .. });
    std::mem::discriminant(newer) == std::mem::discriminant(older) || (begins && matches!(newer, Command::Stop { .. }))
}

#[cfg(test)]
#[path = "orders_tests.rs"]
mod tests;

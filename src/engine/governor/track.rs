//! Which actions of some rows are taken, one after the other, and given back in reverse. Pure.
//!
//! Contract: an action is taken while its row's limit is passed, a row's behind those of the rows before it; the next one
//! only when the one before has had its time; one that changes nothing costs no time. It is given back when its row has
//! been good for as long as that takes, the last one first. What is given back and has to be taken again at once was what
//! kept the load down: it waits twice as long the next time, so that nothing comes and goes for ever.

use super::action::{Action, Row};
use crate::model::MonoNs;
use crate::model::snapshot::LevelName;
use std::collections::BTreeMap;
use std::time::Duration;

/// Between two actions that are given back: what one costs shows within this (a mean of 2 s).
const BACK_EVERY: Duration = Duration::from_secs(3);
/// An action that is taken again so soon behind having been given back was needed.
const RELAPSE: Duration = Duration::from_secs(15);
/// One that stays away for so long is as good as new.
const FORGIVEN: Duration = Duration::from_secs(600);
/// The longest that is waited before an action is given back: it is tried four times an hour.
const LONGEST: Duration = Duration::from_secs(900);

/// What an action would do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// It changes something.
    Something,
    /// It changes nothing now, and holds for what comes.
    Nothing,
    /// It is not to be taken now, nor what follows it.
    Wait,
}

/// What happened to an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub action: Action,
    /// It was taken; else it was given back.
    pub taken: bool,
    /// It changed something.
    pub felt: bool,
}

/// How a row's limit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// It is passed now.
    pub bad: bool,
    /// For how long it has not been.
    pub good_for: Duration,
    /// Time that an action of this row gets before the next one.
    pub pace: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Taken {
    action: Action,
    /// Place of its row.
    row: usize,
    /// It changed something when it was taken.
    felt: bool,
}

/// The last time an action was given back, and how good it must have been for before the next.
#[derive(Debug, Clone, Copy)]
struct Past {
    at: MonoNs,
    patience: Duration,
}

/// See the module.
#[derive(Debug)]
pub struct Track {
    rows: &'static [Row],
    taken: Vec<Taken>,
    /// When something was last taken or given back that was felt.
    acted: Option<MonoNs>,
    past: BTreeMap<Action, Past>,
}

impl Track {
    /// Nothing is taken.
    pub fn new(rows: &'static [Row]) -> Self {
        Self { rows, taken: Vec::new(), acted: None, past: BTreeMap::new() }
    }

    /// Goes on from what somebody else has taken: it is given back in the ordinary way.
    pub fn resume(&mut self, now: MonoNs, actions: impl IntoIterator<Item = Action>) {
        let row = |action| self.rows.iter().position(|row| row.actions.contains(&action));
        let taken = actions.into_iter().filter_map(|action| Some(Taken { action, row: row(action)?, felt: true }));
        self.taken = taken.collect();
        self.acted = (!self.taken.is_empty()).then_some(now);
    }

    /// Looks how its rows stand (one `Standing` each), and does what is due.
    pub fn step(
        &mut self,
        now: MonoNs,
        calm: Duration,
        standing: &[Standing],
        worth: impl Fn(Action) -> Worth,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        while let Some(change) = self.take_next(now, calm, standing, &worth) {
            changes.push(change);
        }
        if changes.is_empty() {
            while let Some(change) = self.give_back(now, calm, standing) {
                changes.push(change);
            }
        }
        changes
    }

    fn take_next(
        &mut self,
        now: MonoNs,
        calm: Duration,
        standing: &[Standing],
        worth: impl Fn(Action) -> Worth,
    ) -> Option<Change> {
        // The worst row that is passed says how fast; what it has done begins with the rows before it.
        let worst = standing.iter().rposition(|row| row.bad)?;
        let in_order = || self.rows.iter().enumerate().take(worst + 1);
        let mut open = in_order().flat_map(|(row, of)| of.actions.iter().map(move |action| (row, *action)));
        let (row, action) = open.find(|(_, action)| !self.is_taken(*action))?;
        let felt = match worth(action) {
            Worth::Wait => return None,
            worth => worth == Worth::Something,
        };
        let early = self.acted.is_some_and(|at| now.since(at) < standing[worst].pace);
        if felt && early {
            return None;
        }
        if felt {
            self.acted = Some(now);
            let patience = match self.past.get(&action) {
                Some(past) if now.since(past.at) < RELAPSE => (past.patience * 2).min(LONGEST),
                Some(past) if now.since(past.at) < FORGIVEN => past.patience,
                _ => calm,
            };
            self.past.insert(action, Past { at: now, patience });
        }
        self.taken.push(Taken { action, row, felt });
        Some(Change { action, taken: true, felt })
    }

    fn give_back(&mut self, now: MonoNs, calm: Duration, standing: &[Standing]) -> Option<Change> {
        let last = *self.taken.last()?;
        let row = standing.get(last.row)?;
        let past = self.past.get(&last.action).copied();
        let patience = past.filter(|_| last.felt).map_or(calm, |past| past.patience).max(calm);
        let early = last.felt && self.acted.is_some_and(|at| now.since(at) < BACK_EVERY);
        if row.good_for < patience || early {
            return None;
        }
        self.taken.pop();
        if last.felt {
            self.acted = Some(now);
            self.past.insert(last.action, Past { at: now, patience });
        }
        Some(Change { action: last.action, taken: false, felt: last.felt })
    }

    /// Whether it is taken.
    pub fn is_taken(&self, action: Action) -> bool {
        self.taken.iter().any(|taken| taken.action == action)
    }

    /// Everything that is taken, in that order.
    pub fn taken(&self) -> impl Iterator<Item = Action> + '_ {
        self.taken.iter().map(|taken| taken.action)
    }

    /// The same without what has changed nothing.
    pub fn felt(&self) -> impl Iterator<Item = Action> + '_ {
        self.taken.iter().filter(|taken| taken.felt).map(|taken| taken.action)
    }

    /// The level of what is still taken.
    pub fn level(&self) -> LevelName {
        let felt = self.taken.iter().filter(|taken| taken.felt);
        felt.map(|taken| self.rows[taken.row].level).max().unwrap_or(LevelName::Normal)
    }
}

#[cfg(test)]
#[path = "track_tests.rs"]
mod tests;

//! How often, and how soon, a dead worker is replaced (R-SUP-5). Pure.
//!
//! The first attempt is made at once, the next ones at least [`PAUSE`] apart; after [`ATTEMPTS`] without
//! [`PROVED_AFTER`] of new media, or [`PER_HOUR`] within an hour, nobody tries any more until the operator asks.

use crate::model::MonoNs;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// Attempts without demonstrated progress.
pub const ATTEMPTS: u32 = 3;
/// Shortest time between two attempts, except before the first.
pub const PAUSE: Duration = Duration::from_secs(5);
/// New media that proves a replacement; the attempts are counted anew after it.
pub const PROVED_AFTER: Duration = Duration::from_secs(60);
/// Most attempts within [`HOUR`], progress or not: a worker that dies every two minutes is no recorder.
pub const PER_HOUR: usize = 10;
/// The window of [`PER_HOUR`].
pub const HOUR: Duration = Duration::from_secs(3600);

/// What may be done about a dead worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Replace it now.
    Now,
    /// Replace it then.
    At(MonoNs),
    /// Leave it: quarantine.
    GiveUp,
}

/// The attempts made for one input; kept for the next engine of this boot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restarts {
    /// Since the last proof.
    attempts: u32,
    /// At most [`PER_HOUR`] entries, oldest first.
    hour: VecDeque<MonoNs>,
    /// Nobody tries any more.
    given_up: bool,
}

impl Restarts {
    /// What an earlier engine's account of deaths comes to, oldest first. A worker that lived longer than
    /// [`PROVED_AFTER`] is taken to have proved itself.
    pub fn after(deaths: &[MonoNs]) -> Self {
        let mut restarts = Self::default();
        for death in deaths {
            if restarts.hour.back().is_some_and(|last| death.since(*last) > PROVED_AFTER + PAUSE) {
                restarts.proved();
            }
            restarts.begin(*death);
        }
        restarts
    }

    /// The account of another witness of the same deaths: the graver one counts, neither is forgotten.
    pub fn merge(&mut self, other: Self) {
        self.attempts = self.attempts.max(other.attempts);
        self.given_up |= other.given_up;
        if other.hour.len() > self.hour.len() {
            self.hour = other.hour;
        }
    }

    /// Nobody tries any more until the operator asks.
    pub fn give_up(&mut self) {
        self.given_up = true;
    }

    /// Whether nobody tries any more.
    pub fn has_given_up(&self) -> bool {
        self.given_up
    }

    /// Attempts since the last proof.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// What may be done at `now`.
    pub fn next(&self, now: MonoNs) -> Next {
        let recent = self.hour.iter().filter(|made| now.since(**made) < HOUR).count();
        if self.attempts >= ATTEMPTS || recent >= PER_HOUR {
            return Next::GiveUp;
        }
        match self.hour.back() {
            Some(last) if self.attempts > 0 && now.since(*last) < PAUSE => Next::At(last.plus(PAUSE)),
            _ => Next::Now,
        }
    }

    /// An attempt is made.
    pub fn begin(&mut self, now: MonoNs) {
        self.attempts += 1;
        self.given_up = false;
        if self.hour.len() >= PER_HOUR {
            self.hour.pop_front();
        }
        self.hour.push_back(now);
    }

    /// The worker wrote [`PROVED_AFTER`] of new media.
    pub fn proved(&mut self) {
        self.attempts = 0;
        self.given_up = false;
    }

    /// The operator asked: everything is forgiven.
    pub fn forgive(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> MonoNs {
        MonoNs(seconds * 1_000_000_000)
    }

    #[test]
    fn the_first_attempt_is_immediate_and_the_fourth_is_not_made() {
        let mut restarts = Restarts::default();
        assert_eq!(restarts.next(at(100)), Next::Now);
        restarts.begin(at(100));
        assert_eq!(restarts.next(at(101)), Next::At(at(105)));
        restarts.begin(at(105));
        restarts.begin(at(110));
        assert_eq!(restarts.next(at(200)), Next::GiveUp);
        restarts.proved();
        assert_eq!(restarts.next(at(200)), Next::Now);
    }

    #[test]
    fn an_earlier_engines_account_counts_against_the_limits() {
        let restarts = Restarts::after(&[at(10), at(200), at(203), at(209)]);
        assert_eq!((restarts.attempts(), restarts.next(at(230))), (3, Next::GiveUp));
        let restarts = Restarts::after(&[at(10), at(20), at(100)]);
        assert_eq!((restarts.attempts(), restarts.next(at(102))), (1, Next::At(at(105))));
    }

    #[derive(Debug, Clone)]
    enum Op {
        Death(u64),
        Proof(u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![(0u64..400).prop_map(Op::Death), (60u64..400).prop_map(Op::Proof)]
    }

    proptest! {
        #[test]
        fn no_schedule_breaks_the_limits(ops in prop::collection::vec(op(), 1..80)) {
            let (mut restarts, mut now, mut made, mut unproved) = (Restarts::default(), 0, Vec::new(), 0);
            for op in ops {
                match op {
                    Op::Proof(after) => {
                        now += after;
                        restarts.proved();
                        unproved = 0;
                    }
                    Op::Death(after) => {
                        now += after;
                        let when = match restarts.next(at(now)) {
                            Next::Now => at(now),
                            Next::At(when) => when,
                            Next::GiveUp => continue,
                        };
                        now = now.max(when.0 / 1_000_000_000);
                        if unproved > 0 {
                            let last: MonoNs = *made.last().expect("an attempt before");
                            prop_assert!(when.since(last) >= PAUSE);
                        }
                        restarts.begin(when);
                        made.push(when);
                        unproved += 1;
                        prop_assert!(unproved <= ATTEMPTS);
                        prop_assert!(made.iter().filter(|m| when.since(**m) < HOUR).count() <= PER_HOUR);
                    }
                }
            }
        }
    }
}

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

/// What events of this engine have settled about attempts that were made before it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Settled {
    /// They count.
    #[default]
    Nothing,
    /// A replacement proved itself: the attempts are over, their times stay.
    Proved,
    /// The operator asked: everything is forgiven.
    Forgiven,
}

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

/// Whether whoever went on after `attempt` has had the time to prove himself.
pub fn is_old(attempt: MonoNs, now: MonoNs) -> bool {
    now.since(attempt) > PROVED_AFTER + PAUSE
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
    /// What an earlier engine's account of deaths comes to at `now`, oldest first. A worker that has lived longer than
    /// [`PROVED_AFTER`] is taken to have proved itself.
    pub fn after(deaths: &[MonoNs], now: MonoNs) -> Self {
        let mut restarts = Self::default();
        for death in deaths {
            restarts.live_until(*death);
            restarts.begin(*death);
        }
        restarts.live_until(now);
        restarts
    }

    /// The replacement of the last attempt lived until then.
    fn live_until(&mut self, then: MonoNs) {
        if self.hour.back().is_some_and(|last| is_old(*last, then)) {
            self.proved();
        }
    }

    /// The account of another witness of the same deaths: the graver one counts, neither is forgotten.
    pub fn merge(&mut self, other: Self) {
        self.attempts = self.attempts.max(other.attempts);
        self.given_up |= other.given_up;
        if other.hour.len() > self.hour.len() {
            self.hour = other.hour;
        }
    }

    /// Puts in front what an earlier engine had counted, which was learned only now. An attempt that both know of (a
    /// journal is a witness as well) counts once; attempts behind the last of `earlier` come on top of it.
    pub fn come_after(&mut self, earlier: Self, settled: Settled) {
        if settled == Settled::Forgiven {
            return;
        }
        let last = earlier.hour.back().copied();
        let is_new = |made: &&MonoNs| last.is_none_or(|last| **made > last);
        if settled == Settled::Nothing {
            let unproved = usize::try_from(self.attempts).unwrap_or(usize::MAX);
            let new = self.hour.iter().rev().take(unproved).filter(is_new).count();
            let new = u32::try_from(new).unwrap_or(u32::MAX);
            let told = self.attempts.saturating_sub(new);
            self.attempts = earlier.attempts.max(told).saturating_add(new);
            // Whoever made an attempt since then has not given up.
            self.given_up |= earlier.given_up && new == 0;
        }
        let new: VecDeque<MonoNs> = self.hour.iter().filter(is_new).copied().collect();
        if earlier.hour.len() >= self.hour.len() - new.len() {
            self.hour = earlier.hour;
            self.hour.extend(new);
        }
        self.hour.drain(..self.hour.len().saturating_sub(PER_HOUR));
    }

    /// Nobody tries any more until the operator asks.
    pub fn give_up(&mut self) {
        self.given_up = true;
    }

    /// Whether nobody tries any more.
    pub fn has_given_up(&self) -> bool {
        self.given_up
    }

    /// How many attempts were made in the last hour, and how long ago the last one was.
    pub fn within_an_hour(&self, now: MonoNs) -> (u32, Option<Duration>) {
        let recent = self.hour.iter().filter(|made| now.since(**made) < HOUR).count();
        (u32::try_from(recent).unwrap_or(u32::MAX), self.hour.back().map(|last| now.since(*last)))
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
        let restarts = Restarts::after(&[at(10), at(200), at(203), at(209)], at(230));
        assert_eq!((restarts.attempts(), restarts.next(at(230))), (3, Next::GiveUp));
        let restarts = Restarts::after(&[at(10), at(20), at(100)], at(102));
        assert_eq!((restarts.attempts(), restarts.next(at(102))), (1, Next::At(at(105))));
        let restarts = Restarts::after(&[at(10), at(20), at(30)], at(18_000));
        assert_eq!(restarts.attempts(), 0, "it has recorded for hours since then");
    }

    #[derive(Debug, Clone)]
    enum Op {
        Death(u64),
        Proof(u64),
    }

    /// What can happen to an account.
    #[derive(Debug, Clone, Copy)]
    enum Entry {
        Attempt,
        GaveUp,
        Proof,
        Pardon,
    }

    fn enter(restarts: &mut Restarts, settled: &mut Settled, second: u64, entry: Entry) {
        match entry {
            Entry::Attempt => restarts.begin(at(second)),
            Entry::GaveUp => restarts.give_up(),
            Entry::Proof => {
                restarts.proved();
                *settled = (*settled).max(Settled::Proved);
            }
            Entry::Pardon => {
                restarts.forgive();
                *settled = Settled::Forgiven;
            }
        }
    }

    fn entry() -> impl Strategy<Value = Entry> {
        prop_oneof![
            6 => Just(Entry::Attempt),
            1 => Just(Entry::GaveUp),
            2 => Just(Entry::Proof),
            1 => Just(Entry::Pardon)
        ]
    }

    #[test]
    fn a_death_that_a_journal_tells_as_well_counts_once() {
        let mut earlier = Restarts::default();
        [100, 105].iter().for_each(|second| earlier.begin(at(*second)));
        // The second replacement waited for its time; the third death was not kept any more.
        let mut ours = Restarts::after(&[at(100), at(101), at(110)], at(111));
        ours.come_after(earlier, Settled::Nothing);
        assert_eq!((ours.attempts(), ours.next(at(111))), (3, Next::GiveUp));
        assert_eq!(ours.hour, [at(100), at(105), at(110)]);
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![(0u64..400).prop_map(Op::Death), (60u64..400).prop_map(Op::Proof)]
    }

    proptest! {
        /// However late it is learned what an earlier engine had counted, it comes to the same (R-SUP-5).
        #[test]
        fn an_account_that_comes_late_counts_like_one_that_was_there(
            entries in prop::collection::vec(entry(), 0..40),
            split in 0usize..40,
        ) {
            let (mut whole, mut earlier, mut ours) = <(Restarts, Restarts, Restarts)>::default();
            let mut settled = Settled::default();
            for (place, entry) in entries.into_iter().enumerate() {
                let second = 10 * place as u64;
                enter(&mut whole, &mut Settled::default(), second, entry);
                if place < split {
                    enter(&mut earlier, &mut Settled::default(), second, entry);
                } else {
                    enter(&mut ours, &mut settled, second, entry);
                }
            }
            let attempts = whole.attempts().min(PER_HOUR as u32);
            ours.come_after(earlier, settled);
            prop_assert_eq!(ours.attempts().min(PER_HOUR as u32), attempts);
            prop_assert_eq!(ours.has_given_up(), whole.has_given_up());
            prop_assert_eq!(ours.hour, whole.hour);
        }

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

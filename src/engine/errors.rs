//! How often something goes wrong at each source: errors and successes of the last five minutes (R-ALR-3). Pure.
//!
//! Contract: bounded, whatever is told: one bucket a second, and at most [`SOURCES`] sources. High is a rate of at least
//! [`MANY`] errors within [`SHORT_S`], or of more than [`PERCENT`] of at least [`ENOUGH`] operations within
//! [`WINDOW_S`]; it is calm again once it is below half of both.

use crate::model::MonoNs;
use std::collections::{BTreeMap, VecDeque};

/// The window, in seconds.
pub const WINDOW_S: u64 = 300;
/// The short window, in seconds.
pub const SHORT_S: u64 = 60;
/// Errors within the short window that are too many.
const MANY: u64 = 10;
/// Operations that say something about a share.
const ENOUGH: u64 = 20;
/// Errors in percent of operations that are too many.
const PERCENT: f64 = 1.0;
/// Sources that are counted: inputs, storage, engine, API. What comes after them is not.
const SOURCES: usize = 64;

/// What was counted of one source, or of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rate {
    /// Within the window.
    pub errors: u64,
    /// Within the window.
    pub successes: u64,
    /// Errors within the short window.
    pub recent: u64,
}

impl Rate {
    /// Operations within the window.
    pub fn total(self) -> u64 {
        self.errors + self.successes
    }

    /// Errors in percent of the operations, `None` without any.
    pub fn percent(self) -> Option<f64> {
        (self.total() > 0).then(|| self.errors as f64 * 100.0 / self.total() as f64)
    }

    /// Something goes wrong too often; how many errors, within how many seconds.
    pub fn high(self) -> Option<(u64, u64)> {
        if self.recent >= MANY {
            return Some((self.recent, SHORT_S));
        }
        let share = self.total() >= ENOUGH && self.percent().is_some_and(|percent| percent > PERCENT);
        share.then_some((self.errors, WINDOW_S))
    }

    /// It is in order again: half of what is too much, so that a rate at the limit does not come and go.
    pub fn is_calm(self) -> bool {
        let share = self.total() >= ENOUGH && self.percent().is_some_and(|percent| percent > PERCENT / 2.0);
        self.recent < MANY / 2 && !share
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    second: u64,
    errors: u64,
    successes: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Errors {
    sources: BTreeMap<String, VecDeque<Bucket>>,
}

impl Errors {
    /// So much went wrong and well at `source` just now.
    pub fn note(&mut self, now: MonoNs, source: &str, errors: u64, successes: u64) {
        if errors + successes == 0 || (!self.sources.contains_key(source) && self.sources.len() >= SOURCES) {
            return;
        }
        let buckets = self.sources.entry(source.to_owned()).or_default();
        let second = second(now);
        forget(buckets, second);
        match buckets.back_mut().filter(|last| last.second == second) {
            Some(last) => {
                last.errors = last.errors.saturating_add(errors);
                last.successes = last.successes.saturating_add(successes);
            }
            None => buckets.push_back(Bucket { second, errors, successes }),
        }
    }

    /// The rate of one source.
    #[cfg(test)]
    pub fn rate(&self, now: MonoNs, source: &str) -> Rate {
        self.sources.get(source).map(|buckets| sum(buckets, second(now))).unwrap_or_default()
    }

    /// Every source with its rate.
    pub fn rates(&self, now: MonoNs) -> Vec<(String, Rate)> {
        self.sources.iter().map(|(source, buckets)| (source.clone(), sum(buckets, second(now)))).collect()
    }

    /// All sources together.
    pub fn whole(&self, now: MonoNs) -> Rate {
        self.rates(now).into_iter().fold(Rate::default(), |sum, (_, rate)| Rate {
            errors: sum.errors + rate.errors,
            successes: sum.successes + rate.successes,
            recent: sum.recent + rate.recent,
        })
    }
}

fn second(now: MonoNs) -> u64 {
    now.0 / 1_000_000_000
}

fn forget(buckets: &mut VecDeque<Bucket>, second: u64) {
    while buckets.front().is_some_and(|first| second.saturating_sub(first.second) >= WINDOW_S) {
        buckets.pop_front();
    }
}

fn sum(buckets: &VecDeque<Bucket>, second: u64) -> Rate {
    let mut rate = Rate::default();
    for bucket in buckets {
        let age = second.saturating_sub(bucket.second);
        if age < WINDOW_S {
            rate.errors = rate.errors.saturating_add(bucket.errors);
            rate.successes = rate.successes.saturating_add(bucket.successes);
        }
        if age < SHORT_S {
            rate.recent = rate.recent.saturating_add(bucket.errors);
        }
    }
    rate
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: u64) -> MonoNs {
        MonoNs(second * 1_000_000_000)
    }

    #[test]
    fn ten_errors_in_a_minute_are_too_many_and_nine_are_not() {
        let mut errors = Errors::default();
        (0..9).for_each(|n| errors.note(at(100 + 6 * n), "cam1", 1, 0));
        assert_eq!(errors.rate(at(155), "cam1").high(), None);
        errors.note(at(155), "cam1", 1, 0);
        assert_eq!(errors.rate(at(155), "cam1").high(), Some((10, 60)));
        // The first is more than a minute ago; it is not calm before half of them are.
        assert_eq!(errors.rate(at(161), "cam1").high(), None);
        assert!(!errors.rate(at(161), "cam1").is_calm());
        assert!(errors.rate(at(230), "cam1").is_calm());
        assert_eq!(errors.rate(at(155), "cam2"), Rate::default());
        assert_eq!(errors.rate(at(500), "cam1"), Rate::default());
    }

    #[test]
    fn more_than_one_percent_of_twenty_operations_is_too_much() {
        let mut errors = Errors::default();
        errors.note(at(10), "api", 1, 18);
        assert_eq!(errors.rate(at(10), "api").high(), None, "nineteen say nothing");
        errors.note(at(11), "api", 0, 1);
        assert_eq!(errors.rate(at(11), "api").high(), Some((1, 300)));
        errors.note(at(12), "api", 0, 80);
        assert_eq!(errors.rate(at(12), "api").high(), None, "one of a hundred");
        assert!(!errors.rate(at(12), "api").is_calm());
        errors.note(at(13), "api", 0, 100);
        assert!(errors.rate(at(13), "api").is_calm());
        assert_eq!(errors.whole(at(13)).percent(), Some(0.5));
    }

    proptest! {
        /// What is kept is bounded, and what is counted is what was told within the window.
        #[test]
        fn the_rate_is_that_of_the_window(told in prop::collection::vec((0u64..400, 0u64..4, 0u64..40), 0..400)) {
            let (mut errors, mut now, mut all) = (Errors::default(), 1000, Vec::new());
            for (pause, wrong, well) in told {
                now += pause / 40;
                errors.note(at(now), "x", wrong, well);
                all.push((now, wrong, well));
                let within = |window: u64| all.iter().filter(move |(second, ..)| now - second < window);
                let expected = Rate {
                    errors: within(WINDOW_S).map(|(_, wrong, _)| wrong).sum(),
                    successes: within(WINDOW_S).map(|(.., well)| well).sum(),
                    recent: within(SHORT_S).map(|(_, wrong, _)| wrong).sum(),
                };
                prop_assert_eq!(errors.rate(at(now), "x"), expected);
                prop_assert!(expected.high().is_none() || !expected.is_calm());
                prop_assert!(errors.sources.values().all(|buckets| buckets.len() as u64 <= WINDOW_S));
            }
            (0..200).for_each(|n| errors.note(at(now), &format!("s{n}"), 1, 0));
            prop_assert!(errors.sources.len() <= SOURCES);
        }
    }
}

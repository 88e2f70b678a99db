//! Whether the file of a worker that says nothing grows (DESIGN §1). Pure.
//!
//! Contract: only looks that showed the same size are evidence of standing still. A size that nobody could learn (a
//! disk that hangs) is none, so that no worker is killed for the fault of its disk.

use crate::model::MonoNs;
use std::time::Duration;

/// Distance between two looks: a fragment, so that one that grows is seen to.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What was seen of it since it fell silent.
#[derive(Debug, Clone, Default)]
pub struct Growth {
    /// The size it has, since when, and when it was looked at last.
    still: Option<(u64, MonoNs, MonoNs)>,
    asked: Option<MonoNs>,
}

impl Growth {
    /// It said something, or nobody listened: everything is seen anew.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// It was looked at.
    pub fn seen(&mut self, now: MonoNs, bytes: u64) {
        self.still = match self.still {
            Some((known, since, _)) if known == bytes => Some((bytes, since, now)),
            _ => Some((bytes, now, now)),
        };
    }

    /// The disk is to blame, whatever the size is: what was seen so far says nothing about the worker.
    pub fn excuse(&mut self) {
        self.still = None;
    }

    /// For how long it is known not to have grown.
    pub fn still_for(&self) -> Duration {
        self.still.map_or(Duration::ZERO, |(_, since, last)| last.since(since))
    }

    /// Whether it is time for another look, which is then counted as begun.
    pub fn look(&mut self, now: MonoNs) -> bool {
        let due = self.asked.is_none_or(|asked| now.since(asked) >= LOOK_EVERY);
        if due {
            self.asked = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    #[test]
    fn only_looks_are_evidence() {
        let mut growth = Growth::default();
        assert!(growth.look(at(0)) && !growth.look(at(400)) && growth.look(at(500)));
        growth.seen(at(500), 10);
        assert_eq!(growth.still_for(), Duration::ZERO, "however long ago that was");
        growth.seen(at(4000), 10);
        assert_eq!(growth.still_for(), Duration::from_millis(3500));
        growth.seen(at(4500), 11);
        assert_eq!(growth.still_for(), Duration::ZERO);
    }
}

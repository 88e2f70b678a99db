//! Why something is done without: a limit that is passed at once, and left when it was good for some time. Pure.

use crate::model::MonoNs;
use std::time::Duration;

/// A limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cause {
    /// It counts.
    pub on: bool,
    /// It is passed now.
    pub bad: bool,
    /// Since when it has been passed, or has not.
    since: Option<MonoNs>,
}

impl Cause {
    /// It was looked at; what is not known (`None`) changes nothing.
    pub fn look(&mut self, now: MonoNs, calm: Duration, bad: Option<bool>) {
        let Some(bad) = bad else { return };
        if bad != self.bad || self.since.is_none() {
            (self.bad, self.since) = (bad, Some(now));
        }
        self.on = bad || (self.on && self.lasted(now) < calm);
    }

    /// For how long it has been as it is.
    fn lasted(&self, now: MonoNs) -> Duration {
        self.since.map_or(Duration::ZERO, |since| now.since(since))
    }

    /// For how long it has been passed.
    pub fn bad_for(&self, now: MonoNs) -> Duration {
        if self.bad { self.lasted(now) } else { Duration::ZERO }
    }

    /// For how long it has been good; always, if it was never looked at.
    pub fn good_for(&self, now: MonoNs) -> Duration {
        match (self.bad, self.since) {
            (true, _) => Duration::ZERO,
            (false, Some(since)) => now.since(since),
            (false, None) => Duration::MAX,
        }
    }
}

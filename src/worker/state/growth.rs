//! How much of a recording reached its files lately: less than a picture needs is a stall as well (R-FM-2).

use crate::model::MonoNs;
use std::collections::VecDeque;
use std::time::Duration;

/// The rate is that of this time.
const WINDOW: Duration = Duration::from_secs(10);
/// Below this nothing that deserves the name is recorded: bytes per second.
const LEAST_RATE: u64 = 1000;
/// Distance between two looks that are kept.
const STEP: Duration = Duration::from_secs(1);

/// Bytes of the last [`WINDOW`], over the parts of a recording.
#[derive(Debug, Clone)]
pub(super) struct Growth {
    total: u64,
    /// When, and the total by then; at most a window and a step of it.
    looks: VecDeque<(MonoNs, u64)>,
}

impl Growth {
    /// Begins to count at `now`.
    pub(super) fn new(now: MonoNs) -> Self {
        Self { total: 0, looks: VecDeque::from([(now, 0)]) }
    }

    /// What was before says nothing any more.
    pub(super) fn restart(&mut self, now: MonoNs) {
        *self = Self::new(now);
    }

    /// `bytes` more were written until `now`; whether that is too little, which takes a whole window to know.
    pub(super) fn add(&mut self, now: MonoNs, bytes: u64) -> bool {
        self.total += bytes;
        // The oldest look that a window has passed since is the one to compare with.
        while self.looks.get(1).is_some_and(|(at, _)| now.since(*at) >= WINDOW) {
            self.looks.pop_front();
        }
        let (from, before) = *self.looks.front().unwrap_or(&(now, self.total));
        if self.looks.back().is_none_or(|(at, _)| now.since(*at) >= STEP) {
            self.looks.push_back((now, self.total));
        }
        let window = now.since(from);
        window >= WINDOW && ((self.total - before) as f64) < LEAST_RATE as f64 * window.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> MonoNs {
        MonoNs(7_000_000_000).plus(Duration::from_millis(millis))
    }

    #[test]
    fn a_trickle_is_noticed_after_a_window_and_forgiven_after_another() {
        let mut growth = Growth::new(at(0));
        // Every half second: 400 bytes, then 600.
        let slow: Vec<bool> = (1..=40).map(|n| growth.add(at(500 * n), 400)).collect();
        assert!(slow[..19].iter().all(|slow| !slow) && slow[19..].iter().all(|slow| *slow), "{slow:?}");
        let quick: Vec<bool> = (41..=80).map(|n| growth.add(at(500 * n), 600)).collect();
        let over = quick.iter().position(|slow| !slow).expect("it is over");
        assert!((8..=22).contains(&over) && quick[over..].iter().all(|slow| !slow), "{quick:?}");
        assert!(growth.looks.len() <= 13, "{}", growth.looks.len());
        growth.restart(at(40_000));
        assert!(!growth.add(at(49_900), 0) && growth.add(at(50_000), 0));
    }
}

//! Recording time left on the disk. Pure.
//!
//! Contract: nothing is told that is known to change at once. While nothing is recorded the configured rates count, as far
//! as a recording of this engine has not shown what they come to; in the first seconds of a recording the time is not known;
//! then the growth of its files counts, smoothed over [`SMOOTH`].

use crate::model::MonoNs;
use std::time::Duration;

/// What a file grows by in its first seconds says little: headers, and an encoder that finds its rate.
const SETTLES: Duration = Duration::from_secs(6);
/// Over this time a change of the rate becomes a change of the time left.
const SMOOTH: Duration = Duration::from_secs(20);

/// What files grow by.
#[derive(Debug, Default)]
pub struct Headroom {
    /// Since when every file grows at a rate that is known.
    since: Option<MonoNs>,
    /// The rate in bytes per second, smoothed, and when it was looked at.
    smooth: Option<(MonoNs, f64)>,
    /// What the last recording came to, as a share of what was configured for it.
    learned: Option<f64>,
    recording: bool,
}

impl Headroom {
    /// Looks at what is written: `expected` is configured for what is recorded, `real` is what its files grow by, `None` =
    /// it is not known of all of them. `None` = nothing is recorded.
    pub fn look(&mut self, now: MonoNs, recorded: Option<(u64, Option<u64>)>) {
        let Some((expected, real)) = recorded else {
            (self.since, self.smooth, self.recording) = (None, None, false);
            return;
        };
        self.recording = true;
        // While one of them begins its next part the others go on: what was known stays.
        let Some(real) = real.filter(|real| *real > 0).map(|real| real as f64) else { return };
        let since = *self.since.get_or_insert(now);
        let next = match self.smooth {
            Some((at, rate)) => {
                // The first seconds are a plain mean, what comes behind them counts for as long as it takes to fade.
                let time = SMOOTH.min(now.since(since)).as_secs_f64();
                let step = now.since(at).as_secs_f64();
                let weight = if time > 0.0 { (step / time).min(1.0) } else { 1.0 };
                rate + (real - rate) * weight
            }
            None => real,
        };
        self.smooth = Some((now, next));
        if self.settled(now) && expected > 0 {
            self.learned = Some(next / expected as f64);
        }
    }

    fn settled(&self, now: MonoNs) -> bool {
        self.since.is_some_and(|since| now.since(since) >= SETTLES)
    }

    /// Seconds until `usable` bytes are written; `expected` = what is configured for what would be recorded now.
    pub fn seconds_left(&self, now: MonoNs, usable: u64, expected: u64) -> Option<u64> {
        let rate = match self.smooth {
            Some((_, rate)) if self.settled(now) => rate,
            _ if self.recording => return None,
            _ => expected as f64 * self.learned.unwrap_or(1.0),
        };
        (rate >= 1.0).then(|| (usable as f64 / rate) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_recording_that_begins_says_nothing_before_it_is_true_and_then_keeps_its_word() {
        let mut headroom = Headroom::default();
        let left = |headroom: &Headroom, at| headroom.seconds_left(MonoNs(at), 1_000_000, 100);
        assert_eq!(left(&headroom, 0), Some(10_000), "by the configuration");
        // Twice what it comes to in the first second, 75 bytes per second afterwards, with the noise of fragments.
        let mut told = Vec::new();
        for at in (0..120 * SECOND).step_by(200_000_000) {
            let real = match at / SECOND {
                0 => None,
                1 => Some(150),
                second => Some(75 + [0, 6, 0, 6][second as usize % 4] - 3),
            };
            headroom.look(MonoNs(at), Some((100, real)));
            told.extend(left(&headroom, at));
        }
        let first = told[0];
        assert!(told.iter().all(|left| left.abs_diff(13_333) < 2_000), "{first} … {told:?}");
        assert!(told[100..].iter().all(|left| left.abs_diff(13_333) < 800), "{told:?}");
        // The next part begins: its rate is not known for two seconds.
        headroom.look(MonoNs(121 * SECOND), Some((100, None)));
        assert!(left(&headroom, 121 * SECOND).is_some());
        // It is over: what it came to is expected of the next one, which does not jump by beginning.
        headroom.look(MonoNs(122 * SECOND), None);
        assert!(left(&headroom, 122 * SECOND).is_some_and(|left| left.abs_diff(13_333) < 800));
        headroom.look(MonoNs(123 * SECOND), Some((100, None)));
        assert_eq!(left(&headroom, 123 * SECOND), None);
    }

    #[test]
    fn nothing_that_would_be_recorded_leaves_no_time() {
        assert_eq!(Headroom::default().seconds_left(MonoNs(0), 1_000_000, 0), None);
    }
}

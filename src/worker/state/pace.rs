//! How soon the next part may begin after one that went wrong.

use crate::model::session::PartEnd;
use std::time::Duration;

/// A part with this much media shows that recording works: whatever goes wrong after it is a first time again.
const LASTING: Duration = Duration::from_secs(60);
/// The pause after the second failure in a row. The first costs none: it is usually the only one.
const SECOND_PAUSE: Duration = Duration::from_secs(1);
/// A source that is good again is recorded after this long at the latest.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The same where the disk refuses to make a file at all.
const LONGEST_REFUSAL: Duration = Duration::from_secs(5);

/// Counts failures in a row. What fails without media is tried more and more slowly, because each attempt leaves a
/// file; what fails after some media is tried on every second, because waiting longer would lose more than it saves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Pace {
    failures: u32,
}

impl Pace {
    /// The pause after a part that ended like this with `media` in it.
    pub(super) fn after(&mut self, end: PartEnd, media: Duration) -> Duration {
        if media >= LASTING {
            self.failures = 0;
        } else if !media.is_zero() {
            self.failures = self.failures.min(1);
        }
        match end {
            PartEnd::Cut | PartEnd::Stalled | PartEnd::Empty | PartEnd::DiskError => self.after_failure(),
            // Whoever takes a file away at once may do so with the next.
            PartEnd::Displaced if media.is_zero() => self.after_refusal(),
            PartEnd::Completed
            | PartEnd::Split
            | PartEnd::SignalLost
            | PartEnd::DiskFull
            | PartEnd::WorkerDied
            | PartEnd::Displaced
            | PartEnd::Damaged => Duration::ZERO,
        }
    }

    /// The pause after a part that the disk refused: a disk that is back is noticed at once, for that such an attempt
    /// leaves at most an empty file.
    pub(super) fn after_refusal(&mut self) -> Duration {
        self.after_failure().min(LONGEST_REFUSAL)
    }

    /// The pause after a part that could not even begin.
    pub(super) fn after_failure(&mut self) -> Duration {
        let before = self.failures;
        self.failures = before.saturating_add(1);
        match before {
            0 => Duration::ZERO,
            n => SECOND_PAUSE.saturating_mul(1u32.checked_shl(n - 1).unwrap_or(u32::MAX)).min(LONGEST_PAUSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_are_tried_more_and_more_slowly() {
        let mut pace = Pace::default();
        let pauses: Vec<u64> = (0..8).map(|_| pace.after(PartEnd::Empty, Duration::ZERO).as_secs()).collect();
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(pace.after(PartEnd::Cut, Duration::from_millis(500)), SECOND_PAUSE, "some media");
        assert_eq!(pace.after(PartEnd::Cut, Duration::from_millis(500)), SECOND_PAUSE, "some media again");
        assert_eq!(pace.after(PartEnd::Stalled, LASTING), Duration::ZERO, "a minute of media");
        assert_eq!(pace.after(PartEnd::SignalLost, Duration::from_secs(1)), Duration::ZERO, "not our failure");
        let mut pace = Pace::default();
        let pauses: Vec<u64> = (0..6).map(|_| pace.after_refusal().as_secs()).collect();
        assert_eq!(pauses, [0, 1, 2, 4, 5, 5]);
        let mut pace = Pace::default();
        let pauses: Vec<u64> = (0..6).map(|_| pace.after(PartEnd::Displaced, Duration::ZERO).as_secs()).collect();
        assert_eq!(pauses, [0, 1, 2, 4, 5, 5], "taken away before there was anything in it");
        assert_eq!(pace.after(PartEnd::Displaced, Duration::from_secs(1)), Duration::ZERO);
    }
}

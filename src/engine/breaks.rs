//! How soon a broken link is made anew. Pure.
//!
//! The first time at once, because a link also breaks when the worker dies; the next times more and more slowly, so
//! that a worker that breaks every link does not keep the engine busy.

use std::time::Duration;

/// A link that lived this long was a good one.
const PROVED_AFTER: Duration = Duration::from_secs(5);
/// Pause before the second connection, doubled up to [`CAP`].
const FIRST: Duration = Duration::from_millis(250);
/// Longest pause: above it an operator would call the input dead.
const CAP: Duration = Duration::from_secs(5);

/// Links in a row that broke early.
#[derive(Debug, Clone, Default)]
pub struct Breaks(u32);

impl Breaks {
    /// A link ended that had lived for `lived`.
    pub fn ended(&mut self, lived: Duration) {
        if lived >= PROVED_AFTER {
            self.0 = 0;
        }
    }

    /// The pause before the next connection.
    pub fn next_pause(&mut self) -> Duration {
        let factor = self.0.checked_sub(1).map(|more| 1u32.checked_shl(more).unwrap_or(u32::MAX));
        self.0 = self.0.saturating_add(1);
        factor.map_or(Duration::ZERO, |factor| FIRST.saturating_mul(factor).min(CAP))
    }
}

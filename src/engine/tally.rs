//! Counters that threads of the engine count with and others read: what went well and what did not (R-ALR-3), what waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// See the module; a clone counts together with the original.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<[AtomicU64; 2]>);

impl Tally {
    /// Something went well, or not.
    pub fn note(&self, well: bool) {
        self.0[usize::from(well)].fetch_add(1, Ordering::Relaxed);
    }

    /// Errors and successes since the last call.
    pub fn take(&self) -> Counted {
        let [errors, successes] = &*self.0;
        Counted { errors: errors.swap(0, Ordering::Relaxed), successes: successes.swap(0, Ordering::Relaxed) }
    }
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// What went wrong.
    pub errors: u64,
    /// What went well.
    pub successes: u64,
}

/// What goes through a queue. A clone counts together with the original.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    waiting: Arc<AtomicUsize>,
    /// What became of it.
    pub tally: Tally,
}

impl Traffic {
    /// One more waits.
    pub fn enter(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
    }

    /// One of them waits no more.
    pub fn leave(&self) {
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_not_counted_again() {
        let tally = Tally::default();
        [true, true, false].into_iter().for_each(|well| tally.clone().note(well));
        assert_eq!(tally.take(), Counted { errors: 1, successes: 2 });
        assert_eq!(tally.take(), Counted::default());
    }
}

//! Whether this engine may still write (DESIGN §1).
//!
//! An engine that was stopped may wake up behind the back of the one that took its place. Its workers tell it so, but
//! only behind everything they had said before; until it has read that far the counter of engines speaks: whoever
//! takes over counts up under the lock, before it writes anything.
//!
//! Contract: asked before every line and every file. Once fallen it stays so. What was between the question and the
//! write when the process was stopped, one line, is written.

use crate::sys::paths::Runtime;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// See the module.
#[derive(Debug, Clone)]
pub struct Fence {
    counter: PathBuf,
    epoch: u64,
    /// Number of the engine that took over; 0 = none has.
    by: Arc<AtomicU64>,
}

impl Fence {
    /// Around the engine with this number.
    pub fn new(runtime: &Runtime, epoch: u64) -> Self {
        Self { counter: runtime.engine_epoch(), epoch, by: Arc::default() }
    }

    /// Another engine has taken over.
    pub fn fall(&self, by: u64) {
        self.by.fetch_max(by, Ordering::SeqCst);
    }

    /// The number of the engine that has taken over, if one has. Reads a file in the runtime folder, in memory.
    pub fn fallen(&self) -> Option<u64> {
        // A counter that cannot be read says nothing; the workers still do.
        if let Some(last) = count(&self.counter).filter(|last| *last > self.epoch) {
            self.fall(last);
        }
        Some(self.by.load(Ordering::SeqCst)).filter(|by| *by > 0)
    }

    /// The same as an error, for whoever is about to write.
    pub fn check(&self) -> io::Result<()> {
        match self.fallen() {
            Some(by) => Err(io::Error::other(format!("another engine (number {by}) has taken over"))),
            None => Ok(()),
        }
    }
}

/// The number of the last engine of a runtime folder.
pub fn count(counter: &Path) -> Option<u64> {
    std::fs::read_to_string(counter).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_counts_up_keeps_the_one_before_from_writing() {
        let folder = tempfile::tempdir().expect("a folder");
        let counter = folder.path().join("engine.epoch");
        let fence = Fence { counter: counter.clone(), epoch: 4, by: Arc::default() };
        assert_eq!(fence.fallen(), None, "nobody has counted");
        std::fs::write(&counter, "4").expect("ours");
        assert_eq!(fence.fallen(), None);
        std::fs::write(&counter, "6").expect("another's");
        assert_eq!(fence.fallen(), Some(6));
        std::fs::write(&counter, "4").expect("whatever comes");
        assert!(fence.check().is_err(), "it stays fallen");
    }
}

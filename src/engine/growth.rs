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
    use crate::storage::recovery::open_part_bytes;
    use std::fs;

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

    /// The next part is made beside the one that is written, and given up when no keyframe comes for it.
    #[test]
    fn a_file_grows_beside_a_newer_one_that_does_not() {
        let library = tempfile::tempdir().expect("a library");
        let dir = library.path().join("2026-01-01_00-00-00_x_aaaa");
        fs::create_dir(&dir).expect("a folder");
        let (input, bytes) =
            ("a".parse().expect("an id"), |text: &str| fs::write(dir.join("a.mp4"), text).expect("a file"));
        bytes("12345");
        fs::write(dir.join("a.part2.mp4"), b"").expect("a file");
        let before = open_part_bytes(library.path(), &input).expect("a size");
        bytes("123456");
        assert_eq!((before, open_part_bytes(library.path(), &input).expect("a size")), (5, 6));
    }
}

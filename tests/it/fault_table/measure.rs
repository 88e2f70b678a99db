//! What is missing of an input, by the frame numbers burnt into its pictures.

use crate::support::evidence::{assert_sound, manifest, parts};
use crate::support::frames;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Pictures per second of every test input.
const FPS: f64 = 30.0;

/// Media that is nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// Between the first and the last picture.
    pub between: Duration,
    /// Behind the last one, until the recording was over.
    pub behind: Duration,
}

impl Lost {
    /// Everything.
    pub fn all(&self) -> Duration {
        self.between + self.behind
    }
}

/// The parts of `input` that must be readable and are at their paths.
pub fn parts_with_media(session: &Path, input: &str) -> Vec<PathBuf> {
    let manifest = manifest(session);
    let parts = parts(&manifest, input).into_iter().filter(|part| part["end"] != "empty");
    let paths = parts.map(|part| session.join(part["file"].as_str().expect("a name")));
    // A name that somebody else's file has taken holds no media of ours.
    paths.filter(|path| path.metadata().is_ok_and(|meta| meta.len() > 1000)).collect()
}

/// What is lost since `since` of an input that was recorded into `files` until `until` (CLOCK_MONOTONIC, which is what is
/// burnt into the pictures). Both demuxers read each.
pub fn lost(files: impl IntoIterator<Item = PathBuf>, since: Duration, until: Duration) -> Lost {
    let mut seen = BTreeSet::new();
    for path in files {
        assert_sound(&path);
        let numbers = frames::numbers(&path).unwrap_or_else(|error| panic!("{error}"));
        seen.extend(numbers.into_iter().flatten());
    }
    let (Some(&first), Some(&last)) = (seen.first(), seen.last()) else { panic!("nothing was recorded") };
    let frame = Duration::from_secs_f64(1.0 / FPS);
    let first = first.max((since.as_secs_f64() * FPS) as u32).min(last);
    let missing = u64::from(last - first + 1) - seen.range(first..).count() as u64;
    let end = frame.mul_f64(f64::from(last) + 1.0);
    Lost { between: frame.mul_f64(missing as f64), behind: until.saturating_sub(end) }
}

//! Turns a part of ours as it was recorded into an ordinary file, by appending and one flip.
//!
//! Contract, for both containers ([`mp4`], [`mkv`]): at every instant the file is readable without repair, before the
//! flip as a stream, after it as an ordinary file with an index and a duration. Nothing already written is changed
//! except the bytes of the flip, which lie in one 512-byte sector, and the marks of fragments that are complete but
//! were not yet committed. The same function serves a clean stop (index kept by the sink) and what a crash left
//! (index from [`scan`]); it may be killed anywhere and run again.

mod audit;
pub mod mkv;
pub mod mp4;
mod reader;
mod store;

pub use audit::{Audit, Audited, audit};
pub use mp4::{BoxScanner, Index, IndexError, PLACEHOLDER, PLACEHOLDER_BYTES, Scanned, StreamError, TrackSummary};
pub use reader::{MediaReader, Read};
pub use store::PartStore;

use crate::model::session::{AudioTrack, VideoTrack};
use std::io;
use std::time::Duration;

/// The unit in which a disk loses data, and within which a write is not torn.
pub const SECTOR_BYTES: u64 = 512;

/// Why a part could not be finalised. The file is as readable as before.
#[derive(Debug, thiserror::Error)]
pub enum FinaliseError {
    /// The disk refused.
    #[error("the disk refused to finalise: {0}")]
    Io(#[from] io::Error),
    /// The tables cannot be expressed in the container.
    #[error("the sample tables cannot be written: {0}")]
    Tables(String),
    /// The file does not begin like a part of ours; it is left alone.
    #[error("this is not a recording of Holdfast")]
    Foreign,
}

/// What a finalised (or still unfinished) part holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Size of the file.
    pub bytes: u64,
    /// End of the longest track.
    pub duration: Duration,
    /// Video samples in the tables.
    pub video_samples: u64,
    /// Audio samples (codec frames) in the tables.
    pub audio_samples: u64,
    /// The video track.
    pub video: Option<VideoTrack>,
    /// The audio track.
    pub audio: Option<AudioTrack>,
}

/// What finalising a file found and did.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is an ordinary file now.
    Finalised(Summary),
    /// It was one already.
    AlreadyFinal(Summary),
    /// Not one complete fragment: left as it is.
    Empty {
        /// Size of the file.
        bytes: u64,
    },
}

/// What a file holds.
#[derive(Debug)]
pub enum Contents {
    /// At least one complete fragment, not finalised.
    Fragments(Unfinished),
    /// An ordinary file of ours.
    Ordinary(Summary),
    /// The beginning of a part without one complete fragment.
    Nothing {
        /// Size of the file.
        bytes: u64,
    },
    /// Not a part of ours.
    Foreign,
}

/// A part that was not finalised, by its container.
#[derive(Debug)]
pub enum Unfinished {
    /// `ftyp free moov (moof mdat)*`.
    Mp4(Box<mp4::Index>),
    /// Header and clusters.
    Mkv(Box<mkv::Index>),
}

impl Unfinished {
    /// The whole in a few numbers; `bytes` is the size of the file.
    pub fn summary(&self, bytes: u64) -> Summary {
        match self {
            Unfinished::Mp4(index) => index.summary(bytes),
            Unfinished::Mkv(index) => index.summary(bytes),
        }
    }
}

/// Looks into `store`, whatever its container. Blocks on the disk.
pub fn scan(store: &dyn PartStore) -> io::Result<Contents> {
    if mkv::is_ours(store)? { mkv::scan(store) } else { mp4::scan(store) }
}

/// Finalises whatever a crash left in `store`, from a scan of its fragments. Blocks on the disk. The caller holds the
/// part's lock.
pub fn finalise(store: &dyn PartStore) -> Result<Outcome, FinaliseError> {
    match scan(store)? {
        Contents::Foreign => Err(FinaliseError::Foreign),
        Contents::Ordinary(summary) => Ok(Outcome::AlreadyFinal(summary)),
        Contents::Nothing { bytes } => Ok(Outcome::Empty { bytes }),
        Contents::Fragments(Unfinished::Mp4(index)) => mp4::complete(store, &index).map(Outcome::Finalised),
        Contents::Fragments(Unfinished::Mkv(index)) => mkv::complete(store, &index).map(Outcome::Finalised),
    }
}

//! Turns a fragmented MP4 of ours into an ordinary one, by appending and one 16-byte flip.
//!
//! While recording, a part is `ftyp free moov (styp? moof mdat)*`; the 16-byte `free` box right behind `ftyp` is a
//! placeholder. The newest `moof` may still read `free`: it is committed, by its four letters, once its bytes are on
//! the disk (half a `moof` at the end would make libavformat refuse the whole file). Finalising
//!
//! 1. appends a complete `moov` built from the [`Index`] and syncs,
//! 2. overwrites the placeholder with a 64-bit `mdat` header that covers everything up to that `moov`, and syncs.
//!
//! Contract: at every instant the file is a valid fragmented MP4 or a valid ordinary one (`ftyp mdat moov`). Nothing
//! already written is ever changed except those 16 bytes, which lie in one 512-byte sector. The same function serves
//! a clean stop (index kept by the sink) and what a crash left (index from [`scan`]); it may be killed anywhere and
//! run again.

mod audit;
mod boxes;
mod index;
mod moov;
mod reader;
mod scan;
mod store;
mod tables;

pub use audit::{Audit, Audited, audit};
pub use boxes::{BoxScanner, Scanned, StreamError};
pub use index::{Index, IndexError, TrackSummary};
pub use reader::{MediaReader, Read};
pub use scan::{Contents, scan};
pub use store::PartStore;

use crate::model::session::{AudioTrack, VideoTrack};
use std::io::{self, IoSlice};
use std::time::Duration;

/// Size of the placeholder and of the `mdat` header that replaces it: 32-bit size 1, type, 64-bit size.
pub const PLACEHOLDER_BYTES: u64 = 16;

/// The placeholder as it stands in a part that is being recorded.
pub const PLACEHOLDER: [u8; 16] = *b"\0\0\0\x10freeholdfast";

/// Why a part could not be finalised. The file is as readable as before.
#[derive(Debug, thiserror::Error)]
pub enum FinaliseError {
    /// The disk refused.
    #[error("the disk refused to finalise: {0}")]
    Io(#[from] io::Error),
    /// The tables cannot be expressed as MP4.
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
    /// It is an ordinary MP4 now.
    Finalised(Summary),
    /// It was one already.
    AlreadyFinal(Summary),
    /// Not one complete fragment: left as it is.
    Empty {
        /// Size of the file.
        bytes: u64,
    },
}

/// Finalises whatever a crash left in `store`, from a scan of its fragments. Blocks on the disk. The caller holds the
/// part's lock.
pub fn finalise(store: &dyn PartStore) -> Result<Outcome, FinaliseError> {
    match scan(store)? {
        Contents::Foreign => Err(FinaliseError::Foreign),
        Contents::Ordinary(summary) => Ok(Outcome::AlreadyFinal(summary)),
        Contents::Nothing { bytes } => Ok(Outcome::Empty { bytes }),
        Contents::Fragments(index) => complete(store, &index).map(Outcome::Finalised),
    }
}

/// Appends the `moov` for `index` at the end of `store` and flips the placeholder. Blocks on the disk.
///
/// If any step fails before the flip, the file stays the fragmented MP4 it was.
pub fn complete(store: &dyn PartStore, index: &Index) -> Result<Summary, FinaliseError> {
    let end = store.len()?;
    let moov = moov::encode(index).map_err(|error| FinaliseError::Tables(error.to_string()))?;
    store.write_at(end, &[IoSlice::new(&moov)])?;
    store.sync()?;

    let mut header = [0; 16];
    header[..4].copy_from_slice(&1u32.to_be_bytes());
    header[4..8].copy_from_slice(b"mdat");
    header[8..].copy_from_slice(&(end - index.placeholder_at()).to_be_bytes());
    store.write_at(index.placeholder_at(), &[IoSlice::new(&header)])?;
    store.sync()?;
    Ok(index.summary(end + moov.len() as u64))
}

//! MP4: a fragmented file while recording, an ordinary one after a 16-byte flip.
//!
//! While recording, a part is `ftyp free moov (styp? moof mdat)*`; the 16-byte `free` box right behind `ftyp` is a
//! placeholder. The newest `moof` may still read `free`: it is committed, by its four letters, once its bytes are on
//! the disk (half a `moof` at the end would make libavformat refuse the whole file). Finalising
//!
//! 1. appends a complete `moov` built from the [`Index`] and syncs,
//! 2. overwrites the placeholder with a 64-bit `mdat` header that covers everything up to that `moov`, and syncs.

mod audit;
mod boxes;
mod index;
mod moov;
mod scan;
mod tables;

pub use audit::audit;
pub use boxes::{BoxScanner, Scanned, StreamError};
pub use index::{Index, IndexError, TrackSummary};
pub use scan::scan;

use super::{FinaliseError, PartStore, Summary};
use std::io::IoSlice;

/// Size of the placeholder and of the `mdat` header that replaces it: 32-bit size 1, type, 64-bit size.
pub const PLACEHOLDER_BYTES: u64 = 16;

/// The placeholder as it stands in a part that is being recorded.
pub const PLACEHOLDER: [u8; 16] = *b"\0\0\0\x10freeholdfast";

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

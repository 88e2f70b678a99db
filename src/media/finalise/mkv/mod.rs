//! Matroska: clusters of known size while recording, with `Cues` and a duration after one flip.
//!
//! While recording, a part is `EBML Segment{ Void Info{ Void … } Tracks cluster* }` with a segment of unknown size
//! ([`header`]). The newest clusters may still read `Void`: each is committed, by its 12-byte header, once its bytes
//! are on the disk ([`cluster`]), so that no demuxer ever sees half a cluster. Finalising
//!
//! 1. commits what is whole and was not committed, covers what is not whole by a `Void`,
//! 2. appends the `Cues` and syncs,
//! 3. overwrites, in the first sector, size of the segment, `SeekHead` and `Duration`, and syncs.

mod audit;
pub mod cluster;
pub mod ebml;
pub mod header;
mod index;
mod scan;

pub use audit::audit;
pub use index::Index;
pub use scan::{is_ours, scan};

use super::{FinaliseError, PartStore, Summary};
use cluster::{CLUSTER_HEADER_BYTES, Place};
use std::collections::BTreeMap;
use std::io::{self, IoSlice};

/// Makes an ordinary file of the part that `index` describes. Blocks on the disk.
///
/// If any step fails before the flip, the file stays the stream of clusters it was.
pub fn complete(store: &dyn PartStore, index: &Index) -> Result<Summary, FinaliseError> {
    commit(store, index)?;
    // The head of what cannot be read only; its other bytes stay for whoever can.
    for damaged in &index.damaged {
        store.write_at(damaged.start, &[IoSlice::new(&cluster::cover(damaged.end - damaged.start))])?;
    }
    cover(store, index.end)?;
    let cues_at = store.len()?;
    let cues = index.cues().ok_or_else(|| FinaliseError::Tables("there is no track".to_owned()))?;
    store.write_at(cues_at, &[IoSlice::new(&cues)])?;
    store.sync()?;

    let end = cues_at + cues.len() as u64;
    let (at, flip) = index.header.flip(end, cues_at, index.ticks());
    store.write_at(at, &[IoSlice::new(&flip)])?;
    store.sync()?;
    Ok(index.summary(end))
}

/// Commits the clusters that are not: their bytes first, then their headers.
fn commit(store: &dyn PartStore, index: &Index) -> io::Result<()> {
    let mut commits = BTreeMap::new();
    let disguised = |at| match scan::place_at(store, at, index.end)? {
        Place::Disguised(total) => Ok::<_, io::Error>(Some(cluster::headers(total - CLUSTER_HEADER_BYTES).0)),
        Place::Committed(_) | Place::Other(..) | Place::Nothing => Ok(None),
    };
    // While a part is written it is committed in order; a power cut may have kept a later commit and lost this one.
    for &at in index.clusters.iter().rev() {
        let Some(header) = disguised(at)? else { break };
        commits.insert(at, header);
    }
    for &at in &index.disguised {
        commits.extend(disguised(at)?.map(|header| (at, header)));
    }
    if !commits.is_empty() {
        store.sync()?;
    }
    for (at, header) in commits {
        store.write_at(at, &[IoSlice::new(&header)])?;
    }
    Ok(())
}

/// Puts a `Void` over what lies behind `end`: the rest of a write that did not reach the disk whole, or an earlier
/// attempt to finalise. Nothing of it can be read.
fn cover(store: &dyn PartStore, end: u64) -> io::Result<()> {
    let tail = store.len()?.saturating_sub(end);
    if tail == 0 {
        return Ok(());
    }
    store.write_at(end, &[IoSlice::new(&cluster::cover(tail.max(CLUSTER_HEADER_BYTES)))])
}

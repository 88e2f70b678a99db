//! Finds out what a Matroska part holds, by walking its elements.
//!
//! Contract: reads headers of elements and blocks only, except for clusters that were not committed: those count if
//! their checksum fits, and none behind the first that does not; and for a committed one that is not followed by
//! another: its length may be damaged. What stands there is searched for committed clusters that are whole: nothing
//! that was once safe is given up for what lies before it.

use super::cluster::{self, CLUSTER_HEADER_BYTES, Place};
use super::ebml::id;
use super::header::PartHeader;
use super::index::Index;
use crate::media::finalise::{Contents, PartStore, Unfinished};
use std::io;
use std::ops::Range;

/// Read at once in search of a cluster.
const SEARCH_BYTES: u64 = 1024 * 1024;
/// A cluster of ours is smaller: the sink refuses to hold more back.
const CLUSTER_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// A pad has this many bytes at least and less than a header; a longer `Void` covers the tail of an earlier attempt to
/// finalise.
const PAD_LEAST: u64 = 2;

/// Whether `store` begins like a Matroska file.
pub fn is_ours(store: &dyn PartStore) -> io::Result<bool> {
    let mut first = [0; 4];
    if store.len()? < first.len() as u64 {
        return Ok(false);
    }
    store.read_at(0, &mut first)?;
    Ok(first == id::EBML.to_be_bytes())
}

/// What stands at `at`, if it can be told.
pub(super) fn place_at(store: &dyn PartStore, at: u64, end: u64) -> io::Result<Place> {
    let mut head = [0; CLUSTER_HEADER_BYTES as usize];
    let head = &mut head[..end.saturating_sub(at).min(CLUSTER_HEADER_BYTES) as usize];
    store.read_at(at, head)?;
    Ok(Place::of(head))
}

/// Looks into `store`. Blocks on the disk.
pub fn scan(store: &dyn PartStore) -> io::Result<Contents> {
    let bytes = store.len()?;
    let header = match PartHeader::read(store)? {
        Ok(Some(header)) => header,
        Ok(None) => return Ok(Contents::Nothing { bytes }),
        // Its first sectors reached the disk in part: there cannot be a cluster that counts.
        Err(_) if is_torn(store, bytes)? => return Ok(Contents::Nothing { bytes }),
        Err(_) => return Ok(Contents::Foreign),
    };
    match header.size {
        Some(size) => ordinary(store, header, size, bytes),
        None => unfinished(store, header, bytes),
    }
}

/// Whether the header of a file lost a sector: it was written at once, and synced before anything behind it.
fn is_torn(store: &dyn PartStore, bytes: u64) -> io::Result<bool> {
    let mut head = vec![0; usize::try_from(bytes.min(8 * 512)).unwrap_or(0)];
    store.read_at(0, &mut head)?;
    Ok(head.chunks(512).any(|sector| sector.iter().all(|byte| *byte == 0)))
}

fn unfinished(store: &dyn PartStore, header: PartHeader, bytes: u64) -> io::Result<Contents> {
    let mut index = Index::new(header.clone(), header.end);
    let mut from = header.end;
    loop {
        walk(store, from, bytes, &mut |found| {
            match found {
                Found::Cluster { at, end, content, disguised } => {
                    count(store, &mut index, at, end, content)?;
                    index.disguised.extend(disguised.then_some(at));
                }
                Found::Between { end } => index.end = end,
            }
            Ok(())
        })?;
        let Some(next) = next_committed(store, index.end, bytes)? else { break };
        index.damaged.push(index.end..next);
        from = next;
    }
    Ok(if !index.is_empty() {
        Contents::Fragments(Unfinished::Mkv(Box::new(index)))
    } else if is_tail(store, index.end, bytes)? {
        Contents::Nothing { bytes }
    } else {
        Contents::Foreign
    })
}

/// The next committed cluster behind the element at `at`, which does not count, by its id and its checksum.
fn next_committed(store: &dyn PartStore, at: u64, end: u64) -> io::Result<Option<u64>> {
    let id = id::CLUSTER.to_be_bytes();
    let mut buffer = vec![0; SEARCH_BYTES as usize];
    let mut from = at.saturating_add(CLUSTER_HEADER_BYTES);
    while from.saturating_add(CLUSTER_HEADER_BYTES) <= end {
        let length = (end - from).min(SEARCH_BYTES);
        let window = &mut buffer[..length as usize];
        store.read_at(from, window)?;
        for (place, _) in window.windows(id.len()).enumerate().filter(|(_, bytes)| *bytes == id) {
            let at = from + place as u64;
            let Place::Committed(total) = place_at(store, at, end)? else { continue };
            let behind = at.checked_add(total).filter(|behind| total <= CLUSTER_MAX_BYTES && *behind <= end);
            let Some(behind) = behind else { continue };
            if cluster::is_whole(&|at, buffer| store.read_at(at, buffer), at + CLUSTER_HEADER_BYTES..behind)? {
                return Ok(Some(at));
            }
        }
        // The next window begins where an id that this one cut in two would.
        from += length.saturating_sub(id.len() as u64 - 1).max(1);
    }
    Ok(None)
}

/// An element that counts.
enum Found {
    /// A cluster and its content.
    Cluster { at: u64, end: u64, content: Range<u64>, disguised: bool },
    /// A pad, or what the muxer put between header and clusters.
    Between { end: u64 },
}

/// Hands every element between `at` and `end` that counts to `take`, up to the first that does not.
fn walk(store: &dyn PartStore, mut at: u64, end: u64, take: &mut dyn FnMut(Found) -> io::Result<()>) -> io::Result<()> {
    let mut clusters = false;
    loop {
        let place = place_at(store, at, end)?;
        let (Place::Committed(total) | Place::Disguised(total) | Place::Other(_, total)) = place else { return Ok(()) };
        let Some(behind) = at.checked_add(total).filter(|behind| *behind <= end) else { return Ok(()) };
        let content = at + CLUSTER_HEADER_BYTES..behind;
        match place {
            // A committed cluster was on the disk before it was committed.
            Place::Committed(_) if may_follow(place_at(store, behind, end)?) || is_readable(store, &content)? => {
                take(Found::Cluster { at, end: behind, content, disguised: false })?;
            }
            Place::Disguised(_) if cluster::is_whole(&|at, buffer| store.read_at(at, buffer), content.clone())? => {
                take(Found::Cluster { at, end: behind, content, disguised: true })?;
            }
            Place::Other(id::VOID, PAD_LEAST..CLUSTER_HEADER_BYTES) => take(Found::Between { end: behind })?,
            // Tags and the like follow the header at once.
            Place::Other(other, _) if !clusters && other != id::CUES && other != id::VOID => {
                take(Found::Between { end: behind })?;
            }
            Place::Committed(_) | Place::Disguised(_) | Place::Other(..) | Place::Nothing => return Ok(()),
        }
        clusters |= matches!(place, Place::Committed(_) | Place::Disguised(_));
        at = behind;
    }
}

/// Whether what stands behind a cluster shows that the cluster ends there.
fn may_follow(place: Place) -> bool {
    match place {
        Place::Committed(_) | Place::Disguised(_) | Place::Other(id::VOID, PAD_LEAST..CLUSTER_HEADER_BYTES) => true,
        Place::Other(..) | Place::Nothing => false,
    }
}

/// Whether the length of a cluster with this content is right: its checksum fits, or at least its blocks fill it.
fn is_readable(store: &dyn PartStore, content: &Range<u64>) -> io::Result<bool> {
    let read = |at, buffer: &mut [u8]| store.read_at(at, buffer);
    Ok(cluster::is_whole(&read, content.clone())? || cluster::blocks(&read, content.clone())?.is_ok())
}

/// Counts the blocks of a cluster; one that cannot be read keeps its place and counts nothing.
fn count(store: &dyn PartStore, index: &mut Index, at: u64, end: u64, content: Range<u64>) -> io::Result<()> {
    let blocks = cluster::blocks(&|at, buffer| store.read_at(at, buffer), content)?;
    index.push(at, end, &blocks.unwrap_or_default());
    Ok(())
}

/// Whether what lies behind `at` is the rest of something that was being written: a cluster in disguise, bytes that
/// never reached the disk, an element that the file ends within, or the end of an earlier attempt to finalise.
fn is_tail(store: &dyn PartStore, at: u64, bytes: u64) -> io::Result<bool> {
    let mut head = [0; CLUSTER_HEADER_BYTES as usize];
    if bytes.saturating_sub(at) < head.len() as u64 {
        return Ok(true);
    }
    store.read_at(at, &mut head)?;
    Ok(match Place::of(&head) {
        Place::Disguised(_) | Place::Other(id::CUES | id::VOID, _) => true,
        Place::Committed(_) => false,
        Place::Other(_, total) => at.checked_add(total).is_none_or(|end| end > bytes),
        Place::Nothing => head == [0; 12],
    })
}

fn ordinary(store: &dyn PartStore, header: PartHeader, size: u64, bytes: u64) -> io::Result<Contents> {
    let end = header.data_at.checked_add(size).filter(|end| *end <= bytes);
    let (Some(end), Some(cues_at)) = (end, header.cues_at) else { return Ok(Contents::Foreign) };
    let mut index = Index::new(header.clone(), header.end);
    let mut at = header.end;
    let mut indexed = false;
    while at < end {
        let place = place_at(store, at, end)?;
        let (Place::Committed(total) | Place::Disguised(total) | Place::Other(_, total)) = place else { break };
        let Some(behind) = at.checked_add(total).filter(|behind| *behind <= end) else { break };
        match place {
            Place::Committed(_) => count(store, &mut index, at, behind, at + CLUSTER_HEADER_BYTES..behind)?,
            Place::Other(id::CUES, _) => indexed |= at == cues_at,
            Place::Disguised(_) | Place::Other(..) | Place::Nothing => {}
        }
        at = behind;
    }
    Ok(if at == end && indexed { Contents::Ordinary(index.summary(bytes)) } else { Contents::Foreign })
}

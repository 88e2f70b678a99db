//! Finds out what a part file holds, by walking its boxes.
//!
//! Contract: reads headers and indexes only, except for the last fragments, where a power cut can have left holes:
//! a fragment whose data has lost a sector is not counted, nor anything behind it.

use super::boxes::{BoxHeader, KEPT_BOX_MAX_BYTES};
use super::index::{Index, TrackSummary, is_video, summarise, to_duration};
use super::{PLACEHOLDER, PLACEHOLDER_BYTES};
use crate::media::finalise::{Contents, PartStore, SECTOR_BYTES, Unfinished};
use mp4_atom::{Decode, Moov, StszSamples, Trak};
use std::io;
use std::ops::Range;

/// Fragments at the end that are looked at for holes even if they are committed: the commits of one sync (one in
/// flight, the next being gathered) may have reached the disk before a later sector did.
const UNPROVEN_FRAGMENTS: usize = 16;

/// Final tables up to this size are read without a question: those of eight hours of 60 fps with sound (16 bytes per
/// sample) take half of it.
const TABLES_UNASKED_BYTES: u64 = 64 * 1024 * 1024;

/// A fragment by its place in the file.
struct Fragment {
    moof: BoxHeader,
    data: BoxHeader,
}

/// Looks into `store`. Blocks on the disk.
pub fn scan(store: &dyn PartStore) -> io::Result<Contents> {
    let bytes = store.len()?;
    let nothing = Contents::Nothing { bytes };
    let Some(ftyp) = header_at(store, 0, bytes)? else { return Ok(nothing) };
    if ftyp.kind != *b"ftyp" {
        return Ok(if ftyp.kind == [0; 4] { nothing } else { Contents::Foreign });
    }
    let placeholder_at = ftyp.end();
    if placeholder_at + PLACEHOLDER_BYTES > bytes {
        return Ok(nothing);
    }
    let mut placeholder = [0; 16];
    store.read_at(placeholder_at, &mut placeholder)?;
    if placeholder == PLACEHOLDER {
        return fragments(store, placeholder_at, bytes);
    }
    match BoxHeader::parse(&placeholder, placeholder_at) {
        Ok(Some(mdat)) if mdat.kind == *b"mdat" && mdat.header == PLACEHOLDER_BYTES => {
            ordinary(store, placeholder_at, mdat.end(), bytes)
        }
        _ if placeholder == [0; 16] => Ok(nothing),
        Ok(_) | Err(_) => Ok(Contents::Foreign),
    }
}

/// The header at `at` if the whole box lies within the file.
pub(super) fn header_at(store: &dyn PartStore, at: u64, bytes: u64) -> io::Result<Option<BoxHeader>> {
    let available = bytes.saturating_sub(at).min(16);
    if available < 8 {
        return Ok(None);
    }
    let mut head = [0; 16];
    let head = &mut head[..if available < 16 { 8 } else { 16 }];
    store.read_at(at, head)?;
    Ok(BoxHeader::parse(head, at).ok().flatten().filter(|header| header.end() <= bytes))
}

pub(super) fn read_box(store: &dyn PartStore, header: &BoxHeader) -> io::Result<Option<Vec<u8>>> {
    if header.size > KEPT_BOX_MAX_BYTES {
        return Ok(None);
    }
    let mut bytes = vec![0; usize::try_from(header.size).unwrap_or(0)];
    store.read_at(header.start, &mut bytes)?;
    Ok(Some(bytes))
}

fn fragments(store: &dyn PartStore, placeholder_at: u64, bytes: u64) -> io::Result<Contents> {
    let nothing = Contents::Nothing { bytes };
    let moov = header_at(store, placeholder_at + PLACEHOLDER_BYTES, bytes)?.filter(|header| header.kind == *b"moov");
    let Some(moov) = moov else { return Ok(nothing) };
    let Some(Ok(mut index)) = read_box(store, &moov)?.map(|moov| Index::new(&moov, placeholder_at)) else {
        return Ok(nothing);
    };

    let found = find(store, moov.end(), bytes)?;
    // A fragment is committed only after its bytes were synced: whatever follows the first that is not is unproven,
    // however much a slow disk had let pile up.
    let committed = found.iter().take_while(|fragment| fragment.moof.kind == *b"moof").count();
    let proven = committed.min(found.len().saturating_sub(UNPROVEN_FRAGMENTS));
    for (n, fragment) in found.iter().enumerate() {
        let data = fragment.data.start..fragment.data.end();
        let whole = n < proven || !has_hole(store, fragment.moof.start..data.end)?;
        let moof = if whole { read_box(store, &fragment.moof)? } else { None };
        match moof.map(as_committed).map(|moof| index.push(&moof, fragment.moof.start, data)) {
            Some(Ok(())) => {}
            Some(Err(_)) | None => break,
        }
    }
    Ok(if index.is_empty() { nothing } else { Contents::Fragments(Unfinished::Mp4(Box::new(index))) })
}

/// The fragments between `at` and `end`, up to the first place that is not one.
fn find(store: &dyn PartStore, mut at: u64, end: u64) -> io::Result<Vec<Fragment>> {
    let mut found: Vec<Fragment> = Vec::new();
    let mut moof = None;
    while let Some(header) = header_at(store, at, end)? {
        match (&header.kind, moof.take()) {
            (b"moof", _) => moof = Some(header),
            (b"free", None) if is_uncommitted(store, &header)? => moof = Some(header),
            (b"mdat", Some(moof)) => found.push(Fragment { moof, data: header }),
            // `moov`: an earlier attempt to finalise that did not come to the flip.
            (b"styp" | b"free" | b"moov", None) => {}
            _ => break,
        }
        at = header.end();
    }
    Ok(found)
}

/// Whether a `free` box is a `moof` that was written but not committed before the end came: its first child tells.
pub(super) fn is_uncommitted(store: &dyn PartStore, header: &BoxHeader) -> io::Result<bool> {
    let mut child = [0; 8];
    if header.size < header.header + child.len() as u64 {
        return Ok(false);
    }
    store.read_at(header.start + header.header, &mut child)?;
    Ok(child[4..] == *b"mfhd")
}

/// A `moof` as it was meant.
pub(super) fn as_committed(mut moof: Vec<u8>) -> Vec<u8> {
    moof[4..8].copy_from_slice(b"moof");
    moof
}

/// Whether a sector of `range` reads as zeros. Compressed media never does, and neither an H.264 NAL unit (stop bit,
/// ITU-T H.264 7.3.2.11) nor an AAC frame (ID_END, ISO 14496-3 4.5.2.1) ends in a zero byte, so the last piece counts
/// however short it is. The piece before the first whole sector shares its sector with what lies in front.
fn has_hole(store: &dyn PartStore, range: Range<u64>) -> io::Result<bool> {
    let mut at = range.start.next_multiple_of(SECTOR_BYTES);
    let mut buffer = vec![0; 512 * SECTOR_BYTES as usize];
    while at < range.end {
        let length = (range.end - at).min(buffer.len() as u64);
        let part = &mut buffer[..length as usize];
        store.read_at(at, part)?;
        if part.chunks(SECTOR_BYTES as usize).any(|sector| sector.iter().all(|byte| *byte == 0)) {
            return Ok(true);
        }
        at += length;
    }
    Ok(false)
}

/// Whether tables of `size` bytes at `moov_at` can be those of the fragments before them: a length that was read is no
/// reason to take as much memory. Longer ones than [`TABLES_UNASKED_BYTES`] are held against the fragments.
pub(super) fn are_plausible(store: &dyn PartStore, placeholder_at: u64, moov_at: u64, size: u64) -> io::Result<bool> {
    if size <= TABLES_UNASKED_BYTES {
        return Ok(true);
    }
    let first = header_at(store, placeholder_at + PLACEHOLDER_BYTES, moov_at)?.filter(|header| header.kind == *b"moov");
    let Some(first) = first else { return Ok(false) };
    let Some(Ok(mut index)) = read_box(store, &first)?.map(|moov| Index::new(&moov, placeholder_at)) else {
        return Ok(false);
    };
    for Fragment { moof, data } in find(store, first.end(), moov_at)? {
        let Some(bytes) = read_box(store, &moof)?.map(as_committed) else { break };
        if index.push(&bytes, moof.start, data.start..data.end()).is_err() {
            break;
        }
    }
    // Another version may have spent more on a sample, but not twice as much.
    Ok(size <= index.moov_estimate().saturating_mul(2))
}

fn ordinary(store: &dyn PartStore, placeholder_at: u64, moov_at: u64, bytes: u64) -> io::Result<Contents> {
    let moov = header_at(store, moov_at, bytes)?.filter(|header| header.kind == *b"moov");
    let Some(moov) = moov else { return Ok(Contents::Foreign) };
    if !are_plausible(store, placeholder_at, moov_at, moov.size)? {
        return Ok(Contents::Foreign);
    }
    let mut body = vec![0; usize::try_from(moov.size).unwrap_or(0)];
    store.read_at(moov.start, &mut body)?;
    Ok(match Moov::decode(&mut body.as_slice()) {
        Ok(moov) => Contents::Ordinary(summarise(&moov, bytes, moov.trak.iter().map(summary_of_tables))),
        Err(_) => Contents::Foreign,
    })
}

fn summary_of_tables(trak: &Trak) -> TrackSummary {
    let samples = match &trak.mdia.minf.stbl.stsz.samples {
        StszSamples::Identical { count, .. } => u64::from(*count),
        StszSamples::Different { sizes } => sizes.len() as u64,
    };
    let edits = || trak.edts.iter().flat_map(|edts| &edts.elst).flat_map(|elst| &elst.entries);
    let empty: u64 = edits().filter(|edit| edit.media_time.is_none()).map(|edit| edit.segment_duration).sum();
    let hidden = edits().find_map(|edit| edit.media_time).unwrap_or(0);
    let start = to_duration(empty, super::moov::MOVIE_TIMESCALE);
    let length = to_duration(trak.mdia.mdhd.duration.saturating_sub(hidden), trak.mdia.mdhd.timescale);
    TrackSummary { video: is_video(trak), samples, start, end: start + length }
}

#[cfg(test)]
mod tests {
    use super::super::audit::audit;
    use super::*;
    use crate::media::finalise::audit::Audited;
    use std::io::IoSlice;

    /// A sparse file of a terabyte: a header, and far behind it what claims to be an index.
    struct Sparse {
        head: Vec<u8>,
        moov_at: u64,
        moov: Vec<u8>,
    }

    const TERABYTE: u64 = 1 << 40;

    impl PartStore for Sparse {
        fn write_at(&self, _: u64, _: &[IoSlice<'_>]) -> io::Result<()> {
            panic!("it is only read");
        }
        fn sync(&self) -> io::Result<()> {
            Ok(())
        }
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
            assert!(buffer.len() as u64 <= TABLES_UNASKED_BYTES, "{} bytes at once", buffer.len());
            for (at, byte) in (offset..).zip(buffer) {
                let in_moov = at.checked_sub(self.moov_at).and_then(|at| self.moov.get(at as usize));
                *byte = in_moov.or(self.head.get(at as usize)).copied().unwrap_or(0);
            }
            Ok(())
        }
        fn len(&self) -> io::Result<u64> {
            Ok(TERABYTE)
        }
        fn reserve(&self, _: u64, _: u64) -> io::Result<()> {
            Ok(())
        }
        fn release(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_memory_is_taken_for_an_index_that_cannot_be_one() {
        for (moov_at, large) in [(TERABYTE / 2, true), (TERABYTE - (3 << 30), false)] {
            let mut head = b"\0\0\0\x10ftypiso6\0\0\0\0\0\0\0\x01mdat".to_vec();
            head.extend((moov_at - 16).to_be_bytes());
            let rest = TERABYTE - moov_at;
            let mut moov = if large { 1 } else { rest as u32 }.to_be_bytes().to_vec();
            moov.extend(b"moov");
            moov.extend(large.then(|| rest.to_be_bytes()).into_iter().flatten());
            let store = Sparse { head, moov_at, moov };
            assert!(matches!(scan(&store).expect("read"), Contents::Foreign));
            assert!(matches!(audit(&store).expect("read"), Audited::Foreign));
        }
    }
}

//! An MP4 part read again: its fragments, and the final `moov`, which must be the one that follows from them.

use super::boxes::BoxHeader;
use super::index::{Index, to_duration};
use super::scan::{are_plausible, as_committed, header_at, is_uncommitted, read_box};
use super::tables::{self, Compared};
use super::{PLACEHOLDER, PLACEHOLDER_BYTES, moov};
use crate::media::finalise::PartStore;
use crate::media::finalise::audit::{Audit, Audited, Pauses};
use crate::model::encoding::Container;
use crate::model::proof::{Finding, FindingCode};
use mp4_atom::{Codec, Decode, Moof, Moov};
use std::io;
use std::ops::Range;

/// See [`crate::media::finalise::audit()`].
pub fn audit(store: &dyn PartStore) -> io::Result<Audited> {
    let bytes = store.len()?;
    let nothing = Audited::Nothing { bytes };
    let Some(ftyp) = header_at(store, 0, bytes)? else {
        return Ok(if begins_otherwise(store, bytes)? { Audited::Foreign } else { nothing });
    };
    if ftyp.kind != *b"ftyp" {
        return Ok(Audited::Foreign);
    }
    let placeholder_at = ftyp.end();
    if placeholder_at + PLACEHOLDER_BYTES > bytes {
        return Ok(nothing);
    }
    let mut head = [0; 16];
    store.read_at(placeholder_at, &mut head)?;
    let chain_end = match BoxHeader::parse(&head, placeholder_at) {
        _ if head == PLACEHOLDER => None,
        Ok(Some(mdat)) if mdat.kind == *b"mdat" && mdat.header == PLACEHOLDER_BYTES => Some(mdat.end()),
        _ => return Ok(Audited::Foreign),
    };
    let mut findings = Vec::new();
    let stored = match chain_end {
        Some(end) => final_tables(store, placeholder_at, end, bytes, &mut findings)?,
        None => None,
    };
    let chain = placeholder_at + PLACEHOLDER_BYTES..chain_end.unwrap_or(bytes).min(bytes);
    let first = header_at(store, chain.start, chain.end)?.filter(|header| header.kind == *b"moov");
    let init = match &first {
        Some(header) => read_box(store, header)?,
        None => None,
    };
    let (Some(first), Some(Ok(index))) = (first, init.map(|init| Index::new(&init, placeholder_at))) else {
        return Ok(if chain_end.is_some() { Audited::Foreign } else { nothing });
    };
    let goal = stored.as_ref().and_then(|stored| stored.moov.as_ref()).map(tables::sample_counts);
    let mut walk = Walk { index, payloads: Vec::new(), findings, sequence: None, pauses: Pauses::default() };
    let last = walk.follow(store, first.end()..chain.end, goal.as_deref())?;
    let Walk { index, payloads, mut findings, .. } = walk;
    if index.is_empty() && chain_end.is_none() {
        return Ok(nothing);
    }
    let whole_file = chain_end.is_some_and(|end| end <= bytes);
    if let Some(stored) = stored.filter(|_| whole_file) {
        findings.extend(compare(&index, &stored));
    }
    Ok(Audited::Part(Box::new(Audit {
        container: Container::Mp4,
        summary: index.summary(bytes),
        finalised: chain_end.is_some(),
        findings,
        payloads,
        tail_bytes: chain.end - last,
        volumes: volumes(&index),
        warm_up: warm_up(&index),
        cut_short: cut_short(&index),
        pictures: pictures(&index),
        nal_length: nal_length(index.init()),
    })))
}

/// Whether the file is long enough to begin like one of ours and does not.
fn begins_otherwise(store: &dyn PartStore, bytes: u64) -> io::Result<bool> {
    let mut head = [0; 8];
    if bytes < head.len() as u64 {
        return Ok(false);
    }
    store.read_at(0, &mut head)?;
    Ok(head[4..] != *b"ftyp" && head != [0; 8])
}

/// The final `moov` as it stands in the file.
struct Stored {
    bytes: Vec<u8>,
    /// `None` = it cannot be read.
    moov: Option<Moov>,
}

fn final_tables(
    store: &dyn PartStore,
    placeholder_at: u64,
    at: u64,
    bytes: u64,
    findings: &mut Vec<Finding>,
) -> io::Result<Option<Stored>> {
    if at >= bytes {
        findings.push(Finding::new(FindingCode::Truncated).with("bytes", bytes).with("wanted", at));
        return Ok(None);
    }
    let mut head = [0; 8];
    let announced = match bytes - at {
        8.. => {
            store.read_at(at, &mut head)?;
            u64::from(u32::from_be_bytes([head[0], head[1], head[2], head[3]]))
        }
        _ => 0,
    };
    if head[4..] != *b"moov" || announced < 8 {
        let reason = "it does not stand where the header says";
        findings.push(Finding::new(FindingCode::TablesUnreadable).with("reason", reason));
        return Ok(None);
    }
    let end = at.saturating_add(announced);
    if end > bytes {
        findings.push(Finding::new(FindingCode::Truncated).with("bytes", bytes).with("wanted", end));
        return Ok(None);
    }
    if end < bytes {
        findings.push(Finding::new(FindingCode::Trailing).with("bytes", bytes - end));
    }
    if !are_plausible(store, placeholder_at, at, announced)? {
        let reason = "they are far too long for what was recorded";
        findings.push(Finding::new(FindingCode::TablesUnreadable).with("reason", reason));
        return Ok(None);
    }
    let mut body = vec![0; usize::try_from(announced).unwrap_or(0)];
    store.read_at(at, &mut body)?;
    let moov = match Moov::decode(&mut body.as_slice()) {
        Ok(moov) => Some(moov),
        Err(error) => {
            findings.push(Finding::new(FindingCode::TablesUnreadable).with("reason", error));
            None
        }
    };
    Ok(Some(Stored { bytes: body, moov }))
}

fn compare(index: &Index, stored: &Stored) -> Option<Finding> {
    let found = stored.moov.as_ref()?;
    let differ = |place: &str| Some(Finding::new(FindingCode::TablesDiffer).with("where", place));
    let Ok(wanted) = moov::encode(index) else { return differ("its fragments make no tables") };
    if wanted == stored.bytes {
        return None;
    }
    match Moov::decode(&mut wanted.as_slice()).map(|wanted| tables::compare(&wanted, found)) {
        Ok(Compared::Differ(place)) => differ(place),
        // Bytes no reader looks at; what wrote everything else the same would have written them the same.
        Ok(Compared::Same) => differ("unused fields"),
        Ok(Compared::Older) => None,
        Ok(Compared::Header) => Some(Finding::new(FindingCode::HeaderDiffers)),
        Err(_) => differ("its fragments make no tables"),
    }
}

struct Walk {
    index: Index,
    payloads: Vec<Range<u64>>,
    findings: Vec<Finding>,
    sequence: Option<u32>,
    pauses: Pauses,
}

impl Walk {
    /// Takes fragment by fragment from `chain` until it ends, breaks, or holds as many samples of each track as
    /// `goal` says. Returns the offset behind the last one.
    fn follow(&mut self, store: &dyn PartStore, chain: Range<u64>, goal: Option<&[(u32, u64)]>) -> io::Result<u64> {
        let (mut at, mut last, mut moof) = (chain.start, chain.start, None);
        while !goal.is_some_and(|goal| self.reached(goal)) {
            let Some(header) = header_at(store, at, chain.end)? else { break };
            match (&header.kind, moof.take()) {
                (b"moof", _) => moof = Some(header),
                (b"free", None) if is_uncommitted(store, &header)? => moof = Some(header),
                (b"mdat", Some(moof)) => {
                    if !self.take(store, &moof, &header)? {
                        break;
                    }
                    last = header.end();
                }
                // `moov`: an attempt to finalise that did not come to the flip.
                (b"styp" | b"free" | b"moov", None) => {}
                _ => break,
            }
            at = header.end();
        }
        if goal.is_some_and(|goal| !self.reached(goal)) && last < chain.end {
            self.findings.push(Finding::new(FindingCode::ChainBroken).with("at", last));
        }
        Ok(last)
    }

    fn reached(&self, goal: &[(u32, u64)]) -> bool {
        let has = |id: u32| self.index.tracks().iter().find(|track| track.id == id).map_or(0, |t| t.sizes.len() as u64);
        goal.iter().all(|(id, samples)| has(*id) >= *samples)
    }

    /// `false` = what stands here is no fragment of this part.
    fn take(&mut self, store: &dyn PartStore, moof: &BoxHeader, data: &BoxHeader) -> io::Result<bool> {
        let Some(bytes) = read_box(store, moof)?.map(as_committed) else { return Ok(false) };
        let Ok(parsed) = Moof::decode(&mut bytes.as_slice()) else { return Ok(false) };
        let video = self.index.tracks().iter().find(|track| track.video && !track.sizes.is_empty());
        let begins = video.and_then(|track| {
            let traf = parsed.traf.iter().find(|traf| traf.tfhd.track_id == track.id)?;
            let time = traf.tfdt.as_ref()?.base_media_decode_time;
            Some((to_duration(track.end_time, track.timescale), to_duration(time, track.timescale)))
        });
        if self.index.push(&bytes, moof.start, data.start + data.header..data.end()).is_err() {
            return Ok(false);
        }
        self.payloads.push(data.start + data.header..data.end());
        let found = parsed.mfhd.sequence_number;
        // Pieces of one fragment share its number (where pictures are copied, and at a keyframe out of turn, as a split
        // asks for); their times tell them apart.
        if let Some(before) = self.sequence.replace(found)
            && found != before
            && found != before.wrapping_add(1)
        {
            let missing = Finding::new(FindingCode::FragmentMissing);
            self.findings.push(missing.with("expected", before.wrapping_add(1)).with("found", found));
        }
        if let Some((ended, begins)) = begins {
            self.pauses.note(ended, begins, &mut self.findings);
        }
        Ok(true)
    }
}

/// (samples, bytes) of the pictures and of the sound.
fn volumes(index: &Index) -> [(u64, u64); 2] {
    [true, false].map(|video| {
        let tracks = index.tracks().iter().filter(|track| track.video == video);
        tracks.fold((0, 0), |(samples, bytes), track| {
            let sizes: u64 = track.sizes.iter().map(|size| u64::from(*size)).sum();
            (samples + track.sizes.len() as u64, bytes + sizes)
        })
    })
}

/// Bytes of each piece of sound that begins before time 0 of the file.
fn warm_up(index: &Index) -> Vec<u32> {
    let zero = index.zero();
    let mut all = Vec::new();
    for track in index.tracks().iter().filter(|track| !track.video) {
        let lengths =
            track.durations.iter().flat_map(|(samples, length)| (0..*samples).map(move |_| u64::from(*length)));
        let begins = lengths.scan(track.first_time, |time, length| {
            let begin = *time;
            *time += length;
            Some(to_duration(begin, track.timescale))
        });
        let early = begins.zip(&track.sizes).take_while(|(begin, _)| *begin < zero);
        all.extend(early.map(|(_, size)| *size));
    }
    all
}

/// Bytes of the last piece of sound if it lasts less than the one before.
fn cut_short(index: &Index) -> Option<u32> {
    let track = index.tracks().iter().find(|track| !track.video && !track.sizes.is_empty())?;
    let [.., (_, before), (1, last)] = track.durations[..] else { return None };
    track.sizes.last().copied().filter(|_| last < before)
}

/// (offset, bytes) of every picture.
fn pictures(index: &Index) -> Vec<(u64, u32)> {
    let mut all = Vec::new();
    for track in index.tracks().iter().filter(|track| track.video) {
        let mut sizes = track.sizes.iter();
        for (at, samples) in &track.chunks {
            let mut at = *at;
            for size in sizes.by_ref().take(usize::try_from(*samples).unwrap_or(0)) {
                all.push((at, *size));
                at += u64::from(*size);
            }
        }
    }
    all
}

fn nal_length(init: &Moov) -> Option<usize> {
    let codecs = init.trak.iter().flat_map(|trak| &trak.mdia.minf.stbl.stsd.codecs);
    codecs.into_iter().find_map(|codec| match codec {
        Codec::Avc1(avc) => Some(usize::from(avc.avcc.length_size)),
        Codec::Hvc1(hevc) => Some(usize::from(hevc.hvcc.length_size_minus_one) + 1),
        Codec::Hev1(hevc) => Some(usize::from(hevc.hvcc.length_size_minus_one) + 1),
        _ => None,
    })
}

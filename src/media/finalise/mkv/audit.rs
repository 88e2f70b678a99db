//! A Matroska part read again: clusters, index, and the bytes of the flip.

use super::cluster::{self, CLUSTER_HEADER_BYTES, Place};
use super::ebml::{HEADER_MAX_BYTES, Header, id, vint};
use super::header::PartHeader;
use super::index::{Index, Kind, Track};
use super::scan::place_at;
use crate::media::finalise::PartStore;
use crate::media::finalise::audit::{Audit, Audited, Pauses};
use crate::model::encoding::Container;
use crate::model::proof::{Finding, FindingCode};
use std::io;
use std::ops::Range;
use std::time::Duration;

/// See [`crate::media::finalise::audit()`].
pub fn audit(store: &dyn PartStore) -> io::Result<Audited> {
    let bytes = store.len()?;
    let header = match PartHeader::read(store)? {
        Ok(Some(header)) => header,
        Ok(None) => return Ok(Audited::Nothing { bytes }),
        Err(_) => return Ok(Audited::Foreign),
    };
    let finalised = header.size.is_some();
    let end = header.size.map_or(Some(bytes), |size| header.data_at.checked_add(size)).unwrap_or(u64::MAX);
    let mut walk = Walk::new(header.clone());
    if end > bytes {
        walk.findings.push(Finding::new(FindingCode::Truncated).with("bytes", bytes).with("wanted", end));
    } else if end < bytes {
        walk.findings.push(Finding::new(FindingCode::Trailing).with("bytes", bytes - end));
    }
    let last = walk.follow(store, header.end..end.min(bytes))?;
    if walk.index.is_empty() && !finalised {
        return Ok(Audited::Nothing { bytes });
    }
    if finalised && end <= bytes {
        if last < end {
            walk.findings.push(Finding::new(FindingCode::ChainBroken).with("at", last));
        }
        walk.compare(store, &header, end)?;
    }
    let Walk { index, findings, payloads, pictures, volumes, covered, .. } = walk;
    Ok(Audited::Part(Box::new(Audit {
        container: Container::Mkv,
        summary: index.summary(bytes),
        finalised,
        findings,
        payloads,
        tail_bytes: covered + if finalised { 0 } else { bytes - last },
        volumes,
        warm_up: Vec::new(),
        cut_short: None,
        pictures,
        nal_length: header.tracks.iter().find_map(|track| track.nal_length),
    })))
}

struct Walk {
    index: Index,
    finalised: bool,
    tracks: Vec<Track>,
    scale: u64,
    findings: Vec<Finding>,
    payloads: Vec<Range<u64>>,
    pictures: Vec<(u64, u32)>,
    volumes: [(u64, u64); 2],
    /// Bytes under a `Void` that is no pad.
    covered: u64,
    cues: Option<Range<u64>>,
    /// The end of what was shown last, or its begin where nobody says how long it is shown.
    shown: Option<Duration>,
    pauses: Pauses,
}

impl Walk {
    fn new(header: PartHeader) -> Self {
        Self {
            finalised: header.size.is_some(),
            tracks: header.tracks.clone(),
            scale: header.scale,
            index: Index::new(header.clone(), header.end),
            findings: Vec::new(),
            payloads: Vec::new(),
            pictures: Vec::new(),
            volumes: [(0, 0); 2],
            covered: 0,
            cues: None,
            shown: None,
            pauses: Pauses::default(),
        }
    }

    /// Takes cluster by cluster; returns the offset behind the last element that is whole.
    fn follow(&mut self, store: &dyn PartStore, chain: Range<u64>) -> io::Result<u64> {
        let mut at = chain.start;
        // Begin of what finalising covered; a cluster behind it shows that it is not the tail.
        let mut covered_at = None;
        while at < chain.end {
            let place = place_at(store, at, chain.end)?;
            let (Place::Committed(total) | Place::Disguised(total) | Place::Other(_, total)) = place else { break };
            let Some(behind) = at.checked_add(total).filter(|behind| *behind <= chain.end) else { break };
            if matches!(place, Place::Committed(_))
                && let Some(lost) = covered_at.take()
            {
                self.findings.push(Finding::new(FindingCode::ChainBroken).with("at", lost));
            }
            match place {
                Place::Committed(_) => {
                    if !self.take(store, at, behind)? {
                        break;
                    }
                }
                // Finalising commits all that are whole.
                Place::Disguised(_) => {
                    let content = at + CLUSTER_HEADER_BYTES..behind;
                    let whole = cluster::is_whole(&|at, buffer| store.read_at(at, buffer), content)?;
                    if self.finalised || !whole || !self.take(store, at, behind)? {
                        break;
                    }
                }
                Place::Other(id::CUES, _) => self.cues = Some(at..behind),
                Place::Other(id::VOID, total) if total >= CLUSTER_HEADER_BYTES => {
                    self.covered += total;
                    covered_at = Some(at);
                }
                Place::Other(..) | Place::Nothing => {}
            }
            at = behind;
        }
        Ok(at)
    }

    /// `false` = what stands here is no cluster of this part.
    fn take(&mut self, store: &dyn PartStore, at: u64, behind: u64) -> io::Result<bool> {
        let content = at + CLUSTER_HEADER_BYTES..behind;
        let read = |at: u64, buffer: &mut [u8]| store.read_at(at, buffer);
        let Ok(blocks) = cluster::blocks(&read, content.clone())? else { return Ok(false) };
        let mut shown = Vec::new();
        for block in &blocks {
            let Some(track) = self.tracks.iter().find(|track| track.number == block.track) else { continue };
            let Some(data) = data_of(store, content.start + block.position, behind)? else { return Ok(false) };
            let length = data.end - data.start;
            let video = track.kind == Kind::Video;
            let volume = &mut self.volumes[usize::from(!video)];
            *volume = (volume.0 + 1, volume.1 + length);
            if video {
                self.pictures.push((data.start, u32::try_from(length).unwrap_or(u32::MAX)));
                let begins = block.time.saturating_mul(self.scale);
                let stated = block.duration.map(|ticks| ticks.saturating_mul(self.scale));
                let length = stated.or(track.default_duration_ns).unwrap_or(0);
                shown.push([begins, begins.saturating_add(length)].map(Duration::from_nanos));
            }
        }
        // They lie in the order of decoding; what pauses is what is shown.
        shown.sort_unstable();
        for [begins, ends] in shown {
            if let Some(ended) = self.shown {
                self.pauses.note(ended, begins, &mut self.findings);
            }
            self.shown = self.shown.max(Some(ends));
        }
        self.index.push(at, behind, &blocks);
        self.payloads.push(content);
        Ok(true)
    }

    /// What finalising wrote against what the clusters make of it.
    fn compare(&mut self, store: &dyn PartStore, header: &PartHeader, end: u64) -> io::Result<()> {
        let Some(place) = self.cues.clone().filter(|cues| cues.end == end) else {
            let reason = "it does not stand at the end of the file";
            self.findings.push(Finding::new(FindingCode::TablesUnreadable).with("reason", reason));
            return Ok(());
        };
        let mut differ = |place: &str| self.findings.push(Finding::new(FindingCode::TablesDiffer).with("where", place));
        if self.index.cues().is_none_or(|wanted| !same(store, place.start, &wanted).unwrap_or(false)) {
            differ("places of keyframes");
        }
        let (at, wanted) = header.flip(end, place.start, self.index.ticks());
        if !same(store, at, &wanted)? {
            differ("header");
        }
        Ok(())
    }
}

/// Whether `wanted` stands at `at`.
fn same(store: &dyn PartStore, at: u64, wanted: &[u8]) -> io::Result<bool> {
    if at.saturating_add(wanted.len() as u64) > store.len()? {
        return Ok(false);
    }
    let mut found = vec![0; wanted.len()];
    store.read_at(at, &mut found)?;
    Ok(found == wanted)
}

/// Where the data of the block (or group) at `at` lie; `None` = it holds none, or more than the cluster that ends at
/// `end`.
fn data_of(store: &dyn PartStore, mut at: u64, mut end: u64) -> io::Result<Option<Range<u64>>> {
    while at < end {
        // Header of the element, number of the track (8), relative time (2), flags (1).
        let mut head = [0; HEADER_MAX_BYTES as usize + 11];
        let head = &mut head[..(end - at).min(HEADER_MAX_BYTES + 11) as usize];
        store.read_at(at, head)?;
        let Ok(Some(header)) = Header::parse(head) else { return Ok(None) };
        let behind = header.total().and_then(|total| at.checked_add(total)).filter(|behind| *behind <= end);
        let Some(behind) = behind else { return Ok(None) };
        let content = &head[header.bytes as usize..];
        match header.id {
            id::SIMPLE_BLOCK | id::BLOCK => {
                let Ok(Some((_, length))) = vint(content) else { return Ok(None) };
                let from = at + header.bytes + length as u64 + 3;
                return Ok((from <= behind).then_some(from..behind));
            }
            id::BLOCK_GROUP => {
                end = behind;
                at += header.bytes;
            }
            _ => at = behind,
        }
    }
    Ok(None)
}

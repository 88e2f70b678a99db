//! Two final `moov` boxes, compared by what they make a player read. Pure.

use super::index::is_video;
use mp4_atom::{Moov, StszSamples, Trak};

/// How two boxes relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compared {
    /// They say the same in every field.
    Same,
    /// They place and time every sample alike; descriptive fields differ.
    Header,
    /// They do not; where.
    Differ(&'static str),
}

/// Compares the box `wanted` with the one that was `found`.
pub(super) fn compare(wanted: &Moov, found: &Moov) -> Compared {
    if wanted == found {
        return Compared::Same;
    }
    if wanted.trak.len() != found.trak.len() {
        return Compared::Differ("number of tracks");
    }
    let place = wanted.trak.iter().zip(&found.trak).find_map(|(wanted, found)| difference(wanted, found));
    match place {
        Some(place) => Compared::Differ(place),
        None if wanted.mvhd.timescale != found.mvhd.timescale => Compared::Differ("time units"),
        None => Compared::Header,
    }
}

/// Samples of each track by its id.
pub(super) fn sample_counts(moov: &Moov) -> Vec<(u32, u64)> {
    moov.trak.iter().map(|trak| (trak.tkhd.track_id, sizes(trak).0)).collect()
}

fn difference(wanted: &Trak, found: &Trak) -> Option<&'static str> {
    let (w, f) = (&wanted.mdia.minf.stbl, &found.mdia.minf.stbl);
    if wanted.tkhd.track_id != found.tkhd.track_id || is_video(wanted) != is_video(found) {
        return Some("tracks");
    }
    if wanted.mdia.mdhd.timescale != found.mdia.mdhd.timescale || wanted.mdia.mdhd.duration != found.mdia.mdhd.duration
    {
        return Some("time units");
    }
    if w.stsd != f.stsd {
        return Some("codec");
    }
    if wanted.edts != found.edts {
        return Some("start of a track");
    }
    let ((w_count, w_size, w_sizes), (f_count, f_size, f_sizes)) = (sizes_of(wanted), sizes_of(found));
    if w_count != f_count || w_size != f_size || w_sizes != f_sizes {
        return Some("sample sizes");
    }
    if expand(w.stts.entries.iter().map(|e| (e.sample_count, e.sample_delta)))
        != expand(f.stts.entries.iter().map(|e| (e.sample_count, e.sample_delta)))
    {
        return Some("sample times");
    }
    if w.ctts != f.ctts {
        return Some("order of pictures");
    }
    if w.stss != f.stss {
        return Some("keyframes");
    }
    let runs = |trak: &Trak| -> Vec<(u32, u32, u32)> {
        let entries = &trak.mdia.minf.stbl.stsc.entries;
        entries.iter().map(|e| (e.first_chunk, e.samples_per_chunk, e.sample_description_index)).collect()
    };
    if runs(wanted) != runs(found) {
        return Some("groups of samples");
    }
    if places(wanted) != places(found) {
        return Some("places of samples");
    }
    None
}

fn sizes(trak: &Trak) -> (u64, Option<u32>) {
    match &trak.mdia.minf.stbl.stsz.samples {
        StszSamples::Identical { count, size } => (u64::from(*count), Some(*size)),
        StszSamples::Different { sizes } => (sizes.len() as u64, None),
    }
}

fn sizes_of(trak: &Trak) -> (u64, Option<u32>, &[u32]) {
    let (count, size) = sizes(trak);
    match &trak.mdia.minf.stbl.stsz.samples {
        StszSamples::Identical { .. } => (count, size, &[]),
        StszSamples::Different { sizes } => (count, size, sizes),
    }
}

/// Runs of equal values, joined: two tables that split a run differently say the same.
fn expand(runs: impl Iterator<Item = (u32, u32)>) -> Vec<(u64, u32)> {
    let mut out: Vec<(u64, u32)> = Vec::new();
    for (count, value) in runs.filter(|(count, _)| *count > 0) {
        match out.last_mut() {
            Some((known, last)) if *last == value => *known += u64::from(count),
            _ => out.push((u64::from(count), value)),
        }
    }
    out
}

fn places(trak: &Trak) -> Vec<u64> {
    let stbl = &trak.mdia.minf.stbl;
    let near = stbl.stco.iter().flat_map(|stco| stco.entries.iter().map(|at| u64::from(*at)));
    near.chain(stbl.co64.iter().flat_map(|co64| co64.entries.iter().copied())).collect()
}

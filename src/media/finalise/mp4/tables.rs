//! Two final `moov` boxes, compared by what they make a player read. Pure.
//!
//! Contract: a file that an older version finalised is no worse for it. Versions differ in where they put time 0 (the
//! first picture, or the begin of the fragments) and in how they round to ticks; how the tracks lie to each other and
//! which bytes are shown when must be the same.

use super::index::is_video;
use super::moov::MOVIE_TIMESCALE;
use mp4_atom::{Moov, StszSamples, Trak};

/// What rounding may differ by, in ticks of the movie (22 µs).
const ROUNDING: i64 = 2;

/// How two boxes relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compared {
    /// They say the same in every field.
    Same,
    /// They show every sample at the same time; another version wrote the edits.
    Older,
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
        None if !edits_agree(wanted, found) => Compared::Differ("begin and end of tracks"),
        None if without_edits(wanted) == without_edits(found) => Compared::Older,
        None => Compared::Header,
    }
}

/// The box without what versions differ in.
fn without_edits(moov: &Moov) -> Moov {
    let mut moov = moov.clone();
    moov.mvhd.duration = 0;
    for trak in &mut moov.trak {
        trak.tkhd.duration = 0;
        trak.edts = None;
    }
    moov
}

/// Whether the tracks lie alike to each other and are shown for as long.
fn edits_agree(wanted: &Moov, found: &Moov) -> bool {
    let zero = |moov: &Moov| moov.trak.iter().find(|trak| is_video(trak)).map_or(0, offset);
    let (wanted_zero, found_zero) = (zero(wanted), zero(found));
    // Time 0 may lie earlier in one of them; everything ends as much later there.
    let apart = found_zero - wanted_zero;
    let near = |a: i64, b: i64| (a - b).abs() <= ROUNDING;
    let ends = |wanted: u64, found: u64| near(ticks(found), ticks(wanted) + apart);
    ends(wanted.mvhd.duration, found.mvhd.duration)
        && wanted.trak.iter().zip(&found.trak).all(|(wanted, found)| {
            near(offset(wanted) - wanted_zero, offset(found) - found_zero)
                && ends(wanted.tkhd.duration, found.tkhd.duration)
                && shown(found).is_none_or(|shown| near(shown, ticks(found.tkhd.duration)))
        })
}

/// When a track begins, in ticks of the movie; before 0 when its begin is not shown.
fn offset(trak: &Trak) -> i64 {
    let edits = || trak.edts.iter().flat_map(|edts| &edts.elst).flat_map(|elst| &elst.entries);
    let empty: u64 = edits().filter(|edit| edit.media_time.is_none()).map(|edit| edit.segment_duration).sum();
    let hidden = edits().find_map(|edit| edit.media_time).unwrap_or(0);
    let scale = u128::from(trak.mdia.mdhd.timescale.max(1));
    let hidden = u128::from(hidden) * u128::from(MOVIE_TIMESCALE) / scale;
    ticks(empty) - i64::try_from(hidden).unwrap_or(i64::MAX / 4)
}

/// The length of all edits, `None` without any.
fn shown(trak: &Trak) -> Option<i64> {
    let edits = trak.edts.as_ref()?.elst.as_ref()?;
    Some(ticks(edits.entries.iter().map(|edit| edit.segment_duration).sum()))
}

fn ticks(units: u64) -> i64 {
    // Beyond this nothing agrees with anything.
    i64::try_from(units).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

/// Samples of each track by its id.
pub(super) fn sample_counts(moov: &Moov) -> Vec<(u32, u64)> {
    moov.trak.iter().map(|trak| (trak.tkhd.track_id, count(trak))).collect()
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
    if sizes_of(wanted) != sizes_of(found) {
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

fn count(trak: &Trak) -> u64 {
    match &trak.mdia.minf.stbl.stsz.samples {
        StszSamples::Identical { count, .. } => u64::from(*count),
        StszSamples::Different { sizes } => sizes.len() as u64,
    }
}

/// Runs of equal sizes: an older version wrote one common size where there is one.
fn sizes_of(trak: &Trak) -> Vec<(u64, u32)> {
    match &trak.mdia.minf.stbl.stsz.samples {
        StszSamples::Identical { count, size } => expand([(*count, *size)].into_iter()),
        StszSamples::Different { sizes } => expand(sizes.iter().map(|size| (1, *size))),
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

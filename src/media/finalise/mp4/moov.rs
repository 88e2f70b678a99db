//! Builds the final `moov` from an [`Index`].

use super::index::{Index, Track};
use mp4_atom::{
    Co64, Ctts, CttsEntry, Edts, Elst, ElstEntry, Encode, FixedPoint, Moov, Stbl, Stco, Stsc, StscEntry, Stss, Stsz,
    StszSamples, Stts, SttsEntry, Trak,
};
use std::time::Duration;

/// Units per second of the movie header and of edit lists: fine enough that a track's start is true to 11 µs.
pub(super) const MOVIE_TIMESCALE: u32 = 90_000;

/// The whole box. Tracks without samples are left out: demuxers refuse empty tables.
pub(super) fn encode(index: &Index) -> mp4_atom::Result<Vec<u8>> {
    let init = index.init();
    let with_samples = || init.trak.iter().zip(index.tracks()).filter(|(_, track)| !track.sizes.is_empty());
    let zero = index.zero();
    let mut mvhd = init.mvhd.clone();
    mvhd.timescale = MOVIE_TIMESCALE;
    // Hidden sound included: qtdemux (1.22) compares the time a sample has without its edit with this, and would leave
    // out the last ones (measured).
    mvhd.duration = with_samples().map(|(_, track)| to_movie(track.end())).max().unwrap_or(0);
    let moov = Moov {
        mvhd,
        meta: init.meta.clone(),
        mvex: None,
        trak: with_samples().map(|(trak, track)| final_trak(trak, track, zero)).collect(),
        udta: init.udta.clone(),
        ainf: init.ainf.clone(),
    };
    let mut bytes = Vec::new();
    moov.encode(&mut bytes)?;
    Ok(bytes)
}

fn to_movie(time: Duration) -> u64 {
    to_units(time, MOVIE_TIMESCALE)
}

/// The nearest number of units.
fn to_units(time: Duration, timescale: u32) -> u64 {
    let units = (time.as_nanos() * u128::from(timescale) + 500_000_000) / 1_000_000_000;
    u64::try_from(units).unwrap_or(u64::MAX)
}

fn final_trak(init: &Trak, track: &Track, zero: Duration) -> Trak {
    let mut trak = init.clone();
    trak.tkhd.duration = to_movie(track.end().saturating_sub(zero));
    trak.mdia.mdhd.duration = track.end_time - track.first_time;
    trak.edts = start_edit(track, zero);
    let stsd = trak.mdia.minf.stbl.stsd;
    trak.mdia.minf.stbl = tables(track, Stbl { stsd, ..Stbl::default() });
    trak
}

/// Puts a track in its place before or after `zero`; the tables alone always begin at 0. A later one begins with an empty
/// edit. An earlier one (sound that warms the decoder up behind a split) is shown from `zero` on: players decode what
/// lies before and do not play it.
fn start_edit(track: &Track, zero: Duration) -> Option<Edts> {
    let media_rate = FixedPoint::new(1, 0);
    let (start, end) = (track.start(), track.end());
    let hidden = to_units(zero.saturating_sub(start), track.timescale);
    let late = to_movie(start.saturating_sub(zero));
    let shown = ElstEntry {
        segment_duration: to_movie(end.saturating_sub(zero.max(start))),
        media_time: Some(hidden),
        media_rate,
    };
    let entries = match (late, hidden) {
        (0, 0) => return None,
        (0, _) => vec![shown],
        (_, _) => vec![ElstEntry { segment_duration: late, media_time: None, media_rate }, shown],
    };
    Some(Edts { elst: Some(Elst { entries }) })
}

fn tables(track: &Track, stbl: Stbl) -> Stbl {
    let durations = |&(sample_count, sample_delta): &(u32, u32)| SttsEntry { sample_count, sample_delta };
    let offsets = |&(sample_count, sample_offset): &(u32, i64)| CttsEntry { sample_count, sample_offset };
    let reordered = track.offsets.iter().any(|(_, offset)| *offset != 0);
    // Absent means: every sample is a keyframe (ISO 14496-12, 8.6.2).
    let all_keyframes = track.keyframes.len() == track.sizes.len();
    let far = track.chunks.iter().any(|(at, _)| u32::try_from(*at).is_err());
    Stbl {
        stts: Stts { entries: track.durations.iter().map(durations).collect() },
        ctts: reordered.then(|| Ctts { entries: track.offsets.iter().map(offsets).collect() }),
        stss: (!all_keyframes).then(|| Stss { entries: track.keyframes.clone() }),
        stsc: chunk_runs(&track.chunks),
        // Never as one common size, although a tone as Opus has one: qtdemux 1.22 takes such sound for PCM, counts its
        // samples in bytes, and hands out nothing of a part that begins with an edit.
        stsz: Stsz { samples: StszSamples::Different { sizes: track.sizes.clone() } },
        co64: far.then(|| Co64 { entries: track.chunks.iter().map(|(at, _)| *at).collect() }),
        stco: (!far)
            .then(|| Stco { entries: track.chunks.iter().filter_map(|(at, _)| u32::try_from(*at).ok()).collect() }),
        ..stbl
    }
}

fn chunk_runs(chunks: &[(u64, u32)]) -> Stsc {
    let mut entries: Vec<StscEntry> = Vec::new();
    for (number, (_, samples)) in (1u32..).zip(chunks) {
        if entries.last().is_none_or(|last| last.samples_per_chunk != *samples) {
            entries.push(StscEntry { first_chunk: number, samples_per_chunk: *samples, sample_description_index: 1 });
        }
    }
    Stsc { entries }
}

//! Random fragments through the writer: the final tables describe exactly the samples that went in, at their times,
//! whatever the cut of the buffers, with gaps, missing tracks and more than one run a track.

use super::log::LoggedStore;
use super::record::{self, CONTENTS, Push};
use super::{boxes, first_box, recover};
use holdfast::media::durable_sink::PartWriter;
use holdfast::media::finalise::{Outcome, PLACEHOLDER, PartStore};
use mp4_atom::{Decode, Encode, Mfhd, Moof, Moov, StszSamples, Tfdt, Tfhd, Traf, Trak, Trun, TrunEntry, TrunSamples};
use proptest::prelude::*;
use std::sync::{Arc, OnceLock};

/// One sample: bytes, duration in units of its track, keyframe.
#[derive(Debug, Clone)]
struct Sample {
    bytes: Vec<u8>,
    duration: u32,
    keyframe: bool,
}

/// One track's share of a fragment: a gap in front of it, and runs of samples.
#[derive(Debug, Clone)]
struct Share {
    gap: u32,
    runs: Vec<Vec<Sample>>,
}

/// What must be found again: track, decode time, bytes, keyframe.
type Expected = [Vec<(u64, Vec<u8>, bool)>; 2];

fn sample() -> impl Strategy<Value = Sample> {
    (prop::collection::vec(1u8.., 1..40), 1u32..2000, any::<bool>()).prop_map(|(bytes, duration, keyframe)| Sample {
        bytes,
        duration,
        keyframe,
    })
}

fn share() -> impl Strategy<Value = Share> {
    (0u32..500, prop::collection::vec(prop::collection::vec(sample(), 1..5), 0..3))
        .prop_map(|(gap, runs)| Share { gap, runs })
}

/// `ftyp moov` of a real recording with a video and an audio track.
fn header() -> &'static [u8] {
    static HEADER: OnceLock<Vec<u8>> = OnceLock::new();
    HEADER.get_or_init(|| {
        let bytes: Vec<u8> = record::record(CONTENTS[1]).into_iter().flatten().flatten().collect();
        let end = boxes(&bytes).find(|(_, _, kind)| kind == b"moov").map(|(at, size, _)| at + size);
        bytes[..end.expect("a moov")].to_vec()
    })
}

/// A fragment at `offset` of the file; `times` are the ends of the tracks so far.
fn fragment(offset: usize, shares: &[Share; 2], times: &mut [u64; 2], expected: &mut Expected) -> Vec<u8> {
    let mut data: Vec<u8> = Vec::new();
    let mut traf = Vec::new();
    for (track, share) in shares.iter().enumerate() {
        if share.runs.is_empty() {
            continue;
        }
        times[track] += u64::from(share.gap);
        let tfdt = Some(Tfdt { base_media_decode_time: times[track] });
        let tfhd = Tfhd { track_id: track as u32 + 1, default_base_is_moof: true, ..Tfhd::default() };
        let mut trun = Vec::new();
        for run in &share.runs {
            let mut entries = Vec::new();
            let start = data.len();
            for sample in run {
                data.extend(&sample.bytes);
                expected[track].push((times[track], sample.bytes.clone(), sample.keyframe));
                times[track] += u64::from(sample.duration);
                entries.push(TrunEntry {
                    duration: Some(sample.duration),
                    size: Some(sample.bytes.len() as u32),
                    flags: Some(if sample.keyframe { 0x0200_0000 } else { 0x0101_0000 }),
                    cts: None,
                });
            }
            trun.push(Trun { data_offset: Some(start as i32), samples: TrunSamples::Explicit(entries) });
        }
        traf.push(Traf { tfhd, tfdt, trun, ..Traf::default() });
    }
    let mut moof = Moof { mfhd: Mfhd { sequence_number: offset as u32 }, traf };
    let encode = |moof: &Moof| {
        let mut bytes = Vec::new();
        moof.encode(&mut bytes).expect("a moof");
        bytes
    };
    // Offsets count from the moof; its size does not depend on them.
    let before = encode(&moof).len() as i32 + 8;
    for trun in moof.traf.iter_mut().flat_map(|traf| &mut traf.trun) {
        trun.data_offset = trun.data_offset.map(|offset| offset + before);
    }
    let mut bytes = encode(&moof);
    bytes.extend((data.len() as u32 + 8).to_be_bytes());
    bytes.extend(b"mdat");
    bytes.extend(data);
    bytes
}

/// (time in units of the track, offset, size, keyframe) of every sample, from the tables; sound that is hidden before the
/// first picture lies before 0.
fn tabled(trak: &Trak) -> Vec<(f64, usize, usize, bool)> {
    let stbl = &trak.mdia.minf.stbl;
    let StszSamples::Different { sizes } = &stbl.stsz.samples else {
        panic!("one size for all: qtdemux takes such sound for PCM, and hands out none behind an edit");
    };
    let sizes = sizes.clone();
    let durations = stbl.stts.entries.iter().flat_map(|run| vec![run.sample_delta; run.sample_count as usize]);
    let chunks = stbl.stco.as_ref().expect("offsets below 4 GiB").entries.iter();
    let mut offsets = Vec::new();
    for (number, chunk) in (1u32..).zip(chunks) {
        let run = stbl.stsc.entries.iter().rev().find(|run| run.first_chunk <= number).expect("a run for the chunk");
        let mut at = *chunk as usize;
        for _ in 0..run.samples_per_chunk {
            let size = sizes[offsets.len()];
            offsets.push(at);
            at += size as usize;
        }
    }
    let edits: Vec<_> = trak.edts.iter().flat_map(|edts| &edts.elst).flat_map(|elst| &elst.entries).collect();
    let empty: u64 = edits.iter().filter(|edit| edit.media_time.is_none()).map(|edit| edit.segment_duration).sum();
    let hidden = edits.iter().find_map(|edit| edit.media_time).unwrap_or(0);
    // The movie counts in 1/90000 s.
    let mut time = empty as f64 * f64::from(trak.mdia.mdhd.timescale) / 90_000.0 - hidden as f64;
    let keyframe = |n: u32| stbl.stss.as_ref().is_none_or(|stss| stss.entries.contains(&n));
    let mut samples = Vec::new();
    for (n, ((size, duration), offset)) in sizes.iter().zip(durations).zip(offsets).enumerate() {
        samples.push((time, offset, *size as usize, keyframe(n as u32 + 1)));
        time += f64::from(duration);
    }
    samples
}

fn assert_tables(file: &[u8], expected: &Expected) {
    let (at, size, _) = boxes_of_final(file).last().copied().expect("a moov");
    let moov = Moov::decode(&mut &file[at..at + size]).expect("our own moov");
    let trak = |track: usize| moov.trak.iter().find(|trak| trak.tkhd.track_id == track as u32 + 1);
    let seconds =
        |track: usize, units: u64| units as f64 / trak(track).map_or(1.0, |t| f64::from(t.mdia.mdhd.timescale));
    // The first picture is shown at 0.
    let zero = expected[0].first().map_or(0.0, |(time, ..)| seconds(0, *time));
    for (track, expected) in expected.iter().enumerate() {
        let scale = trak(track).map_or(1.0, |trak| f64::from(trak.mdia.mdhd.timescale));
        let found = trak(track).map(tabled).unwrap_or_default();
        assert_eq!(found.len(), expected.len(), "samples of track {track}");
        for ((time, at, size, keyframe), (wanted_time, bytes, wanted_keyframe)) in found.into_iter().zip(expected) {
            let wanted = *wanted_time as f64 - zero * scale;
            assert!((time - wanted).abs() <= 1.01, "time {time} instead of {wanted}");
            assert!(file[at..at + size] == bytes[..], "other bytes at {at}");
            assert_eq!(keyframe, *wanted_keyframe);
        }
    }
}

/// (offset, size, kind) of `ftyp mdat moov`, whose mdat has a 64-bit size.
fn boxes_of_final(file: &[u8]) -> Vec<(usize, usize, [u8; 4])> {
    let ftyp = first_box(file);
    let mdat = u64::from_be_bytes(file[ftyp + 8..ftyp + 16].try_into().expect("8 bytes")) as usize;
    let moov = ftyp + mdat;
    vec![(0, ftyp, *b"ftyp"), (ftyp, mdat, *b"mdat"), (moov, file.len() - moov, *b"moov")]
}

fn cut(bytes: &[u8], lengths: &[usize]) -> Vec<Push> {
    let mut rest = bytes;
    let mut pushes = Vec::new();
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, behind) = rest.split_at((*length).min(rest.len()));
        pushes.push(vec![piece.to_vec()]);
        rest = behind;
    }
    pushes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn random_fragments_come_out_as_they_went_in(
        shares in prop::collection::vec([share(), share()], 1..6),
        lengths in prop::collection::vec(1usize..700, 1..5),
    ) {
        let mut expected: Expected = [Vec::new(), Vec::new()];
        let mut times = [0, 0];
        let mut stream = header().to_vec();
        for shares in &shares {
            let bytes = fragment(stream.len(), shares, &mut times, &mut expected);
            stream.extend(bytes);
        }
        let store = Arc::new(LoggedStore::default());
        let quiet = Arc::new(|_| {});
        let mut writer = PartWriter::new(Arc::clone(&store) as Arc<dyn PartStore>, quiet).expect("a writer");
        for push in cut(&stream, &lengths) {
            let slices: Vec<&[u8]> = push.iter().map(Vec::as_slice).collect();
            writer.push(&slices);
        }
        let finished = writer.finish();
        prop_assert_eq!(finished.trouble, None);
        if expected.iter().all(Vec::is_empty) {
            prop_assert!(finished.summary.is_none());
            return Ok(());
        }
        assert_tables(&store.bytes(), &expected);

        // What recovery makes of the same bytes, killed before the stop, says the same.
        let mut killed = stream.clone();
        let behind_ftyp = first_box(&killed);
        killed.splice(behind_ftyp..behind_ftyp, PLACEHOLDER);
        let (recovered, outcome) = recover(killed);
        prop_assert!(matches!(outcome, Outcome::Finalised(_)));
        assert_tables(&recovered, &expected);
        prop_assert_eq!(recovered, store.bytes());
        let again = recover(store.bytes());
        prop_assert!(matches!(again.1, Outcome::AlreadyFinal(_)));
        prop_assert_eq!(again.0, store.bytes());
    }

    #[test]
    fn any_bytes_behind_a_header_are_scanned_without_panic(
        garbage in prop::collection::vec(any::<u8>(), 0..600),
        flip in any::<bool>(),
    ) {
        let mut file = header().to_vec();
        let behind_ftyp = first_box(&file);
        file.splice(behind_ftyp..behind_ftyp, PLACEHOLDER);
        if flip {
            file.truncate(behind_ftyp + 16);
        }
        file.extend(garbage);
        let (after, outcome) = recover(file.clone());
        prop_assert!(after == file || matches!(outcome, Outcome::Finalised(_)));
    }
}

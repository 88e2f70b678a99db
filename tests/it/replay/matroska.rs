//! The same promise for Matroska: wherever the power goes, both demuxers read every cluster that was called safe, and
//! finalising gives a file with index and duration that holds the same, checked by a parser of the test's own.

use super::log::{LoggedStore, Op};
use super::record::{self, CONTENTS, FRAMES};
use super::{Reader, Recording, assert_holds, assert_same_payload, deaths, record_to_log, recover};
use crate::support::demux;
use crate::support::dice::Dice;
use crate::support::proc::rounds;
use holdfast::media::finalise::{self, Audited, Outcome};
use holdfast::model::proof::FindingCode;
use proptest::prelude::*;
use std::ops::Range;
use std::sync::OnceLock;

/// Packets of a whole recording: 234 AAC frames and one to prime the decoder may be cut to this.
const AAC_FRAMES: usize = 234;
const CLUSTER: u32 = 0x1f43_b675;
const CUES: u32 = 0x1c53_bb6b;
const VOID: u32 = 0xec;

/// An element: id, whole, content.
type Element = (u32, Range<usize>, Range<usize>);

/// The elements of `bytes[range]` up to the first that is not one, or not whole. Written from RFC 8794 alone.
fn elements(bytes: &[u8], range: Range<usize>) -> Vec<Element> {
    let mut found = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let rest = &bytes[at..range.end];
        let id_length = rest[0].leading_zeros() as usize + 1;
        let Some(size_length) = rest.get(id_length).map(|byte| byte.leading_zeros() as usize + 1) else { break };
        let header = id_length + size_length;
        if id_length > 4 || size_length > 8 || rest.len() < header {
            break;
        }
        let number = |bytes: &[u8]| bytes.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        let id = number(&rest[..id_length]) as u32;
        let ones = (1u64 << (7 * size_length)) - 1;
        let size = number(&rest[id_length..header]) & ones;
        // Only the segment of a part that is being recorded has no size.
        let size = if size == ones { rest.len() - header } else { size as usize };
        if rest.len() - header < size {
            break;
        }
        found.push((id, at..at + header + size, at + header..at + header + size));
        at += header + size;
    }
    found
}

/// What lies directly in the segment, and whether the size of that is known.
fn segment(bytes: &[u8]) -> (Vec<Element>, bool) {
    let top = elements(bytes, 0..bytes.len());
    let Some((_, whole, content)) = top.get(1) else { return (Vec::new(), false) };
    let sized = bytes[whole.start + 4..content.start] != [1, 255, 255, 255, 255, 255, 255, 255];
    (elements(bytes, content.clone()), sized)
}

/// Committed clusters, and with `disguised` also those that still read `Void`.
fn clusters(bytes: &[u8], disguised: bool) -> Vec<Element> {
    let all = segment(bytes).0.into_iter();
    // A disguise goes on with a checksum where the cluster does.
    let hidden = |whole: &Range<usize>| bytes.get(whole.start + 12..whole.start + 14) == Some(&[0xbf, 0x84]);
    all.filter(|(id, whole, _)| *id == CLUSTER || disguised && *id == VOID && hidden(whole)).collect()
}

/// Frames (pictures, sound) in `clusters` of `bytes`.
fn frames(bytes: &[u8], clusters: &[Element]) -> (usize, usize) {
    let blocks = clusters.iter().flat_map(|(_, whole, _)| elements(bytes, whole.start + 12..whole.end));
    let tracks = blocks.filter_map(|(id, _, content)| match id {
        0xa3 => Some(bytes[content.start]),
        0xa0 => {
            elements(bytes, content).into_iter().find(|(id, ..)| *id == 0xa1).map(|(_, _, block)| bytes[block.start])
        }
        _ => None,
    });
    tracks.fold((0, 0), |(video, audio), track| if track == 0x81 { (video + 1, audio) } else { (video, audio + 1) })
}

/// A file with size, index and duration, whose `SeekHead` and `Cues` point where they say.
pub fn assert_ordinary(what: &str, bytes: &[u8]) {
    let top = elements(bytes, 0..bytes.len());
    let [_, (_, whole, content)] = top.as_slice() else { panic!("{what}: {top:?}") };
    assert_eq!(whole.end, bytes.len(), "{what}");
    let (children, sized) = segment(bytes);
    assert!(sized, "{what}: the segment has no size");
    assert_eq!(children.last().map(|(_, whole, _)| whole.end), Some(bytes.len()), "{what}: {children:?}");
    let ids: Vec<u32> = children.iter().map(|(id, ..)| *id).collect();
    assert_eq!(ids[..3], [0x114d_9b74, 0x1549_a966, 0x1654_ae6b], "{what}");
    let number = |range: Range<usize>| bytes[range].iter().fold(0, |sum, byte| sum << 8 | *byte as usize);
    for (_, _, seek) in elements(bytes, children[0].2.clone()) {
        let entry = elements(bytes, seek);
        let at = content.start + number(entry[1].2.clone());
        assert_eq!(bytes[at..at + 4], bytes[entry[0].2.clone()], "{what}: SeekHead");
    }
    assert_eq!(elements(bytes, children[1].2.clone())[0].0, 0x4489, "{what}: no duration");
    let cues = elements(bytes, children.last().expect("children").2.clone());
    assert!(!cues.is_empty() && ids.last() == Some(&CUES), "{what}: no index");
    for (_, _, point) in cues {
        let places = elements(bytes, elements(bytes, point)[1].2.clone());
        let at = content.start + number(places[1].2.clone());
        assert_eq!(bytes[at..at + 4], CLUSTER.to_be_bytes(), "{what}: a cue points beside a cluster");
        let block = at + 12 + number(places[2].2.clone());
        assert_eq!(bytes[block], 0xa3, "{what}: a cue points beside a block");
    }
}

/// Checks a file that a kill or a power cut left.
fn check_cut(what: &str, reader: &mut Reader, clean: &Recording, file: Vec<u8>, certain: &[u8]) {
    let all = frames(&clean.bytes, &clusters(&clean.bytes, false));
    let finalised = segment(certain).1;
    let promised = if finalised { all } else { frames(certain, &clusters(certain, false)) };
    assert_holds(what, &reader.read(&file), promised);

    // Recovery also counts what was synced and not yet committed.
    let synced = if finalised { all } else { frames(certain, &clusters(certain, true)) };
    let (recovered, outcome) = recover(file.clone());
    let summary = match outcome {
        Outcome::Finalised(summary) | Outcome::AlreadyFinal(summary) => summary,
        Outcome::Empty { .. } => {
            assert_eq!(synced, (0, 0), "{what}: recovery finds nothing");
            assert!(recovered == file, "{what}: an empty part was changed");
            return;
        }
    };
    assert_ordinary(what, &recovered);
    let counted = (summary.video_samples as usize, summary.audio_samples as usize);
    assert!(counted.0 >= synced.0 && counted.1 >= synced.1, "{what}: {counted:?} of {synced:?}");
    let whole = reader.read(&clean.bytes);
    let found = reader.read(&recovered);
    for (found, whole) in [(&found.0, &whole.0), (&found.1, &whole.1)] {
        assert_eq!((found.video.samples(), found.audio.samples()), counted, "{what}");
        assert_eq!(found.complaints, Vec::<String>::new(), "{what}");
        let same = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(same(&found.video.pts, &whole.video.pts), "{what}: other video times than a clean stop");
        assert!(same(&found.audio.pts, &whole.audio.pts), "{what}: other audio times than a clean stop");
    }
    // Every cluster lies where it lay, with the bytes that were recorded, and nothing else was touched.
    let kept = clusters(&recovered, false);
    for (_, cluster, content) in &kept {
        assert!(recovered[cluster.clone()] == clean.bytes[cluster.clone()], "{what}: other media at {cluster:?}");
        assert!(recovered[content.clone()] == file[content.clone()], "{what}: recorded bytes were changed");
    }
    let tail = kept.last().map_or(0, |(_, whole, _)| whole.end) + 12 + 12;
    assert!(recovered.get(tail..file.len()).is_none_or(|kept| *kept == file[tail..]), "{what}: the tail was changed");
    let again = recover(recovered.clone());
    assert!(again.0 == recovered && matches!(again.1, Outcome::AlreadyFinal(_)), "{what}: finalised twice");
}

/// Silence as PCM is all zeros, like a lost sector; noise fills every sector; without sound there are no small blocks.
fn recorded() -> Vec<(&'static str, Vec<record::Push>)> {
    vec![
        ("mkv, silence as PCM", record::record_matroska(CONTENTS[0], true)),
        ("mkv, noise", record::record_matroska(CONTENTS[2], false)),
        ("mkv, black picture only", record::record_matroska(CONTENTS[4], false)),
    ]
}

#[test]
fn a_clean_stop_gives_an_ordinary_matroska_file_with_every_frame() {
    for (name, pushes) in recorded() {
        let recording = record_to_log(&pushes, true);
        assert_ordinary(name, &recording.bytes);
        assert_same_payload(name, &recording);
        let summary = recording.finished.summary.expect("a summary");
        assert_eq!(summary.video_samples, u64::from(FRAMES), "{name}");
        assert!((summary.duration.as_secs_f64() - 5.0).abs() < 0.04, "{name}: {summary:?}");
        assert_eq!(summary.video.as_ref().and_then(|video| video.fps), Some(30.0), "{name}");
        let found = Reader::of("part.mkv").read(&recording.bytes);
        let audio = if name.ends_with("noise") { AAC_FRAMES } else { 0 };
        assert_holds(name, &found, (FRAMES as usize, audio));
        for found in [&found.0, &found.1] {
            assert_eq!(found.complaints, Vec::<String>::new(), "{name}");
            assert_eq!(found.audio.samples() as u64, summary.audio_samples, "{name}");
            found.video.assert_monotonic(name);
            assert!((found.video.end() - found.video.start() - 5.0).abs() < 0.04, "{name}: {found:?}");
        }
    }
}

#[test]
fn every_prefix_of_the_write_log_of_matroska_is_readable_in_both_demuxers() {
    let mut dice = Dice::for_test("prefixes of Matroska");
    for (name, pushes) in recorded() {
        let mut reader = Reader::of("part.mkv");
        let clean = record_to_log(&pushes, true);
        for ops in deaths(&mut dice, clean.log.0.len()) {
            let within = match clean.log.0.get(ops) {
                // The flip at offset 36 and the commits of 12 bytes each lie within one sector and are not torn.
                Some(Op::Write { bytes, offset }) if bytes.len() > 12 && *offset != 36 => dice.below(bytes.len()),
                Some(Op::Write { .. } | Op::Sync { .. }) | None => 0,
            };
            for extra in [0, within] {
                let what = format!("{name} killed at {ops}+{extra} of {}", clean.log.0.len());
                let file = clean.log.prefix(ops, extra);
                check_cut(&what, &mut reader, &clean, file.clone(), &file);
            }
        }
    }
}

#[test]
fn power_cuts_lose_nothing_of_matroska_that_was_called_safe() {
    let mut dice = Dice::for_test("power cuts of Matroska");
    for (name, pushes) in recorded() {
        let mut reader = Reader::of("part.mkv");
        let recordings = [record_to_log(&pushes, true), record_to_log(&pushes, false)];
        for cut in 0..rounds(100, 334) {
            let clean = &recordings[cut as usize % 2];
            let ops = dice.below(clean.log.0.len() + 1);
            let (file, certain) = clean.log.power_cut(ops, &mut dice);
            let what = format!("{name} power cut {cut} after {ops} of {}", clean.log.0.len());
            check_cut(&what, &mut reader, clean, file, &certain);
        }
    }
}

/// No write that replaces bytes crosses a sector: the disk does not tear it.
#[test]
fn what_is_written_twice_lies_within_one_sector() {
    for (name, pushes) in recorded() {
        let mut end = 0;
        for op in record_to_log(&pushes, true).log.0 {
            let Op::Write { offset, bytes } = op else { continue };
            let last = offset + bytes.len() - 1;
            assert!(offset >= end || offset / 512 == last / 512, "{name}: {} bytes at {offset}", bytes.len());
            end = end.max(last + 1);
        }
    }
}

/// A recording, finalised and as a crash leaves it.
fn files() -> &'static [Vec<u8>; 2] {
    static FILES: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    FILES.get_or_init(|| {
        let clean = record_to_log(&record::record_matroska(CONTENTS[1], false), false);
        [clean.log.prefix(clean.log.0.len() * 2 / 3, 0), clean.bytes]
    })
}

#[test]
fn one_bad_cluster_header_costs_one_cluster() {
    let mut crashed = files()[0].clone();
    let all = clusters(&crashed, true);
    // All are committed, however late the disk of the recording was.
    for (_, whole, _) in &all {
        crashed[whole.start..whole.start + 4].copy_from_slice(&CLUSTER.to_be_bytes());
        let size = (1u64 << 56 | (whole.len() - 12) as u64).to_be_bytes();
        crashed[whole.start + 4..whole.start + 12].copy_from_slice(&size);
    }
    let crashed = &crashed;
    let (begin, middle, last) = (&all[0].1, &all[all.len() / 2].1, &all[all.len() - 1].1);
    let flipped = |bit: usize| {
        let mut bytes = crashed.clone();
        bytes[middle.start + bit / 8] ^= 1 << (bit % 8);
        bytes
    };
    let zeroed = |whole: &Range<usize>| {
        let mut bytes = crashed.clone();
        bytes[whole.start..whole.start + 12].fill(0);
        bytes
    };
    let bits = (0..12 * 8).map(|bit| (format!("bit {bit} of a header"), flipped(bit), middle));
    let zeros = [("a header of zeros", middle), ("the first of all", begin)];
    let zeros = zeros.map(|(what, lost)| (what.to_owned(), zeroed(lost), lost));
    for (what, damaged, lost) in bits.chain(zeros) {
        let what = what.as_str();
        let kept: Vec<Element> = all.iter().filter(|(_, whole, _)| whole != lost).cloned().collect();
        let store = LoggedStore::holding(damaged.clone());
        let outcome = finalise::finalise(&store);
        let Ok(Outcome::Finalised(summary)) = outcome else { panic!("{what}: {outcome:?}") };
        let bytes = store.bytes();
        assert_ordinary(what, &bytes);
        let wanted = frames(crashed, &kept);
        assert_eq!(frames(&bytes, &clusters(&bytes, false)), wanted, "{what}");
        assert_eq!((summary.video_samples as usize, summary.audio_samples as usize), wanted, "{what}");
        // Nothing is cut, and of what cannot be read only the header is covered.
        assert_eq!(bytes[lost.start + 12..lost.end], damaged[lost.start + 12..lost.end], "{what}");
        let Ok(Audited::Part(audit)) = finalise::audit(&store) else { panic!("{what}: not a part") };
        assert!(audit.findings.iter().any(|finding| finding.code == FindingCode::ChainBroken), "{what}: {audit:?}");
        assert!(audit.tail_bytes >= (lost.end - lost.start) as u64, "{what}: {audit:?}");
    }
    // A file that was copied half: its last committed cluster ends behind its end.
    let cut = store_of(&crashed[..middle.end - 1]);
    assert!(matches!(finalise::finalise(&cut), Ok(Outcome::Finalised(_))));
    let before: Vec<Element> = all.iter().filter(|(_, whole, _)| whole.end < middle.end).cloned().collect();
    assert_eq!(frames(&cut.bytes(), &clusters(&cut.bytes(), false)), frames(crashed, &before));
    assert!(last.start > middle.end, "a recording of several clusters");
}

/// Whatever is there of the header and what follows it up to the first cluster: a part without a fragment.
#[test]
fn a_header_that_is_cut_anywhere_is_a_part_without_a_fragment() {
    let [crashed, _] = files();
    let first = clusters(crashed, true)[0].1.start;
    for length in 4..=first {
        let outcome = finalise::finalise(&store_of(&crashed[..length]));
        assert!(matches!(outcome, Ok(Outcome::Empty { bytes }) if bytes == length as u64), "{length}: {outcome:?}");
    }
}

fn store_of(bytes: &[u8]) -> LoggedStore {
    LoggedStore::holding(bytes.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_cut_of_the_buffers_changes_nothing(lengths in prop::collection::vec(1usize..3000, 1..6)) {
        static CLEAN: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
        let (stream, wanted) = CLEAN.get_or_init(|| {
            let clean = record_to_log(&record::record_matroska(CONTENTS[4], false), true);
            (clean.original, clean.bytes)
        });
        let (mut rest, mut pushes) = (stream.as_slice(), Vec::new());
        for length in lengths.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, behind) = rest.split_at((*length).min(rest.len()));
            pushes.push(vec![piece.to_vec()]);
            rest = behind;
        }
        prop_assert!(record_to_log(&pushes, false).bytes == *wanted);
    }

    #[test]
    fn damaged_files_are_judged_without_panic(
        finalised: bool,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        near_the_begin: bool,
        cut in any::<prop::sample::Index>(),
        garbage in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut bytes = files()[usize::from(finalised)].clone();
        bytes.truncate(cut.index(bytes.len()) + 1);
        bytes.extend(garbage);
        let within = if near_the_begin { bytes.len().min(1500) } else { bytes.len() };
        for (place, value) in damage {
            bytes[place.index(within)] = value;
        }
        let store = LoggedStore::holding(bytes.clone());
        finalise::audit(&store).expect("a store in memory");
        let summary = match finalise::finalise(&store) {
            Ok(Outcome::Finalised(summary)) => summary,
            // Not one of ours any more, or nothing to do: then nothing is done.
            Ok(Outcome::AlreadyFinal(_) | Outcome::Empty { .. }) | Err(_) => {
                prop_assert!(store.bytes() == bytes);
                return Ok(());
            }
        };
        // What was finalised is final.
        prop_assert!(matches!(finalise::finalise(&store), Ok(Outcome::AlreadyFinal(again)) if again == summary));
    }

    #[test]
    fn any_bytes_behind_the_magic_are_scanned_without_panic(garbage in prop::collection::vec(any::<u8>(), 0..600)) {
        let bytes = [&[0x1a, 0x45, 0xdf, 0xa3][..], &garbage].concat();
        let store = LoggedStore::holding(bytes.clone());
        prop_assert!(finalise::finalise(&store).is_err() || store.bytes() == bytes);
    }
}

#[test]
fn an_ordinary_matroska_file_is_sought_in_and_says_how_long_it_is() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("part.mkv");
    std::fs::write(&path, record_to_log(&record::record_matroska(CONTENTS[1], false), true).bytes).expect("a file");
    let (duration, first) = demux::seek(&path, 3.2);
    assert!((duration - 5.0).abs() < 0.04, "{duration} s");
    assert!((2.9..=3.2).contains(&first), "the keyframe before 3.2 s is not {first} s");
}

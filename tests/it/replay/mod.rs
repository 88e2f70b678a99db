//! The promise of the durable sink, proved from its own write log: wherever the power goes, both demuxers read
//! everything up to the last synced fragment; finalising gives an ordinary MP4 that holds the same (R-FM-9, R-JOB-4).

mod fragments;
mod log;
mod matroska;
mod record;
mod trouble;

use crate::support::demux::{self, Found};
use crate::support::dice::Dice;
use crate::support::proc::rounds;
use holdfast::media::durable_sink::{Finished, PartWriter, SinkEvent};
use holdfast::media::finalise::{self, Audited, MediaReader, Outcome, PLACEHOLDER, PartStore};
use log::{LoggedStore, Op, WriteLog};
use record::{CONTENTS, Content, FRAMES, Push};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Power cuts per content, of which there are five: 250 in every check, 1000 in torture.
const POWER_CUTS: (u32, u32) = (50, 200);
/// How long a test waits for a sync of a store in memory.
const SYNC_DEADLINE: Duration = Duration::from_secs(30);

/// A clean recording: its write log with the finalisation.
struct Recording {
    log: WriteLog,
    /// The file as the muxer meant it: every fragment committed, nothing finalised.
    original: Vec<u8>,
    finished: Finished,
    bytes: Vec<u8>,
}

/// Feeds `pushes` to a writer. A `prompt` disk has synced every fragment before the next comes, a lagging one has not.
fn record_to_log(pushes: &[Push], prompt: bool) -> Recording {
    let store = Arc::new(LoggedStore::default());
    let (events, received) = mpsc::sync_channel(10_000);
    let on_event = move |event| events.send(event).expect("the test listens");
    let mut writer = PartWriter::new(Arc::clone(&store) as Arc<dyn PartStore>, Arc::new(on_event)).expect("a writer");
    let (mut written, mut safe) = (Duration::ZERO, Duration::ZERO);
    for push in pushes {
        let slices: Vec<&[u8]> = push.iter().map(Vec::as_slice).collect();
        writer.push(&slices);
        for event in received.try_iter() {
            written = written.max(progress(&event).0);
            safe = progress(&event).1;
        }
        while prompt && safe < written {
            safe = progress(&received.recv_timeout(SYNC_DEADLINE).expect("a sync")).1;
        }
    }
    let finished = writer.finish();
    Recording {
        log: store.log(),
        original: pushes.iter().flatten().flatten().copied().collect(),
        finished,
        bytes: store.bytes(),
    }
}

/// The same for MP4, whose original has a placeholder behind `ftyp`.
fn write(pushes: &[Push], prompt: bool) -> Recording {
    let mut recording = record_to_log(pushes, prompt);
    let behind_ftyp = first_box(&recording.original);
    recording.original.splice(behind_ftyp..behind_ftyp, PLACEHOLDER);
    recording
}

fn progress(event: &SinkEvent) -> (Duration, Duration) {
    match event {
        SinkEvent::Progress(progress) => (progress.written, progress.safe),
        SinkEvent::Trouble(trouble) => panic!("the store in memory is in trouble: {trouble:?}"),
    }
}

/// Reads files with both demuxers, equal files once.
struct Reader {
    dir: tempfile::TempDir,
    name: &'static str,
    known: HashMap<blake3::Hash, (Found, Found)>,
}

impl Reader {
    fn new() -> Self {
        Self::of("part.mp4")
    }

    /// A reader of files that are called `name`.
    fn of(name: &'static str) -> Self {
        Self { dir: tempfile::tempdir().expect("a folder"), name, known: HashMap::new() }
    }

    fn path(&self, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(self.name);
        std::fs::write(&path, bytes).expect("a file");
        path
    }

    /// What ffprobe and qtdemux find in `bytes`.
    fn read(&mut self, bytes: &[u8]) -> (Found, Found) {
        let hash = blake3::hash(bytes);
        if !self.known.contains_key(&hash) {
            let path = self.path(bytes);
            self.known.insert(hash, (demux::ffprobe(&path), demux::gstreamer(&path)));
        }
        self.known[&hash].clone()
    }
}

/// Samples (video, audio) that complete fragments of `bytes` announce, counted without our own parser: by mp4-atom
/// from every `moof` whose `mdat` is whole.
fn announced(bytes: &[u8]) -> (usize, usize) {
    use mp4_atom::{Decode, Moof, TrunSamples};
    let mut counted = (0, 0);
    let mut moof = None;
    for (at, size, kind) in boxes(bytes) {
        let Some(whole) = bytes.get(at..at + size).filter(|_| size >= 8) else { break };
        match kind {
            b"moof" => moof = Some(Moof::decode(&mut &*whole).expect("our own moof")),
            b"mdat" => {
                for traf in moof.take().iter().flat_map(|moof| &moof.traf) {
                    let samples = traf.trun.iter().map(|run| match &run.samples {
                        TrunSamples::Inherited { count, .. } => *count as usize,
                        TrunSamples::Explicit(entries) => entries.len(),
                    });
                    let track = if traf.tfhd.track_id == 1 { &mut counted.0 } else { &mut counted.1 };
                    *track += samples.sum::<usize>();
                }
            }
            _ => {}
        }
    }
    counted
}

fn assert_holds(what: &str, found: &(Found, Found), (video, audio): (usize, usize)) {
    for (name, found) in [("ffprobe", &found.0), ("qtdemux", &found.1)] {
        let got = (found.video.samples(), found.audio.samples());
        assert!(
            got.0 >= video && got.1 >= audio,
            "{what}: {name} reads {got:?} of {:?}: {:?}",
            (video, audio),
            found.complaints
        );
    }
}

/// Finalises `bytes` as recovery would; the file afterwards and what was found.
fn recover(bytes: Vec<u8>) -> (Vec<u8>, Outcome) {
    let store = LoggedStore::holding(bytes);
    let outcome = finalise::finalise(&store).expect("a store in memory");
    (store.bytes(), outcome)
}

/// The digest that was kept while writing is the digest of the file, finalised, not finalised, and of no other.
fn assert_same_payload(what: &str, recording: &Recording) {
    let digest = |bytes: &[u8]| {
        let store = LoggedStore::holding(bytes.to_vec());
        let Ok(Audited::Part(audit)) = finalise::audit(&store) else { panic!("{what}: not a part") };
        let read = MediaReader::new(&store).read(Some(&audit), &mut |_| {}).expect("a store in memory");
        (audit.payloads, read.payload_blake3)
    };
    let kept = recording.finished.payload.expect("a digest").to_hex();
    let (payloads, read) = digest(&recording.bytes);
    assert_eq!(read, kept.as_str(), "{what}");
    let flips = recording.log.0.iter().rposition(|op| matches!(op, Op::Write { .. })).expect("a flip");
    assert_eq!(digest(&recording.log.prefix(flips, 0)).1, kept.as_str(), "{what}: before the flip");
    // The last byte of a fragment lies within a frame.
    let mut other = recording.bytes.clone();
    other[payloads[payloads.len() / 2].end as usize - 1] ^= 1;
    assert_ne!(digest(&other).1, kept.as_str(), "{what}: a changed byte");
}

fn assert_ordinary(what: &str, bytes: &[u8]) {
    assert_eq!(demux::top_level_boxes(bytes), ["ftyp", "mdat", "moov"], "{what}");
}

fn recorded() -> impl Iterator<Item = (Content, Vec<Push>)> {
    CONTENTS.into_iter().map(|content| (content, record::record(content)))
}

#[test]
fn a_clean_stop_gives_an_ordinary_mp4_with_every_sample() {
    for (content, pushes) in recorded() {
        let recording = write(&pushes, true);
        assert_ordinary(content.name, &recording.bytes);
        let audio = if content.audio.is_some() { 234 } else { 0 };
        assert_same_payload(content.name, &recording);
        let summary = recording.finished.summary.expect("a summary");
        assert_eq!(summary.video_samples, u64::from(FRAMES));
        assert!(summary.audio_samples >= audio as u64, "{}: {summary:?}", content.name);
        let found = Reader::new().read(&recording.bytes);
        assert_holds(content.name, &found, (FRAMES as usize, audio));
        for found in [&found.0, &found.1] {
            assert_eq!(found.complaints, Vec::<String>::new(), "{}", content.name);
            found.video.assert_monotonic(content.name);
            found.audio.assert_monotonic(content.name);
            assert!((found.video.end() - found.video.start() - 5.0).abs() < 0.04, "{}: {found:?}", content.name);
        }
    }
}

/// What must be readable in a file of which `certain` is sure to be on the disk.
fn promised(certain: &[u8], all: (usize, usize)) -> (usize, usize) {
    let finalised = demux::top_level_boxes(certain).get(1).is_some_and(|name| name == "mdat");
    if finalised { all } else { announced(certain) }
}

/// Checks a file that a kill or a power cut left: readable as it is, and finalised to the same samples.
fn check_cut(what: &str, reader: &mut Reader, clean: &Recording, file: Vec<u8>, certain: &[u8]) {
    let all = announced(&clean.original);
    let promised = promised(certain, all);
    assert_holds(what, &reader.read(&file), promised);

    let (recovered, outcome) = recover(file.clone());
    let summary = match outcome {
        Outcome::Finalised(summary) | Outcome::AlreadyFinal(summary) => summary,
        Outcome::Empty { .. } => {
            assert_eq!(promised, (0, 0), "{what}: recovery finds nothing");
            assert!(recovered == file, "{what}: an empty part was changed");
            return;
        }
    };
    assert_ordinary(what, &recovered);
    let flip = first_box(&file) + 16;
    assert!(recovered[flip..file.len()] == file[flip..], "{what}: finalising changed recorded bytes");
    let counted = (summary.video_samples as usize, summary.audio_samples as usize);
    let found = reader.read(&recovered);
    assert_holds(what, &found, promised);
    let whole = reader.read(&clean.bytes);
    for (found, whole) in [(&found.0, &whole.0), (&found.1, &whole.1)] {
        assert_eq!((found.video.samples(), found.audio.samples()), counted, "{what}");
        assert_eq!(found.complaints, Vec::<String>::new(), "{what}");
        let same = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(same(&found.video.pts, &whole.video.pts), "{what}: other video times than a clean stop");
        assert!(same(&found.audio.pts, &whole.audio.pts), "{what}: other audio times than a clean stop");
    }
    // Samples lie where they lay: what is counted must be the bytes that were recorded, not a hole.
    let end = end_of_samples(&clean.original, counted);
    let mut committed = file[..end].to_vec();
    for at in moof_offsets(&clean.original[..end]) {
        committed[at + 4..at + 8].copy_from_slice(b"moof");
    }
    assert!(committed[flip..] == clean.original[flip..end], "{what}: a lost sector counts as media");
}

/// Offset behind the fragment with which `original` announces at least `samples`.
fn end_of_samples(original: &[u8], samples: (usize, usize)) -> usize {
    let ends = fragment_ends(original);
    let end = ends.into_iter().find(|end| {
        let (video, audio) = announced(&original[..*end]);
        video >= samples.0 && audio >= samples.1
    });
    end.expect("more samples than were recorded")
}

/// Size of the first box (`ftyp`); the placeholder follows it.
fn first_box(bytes: &[u8]) -> usize {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize
}

/// (offset, size, kind) of every top-level box of a file with small boxes only.
fn boxes(bytes: &[u8]) -> impl Iterator<Item = (usize, usize, &[u8])> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let at = next;
        let head = bytes.get(at..at + 8)?;
        let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        next += size.max(8);
        Some((at, size, &head[4..8]))
    })
}

fn moof_offsets(bytes: &[u8]) -> Vec<usize> {
    boxes(bytes).filter(|(_, _, kind)| kind == b"moof").map(|(at, ..)| at).collect()
}

fn fragment_ends(bytes: &[u8]) -> Vec<usize> {
    boxes(bytes).filter(|(_, _, kind)| kind == b"mdat").map(|(at, size, _)| at + size).collect()
}

/// Behind how many of the operations the writer dies: each of them in torture; in CI every fourth, other ones with every
/// commit, and none of them at all.
fn deaths(dice: &mut Dice, operations: usize) -> impl Iterator<Item = usize> + use<> {
    let every = rounds(4, 1) as usize;
    let first = dice.below(every);
    (first..operations).step_by(every).chain([operations])
}

#[test]
fn every_prefix_of_the_write_log_is_readable_in_both_demuxers() {
    let mut dice = Dice::for_test("prefixes");
    for (content, pushes) in recorded() {
        let mut reader = Reader::new();
        let clean = write(&pushes, true);
        for ops in deaths(&mut dice, clean.log.0.len()) {
            let within = match clean.log.0.get(ops) {
                // The flip of the placeholder lies within one sector and is not torn.
                Some(Op::Write { bytes, .. }) if bytes.len() > 16 => dice.below(bytes.len()),
                Some(Op::Write { .. } | Op::Sync { .. }) | None => 0,
            };
            for extra in [0, within] {
                let what = format!("{} killed at {ops}+{extra} of {}", content.name, clean.log.0.len());
                let file = clean.log.prefix(ops, extra);
                check_cut(&what, &mut reader, &clean, file.clone(), &file);
            }
        }
    }
}

#[test]
fn power_cuts_lose_nothing_that_was_called_safe() {
    let mut dice = Dice::for_test("power cuts");
    for (content, pushes) in recorded() {
        let mut reader = Reader::new();
        // A prompt disk tests every sync, a lagging one leaves much to lose.
        let recordings = [write(&pushes, true), write(&pushes, false)];
        for cut in 0..rounds(POWER_CUTS.0, POWER_CUTS.1) as usize {
            let clean = &recordings[cut % 2];
            let ops = dice.below(clean.log.0.len() + 1);
            let (file, certain) = clean.log.power_cut(ops, &mut dice);
            let what = format!("{} power cut {cut} after {ops} of {}", content.name, clean.log.0.len());
            check_cut(&what, &mut reader, clean, file, &certain);
        }
    }
}

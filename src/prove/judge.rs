//! What was recorded against what was found: the findings and the verdict of one part. Pure.
//!
//! Contract: whatever is in the file and was not known before is put into the record; nothing that was recorded is
//! replaced by what was found. Without a record only the file itself is judged.

use crate::media::finalise::{Read, Summary};
use crate::media::reread::{Reread, TrackRead};
use crate::model::encoding::Container;
use crate::model::proof::{Finding, FindingCode, verdict_of};
use crate::model::session::{PartEnd, PartFrames, PartRecord, Verdict};
use std::time::Duration;

/// Gaps listed one by one.
const GAPS_LISTED: usize = 20;
/// Period of a picture where the rate is not known: the slowest source delivers 10 per second.
const SLOWEST: Duration = Duration::from_millis(100);

/// What was found under the name of a part.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// Nothing.
    Gone,
    /// A link, a folder, a device.
    NotAFile,
    /// Something the system did not let be read this time; why.
    Unreadable(String),
    /// A file that does not begin like one of ours.
    Foreign { bytes: u64 },
    /// A file without one whole fragment.
    Nothing { bytes: u64 },
    /// A part.
    Part(Box<FoundPart>),
}

/// A part that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundPart {
    /// Its container.
    pub container: Container,
    /// What its fragments say.
    pub summary: Summary,
    /// It has a final index.
    pub finalised: bool,
    /// What is wrong with its structure.
    pub findings: Vec<Finding>,
    /// Bytes behind the last whole fragment.
    pub tail_bytes: u64,
    /// Samples and bytes of the pictures and of the sound, as its fragments say.
    pub volumes: [(u64, u64); 2],
    /// Bytes of each piece of sound at the begin that a demuxer may leave out.
    pub warm_up: Vec<u32>,
    /// The same of the last one.
    pub cut_short: Option<u32>,
    /// What reading every byte found.
    pub read: Read,
    /// What another demuxer found.
    pub reread: Reread,
}

/// What a part came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The record, completed.
    pub record: PartRecord,
    /// The worst of the findings.
    pub verdict: Verdict,
    /// Everything that is not as it should be, worst first.
    pub findings: Vec<Finding>,
}

/// Judges one part called `file`, number `part`.
pub fn judge(file: &str, part: u32, recorded: Option<&PartRecord>, found: &Found) -> Judged {
    let mut findings = Vec::new();
    let mut add = |finding: Finding| findings.push(finding);
    let empty = recorded.is_some_and(|recorded| recorded.end == PartEnd::Empty);
    // Recovery found no whole fragment.
    let uncounted = empty && recorded.is_some_and(|recorded| recorded.frames.encoded.is_none());
    match found {
        Found::Gone if !empty => add(Finding::new(FindingCode::Missing)),
        Found::Nothing { .. } if recorded.is_none_or(|recorded| recorded.end != PartEnd::Empty) => {
            let wanted = recorded.map_or(0, |recorded| recorded.bytes);
            add(Finding::new(FindingCode::Emptied).with("recorded", wanted));
        }
        // What began to be a fragment lacks a sector.
        Found::Part(part) if uncounted && !part.finalised => {}
        Found::Gone | Found::Nothing { .. } => {}
        Found::NotAFile => add(Finding::new(FindingCode::NotAFile)),
        Found::Unreadable(reason) => add(Finding::new(FindingCode::Unreadable).with("reason", reason)),
        Found::Foreign { .. } => add(Finding::new(FindingCode::Foreign)),
        Found::Part(part) => inside(recorded, part, &mut add),
    }
    if let Some(recorded) = recorded {
        history(recorded, &mut add);
        if let Some(found) = counted(found, uncounted) {
            identity(recorded, found, &mut add);
        }
    }
    // The same may have been seen from two sides.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.code.verdict()));
    let mut record = recorded.cloned().unwrap_or_else(|| new_record(file, part, found));
    if let Some(found) = counted(found, uncounted) {
        record.frames.readable = Some(readable(found));
        record.frames.written = record.frames.written.or(Some(found.summary.video_samples));
        record.blake3 = Some(found.read.blake3.clone());
    }
    Judged { record, verdict: verdict_of(&findings), findings }
}

/// A part that was found and must be what was recorded; `uncounted` = recovery found nothing whole in it.
fn counted(found: &Found, uncounted: bool) -> Option<&FoundPart> {
    match found {
        Found::Part(part) if part.finalised || !uncounted => Some(part),
        Found::Part(_)
        | Found::Gone
        | Found::NotAFile
        | Found::Unreadable(_)
        | Found::Foreign { .. }
        | Found::Nothing { .. } => None,
    }
}

/// Frames that both our own reading and the demuxer got.
fn readable(found: &FoundPart) -> u64 {
    let own = found.summary.video_samples.saturating_sub(found.read.broken_pictures);
    own.min(found.reread.video.samples)
}

/// What is wrong within the file, whatever was recorded.
fn inside(recorded: Option<&PartRecord>, found: &FoundPart, add: &mut dyn FnMut(Finding)) {
    found.findings.iter().cloned().for_each(&mut *add);
    let structure_is_sound = found.findings.iter().all(|finding| finding.code.verdict() < Verdict::Failed);
    if found.tail_bytes > 0 && structure_is_sound {
        let proper = recorded
            .is_some_and(|recorded| matches!(recorded.end, PartEnd::Completed | PartEnd::Split | PartEnd::Damaged));
        add(if proper {
            Finding::new(FindingCode::ChainBroken).with("at", found.summary.bytes.saturating_sub(found.tail_bytes))
        } else {
            Finding::new(FindingCode::TailIgnored).with("bytes", found.tail_bytes)
        });
    }
    if !found.finalised {
        add(Finding::new(FindingCode::Unfinalised));
    }
    if found.read.broken_fragments > 0 {
        add(Finding::new(FindingCode::FragmentsBroken).with("fragments", found.read.broken_fragments));
    }
    if let Some(number) = found.read.first_broken {
        let at =
            found.summary.duration.as_millis() * u128::from(number) / u128::from(found.summary.video_samples.max(1));
        let broken = Finding::new(FindingCode::PicturesBroken).with("frames", found.read.broken_pictures);
        add(broken.with("at_ms", at));
    }
    let [pictures, sound] = found.volumes;
    let same = |(samples, bytes): (u64, u64), track: &TrackRead| samples == track.samples && bytes == track.bytes;
    let complete = same(pictures, &found.reread.video)
        && left_out(found).any(|(samples, bytes)| {
            same((sound.0.saturating_sub(samples), sound.1.saturating_sub(bytes)), &found.reread.audio)
        });
    let reason = match &found.reread.refused {
        // A torn end is complained about although everything before it was delivered.
        Some(_) if !found.finalised && complete => None,
        Some(reason) => Some(reason.clone()),
        None if complete => None,
        None => Some(format!(
            "it finds {} pictures and {} pieces of sound where {} and {} are",
            found.reread.video.samples, found.reread.audio.samples, pictures.0, sound.0
        )),
    };
    if let Some(reason) = reason {
        add(Finding::new(FindingCode::DemuxerRefused).with("reason", reason));
    }
    let written = recorded.and_then(|recorded| recorded.frames.written).unwrap_or(found.summary.video_samples);
    let readable = readable(found);
    if readable < written {
        add(Finding::new(FindingCode::FramesUnreadable).with("readable", readable).with("written", written));
    }
}

/// What a demuxer may leave out of the sound, nothing first: (samples, bytes). Only sound that is decoded for the sake
/// of what follows may be missing at the begin; only then, the one at the end.
fn left_out(found: &FoundPart) -> impl Iterator<Item = (u64, u64)> + '_ {
    let last = found.cut_short.filter(|_| !found.warm_up.is_empty());
    (0..=found.warm_up.len()).flat_map(move |count| {
        let bytes: u64 = found.warm_up[..count].iter().map(|bytes| u64::from(*bytes)).sum();
        let begin = (count as u64, bytes);
        [Some(begin), last.map(|last| (begin.0 + 1, begin.1 + u64::from(last)))].into_iter().flatten()
    })
}

/// Whether it is the file that was recorded.
fn identity(recorded: &PartRecord, found: &FoundPart, add: &mut dyn FnMut(Finding)) {
    let summary = &found.summary;
    if recorded.payload_blake3.as_ref().is_some_and(|known| *known != found.read.payload_blake3) {
        add(Finding::new(FindingCode::ContentChanged));
    }
    if recorded.blake3.as_ref().is_some_and(|known| *known != found.read.blake3) {
        add(Finding::new(FindingCode::FileChanged));
    }
    if recorded.bytes != summary.bytes {
        add(Finding::new(FindingCode::SizeDiffers).with("found", summary.bytes).with("recorded", recorded.bytes));
    }
    if let Some(written) = recorded.frames.written.filter(|written| *written != summary.video_samples) {
        let frames = Finding::new(FindingCode::FramesDiffer).with("found", summary.video_samples);
        add(frames.with("recorded", written));
    }
    let duration = Duration::from_nanos(recorded.duration_ns);
    if duration.abs_diff(summary.duration) > period(recorded) {
        let lasts = Finding::new(FindingCode::DurationDiffers).with("found_ms", summary.duration.as_millis());
        add(lasts.with("recorded_ms", duration.as_millis()));
    }
    let (was, is) =
        (tracks_of(recorded), format!("{}{}", name(found.container), describe(&summary.video, &summary.audio)));
    if was != is {
        add(Finding::new(FindingCode::TracksDiffer).with("found", is).with("recorded", was));
    }
}

fn period(recorded: &PartRecord) -> Duration {
    let fps = recorded.video.as_ref().and_then(|video| video.fps).filter(|fps| *fps > 0.1);
    fps.map_or(SLOWEST, |fps| Duration::from_secs_f64(1.0 / fps))
}

fn tracks_of(record: &PartRecord) -> String {
    format!("{}{}", name(record.container), describe(&record.video, &record.audio))
}

fn name(container: Container) -> &'static str {
    container.extension()
}

fn describe(
    video: &Option<crate::model::session::VideoTrack>,
    audio: &Option<crate::model::session::AudioTrack>,
) -> String {
    let pictures = video.as_ref().map(|v| format!(" {:?} {}×{}", v.codec, v.width, v.height)).unwrap_or_default();
    let sound = audio.as_ref().map(|a| format!(" {:?} {} Hz ×{}", a.codec, a.rate, a.channels)).unwrap_or_default();
    format!("{pictures}{sound}").to_uppercase()
}

/// What the recording itself lost or suffered.
fn history(recorded: &PartRecord, add: &mut dyn FnMut(Finding)) {
    let ms = |ns: i64| ns / 1_000_000;
    for gap in recorded.gaps.iter().take(GAPS_LISTED) {
        let finding = Finding::new(FindingCode::Gap).with("from_ms", ms(gap.from_ns)).with("to_ms", ms(gap.to_ns));
        add(finding.with("cause", &gap.cause));
    }
    let frames = &recorded.frames;
    match recorded.end {
        // Its worker died with what it had captured, and with the count of it.
        PartEnd::Empty if frames.encoded.is_none() => return add(Finding::new(FindingCode::Recovered)),
        PartEnd::Empty => return unwritten(frames.encoded, Some(0), add),
        // What is damaged now is said by what is found; it may have been put back.
        PartEnd::Completed | PartEnd::Split | PartEnd::Damaged => {}
        PartEnd::WorkerDied => add(Finding::new(FindingCode::Recovered)),
        end @ (PartEnd::Stalled
        | PartEnd::SignalLost
        | PartEnd::DiskFull
        | PartEnd::DiskError
        | PartEnd::Displaced
        | PartEnd::Cut) => add(Finding::new(FindingCode::Cut).with("end", words_of(end))),
    }
    match frames.dropped {
        Some(0) => {}
        Some(dropped) => add(Finding::new(FindingCode::FramesDropped).with("frames", dropped)),
        // A worker that died took its counters with it; that was said above.
        None if recorded.end == PartEnd::WorkerDied => {}
        None => add(Finding::new(FindingCode::CountersUnknown)),
    }
    counters(frames, add);
    unwritten(frames.encoded, frames.written, add);
}

/// captured + duplicated = encoded + dropped.queue + dropped.encoder (DESIGN §4). The record knows all drops in one
/// number, also those of the source, which lie outside: as many may be missing, not more, and none may be too many.
fn counters(frames: &PartFrames, add: &mut dyn FnMut(Finding)) {
    let PartFrames { captured: Some(captured), encoded: Some(encoded), duplicated: Some(duplicated), .. } = *frames
    else {
        return;
    };
    let Some(dropped) = frames.dropped else { return };
    let taken = captured.saturating_add(duplicated);
    if encoded > taken || taken - encoded > dropped {
        let differ = Finding::new(FindingCode::CountersDiffer).with("captured", taken).with("encoded", encoded);
        add(differ.with("dropped", dropped));
    }
}

/// What was encoded is what is in the file, no less and no more.
fn unwritten(encoded: Option<u64>, written: Option<u64>, add: &mut dyn FnMut(Finding)) {
    let (Some(encoded), Some(written)) = (encoded, written) else { return };
    if encoded > written {
        add(Finding::new(FindingCode::FramesUnwritten).with("lost", encoded - written));
    } else if written > encoded {
        add(Finding::new(FindingCode::FramesDoubled).with("more", written - encoded));
    }
}

fn words_of(end: PartEnd) -> &'static str {
    match end {
        PartEnd::Completed => "stopped",
        PartEnd::Split => "split",
        PartEnd::WorkerDied => "its recorder died",
        PartEnd::Stalled => "nothing reached the file",
        PartEnd::SignalLost => "the signal was lost",
        PartEnd::DiskFull => "the disk was full",
        PartEnd::DiskError => "the disk refused",
        PartEnd::Displaced => "its file was removed, renamed or replaced",
        PartEnd::Cut => "closing took too long",
        PartEnd::Empty => "nothing was recorded",
        PartEnd::Damaged => "it could not be read",
    }
}

/// The record of a file nobody recorded anything about.
fn new_record(file: &str, part: u32, found: &Found) -> PartRecord {
    let found_part = if let Found::Part(found) = found { Some(found) } else { None };
    let summary = found_part.map(|found| &found.summary);
    let (bytes, end) = match found {
        Found::Part(found) if found.finalised => (found.summary.bytes, PartEnd::Completed),
        Found::Part(found) => (found.summary.bytes, PartEnd::Cut),
        Found::Nothing { bytes } => (*bytes, PartEnd::Empty),
        Found::Foreign { bytes } => (*bytes, PartEnd::Damaged),
        Found::Gone | Found::NotAFile | Found::Unreadable(_) => (0, PartEnd::Damaged),
    };
    PartRecord {
        duration_ns: summary.map_or(0, |s| u64::try_from(s.duration.as_nanos()).unwrap_or(u64::MAX)),
        bytes,
        video: summary.and_then(|s| s.video.clone()),
        audio: summary.and_then(|s| s.audio.clone()),
        ..PartRecord::new(part, file, found_part.map_or(Container::Mp4, |found| found.container), end)
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;

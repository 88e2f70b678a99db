//! What a file must be called for what was recorded and what was found.

use super::*;
use crate::model::encoding::{AudioCodec, VideoCodec};
use crate::model::session::{AudioTrack, Gap, VideoTrack};
use proptest::prelude::*;

const FRAMES: u64 = 90;

fn tracks() -> (Option<VideoTrack>, Option<AudioTrack>) {
    let video = VideoTrack { codec: VideoCodec::H264, width: 640, height: 360, fps: Some(30.0) };
    (Some(video), Some(AudioTrack { codec: AudioCodec::Aac, rate: 48_000, channels: 2 }))
}

fn recorded() -> PartRecord {
    let (video, audio) = tracks();
    PartRecord {
        offset_ns: Some(0),
        duration_ns: 3_000_000_000,
        bytes: 1000,
        video,
        audio,
        frames: PartFrames {
            captured: Some(FRAMES),
            encoded: Some(FRAMES),
            written: Some(FRAMES),
            readable: None,
            duplicated: Some(0),
            dropped: Some(0),
        },
        payload_blake3: Some("payload".into()),
        ..PartRecord::new(1, "cam1.mp4", Container::Mp4, PartEnd::Completed)
    }
}

fn found() -> FoundPart {
    let (video, audio) = tracks();
    let read = Read {
        blake3: "whole".into(),
        payload_blake3: "payload".into(),
        broken_fragments: 0,
        broken_pictures: 0,
        first_broken: None,
    };
    let track = |samples, bytes| TrackRead { samples, bytes, end: None };
    FoundPart {
        container: Container::Mp4,
        summary: Summary {
            bytes: 1000,
            duration: Duration::from_secs(3),
            video_samples: FRAMES,
            audio_samples: 140,
            video,
            audio,
        },
        finalised: true,
        findings: Vec::new(),
        tail_bytes: 0,
        volumes: [(FRAMES, 800), (140, 100)],
        warm_up: Vec::new(),
        cut_short: None,
        read,
        reread: Reread { video: track(FRAMES, 800), audio: track(140, 100), refused: None },
    }
}

fn of(recorded: Option<&PartRecord>, found: FoundPart) -> Judged {
    judge("cam1.mp4", 1, recorded, &Found::Part(Box::new(found)))
}

fn codes(judged: &Judged) -> Vec<FindingCode> {
    judged.findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn a_file_as_it_was_recorded_is_ok_and_its_record_completed() {
    let judged = of(Some(&recorded()), found());
    assert_eq!((judged.verdict, judged.findings), (Verdict::Ok, Vec::new()));
    assert_eq!(judged.record.frames.readable, Some(FRAMES));
    assert_eq!(judged.record.blake3.as_deref(), Some("whole"));
    let alone = of(None, found());
    assert_eq!((alone.verdict, alone.record.frames.written), (Verdict::Ok, Some(FRAMES)));
}

#[test]
fn a_session_of_issue_2_knows_no_digest_and_is_judged_by_the_rest() {
    let old = PartRecord { payload_blake3: None, ..recorded() };
    assert_eq!(of(Some(&old), found()).verdict, Verdict::Ok);
    let mut other = found();
    other.summary.bytes = 1001;
    assert_eq!(codes(&of(Some(&old), other)), [FindingCode::SizeDiffers]);
}

#[test]
fn a_recovered_part_is_readable_with_a_stated_loss() {
    let died = PartRecord {
        end: PartEnd::WorkerDied,
        frames: PartFrames { written: Some(FRAMES), ..PartFrames::default() },
        payload_blake3: None,
        ..recorded()
    };
    let mut torn = found();
    torn.tail_bytes = 77;
    let judged = of(Some(&died), torn.clone());
    assert_eq!(codes(&judged), [FindingCode::TailIgnored, FindingCode::Recovered]);
    assert_eq!(judged.verdict, Verdict::Warning);
    // Behind a part that was closed properly there is nothing.
    assert_eq!(codes(&of(Some(&recorded()), torn)), [FindingCode::ChainBroken]);
}

#[test]
fn sound_that_only_warms_up_may_be_left_out_and_no_other() {
    let mut split = found();
    split.warm_up = vec![3, 4];
    for (samples, bytes, verdict) in [(139, 97, Verdict::Ok), (138, 93, Verdict::Ok), (137, 90, Verdict::Failed)] {
        split.reread.audio = TrackRead { samples, bytes, end: None };
        assert_eq!(of(Some(&recorded()), split.clone()).verdict, verdict, "{samples}");
    }
    split.cut_short = Some(5);
    split.reread.audio = TrackRead { samples: 138, bytes: 92, end: None };
    assert_eq!(of(Some(&recorded()), split.clone()).verdict, Verdict::Ok);
    split.reread.audio = TrackRead { samples: 139, bytes: 96, end: None };
    assert_eq!(codes(&of(Some(&recorded()), split)), [FindingCode::DemuxerRefused]);
}

#[test]
fn nothing_where_nothing_was_recorded_is_no_finding() {
    let nothing = PartFrames { captured: Some(0), encoded: Some(0), ..PartFrames::default() };
    let empty = PartRecord { end: PartEnd::Empty, bytes: 40, frames: nothing, ..recorded() };
    for found in [Found::Nothing { bytes: 40 }, Found::Gone] {
        assert_eq!(judge("cam1.mp4", 1, Some(&empty), &found).verdict, Verdict::Ok);
    }
    // What was encoded and is in no fragment is lost, also where the whole part is.
    let lost = PartRecord { frames: recorded().frames, ..empty };
    let judged = judge("cam1.mp4", 1, Some(&lost), &Found::Nothing { bytes: 40 });
    assert_eq!(codes(&judged), [FindingCode::FramesUnwritten]);
    let judged = judge("cam1.mp4", 1, Some(&recorded()), &Found::Nothing { bytes: 0 });
    assert_eq!(codes(&judged), [FindingCode::Emptied]);
}

#[test]
fn a_file_that_was_called_damaged_and_is_back_is_fine_again() {
    let damaged = PartRecord { end: PartEnd::Damaged, ..recorded() };
    assert_eq!(of(Some(&damaged), found()).verdict, Verdict::Ok);
}

#[test]
fn a_passing_fault_of_the_disk_says_nothing_about_the_file() {
    let mut gapped = recorded();
    gapped.gaps.push(Gap { from_ns: 0, to_ns: 1, cause: "no_signal".into() });
    let judged = judge("cam1.mp4", 1, Some(&gapped), &Found::Unreadable("Input/output error".into()));
    assert_eq!(judged.verdict, Verdict::Unverified);
    assert_eq!(judged.record, gapped);
}

/// One thing that is not as it should be, and what it must be called.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Payload,
    Proved,
    Size,
    Frames,
    Duration,
    Picture,
    Demuxer,
    Sound,
    Structure,
    Checksum,
    Gap,
    Dropped,
    Unwritten,
    Doubled,
    Counters,
    Unknown,
    Stalled,
    Container,
}

impl Fault {
    const ALL: [Fault; 18] = [
        Fault::Payload,
        Fault::Proved,
        Fault::Size,
        Fault::Frames,
        Fault::Duration,
        Fault::Picture,
        Fault::Demuxer,
        Fault::Sound,
        Fault::Structure,
        Fault::Checksum,
        Fault::Gap,
        Fault::Dropped,
        Fault::Unwritten,
        Fault::Doubled,
        Fault::Counters,
        Fault::Unknown,
        Fault::Stalled,
        Fault::Container,
    ];

    fn plant(self, recorded: &mut PartRecord, found: &mut FoundPart) -> FindingCode {
        match self {
            Fault::Payload => {
                recorded.payload_blake3 = Some("other".into());
                FindingCode::ContentChanged
            }
            Fault::Proved => {
                recorded.blake3 = Some("other".into());
                FindingCode::FileChanged
            }
            Fault::Size => {
                recorded.bytes += 1;
                FindingCode::SizeDiffers
            }
            Fault::Frames => {
                recorded.frames.written = recorded.frames.written.map(|written| written + 1);
                recorded.frames.encoded = recorded.frames.written;
                FindingCode::FramesDiffer
            }
            Fault::Duration => {
                // One frame period and a little.
                recorded.duration_ns += 33_400_000;
                FindingCode::DurationDiffers
            }
            Fault::Picture => {
                found.read.broken_pictures = 1;
                found.read.first_broken = Some(7);
                FindingCode::PicturesBroken
            }
            Fault::Demuxer => {
                found.reread.refused = Some("no".into());
                FindingCode::DemuxerRefused
            }
            Fault::Sound => {
                found.reread.audio.bytes -= 1;
                FindingCode::DemuxerRefused
            }
            Fault::Structure => {
                found.findings.push(Finding::new(FindingCode::TablesDiffer));
                FindingCode::TablesDiffer
            }
            Fault::Checksum => {
                found.read.broken_fragments = 1;
                FindingCode::FragmentsBroken
            }
            Fault::Gap => {
                recorded.gaps.push(Gap { from_ns: 0, to_ns: 1, cause: "no_signal".into() });
                FindingCode::Gap
            }
            Fault::Dropped => {
                recorded.frames.dropped = Some(3);
                FindingCode::FramesDropped
            }
            Fault::Unwritten => {
                recorded.frames.encoded = recorded.frames.encoded.map(|encoded| encoded + 2);
                FindingCode::FramesUnwritten
            }
            // A fragment that was written twice, at a boundary: every sum of the file agrees with it.
            Fault::Doubled => {
                recorded.frames.written = recorded.frames.written.map(|written| written + 40);
                found.summary.video_samples += 40;
                found.volumes[0].0 += 40;
                found.reread.video.samples += 40;
                FindingCode::FramesDoubled
            }
            Fault::Counters => {
                recorded.frames.captured = recorded.frames.captured.map(|captured| captured + 7);
                FindingCode::CountersDiffer
            }
            Fault::Unknown => {
                recorded.frames.dropped = None;
                FindingCode::CountersUnknown
            }
            Fault::Stalled => {
                recorded.end = PartEnd::Stalled;
                FindingCode::Cut
            }
            Fault::Container => {
                found.container = Container::Mkv;
                FindingCode::TracksDiffer
            }
        }
    }
}

proptest! {
    #[test]
    fn every_fault_is_found_and_the_worst_decides(planted in prop::sample::subsequence(&Fault::ALL[..], 0..5)) {
        let (mut recorded, mut found) = (recorded(), found());
        let mut expected: Vec<FindingCode> = Vec::new();
        for fault in &planted {
            let code = fault.plant(&mut recorded, &mut found);
            expected.push(code);
            // A counter that is not known drops nothing.
            if matches!(fault, Fault::Unknown) {
                expected.retain(|code| ![FindingCode::FramesDropped, FindingCode::CountersDiffer].contains(code));
            }
            // What is there twice hides what is not there at all.
            if matches!(fault, Fault::Doubled) {
                expected.retain(|code| *code != FindingCode::FramesUnwritten);
            }
        }
        let judged = of(Some(&recorded), found);
        let told = codes(&judged);
        for code in &expected {
            prop_assert!(told.contains(code), "{code:?} is not among {told:?}");
        }
        let worst = expected.iter().map(|code| code.verdict()).max().unwrap_or(Verdict::Ok);
        prop_assert_eq!(judged.verdict, worst);
        prop_assert!(judged.findings.is_sorted_by(|a, b| a.code.verdict() >= b.code.verdict()));
    }

    #[test]
    fn a_duration_within_one_period_is_the_same(off in 0u64..33_000_000) {
        let longer = PartRecord { duration_ns: 3_000_000_000 + off, ..recorded() };
        prop_assert_eq!(of(Some(&longer), found()).verdict, Verdict::Ok);
    }
}

/// A worker or the power went before the first fragment was whole: what it had captured is lost, and said to be.
#[test]
fn a_part_its_worker_died_in_before_the_first_fragment_is_no_clean_one() {
    let died = PartRecord {
        end: PartEnd::Empty,
        duration_ns: 0,
        video: None,
        audio: None,
        frames: PartFrames::default(),
        payload_blake3: None,
        ..recorded()
    };
    // A fragment that lacks a sector: recovery did not count it.
    let torn = FoundPart { finalised: false, ..found() };
    for found in [Found::Nothing { bytes: 1000 }, Found::Gone, Found::Part(Box::new(torn))] {
        let judged = judge("cam1.mp4", 1, Some(&died), &found);
        assert_eq!((codes(&judged), judged.verdict), (vec![FindingCode::Recovered], Verdict::Warning), "{found:?}");
    }
    // One that was stopped at once knows that it has lost nothing.
    let stopped = PartFrames { encoded: Some(0), written: Some(0), ..PartFrames::default() };
    let stopped = PartRecord { frames: stopped, ..died };
    assert_eq!(judge("cam1.mp4", 1, Some(&stopped), &Found::Nothing { bytes: 1000 }).verdict, Verdict::Ok);
    // And another file in its place is another file.
    let swapped =
        judge("cam1.mp4", 1, Some(&stopped), &Found::Part(Box::new(FoundPart { finalised: false, ..found() })));
    assert_ne!(swapped.verdict, Verdict::Ok);
}

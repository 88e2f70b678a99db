//! What follows from where parts lie.

use super::*;
use crate::model::encoding::{Container, VideoCodec};
use crate::model::session::VideoTrack;
use proptest::prelude::*;

fn part(part: u32, fps: Option<f64>, offset_ns: i64, duration_ns: i64) -> PartRecord {
    PartRecord {
        offset_ns: Some(offset_ns),
        duration_ns: duration_ns as u64,
        bytes: 1,
        video: Some(VideoTrack { codec: VideoCodec::H264, width: 640, height: 360, fps }),
        ..PartRecord::new(part, format!("a.part{part}.mp4"), Container::Mp4, PartEnd::Split)
    }
}

fn gaps(parts: [PartRecord; 2]) -> usize {
    let parts = parts.into_iter().map(|part| (part.part, part)).collect();
    let facts = InputFacts { parts, ..InputFacts::default() };
    facts.into_parts().iter().map(|part| part.gaps.len()).sum()
}

proptest! {
    /// Matroska rounds every time to a millisecond, and a camera is never quite on time.
    #[test]
    fn two_missing_frames_are_a_gap_and_rounding_is_none(
        fps in prop_oneof![Just(30000.0 / 1001.0), Just(23.976), (5u32..=240).prop_map(f64::from)],
        frames in 1i64..200_000,
        missing in prop_oneof![Just(0i64), 2i64..6],
        rounding in prop::array::uniform3(-500_000i64..=500_000),
    ) {
        let at = |frame: i64| (frame as f64 * 1e9 / fps) as i64;
        let first = part(1, Some(fps), rounding[0].max(0), at(frames) + rounding[1]);
        let second = part(2, Some(fps), at(frames + missing) + rounding[2], at(10));
        prop_assert_eq!(gaps([first, second]), usize::from(missing > 0));
    }
}

#[test]
fn where_no_frame_has_a_known_length_a_tenth_of_a_second_is_a_gap() {
    for (silence_ms, expected) in [(90, 0), (110, 1)] {
        let second = part(2, None, 1_000_000_000 + silence_ms * 1_000_000, 1_000_000_000);
        assert_eq!(gaps([part(1, None, 0, 1_000_000_000), second]), expected);
    }
}

fn with(parts: impl IntoIterator<Item = PartRecord>) -> InputFacts {
    InputFacts { parts: parts.into_iter().map(|part| (part.part, part)).collect(), ..InputFacts::default() }
}

fn empty(number: u32) -> PartRecord {
    PartRecord { offset_ns: None, end: PartEnd::Empty, video: None, ..part(number, None, 0, 0) }
}

fn told(facts: InputFacts, stopped_ns: Option<i64>) -> Vec<(i64, i64)> {
    let parts = InputFacts { stopped: stopped_ns, ..facts }.into_parts();
    parts.iter().flat_map(|part| &part.gaps).map(|gap| (gap.from_ns, gap.to_ns)).collect()
}

#[test]
fn what_a_worker_lost_that_died_before_its_first_fragment_is_a_gap() {
    let second = || part(2, Some(30.0), 1_500_000_000, 1_000_000_000);
    assert_eq!(told(with([empty(1), second()]), None), [(0, 1_500_000_000)]);
    // It died before there was a file.
    assert_eq!(told(with([second()]), None), [(0, 1_500_000_000)]);
    // The second worker lost the same way, the third began.
    let third = part(3, Some(30.0), 9_000_000_000, 1_000_000_000);
    assert_eq!(told(with([empty(1), empty(2), third]), None), [(0, 9_000_000_000)]);
    // A first part tells itself when it begins late, once it holds something; who dies just then tells nothing.
    let late = |end| PartRecord { end, ..part(1, Some(30.0), 1_500_000_000, 1_000_000_000) };
    assert_eq!(told(with([late(PartEnd::Split)]), None), []);
    assert_eq!(told(with([late(PartEnd::WorkerDied)]), None), [(0, 1_500_000_000)]);
    let cause = |facts: InputFacts| facts.into_parts()[0].gaps[0].cause.clone();
    assert_eq!(cause(with([late(PartEnd::WorkerDied)])), LATE_START);
    let gap = Gap { from_ns: 0, to_ns: 1_500_000_000, cause: "no_signal".into() };
    let told_before = InputFacts { gaps: vec![gap], ..with([late(PartEnd::WorkerDied)]) };
    assert_eq!(cause(told_before), "no_signal");
    assert_eq!(told(with([empty(1)]), Some(5_000_000_000)), [(0, 5_000_000_000)]);
}

#[test]
fn a_recording_that_was_completed_long_before_the_stop_was_not_asked_to() {
    let done = || PartRecord { end: PartEnd::Completed, ..part(1, Some(30.0), 0, 60_000_000_000) };
    assert_eq!(told(with([done()]), Some(60_100_000_000)), []);
    assert_eq!(told(with([done()]), Some(59_000_000_000)), []);
    assert_eq!(told(with([done()]), Some(90_000_000_000)), [(60_000_000_000, 90_000_000_000)]);
    assert_eq!(told(with([]), Some(90_000_000_000)), []);
}

/// Regression: a worker that died while it waited for a signal took the cause of the gap with it.
#[test]
fn a_stretch_without_a_signal_is_blamed_on_that_and_the_rest_on_the_death() {
    let gaps = |opened: &[(u32, i64)], parts: Vec<PartRecord>, stopped| {
        let outages = vec![(3_000_000_000, IncidentCode::SourceUnreachable)];
        let facts = InputFacts { outages, opened: opened.iter().copied().collect(), ..with(parts) };
        let parts = InputFacts { stopped, ..facts }.into_parts();
        let gap = |gap: &Gap| (gap.from_ns / 1_000_000, gap.to_ns / 1_000_000, gap.cause.clone());
        parts.iter().flat_map(|part| &part.gaps).map(gap).collect::<Vec<_>>()
    };
    let died = || PartRecord { end: PartEnd::WorkerDied, ..part(1, Some(30.0), 0, 2_000_000_000) };
    let next = || part(2, Some(30.0), 9_300_000_000, 1_000_000_000);
    let gap = |from, to, cause: &str| (from, to, cause.to_owned());
    let dark = |to| gap(3_000, to, "source_unreachable");
    let both = [gap(2_000, 3_000, "worker_died"), dark(9_000), gap(9_000, 9_300, "worker_died")];
    assert_eq!(gaps(&[(1, 0), (2, 9_000_000_000)], vec![died(), next()], None), both);
    let never = [gap(2_000, 3_000, "worker_died"), dark(9_000)];
    assert_eq!(gaps(&[(1, 0)], vec![died()], Some(9_000_000_000)), never);
}

/// Steps of the wall clock and sleeps stand in the manifest; a sleep is a gap of every input that ran then, without a
/// length, and moves no other gap.
#[test]
fn a_sleep_is_a_gap_and_a_step_is_none() {
    let fact = |t_ns, n, kind| Line {
        t_ns,
        at: Timestamp::UNIX_EPOCH,
        kind: JournalKind::Fact { input: "a".parse().expect("an id"), fact: crate::model::session::Fact { n, kind } },
    };
    const S: i64 = 1_000_000_000;
    let line = |t_ns, kind| Line { t_ns, at: Timestamp::UNIX_EPOCH, kind };
    let two = part(2, Some(30.0), 14 * S, 10 * S);
    let lines = [
        fact(10 * S, 1, FactKind::PartClosed(part(1, Some(30.0), 0, 10 * S))),
        line(12 * S, JournalKind::Suspend { slept_ns: 3_600_000_000_000 }),
        line(15 * S, JournalKind::ClockStep { step_ns: -7 * S }),
        fact(24 * S, 2, FactKind::PartClosed(two)),
    ];
    let mut parts = InputFacts::of(&"a".parse().expect("an id"), &lines).into_parts();
    tell_suspends(&lines, &mut parts);
    assert!(parts[0].gaps.is_empty());
    let told: Vec<_> = parts[1].gaps.iter().map(|gap| (gap.from_ns, gap.to_ns, gap.cause.as_str())).collect();
    assert_eq!(told, [(10 * S, 14 * S, "worker_died"), (12 * S, 12 * S, "suspended")]);
    let steps = clock_steps(&lines);
    assert_eq!((steps.len(), steps[0].t_ns, steps[0].step_ns), (1, 15 * S, -7 * S));
    let codes: Vec<_> = lines.iter().filter_map(incident).map(|told| told.incident.code).collect();
    assert_eq!(codes, [IncidentCode::Suspended, IncidentCode::ClockStepped]);
}

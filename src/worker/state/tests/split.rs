//! One part after the other without a gap: what begins a split, what it waits for, what it may cost.

use super::*;
use crate::model::policy::Split;

fn policy(after: Option<Duration>, bytes: Option<u64>) -> WorkerPolicy {
    WorkerPolicy { split: Split { after, bytes }, ..WorkerPolicy::default() }
}

/// A bench that has recorded for two seconds.
fn recording(after: Option<Duration>, bytes: Option<u64>) -> Bench {
    let mut bench = Bench::with_policy(OnSignalLoss::Split, policy(after, bytes));
    bench.origin_at_growth = true;
    bench.start();
    bench.run(s(2), true);
    bench
}

fn ends(bench: &Bench) -> Vec<(u32, PartEnd)> {
    let end = |(_, kind): &(u64, FactKind)| match kind {
        FactKind::PartClosed(record) => Some((record.part, record.end)),
        _ => None,
    };
    bench.facts.iter().filter_map(end).collect()
}

fn is_done(bench: &Bench) -> bool {
    matches!(bench.facts.last(), Some((_, FactKind::Done { .. })))
}

#[test]
fn a_command_opens_the_next_part_beside_the_one_that_is_written() {
    let mut bench = recording(None, None);
    bench.ask_split();
    bench.tick();
    assert_eq!((bench.number(), bench.next), (1, Some(2)));
    // Whoever asks again before the keyframe, or right after it, means the same split.
    bench.ask_split();
    bench.keyframe();
    bench.run(Duration::from_millis(500), true);
    bench.ask_split();
    bench.run(Duration::from_millis(500), true);
    assert_eq!((bench.number(), bench.next), (2, None));
    assert_eq!(bench.shown().1, Some(RecordingState::Recording));
    bench.settle();
    assert_eq!(ends(&bench), [(1, PartEnd::Split)]);
    assert_eq!(bench.incidents(), []);
}

#[test]
fn time_and_size_begin_a_split_by_themselves() {
    let mut by_time = recording(Some(s(10)), None);
    by_time.run(s(5), true);
    assert_eq!(by_time.next, None);
    by_time.run(s(2), true);
    assert_eq!(by_time.next, Some(2), "prepared before the ten seconds are over");

    // The bench's sink writes 2000 bytes a second; two seconds are the margin.
    let mut by_size = recording(None, Some(20_000));
    by_size.run(s(5), true);
    assert_eq!(by_size.next, None);
    by_size.run(s(2), true);
    assert_eq!(by_size.next, Some(2));
}

#[test]
fn a_slow_disk_makes_a_split_wait_and_the_part_grow_on() {
    let mut bench = recording(None, None);
    bench.ask_split();
    bench.tick();
    bench.keyframe();
    bench.run(s(3), true);
    bench.ask_split();
    bench.run(s(2), true);
    assert_eq!(bench.opened, [1, 2], "the first part still settles");
    bench.settle();
    bench.tick();
    assert_eq!(bench.next, Some(3));
}

#[test]
fn a_split_without_a_keyframe_is_given_up_and_costs_an_empty_file_only() {
    let mut bench = recording(None, None);
    bench.ask_split();
    bench.run(s(13), true);
    assert_eq!((bench.number(), bench.next), (1, None));
    bench.settle();
    assert_eq!(ends(&bench), [(2, PartEnd::Empty)]);
    assert_eq!(bench.shown().1, Some(RecordingState::Recording));
    bench.run(s(30), true);
    bench.ask_split();
    bench.tick();
    assert_eq!(bench.next, Some(3), "its number is not used again");
}

#[test]
fn a_next_part_that_fails_leaves_the_one_that_is_written_alone() {
    let mut bench = recording(None, None);
    bench.ask_split();
    bench.tick();
    bench.feed(Event::TakeFailed { part: Some(2), reason: "no such muxer".into() });
    bench.run(s(1), true);
    assert_eq!((bench.number(), bench.shown().1), (1, Some(RecordingState::Recording)));
}

#[test]
fn the_end_waits_for_the_part_that_settles() {
    let mut bench = recording(None, None);
    bench.ask_split();
    bench.tick();
    bench.keyframe();
    bench.run(s(1), true);
    bench.feed(Event::Stop { reply: REPLY, session: session() });
    bench.close_part();
    assert!(!is_done(&bench));
    assert_eq!(bench.shown().1, Some(RecordingState::Stopping));
    bench.settle();
    assert_eq!((is_done(&bench), bench.shown().1), (true, Some(RecordingState::Done)));
    assert_eq!(ends(&bench), [(2, PartEnd::Completed), (1, PartEnd::Split)]);
}

#[test]
fn a_stop_before_the_keyframe_closes_both_files() {
    for slow_files in [false, true] {
        let mut bench = recording(None, None);
        bench.slow_files = slow_files;
        bench.ask_split();
        bench.tick();
        bench.feed(Event::Stop { reply: REPLY, session: session() });
        bench.close_part();
        assert!(!is_done(&bench));
        bench.settle();
        assert!(is_done(&bench));
        assert_eq!(ends(&bench), [(1, PartEnd::Completed), (2, PartEnd::Empty)]);
    }
}

#[test]
fn what_ends_the_part_in_the_moment_the_next_has_begun_ends_the_next() {
    let stop = || Event::Stop { reply: REPLY, session: session() };
    let full = || Event::PartTrouble { part: 1, trouble: Trouble::DiskFull };
    let poison = || Event::TakeFailed { part: None, reason: "poison".into() };
    let no_muxer = || Event::TakeFailed { part: Some(2), reason: "no such muxer".into() };
    for (event, end) in [
        (stop(), PartEnd::Completed),
        (full(), PartEnd::DiskFull),
        (poison(), PartEnd::Cut),
        (Event::SourceEnded, PartEnd::SignalLost),
        (no_muxer(), PartEnd::Cut),
    ] {
        let mut bench = recording(None, None);
        bench.ask_split();
        bench.tick();
        bench.silent_keyframe();
        let told = format!("{event:?}");
        bench.feed(event);
        assert_eq!(bench.part, Some((2, Some(end))), "{told}");
        bench.settle();
        bench.close_part();
        assert_eq!(ends(&bench), [(1, PartEnd::Split), (2, end)], "{told}");
    }
}

#[test]
fn a_part_that_has_begun_when_it_is_given_up_is_recorded() {
    let mut bench = recording(None, None);
    bench.ask_split();
    bench.run(s(2), true);
    bench.silent_keyframe();
    bench.run(s(12), true);
    assert_eq!((bench.part, bench.shown().1), (Some((2, None)), Some(RecordingState::Recording)));
}

#[test]
fn a_write_error_beside_costs_the_part_that_is_written_nothing() {
    let write = || Trouble::Write("EIO".into());
    let mut bench = recording(None, None);
    bench.ask_split();
    bench.tick();
    bench.feed(Event::PartTrouble { part: 2, trouble: write() });
    bench.run(s(1), true);
    assert_eq!((bench.part, bench.shown().1), (Some((1, None)), Some(RecordingState::Recording)));
    bench.settle();
    bench.run(s(31), true);
    bench.ask_split();
    bench.tick();
    bench.keyframe();
    bench.feed(Event::PartTrouble { part: 1, trouble: write() });
    bench.run(s(1), true);
    assert_eq!((bench.part, bench.shown().1), (Some((3, None)), Some(RecordingState::Recording)));
    assert_eq!(bench.incidents(), [IncidentCode::DiskError]);
}

#[test]
fn a_split_of_what_is_not_recorded_is_refused() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    let event = Event::Split { reply: REPLY, session: session(), at: bench.now };
    let effects = bench.state.handle(bench.now, event);
    let refused = |effect: &Effect| matches!(effect, Effect::Ack { refused: Some(refusal), .. } if refusal.code == "not_recording");
    assert!(effects.iter().any(refused), "{effects:?}");
}

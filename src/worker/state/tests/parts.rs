//! From one part to the next: pauses, deadlines of closing, causes of gaps, what clears an incident.

use super::*;
use crate::media::pipeline::TEARDOWN_DEADLINE;
use crate::model::session::Gap;

/// The pauses of [`super::super::pace`] allow no more attempts than this in a minute without media.
const ATTEMPTS_PER_MINUTE: usize = 8;

fn gaps(bench: &Bench) -> Vec<Gap> {
    let gap = |(_, kind): &(u64, FactKind)| match kind {
        FactKind::Gap(gap) => Some(gap.clone()),
        _ => None,
    };
    bench.facts.iter().filter_map(gap).collect()
}

fn closed(bench: &Bench) -> Vec<u32> {
    let part = |(_, kind): &(u64, FactKind)| match kind {
        FactKind::PartClosed(record) => Some(record.part),
        _ => None,
    };
    bench.facts.iter().filter_map(part).collect()
}

proptest! {
    #[test]
    fn what_fails_without_media_is_tried_a_few_times_a_minute(ways in prop::collection::vec(0u8..3, 600)) {
        let mut bench = Bench::new(OnSignalLoss::Split);
        bench.refuses = ways[0] == 0;
        bench.start();
        for way in ways {
            bench.refuses = way == 0;
            if way == 1 && bench.part.is_some() {
                bench.feed(Event::TakeFailed { part: None, reason: "no such encoder".into() });
            }
            if bench.part.is_some() {
                bench.written = Some(Duration::ZERO);
            }
            bench.tick();
            if way != 2 {
                bench.close_part();
            }
        }
        prop_assert!(bench.attempts <= ATTEMPTS_PER_MINUTE, "{} attempts", bench.attempts);
    }
}

#[test]
fn the_first_failure_costs_no_pause_and_a_repeated_one_a_second() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(2), true);
    for (failure, opened) in [(1, 2), (2, 2)] {
        bench.feed(Event::TakeFailed { part: None, reason: format!("number {failure}") });
        bench.close_part();
        assert_eq!(bench.opened.len(), opened, "failure {failure}");
        bench.run(s(2), true);
    }
    assert_eq!(bench.opened.len(), 3);
}

#[test]
fn slow_finalising_is_not_a_cut() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(1), true);
    bench.feed(Event::Stop { reply: REPLY, session: session() });
    bench.feed(Event::PartFlushed { part: 1 });
    bench.feed(Event::PartReleased { part: 1 });
    bench.run(s(40), false);
    assert_eq!(bench.part, Some((1, Some(PartEnd::Completed))));
    bench.close_part();
    assert_eq!(bench.shown().1, Some(RecordingState::Done));
    assert_eq!(bench.incidents(), []);
}

#[test]
fn a_teardown_that_hangs_is_left_behind() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(1), true);
    bench.feed(Event::TakeFailed { part: None, reason: "poison".into() });
    let (stuck, written) = (bench.part.take(), bench.written.take());
    bench.run(TEARDOWN_DEADLINE + s(1), false);
    assert_eq!(bench.incidents(), [IncidentCode::PipelineFailed, IncidentCode::TeardownStuck]);
    assert_eq!(bench.opened, [1, 2]);
    // It lets go after all: its end becomes a fact, the part that took its place goes on.
    let present = (std::mem::replace(&mut bench.part, stuck), std::mem::replace(&mut bench.written, written));
    bench.close_part();
    (bench.part, bench.written) = present;
    assert_eq!(closed(&bench), [1]);
    bench.run(s(1), true);
    assert_eq!(bench.shown().1, Some(RecordingState::Recording));
    assert!(bench.state.active.is_empty(), "{:?}", bench.state.active);
}

#[test]
fn a_stop_whose_teardown_hangs_ends() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(1), true);
    bench.feed(Event::Stop { reply: REPLY, session: session() });
    bench.run(s(15) + TEARDOWN_DEADLINE + s(1), false);
    assert_eq!(bench.shown().1, Some(RecordingState::Done));
    assert_eq!(bench.incidents(), [IncidentCode::StopCut, IncidentCode::TeardownStuck]);
}

#[test]
fn a_part_that_could_not_be_finalised_is_left_to_the_close_of_the_session() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(1), true);
    bench.feed(Event::Stop { reply: REPLY, session: session() });
    bench.unfinalised = Some("I/O error".into());
    bench.close_part();
    assert_eq!(bench.incidents(), [IncidentCode::DiskError]);
    assert_eq!(closed(&bench), [0u32; 0]);
    assert_eq!(bench.shown().1, Some(RecordingState::Done));
}

#[test]
fn a_gap_at_the_beginning_blames_the_signal_only_if_there_was_none() {
    let mut late = Bench::new(OnSignalLoss::Split);
    late.refuses = true;
    late.start();
    late.refuses = false;
    late.origin_at_growth = true;
    late.run(s(3), true);
    assert_eq!(gaps(&late).iter().map(|gap| gap.cause.as_str()).collect::<Vec<_>>(), ["late_start"]);

    let mut dark = Bench::new(OnSignalLoss::Split);
    dark.frames = false;
    dark.run(s(3), false);
    dark.start();
    dark.frames = true;
    dark.origin_at_growth = true;
    dark.run(s(3), true);
    dark.feed(Event::SourceFormat(format()));
    dark.run(s(3), true);
    assert_eq!(gaps(&dark).iter().map(|gap| gap.cause.as_str()).collect::<Vec<_>>(), ["no_signal"]);
}

/// Regression: the time in which a replacement found no camera was held to be lost with the worker before it.
#[test]
fn a_replacement_that_finds_no_signal_tells_since_when() {
    // Its source shows nothing for `before` and `behind` its start.
    let replacement = |before: Duration, behind: Duration| {
        let mut bench = Bench::opening(OnSignalLoss::Split, WorkerPolicy::default());
        let origin = bench.now;
        bench.frames = false;
        bench.run(before, false);
        let mut ticket = ticket(origin);
        (ticket.first_part, ticket.first_fact) = (2, 7);
        bench.feed(Event::Start { reply: REPLY, ticket: Box::new(ticket) });
        bench.run(behind, false);
        (bench.frames, bench.origin_at_growth) = (true, true);
        bench.feed(Event::SourceFormat(format()));
        bench.run(s(3), true);
        bench.feed(Event::SourceFormat(format()));
        bench.run(s(3), true);
        assert_eq!(bench.opened, [2]);
        let offset = bench.origin.expect("an origin").since(origin);
        (gaps(&bench), i64::try_from(offset.as_nanos()).expect("a short time"))
    };
    // A camera takes a moment to open: nobody but the dead one is to blame.
    assert_eq!(replacement(s(0), s(1)).0, []);
    // Found out while it recorded, or before.
    for (before, behind, from_ns) in [(s(1), s(15), 0), (s(15), s(4), 15_000 * MS as i64)] {
        let (told, to_ns) = replacement(before, behind);
        assert_eq!(told, [Gap { from_ns, to_ns, cause: "no_signal".into() }]);
    }
}

/// Regression: a kill just behind the first fragment took the part's place on the timeline with it.
#[test]
fn where_a_part_begins_is_told_before_anything_of_it_is_in_the_file() {
    let begun = |bench: &Bench| -> Vec<_> {
        let begin = |(_, kind): &(u64, FactKind)| match kind {
            FactKind::PartStarted { part, offset_ns } => Some((*part, *offset_ns)),
            _ => None,
        };
        bench.facts.iter().filter_map(begin).collect()
    };
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(1), false);
    assert_eq!(begun(&bench), []);
    let origin = bench.now;
    bench.origin = Some(origin);
    bench.tick();
    assert_eq!(begun(&bench), [(1, 1_000 * MS as i64)], "nothing is written yet");
    bench.run(s(3), true);
    // The next one begins in the moment the first is over.
    bench.ask_split();
    bench.run(s(1), true);
    bench.keyframe();
    let next = bench.origin.expect("an origin").since(origin) + s(1);
    bench.tick();
    let both = [(1, 1_000 * MS as i64), (2, i64::try_from(next.as_nanos()).expect("a short time"))];
    assert_eq!(begun(&bench), both);
    // Told once, also while it is closed.
    bench.feed(Event::Stop { reply: REPLY, session: session() });
    bench.run(s(1), true);
    assert_eq!(begun(&bench), both);

    let mut short = Bench::new(OnSignalLoss::Split);
    short.start();
    short.feed(Event::Stop { reply: REPLY, session: session() });
    short.origin = Some(short.now);
    short.run(s(1), false);
    assert_eq!(begun(&short), [(1, 0)], "the last fragment is flushed as well");
}

#[test]
fn a_disk_is_doubted_until_another_part_is_safe() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(1), true);
    bench.feed(Event::PartTrouble { part: bench.number(), trouble: Trouble::Sync("EIO".into()) });
    bench.run(s(5), true);
    assert!(bench.state.active.contains_key(&IncidentCode::SyncFailed));
    bench.feed(Event::TakeFailed { part: None, reason: "poison".into() });
    bench.settle();
    bench.close_part();
    // The second was to follow it, and has not begun.
    assert_eq!(bench.opened, [1, 2, 3]);
    assert!(bench.state.active.contains_key(&IncidentCode::SyncFailed));
    bench.run(s(1), true);
    assert!(bench.state.active.is_empty(), "{:?}", bench.state.active);
}

#[test]
fn the_flush_of_a_stop_has_a_deadline() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(1), true);
    bench.feed(Event::Stop { reply: REPLY, session: session() });
    bench.run(s(16), false);
    assert_eq!(bench.part, Some((1, Some(PartEnd::Cut))));
    bench.close_part();
    assert_eq!(bench.shown().1, Some(RecordingState::Done));
    assert_eq!(bench.incidents(), [IncidentCode::StopCut]);
    assert!(bench.state.active.is_empty(), "it is over: {:?}", bench.state.active);
}

#[test]
fn deadlines_do_not_run_while_the_worker_itself_stands_still() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(1), true);
    bench.now = bench.now.plus(s(40));
    // A file grows every half second at best.
    bench.run(Duration::from_millis(500), false);
    assert_eq!((bench.part, bench.incidents()), (Some((1, None)), Vec::new()));
    bench.run(s(1), true);
    assert_eq!(bench.shown().1, Some(RecordingState::Recording));
    bench.feed(Event::Stop { reply: REPLY, session: session() });
    bench.run(s(10), false);
    bench.now = bench.now.plus(s(40));
    bench.run(s(4), false);
    assert_eq!(bench.part, Some((1, Some(PartEnd::Completed))), "what was captured had no chance to be flushed");
    bench.run(s(2), false);
    assert_eq!(bench.part, Some((1, Some(PartEnd::Cut))));
}

/// A start is the busiest moment.
#[test]
fn a_part_that_has_not_grown_yet_is_not_called_stalled_because_the_worker_stood_still() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(Duration::from_millis(200), false);
    bench.now = bench.now.plus(s(40));
    bench.run(s(1), false);
    assert_eq!((bench.part, bench.incidents()), (Some((1, None)), Vec::new()));
    assert_eq!(bench.shown().1, Some(RecordingState::Starting));
    bench.run(s(2), false);
    assert_eq!(bench.shown().1, Some(RecordingState::Stalled));
}

#[test]
fn where_every_look_is_late_a_stall_is_seen_and_a_stop_is_cut_all_the_same() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(1), true);
    let look = |bench: &mut Bench| {
        bench.now = bench.now.plus(Duration::from_millis(900));
        bench.tick();
    };
    (0..5).for_each(|_| look(&mut bench));
    assert_eq!(bench.shown().1, Some(RecordingState::Stalled));
    bench.feed(Event::Stop { reply: REPLY, session: session() });
    (0..40).for_each(|_| look(&mut bench));
    assert_eq!(bench.part, Some((1, Some(PartEnd::Cut))));
}

/// A worker that leaves although nobody asked to stop the session is replaced, whether it failed or somebody ended it; one
/// that says it is done is not (R-SUP-5).
#[test]
fn a_worker_that_leaves_unasked_closes_its_part_and_leaves_the_recording_to_another() {
    let done = |bench: &Bench| bench.facts.iter().any(|(_, kind)| matches!(kind, FactKind::Done { .. }));
    let stop = || Event::Stop { reply: REPLY, session: session() };
    let failed = || Event::StageFailed { reason: "gone".into() };
    let cases = [(vec![failed()], false), (vec![Event::Terminate], false), (vec![stop(), Event::Terminate], true)];
    for (events, said) in cases {
        let mut bench = Bench::new(OnSignalLoss::Split);
        bench.start();
        bench.run(s(2), true);
        for event in events {
            bench.feed(event);
        }
        bench.close_part();
        bench.tick();
        assert_eq!((closed(&bench), done(&bench), bench.exit.is_some()), (vec![1], said, true));
    }
}

//! What becomes of a recording whose file does not grow although frames arrive (R-FM-2).

use super::*;
use crate::media::pipeline::TEARDOWN_DEADLINE;
use crate::model::policy::StallAction;

fn stalled_for(action: StallAction, time: Duration) -> Bench {
    let policy = WorkerPolicy { stall_action: action, ..WorkerPolicy::default() };
    let mut bench = Bench::with_policy(OnSignalLoss::Split, policy);
    bench.start();
    bench.run(s(2), true);
    bench.run(time, false);
    bench
}

#[test]
fn a_stall_ends_the_recording_where_that_is_asked_for() {
    let mut bench = stalled_for(StallAction::Stop, s(29));
    assert_eq!((bench.part, bench.shown().1), (Some((1, None)), Some(RecordingState::Stalled)));
    bench.run(s(2), false);
    assert_eq!(bench.part, Some((1, Some(PartEnd::Stalled))));
    bench.close_part();
    bench.run(s(60), false);
    assert_eq!((bench.opened.len(), bench.shown().1), (1, Some(RecordingState::Failed)));
    assert_eq!((bench.incidents(), bench.exit), (vec![IncidentCode::RecordingStalled], None));
}

#[test]
fn a_part_says_that_it_stalled_also_when_there_is_nothing_in_it() {
    let mut bench = stalled_for(StallAction::Restart, s(31));
    bench.finish_part(1, s(2), PartEnd::Stalled);
    bench.written = Some(Duration::ZERO);
    bench.run(s(31), false);
    bench.finish_part(2, Duration::ZERO, PartEnd::Empty);
    bench.run(s(2), true);
    bench.feed(Event::Stop { reply: REPLY, session: session() });
    bench.close_part();
    let stalled = |(_, kind): &(u64, FactKind)| match kind {
        FactKind::PartClosed(record) => Some((record.part, record.stalled)),
        _ => None,
    };
    let stalled: Vec<_> = bench.facts.iter().filter_map(stalled).collect();
    assert_eq!(stalled, [(1, true), (2, true), (3, false)]);
}

#[test]
fn a_stall_whose_teardown_hangs_leaves_the_recording_to_another_worker() {
    let mut bench = stalled_for(StallAction::Restart, s(31));
    assert_eq!(bench.part, Some((1, Some(PartEnd::Stalled))));
    bench.run(TEARDOWN_DEADLINE + s(1), false);
    assert_eq!((bench.opened.len(), bench.exit), (1, Some(1)), "{:?}", bench.facts);
    let done = bench.facts.iter().any(|(_, kind)| matches!(kind, FactKind::Done { .. }));
    assert!(!done, "somebody is to go on with it");

    // One that ends, or is told to stop, has nothing to hand on.
    let mut ended = stalled_for(StallAction::Stop, s(31));
    ended.run(TEARDOWN_DEADLINE + s(1), false);
    assert_eq!((ended.exit, ended.shown().1), (None, Some(RecordingState::Failed)));
    let mut stopped = stalled_for(StallAction::Restart, s(31));
    stopped.feed(Event::Stop { reply: REPLY, session: session() });
    stopped.run(TEARDOWN_DEADLINE + s(1), false);
    assert_eq!((stopped.exit, stopped.shown().1), (None, Some(RecordingState::Done)));
}

#[test]
fn a_trickle_is_a_stall_that_costs_no_part_and_none_without_frames() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(2), true);
    // The bench's sink writes 2000 bytes a second: a fifth of that, for a minute.
    for _ in 0..60 {
        bench.run(Duration::from_millis(200), true);
        bench.run(Duration::from_millis(800), false);
    }
    assert_eq!((bench.part, bench.shown().1), (Some((1, None)), Some(RecordingState::Recording)));
    assert_eq!(bench.incidents(), [IncidentCode::RecordingStalled]);
    assert!(bench.state.active.contains_key(&IncidentCode::RecordingStalled));
    bench.run(s(12), true);
    assert!(bench.state.active.is_empty(), "{:?}", bench.state.active);

    // Counted from the start.
    let mut from_start = Bench::new(OnSignalLoss::Split);
    from_start.start();
    from_start.run(s(9), false);
    assert_eq!(from_start.incidents(), []);
    from_start.run(s(2), false);
    assert_eq!(from_start.incidents(), [IncidentCode::RecordingStalled]);
}

//! What becomes of a recording whose part never comes into being although the disk answers.

use super::*;

/// The file of its first part is asked for, and nothing comes of that for `time`.
fn hung_for(time: Duration) -> Bench {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.opening_hangs = true;
    bench.start();
    bench.run(time, false);
    bench
}

fn is_done(bench: &Bench) -> bool {
    bench.facts.iter().any(|(_, kind)| matches!(kind, FactKind::Done { .. }))
}

#[test]
fn a_worker_whose_part_hangs_before_it_begins_leaves_it_to_another_one() {
    let mut bench = hung_for(s(9));
    assert_eq!(bench.incidents(), []);
    bench.run(s(20), false);
    assert_eq!((bench.incidents(), bench.exit), (vec![IncidentCode::RecordingStalled], None));
    bench.run(s(2), false);
    assert_eq!((bench.opened.clone(), bench.exit, is_done(&bench)), (vec![1], Some(1), false), "{:?}", bench.facts);
    assert!(bench.incidents().contains(&IncidentCode::PipelineFailed));

    // The next one hangs, behind a part that was whole.
    let mut later = Bench::new(OnSignalLoss::Split);
    later.start();
    later.run(s(2), true);
    later.opening_hangs = true;
    later.feed(Event::TakeFailed { part: Some(1), reason: "an encoder".into() });
    later.close_part();
    later.run(s(29), false);
    assert_eq!((later.opened.clone(), later.exit), (vec![1, 2], None));
    later.run(s(2), false);
    assert_eq!((later.exit, is_done(&later)), (Some(1), false));
}

#[test]
fn a_disk_that_does_not_answer_is_no_reason_to_leave_and_gives_the_whole_time_again() {
    let mut bench = hung_for(s(20));
    bench.disk_waits_since = Some(bench.now);
    bench.run(s(120), false);
    assert_eq!(bench.exit, None);
    bench.disk_waits_since = None;
    bench.run(s(29), false);
    assert_eq!(bench.exit, None);
    bench.run(s(3), false);
    assert_eq!(bench.exit, Some(1));
}

#[test]
fn without_an_engine_a_hung_worker_stays_until_there_is_one_or_what_hangs_comes_to_itself() {
    let orphan = || {
        let mut bench = hung_for(s(5));
        bench.feed(Event::EngineGone);
        bench.run(s(600), false);
        assert_eq!((bench.exit, bench.opened.len()), (None, 1));
        bench
    };
    let mut found = orphan();
    found.feed(Event::EngineConnected);
    found.run(s(1), false);
    assert_eq!((found.exit, is_done(&found)), (Some(1), false));

    let mut late = orphan();
    (late.opening_hangs, late.part, late.written) = (false, Some((1, None)), Some(Duration::ZERO));
    late.feed(Event::PartOpened { part: 1, file: "cam1.mp4".into() });
    late.run(s(3), true);
    late.feed(Event::EngineConnected);
    late.run(s(60), true);
    assert_eq!((late.shown().1, late.exit), (Some(RecordingState::Recording), None));
}

#[test]
fn a_stop_of_a_recording_that_hangs_before_it_begins_is_carried_out_after_all() {
    let mut bench = hung_for(s(5));
    bench.feed(Event::Stop { reply: REPLY, session: session() });
    bench.run(s(26), false);
    assert_eq!((bench.exit, is_done(&bench)), (Some(1), true), "nobody is to go on with it");
}

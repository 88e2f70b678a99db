//! Nothing overtakes a Stop, and no worker records what it was not configured for.

use super::*;

fn stops(effects: &[Effect]) -> usize {
    let stop =
        |effect: &&Effect| matches!(effect, Effect::Send(_, command) if matches!(**command, Command::Stop { .. }));
    effects.iter().filter(stop).count()
}

#[test]
fn a_worker_of_an_older_configuration_is_replaced_and_never_started() {
    let mut bench = Bench::cold(&["a"]);
    bench.feed(Event::Searched { interrupted: Vec::new(), last: None });
    bench.feed(Event::Space(Some(Space { free: 100_000_000_000, total: 200_000_000_000 })));
    bench.worker("a", WorkerEvent::Linked { link: 1, pid: Some(3), started: MonoNs(0), session: None, older: false });
    bench.status("a", None, RecordingState::Starting, 0);
    bench.record("k");
    bench.ack_configure("a", Some("restart_needed"));
    bench.tick_for(200);
    assert!(bench.done.contains(&Effect::Worker(id("a"), Act::Dismiss)));
    assert_eq!(starts(&bench.done), 0);
    bench.worker("a", WorkerEvent::LinkLost { link: 1 });
    let link = bench.last_link("a");
    let effects = bench.worker("a", WorkerEvent::LockFree { link });
    assert!(effects.contains(&Effect::Worker(id("a"), Act::Spawn)));
    assert_eq!(starts(&bench.spawned("a", 4)), 1);
    assert!(!bench.state.alerts.is_active("a", "worker_died"));
}

#[test]
fn a_stop_does_not_wait_for_a_replacement_that_never_got_its_ticket() {
    let mut bench = Bench::ready(&["a", "b"]);
    let session = bench.record("k");
    bench.status("a", Some(session), RecordingState::Recording, 500);
    bench.worker("a", WorkerEvent::Exited { pid: 1, how: "signal: 9".into() });
    bench.link("a", 7);
    let effects = bench.stop();
    assert_eq!(stops(&effects), 1, "only the worker that records is told: {effects:?}");
    let effects = bench.done_fact("b", session);
    assert_eq!(closes(&effects), Some(Closed::Completed), "nobody else has anything to close");
}

#[test]
fn a_stop_does_not_wait_for_a_worker_that_refused_its_start() {
    let mut bench = Bench::ready(&["a"]);
    bench.record("k");
    let command = bench.done.iter().find_map(|effect| match effect {
        Effect::StartWorker { command, .. } => Some(*command),
        _ => None,
    });
    bench.ack("a", command.expect("a start"), Some("busy"));
    let effects = bench.stop();
    assert_eq!((stops(&effects), closes(&effects)), (0, Some(Closed::Failed)), "it has nothing to close");
}

#[test]
fn a_refused_start_is_named_and_tried_again() {
    let mut bench = Bench::ready(&["a"]);
    bench.record("k");
    let start = |bench: &Bench| {
        let starts = bench.done.iter().rev().filter_map(|effect| match effect {
            Effect::StartWorker { command, .. } => Some(*command),
            _ => None,
        });
        starts.max().expect("a start")
    };
    let first = start(&bench);
    let effects = bench.ack("a", first, Some("busy"));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Journal { .. })));
    assert!(bench.state.alerts.is_active("a", "pipeline_failed"));
    bench.tick_for(1200);
    let asked = bench.done.iter().any(|effect| matches!(effect, Effect::Number { .. }));
    assert!(asked, "the numbers are looked up again");
    let (link, session) = (bench.last_link("a"), bench.session_id());
    bench.feed(Event::Numbered { input: id("a"), link, session, result: Ok((1, 1)) });
    let second = start(&bench);
    assert_ne!(first, second);
    bench.ack("a", second, None);
    assert!(!bench.state.alerts.is_active("a", "pipeline_failed"));
}

#[test]
fn numbers_that_arrive_after_a_stop_start_nothing() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    bench.worker("a", WorkerEvent::Exited { pid: 1, how: "9".into() });
    bench.spawned("a", 2);
    let link = bench.last_link("a");
    bench.stop();
    let effects = bench.feed(Event::Numbered { input: id("a"), link, session, result: Ok((2, 9)) });
    assert_eq!(starts(&effects), 0);
}

#[test]
fn numbers_that_cannot_be_read_are_asked_for_again_and_never_guessed() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    bench.worker("a", WorkerEvent::Exited { pid: 1, how: "9".into() });
    bench.spawned("a", 2);
    let link = bench.last_link("a");
    let effects = bench.feed(Event::Numbered { input: id("a"), link, session, result: Err("EIO".into()) });
    assert_eq!(starts(&effects), 0);
    assert!(bench.state.alerts.is_active("a", "disk_error"));
    let before = bench.done.len();
    bench.tick_for(1200);
    assert!(bench.done[before..].iter().any(|effect| matches!(effect, Effect::Number { .. })));
}

#[test]
fn a_start_that_failed_in_one_session_is_not_made_up_for_in_the_next() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    bench.worker("a", WorkerEvent::Exited { pid: 1, how: "9".into() });
    bench.spawned("a", 2);
    let link = bench.last_link("a");
    bench.feed(Event::Numbered { input: id("a"), link, session, result: Err("EIO".into()) });
    bench.stop();
    let dir = bench.state.session.as_ref().expect("closing").dir.clone();
    bench.feed(Event::Closed { session, dir, result: Ok(Box::new(closed_session(session, Closed::Failed))) });
    let before = bench.done.len();
    bench.record("k2");
    assert_eq!(starts(&bench.done[before..]), 1);
    bench.tick_for(2000);
    let asked = bench.done[before..].iter().any(|effect| matches!(effect, Effect::Number { .. }));
    assert!(!asked, "it was handed its ticket");
}

#[test]
fn a_worker_that_records_what_nobody_wants_is_stopped_at_most_once_a_second() {
    let mut bench = Bench::ready(&["a"]);
    let other = SessionId(uuid::Uuid::from_u128(99));
    let before = bench.done.len();
    for _ in 0..10 {
        bench.status("a", Some(other), RecordingState::Recording, 100);
        bench.tick_for(200);
    }
    assert_eq!(stops(&bench.done[before..]), 2);
    assert!(reply(&bench.start("k", None)).is_none(), "it waits for the input to be free");
    bench.status("a", Some(other), RecordingState::Done, 100);
    assert!(bench.state.is_idle());
    bench.tick_for(200);
    assert_eq!(bench.session_id(), SessionId(uuid::Uuid::from_u128(u128::from(bench.token))));
}

#[test]
fn a_stop_that_was_overtaken_is_repeated() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    bench.stop();
    let before = bench.done.len();
    bench.status("a", Some(session), RecordingState::Recording, 100);
    assert_eq!(stops(&bench.done[before..]), 0, "it was told this instant");
    bench.tick_for(1000);
    bench.status("a", Some(session), RecordingState::Recording, 1100);
    assert_eq!(stops(&bench.done[before..]), 1);
}

#[test]
fn an_end_that_was_reported_by_a_dead_worker_does_not_end_its_replacement() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    bench.status("a", Some(session), RecordingState::Failed, 100);
    bench.worker("a", WorkerEvent::Exited { pid: 1, how: "9".into() });
    bench.spawned("a", 2);
    bench.tick_for(1400);
    bench.status("a", Some(session), RecordingState::Failed, 0);
    assert!(bench.state.session.as_ref().is_some_and(|session| session.runs()), "its facts have not been waited for");
}

#[test]
fn a_stop_during_a_close_nobody_asked_for_takes_the_session_off_the_screen() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    bench.done_fact("a", session);
    let effects = bench.stop();
    assert!(matches!(reply(&effects), Some(Reply::Stopped(_))));
    let dir = bench.state.session.as_ref().expect("closing").dir.clone();
    bench.feed(Event::Closed { session, dir, result: Ok(Box::new(closed_session(session, Closed::Failed))) });
    assert!(bench.view().session.is_none());
}

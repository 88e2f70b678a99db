//! The engine died; the next one goes on with its session.

use super::start_up::interrupted;
use super::*;
use crate::storage::history::{History, InputHistory, PastPart};

/// Session 77, of which these inputs have written part 1.
pub(super) fn running(inputs: &[&str]) -> Interrupted {
    let mut found = interrupted(77, inputs);
    let parts = vec![PastPart { part: 1, media_ms: 2000, frames: None }];
    let past = InputHistory { parts, started: true, served: true, ..InputHistory::default() };
    found.history.inputs = inputs.iter().map(|input| (id(input), past.clone())).collect();
    found
}

pub(super) fn linked(pid: u32, session: Option<SessionId>) -> WorkerEvent {
    WorkerEvent::Linked { link: 1, pid: Some(pid), started: MonoNs(0), session, older: false }
}

pub(super) fn searched(bench: &mut Bench, found: Interrupted) -> Vec<Effect> {
    bench.feed(Event::Searched { interrupted: vec![found], last: None })
}

pub(super) fn told(effects: &[Effect], input: &str, wanted: fn(&Command) -> bool) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Send(of, command) if *of == id(input) && wanted(command)))
}

pub(super) fn is_stop(command: &Command) -> bool {
    matches!(command, Command::Stop { .. })
}

fn journaled(effects: &[Effect], wanted: impl Fn(&JournalKind) -> bool) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Journal { kind, .. } if wanted(kind))).count()
}

pub(super) fn adopted(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Adopt { epoch: 3, .. })).count()
}

#[test]
fn a_session_that_workers_record_goes_on_whatever_order_they_answer_in() {
    let mut bench = Bench::cold(&["a", "b"]);
    let old = running(&["a", "b"]);
    let session = old.plan.id;
    bench.worker("a", linked(1, Some(session)));
    bench.ack_configure("a", None);
    assert_eq!(adopted(&searched(&mut bench, old)), 1);
    bench.tick_for(400);
    bench.worker("b", linked(2, Some(session)));
    bench.ack_configure("b", None);
    for input in ["a", "b"] {
        bench.status(input, Some(session), RecordingState::Recording, 3000);
    }
    let view = bench.view();
    let shown = view.session.expect("a session");
    assert_eq!((shown.id, shown.state, shown.media_ms), (session, SessionState::Recording, Some(3000)));
    assert!(!told(&bench.done, "a", is_stop) && !told(&bench.done, "b", is_stop));
    assert_eq!(
        (starts(&bench.done), journaled(&bench.done, |kind| matches!(kind, JournalKind::WorkerLost { .. }))),
        (0, 0)
    );
    assert_eq!(refusal(&bench.start("k", None)).status, 409);
    bench.stop();
    bench.done_fact("a", session);
    let effects = bench.done_fact("b", session);
    assert_eq!(closes(&effects), Some(Closed::Completed));
    let dir = "/library/77".into();
    bench.feed(Event::Closed { session, dir, result: Ok(Box::new(closed_session(session, Closed::Completed))) });
    bench.feed(Event::Space(Some(Space { free: 100_000_000_000, total: 200_000_000_000 })));
    let next = bench.record("next");
    assert_ne!(next, session);
    assert_eq!(starts(&bench.done), 2, "the next session is recorded by the same workers");
}

#[test]
fn an_input_whose_worker_died_meanwhile_goes_on_as_the_next_part_and_its_past_counts_once() {
    let mut bench = Bench::cold(&["a", "b"]);
    let old = running(&["a", "b"]);
    let session = old.plan.id;
    bench.worker("a", linked(1, Some(session)));
    searched(&mut bench, old);
    bench.link("b", 2);
    assert_eq!(journaled(&bench.done, |kind| matches!(kind, JournalKind::WorkerLost { .. })), 1);
    assert!(bench.state.alerts.is_active("b", "worker_died"));
    let link = bench.last_link("b");
    let effects = bench.feed(Event::Numbered { input: id("b"), link, session, result: Ok((2, 9)) });
    assert_eq!(starts(&effects), 1);
    let mut report = status(Some(session), RecordingState::Recording, 500);
    report.first_part = Some(2);
    bench.feed(Event::Status { input: id("b"), link, status: Box::new(report) });
    let recording = bench.view().inputs[1].recording.clone().expect("a recording");
    assert_eq!((recording.media_ms, recording.frames.written), (Some(2500), None), "nobody counted part 1");
    assert_eq!(bench.state.inputs[1].worker.attempts(), 1);
}

#[test]
fn a_stop_that_was_asked_for_before_the_engine_died_is_carried_through() {
    let mut bench = Bench::cold(&["a", "b"]);
    let mut old = running(&["a", "b"]);
    old.history.stop_requested = true;
    let past = old.history.inputs.get_mut(&id("b")).expect("b");
    past.done = true;
    let session = old.plan.id;
    searched(&mut bench, old);
    let effects = bench.worker("a", linked(1, Some(session)));
    assert!(told(&effects, "a", is_stop));
    bench.link("b", 2);
    assert_eq!(bench.view().session.map(|session| session.state), Some(SessionState::Stopping));
    assert_eq!(closes(&bench.done_fact("a", session)), Some(Closed::Completed));
    assert_eq!(starts(&bench.done), 0);
}

#[test]
fn a_start_whose_plan_was_written_a_moment_ago_is_finished_and_an_older_one_is_not() {
    for (age_ms, finished) in [(2000, true), (20_000, false)] {
        let mut bench = Bench::cold(&["a"]);
        bench.ms = age_ms;
        let mut old = interrupted(77, &["a"]);
        old.history = History::default();
        searched(&mut bench, old);
        bench.worker("a", linked(1, None));
        bench.ack_configure("a", None);
        assert_eq!(adopted(&bench.done), usize::from(finished));
        assert_eq!(closes(&bench.done), (!finished).then_some(Closed::Recovered));
        if finished {
            let (link, session) = (bench.last_link("a"), bench.session_id());
            let effects = bench.feed(Event::Numbered { input: id("a"), link, session, result: Ok((1, 1)) });
            assert_eq!(starts(&effects), 1);
        }
    }
}

#[test]
fn a_start_nobody_lived_to_see_and_a_session_of_another_boot_are_recovered() {
    let mut bench = Bench::cold(&["a"]);
    searched(&mut bench, interrupted(77, &["a"]));
    bench.link("a", 1);
    assert_eq!((adopted(&bench.done), closes(&bench.done)), (0, Some(Closed::Recovered)));

    let mut bench = Bench::cold(&["a"]);
    let mut old = running(&["a"]);
    old.plan.boot_id = "another".into();
    searched(&mut bench, old);
    bench.link("a", 1);
    assert_eq!((adopted(&bench.done), closes(&bench.done)), (0, Some(Closed::Recovered)));
}

#[test]
fn a_worker_that_records_an_older_session_is_stopped_once_the_newest_is_known() {
    let mut bench = Bench::cold(&["a", "b"]);
    let (mut newest, older) = (running(&["a"]), interrupted(5, &["b"]));
    // The calendar says the opposite: it was moved back.
    newest.plan.start_at_ns = older.plan.start_at_ns.plus(Duration::from_millis(1));
    newest.plan.started_at = Timestamp::from_second(-60).expect("a time");
    let (ours, other) = (newest.plan.id, older.plan.id);
    bench.worker("b", linked(2, Some(other)));
    bench.feed(Event::Searched { interrupted: vec![newest, older], last: None });
    assert!(bench.state.session.is_none() && !told(&bench.done, "b", is_stop));
    bench.worker("a", linked(1, Some(ours)));
    bench.tick_for(1000);
    bench.status("b", Some(other), RecordingState::Recording, 100);
    assert_eq!(bench.session_id(), ours);
    assert!(told(&bench.done, "b", is_stop) && !told(&bench.done, "a", is_stop));
}

#[test]
fn a_worker_of_an_input_that_was_removed_records_on_until_stop_and_is_dismissed_then() {
    let mut bench = Bench::with(Setup { strays: vec![id("gone")], ..setup(&["a"]) });
    let old = running(&["a", "gone"]);
    let session = old.plan.id;
    searched(&mut bench, old);
    bench.worker("a", linked(1, Some(session)));
    bench.worker("gone", linked(9, Some(session)));
    bench.tick_for(2000);
    let report =
        |state| Event::Status { input: id("gone"), link: 1, status: Box::new(status(Some(session), state, 100)) };
    bench.feed(report(RecordingState::Recording));
    assert!(!told(&bench.done, "gone", |_| true));
    assert_eq!(bench.view().inputs.len(), 1);
    let effects = bench.stop();
    assert!(told(&effects, "gone", is_stop));
    bench.done_fact("a", session);
    let effects = bench.feed(report(RecordingState::Done));
    assert!(told(&effects, "gone", |command| matches!(command, Command::Leave { .. })));
    bench.worker("gone", WorkerEvent::LinkLost { link: 1 });
    assert_eq!(closes(&bench.worker("gone", WorkerEvent::LockFree { link: 2 })), Some(Closed::Completed));
}

/// The window shows Stop for it, and "recording" while there is evidence of that (R-TRU-1).
#[test]
fn a_session_that_only_a_removed_input_records_is_shown_as_it_is_and_as_open() {
    let mut bench = Bench::with(Setup { strays: vec![id("gone")], ..setup(&["a"]) });
    let old = running(&["gone"]);
    let session = old.plan.id;
    searched(&mut bench, old);
    bench.link("a", 1);
    bench.worker("gone", linked(9, Some(session)));
    let recording = Box::new(status(Some(session), RecordingState::Recording, 3000));
    bench.feed(Event::Status { input: id("gone"), link: 1, status: recording });
    let shown = |bench: &Bench| {
        let view = bench.view();
        let running = view.is_running();
        view.session.map(|session| (session.state, session.open, session.media_ms, running))
    };
    assert_eq!(shown(&bench), Some((SessionState::Recording, true, Some(3000), true)));
    // Its worker falls silent: nothing proves that it records, and it is open all the same.
    bench.tick_for(3000);
    assert_eq!(shown(&bench), Some((SessionState::Failed, true, Some(3000), true)));
    bench.stop();
    assert_eq!(shown(&bench).map(|(state, ..)| state), Some(SessionState::Stopping));
}

#[test]
fn a_session_that_has_ended_by_itself_is_not_open() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    bench.done_fact("a", session);
    let dir = bench.state.session.as_ref().expect("closing").dir.clone();
    bench.feed(Event::Closed { session, dir, result: Ok(Box::new(closed_session(session, Closed::Failed))) });
    let view = bench.view();
    let shown = view.session.as_ref().map(|session| (session.state, session.open));
    assert_eq!((shown, view.is_running()), (Some((SessionState::Failed, false)), false));
}

#[test]
fn facts_read_again_after_the_adoption_end_what_they_say_has_ended() {
    let mut bench = Bench::cold(&["a"]);
    let old = running(&["a"]);
    let session = old.plan.id;
    let mut history = old.history.clone();
    searched(&mut bench, old);
    bench.worker("a", linked(1, Some(session)));
    history.inputs.get_mut(&id("a")).expect("a").done = true;
    let effects = bench.feed(Event::Adopted { session, result: Ok(Box::new(history)) });
    assert_eq!(closes(&effects), Some(Closed::Failed), "it ended and nobody asked it to");
}

#[test]
fn nothing_new_is_started_before_it_is_known_what_runs() {
    let mut bench = Bench::cold(&["a", "b"]);
    let old = running(&["a", "b"]);
    let session = old.plan.id;
    bench.feed(Event::Space(Some(Space { free: 100_000_000_000, total: 200_000_000_000 })));
    bench.feed(Event::Searched { interrupted: vec![old], last: None });
    bench.link("a", 1);
    assert!(reply(&bench.start("k", None)).is_none() && !bench.state.is_settled(), "it waits");
    bench.worker("b", linked(2, Some(session)));
    assert_eq!(bench.session_id(), session);
    bench.tick_for(200);
    assert_eq!(refusal(&bench.done).status, 409);
}

/// An earlier engine gave the input up, which this one knows before it has found the session: nobody waits for it at Stop.
#[test]
fn an_input_that_was_given_up_before_the_session_was_found_is_not_waited_for() {
    let mut given_up = crate::engine::restart::Restarts::default();
    given_up.give_up();
    let mut bench = Bench::with(Setup { restarts: [(id("a"), given_up)].into(), ..setup(&["a", "b"]) });
    let old = running(&["a", "b"]);
    let session = old.plan.id;
    bench.worker("a", WorkerEvent::LockFree { link: 1 });
    bench.worker("b", linked(2, Some(session)));
    bench.ack_configure("b", None);
    assert_eq!(adopted(&searched(&mut bench, old)), 1);
    bench.status("b", Some(session), RecordingState::Recording, 3000);
    bench.stop();
    let effects = bench.done_fact("b", session);
    assert_eq!(closes(&effects), Some(Closed::Completed), "{effects:?}");
}

//! Retry brings an input back whose recording was given up while its worker lives (R-ALR-4).

use super::*;
use crate::protocol::operations::OperationKind;

/// The start of "b" is stuck and given up; "a" records.
fn given_up() -> (Bench, SessionId) {
    let mut bench = Bench::ready(&["a", "b"]);
    let session = bench.record("k");
    for _ in 0..26 {
        bench.tick_for(400);
        let media = bench.ms;
        bench.status("a", Some(session), RecordingState::Recording, media);
        bench.status("b", Some(session), RecordingState::Starting, 0);
    }
    let operation = bench.state.operations(bench.now()).operations[0].clone();
    assert_eq!((operation.kind, operation.stuck), (OperationKind::Start, true));
    bench.ask(|token| Event::Cleanup { token, operation: operation.id });
    assert_eq!(bench.recording(1), Some(RecordingState::Failed));
    (bench, session)
}

fn retry(bench: &mut Bench) -> Vec<Effect> {
    bench.ask(|token| Event::Retry { token, input: "b".into() })
}

/// A new process of "b" is linked and handed its ticket; whether that was all of this engine's doing.
fn goes_on(bench: &mut Bench, session: SessionId) {
    let before = bench.done.len();
    bench.spawned("b", 9);
    let link = bench.last_link("b");
    bench.feed(Event::Numbered { input: id("b"), link, session, result: Ok((2, 5)) });
    let tickets = bench.done[before..].iter().filter_map(|effect| match effect {
        Effect::StartWorker { input, ticket, .. } => Some((input.clone(), ticket.session, ticket.first_part)),
        _ => None,
    });
    assert_eq!(tickets.collect::<Vec<_>>(), [(id("b"), session, 2)]);
    bench.status("b", Some(session), RecordingState::Recording, 100);
    bench.status("a", Some(session), RecordingState::Recording, 20_000);
    assert_eq!([bench.recording(0), bench.recording(1)], [Some(RecordingState::Recording); 2]);
    assert!(!bench.state.alerts.is_active("b", "worker_died"));
    let touched = |effect: &Effect| matches!(effect, Effect::Worker(of, act) if *of == id("a") && *act != Act::Measure);
    assert!(!bench.done[before..].iter().any(touched), "nobody else is touched");
}

#[test]
fn a_worker_that_still_hangs_in_its_start_is_replaced() {
    let (mut bench, session) = given_up();
    assert!(retry(&mut bench).contains(&Effect::Worker(id("b"), Act::Terminate)));
    assert_eq!(bench.recording(1), Some(RecordingState::Starting));
    // What it was told before, it may still carry out.
    bench.done_fact("b", session);
    let effects = bench.worker("b", WorkerEvent::Exited { pid: 2, how: "signal: 9".into() });
    assert!(effects.contains(&Effect::Worker(id("b"), Act::Spawn)), "{effects:?}");
    goes_on(&mut bench, session);
}

#[test]
fn a_worker_that_has_let_go_makes_room_without_being_called_dead() {
    let (mut bench, session) = given_up();
    bench.done_fact("b", session);
    assert_eq!(bench.recording(1), Some(RecordingState::Failed), "what was given up is not done");
    bench.status("b", Some(session), RecordingState::Failed, 0);
    assert!(retry(&mut bench).contains(&Effect::Worker(id("b"), Act::Dismiss)));
    let effects = bench.worker("b", WorkerEvent::Exited { pid: 2, how: "0".into() });
    assert!(effects.contains(&Effect::Worker(id("b"), Act::Spawn)), "{effects:?}");
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Journal { .. })), "{effects:?}");
    goes_on(&mut bench, session);
}

#[test]
fn a_recording_that_has_come_to_its_end_is_not_begun_anew() {
    let mut bench = Bench::ready(&["a", "b"]);
    let session = bench.record("k");
    for input in ["a", "b"] {
        bench.status(input, Some(session), RecordingState::Recording, 1000);
    }
    bench.done_fact("b", session);
    bench.status("b", Some(session), RecordingState::Done, 1000);
    let effects = retry(&mut bench);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Worker(..))), "{effects:?}");
    assert_eq!(bench.recording(1), Some(RecordingState::Done));
}

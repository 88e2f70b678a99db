//! What ends an alert, and what does not.

use super::*;
use crate::engine::operations::Task;
use crate::protocol::operations::OperationKind;

#[test]
fn a_process_that_could_not_be_ended_is_told_until_it_has_ended_and_a_cut_stop_until_its_session_is_closed() {
    let mut bench = Bench::ready(&["a", "b"]);
    let session = bench.record("k");
    for input in ["a", "b"] {
        bench.status(input, Some(session), RecordingState::Recording, 500);
    }
    bench.stop();
    bench.done_fact("b", session);
    bench.tick_for(25_000);
    assert!(bench.is_told("a", "stop_cut") && bench.is_told("a", "teardown_stuck"), "it survives SIGKILL");
    bench.worker("a", WorkerEvent::Exited { pid: 1, how: "signal: 9".into() });
    assert!(!bench.is_told("a", "teardown_stuck"));
    assert!(bench.is_told("a", "stop_cut"), "its files are not closed yet");
    let dir = bench.state.session.as_ref().expect("closing").dir.clone();
    bench.feed(Event::Closed { session, dir, result: Ok(Box::new(closed_session(session, Closed::Completed))) });
    assert!(!bench.is_told("a", "stop_cut"));
}

#[test]
fn the_alert_of_two_stuck_operations_names_the_one_that_is_left() {
    let mut bench = Bench::ready(&["a"]);
    let task = |kind| Task { kind, source: "engine".into(), key: "k".into(), within: Duration::from_secs(10) };
    let tasks = || vec![task(OperationKind::Verify), task(OperationKind::Finalise)];
    bench.state.oversight.operations.follow(bench.now().mono, tasks());
    bench.ms += 11_000;
    let changes = bench.state.oversight.operations.follow(bench.now().mono, tasks());
    let [(first, _), (second, _)] = &changes.stuck[..] else { panic!("{changes:?}") };
    let now = bench.now();
    bench.state.oversight.operations.cleaned(second.id);
    bench.state.calm_operation(now, second);
    let alert = bench.state.alerts.list()[0].clone();
    assert_eq!((alert.params["id"].clone(), bench.is_told("engine", "operation_stuck")), (first.id.to_string(), true));
    bench.state.oversight.operations.cleaned(first.id);
    bench.state.calm_operation(now, first);
    assert!(!bench.is_told("engine", "operation_stuck"));
}

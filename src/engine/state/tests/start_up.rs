//! Start-up is recovery: what an earlier engine left, and how this one leaves.

use super::*;
use crate::engine::kept::Kept;
use crate::engine::restart::Restarts;
use crate::storage::history::History;

pub(super) fn interrupted(session: u128, inputs: &[&str]) -> Interrupted {
    let plan = Plan {
        id: SessionId(uuid::Uuid::from_u128(session)),
        name: "old".parse().expect("a name"),
        key: "old".into(),
        request: String::new(),
        start_at_ns: MonoNs(0),
        boot_id: "boot".into(),
        started_at: Timestamp::UNIX_EPOCH,
        inputs: inputs.iter().map(|text| spec(text)).collect(),
        encoding: Encoding::default(),
        files: Vec::new(),
    };
    Interrupted { dir: format!("/library/{session}").into(), plan, history: History::default() }
}

#[test]
fn interrupted_sessions_are_recovered_one_at_a_time_while_recording_is_possible() {
    let mut bench = Bench::cold(&["a"]);
    bench.link("a", 1);
    bench.feed(Event::Space(Some(Space { free: 100_000_000_000, total: 200_000_000_000 })));
    let effects =
        bench.feed(Event::Searched { interrupted: vec![interrupted(5, &["a"]), interrupted(4, &["a"])], last: None });
    assert_eq!(closes(&effects), Some(Closed::Recovered));
    bench.record("k");
    let first = SessionId(uuid::Uuid::from_u128(5));
    let effects = bench.feed(Event::Closed {
        session: first,
        dir: "/library/5".into(),
        result: Err(CloseFault::Locked("busy".into())),
    });
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Close { dir, .. } if dir.ends_with("4"))));
    let second = SessionId(uuid::Uuid::from_u128(4));
    let result = Ok(Box::new(closed_session(second, Closed::Recovered)));
    bench.feed(Event::Closed { session: second, dir: "/library/4".into(), result });
    let told = bench.state.alerts.list().iter().find(|alert| alert.code == "session_recovered").expect("a notice");
    assert!(told.message.contains("a at most 40 ms"), "{}", told.message);
    let before = bench.done.len();
    bench.tick_for(5400);
    assert!(
        bench.done[before..].iter().any(|effect| matches!(effect, Effect::Close { dir, .. } if dir.ends_with("5")))
    );
}

#[test]
fn a_session_that_is_closed_when_nobody_waits_for_it_any_longer_is_not_left_behind() {
    let mut bench = Bench::cold(&["a"]);
    bench.link("a", 1);
    bench.feed(Event::Space(Some(Space { free: 100_000_000_000, total: 200_000_000_000 })));
    bench.feed(Event::Searched { interrupted: vec![interrupted(5, &["a"]), interrupted(4, &["a"])], last: None });
    let closed = |bench: &mut Bench, n| {
        let session = SessionId(uuid::Uuid::from_u128(n));
        let result = Ok(Box::new(closed_session(session, Closed::Recovered)));
        bench.feed(Event::Closed { session, dir: format!("/library/{n}").into(), result })
    };
    bench.state.alerts.raise(bench.now(), "engine", &Incident::new(IncidentCode::DiskError));
    // It was slow, and cleaned up after: the next one has its turn.
    bench.state.recovery.leave_running();
    bench.tick_for(200);
    closed(&mut bench, 4);
    assert!(bench.state.alerts.is_active("engine", "disk_error"), "one is left");
    closed(&mut bench, 5);
    assert!(!bench.state.alerts.is_active("engine", "disk_error"));
    assert!(bench.state.alerts.list().iter().any(|alert| alert.code == "session_recovered" && alert.count == 2));
    let before = bench.done.len();
    bench.state.recovery.retry_now();
    bench.tick_for(200);
    assert_eq!(closes(&bench.done[before..]), None, "it is not closed once more");
}

#[test]
fn the_same_file_damaged_in_two_sessions_is_two_alerts() {
    let mut bench = Bench::cold(&["a"]);
    bench.link("a", 1);
    bench.feed(Event::Searched { interrupted: vec![interrupted(5, &["a"]), interrupted(4, &["a"])], last: None });
    for n in [5, 4] {
        let session = SessionId(uuid::Uuid::from_u128(n));
        let mut closed = closed_session(session, Closed::Recovered);
        let golden = include_str!("../../../../tests/golden/reply_sessions.json");
        let golden: crate::protocol::api::SessionsReply = serde_json::from_str(golden).expect("a reply");
        let golden = golden.sessions.into_iter().find_map(|row| row.manifest).expect("a manifest");
        closed.manifest.inputs = golden.inputs.into_iter().take(1).collect();
        closed.manifest.inputs[0].parts.truncate(1);
        closed.manifest.inputs[0].parts[0].end = crate::model::session::PartEnd::Damaged;
        bench.feed(Event::Closed { session, dir: format!("/library/{n}").into(), result: Ok(Box::new(closed)) });
    }
    let damaged = bench.state.alerts.list().iter().filter(|alert| alert.code == "file_damaged");
    assert_eq!(damaged.map(|alert| alert.params["session"].as_str()).collect::<Vec<_>>(), ["4", "5"]);
}

#[test]
fn a_stray_worker_that_does_not_answer_is_told_and_keeps_nobody_from_recording() {
    let mut bench = Bench::with(Setup { strays: vec![id("gone")], ..setup(&["a"]) });
    bench.feed(Event::Searched { interrupted: Vec::new(), last: None });
    bench.feed(Event::Space(Some(Space { free: 100_000_000_000, total: 200_000_000_000 })));
    bench.link("a", 1);
    bench.worker("gone", WorkerEvent::Mute { link: 1, pid: None });
    assert!(bench.state.alerts.is_active("gone", "teardown_stuck"));
    bench.record("k");
}

/// The disk answered late, and told then that an earlier engine had replaced the worker twice.
#[test]
fn attempts_of_an_earlier_engine_count_although_the_disk_was_late_with_them() {
    let mut alerts = crate::engine::alerts::Alerts::default();
    let now = Now { mono: MonoNs(0), at: Timestamp::UNIX_EPOCH };
    alerts.raise(now, "a", &Incident::new(IncidentCode::FileDamaged));
    let mut earlier = Restarts::default();
    [1, 2].iter().for_each(|ns| earlier.begin(MonoNs(*ns)));
    let restarts = [(id("a"), earlier)].into();
    let kept = Kept { alerts: alerts.list().to_vec(), boot_id: "boot".into(), restarts, ..Kept::default() };
    let late = || Event::Recalled(Box::new(kept.clone()));
    let exited = |pid| WorkerEvent::Exited { pid, how: "9".into() };
    let quarantined = |bench: &Bench| bench.view().inputs[0].state == InputState::Quarantined;

    let mut bench = Bench::ready(&["a"]);
    bench.tick_for(10_000);
    bench.worker("a", exited(1));
    bench.spawned("a", 2);
    bench.feed(late());
    assert_eq!(bench.state.restarts()[&id("a")].attempts(), 3, "two and one");
    assert!(
        bench.state.alerts.is_active("a", "file_damaged") && !quarantined(&bench),
        "the one that lives is left alone"
    );
    bench.tick_for(6000);
    bench.worker("a", exited(2));
    assert!(quarantined(&bench) && bench.state.alerts.is_active("a", "worker_gave_up"));

    // The next attempt waits for its time: it is not made.
    let mut bench = Bench::ready(&["a"]);
    bench.tick_for(10_000);
    bench.worker("a", exited(1));
    bench.spawned("a", 2);
    bench.worker("a", exited(2));
    assert!(!quarantined(&bench));
    bench.feed(late());
    assert!(quarantined(&bench));

    // The operator has asked meanwhile: everything is forgiven.
    let mut bench = Bench::ready(&["a"]);
    bench.feed(Event::Retry { token: 1, input: "a".into() });
    bench.feed(late());
    assert!(bench.state.restarts().is_empty());
}

#[test]
fn a_session_that_stays_locked_is_told_and_a_running_one_makes_room() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    bench.stop();
    bench.done_fact("a", session);
    let dir = bench.state.session.as_ref().expect("closing").dir.clone();
    for _ in 0..6 {
        let fault = CloseFault::Locked("a.mp4 is still being written".into());
        bench.feed(Event::Closed { session, dir: dir.clone(), result: Err(fault) });
        bench.tick_for(5200);
    }
    assert!(bench.state.alerts.is_active("engine", "disk_error"));
    assert!(bench.state.session.is_none());
    bench.feed(Event::Space(Some(Space { free: 100_000_000_000, total: 200_000_000_000 })));
    bench.record("k2");
    bench.feed(Event::Closed { session, dir, result: Ok(Box::new(closed_session(session, Closed::Completed))) });
    assert!(!bench.state.alerts.is_active("engine", "disk_error"));
    assert_eq!(bench.view().last_session.map(|last| last.id), Some(session));
}

#[test]
fn leaving_dismisses_idle_workers_and_leaves_recording_ones_alone() {
    let mut bench = Bench::ready(&["a", "b"]);
    bench.feed(Event::Leave);
    assert!(bench.done.contains(&Effect::Worker(id("a"), Act::Dismiss)));
    bench.worker("a", WorkerEvent::Exited { pid: 1, how: "0".into() });
    assert!(!bench.done.contains(&Effect::Exit));
    bench.worker("b", WorkerEvent::Exited { pid: 2, how: "0".into() });
    assert!(bench.done.contains(&Effect::Exit));
    assert!(bench.state.alerts.list().is_empty());

    let mut bench = Bench::ready(&["a"]);
    bench.record("k");
    let effects = bench.feed(Event::Leave);
    assert_eq!(effects, [Effect::Exit]);
}

/// It waits to be asked for, and keeps no session open for that: the others may all come to their end.
#[test]
fn an_input_that_was_given_up_before_the_start_keeps_no_session_open() {
    let given_up = || {
        let mut bench = Bench::ready(&["a", "b"]);
        bench.tick_for(10_000);
        let mut earlier = Restarts::default();
        [1, 2, 3].iter().for_each(|ns| earlier.begin(MonoNs(*ns)));
        let kept = Kept { boot_id: "boot".into(), restarts: [(id("b"), earlier)].into(), ..Kept::default() };
        bench.feed(Event::Recalled(Box::new(kept)));
        bench.worker("b", WorkerEvent::Exited { pid: 2, how: "9".into() });
        assert_eq!(bench.view().inputs[1].state, InputState::Quarantined);
        bench.feed(Event::Space(Some(Space { free: 100_000_000_000, total: 200_000_000_000 })));
        bench
    };
    let mut bench = given_up();
    let session = bench.record("k");
    let gave_up = |effect: &Effect| {
        let kind = if let Effect::Journal { kind, .. } = effect { Some(&**kind) } else { None };
        matches!(kind, Some(JournalKind::Incident { input: Some(of), incident })
            if *of == id("b") && incident.code == IncidentCode::WorkerGaveUp)
    };
    assert!(bench.done.iter().any(gave_up), "its folder says why there is nothing of it");
    bench.status("a", Some(session), RecordingState::Recording, 500);
    assert!(bench.view().session.is_some_and(|session| session.state == SessionState::Recording));
    // Its quota is used up: nobody has said stop.
    assert_eq!(closes(&bench.done_fact("a", session)), Some(Closed::Failed));

    let mut bench = given_up();
    let session = bench.record("k");
    bench.status("a", Some(session), RecordingState::Recording, 500);
    bench.feed(Event::Retry { token: 90, input: "b".into() });
    assert_eq!(closes(&bench.done_fact("a", session)), None, "the operator has asked for it");
}

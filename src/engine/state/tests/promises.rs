//! What the state machine promises to operators and clients.

use super::*;

#[test]
fn a_start_is_answered_only_after_its_plan_is_on_disk() {
    let mut bench = Bench::ready(&["a", "b"]);
    let effects = bench.start("k", None);
    assert!(reply(&effects).is_none() && starts(&effects) == 0);
    let session = bench.session_id();
    let effects = bench.feed(Event::Persisted { session, result: Ok(()) });
    assert!(matches!(reply(&effects), Some(Reply::Started { new: true, .. })));
    assert_eq!(starts(&effects), 2);
}

#[test]
fn nothing_is_called_recording_without_fresh_evidence() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    assert_eq!(bench.recording(0), Some(RecordingState::Starting));
    assert_eq!(bench.view().session.map(|session| session.state), Some(SessionState::Starting));
    bench.status("a", Some(session), RecordingState::Recording, 500);
    assert_eq!(bench.recording(0), Some(RecordingState::Recording));
    bench.ms += 2000;
    assert_eq!(bench.recording(0), Some(RecordingState::Stalled));
    assert_eq!(bench.view().session.map(|session| session.state), Some(SessionState::Failed));
}

/// Regression: a worker that stopped right behind a report was called recording for as long as the report was fresh, however
/// old what it told of was.
#[test]
fn evidence_is_as_old_as_the_growth_it_tells_of() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    let grown = WorkerStatus { grown_ms_ago: Some(1500), ..status(Some(session), RecordingState::Recording, 500) };
    let link = bench.last_link("a");
    bench.feed(Event::Status { input: id("a"), link, status: Box::new(grown) });
    assert_eq!(bench.recording(0), Some(RecordingState::Recording));
    bench.ms += 250;
    assert_eq!(bench.recording(0), Some(RecordingState::Stalled), "the report is 250 ms old, the growth 1750 ms");
}

#[test]
fn the_same_key_gives_the_same_session_also_after_stop() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    let repeated = bench.start("k", None);
    assert!(matches!(reply(&repeated), Some(Reply::Started { new: false, body }) if body.session_id == session));
    assert_eq!(refusal(&bench.start("k", Some("other"))).status, 422);
    assert_eq!(refusal(&bench.start("k2", None)).status, 409);
    bench.stop();
    bench.done_fact("a", session);
    let dir = bench.state.session.as_ref().expect("closing").dir.clone();
    bench.feed(Event::Closed { session, dir, result: Ok(Box::new(closed_session(session, Closed::Completed))) });
    assert!(bench.view().session.is_none());
    let repeated = bench.start("k", None);
    assert!(matches!(reply(&repeated), Some(Reply::Started { new: false, body }) if body.status == "finished"));
}

#[test]
fn a_start_without_room_names_the_rule_and_the_numbers() {
    let mut bench = Bench::ready(&["a"]);
    bench.feed(Event::Space(Some(Space { free: 3_000_000_000, total: 9_000_000_000 })));
    let effects = bench.start("k", None);
    let refused = refusal(&effects);
    assert_eq!((refused.status, refused.code), (507, "no_space"));
    for part in ["storage.stop_new_free", "3 GB", "5 GB", "/library"] {
        assert!(refused.message.contains(part), "{part} is not in {:?}", refused.message);
    }
    bench.ms += 10_000;
    assert_eq!(refusal(&bench.start("k", None)).code, "storage_frozen");
}

#[test]
fn bad_starts_are_refused_with_words() {
    let mut bench = Bench::ready(&["a"]);
    assert_eq!(refusal(&bench.start("k", Some("../x"))).status, 422);
    assert_eq!(refusal(&bench.stop()).code, "not_recording");
    let mut empty = Bench::ready(&[]);
    let effects = empty.start("k", None);
    assert_eq!((refusal(&effects).status, refusal(&effects).code), (503, "nothing_to_record"));
}

#[test]
fn a_plan_that_cannot_be_written_starts_nothing_and_frees_its_key() {
    let mut bench = Bench::ready(&["a"]);
    bench.start("k", None);
    let session = bench.session_id();
    let effects = bench.feed(Event::Persisted { session, result: Err("no room".into()) });
    assert_eq!((refusal(&effects).status, refusal(&effects).code), (503, "storage_frozen"));
    assert!(bench.view().session.is_none());
    bench.start("k", None);
    let session = bench.session_id();
    let full = Unwritten { reason: "the disk is full".into(), code: IncidentCode::DiskFull };
    let effects = bench.feed(Event::Persisted { session, result: Err(full) });
    assert_eq!((refusal(&effects).status, refusal(&effects).code), (507, "no_space"));
    bench.record("k");
}

#[test]
fn a_plan_that_is_late_is_refused_and_its_folder_closed_when_it_arrives() {
    let mut bench = Bench::ready(&["a"]);
    bench.start("k", None);
    let session = bench.session_id();
    bench.tick_for(7200);
    assert!(bench.done.iter().any(|effect| matches!(effect, Effect::Reply(_, Reply::Refused(_)))));
    let effects = bench.feed(Event::Persisted { session, result: Ok(()) });
    assert_eq!(closes(&effects), Some(Closed::Failed));
}

#[test]
fn a_killed_worker_goes_on_as_the_next_part_and_the_others_are_left_alone() {
    let mut bench = Bench::ready(&["a", "b"]);
    let session = bench.record("k");
    for input in ["a", "b"] {
        bench.status(input, Some(session), RecordingState::Recording, 5000);
    }
    let effects = bench.worker("a", WorkerEvent::Exited { pid: 1, how: "signal: 9".into() });
    assert!(effects.contains(&Effect::Worker(id("a"), Act::Spawn)));
    let lost = |effect: &Effect| matches!(effect, Effect::Journal { kind, .. } if matches!(**kind, JournalKind::WorkerLost { .. }));
    assert!(effects.iter().any(lost));
    assert!(
        !effects.iter().any(|effect| matches!(effect, Effect::Send(of, _) | Effect::Worker(of, _) if *of == id("b")))
    );
    assert_eq!(
        (bench.recording(0), bench.recording(1)),
        (Some(RecordingState::Stalled), Some(RecordingState::Recording))
    );
    let effects = bench.spawned("a", 7);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Number { .. })) && starts(&effects) == 0);
    let link = bench.last_link("a");
    let effects = bench.feed(Event::Numbered { input: id("a"), link, session, result: Ok((2, 7)) });
    let next = |effect: &Effect| matches!(effect, Effect::StartWorker { ticket, .. } if ticket.first_part == 2);
    assert!(effects.iter().any(next));
    bench.status("a", Some(session), RecordingState::Recording, 1000);
    let view = bench.view();
    let recording = view.inputs[0].recording.as_ref().expect("a recording");
    assert_eq!((recording.state, recording.media_ms), (RecordingState::Recording, Some(6000)));
}

#[test]
fn stop_waits_for_the_workers_then_signals_then_closes_around_them() {
    let mut bench = Bench::ready(&["a", "b"]);
    let session = bench.record("k");
    let effects = bench.stop();
    assert!(matches!(reply(&effects), Some(Reply::Stopped(body)) if body.status == "stopping"));
    assert_eq!(
        effects
            .iter()
            .filter(|effect| matches!(effect, Effect::Send(_, command) if matches!(**command, Command::Stop { .. })))
            .count(),
        2
    );
    bench.done_fact("a", session);
    while bench.ms < 15_800 {
        bench.tick_for(200);
        bench.status("b", Some(session), RecordingState::Stopping, 1000);
    }
    assert!(!bench.done.contains(&Effect::Worker(id("b"), Act::Terminate)));
    bench.tick_for(400);
    assert!(bench.done.contains(&Effect::Worker(id("b"), Act::Terminate)));
    bench.tick_for(2200);
    assert!(bench.done.contains(&Effect::Worker(id("b"), Act::Kill)));
    let effects = bench.worker("b", WorkerEvent::Exited { pid: 2, how: "signal: 9".into() });
    assert_eq!(closes(&effects), Some(Closed::Completed));
}

/// DESIGN §1: never while storage is its only fault.
#[test]
fn nobody_is_signalled_while_the_disk_does_not_answer() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    bench.stop();
    let signalled = |bench: &Bench| bench.done.contains(&Effect::Worker(id("a"), Act::Terminate));
    while bench.ms < 60_000 {
        bench.tick_for(200);
        let mut status = status(Some(session), RecordingState::Stopping, 1000);
        status.active = vec![Incident::new(IncidentCode::StorageFrozen)];
        let link = bench.last_link("a");
        bench.feed(Event::Status { input: id("a"), link, status: Box::new(status) });
    }
    assert!(!signalled(&bench));
    let thawed = bench.ms;
    while bench.ms < thawed + 14_000 {
        bench.tick_for(200);
        bench.status("a", Some(session), RecordingState::Stopping, 1000);
    }
    assert!(!signalled(&bench), "its time begins when the disk answers");
    for _ in 0..20 {
        bench.tick_for(200);
        bench.status("a", Some(session), RecordingState::Stopping, 1000);
    }
    assert!(signalled(&bench));
}

#[test]
fn progress_of_a_stop_is_the_files_whose_worker_said_that_they_are_closed() {
    let inputs = ["a", "b", "c", "d"];
    let mut bench = Bench::ready(&inputs);
    let session = bench.record("k");
    for input in inputs {
        bench.status(input, Some(session), RecordingState::Recording, 500);
    }
    bench.stop();
    for input in ["a", "b"] {
        bench.done_fact(input, session);
    }
    assert_eq!(bench.view().session.map(|session| session.state), Some(SessionState::Stopping));
    let done = |bench: &Bench| (0..4).filter(|input| bench.recording(*input) == Some(RecordingState::Done)).count();
    assert_eq!(done(&bench), 2);
    for input in ["c", "d"] {
        bench.done_fact(input, session);
    }
    assert_eq!((closes(&bench.done), done(&bench)), (Some(Closed::Completed), 4));
}

#[test]
fn no_password_reaches_the_library_but_the_worker_gets_it() {
    let mut setup = setup(&["a"]);
    setup.inputs[0].source =
        SourceSpec::Rtsp { url: "rtsp://op:se@c/ret@cam:554/x".into(), transport: Default::default(), latency_ms: 200 };
    let mut bench = Bench::with(setup);
    bench.feed(Event::Searched { interrupted: Vec::new(), last: None });
    bench.feed(Event::Space(Some(Space { free: 100_000_000_000, total: 200_000_000_000 })));
    bench.link("a", 1);
    let effects = bench.start("k", None);
    let plan = effects.iter().find_map(|effect| match effect {
        Effect::Persist { plan, .. } => serde_json::to_string(plan).ok(),
        _ => None,
    });
    let plan = plan.expect("a plan");
    assert!(plan.contains("rtsp://***@cam:554/x") && !plan.contains("op:"), "{plan}");
    let configure =
        |effect: &Effect| matches!(effect, Effect::Send(_, command) if format!("{command:?}").contains("op:se@c/ret@"));
    assert!(bench.done.iter().any(configure));
}

#[test]
fn a_stop_before_the_plan_is_on_disk_is_carried_out_after_it() {
    let mut bench = Bench::ready(&["a"]);
    bench.start("k", None);
    let session = bench.session_id();
    assert!(reply(&bench.stop()).is_none());
    let effects = bench.feed(Event::Persisted { session, result: Ok(()) });
    assert!(matches!(reply(&effects), Some(Reply::Started { new: true, .. })));
    assert_eq!(bench.view().session.map(|session| session.state), Some(SessionState::Stopping));
    bench.tick_for(1200);
    assert!(matches!(bench.done.last(), Some(Effect::Send(_, command)) if matches!(**command, Command::Stop { .. })));
    let stopped = |effect: &Effect| matches!(effect, Effect::Reply(2, Reply::Stopped(_)));
    assert!(bench.done.iter().any(stopped));

    let mut bench = Bench::ready(&["a"]);
    bench.start("k", None);
    let session = bench.session_id();
    bench.stop();
    bench.feed(Event::Persisted { session, result: Err("no room".into()) });
    let refused =
        |effect: &Effect| matches!(effect, Effect::Reply(2, Reply::Refused(refused)) if refused.status == 400);
    assert!(bench.done.iter().any(refused), "there is nothing to stop");
}

#[test]
fn a_partial_start_is_named() {
    let mut bench = Bench::ready(&["a", "b"]);
    let session = bench.record("k");
    let both = |bench: &mut Bench, b: RecordingState| {
        bench.status("a", Some(session), RecordingState::Recording, 500);
        bench.status("b", Some(session), b, 0);
        bench.tick_for(600);
    };
    while bench.ms < 5000 {
        both(&mut bench, RecordingState::Starting);
    }
    assert!(bench.state.alerts.is_active("engine", "partial_start"));
    both(&mut bench, RecordingState::Recording);
    assert!(!bench.state.alerts.is_active("engine", "partial_start"));
}

#[test]
fn a_session_stopped_before_its_first_frame_leaves_the_screen() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    bench.stop();
    bench.status("a", Some(session), RecordingState::Failed, 0);
    assert!(!bench.done.iter().any(|effect| matches!(effect, Effect::Close { .. })), "its last facts are on their way");
    bench.done_fact("a", session);
    let dir = bench.state.session.as_ref().expect("closing").dir.clone();
    bench.feed(Event::Closed { session, dir, result: Ok(Box::new(closed_session(session, Closed::Failed))) });
    assert!(bench.view().session.is_none());
}

#[test]
fn a_session_that_ends_by_itself_stays_as_failed_until_the_next_start() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    let effects = bench.done_fact("a", session);
    assert_eq!(closes(&effects), Some(Closed::Failed));
    let dir = bench.state.session.as_ref().expect("closing").dir.clone();
    bench.feed(Event::Closed { session, dir, result: Ok(Box::new(closed_session(session, Closed::Failed))) });
    assert_eq!(bench.view().session.map(|session| session.state), Some(SessionState::Failed));
    assert_ne!(bench.record("k2"), session);
}

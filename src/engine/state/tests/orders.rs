//! Workers that do not answer what they are told (R-CMD-6), and workers that say nothing at all (DESIGN §1).

use super::*;
use crate::engine::event::StorageEvent;

/// Every half second the worker reports, for `ms`.
fn talk(bench: &mut Bench, ms: u64, session: Option<SessionId>, state: RecordingState) -> Vec<Effect> {
    let before = bench.done.len();
    let until = bench.ms + ms;
    while bench.ms < until {
        bench.tick_for(400);
        bench.status("a", session, state, bench.ms);
    }
    bench.done[before..].to_vec()
}

fn given(effects: &[Effect], is: impl Fn(&Command) -> bool) -> Vec<u64> {
    let of = |effect: &Effect| match effect {
        Effect::Send(_, command) if is(command) => command.id(),
        _ => None,
    };
    effects.iter().filter_map(of).collect()
}

fn is_start(command: &Command) -> bool {
    matches!(command, Command::Start { .. })
}

fn is_configure(command: &Command) -> bool {
    matches!(command, Command::Configure { .. })
}

fn ends(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Worker(_, Act::Terminate | Act::Kill))).count()
}

fn start_command(bench: &Bench) -> u64 {
    let starts = bench.done.iter().rev().filter_map(|effect| match effect {
        Effect::StartWorker { command, .. } => Some(*command),
        _ => None,
    });
    starts.max().expect("a start")
}

#[test]
fn a_start_without_an_answer_is_repeated_named_and_its_idle_worker_replaced() {
    let mut bench = Bench::ready(&["a"]);
    bench.record("k");
    let command = start_command(&bench);
    let effects = talk(&mut bench, 29_600, None, RecordingState::Starting);
    assert_eq!(given(&effects, is_start), [command, command], "twice more, under its own number");
    assert_eq!((ends(&effects), bench.state.alerts.is_active("a", "command_unanswered")), (0, false));
    let effects = talk(&mut bench, 800, None, RecordingState::Starting);
    assert!(bench.state.alerts.is_active("a", "command_unanswered"));
    assert_eq!(ends(&effects), 1, "it records nothing and answers nothing: {effects:?}");
    let named = |effect: &Effect| matches!(effect, Effect::Journal { kind, .. } if matches!(**kind, JournalKind::Incident { input: Some(_), .. }));
    assert!(effects.iter().any(named), "it stands in the journal");
    let effects = bench.worker("a", WorkerEvent::Exited { pid: 1, how: "signal: 15".into() });
    assert!(effects.contains(&Effect::Worker(id("a"), Act::Spawn)));
    let effects = bench.spawned("a", 2);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Number { .. })), "the next one is to record");
    assert!(!bench.state.alerts.is_active("a", "command_unanswered"));
}

#[test]
fn an_answer_to_the_repetition_is_as_good_as_the_first() {
    let mut bench = Bench::ready(&["a"]);
    bench.record("k");
    let command = start_command(&bench);
    talk(&mut bench, 10_400, None, RecordingState::Starting);
    bench.ack("a", command, None);
    let session = bench.session_id();
    let effects = talk(&mut bench, 60_000, Some(session), RecordingState::Recording);
    assert_eq!((given(&effects, is_start).len(), ends(&effects)), (0, 0));
    assert!(!bench.state.alerts.is_active("a", "command_unanswered"));
}

#[test]
fn a_start_that_was_carried_out_without_an_answer_is_the_fault_of_a_disk() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    let effects = talk(&mut bench, 60_000, Some(session), RecordingState::Recording);
    assert_eq!(ends(&effects), 0);
    assert!(bench.state.alerts.is_active("a", "command_unanswered"));
    bench.stop();
    bench.done_fact("a", session);
    let effects = talk(&mut bench, 5_000, Some(session), RecordingState::Done);
    assert_eq!(ends(&effects), 0, "it does what it is told");
}

#[test]
fn a_worker_that_answers_nothing_records_on_and_is_replaced_when_it_is_done() {
    let mut bench = Bench::cold(&["a"]);
    bench.feed(Event::Searched { interrupted: Vec::new(), last: None });
    let other = SessionId(uuid::Uuid::from_u128(99));
    bench.feed(Event::Unread(vec![crate::storage::search::Unread { dir: "/library/x".into(), reason: "EIO".into() }]));
    let hello = WorkerEvent::Linked { link: 1, pid: Some(3), started: MonoNs(0), session: Some(other), older: false };
    bench.worker("a", hello);
    let effects = talk(&mut bench, 120_000, Some(other), RecordingState::Recording);
    let configures = given(&effects, is_configure);
    assert_eq!((configures.len(), ends(&effects)), (2, 0), "told three times in all, and left alone");
    assert!(bench.state.alerts.is_active("a", "command_unanswered"));
    let effects = talk(&mut bench, 1_000, None, RecordingState::Done);
    assert_eq!(ends(&effects), 1);
}

#[test]
fn a_start_is_not_repeated_behind_a_stop() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    bench.stop();
    let effects = talk(&mut bench, 15_000, None, RecordingState::Starting);
    assert!(given(&effects, is_start).is_empty(), "it would begin what was stopped");
    let stops = given(&effects, |command| matches!(command, Command::Stop { session: id, .. } if *id == session));
    assert_eq!(stops.len(), 1, "the stop itself is");
}

#[test]
fn a_split_that_was_on_the_way_when_the_link_broke_is_told_again_under_its_number() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    bench.ack("a", start_command(&bench), None);
    bench.status("a", Some(session), RecordingState::Recording, 100);
    bench.token += 1;
    let effects = bench.feed(Event::Split { token: bench.token, session: None });
    let is_split = |command: &Command| matches!(command, Command::Split { .. });
    let asked = given(&effects, is_split);
    let link = bench.last_link("a");
    bench.worker("a", WorkerEvent::LinkLost { link });
    let link = bench.last_link("a");
    let hello = WorkerEvent::Linked { link, pid: Some(1), started: MonoNs(0), session: Some(session), older: false };
    let effects = bench.worker("a", hello);
    assert_eq!(given(&effects, is_split), asked);
}

/// The worker says nothing for `ms`; its file is looked at whenever that is wanted, and has this size then.
fn silence(bench: &mut Bench, ms: u64, size: impl Fn(u64) -> u64) -> usize {
    let before = bench.done.len();
    let until = bench.ms + ms;
    while bench.ms < until {
        let seen = bench.done.len();
        bench.tick_for(200);
        if bench.done[seen..].contains(&Effect::Worker(id("a"), Act::Measure)) {
            let bytes = size(bench.ms);
            bench.worker("a", WorkerEvent::Measured { bytes });
        }
    }
    ends(&bench.done[before..])
}

#[test]
fn a_worker_that_says_nothing_while_it_stops_is_not_ended_while_its_file_grows() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    bench.status("a", Some(session), RecordingState::Recording, 500);
    bench.stop();
    assert_eq!(silence(&mut bench, 12_000, |ms| ms), 0, "it flushes");
    assert!(silence(&mut bench, 5_000, |_| 1) > 0, "then it does not even do that");
}

#[test]
fn a_worker_that_says_nothing_on_a_disk_that_stands_is_not_ended() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    bench.status("a", Some(session), RecordingState::Recording, 500);
    bench.feed(Event::Storage(StorageEvent::Frozen(true)));
    assert_eq!(silence(&mut bench, 30_000, |_| 1), 0, "nothing grows there, whoever writes");
    bench.feed(Event::Storage(StorageEvent::Frozen(false)));
    assert_eq!(silence(&mut bench, 2_000, |_| 1), 0, "it has only just been given back");
    assert!(silence(&mut bench, 5_000, |_| 1) > 0, "the disk is no excuse any more");
}

#[test]
fn that_the_disk_stands_is_no_excuse_once_whoever_said_so_is_silent() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    let link = bench.last_link("a");
    let mut report = status(Some(session), RecordingState::Stalled, 500);
    report.active = vec![Incident::new(IncidentCode::StorageFrozen)];
    bench.feed(Event::Status { input: id("a"), link, status: Box::new(report) });
    assert_eq!(bench.view().level.causes, ["storage_frozen"]);
    // The disk is back, and our own writes get through; the worker hangs elsewhere.
    assert!(silence(&mut bench, 10_000, |_| 1) > 0, "nobody would ever look after it again");
    assert!(bench.view().level.causes.is_empty(), "{:?}", bench.view().level);
}

#[test]
fn a_worker_that_says_nothing_is_not_ended_unseen_right_after_it_was_found() {
    for records in [None, Some(SessionId(uuid::Uuid::from_u128(99)))] {
        let mut bench = Bench::cold(&["a"]);
        bench.worker(
            "a",
            WorkerEvent::Linked { link: 1, pid: Some(3), started: MonoNs(0), session: records, older: false },
        );
        assert_eq!(silence(&mut bench, 30_000, |ms| ms), 0, "{records:?}");
        assert!(silence(&mut bench, 5_000, |_| 1) > 0, "{records:?}");
    }
}

#[test]
fn a_leaving_engine_does_not_end_a_worker_of_which_it_does_not_know_what_it_does() {
    let mut bench = Bench::cold(&["a", "b"]);
    let link = bench.last_link("b");
    bench.worker("b", WorkerEvent::LockFree { link });
    bench.spawned("b", 9);
    bench.worker("a", WorkerEvent::Mute { link: 1, pid: Some(3) });
    let before = bench.done.len();
    bench.feed(Event::Leave);
    bench.tick_for(3_000);
    let effects = &bench.done[before..];
    let told = |input: &str| {
        let to = |effect: &&Effect| matches!(effect, Effect::Worker(of, Act::Dismiss | Act::Terminate | Act::Kill) if *of == id(input));
        effects.iter().filter(to).count()
    };
    assert_eq!(told("a"), 0, "it may record; an idle one leaves by itself");
    assert!(told("b") > 0, "a child that was given nothing to do has nothing to lose");
}

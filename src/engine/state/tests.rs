//! The state machine: the named promises, and random histories against its invariants.

use super::super::event::{CloseFault, Event, Refused, Reply, StartCommand};
use super::super::worker_state::Act;
use super::*;
use crate::model::input::{AudioChoice, OnSignalLoss, SourceSpec, TestPattern};
use crate::model::session::{Closed, Fact, FactKind, JournalKind};
use crate::model::snapshot::{
    Frames, InputState, Meter, PreviewState, PreviewView, RecordingState, RetryState, RetryView, SessionState,
};
use crate::protocol::api::StartRequest;
use crate::storage::recovery::Interrupted;
use jiff::Timestamp;
use proptest::prelude::*;

/// A state machine with its clock and everything it wanted done.
struct Bench {
    state: State,
    ms: u64,
    token: u64,
    done: Vec<Effect>,
}

fn id(text: &str) -> InputId {
    text.parse().expect("an id")
}

fn spec(text: &str) -> InputSpec {
    InputSpec {
        id: id(text),
        name: text.to_owned(),
        source: SourceSpec::Test { pattern: TestPattern::Bars, width: 64, height: 64, fps: 30, tone_hz: 440 },
        audio: AudioChoice::Auto,
        on_signal_loss: OnSignalLoss::Split,
        importance: 0,
        armed: true,
    }
}

fn setup(inputs: &[&str]) -> Setup {
    Setup {
        inputs: inputs.iter().map(|text| spec(text)).collect(),
        encoding: Encoding::default(),
        policy: WorkerPolicy::default(),
        storage: StorageRules::default(),
        library: "/library".into(),
        boot_id: "boot".into(),
        config_file: "config.toml".into(),
        own_nice: 0,
        alerts: Vec::new(),
        plans: Vec::new(),
    }
}

fn status(session: Option<SessionId>, state: RecordingState, media_ms: u64) -> WorkerStatus {
    WorkerStatus {
        state: InputState::Live,
        detail_code: None,
        detail_params: Default::default(),
        retry: RetryView { state: RetryState::Idle, attempt: 0, max: None, next_in_ms: None, error_class: None },
        signal: None,
        preview: PreviewView { state: PreviewState::Off, width: None, height: None, fps: None },
        audio: Vec::<Meter>::new(),
        session,
        recording: session.map(|_| RecordingView {
            state,
            verdict: None,
            part: 1,
            file: None,
            media_ms: Some(media_ms),
            safe_ms: Some(media_ms),
            bytes: Some(1),
            bytes_per_s: Some(1),
            frames: Frames { written: Some(media_ms / 33), ..Frames::default() },
        }),
        nice: None,
        active: Vec::new(),
    }
}

impl Bench {
    /// Every worker linked, the library searched, plenty of space.
    fn ready(inputs: &[&str]) -> Self {
        let mut bench = Self::cold(inputs);
        bench.feed(Event::Searched { interrupted: Vec::new(), last: None });
        bench.feed(Event::Space(Some(Space { free: 100_000_000_000, total: 200_000_000_000 })));
        for (pid, input) in (1..).zip(inputs) {
            bench.link(input, pid);
        }
        bench
    }

    fn cold(inputs: &[&str]) -> Self {
        let now = Now { mono: MonoNs(0), at: Timestamp::UNIX_EPOCH };
        let (state, done) = State::new(now, setup(inputs));
        Self { state, ms: 0, token: 0, done }
    }

    fn now(&self) -> Now {
        Now { mono: MonoNs(self.ms * 1_000_000), at: Timestamp::UNIX_EPOCH }
    }

    fn feed(&mut self, event: Event) -> Vec<Effect> {
        let now = self.now();
        let effects = self.state.handle(now, event);
        self.done.extend(effects.iter().cloned());
        effects
    }

    fn worker(&mut self, input: &str, event: WorkerEvent) -> Vec<Effect> {
        self.feed(Event::Worker { input: id(input), event })
    }

    /// The worker's lock was free; it was spawned and said hello.
    fn link(&mut self, input: &str, pid: u32) {
        let link = self.last_link(input);
        self.worker(input, WorkerEvent::LockFree { link });
        self.spawned(input, pid);
    }

    fn spawned(&mut self, input: &str, pid: u32) -> Vec<Effect> {
        self.worker(input, WorkerEvent::Spawned { pid });
        let link = self.last_link(input);
        self.worker(input, WorkerEvent::Linked { link, pid, started: MonoNs(0), session: None })
    }

    fn last_link(&self, input: &str) -> u64 {
        let connects = self.done.iter().rev().filter_map(|effect| match effect {
            Effect::Worker(of, Act::Connect { link, .. }) if *of == id(input) => Some(*link),
            _ => None,
        });
        connects.max().expect("a connection was asked for")
    }

    fn status(&mut self, input: &str, session: Option<SessionId>, state: RecordingState, media_ms: u64) {
        let link = self.last_link(input);
        self.feed(Event::Status { input: id(input), link, status: Box::new(status(session, state, media_ms)) });
    }

    fn start(&mut self, key: &str, name: Option<&str>) -> Vec<Effect> {
        self.token += 1;
        let request = StartRequest { name: name.map(str::to_owned), inputs: None };
        let digest = format!("{request:?}");
        let command = StartCommand {
            token: self.token,
            key: key.to_owned(),
            request,
            digest,
            id: SessionId(uuid::Uuid::from_u128(u128::from(self.token))),
            default_name: "Session".into(),
        };
        self.feed(Event::Start(command))
    }

    /// Starts and persists; the session's id.
    fn record(&mut self, key: &str) -> SessionId {
        self.start(key, None);
        let session = self.session_id();
        self.feed(Event::Persisted { session, result: Ok(()) });
        session
    }

    fn session_id(&self) -> SessionId {
        self.state.session.as_ref().expect("a session").plan.id
    }

    fn stop(&mut self) -> Vec<Effect> {
        self.token += 1;
        self.feed(Event::Stop { token: self.token, session: None })
    }

    fn tick_for(&mut self, ms: u64) {
        let until = self.ms + ms;
        while self.ms < until {
            self.ms += 200;
            self.feed(Event::Tick);
        }
    }

    fn view(&self) -> crate::model::snapshot::Snapshot {
        self.state.snapshot(self.now())
    }

    fn recording(&self, place: usize) -> Option<RecordingState> {
        self.view().inputs[place].recording.as_ref().map(|recording| recording.state)
    }

    fn done_fact(&mut self, input: &str, session: SessionId) -> Vec<Effect> {
        let fact = Fact { n: 9, kind: FactKind::Done { frames: Frames::default() } };
        self.feed(Event::Fact { input: id(input), session, t_ns: 0, fact })
    }
}

fn reply(effects: &[Effect]) -> Option<&Reply> {
    effects.iter().find_map(|effect| if let Effect::Reply(_, reply) = effect { Some(reply) } else { None })
}

fn refusal(effects: &[Effect]) -> &Refused {
    match reply(effects) {
        Some(Reply::Refused(refused)) => refused,
        other => panic!("not refused: {other:?}"),
    }
}

fn starts(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::StartWorker { .. })).count()
}

fn closes(effects: &[Effect]) -> Option<Closed> {
    effects.iter().find_map(|effect| if let Effect::Close { state, .. } = effect { Some(*state) } else { None })
}

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

fn closed_session(id: SessionId, state: Closed) -> crate::storage::recovery::ClosedSession {
    let manifest = crate::model::session::Manifest {
        version: 1,
        id,
        name: "x".parse().expect("a name"),
        started_at: Timestamp::UNIX_EPOCH,
        ended_at: Timestamp::UNIX_EPOCH,
        state,
        library_path: "/library".into(),
        inputs: Vec::new(),
        markers: Vec::new(),
        clock_steps: Vec::new(),
        incidents: Vec::new(),
    };
    crate::storage::recovery::ClosedSession { manifest, lost_ms: vec![(self::id("a"), 40)] }
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
    assert_eq!(refusal(&effects).code, "not_persisted");
    assert!(bench.view().session.is_none());
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
    assert!(effects.iter().any(|effect| matches!(effect, Effect::StartWorker { fresh: false, .. })));
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

fn interrupted(session: u128, inputs: &[&str]) -> Interrupted {
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
    Interrupted { dir: format!("/library/{session}").into(), plan, stop_requested: false }
}

#[test]
fn a_session_that_workers_still_record_is_stopped_and_closed_whatever_order_they_answer_in() {
    let mut bench = Bench::cold(&["a", "b"]);
    let old = interrupted(77, &["a", "b"]);
    let session = old.plan.id;
    let linked = |pid| WorkerEvent::Linked { link: 1, pid, started: MonoNs(0), session: Some(session) };
    bench.worker("a", linked(1));
    bench.feed(Event::Searched { interrupted: vec![old], last: None });
    bench.tick_for(400);
    bench.worker("b", linked(2));
    let stops = bench
        .done
        .iter()
        .filter(|effect| matches!(effect, Effect::Send(_, command) if matches!(**command, Command::Stop { .. })));
    assert_eq!(stops.count(), 2);
    assert_eq!(bench.view().session.map(|session| session.state), Some(SessionState::Stopping));
    assert_eq!(refusal(&bench.start("k", None)).status, 409);
    bench.done_fact("a", session);
    let effects = bench.done_fact("b", session);
    assert_eq!(closes(&effects), Some(Closed::Completed));
    assert!(bench.state.alerts.is_active("engine", "engine_restarted"));
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
    let effects =
        bench.feed(Event::Closed { session: first, dir: "/library/5".into(), result: Err(CloseFault::Locked) });
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

#[derive(Debug, Clone)]
enum Op {
    Start(u8),
    Stop,
    Persisted(bool),
    Kill(u8),
    Spawned(u8),
    Status(u8, bool),
    Done(u8),
    Closed(bool),
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0u8..3).prop_map(Op::Start),
        Just(Op::Stop),
        any::<bool>().prop_map(Op::Persisted),
        (0u8..2).prop_map(Op::Kill),
        (0u8..2).prop_map(Op::Spawned),
        (0u8..2, any::<bool>()).prop_map(|(input, media)| Op::Status(input, media)),
        (0u8..2).prop_map(Op::Done),
        any::<bool>().prop_map(Op::Closed),
        (200u64..3000).prop_map(Op::Pass),
    ]
}

proptest! {
    #[test]
    fn no_history_leaves_a_request_unanswered_or_shows_recording_without_evidence(ops in prop::collection::vec(op(), 0..60)) {
        let mut bench = Bench::ready(&["a", "b"]);
        let names = ["a", "b"];
        let (mut pid, mut told) = (10, [None::<u64>; 2]);
        let mut pids = [Some(1u32), Some(2u32)];
        for op in ops {
            let session = bench.state.session.as_ref().map(|session| session.plan.id);
            match op {
                Op::Start(key) => drop(bench.start(&key.to_string(), None)),
                Op::Stop => drop(bench.stop()),
                Op::Persisted(ok) => {
                    if let Some(session) = session {
                        bench.feed(Event::Persisted { session, result: if ok { Ok(()) } else { Err("no".into()) } });
                    }
                }
                Op::Kill(n) => {
                    if let Some(pid) = pids[usize::from(n)].take() {
                        bench.worker(names[usize::from(n)], WorkerEvent::Exited { pid, how: "9".into() });
                        told[usize::from(n)] = None;
                    }
                }
                Op::Spawned(n) => {
                    if pids[usize::from(n)].is_none() {
                        pid += 1;
                        bench.spawned(names[usize::from(n)], pid);
                        pids[usize::from(n)] = bench.state.inputs[usize::from(n)].worker.pid();
                    }
                }
                Op::Status(n, media) => {
                    let state = if media { RecordingState::Recording } else { RecordingState::Stalled };
                    bench.status(names[usize::from(n)], session, state, 100);
                    told[usize::from(n)] = (media && session.is_some()).then_some(bench.ms);
                }
                Op::Done(n) => {
                    if let Some(session) = session {
                        bench.done_fact(names[usize::from(n)], session);
                    }
                }
                Op::Closed(ok) => {
                    let closing = bench.state.session.as_ref().filter(|session| matches!(session.phase, Phase::Closing { .. }));
                    if let Some((session, dir)) = closing.map(|session| (session.plan.id, session.dir.clone())) {
                        let closed = || Ok(Box::new(closed_session(session, Closed::Completed)));
                        let result = if ok { closed() } else { Err(CloseFault::Failed("no".into())) };
                        bench.feed(Event::Closed { session, dir, result });
                    }
                }
                Op::Pass(ms) => bench.tick_for(ms),
            }
            for place in 0..2 {
                if bench.recording(place) == Some(RecordingState::Recording) {
                    prop_assert!(told[place].is_some_and(|at| bench.ms - at < 2000), "recording without evidence");
                }
            }
        }
        bench.tick_for(10_000);
        let answered = bench.done.iter().filter(|effect| matches!(effect, Effect::Reply(..))).count();
        prop_assert_eq!(answered as u64, bench.token, "every request is answered once");
    }
}

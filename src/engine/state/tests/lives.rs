//! Random lives of engines, one after the other, over workers that outlive them (R-CMD-2, R-SUP-3): at most one
//! session, under one id, whatever dies; no part number given out twice; every request answered once.

use super::*;
use crate::storage::history::{History, InputHistory, PastPart};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const INPUTS: [&str; 2] = ["a", "b"];
/// So many in every check; each is a life of up to sixty events.
const LIVES: u32 = 10_000;

#[derive(Debug, Clone)]
enum Op {
    Start(u8),
    Stop,
    /// The disk does what it was asked.
    Disk(bool),
    KillWorker(u8),
    Report(u8),
    KillEngine,
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0u8..3).prop_map(Op::Start),
        1 => Just(Op::Stop),
        6 => prop::bool::weighted(0.9).prop_map(Op::Disk),
        2 => (0u8..2).prop_map(Op::KillWorker),
        5 => (0u8..2).prop_map(Op::Report),
        2 => Just(Op::KillEngine),
        2 => (200u64..3000).prop_map(Op::Pass),
    ]
}

/// What stands on the disk of a session that is not closed.
#[derive(Debug, Clone)]
struct Folder {
    plan: Plan,
    stop_requested: bool,
    /// Highest part of each input.
    parts: BTreeMap<InputId, u32>,
    done: BTreeSet<InputId>,
}

/// A worker that is alive.
#[derive(Debug, Clone, Default)]
struct Alive {
    pid: u32,
    records: Option<SessionId>,
    /// It was told to stop.
    stopping: bool,
}

struct World {
    bench: Bench,
    folders: Vec<Folder>,
    workers: BTreeMap<InputId, Alive>,
    disk: Vec<Effect>,
    decided: VecDeque<Effect>,
    busy: bool,
    pid: u32,
    given_out: BTreeSet<(SessionId, InputId, u32)>,
    /// Requests of this life.
    asked_here: u64,
    /// Sessions gone on with, sessions closed.
    reached: [usize; 2],
}

impl World {
    fn new() -> Self {
        let bench = Bench::cold(&INPUTS);
        let (folders, disk, decided, workers, given_out) = Default::default();
        let mut world = Self {
            bench,
            folders,
            workers,
            disk,
            decided,
            busy: false,
            pid: 100,
            given_out,
            asked_here: 0,
            reached: [0; 2],
        };
        world.begin_life();
        world
    }

    /// A new engine looks at the library and at the workers.
    fn begin_life(&mut self) {
        let interrupted = |folder: &Folder| {
            let mut history = History { stop_requested: folder.stop_requested, ..History::default() };
            for (input, part) in &folder.parts {
                let parts = (1..=*part).map(|part| PastPart { part, media_ms: 100, frames: None }).collect();
                let done = folder.done.contains(input);
                let past = InputHistory { parts, started: true, served: true, done, ..InputHistory::default() };
                history.inputs.insert(input.clone(), past);
            }
            Interrupted { dir: folder_of(folder.plan.id), plan: folder.plan.clone(), history }
        };
        let found = self.folders.iter().rev().map(interrupted).collect();
        self.perform(self.bench.done.clone());
        self.feed(Event::Searched { interrupted: found, last: None });
        self.feed(Event::Space(Some(Space { free: 100_000_000_000, total: 200_000_000_000 })));
    }

    fn kill_engine(&mut self) {
        let before = self.bench.state.session.as_ref().map(|session| session.plan.id);
        let (ms, token) = (self.bench.ms, self.bench.token);
        let plans: Vec<_> = self.folders.iter().rev().map(|folder| folder.plan.clone()).collect();
        let restarts = self.bench.state.restarts();
        let now = Now { mono: MonoNs(ms * 1_000_000), at: Timestamp::UNIX_EPOCH };
        let (state, done) = State::new(now, Setup { restarts, ..setup(&INPUTS) });
        self.bench = Bench { state, ms, token, done };
        self.bench.feed(Event::Plans(plans));
        (self.asked_here, self.disk) = (0, Vec::new());
        let recorded: BTreeSet<SessionId> = self.workers.values().filter_map(|worker| worker.records).collect();
        self.begin_life();
        let after = self.bench.state.session.as_ref();
        if let Some(recorded) = recorded.first() {
            let session = after.expect("a session that is recorded goes on");
            assert_eq!((Some(session.plan.id), session.plan.id), (before, *recorded), "another session took its place");
            let asked = self.folders.iter().any(|folder| folder.plan.id == *recorded && folder.stop_requested);
            assert_eq!(session.runs(), !asked, "stopped though nobody asked, or the other way round");
        }
    }

    fn feed(&mut self, event: Event) {
        let effects = self.bench.feed(event);
        self.perform(effects);
    }

    /// Does in order what was decided; what follows from that comes behind it.
    fn perform(&mut self, effects: Vec<Effect>) {
        self.decided.extend(effects);
        if std::mem::replace(&mut self.busy, true) {
            return;
        }
        while let Some(effect) = self.decided.pop_front() {
            match effect {
                Effect::Persist { .. } | Effect::WriteStop { .. } | Effect::Close { .. } | Effect::Number { .. } => {
                    self.disk.push(effect);
                }
                Effect::Adopt { session, .. } => {
                    assert!(self.folders.iter().any(|folder| folder.plan.id == session), "adopted from nowhere");
                    self.reached[0] += 1;
                }
                Effect::Journal { dir, .. } => {
                    let open = self.folders.iter().any(|folder| folder_of(folder.plan.id) == dir);
                    assert!(open, "a line for {} that is closed or was never made", dir.display());
                }
                Effect::Worker(input, Act::Connect { link, child, .. }) => self.connect(&input, link, child),
                Effect::Worker(input, Act::Spawn) => {
                    self.pid += 1;
                    let alive = Alive { pid: self.pid, ..Alive::default() };
                    let other = self.workers.insert(input.clone(), alive);
                    assert!(other.is_none(), "two workers of one input");
                    self.feed(Event::Worker { input, event: WorkerEvent::Spawned { pid: self.pid } });
                }
                Effect::Worker(input, Act::Dismiss | Act::Kill | Act::Terminate)
                    if self.workers.get(&input).is_some_and(|worker| worker.records.is_none()) =>
                {
                    self.end_worker(&input);
                }
                Effect::Send(input, command) => self.command(&input, *command),
                Effect::StartWorker { input, command, ticket } => {
                    let first = (ticket.session, input.clone(), ticket.first_part);
                    assert!(self.given_out.insert(first.clone()), "{first:?} was given out twice");
                    let Some(worker) = self.workers.get_mut(&input) else { continue };
                    assert!(worker.records.is_none(), "it records already");
                    (worker.records, worker.stopping) = (Some(ticket.session), false);
                    if let Some(folder) = self.folders.iter_mut().find(|folder| folder.plan.id == ticket.session) {
                        folder.parts.insert(input.clone(), ticket.first_part);
                    }
                    let link = self.bench.last_link(input.as_str());
                    self.feed(Event::Ack { input, link, command, refused: None });
                }
                _ => {}
            }
        }
        self.busy = false;
    }

    fn connect(&mut self, input: &InputId, link: u64, child: bool) {
        let event = match self.workers.get(input) {
            Some(worker) => {
                let (pid, session) = (worker.pid, worker.records);
                WorkerEvent::Linked { link, pid: Some(pid), started: MonoNs(0), session, older: false }
            }
            None if child => return,
            None => WorkerEvent::LockFree { link },
        };
        self.feed(Event::Worker { input: input.clone(), event });
    }

    fn command(&mut self, input: &InputId, command: Command) {
        match command {
            Command::Configure { id, .. } => {
                let link = self.bench.last_link(input.as_str());
                self.feed(Event::Ack { input: input.clone(), link, command: id, refused: None });
            }
            Command::Stop { session, .. } => {
                if let Some(worker) = self.workers.get_mut(input).filter(|worker| worker.records == Some(session)) {
                    worker.stopping = true;
                }
            }
            _ => {}
        }
    }

    fn end_worker(&mut self, input: &InputId) {
        let Some(worker) = self.workers.remove(input) else { return };
        self.feed(Event::Worker {
            input: input.clone(),
            event: WorkerEvent::Exited { pid: worker.pid, how: "9".into() },
        });
    }

    /// The worker says how it is; one that was told to stop has.
    fn report(&mut self, input: &InputId) {
        let Some(worker) = self.workers.get_mut(input) else { return };
        let link = self.bench.last_link(input.as_str());
        let Some(session) = worker.records else {
            let status = Box::new(status(None, RecordingState::Done, 0));
            return self.feed(Event::Status { input: input.clone(), link, status });
        };
        if worker.stopping {
            worker.records = None;
            if let Some(folder) = self.folders.iter_mut().find(|folder| folder.plan.id == session) {
                folder.done.insert(input.clone());
            }
            let fact = Fact { n: 9, kind: FactKind::Done { frames: Frames::default() } };
            return self.feed(Event::Fact { input: input.clone(), session, t_ns: 0, fact });
        }
        let report = status(Some(session), RecordingState::Recording, 100);
        self.feed(Event::Status { input: input.clone(), link, status: Box::new(report) });
    }

    /// The oldest job of the disk is done, or refused.
    fn work(&mut self, well: bool) {
        if self.disk.is_empty() {
            return;
        }
        match self.disk.remove(0) {
            Effect::Persist { plan, .. } => {
                let session = plan.id;
                let result = if well { Ok(()) } else { Err("no".into()) };
                if well {
                    let (parts, done) = Default::default();
                    self.folders.push(Folder { plan: *plan, stop_requested: false, parts, done });
                }
                self.feed(Event::Persisted { session, result });
            }
            Effect::WriteStop { session, .. } => {
                if let Some(folder) = self.folders.iter_mut().find(|folder| folder.plan.id == session) {
                    folder.stop_requested = true;
                }
                self.feed(Event::StopWritten { session });
            }
            Effect::Close { session, dir, state } => {
                let writes = self.workers.values().any(|worker| worker.records == Some(session));
                let result = match (well, writes) {
                    (_, true) => Err(CloseFault::Locked("it is being written".to_owned())),
                    (false, _) => Err(CloseFault::Failed("no".to_owned())),
                    (true, false) => {
                        self.reached[1] += 1;
                        self.folders.retain(|folder| folder.plan.id != session);
                        Ok(Box::new(closed_session(session, state)))
                    }
                };
                self.feed(Event::Closed { session, dir, result });
            }
            Effect::Number { input, link, session, .. } => {
                let folder = self.folders.iter().find(|folder| folder.plan.id == session);
                let part = folder.and_then(|folder| folder.parts.get(&input)).copied().unwrap_or(0);
                let result = if well { Ok((part + 1, u64::from(part) * 100 + 1)) } else { Err("no".to_owned()) };
                self.feed(Event::Numbered { input, link, session, result });
            }
            other => panic!("{other:?} is no job for the disk"),
        }
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Start(key) => {
                self.asked_here += 1;
                let effects = self.bench.start(&key.to_string(), None);
                self.perform(effects);
            }
            Op::Stop => {
                self.asked_here += 1;
                self.bench.token += 1;
                self.feed(Event::Stop { token: self.bench.token, session: None });
            }
            Op::Disk(well) => self.work(*well),
            Op::KillWorker(n) => self.end_worker(&id(INPUTS[usize::from(*n)])),
            Op::Report(n) => self.report(&id(INPUTS[usize::from(*n)])),
            Op::KillEngine => self.kill_engine(),
            Op::Pass(ms) => {
                let until = self.bench.ms + ms;
                while self.bench.ms < until {
                    self.bench.ms += 200;
                    self.feed(Event::Tick);
                }
            }
        }
        let recorded: BTreeSet<SessionId> = self.workers.values().filter_map(|worker| worker.records).collect();
        assert!(recorded.len() <= 1, "two sessions are recorded: {recorded:?}");
    }
}

fn folder_of(session: SessionId) -> std::path::PathBuf {
    // `commands` names it by time, slug and id; in these worlds time stands still.
    let name: crate::model::SessionName = "Session".parse().expect("a name");
    let started_at = Timestamp::UNIX_EPOCH + Duration::from_millis(100);
    std::path::Path::new("/library").join(crate::storage::layout::session_dir(started_at, &name, session))
}

/// Lives these events; how often a session was gone on with, and how many were closed.
fn live(ops: &[Op]) -> [usize; 2] {
    let mut world = World::new();
    for op in ops {
        world.apply(op);
    }
    for _ in 0..20 {
        world.apply(&Op::Disk(true));
    }
    world.apply(&Op::Pass(10_000));
    let replies = world.bench.done.iter().filter_map(|effect| match effect {
        Effect::Reply(token, _) => Some(*token),
        _ => None,
    });
    let tokens: Vec<Token> = replies.collect();
    assert_eq!(tokens.len() as u64, world.asked_here, "a request of this life is not answered, or twice");
    assert_eq!(tokens.iter().collect::<BTreeSet<_>>().len(), tokens.len(), "a request was answered twice");
    world.reached
}

/// The numbers of a session were asked for again although they had come meanwhile: its worker got a second ticket.
#[test]
fn a_worker_gets_one_ticket_however_often_its_numbers_are_asked_for() {
    use Op::{Disk, KillEngine, KillWorker, Pass, Start, Stop};
    let before = [KillWorker(0), KillWorker(0), Start(0), Disk(true), KillEngine, KillWorker(1)];
    let refused = [Disk(false), Disk(false), Stop, Start(0), Disk(false), Disk(true), Start(1), Disk(true), Pass(801)];
    live(&[&before[..], &refused].concat());
}

#[test]
fn whatever_dies_there_is_one_session_and_every_request_is_answered_once() {
    let reached = std::cell::Cell::new([0; 2]);
    let config = ProptestConfig { cases: LIVES, failure_persistence: None, ..ProptestConfig::default() };
    let result = TestRunner::new(config).run(&prop::collection::vec(op(), 1..60), |ops| {
        let (sum, one) = (reached.get(), live(&ops));
        reached.set([sum[0] + one[0], sum[1] + one[1]]);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    let [adopted, closed] = reached.get();
    println!("{LIVES} histories: {adopted} times a session was gone on with, {closed} were closed");
    // A test that reaches nothing proves nothing.
    assert!(adopted > LIVES as usize / 10 && closed > LIVES as usize / 10, "these histories are too tame");
}

//! An engine process of the simulated world: the real state machine; its disk thread and its links one step at a time.

use super::worker::{SimWorker, outwait_forks};
use super::world::{BOOT, Chore, Clock, World};
use holdfast::engine::event::{CloseFault, Effect, Event, Now, Reply, Space, Token};
use holdfast::engine::state::{Setup, State};
use holdfast::engine::worker_event::{Act, WorkerEvent};
use holdfast::model::encoding::{Container, Encoding};
use holdfast::model::input::InputSpec;
use holdfast::model::policy::WorkerPolicy;
use holdfast::model::session::{JournalKind, Line, PartEnd, PartRecord};
use holdfast::model::snapshot::Snapshot;
use holdfast::model::{InputId, SessionId};
use holdfast::protocol::worker::{Command, Report};
use holdfast::storage::recovery::CloseError;
use holdfast::storage::{history, layout, recent, recovery, search};
use holdfast::sys::lock::is_held;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Folders an engine looks at before it is told of any; these histories have a handful of sessions.
const NEWEST: usize = 2;

/// First number of the commands the shell makes.
const SHELL_COMMANDS: u64 = 1 << 32;

/// What engine number `epoch` is made from.
pub fn engine_setup(inputs: Vec<InputSpec>, library: PathBuf, epoch: u64) -> Setup {
    Setup {
        inputs,
        encoding: Encoding::default(),
        policy: WorkerPolicy::default(),
        storage: Default::default(),
        supervision: Default::default(),
        degradation: Default::default(),
        library,
        boot_id: BOOT.to_owned(),
        epoch,
        config_file: "config.toml".to_owned(),
        alerts: Vec::new(),
        strays: Vec::new(),
        order: Vec::new(),
        clocks: None,
        measured: Default::default(),
        restarts: Default::default(),
    }
}

/// A connection attempt that waits for its turn.
#[derive(Debug)]
pub struct Look {
    pub input: InputId,
    pub link: u64,
    pub child: bool,
}

/// One engine process.
#[derive(Debug)]
pub struct SimEngine {
    pub epoch: u64,
    /// Stopped by a signal.
    pub frozen: bool,
    /// It left by itself.
    pub left: bool,
    pub state: State,
    inbox: VecDeque<Event>,
    /// What its disk thread still has to do.
    disk: VecDeque<Effect>,
    looks: VecDeque<Look>,
    /// Which connection of an input is the current one: its number and the worker at its end.
    pub links: BTreeMap<InputId, (u64, u32)>,
    pub answered: BTreeMap<Token, Reply>,
    /// Answers nobody has looked at yet.
    pub unheard: Vec<(Token, Reply)>,
}

impl SimEngine {
    /// Starts: looks at the library, then asks who holds the workers' locks.
    pub fn new(clock: Clock, epoch: u64, setup: Setup, library: &Path) -> Self {
        let (state, effects) = State::new(now(clock), setup);
        let (inbox, disk, looks, links, answered, unheard) = Default::default();
        let mut engine =
            Self { epoch, frozen: false, left: false, state, inbox, disk, looks, links, answered, unheard };
        for effect in effects {
            engine.take_in(effect);
        }
        engine.inbox.push_back(Event::Space(Some(Space { free: 1 << 40, total: 1 << 41 })));
        let inbox = &mut engine.inbox;
        let mut tell = |found: search::Found| {
            assert!(found.unread.is_empty(), "{:?}", found.unread);
            inbox.push_back(Event::Found { interrupted: found.interrupted, last: found.last });
        };
        let clocks = recent::Clocks { boot_id: BOOT.to_owned(), mono: clock.mono, wall: clock.wall };
        let plans = recent::plans(library, &clocks, &[]).expect("a library");
        search::search_newest_first(library, NEWEST, &mut tell).expect("a library");
        inbox.push_back(Event::Searched { interrupted: Vec::new(), last: None });
        inbox.push_back(Event::Plans(plans));
        engine
    }

    pub fn send(&mut self, event: Event) {
        self.inbox.push_back(event);
    }

    /// Queues that hold something, not counting words of workers.
    pub fn chores(&self) -> Vec<Chore> {
        let queues = [
            (Chore::Event, self.inbox.is_empty()),
            (Chore::Disk, self.disk.is_empty()),
            (Chore::Look, self.looks.is_empty()),
        ];
        queues.into_iter().filter(|(_, empty)| !empty).map(|(chore, _)| chore).collect()
    }

    pub fn handle(&mut self, clock: Clock, event: Event) -> Vec<Effect> {
        let effects = self.state.handle(now(clock), event);
        effects.into_iter().filter_map(|effect| self.take_in(effect)).collect()
    }

    /// Queues what takes time; gives back what concerns other processes.
    fn take_in(&mut self, effect: Effect) -> Option<Effect> {
        match effect {
            Effect::Reply(token, reply) => {
                self.unheard.push((token, reply.clone()));
                let before = self.answered.insert(token, reply);
                assert!(before.is_none(), "request {token} is answered twice");
            }
            Effect::Persist { .. }
            | Effect::Journal { .. }
            | Effect::Adopt { .. }
            | Effect::WriteStop { .. }
            | Effect::Close { .. }
            | Effect::Number { .. } => {
                self.disk.push_back(effect);
            }
            Effect::Worker(input, Act::Connect { link, child, .. }) => {
                self.links.remove(&input);
                self.looks.retain(|look| look.input != input);
                self.looks.push_back(Look { input, link, child });
            }
            Effect::Exit => self.left = true,
            // Proofs, alarms, and whether the machine may sleep, change no state that is looked at here.
            Effect::Log { .. } | Effect::Alarm { .. } | Effect::Inhibit(_) => {}
            Effect::Prove { .. } | Effect::EndProof { .. } | Effect::KeepProof { .. } => {}
            other => return Some(other),
        }
        None
    }

    pub fn next_event(&mut self) -> Option<Event> {
        self.inbox.pop_front()
    }

    pub fn next_look(&mut self) -> Option<Look> {
        self.looks.pop_front()
    }

    /// Not yet: it is tried again later.
    pub fn look_again(&mut self, look: Look) {
        self.looks.push_back(look);
    }

    /// What its disk thread does next, beside these workers.
    pub fn work(&mut self, clock: Clock, workers: &[SimWorker]) {
        let Some(job) = self.disk.pop_front() else { return };
        let event = match job {
            Effect::Persist { dir, plan } => {
                std::fs::create_dir(&dir).expect("a new folder");
                let session = plan.id;
                let line = Line { t_ns: 0, at: clock.wall, kind: JournalKind::Plan(*plan) };
                append(&dir, &line);
                Event::Persisted { session, result: Ok(()) }
            }
            Effect::Journal { dir, t_ns, kind } => return append(&dir, &Line { t_ns, at: clock.wall, kind: *kind }),
            Effect::WriteStop { session, dir, t_ns } => {
                append(&dir, &Line { t_ns, at: clock.wall, kind: JournalKind::StopRequested });
                Event::StopWritten { session }
            }
            Effect::Adopt { session, dir, t_ns, epoch } => {
                let result = history::adopt(&dir, session, epoch, t_ns, || {}).map_err(|error| error.to_string());
                Event::Adopted { session, result: result.map(Box::new) }
            }
            Effect::Close { session, dir, state } => {
                let close = || {
                    let found = |dir: &Path| Ok(recovery::Finalised { parts: finalise(dir), busy: Vec::new() });
                    recovery::close(&dir, state, Duration::ZERO, &found)
                };
                let held = workers.iter().any(|worker| worker.holds(session));
                let free = || Some(close()).filter(|result| held || !matches!(result, Err(CloseError::Locked(_))));
                let result = outwait_forks(free).unwrap_or_else(close);
                let result = result.map(Box::new).map_err(|error| CloseFault::Locked(error.to_string()));
                Event::Closed { session, dir, result }
            }
            Effect::Number { input, link, session, dir } => {
                let result = recovery::next_numbers(&dir, &input).map_err(|error| error.to_string());
                Event::Numbered { input, link, session, result }
            }
            other => panic!("{other:?} is no job for the disk"),
        };
        self.inbox.push_back(event);
    }

    /// A worker said something on a connection that may be an old one.
    pub fn hear(&mut self, input: &InputId, link: u64, report: Report) {
        let input = input.clone();
        let event = match report {
            Report::Status(status) => Event::Status { input, link, status },
            Report::Fact { session, t_ns, fact } => Event::Fact { input, session, t_ns, fact: *fact },
            Report::Ack { id, refused } => Event::Ack { input, link, command: id, refused },
            Report::Superseded { epoch } => Event::Superseded { epoch },
            Report::Hello { .. } | Report::Ring { .. } | Report::WatchRefused { .. } => return,
        };
        self.inbox.push_back(event);
    }

    pub fn of_worker(&mut self, input: &InputId, event: WorkerEvent) {
        self.inbox.push_back(Event::Worker { input: input.clone(), event });
    }

    /// The session it believes to run.
    pub fn session(&self, clock: Clock) -> Option<SessionId> {
        self.snapshot(clock).session.map(|session| session.id)
    }

    pub fn snapshot(&self, clock: Clock) -> Snapshot {
        self.state.snapshot(now(clock))
    }
}

/// Both clocks as an engine reads them.
pub fn now(clock: Clock) -> Now {
    Now { mono: clock.mono, at: clock.wall }
}

fn append(dir: &Path, line: &Line<JournalKind>) {
    history::Journal::open(dir).and_then(|mut journal| journal.append(line)).expect("a journal line");
}

/// What the prove role prints, of files without media in them.
fn finalise(dir: &Path) -> Vec<PartRecord> {
    let names = std::fs::read_dir(dir).expect("a folder").flatten().map(|entry| entry.file_name());
    let parts = names.filter_map(|name| {
        let name = name.into_string().ok()?;
        let (_, part) = layout::parse_part_file(&name)?;
        (!is_held(&dir.join(&name)).expect("asked")).then_some((name, part))
    });
    let record =
        |(file, part)| PartRecord { bytes: 1, ..PartRecord::new(part, file, Container::Mp4, PartEnd::WorkerDied) };
    parts.map(record).collect()
}

impl World {
    /// Does to workers what an engine decided.
    pub fn perform(&mut self, engine: usize, effect: Effect) {
        match effect {
            Effect::Worker(input, act) => match act {
                Act::Spawn => self.spawn(engine, input),
                Act::Kill | Act::Terminate => self.kill_linked(engine, &input),
                Act::Dismiss => {
                    self.dismissals += 1;
                    let id = SHELL_COMMANDS + self.dismissals;
                    self.command(engine, &input, Command::Leave { id });
                }
                Act::Measure => self.measure(engine, &input),
                Act::Connect { .. } | Act::Ready { .. } | Act::Died { .. } | Act::GaveUp | Act::Stuck => {}
            },
            Effect::Send(input, command) => self.command(engine, &input, *command),
            Effect::StartWorker { input, command, ticket } => {
                self.command(engine, &input, Command::Start { id: command, ticket: *ticket });
            }
            other => panic!("{other:?} was meant for the engine itself"),
        }
    }
}

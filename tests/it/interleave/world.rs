//! Engines, workers, their connections and one library; every step is chosen from outside.
//!
//! Contract: what the kernel guarantees holds here too: locks die with their holder, what was written to a socket is
//! read before its end is seen, what was not handed to the disk is lost with the process. All else may come in any
//! order.

use super::clients::Promises;
use super::engine::{Look, SimEngine, engine_setup};
use super::worker::{SimWorker, holder};
use holdfast::engine::event::{Event, Token};
use holdfast::engine::worker_event::WorkerEvent;
use holdfast::model::input::{AudioChoice, InputSpec, OnSignalLoss, SourceSpec, TestPattern};
use holdfast::model::snapshot::InputState;
use holdfast::model::{InputId, MonoNs, SessionId};
use holdfast::protocol::worker::{Command, Report};
use jiff::Timestamp;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

/// This boot.
pub const BOOT: &str = "boot";

/// Both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    pub mono: MonoNs,
    pub wall: Timestamp,
}

/// A worker's end of its connection to an engine.
#[derive(Debug)]
pub struct Link {
    /// Which engine.
    pub engine: u64,
    pub number: u64,
    /// Engine → worker.
    pub down: VecDeque<Command>,
    /// Worker → engine.
    pub up: VecDeque<Report>,
    /// The engine has closed its end.
    pub closed: bool,
}

/// The world.
#[derive(Debug)]
pub struct World {
    pub folder: tempfile::TempDir,
    pub clock: Clock,
    /// The engine that holds the lock, if any.
    pub engines: Vec<SimEngine>,
    pub workers: Vec<SimWorker>,
    pub inputs: Vec<InputSpec>,
    epoch: u64,
    pids: u32,
    tokens: Token,
    /// Numbers given to dismissals.
    pub dismissals: u64,
    /// What clients were told.
    pub promises: Promises,
    /// Words of workers that died, still to be read: engine, input, connection, report (`None` = the end).
    last_words: VecDeque<(u64, InputId, u64, Option<Report>)>,
}

impl World {
    pub fn new(inputs: &[&str]) -> Self {
        // Thousands of fsyncs: on a disk they would take minutes.
        let shm = PathBuf::from("/dev/shm");
        let folder = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() }.expect("a folder");
        for name in ["library", "locks"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let spec = |id: &&str| InputSpec {
            id: id.parse().expect("an id"),
            name: (*id).to_owned(),
            source: SourceSpec::Test { pattern: TestPattern::Bars, width: 640, height: 360, fps: 30, tone_hz: 440 },
            audio: AudioChoice::Off,
            on_signal_loss: OnSignalLoss::Split,
            codec: None,
            importance: 0,
            armed: true,
        };
        let clock = Clock { mono: MonoNs(1_000_000_000_000), wall: "2026-11-22T06:00:00Z".parse().expect("a time") };
        let (engines, workers, last_words, promises) = Default::default();
        let inputs = inputs.iter().map(spec).collect();
        Self {
            folder,
            clock,
            engines,
            workers,
            inputs,
            epoch: 0,
            pids: 100,
            tokens: 0,
            dismissals: 0,
            last_words,
            promises,
        }
    }

    pub fn library(&self) -> PathBuf {
        self.folder.path().join("library")
    }

    /// The engine that runs, frozen or not.
    pub fn engine(&mut self) -> Option<&mut SimEngine> {
        self.engines.first_mut()
    }

    /// Somebody starts an engine: refused beside one that answers, taken over from one that is frozen.
    pub fn start_engine(&mut self) {
        match self.engines.first() {
            Some(engine) if !engine.frozen => return,
            Some(_) => self.kill_engine(),
            None => {}
        }
        self.epoch += 1;
        let setup = engine_setup(self.inputs.clone(), self.library(), self.epoch);
        let engine = SimEngine::new(self.clock, self.epoch, setup, &self.library());
        self.engines.push(engine);
    }

    /// Somebody writes `input` for this session.
    pub fn records(&self, input: &str, session: SessionId) -> bool {
        self.workers.iter().any(|worker| worker.input.as_str() == input && worker.session() == Some(session))
    }

    /// Its workers died too often.
    pub fn is_given_up(&self, input: &str) -> bool {
        let snapshot = self.engines.first().map(|engine| engine.snapshot(self.clock));
        let inputs = snapshot.into_iter().flat_map(|snapshot| snapshot.inputs);
        inputs.into_iter().any(|view| view.id.as_str() == input && view.state == InputState::Quarantined)
    }

    /// SIGKILL: what it had not handed to the disk is gone; what it had sent is still read.
    pub fn kill_engine(&mut self) {
        self.forget_promises();
        let Some(engine) = self.engines.pop() else { return };
        for link in self.workers.iter_mut().filter_map(|worker| worker.link.as_mut()) {
            link.closed |= link.engine == engine.epoch;
        }
    }

    pub fn kill_worker(&mut self, place: usize) {
        if place >= self.workers.len() {
            return;
        }
        let worker = self.workers.swap_remove(place);
        if let Some(link) = worker.link.filter(|link| !link.closed) {
            let words = link.up.into_iter().map(Some).chain([None]);
            self.last_words.extend(words.map(|word| (link.engine, worker.input.clone(), link.number, word)));
        }
        let how = if worker.left { "exit status: 0" } else { "signal: 9" };
        for engine in &mut self.engines {
            engine.of_worker(&worker.input, WorkerEvent::Exited { pid: worker.pid, how: how.to_owned() });
        }
    }

    /// A command, or the answer to one, is lost: a queue was full, or a process stood still too long.
    pub fn lose_word(&mut self, place: usize, answer: bool) {
        let Some(link) = self.workers.get_mut(place).and_then(|worker| worker.link.as_mut()) else { return };
        if answer {
            let place = link.up.iter().position(|report| matches!(report, Report::Ack { .. }));
            drop(place.and_then(|place| link.up.remove(place)));
        } else {
            drop(link.down.pop_front());
        }
    }

    /// The connection of a worker breaks, and both live.
    pub fn cut_link(&mut self, place: usize) {
        let Some(link) = self.workers.get_mut(place).and_then(|worker| worker.link.as_mut()) else { return };
        if std::mem::replace(&mut link.closed, true) {
            return;
        }
        link.down.clear();
        let (engine, number, words) = (link.engine, link.number, std::mem::take(&mut link.up));
        let input = self.workers[place].input.clone();
        let words = words.into_iter().map(Some).chain([None]);
        self.last_words.extend(words.map(|word| (engine, input.clone(), number, word)));
    }

    pub fn spawn(&mut self, engine: usize, input: InputId) {
        self.pids += 1;
        let pid = self.pids;
        self.workers.push(SimWorker::new(input.clone(), pid, self.clock.mono));
        self.engines[engine].of_worker(&input, WorkerEvent::Spawned { pid });
    }

    fn linked(&mut self, engine: usize, input: &InputId) -> Option<usize> {
        let (_, pid) = *self.engines.get(engine)?.links.get(input)?;
        self.workers.iter().position(|worker| worker.pid == pid)
    }

    pub fn kill_linked(&mut self, engine: usize, input: &InputId) {
        if let Some(place) = self.linked(engine, input) {
            self.kill_worker(place);
        }
    }

    pub fn command(&mut self, engine: usize, input: &InputId, command: Command) {
        let epoch = self.engines[engine].epoch;
        let Some(place) = self.linked(engine, input) else { return };
        let link = self.workers[place].link.as_mut();
        if let Some(link) = link.filter(|link| link.engine == epoch && !link.closed) {
            link.down.push_back(command);
        }
    }

    pub fn measure(&mut self, engine: usize, input: &InputId) {
        // Files of this world do not grow: a silent worker counts as hung.
        self.engines[engine].of_worker(input, WorkerEvent::Measured { bytes: 1 });
    }

    pub fn token(&mut self) -> Token {
        self.tokens += 1;
        self.tokens
    }

    /// Time passes for all that is not frozen.
    pub fn pass(&mut self, time: Duration) {
        self.clock.mono = self.clock.mono.plus(time);
        self.clock.wall += time;
        let now = self.clock.mono;
        for worker in self.workers.iter_mut().filter(|worker| !worker.frozen && worker.lock.is_some()) {
            worker.tick(now);
        }
        if self.engines.first().is_some_and(|engine| !engine.frozen) {
            self.tell_engine(Event::Tick);
        }
        self.bury();
    }

    fn tell_engine(&mut self, event: Event) {
        let Some(engine) = self.engines.first_mut() else { return };
        for effect in engine.handle(self.clock, event) {
            self.perform(0, effect);
        }
        self.hold_to_promises();
    }

    /// One of the things that could happen now; `false` = nothing could.
    pub fn step(&mut self, choice: u16) -> bool {
        let mut could: Vec<Could> = Vec::new();
        if !self.last_words.is_empty() {
            could.push(Could::ReadLastWord);
        }
        if let Some(engine) = self.engines.first().filter(|engine| !engine.frozen) {
            could.extend(engine.chores().into_iter().map(Could::Chore));
        }
        for (place, worker) in self.workers.iter().enumerate().filter(|(_, worker)| !worker.frozen) {
            if worker.lock.is_none() {
                could.push(Could::Boot(place));
            } else if worker.is_busy() {
                could.push(Could::Work(place));
            }
            let Some(link) = &worker.link else { continue };
            if link.closed && link.down.is_empty() {
                could.push(Could::NoticeEnd(place));
            }
        }
        let heard = self.engines.first().filter(|engine| !engine.frozen).map(|engine| engine.epoch);
        could.extend(self.workers.iter().enumerate().filter_map(|(place, worker)| {
            let link = worker.link.as_ref()?;
            (Some(link.engine) == heard && !link.up.is_empty()).then_some(Could::Hear(place))
        }));
        let Some(chosen) = could.get(usize::from(choice) % could.len().max(1)).copied() else { return false };
        self.happen(chosen, (choice >> 8) as u8);
        self.bury();
        true
    }

    fn happen(&mut self, what: Could, choice: u8) {
        match what {
            Could::ReadLastWord => {
                let Some((epoch, input, link, word)) = self.last_words.pop_front() else { return };
                let Some(engine) = self.engines.first_mut().filter(|engine| engine.epoch == epoch) else { return };
                match word {
                    Some(report) => engine.hear(&input, link, report),
                    None => engine.of_worker(&input, WorkerEvent::LinkLost { link }),
                }
            }
            Could::Chore(chore) => self.chore(chore),
            Could::Boot(place) => {
                let locks = self.folder.path().join("locks");
                let held = holder(&self.workers, &self.workers[place].input).is_some();
                self.workers[place].boot(&locks, held);
            }
            Could::Work(place) => self.workers[place].step(self.clock, choice),
            Could::NoticeEnd(place) => {
                self.workers[place].link = None;
                let now = self.clock.mono;
                self.workers[place].decide(now, holdfast::worker::state::Event::EngineGone);
            }
            Could::Hear(place) => {
                let worker = &mut self.workers[place];
                let Some(link) = worker.link.as_mut() else { return };
                let Some(report) = link.up.pop_front() else { return };
                let (number, input) = (link.number, worker.input.clone());
                if let Some(engine) = self.engines.first_mut() {
                    engine.hear(&input, number, report);
                }
            }
        }
    }

    fn chore(&mut self, chore: Chore) {
        let Some(engine) = self.engines.first_mut() else { return };
        let clock = self.clock;
        match chore {
            Chore::Event => {
                if let Some(event) = engine.next_event() {
                    self.tell_engine(event);
                }
            }
            Chore::Disk => engine.work(clock, &self.workers),
            Chore::Look => {
                if let Some(look) = engine.next_look() {
                    self.connect(look);
                }
            }
        }
    }

    fn connect(&mut self, look: Look) {
        let holder = holder(&self.workers, &look.input);
        let Some(engine) = self.engines.first_mut() else { return };
        let Some(place) = holder else {
            // A child comes up soon; nobody is there otherwise.
            let child = look.child && self.workers.iter().any(|worker| worker.input == look.input);
            return if child {
                engine.look_again(look);
            } else {
                engine.of_worker(&look.input, WorkerEvent::LockFree { link: look.link });
            };
        };
        let worker = &mut self.workers[place];
        if worker.frozen {
            return engine.of_worker(&look.input, WorkerEvent::Mute { link: look.link, pid: Some(worker.pid) });
        }
        let (down, up) = Default::default();
        worker.link = Some(Link { engine: engine.epoch, number: look.link, down, up, closed: false });
        engine.links.insert(look.input.clone(), (look.link, worker.pid));
        let linked = WorkerEvent::Linked {
            link: look.link,
            pid: Some(worker.pid),
            started: worker.started,
            session: worker.session(),
            older: false,
        };
        engine.of_worker(&look.input, linked);
        worker.answers.greet(engine.epoch);
        worker.decide(self.clock.mono, holdfast::worker::state::Event::EngineConnected);
    }

    /// Processes that left.
    fn bury(&mut self) {
        while let Some(place) = self.workers.iter().position(|worker| worker.left) {
            self.kill_worker(place);
        }
        if self.engines.first().is_some_and(|engine| engine.left) {
            self.kill_engine();
        }
    }
}

/// What could happen next.
#[derive(Debug, Clone, Copy)]
enum Could {
    ReadLastWord,
    Chore(Chore),
    Boot(usize),
    Work(usize),
    NoticeEnd(usize),
    Hear(usize),
}

/// The engine's queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chore {
    Event,
    Disk,
    Look,
}

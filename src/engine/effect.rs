//! Performs what the state machine decided. The only place of the engine that spawns, signals, connects or queues
//! disk work; decides nothing.

use super::disk::{Disk, Job};
use super::event::{Effect, Event, ProofEvent, Reply, Token};
use super::hook::Hook;
use super::inhibit;
use super::kept::Account;
use super::latency::Latencies;
use super::link::{Handles, Link};
use super::proof::Prover;
use super::worker_state::{Act, WorkerEvent};
use crate::model::incident::{Incident, Severity};
use crate::model::{InputId, SessionId};
use crate::protocol::worker::Command;
use crate::storage::recovery;
use crate::sys::clock;
use crate::sys::memory;
use crate::sys::paths::Runtime;
use crate::sys::process::{self, Priority, Process};
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{self, Sender};
use tokio::sync::{oneshot, watch};

/// Commands that may wait for one worker; a healthy one takes them at once.
const COMMANDS: usize = 32;

/// First number of the commands made here; the state machine counts from 1.
const SHELL_COMMANDS: u64 = 1 << 32;

/// See the module.
#[derive(Debug)]
pub struct Shell {
    runtime: Runtime,
    demo: bool,
    events: Sender<Event>,
    disk: Disk,
    links: HashMap<InputId, Sender<Command>>,
    handles: Handles,
    library: PathBuf,
    /// Inputs whose files are being looked at: a disk that hangs must not collect threads.
    measuring: Arc<Mutex<HashSet<InputId>>>,
    replies: HashMap<Token, oneshot::Sender<Reply>>,
    next_token: Token,
    /// Numbers the commands made here, apart from those of the state machine.
    next_command: u64,
    prover: Prover,
    /// Whether the machine is kept awake.
    awake: watch::Sender<bool>,
    hook: Hook,
    latencies: Latencies,
    exit: bool,
    superseded: Option<u64>,
    epoch: u64,
}

impl Shell {
    /// A shell that has done nothing yet.
    pub fn new(
        runtime: Runtime,
        demo: bool,
        library: &Path,
        epoch: u64,
        events: Sender<Event>,
        disk: Disk,
        hook: Hook,
    ) -> Self {
        Self {
            awake: inhibit::start(events.clone()),
            runtime,
            demo,
            events,
            disk,
            links: HashMap::new(),
            handles: Handles::default(),
            library: library.to_owned(),
            measuring: Arc::default(),
            replies: HashMap::new(),
            next_token: 0,
            next_command: SHELL_COMMANDS,
            prover: Prover::default(),
            hook,
            latencies: Latencies::default(),
            exit: false,
            superseded: None,
            epoch,
        }
    }

    /// A name for a request whose answer goes to `reply`.
    pub fn expect_reply(&mut self, reply: oneshot::Sender<Reply>) -> Token {
        // Requests whose client gave up are forgotten here: an abandoned start is answered to nobody.
        self.replies.retain(|_, waiting| !waiting.is_closed());
        self.next_token += 1;
        self.replies.insert(self.next_token, reply);
        self.next_token
    }

    /// Nothing is left to do.
    pub fn may_exit(&self) -> bool {
        self.exit
    }

    /// The epoch of the engine that has taken over from this one.
    pub fn superseded(&self) -> Option<u64> {
        self.superseded
    }

    /// The proofs that run.
    pub fn prover(&self) -> Prover {
        self.prover.clone()
    }

    /// Keeps what survives a restart; `false` = the disk takes nothing more for now.
    pub fn save(&self, account: Account) -> bool {
        self.disk.save(account)
    }

    /// What was to be kept last is not on the disk yet.
    pub fn is_saving(&self) -> bool {
        self.disk.is_saving()
    }

    /// How long things took.
    pub fn latencies(&self) -> Latencies {
        self.latencies.clone()
    }

    /// Does one thing.
    pub fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Reply(token, reply) => {
                if let Some(waiting) = self.replies.remove(&token) {
                    // The client went away; what it asked for stands.
                    drop(waiting.send(reply));
                }
            }
            Effect::Persist { dir, plan } => {
                let session = plan.id;
                if !self.disk.push(Job::Persist { dir, plan }) {
                    let result = Err("the disk does not answer; check it and try again".into());
                    self.tell(Event::Persisted { session, result });
                }
            }
            Effect::Adopt { session, dir, t_ns, epoch } => {
                if !self.disk.push(Job::Adopt { session, dir, t_ns, epoch }) {
                    let result = Err("the disk does not answer".to_owned());
                    self.tell(Event::Adopted { session, result });
                }
            }
            Effect::WriteStop { session, dir, t_ns } => {
                if !self.disk.push(Job::Stop { session, dir, t_ns }) {
                    self.tell(Event::StopWritten { session });
                }
            }
            Effect::WriteMarker { session, dir, line } => {
                let n = line.kind.n;
                if !self.disk.push(Job::Mark { session, dir, line }) {
                    let result = Err("the disk does not answer; check it and try again".into());
                    self.tell(Event::Marked { session, n, result });
                }
            }
            Effect::Journal { dir, t_ns, kind } => {
                if !self.disk.push(Job::Journal { dir, t_ns, kind }) {
                    tracing::error!("the disk does not answer; a journal line waits in the workers' facts only");
                }
            }
            Effect::Close { session, dir, state } => {
                if !self.disk.push(Job::Close { session, dir: dir.clone(), state }) {
                    let result = Err(super::event::CloseFault::Failed("the disk does not answer".to_owned()));
                    self.tell(Event::Closed { session, dir, result });
                }
            }
            Effect::Worker(input, act) => self.act(&input, act),
            Effect::Send(input, command) => self.send(&input, *command),
            Effect::Number { input, link, session, dir } => self.number(input, link, session, dir),
            Effect::StartWorker { input, command, ticket } => {
                tracing::info!(%input, session = %ticket.session, trace_id = ticket.trace_id, "a worker is told to record");
                self.send(&input, Command::Start { id: command, ticket: *ticket });
            }
            Effect::Prove { number, dir } => self.prover.start(number, dir, self.events.clone()),
            Effect::EndProof { number } => self.prover.end(number),
            Effect::KeepProof { number, dir, parts } => {
                if !self.disk.push(Job::KeepProof { number, dir, parts }) {
                    let kept = ProofEvent::Kept(Err("the disk does not answer".to_owned()));
                    self.tell(Event::Proof { number, event: kept });
                }
            }
            Effect::Alarm { source, incident } => self.hook.tell(&source, &incident),
            Effect::Log { source, incident } => log(&source, &incident),
            Effect::Measured { kind, took, trace } => self.latencies.note(clock::mono_now(), kind, took, &trace),
            Effect::Inhibit(awake) => drop(self.awake.send_replace(awake)),
            // Some milliseconds, or far more where memory is swapped out.
            Effect::DropCaches => drop(tokio::task::spawn_blocking(memory::give_back)),
            Effect::Exit => self.exit = true,
            Effect::Abandon { epoch } => {
                self.disk.abandon(epoch);
                self.superseded = Some(epoch);
            }
        }
    }

    fn act(&mut self, input: &InputId, act: Act) {
        match act {
            Act::Connect { link, child, pause } => self.connect(input, link, child, pause),
            Act::Spawn => self.spawn(input),
            Act::Measure => self.measure(input),
            Act::Terminate => self.signal(input, process::Handle::terminate),
            Act::Kill => {
                tracing::error!(%input, "a worker is killed");
                self.signal(input, process::Handle::kill);
            }
            Act::Dismiss => {
                let id = self.next_command();
                self.send(input, Command::Leave { id });
            }
            // Taken by the state machine itself.
            Act::Ready { .. } | Act::Died { .. } | Act::GaveUp | Act::Stuck => {}
        }
    }

    fn signal(&self, input: &InputId, signal: impl FnOnce(&process::Handle) -> io::Result<()>) {
        if !self.handles.with(input, signal) {
            tracing::error!(%input, "a worker cannot be ended from here");
            self.tell(Event::Worker { input: input.clone(), event: WorkerEvent::OutOfReach });
        }
    }

    fn connect(&mut self, input: &InputId, number: u64, child: bool, pause: Duration) {
        let (commands, queue) = mpsc::channel(COMMANDS);
        // Replacing the sender ends an older connection.
        self.links.insert(input.clone(), commands);
        let link = Link {
            input: input.clone(),
            number,
            child,
            socket: self.runtime.worker_socket(input),
            lock: self.runtime.worker_lock(input),
            events: self.events.clone(),
            commands: queue,
            handles: self.handles.clone(),
            pause,
            epoch: self.epoch,
        };
        tokio::spawn(link.run());
    }

    fn send(&self, input: &InputId, command: Command) {
        let Some(link) = self.links.get(input) else { return };
        if let Err(error) = link.try_send(command) {
            tracing::warn!(%input, %error, "a command did not reach a worker");
        }
    }

    fn spawn(&self, input: &InputId) {
        let (input, demo) = (input.clone(), self.demo);
        let (events, handles) = (self.events.clone(), self.handles.clone());
        tokio::spawn(async move {
            let id = input.clone();
            let started = tokio::task::spawn_blocking(move || spawn_worker(&id, demo)).await;
            let started = started.map_err(io::Error::other).and_then(|started| started);
            let event = match started {
                Ok(process) => {
                    let pid = process.pid();
                    handles.remember(&input, pid, || process.handle());
                    tokio::spawn(wait(input.clone(), process, events.clone(), handles));
                    WorkerEvent::Spawned { pid }
                }
                Err(error) => WorkerEvent::SpawnFailed { reason: error.to_string() },
            };
            drop(events.send(Event::Worker { input, event }).await);
        });
    }

    fn measure(&self, input: &InputId) {
        let known = |measuring: &Mutex<HashSet<InputId>>| {
            measuring.lock().unwrap_or_else(PoisonError::into_inner).insert(input.clone())
        };
        if !known(&self.measuring) {
            return;
        }
        let (input, library) = (input.clone(), self.library.clone());
        let (measuring, events) = (self.measuring.clone(), self.events.clone());
        tokio::task::spawn_blocking(move || {
            let size = recovery::open_part_bytes(&library, &input);
            measuring.lock().unwrap_or_else(PoisonError::into_inner).remove(&input);
            match size {
                Ok(bytes) => {
                    drop(events.blocking_send(Event::Worker { input, event: WorkerEvent::Measured { bytes } }));
                }
                Err(error) => tracing::warn!(%input, %error, "whether a silent worker records is not known"),
            }
        });
    }

    fn number(&self, input: InputId, link: u64, session: SessionId, dir: PathBuf) {
        let events = self.events.clone();
        tokio::task::spawn_blocking(move || {
            let result = recovery::next_numbers(&dir, &input).map_err(|error| format!("{} ({error})", dir.display()));
            drop(events.blocking_send(Event::Numbered { input, link, session, result }));
        });
    }

    fn next_command(&mut self) -> u64 {
        self.next_command += 1;
        self.next_command
    }

    fn tell(&self, event: Event) {
        let events = self.events.clone();
        tokio::spawn(async move { drop(events.send(event).await) });
    }
}

fn spawn_worker(input: &InputId, demo: bool) -> io::Result<Process> {
    let mut args = vec!["worker", "--input", input.as_str()];
    if demo {
        args.push("--demo");
    }
    process::spawn(&args, Priority::Recording)
}

/// Waits for the end of a process and reaps it.
async fn wait(input: InputId, process: Process, events: Sender<Event>, handles: Handles) {
    let pid = process.pid();
    let how = match process.wait().await {
        Ok(how) => how,
        Err(error) => format!("it could not be waited for: {error}"),
    };
    handles.bury(&input);
    drop(events.send(Event::Worker { input, event: WorkerEvent::Exited { pid, how } }).await);
}

/// Each alert is one log line (R-ALR-7).
fn log(source: &str, incident: &Incident) {
    let (code, message) = (incident.code.as_str(), incident.message());
    match incident.code.severity() {
        Severity::Critical => tracing::error!(source, code, message, "incident"),
        Severity::Warning => tracing::warn!(source, code, message, "incident"),
        Severity::Info => tracing::info!(source, code, message, "incident"),
    }
}

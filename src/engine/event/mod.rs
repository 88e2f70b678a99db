//! What the engine's state machine is told, and what it wants done.

use super::governor::watch::Load;
use super::kept::Kept;
mod effect;

pub use super::reply::{Refused, Reply};
use super::resources::Resources;
use super::worker_state::WorkerEvent;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::naming::NameFault;
use crate::model::proof::ProofLine;
use crate::model::session::{Fact, Manifest, Plan};
use crate::model::snapshot::{LastSession, PriorityView};
use crate::model::time::ClockOffsets;
use crate::model::{InputId, MonoNs, SessionId, SessionName};
use crate::protocol::api::{MarkerRequest, OrderRequest, StartRequest};
use crate::protocol::worker::{Refusal, WorkerStatus};
use crate::storage::history::History;
use crate::storage::proof::Unproved;
use crate::storage::recovery::{ClosedSession, Interrupted};
use crate::storage::search::Unread;
pub use effect::Effect;
use jiff::Timestamp;
use std::path::PathBuf;

/// Both clocks, read once per event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For every decision.
    pub mono: MonoNs,
    /// For display and records only.
    pub at: Timestamp,
}

/// Names one request that waits for a reply.
pub type Token = u64;

/// Something happened.
#[derive(Debug)]
pub enum Event {
    /// To the worker of an input.
    Worker {
        /// The input.
        input: InputId,
        /// What.
        event: WorkerEvent,
    },
    /// A worker reported what it knows of itself.
    Status {
        /// The input.
        input: InputId,
        /// Number of the connection.
        link: u64,
        /// The report.
        status: Box<WorkerStatus>,
    },
    /// A worker reported a fact.
    Fact {
        /// The input.
        input: InputId,
        /// The session it belongs to.
        session: SessionId,
        /// Time since its origin.
        t_ns: i64,
        /// The fact.
        fact: Fact,
    },
    /// A worker answered a command.
    Ack {
        /// The input.
        input: InputId,
        /// Number of the connection.
        link: u64,
        /// Number of the command.
        command: u64,
        /// Why it was refused, `None` = carried out (or begun).
        refused: Option<Refusal>,
    },
    /// The numbers a worker may use were looked up ([`Effect::Number`]).
    Numbered {
        /// The input.
        input: InputId,
        /// Number of the connection they were asked for.
        link: u64,
        /// The session.
        session: SessionId,
        /// First part and first fact; `Err` = why they are not known, in English.
        result: Result<(u32, u64), String>,
    },
    /// Somebody has pressed for the request that comes next.
    Pressed {
        /// The request.
        token: Token,
        /// When.
        at: MonoNs,
        /// Its trace id.
        trace: String,
    },
    /// Somebody wants to record.
    Start(StartCommand),
    /// Somebody wants to stop.
    Stop {
        /// The request.
        token: Token,
        /// Which session; the running one without it.
        session: Option<SessionId>,
    },
    /// Somebody wants the next parts to begin.
    Split {
        /// The request.
        token: Token,
        /// Which session; the running one without it.
        session: Option<SessionId>,
    },
    /// Somebody notes this moment of the session.
    Mark(MarkCommand),
    /// A marker was written, or not.
    Marked {
        /// Its session.
        session: SessionId,
        /// Its number.
        n: u32,
        /// `Err` = why not.
        result: Result<(), Unwritten>,
    },
    /// Somebody wants an input tried again.
    Retry {
        /// The request.
        token: Token,
        /// Which, as it was written.
        input: String,
    },
    /// Somebody has seen that an input clipped.
    ClearClip {
        /// The request.
        token: Token,
        /// Which, as it was written.
        input: String,
    },
    /// Somebody puts the inputs in an order.
    Order {
        /// The request.
        token: Token,
        /// The order.
        request: OrderRequest,
    },
    /// Somebody has seen an alert.
    Acknowledge {
        /// The request.
        token: Token,
        /// Its id.
        alert: u64,
    },
    /// Somebody wants a stuck operation given up.
    Cleanup {
        /// The request.
        token: Token,
        /// Its number.
        operation: u64,
    },
    /// A plan was written, or not.
    Persisted {
        /// Its session.
        session: SessionId,
        /// `Err` = why not.
        result: Result<(), Unwritten>,
    },
    /// An order to stop was written, or the disk refused for good: it is carried out either way.
    StopWritten {
        /// Its session.
        session: SessionId,
    },
    /// A session's files and manifest are closed, or not.
    Closed {
        /// Its session.
        session: SessionId,
        /// Its folder.
        dir: PathBuf,
        /// `Err` = why not.
        result: Result<Box<ClosedSession>, CloseFault>,
    },
    /// A session of an earlier engine was read again and is ours from here on, or could not be.
    Adopted {
        /// Its session.
        session: SessionId,
        /// What is known of it; `Err` = why it is not, in English.
        result: Result<Box<History>, String>,
    },
    /// A worker obeys another engine.
    Superseded {
        /// That one's epoch.
        epoch: u64,
    },
    /// The newest folders of the library were looked at, or one that is older; more may be told.
    Found {
        /// Interrupted sessions, newest first.
        interrupted: Vec<Interrupted>,
        /// The newest session that is closed.
        last: Option<LastSession>,
    },
    /// All folders of sessions that could not be read so far; told before the [`Event::Found`] or [`Event::Searched`]
    /// that would otherwise seem to have looked at everything.
    Unread(Vec<Unread>),
    /// The whole library was searched.
    Searched {
        /// Interrupted sessions, newest first.
        interrupted: Vec<Interrupted>,
        /// The newest session that is closed.
        last: Option<LastSession>,
    },
    /// Closed sessions that were not proved were looked for at start-up; newest first.
    Unproved(Vec<Unproved>),
    /// To the proof with this number.
    Proof {
        /// Its number.
        number: u64,
        /// What.
        event: ProofEvent,
    },
    /// The plans of the last day, newest first: whose starts may be repeated.
    Plans(Vec<Plan>),
    /// What an earlier engine kept, when the disk was late with it.
    Recalled(Box<Kept>),
    /// The file system that is written was asked for its room; `None` = it did not tell.
    Space(Option<Space>),
    /// To the disk.
    Storage(StorageEvent),
    /// Workers were looked at.
    Usage(Vec<(InputId, WorkerUsage)>),
    /// The clocks were read.
    Clocks(ClockOffsets),
    /// Of what keeps the machine awake.
    Inhibit(InhibitEvent),
    /// Processors and memory of the machine were looked at.
    Load(Load),
    /// Machine, processes and queues were looked at.
    Resources(Box<Resources>),
    /// The priority that was achieved.
    Protection(Box<PriorityView>),
    /// The engine is told to leave.
    Leave,
    /// Time passes.
    Tick,
}

/// What can happen to what keeps the machine awake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InhibitEvent {
    /// Everybody was asked.
    Asked {
        /// Why it may sleep all the same, in English; `None` = it does not.
        reason: Option<String>,
    },
    /// It is being shut down, and waits for some seconds.
    GoesDown,
}

/// What can happen to the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageEvent {
    /// It was looked at: what is wrong with it, `None` = nothing that can be seen without writing.
    Looked(Option<Incident>),
    /// A write of ours does not return, or does again.
    Frozen(bool),
    /// What it refused of ours; `None` = the last write succeeded.
    Wrote(Option<Incident>),
}

/// What can happen to a proof.
#[derive(Debug)]
pub enum ProofEvent {
    /// It told something.
    Line(ProofLine),
    /// It ended; why it did not do its work, in English, `None` = it did.
    Ended {
        /// The reason.
        reason: Option<String>,
    },
    /// What it found was put into the manifest, or not: why, in English.
    Kept(Result<Box<Manifest>, String>),
}

/// A start with everything that is not pure about it.
#[derive(Debug, Clone)]
pub struct StartCommand {
    /// The request.
    pub token: Token,
    /// Idempotency key.
    pub key: String,
    /// The client sent none and it was made for this request: nobody can have used it.
    pub fresh: bool,
    /// The body.
    pub request: StartRequest,
    /// Digest of the body.
    pub digest: String,
    /// The id a new session gets.
    pub id: SessionId,
    /// The name its session gets, or why it cannot be called so.
    pub name: Result<SessionName, NameFault>,
    /// Trace id of the request, for the log lines of every process it reaches (R-OBS-1).
    pub trace: String,
}

/// A marker with everything that is not pure about it.
#[derive(Debug, Clone)]
pub struct MarkCommand {
    /// The request.
    pub token: Token,
    /// Idempotency key.
    pub key: String,
    /// The body.
    pub request: MarkerRequest,
    /// When somebody clicked, if that came with the request.
    pub clicked: Option<MonoNs>,
}

/// A file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes we may still write.
    pub free: u64,
    /// Its size.
    pub total: u64,
}

/// What a worker process uses and has.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WorkerUsage {
    /// The process, and when it was started: this tells it from a later one of the same number.
    pub process: Option<(u32, u64)>,
    /// Resident memory.
    pub rss_bytes: Option<u64>,
    /// CPU in percent of the whole machine.
    pub cpu_percent: Option<f64>,
    /// Bytes per second that it sends to disks.
    pub disk_bytes_per_s: Option<u64>,
    /// Worst nice value of its threads.
    pub nice: Option<i32>,
}

/// Why a session could not be closed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseFault {
    /// Somebody still writes one of its files; which, in English.
    Locked(String),
    /// Anything else, in English.
    Failed(String),
}

/// Why a plan is not on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwritten {
    /// In English, with what to do about it.
    pub reason: String,
    /// What kind of trouble it is.
    pub code: IncidentCode,
}

/// The disk did not answer in time.
impl From<&str> for Unwritten {
    fn from(reason: &str) -> Self {
        Self { reason: reason.to_owned(), code: IncidentCode::StorageFrozen }
    }
}

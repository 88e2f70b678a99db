//! Engine and window ⇄ worker: JSON lines over the worker's Unix socket (`<runtime>/workers/<input>.sock`).
//!
//! The worker listens. A connection begins with [`Command::Hello`] naming its role and is answered by
//! [`Report::Hello`]. One engine connection (a newer one displaces an older one) and up to four viewers.

use crate::model::encoding::Encoding;
use crate::model::incident::Incident;
use crate::model::input::InputSpec;
use crate::model::policy::WorkerPolicy;
use crate::model::session::Fact;
use crate::model::shed::{Shed, WorkerLoad};
use crate::model::snapshot::{InputState, Meter, PreviewView, RecordingView, RetryView, Signal};
use crate::model::{InputId, MonoNs, SessionId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Version of this protocol; an older worker is left to finish, never commanded in a way it may not know.
/// 2: engines carry an epoch, statuses say where a worker's parts begin.
pub const PROTOCOL_VERSION: u32 = 2;

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May command; gets reports and facts.
    Engine,
    /// May ask for a preview; gets the frame ring.
    Viewer,
}

/// Engine or viewer → worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case")]
pub enum Command {
    /// First line of a connection.
    Hello {
        /// [`PROTOCOL_VERSION`] of the sender.
        protocol: u32,
        /// Build id of the sender.
        build: String,
        /// Who it is.
        role: Role,
        /// Which engine of the runtime folder it is; the higher one is obeyed. 0 for everybody else.
        #[serde(default)]
        epoch: u64,
    },
    /// Engine: what to capture and how; opens the source. Repeating the same is a no-op.
    Configure {
        /// Command id, echoed in the ack.
        id: u64,
        /// The input.
        input: InputSpec,
        /// The rules to act by alone.
        policy: WorkerPolicy,
    },
    /// Engine: record. Idempotent by session id.
    Start {
        /// Command id.
        id: u64,
        /// What and where.
        ticket: Ticket,
    },
    /// Engine: close all parts. Idempotent.
    Stop {
        /// Command id.
        id: u64,
        /// Which session.
        session: SessionId,
    },
    /// Engine: begin the next part, at the first keyframe at or after a time. Without a part that is old enough (one
    /// group of pictures) it is a no-op; a second one before the keyframe has come means the same split.
    Split {
        /// Command id.
        id: u64,
        /// Which session.
        session: SessionId,
        /// The time; the same for every input.
        at_ns: MonoNs,
    },
    /// Engine: open a lost source at once.
    Retry {
        /// Command id.
        id: u64,
    },
    /// Engine: the meters forget that they clipped.
    ClearClip {
        /// Command id.
        id: u64,
    },
    /// Engine: leave (refused while recording).
    Leave {
        /// Command id.
        id: u64,
    },
    /// Engine: do without this from now on (R-DEG); the newest one counts. Idempotent. Only for workers whose status says
    /// what they do without.
    Shed {
        /// Command id.
        id: u64,
        /// All of it.
        shed: Shed,
    },
    /// Viewer: send pictures of at most this size (the size of the tile, in device pixels); 0×0 = none.
    Watch {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
}

impl Command {
    /// The number that its answer names; none for what is answered otherwise, or not at all.
    pub fn id(&self) -> Option<u64> {
        match self {
            Self::Configure { id, .. }
            | Self::Start { id, .. }
            | Self::Stop { id, .. }
            | Self::Split { id, .. }
            | Self::Retry { id }
            | Self::ClearClip { id }
            | Self::Shed { id, .. }
            | Self::Leave { id } => Some(*id),
            Self::Hello { .. } | Self::Watch { .. } => None,
        }
    }

    /// Its name on the wire.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "hello",
            Self::Configure { .. } => "configure",
            Self::Start { .. } => "start",
            Self::Stop { .. } => "stop",
            Self::Split { .. } => "split",
            Self::Retry { .. } => "retry",
            Self::ClearClip { .. } => "clear_clip",
            Self::Shed { .. } => "shed",
            Self::Leave { .. } => "leave",
            Self::Watch { .. } => "watch",
        }
    }
}

/// What a worker needs to record its part of a session alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The session.
    pub session: SessionId,
    /// Its folder; exists.
    pub dir: PathBuf,
    /// Shared time origin.
    pub start_at_ns: MonoNs,
    /// Boot the origin belongs to.
    pub boot_id: String,
    /// Number of the first part this worker may write (part numbers are never reused).
    pub first_part: u32,
    /// Number of the first fact this worker may write.
    pub first_fact: u64,
    /// How to encode.
    pub encoding: Encoding,
    /// Trace id of the request that started the session, for log lines (R-OBS-1); empty = not known.
    #[serde(default)]
    pub trace_id: String,
}

/// Worker → engine or viewer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum Report {
    /// Answer to [`Command::Hello`].
    Hello {
        /// [`PROTOCOL_VERSION`] of the worker.
        protocol: u32,
        /// Build id of the worker.
        build: String,
        /// The input it serves.
        input: InputId,
        /// Its process id in its own namespace.
        pid: u32,
        /// When it started.
        started_ns: MonoNs,
        /// The session it records, if any.
        session: Option<SessionId>,
    },
    /// To an engine: another one has taken over. It gets this line and is left.
    Superseded {
        /// The highest epoch seen.
        epoch: u64,
    },
    /// Answer to a command with an id.
    Ack {
        /// Id of the command.
        id: u64,
        /// Why it was refused, `None` = carried out (or begun).
        refused: Option<Refusal>,
    },
    /// Every 500 ms, and at once on a change of state.
    Status(Box<WorkerStatus>),
    /// Written to the facts file (fsynced) before it is sent.
    Fact {
        /// The session it belongs to.
        session: SessionId,
        /// Time since the session's origin.
        t_ns: i64,
        /// The fact.
        fact: Box<Fact>,
    },
    /// To a viewer: a frame ring; its memfd travels with this line (SCM_RIGHTS).
    Ring {
        /// Counts up with every new memfd.
        generation: u64,
        /// Which of the ring's readers this viewer is (0..4); it marks slots with this number alone.
        reader: u8,
    },
    /// To a viewer: it cannot watch (e.g. four readers already).
    WatchRefused {
        /// Why.
        reason: String,
    },
}

/// Why a worker refused a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Code.
    pub code: String,
    /// English.
    pub message: String,
}

/// What a worker knows of itself, from evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// What the source is doing.
    pub state: InputState,
    /// Incident code when not live.
    pub detail_code: Option<String>,
    /// Its parameters.
    #[serde(default)]
    pub detail_params: BTreeMap<String, String>,
    /// Attempts to open the source.
    pub retry: RetryView,
    /// The format that arrives.
    pub signal: Option<Signal>,
    /// The preview.
    pub preview: PreviewView,
    /// Meters.
    pub audio: Vec<Meter>,
    /// The session it records (or recorded last).
    pub session: Option<SessionId>,
    /// First part this process may have written to that session: its recording covers the parts from here on.
    #[serde(default)]
    pub first_part: Option<u32>,
    /// Pictures that have arrived from its source since the process began.
    #[serde(default)]
    pub arrived: Option<u64>,
    /// Bytes that have come over a network since the process began; `None` = its source is none.
    #[serde(default)]
    pub received: Option<u64>,
    /// Its recording; frames and times cover the parts written by this process only.
    pub recording: Option<RecordingView>,
    /// The nice value read back.
    pub nice: Option<i32>,
    /// How long ago media last reached the file, when this was said; `None` = none has yet, or nothing is written now.
    #[serde(default)]
    pub grown_ms_ago: Option<u64>,
    /// Incidents whose cause goes on.
    #[serde(default)]
    pub active: Vec<Incident>,
    /// How it keeps up, `None` = it does not say.
    #[serde(default)]
    pub load: Option<WorkerLoad>,
    /// What it does without, `None` = it does not know how to.
    #[serde(default)]
    pub shed: Option<Shed>,
}

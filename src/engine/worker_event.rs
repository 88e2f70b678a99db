//! What the supervision of a worker is told, and what it wants done ([`super::worker_state`]).

use super::restart::Restarts;
use crate::model::{MonoNs, SessionId};
use std::time::Duration;

/// What happened to a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerEvent {
    /// A process was started.
    Spawned {
        /// Its id.
        pid: u32,
    },
    /// No process could be started.
    SpawnFailed {
        /// Why.
        reason: String,
    },
    /// Its lock is free, so nobody serves this input.
    LockFree {
        /// Which connection attempt found out.
        link: u64,
    },
    /// It holds its lock but does not answer.
    Mute {
        /// Which connection attempt found out.
        link: u64,
        /// Its process id, when a connection was accepted.
        pid: Option<u32>,
    },
    /// It said hello.
    Linked {
        /// Which connection.
        link: u64,
        /// Its process id, by the socket's credentials; `None` = of a process namespace we cannot see into. What it calls
        /// itself means nothing here.
        pid: Option<u32>,
        /// When it started.
        started: MonoNs,
        /// The session it records.
        session: Option<SessionId>,
        /// It is of another version than we: it may finish what it does, and makes room then.
        older: bool,
    },
    /// The connection broke.
    LinkLost {
        /// Which connection.
        link: u64,
    },
    /// It reported something.
    Heard {
        /// Which connection.
        link: u64,
    },
    /// Media this process has written to its files, with a report.
    Media {
        /// Since it started.
        written: Duration,
    },
    /// A part of it was given up because it had stalled, and it goes on with the next one by itself.
    Stalled,
    /// Size of the file it writes, looked at because it was silent.
    Measured {
        /// Bytes.
        bytes: u64,
    },
    /// It was looked at in vain: the disk takes nothing from anybody.
    DiskStands,
    /// A process we started ended.
    Exited {
        /// Its id.
        pid: u32,
        /// How.
        how: String,
    },
    /// How often earlier engines had replaced it, when the disk was late with that.
    Recalled {
        /// Their account.
        earlier: Restarts,
    },
    /// It was to be signalled, and there is nothing to do that through.
    OutOfReach,
    /// The operator wants another attempt.
    Retry,
    /// It did not close its files in time.
    StopLate,
    /// It records nothing and has answered no command (R-CMD-6).
    Deaf,
    /// It serves a source that is not configured any more, and records nothing.
    Outdated,
    /// The engine leaves.
    Leave,
    /// Time passes.
    Tick,
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Connect; a free lock is reported unless it is a process we just started.
    Connect {
        /// Number of the connection.
        link: u64,
        /// The process was just started and will take its lock soon.
        child: bool,
        /// To wait before: a worker that breaks every link must not keep the engine busy.
        pause: Duration,
    },
    /// Start a process.
    Spawn,
    /// Look at the size of its file.
    Measure,
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
    /// Tell it to leave.
    Dismiss,
    /// It is linked: configure it, and hand it what it should do.
    Ready {
        /// The session it records already.
        session: Option<SessionId>,
    },
    /// It died.
    Died {
        /// How.
        reason: String,
    },
    /// It died too often; nothing more is tried.
    GaveUp,
    /// It survived SIGKILL.
    Stuck,
}

//! What the engine's state machine wants done.

use super::{Reply, Token};
use crate::engine::worker_state::Act;
use crate::model::incident::Incident;
use crate::model::marker::MarkerLine;
use crate::model::proof::ProvedPart;
use crate::model::session::{Closed, JournalKind, Line, Plan};
use crate::model::{InputId, SessionId};
use crate::protocol::api::Latency;
use crate::protocol::worker::{Command, Ticket};
use std::path::PathBuf;
use std::time::Duration;

/// Something to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Answer a request.
    Reply(Token, Reply),
    /// Make the folder and the journal of a session with its plan, durably.
    Persist {
        /// The folder.
        dir: PathBuf,
        /// Line 1.
        plan: Box<Plan>,
    },
    /// Go on with a session of an earlier engine: fold what its journal lacks, write down that it is ours, read it.
    Adopt {
        /// The session.
        session: SessionId,
        /// Its folder.
        dir: PathBuf,
        /// Time since its origin.
        t_ns: i64,
        /// Our epoch.
        epoch: u64,
    },
    /// Append to a session's journal that somebody asked to stop it, and say when that is on disk.
    WriteStop {
        /// The session.
        session: SessionId,
        /// Its folder.
        dir: PathBuf,
        /// Time since its origin.
        t_ns: i64,
    },
    /// Append a marker to a session's journal, and say when that is on disk.
    WriteMarker {
        /// The session.
        session: SessionId,
        /// Its folder.
        dir: PathBuf,
        /// The line.
        line: Box<Line<MarkerLine>>,
    },
    /// Append a line to a session's journal.
    Journal {
        /// Its folder.
        dir: PathBuf,
        /// Time since its origin.
        t_ns: i64,
        /// The line.
        kind: Box<JournalKind>,
    },
    /// Deal with a worker process.
    Worker(InputId, Act),
    /// Send a worker a command.
    Send(InputId, Box<Command>),
    /// Look up which part and fact numbers an earlier worker has used.
    Number {
        /// The input.
        input: InputId,
        /// Number of the connection they are for.
        link: u64,
        /// The session.
        session: SessionId,
        /// Its folder.
        dir: PathBuf,
    },
    /// Hand a worker its ticket.
    StartWorker {
        /// The input.
        input: InputId,
        /// Number of the command.
        command: u64,
        /// The ticket.
        ticket: Box<Ticket>,
    },
    /// Finalise, write the manifest, close the journal.
    Close {
        /// The session.
        session: SessionId,
        /// Its folder.
        dir: PathBuf,
        /// How it ended.
        state: Closed,
    },
    /// Read the files of a session again.
    Prove {
        /// Number of the proof.
        number: u64,
        /// Its folder.
        dir: PathBuf,
    },
    /// Kill a proof.
    EndProof {
        /// Its number.
        number: u64,
    },
    /// Put what a proof found into the manifest.
    KeepProof {
        /// Number of the proof.
        number: u64,
        /// The session's folder.
        dir: PathBuf,
        /// What was found.
        parts: Vec<ProvedPart>,
    },
    /// Something critical has happened: tell the operator's own command.
    Alarm {
        /// Input, `engine` …
        source: String,
        /// What.
        incident: Incident,
    },
    /// Write one log line.
    Log {
        /// Input or `engine`.
        source: String,
        /// What.
        incident: Incident,
    },
    /// Something took so long that somebody waited for.
    Measured {
        /// What.
        kind: Latency,
        /// How long.
        took: Duration,
        /// Trace id of the request.
        trace: String,
    },
    /// Keep the machine awake, or let it sleep again.
    Inhibit(bool),
    /// Give memory back that was kept for later.
    DropCaches,
    /// Nothing is left to wait for.
    Exit,
    /// Another engine has taken over: leave at once, writing nothing more.
    Abandon {
        /// That one's epoch.
        epoch: u64,
    },
}

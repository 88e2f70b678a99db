//! A session on disk: the plan, the facts, the journal and the manifest (DESIGN §3).

use super::calendar::{ClockStep, Suspend};
use super::encoding::{AudioCodec, Container, Encoding, VideoCodec};
use super::id::{InputId, SessionId, SessionName};
use super::input::InputSpec;
use super::loss::Loss;
use super::marker::{Marker, MarkerLine};
use super::time::MonoNs;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Version of `session.json`.
pub const MANIFEST_VERSION: u32 = 1;

/// Line 1 of a journal: everything needed to carry a session on or to close it after a crash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Identity of the session.
    pub id: SessionId,
    /// What the operator called it.
    pub name: SessionName,
    /// Idempotency key of the start.
    pub key: String,
    /// Digest of the request that came with the key; the same key with another request is refused.
    #[serde(default)]
    pub request: String,
    /// Shared time origin of every input (CLOCK_MONOTONIC of this boot).
    pub start_at_ns: MonoNs,
    /// `/proc/sys/kernel/random/boot_id`; monotonic times mean nothing in another boot.
    pub boot_id: String,
    /// Wall clock at `start_at_ns`.
    pub started_at: Timestamp,
    /// The inputs, as configured at the start.
    pub inputs: Vec<InputSpec>,
    /// How they are encoded; the length of a fragment bounds what a crash can take.
    #[serde(default)]
    pub encoding: Encoding,
    /// The first file planned for each input.
    pub files: Vec<String>,
}

/// One line of a journal or a facts file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line<K> {
    /// Time since `start_at_ns`; negative before it.
    pub t_ns: i64,
    /// Wall clock.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub kind: K,
}

/// What the engine writes to `journal.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum JournalKind {
    /// Line 1.
    Plan(Plan),
    /// This input has media in its file.
    Started {
        /// The input.
        input: InputId,
    },
    /// A worker's fact, folded in.
    Fact {
        /// The input.
        input: InputId,
        /// The fact.
        fact: Fact,
    },
    /// An engine that was started while the session ran goes on with it.
    Adopted {
        /// Its epoch.
        epoch: u64,
    },
    /// The worker of an input is gone.
    WorkerLost {
        /// The input.
        input: InputId,
        /// How it ended, as far as known.
        reason: String,
    },
    /// Something the operator must learn that no worker could report itself.
    Incident {
        /// The input, `None` for the whole session.
        input: Option<InputId>,
        /// What it was.
        incident: super::incident::Incident,
    },
    /// The wall clock was moved; noticed at this time of the session.
    ClockStep {
        /// By how much, forwards positive.
        step_ns: i64,
    },
    /// The machine slept until just before this time of the session, which stood still meanwhile.
    Suspend {
        /// How long.
        slept_ns: u64,
    },
    /// The operator noted this time of the session.
    Marker(MarkerLine),
    /// Somebody asked to stop.
    StopRequested,
    /// All parts are closed; a journal without this line is an interrupted session.
    Closed {
        /// How it ended.
        state: Closed,
    },
}

/// What a worker writes to `<input>.facts.jsonl` and reports to the engine; `n` makes folding idempotent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// Number of the fact within input and session, from 1, never reused.
    pub n: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: FactKind,
}

/// What can happen to one input's recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum FactKind {
    /// A part file exists and is being written.
    PartOpened {
        /// Number of the part, from 1.
        part: u32,
        /// File name.
        file: String,
    },
    /// The first picture of a part has come, and is on its way into the file; told at once, so that a crash does not take
    /// the offset with it.
    PartStarted {
        /// Number of the part.
        part: u32,
        /// First running time − `start_at_ns`.
        offset_ns: i64,
    },
    /// A part file is closed.
    PartClosed(PartRecord),
    /// A part has ended like this, but the disk did not let it be finalised: whoever closes the session does that.
    PartUnfinished(PartRecord),
    /// Nothing was recorded between two times (since `start_at_ns`).
    Gap(Gap),
    /// Something the operator must learn.
    Incident(super::incident::Incident),
    /// This input's recording has ended; no more facts follow.
    Done {
        /// Its frames over all parts.
        frames: super::snapshot::Frames,
    },
}

/// A closed part, as the manifest lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PartRecord {
    /// Number of the part, from 1.
    pub part: u32,
    /// File name.
    pub file: String,
    /// First running time − `start_at_ns`, `None` if nothing was written or the boot is another one.
    pub offset_ns: Option<i64>,
    /// Media time in the file.
    pub duration_ns: u64,
    /// Size of the file.
    pub bytes: u64,
    /// Container.
    pub container: Container,
    /// The video track.
    pub video: Option<VideoTrack>,
    /// The audio track.
    pub audio: Option<AudioTrack>,
    /// Frames of this part.
    pub frames: PartFrames,
    /// Gaps inside or before this part.
    pub gaps: Vec<Gap>,
    /// BLAKE3 of the whole file in hex, `None` before the proof.
    pub blake3: Option<String>,
    /// BLAKE3 in hex of the payload of every fragment (`mdat`, cluster) in the order of the file, kept by the worker
    /// while it wrote: what the proof compares with. `None` = its worker died, or an older version wrote it.
    #[serde(default)]
    pub payload_blake3: Option<String>,
    /// Why it ended.
    pub end: PartEnd,
    /// It was thrown away because it had stalled (R-FM-2), whatever else `end` names: a part without a fragment is `empty`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stalled: bool,
    /// What is missing behind it because nobody lived to write it; `None` = nothing, or nothing is known of it.
    #[serde(default)]
    pub lost: Option<Loss>,
}

impl PartRecord {
    /// Of a file about which nothing is known besides.
    pub fn new(part: u32, file: impl Into<String>, container: Container, end: PartEnd) -> Self {
        Self {
            part,
            file: file.into(),
            offset_ns: None,
            duration_ns: 0,
            bytes: 0,
            container,
            video: None,
            audio: None,
            frames: PartFrames::default(),
            gaps: Vec::new(),
            blake3: None,
            payload_blake3: None,
            end,
            stalled: false,
            lost: None,
        }
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// A video track.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VideoTrack {
    /// Codec.
    pub codec: VideoCodec,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames per second, `None` if variable or unknown.
    pub fps: Option<f64>,
}

/// An audio track.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AudioTrack {
    /// Codec.
    pub codec: AudioCodec,
    /// Samples per second.
    pub rate: u32,
    /// Channels.
    pub channels: u32,
}

/// Frames of one part; `None` = not known (a crash took the counter).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PartFrames {
    /// See [`super::snapshot::Frames`].
    pub captured: Option<u64>,
    /// See [`super::snapshot::Frames`].
    pub encoded: Option<u64>,
    /// Frames in the file's sample tables.
    pub written: Option<u64>,
    /// Frames the proof could read.
    pub readable: Option<u64>,
    /// See [`super::snapshot::Frames`].
    pub duplicated: Option<u64>,
    /// All drops together.
    pub dropped: Option<u64>,
}

/// A stretch of session time without media.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Gap {
    /// Start, since `start_at_ns`.
    pub from_ns: i64,
    /// End, since `start_at_ns`.
    pub to_ns: i64,
    /// Incident code of the cause, or [`LATE_START`].
    pub cause: String,
}

/// Cause of a gap at the beginning: there was a signal, and the first part took too long to begin.
pub const LATE_START: &str = "late_start";

/// Why a part ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartEnd {
    /// Stop was asked for and everything was written.
    Completed,
    /// The next part follows without a gap: a limit was reached or somebody asked for it (R-JOB-7).
    Split,
    /// The worker died; finalised later from what had reached the disk.
    WorkerDied,
    /// The pipeline stalled and was thrown away.
    Stalled,
    /// The source was lost or changed.
    SignalLost,
    /// No space left, or below the floor.
    DiskFull,
    /// The disk refused a write or a sync.
    DiskError,
    /// Its file was removed, renamed or replaced while it was recorded: it is not at its path, and whole where it is.
    Displaced,
    /// The flush did not end in time; readable up to its last fragment.
    Cut,
    /// Not one complete fragment: kept, named, not counted as a file that must open.
    Empty,
    /// Not readable; set aside under its own name.
    Damaged,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Closed {
    /// Stopped by the operator, all workers answered.
    Completed,
    /// Closed by recovery after a crash.
    Recovered,
    /// No input recorded to the end.
    Failed,
}

/// What is known about the files of a session or an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// No gap, no drop, everything read.
    Ok,
    /// All written is readable, but there is a gap, a drop or a cut.
    Warning,
    /// Not read yet, or the system did not let it be read.
    Unverified,
    /// Something written cannot be read, or there is no file.
    Failed,
}

/// `session.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`].
    pub version: u32,
    /// Identity of the session.
    pub id: SessionId,
    /// What the operator called it.
    pub name: SessionName,
    /// Wall clock at the start.
    pub started_at: Timestamp,
    /// Wall clock at the end.
    pub ended_at: Timestamp,
    /// How it ended.
    pub state: Closed,
    /// The library it was recorded to.
    pub library_path: String,
    /// Its inputs.
    pub inputs: Vec<ManifestInput>,
    /// The operator's markers, in their order.
    pub markers: Vec<Marker>,
    /// Steps of the wall clock, in their order.
    pub clock_steps: Vec<ClockStep>,
    /// Sleeps of the machine, in their order. The calendar at a time `t` of the session showed `started_at` + `t` + the
    /// steps noticed and the sleeps ended by then: no file holds time that was slept or stepped over.
    #[serde(default)]
    pub suspends: Vec<Suspend>,
    /// Everything the operator had to learn.
    pub incidents: Vec<ManifestIncident>,
}

/// One input of a manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ManifestInput {
    /// Its id.
    pub id: InputId,
    /// What the operator called it.
    pub name: String,
    /// Kind of source.
    pub kind: String,
    /// What is known about its files.
    pub verdict: Verdict,
    /// What is missing behind its parts, together ([`PartRecord::lost`]).
    #[serde(default)]
    pub lost: Option<Loss>,
    /// Its parts, in order.
    pub parts: Vec<PartRecord>,
    /// What the proof found in them, in their order; empty before it and when all is as it should be.
    #[serde(default)]
    pub findings: Vec<super::proof::PartFinding>,
}

/// An incident and when it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ManifestIncident {
    /// Time since `start_at_ns`.
    pub t_ns: i64,
    /// The input, `None` for the whole session.
    pub input: Option<InputId>,
    /// What it was.
    #[serde(flatten)]
    pub incident: super::incident::Incident,
}

//! The one model that window, command line and API show (DESIGN §4). Fields may be added, never renamed or
//! reused. `None` (`null`) = does not exist or is not known; an unknown number is never 0 (R-TRU-3).

pub mod alert;
mod input;
mod priority;

pub use alert::{Alert, AlertState};
pub use input::{
    BreakerState, Dropped, Frames, Health, HealthVerdict, InputState, InputView, Meter, PreviewReduction, PreviewState,
    PreviewView, RecordingState, RecordingView, RetryState, RetryView, Signal, WorkerView,
};
pub use priority::{PriorityVia, PriorityView, Rung, RungResult, RungView};

use super::id::{SessionId, SessionName};
use super::marker::MarkersView;
use super::session::Verdict;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Version of the snapshot's shape.
pub const SNAPSHOT_VERSION: u32 = 1;

/// The whole state of the recorder at one sequence number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Snapshot {
    /// [`SNAPSHOT_VERSION`].
    pub version: u32,
    /// Sequence number of the last event folded in.
    pub seq: u64,
    /// The running session, `None` when nothing runs.
    pub session: Option<SessionView>,
    /// The last session that ended.
    pub last_session: Option<LastSession>,
    /// Every configured input, in the order of the configuration.
    pub inputs: Vec<InputView>,
    /// The file system recordings go to.
    pub storage: StorageView,
    /// Load level and what is done about it.
    pub level: LevelView,
    /// How many alerts are active.
    pub alerts: AlertCounts,
    /// External services.
    pub services: Vec<ServiceView>,
    /// The priority that was really achieved.
    pub priority: PriorityView,
}

impl Snapshot {
    /// Whether a session still runs: its files are open, or will be as soon as a picture comes. One that is `failed`
    /// only because nothing reaches a file for now runs like any other; one that has ended by itself does not.
    pub fn is_running(&self) -> bool {
        let Some(session) = &self.session else { return false };
        // An engine of before `open` leaves only its configured inputs to tell.
        let waits = || {
            let mut states = self.inputs.iter().filter_map(|input| Some(input.recording.as_ref()?.state));
            states.any(|state| !matches!(state, RecordingState::Done | RecordingState::Failed))
        };
        session.open || session.state != SessionState::Failed || waits()
    }
}

/// A running session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SessionView {
    /// Its id.
    pub id: SessionId,
    /// Its name.
    pub name: SessionName,
    /// What it is doing.
    pub state: SessionState,
    /// When it started (wall clock).
    pub started_at: Timestamp,
    /// Its folder.
    pub dir: String,
    /// Largest media time of its inputs in ms.
    pub media_ms: Option<u64>,
    /// Smallest media time safe on disk of its inputs in ms.
    pub safe_ms: Option<u64>,
    /// It goes on, or is being closed: no other one can begin, and this one can be stopped, also when none of the inputs
    /// that are configured now records it.
    #[serde(default)]
    pub open: bool,
    /// What the operator noted while it ran.
    #[serde(default)]
    pub markers: MarkersView,
}

/// What a session is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// Accepted; no input has shown evidence yet.
    Starting,
    /// At least one input records.
    Recording,
    /// Files are being closed.
    Stopping,
    /// No input records any more, although nobody asked to stop; stays until acknowledged or the next start. It goes on
    /// by itself, and can be stopped, as long as it is `open` ([`Snapshot::is_running`]).
    Failed,
}

/// The last session that ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LastSession {
    /// Its id.
    pub id: SessionId,
    /// Its name.
    pub name: SessionName,
    /// Its folder.
    pub dir: String,
    /// How it ended.
    pub state: super::session::Closed,
    /// What was found when its files were read again.
    pub verdict: Verdict,
    /// Parts read again so far.
    pub proved: u32,
    /// Parts that must open (not those that ended before anything was in them).
    pub parts: u32,
    /// How far the proof is, in percent; `None` = none runs or waits.
    #[serde(default)]
    pub proof_percent: Option<u8>,
}

/// The file system recordings go to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StorageView {
    /// The library.
    pub path: String,
    /// Bytes free for us, `None` when the file system does not answer.
    pub free_bytes: Option<u64>,
    /// Bytes of the file system that can be ours in all; what it keeps for the system is left out, as `df` does.
    pub total_bytes: Option<u64>,
    /// Recording time left at the current (or expected) rate.
    pub seconds_left: Option<u64>,
}

/// Load level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LevelView {
    /// The level.
    pub name: LevelName,
    /// What caused it, worst first: codes of incidents. Of the disk: `storage_frozen`, `storage_vanished`,
    /// `disk_read_only`, `disk_error`, `disk_full`, `quota_exceeded` (it cannot be written), `disk_critical` (next to
    /// nothing is left), `disk_low` (little is left). Of the machine: `recording_late`, `cpu_high`, `cpu_pressure`,
    /// `memory_high`, `low_memory_mode`; of a single input for which something is done, `cpu_budget`, `disk_budget`.
    pub causes: Vec<String>,
    /// What is being done: `no_new_recordings` (a start is refused), `recording_stopped` (a session was stopped so that
    /// its files could be closed); in the order in which it was begun `previews_720p` (at most), `previews_15fps`,
    /// `two_previews_off`, `jobs_paused` (nothing is read again), `previews_off`; for want of
    /// memory also `caches_dropped`, `one_preview_off`, `one_preview` (only one is shown). Of single inputs
    /// `late_preview_off` (its recording runs late), `bitrate_75` and `bitrate_50` (percent of what was asked for).
    pub actions: Vec<String>,
    /// Busy processors of the machine in percent, as the level is judged by; `None` = not known. A counter: it travels
    /// with samples.
    #[serde(default)]
    pub cpu_percent: Option<u8>,
}

impl LevelView {
    /// The level, its causes and actions, without what only counts.
    pub fn words(&self) -> (LevelName, &[String], &[String]) {
        (self.name, &self.causes, &self.actions)
    }
}

/// Load levels in rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LevelName {
    /// Nothing to do.
    Normal,
    /// Tell the operator.
    Warn,
    /// Shed previews.
    Degrade,
    /// Shed everything but recording.
    Critical,
}

/// Counts of active alerts, and of those that wait to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AlertCounts {
    /// Active critical alerts.
    pub critical: u32,
    /// Active warnings.
    pub warning: u32,
    /// Active notices.
    pub info: u32,
    /// Alerts that nobody has acknowledged, also those whose cause has gone (R-ALR-1: they stay until then).
    #[serde(default)]
    pub unacknowledged: u32,
}

/// An external service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ServiceView {
    /// Its name.
    pub name: String,
    /// `disabled`, `ok`, `degraded` or `down`.
    pub state: ServiceState,
    /// Its version.
    pub version: Option<String>,
    /// More.
    pub detail: String,
}

/// State of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ServiceState {
    /// Not in use.
    Disabled,
    /// Answers.
    Ok,
    /// Answers with errors.
    Degraded,
    /// Does not answer.
    Down,
}

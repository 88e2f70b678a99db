//! The one model that window, command line and API show (DESIGN §4). Fields may be added, never renamed or
//! reused. `None` (`null`) = does not exist or is not known; an unknown number is never 0 (R-TRU-3).

use super::id::{InputId, SessionId, SessionName};
use super::incident::Severity;
use super::session::Verdict;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the snapshot's shape.
pub const SNAPSHOT_VERSION: u32 = 1;

/// The whole state of the recorder at one sequence number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

/// A running session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
}

/// What a session is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// Accepted; no input has shown evidence yet.
    Starting,
    /// At least one input records.
    Recording,
    /// Files are being closed.
    Stopping,
    /// No input records any more, although nobody asked to stop; stays until acknowledged or the next start.
    Failed,
}

/// The last session that ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Parts proved so far.
    pub proved: u32,
    /// Parts in all.
    pub parts: u32,
}

/// One input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputView {
    /// Its id.
    pub id: InputId,
    /// What the operator calls it.
    pub name: String,
    /// Kind of source (`test`, `file`, `rtsp`, `v4l2`).
    pub kind: String,
    /// What the source is doing.
    pub state: InputState,
    /// Plain English when not live.
    pub detail: Option<String>,
    /// Code for translation when not live.
    pub detail_code: Option<String>,
    /// Parameters of `detail_code`.
    #[serde(default)]
    pub detail_params: BTreeMap<String, String>,
    /// Whether Record includes it.
    pub armed: bool,
    /// Higher = its preview is kept longer.
    pub importance: i32,
    /// Source health.
    pub health: Health,
    /// Attempts to get it back.
    pub retry: RetryView,
    /// The format that really arrives.
    pub signal: Option<Signal>,
    /// Circuit breaker.
    pub breaker: BreakerState,
    /// Its worker process, `None` when there is none.
    pub worker: Option<WorkerView>,
    /// Its preview.
    pub preview: PreviewView,
    /// One meter per audio channel; empty without audio.
    pub audio: Vec<Meter>,
    /// Its part in the running (or last) session.
    pub recording: Option<RecordingView>,
}

/// What a source is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputState {
    /// Its worker or source is being opened.
    Starting,
    /// Frames arrive.
    Live,
    /// Open, but no signal.
    NoSignal,
    /// Open, frames stopped.
    Stalled,
    /// Lost; opened again after a pause.
    Reconnecting,
    /// Gave up for now; a slow probe goes on.
    Quarantined,
    /// Cannot work as configured.
    Failed,
}

/// Source health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The worst of the reasons.
    pub verdict: HealthVerdict,
    /// Why it is not healthy.
    pub reasons: Vec<String>,
}

/// Source health in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthVerdict {
    /// As configured.
    Healthy,
    /// Usable, not as it should be.
    Degraded,
    /// Not usable.
    Unhealthy,
}

/// Attempts to get a source back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryView {
    /// Where the attempts stand.
    pub state: RetryState,
    /// Attempts since the last success.
    pub attempt: u32,
    /// Attempts before the breaker opens, `None` = without end.
    pub max: Option<u32>,
    /// Time to the next attempt.
    pub next_in_ms: Option<u64>,
    /// Class of the last error.
    pub error_class: Option<String>,
}

/// Where the attempts stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RetryState {
    /// Nothing to retry.
    Idle,
    /// Trying.
    Retrying,
    /// Gave up.
    Failed,
    /// Came back.
    Recovered,
}

/// The format that really arrives.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames per second, `None` until measured or named by the source.
    pub fps: Option<f64>,
}

/// Circuit breaker state (always `closed` until issue 3 builds it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Working.
    Closed,
    /// Refusing attempts.
    Open,
    /// One probe allowed.
    HalfOpen,
}

/// A worker process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerView {
    /// Process id (of this PID namespace).
    pub pid: u32,
    /// Time since it started.
    pub uptime_ms: u64,
    /// Resident memory.
    pub rss_bytes: Option<u64>,
    /// CPU in percent of the whole machine, mean of 2 s.
    pub cpu_percent: Option<f64>,
    /// The nice value it really has.
    pub nice: Option<i32>,
}

/// A preview.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PreviewView {
    /// What it is doing.
    pub state: PreviewState,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// Frames per second.
    pub fps: Option<f64>,
}

/// What a preview is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PreviewState {
    /// Nobody watches.
    Off,
    /// Full rate and size.
    Live,
    /// Reduced under load.
    Reduced,
    /// Off under load.
    Shed,
    /// Broken while the input lives.
    Lost,
}

/// One audio channel's level.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Meter {
    /// Peak in dBFS.
    pub peak_dbfs: f64,
    /// RMS in dBFS.
    pub rms_dbfs: f64,
    /// Clipped since last cleared.
    pub clip: bool,
}

/// One input's part of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordingView {
    /// What it is doing, from evidence only.
    pub state: RecordingState,
    /// What the proof found, `None` before.
    pub verdict: Option<Verdict>,
    /// Number of the current part, from 1.
    pub part: u32,
    /// File name of the current part.
    pub file: Option<String>,
    /// Media time written, sum over all parts without gaps.
    pub media_ms: Option<u64>,
    /// Media time safe on disk (after fsync), sum over all parts.
    pub safe_ms: Option<u64>,
    /// Bytes of the current part.
    pub bytes: Option<u64>,
    /// Growth of the current part.
    pub bytes_per_s: Option<u64>,
    /// Frames by fate, sums over all parts.
    pub frames: Frames,
}

/// What one input's recording is doing (R-SUP-6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordingState {
    /// Asked for; no media in the file yet.
    Starting,
    /// New media reached the file within the last 2 s (R-TRU-1).
    Recording,
    /// No new media for 2 s.
    Stalled,
    /// Closing.
    Stopping,
    /// All parts closed.
    Done,
    /// Ended by a fault.
    Failed,
}

/// Frames by fate. captured + duplicated = encoded + dropped.queue + dropped.encoder (DESIGN §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Frames {
    /// Frames from the source at or after `start_at_ns`.
    pub captured: Option<u64>,
    /// Frames that left the encoder.
    pub encoded: Option<u64>,
    /// Frames in the file.
    pub written: Option<u64>,
    /// Frames repeated to keep the rate.
    pub duplicated: Option<u64>,
    /// Frames lost, by cause.
    pub dropped: Dropped,
}

/// Frames lost, by cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Dropped {
    /// The source made them and nobody fetched them in time.
    pub source: Option<u64>,
    /// A queue of ours was full.
    pub queue: Option<u64>,
    /// The encoder swallowed them.
    pub encoder: Option<u64>,
}

/// The file system recordings go to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StorageView {
    /// The library.
    pub path: String,
    /// Bytes free for us, `None` when the file system does not answer.
    pub free_bytes: Option<u64>,
    /// Size of the file system.
    pub total_bytes: Option<u64>,
    /// Recording time left at the current (or expected) rate.
    pub seconds_left: Option<u64>,
}

/// Load level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelView {
    /// The level.
    pub name: LevelName,
    /// What caused it.
    pub causes: Vec<String>,
    /// What is being done.
    pub actions: Vec<String>,
}

/// Load levels in rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

/// Counts of active alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AlertCounts {
    /// Active critical alerts.
    pub critical: u32,
    /// Active warnings.
    pub warning: u32,
    /// Active notices.
    pub info: u32,
}

/// An external service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

/// The priority that was really achieved for the recording processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriorityView {
    /// The highest (= worst) nice value any worker really has, `None` without workers.
    pub nice: Option<i32>,
    /// How it was got.
    pub via: PriorityVia,
    /// Cores of the recording, `None` = not restricted.
    pub cpus: Option<Vec<u32>>,
    /// I/O class (`be0`), `None` = not known.
    pub io: Option<String>,
    /// `oom_score_adj` of the window, `None` = not known.
    pub oom_score_adj_ui: Option<i32>,
}

/// How priority was got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriorityVia {
    /// The process that spawned us had it already.
    Inherited,
    /// `setpriority` before exec.
    Setpriority,
    /// The realtime portal.
    Portal,
    /// RealtimeKit.
    Rtkit,
    /// Only by lowering the window.
    UiLowered,
    /// Refused everywhere.
    None,
}

/// One alert, as the API lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Its id.
    pub id: u64,
    /// Order, independent of any clock.
    pub seq: u64,
    /// First seen (wall clock).
    pub at: Timestamp,
    /// How bad.
    pub severity: Severity,
    /// Input id, `storage`, `engine` …
    pub source: String,
    /// Code for translation.
    pub code: String,
    /// Parameters of the code.
    pub params: BTreeMap<String, String>,
    /// English: what happened, what was done, what you can do.
    pub message: String,
    /// How often it happened.
    pub count: u32,
    /// Whether its cause goes on.
    pub state: AlertState,
    /// When its cause went.
    pub resolved_at: Option<Timestamp>,
    /// Seen by the operator.
    pub acknowledged: bool,
    /// Codes of buttons it offers.
    pub actions: Vec<String>,
}

/// Whether the cause of an alert goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// Goes on.
    Active,
    /// Has gone.
    Resolved,
}

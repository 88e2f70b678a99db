//! One input in the snapshot: its source, its worker, its preview, its recording.

use crate::model::id::InputId;
use crate::model::session::Verdict;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InputView {
    /// Its id.
    pub id: InputId,
    /// What the operator calls it.
    pub name: String,
    /// Kind of source (`test`, `file`, `rtsp`, `v4l2`).
    pub kind: String,
    /// What the source is doing.
    pub state: InputState,
    /// Since when (wall clock), `None` = it was so when the engine began.
    #[serde(default)]
    pub since: Option<Timestamp>,
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
    /// Since when its recording is in its state, like `since`.
    #[serde(default)]
    pub recording_since: Option<Timestamp>,
}

/// What a source is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Health {
    /// The worst of the reasons.
    pub verdict: HealthVerdict,
    /// Why it is not healthy.
    pub reasons: Vec<String>,
}

/// Source health in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Signal {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames per second, `None` until measured or named by the source.
    pub fps: Option<f64>,
}

/// Circuit breaker state (always `closed` until issue 3 builds it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WorkerView {
    /// Process id in the engine's PID namespace, `None` = it lives in one the engine cannot see into.
    pub pid: Option<u32>,
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PreviewView {
    /// What it is doing.
    pub state: PreviewState,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// Frames per second.
    pub fps: Option<f64>,
    /// What it does without under load, the most that is noticed; `None` = nothing.
    #[serde(default)]
    pub reduced: Option<PreviewReduction>,
}

impl PreviewView {
    /// Nobody watches.
    pub const OFF: Self = Self { state: PreviewState::Off, width: None, height: None, fps: None, reduced: None };
}

/// What a preview does without under load, from little to much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PreviewReduction {
    /// It has fewer pixels than the tile.
    Height,
    /// It has fewer pictures per second than the input.
    Rate,
    /// It stands still.
    Off,
}

/// What a preview is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Meter {
    /// Peak in dBFS.
    pub peak_dbfs: f64,
    /// RMS in dBFS.
    pub rms_dbfs: f64,
    /// Clipped since last cleared.
    pub clip: bool,
}

/// One input's part of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Dropped {
    /// The source made them and nobody fetched them in time.
    pub source: Option<u64>,
    /// A queue of ours was full.
    pub queue: Option<u64>,
    /// The encoder swallowed them.
    pub encoder: Option<u64>,
}

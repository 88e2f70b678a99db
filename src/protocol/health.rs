//! How the recorder is, as the API tells it (R-OBS-2). `None` (`null`) = not known, or not there.

use super::latency::LatencyView;
use super::operations::OperationsReply;
use crate::model::InputId;
use crate::model::shed::WorkerLoad;
use crate::model::snapshot::{AlertCounts, BreakerState, HealthVerdict, LevelView};
use serde::{Deserialize, Serialize};

/// Reply to `GET /api/v1/health`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HealthReply {
    /// The worst of the parts: services, and what arrives at the inputs.
    pub overall: HealthVerdict,
    /// Version of the program.
    pub version: String,
    /// Process id of the engine.
    pub pid: u32,
    /// Time since the engine started.
    pub uptime_ms: u64,
    /// Workers that answer.
    pub workers: u32,
    /// Configured inputs.
    pub inputs: u32,
    /// Connected event clients.
    pub clients: u32,
    /// Engine, each worker, storage.
    #[serde(default)]
    pub services: Vec<ServiceHealth>,
    /// Load level.
    #[serde(default)]
    pub level: Option<LevelView>,
    /// Circuit breakers.
    #[serde(default)]
    pub breakers: Vec<BreakerView>,
    /// Errors of the last five minutes, of all sources together.
    #[serde(default)]
    pub error_rate: Option<ErrorRate>,
    /// The same of each source that has had operations.
    #[serde(default)]
    pub error_rates: Vec<SourceErrorRate>,
    /// What each process of the recorder uses.
    #[serde(default)]
    pub resources: Vec<ProcessResources>,
    /// What each input has gone through.
    #[serde(default)]
    pub recovery: Vec<RecoveryView>,
    /// Memory of the machine.
    #[serde(default)]
    pub memory: Option<MachineMemory>,
    /// Load of the machine, as the level is made of it.
    #[serde(default)]
    pub load: Option<MachineLoad>,
    /// Bounded things and how full they are.
    #[serde(default)]
    pub limits: Vec<LimitView>,
    /// How long things take that somebody waits for (R-CMD-5).
    #[serde(default)]
    pub latencies: Vec<LatencyView>,
    /// Long operations.
    #[serde(default)]
    pub operations: OperationsReply,
    /// Active alerts.
    #[serde(default)]
    pub alerts: AlertCounts,
}

/// Reply to `GET /api/v1/health/live`: whoever gets it has asked an engine that lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LiveReply {
    /// `live`.
    pub status: String,
    /// Process id of the engine.
    pub pid: u32,
    /// Time since the engine started.
    pub uptime_ms: u64,
}

/// What a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServiceKind {
    /// The supervisor.
    Engine,
    /// The recording process of an input.
    Worker,
    /// The library's file system.
    Storage,
}

/// How one service is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ServiceHealth {
    /// What it is.
    pub kind: ServiceKind,
    /// `engine`, `storage`, or the id of the input.
    pub name: String,
    /// How it is.
    pub verdict: HealthVerdict,
    /// Why it is not healthy, as codes.
    pub reasons: Vec<String>,
    /// Its version, where it has one.
    pub version: Option<String>,
}

/// A circuit breaker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BreakerView {
    /// The input.
    pub name: String,
    /// Its state.
    pub status: BreakerState,
    /// How often it has opened, `None` = not counted.
    pub open_count: Option<u64>,
}

/// How often something went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ErrorRate {
    /// Errors.
    pub errors: u64,
    /// Operations that went well.
    pub successes: u64,
    /// Both.
    pub total: u64,
    /// Errors in percent of all, `None` without any operation.
    pub percent: Option<f64>,
    /// Over how many seconds.
    pub window_s: u64,
}

/// How often something went wrong at one source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SourceErrorRate {
    /// Input, `storage`, `engine` or `api`.
    pub source: String,
    /// The rate.
    pub rate: ErrorRate,
}

/// What a process uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ProcessResources {
    /// `engine`, `window`, or the id of the worker's input.
    pub name: String,
    /// Its process id.
    pub pid: u32,
    /// Resident memory.
    pub memory_bytes: Option<u64>,
    /// What it may use before an alert says so: a worker only, once its own measure was taken.
    pub memory_budget_bytes: Option<u64>,
    /// CPU in percent of the whole machine.
    pub cpu_percent: Option<f64>,
    /// What it may use of them before an alert says so: a worker only.
    #[serde(default)]
    pub cpu_budget_percent: Option<u32>,
    /// Open files.
    pub open_files: Option<u64>,
    /// How many it may open.
    pub open_files_limit: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Bytes per second that it sends to disks.
    #[serde(default)]
    pub disk_bytes_per_s: Option<u64>,
    /// What its file may grow by per second before an alert says so: a worker only.
    #[serde(default)]
    pub disk_budget_bytes_per_s: Option<u64>,
    /// Bytes per second that come over a network: of inputs that do.
    #[serde(default)]
    pub network_bytes_per_s: Option<u64>,
    /// How a worker keeps up.
    #[serde(default)]
    pub load: Option<WorkerLoad>,
}

/// What has gone wrong at an input and was mended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RecoveryView {
    /// The input.
    pub input: InputId,
    /// How often its process was replaced within the last hour, also under earlier engines of this boot; 10 are the most.
    pub restarts_hour: u32,
    /// How long ago the last one was replaced.
    pub last_restart_ms_ago: Option<u64>,
    /// Replacements since the last that has proved itself.
    pub attempts: u32,
    /// With so many of them it is given up.
    pub attempts_max: u32,
    /// It was given up, and waits for Retry.
    pub quarantined: bool,
    /// Parts that stalled and were thrown away, since this engine began.
    pub stalls: u32,
    /// Stretches in which nothing was recorded, since this engine began.
    pub gaps: u32,
    /// How long they were together.
    pub gap_ms: u64,
    /// What nobody lived to write, in sessions that were closed since this engine began.
    pub lost_ms: u64,
}

/// Load of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MachineLoad {
    /// Busy processors, all together, without the recorder's own reading of finished files; mean of 2 s.
    pub cpu_percent: Option<f64>,
    /// Time in which somebody waited for a processor, mean of 2 s.
    pub pressure_percent: Option<f64>,
    /// Memory in use, of the machine or of the recorder's own group, whichever is fuller.
    pub memory_percent: Option<f64>,
}

/// Memory of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MachineMemory {
    /// All of it.
    pub total_bytes: u64,
    /// What can be had without swapping.
    pub available_bytes: u64,
}

/// Something bounded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LimitView {
    /// `machine`, `engine`, or the id of a worker's input.
    pub source: String,
    /// What, in English.
    pub what: String,
    /// How much of it is in use.
    pub used: u64,
    /// How much there is.
    pub limit: u64,
}

//! The closed list of incidents, each with its spelling and how bad it is.

use serde::{Deserialize, Serialize};

/// How bad an incident is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Look when you can.
    Warning,
    /// Media is being lost, or is about to be.
    Critical,
}

/// Every incident the product knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IncidentCode {
    /// A worker process died.
    WorkerDied,
    /// A worker could not be started again and again.
    WorkerGaveUp,
    /// The source delivers nothing.
    NoSignal,
    /// The source cannot be opened (`reason`).
    SourceUnreachable,
    /// The input can never work as configured (`reason`).
    SourceMisconfigured,
    /// The source's sound stopped or never came; silence is recorded.
    AudioLost,
    /// A queue of ours overflowed (`frames`).
    QueueOverflow,
    /// Frames arrive but the file does not grow.
    RecordingStalled,
    /// The pipeline that writes failed (`reason`).
    PipelineFailed,
    /// No encoder for what the input is to be recorded as works here (`reason`).
    EncoderMissing,
    /// A new part could not be begun; the one before goes on (`reason`).
    SplitFailed,
    /// A pipeline could not be torn down in time.
    TeardownStuck,
    /// No space left on the library's file system.
    DiskFull,
    /// The disk refused a write (`reason`).
    DiskError,
    /// The disk failed to sync; nothing later in this part counts as safe.
    SyncFailed,
    /// Only some of the armed inputs started (`started`, `armed`).
    PartialStart,
    /// The flush at stop did not end in time.
    StopCut,
    /// The recorder could not get a higher priority.
    PriorityRefused,
    /// An interrupted session was found and closed.
    SessionRecovered,
    /// A file cannot be read; it was set aside under its own name (`file`).
    FileDamaged,
    /// The engine was restarted during a session.
    EngineRestarted,
    /// A file is not what was recorded, or cannot be read whole (`file`, `reason`).
    ProofFailed,
    /// The files of a session could not be checked (`session`, `reason`).
    ProofAbandoned,
    /// A worker has not answered a command, however often it was repeated (`command`).
    CommandUnanswered,
    /// The disk takes nothing at the moment; what is recorded waits in memory.
    StorageFrozen,
    /// A quota on the library's file system is used up.
    QuotaExceeded,
    /// The library's file system takes no writes any more (EROFS).
    DiskReadOnly,
    /// The library's file system, or the folder of the session in it, is gone (`reason`).
    StorageVanished,
    /// A file that is being recorded was removed, renamed or replaced (`file`).
    FileDisplaced,
    /// Little space is left on the library's file system (`free`, `used`).
    DiskLow,
    /// Next to no space is left on the library's file system (`free`, `used`, `floor`).
    DiskCritical,
    /// A worker uses more memory than its budget (`used`, `budget`).
    WorkerMemory,
    /// The machine has little memory left (`free`).
    MemoryLow,
    /// A process uses most of what it may have of something (`what`, `used`, `limit`).
    LimitNear,
    /// The wall clock was moved against the monotonic one (`seconds`).
    ClockStepped,
    /// The machine slept (`seconds`).
    Suspended,
    /// The system does not let the recorder keep it awake (`reason`).
    SleepNotInhibited,
    /// Something goes wrong too often (`errors`, `seconds`).
    ErrorRate,
    /// An operation is past its deadline (`operation`, `seconds`).
    OperationStuck,
    /// The processors are busy (`percent`).
    CpuHigh,
    /// Programs wait for a processor (`percent` of the time).
    CpuPressure,
    /// Much of the memory is in use (`percent`).
    MemoryHigh,
    /// There is so little memory that only one preview is shown at a time (`free`).
    LowMemoryMode,
    /// A recording runs late: a queue fills, or an encoder lags (`queue`, `late`).
    RecordingLate,
    /// Previews are smaller or slower under load.
    PreviewsReduced,
    /// Some or all previews are off under load.
    PreviewsOff,
    /// Recordings get less than the bitrate they were given (`percent`).
    BitrateReduced,
    /// Recordings run late although nothing is left that could be done without.
    Overloaded,
    /// An input uses more of the machine than its budget (`used`, `budget`).
    CpuBudget,
    /// An input writes more than its budget (`used`, `budget`).
    DiskBudget,
}

impl IncidentCode {
    /// Every code, for tests and tables.
    pub const ALL: [IncidentCode; 50] = [
        IncidentCode::WorkerDied,
        IncidentCode::WorkerGaveUp,
        IncidentCode::NoSignal,
        IncidentCode::SourceUnreachable,
        IncidentCode::SourceMisconfigured,
        IncidentCode::AudioLost,
        IncidentCode::QueueOverflow,
        IncidentCode::RecordingStalled,
        IncidentCode::PipelineFailed,
        IncidentCode::EncoderMissing,
        IncidentCode::SplitFailed,
        IncidentCode::TeardownStuck,
        IncidentCode::DiskFull,
        IncidentCode::DiskError,
        IncidentCode::SyncFailed,
        IncidentCode::PartialStart,
        IncidentCode::StopCut,
        IncidentCode::PriorityRefused,
        IncidentCode::SessionRecovered,
        IncidentCode::FileDamaged,
        IncidentCode::EngineRestarted,
        IncidentCode::ProofFailed,
        IncidentCode::ProofAbandoned,
        IncidentCode::CommandUnanswered,
        IncidentCode::StorageFrozen,
        IncidentCode::QuotaExceeded,
        IncidentCode::DiskReadOnly,
        IncidentCode::StorageVanished,
        IncidentCode::FileDisplaced,
        IncidentCode::DiskLow,
        IncidentCode::DiskCritical,
        IncidentCode::WorkerMemory,
        IncidentCode::MemoryLow,
        IncidentCode::LimitNear,
        IncidentCode::ClockStepped,
        IncidentCode::Suspended,
        IncidentCode::SleepNotInhibited,
        IncidentCode::ErrorRate,
        IncidentCode::OperationStuck,
        IncidentCode::CpuHigh,
        IncidentCode::CpuPressure,
        IncidentCode::MemoryHigh,
        IncidentCode::LowMemoryMode,
        IncidentCode::RecordingLate,
        IncidentCode::PreviewsReduced,
        IncidentCode::PreviewsOff,
        IncidentCode::BitrateReduced,
        IncidentCode::Overloaded,
        IncidentCode::CpuBudget,
        IncidentCode::DiskBudget,
    ];

    /// The code as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            IncidentCode::WorkerDied => "worker_died",
            IncidentCode::WorkerGaveUp => "worker_gave_up",
            IncidentCode::NoSignal => "no_signal",
            IncidentCode::SourceUnreachable => "source_unreachable",
            IncidentCode::SourceMisconfigured => "source_misconfigured",
            IncidentCode::AudioLost => "audio_lost",
            IncidentCode::QueueOverflow => "queue_overflow",
            IncidentCode::RecordingStalled => "recording_stalled",
            IncidentCode::PipelineFailed => "pipeline_failed",
            IncidentCode::EncoderMissing => "encoder_missing",
            IncidentCode::SplitFailed => "split_failed",
            IncidentCode::TeardownStuck => "teardown_stuck",
            IncidentCode::DiskFull => "disk_full",
            IncidentCode::DiskError => "disk_error",
            IncidentCode::SyncFailed => "sync_failed",
            IncidentCode::PartialStart => "partial_start",
            IncidentCode::StopCut => "stop_cut",
            IncidentCode::PriorityRefused => "priority_refused",
            IncidentCode::SessionRecovered => "session_recovered",
            IncidentCode::FileDamaged => "file_damaged",
            IncidentCode::EngineRestarted => "engine_restarted",
            IncidentCode::ProofFailed => "proof_failed",
            IncidentCode::ProofAbandoned => "proof_abandoned",
            IncidentCode::CommandUnanswered => "command_unanswered",
            IncidentCode::StorageFrozen => "storage_frozen",
            IncidentCode::QuotaExceeded => "quota_exceeded",
            IncidentCode::DiskReadOnly => "disk_read_only",
            IncidentCode::StorageVanished => "storage_vanished",
            IncidentCode::FileDisplaced => "file_displaced",
            IncidentCode::DiskLow => "disk_low",
            IncidentCode::DiskCritical => "disk_critical",
            IncidentCode::WorkerMemory => "worker_memory",
            IncidentCode::MemoryLow => "memory_low",
            IncidentCode::LimitNear => "limit_near",
            IncidentCode::ClockStepped => "clock_stepped",
            IncidentCode::Suspended => "suspended",
            IncidentCode::SleepNotInhibited => "sleep_not_inhibited",
            IncidentCode::ErrorRate => "error_rate",
            IncidentCode::OperationStuck => "operation_stuck",
            IncidentCode::CpuHigh => "cpu_high",
            IncidentCode::CpuPressure => "cpu_pressure",
            IncidentCode::MemoryHigh => "memory_high",
            IncidentCode::LowMemoryMode => "low_memory_mode",
            IncidentCode::RecordingLate => "recording_late",
            IncidentCode::PreviewsReduced => "previews_reduced",
            IncidentCode::PreviewsOff => "previews_off",
            IncidentCode::BitrateReduced => "bitrate_reduced",
            IncidentCode::Overloaded => "overloaded",
            IncidentCode::CpuBudget => "cpu_budget",
            IncidentCode::DiskBudget => "disk_budget",
        }
    }

    /// How bad it is.
    pub fn severity(self) -> Severity {
        match self {
            IncidentCode::WorkerDied
            | IncidentCode::WorkerGaveUp
            | IncidentCode::RecordingStalled
            | IncidentCode::PipelineFailed
            | IncidentCode::EncoderMissing
            | IncidentCode::QueueOverflow
            | IncidentCode::DiskFull
            | IncidentCode::DiskError
            | IncidentCode::SyncFailed
            | IncidentCode::FileDamaged
            | IncidentCode::ProofFailed
            | IncidentCode::PartialStart
            | IncidentCode::StorageFrozen
            | IncidentCode::QuotaExceeded
            | IncidentCode::DiskReadOnly
            | IncidentCode::StorageVanished
            | IncidentCode::FileDisplaced
            | IncidentCode::DiskCritical
            | IncidentCode::Overloaded => Severity::Critical,
            IncidentCode::NoSignal
            | IncidentCode::SourceUnreachable
            | IncidentCode::SourceMisconfigured
            | IncidentCode::AudioLost
            | IncidentCode::SplitFailed
            | IncidentCode::TeardownStuck
            | IncidentCode::StopCut
            | IncidentCode::EngineRestarted
            | IncidentCode::ProofAbandoned
            | IncidentCode::CommandUnanswered
            | IncidentCode::DiskLow
            | IncidentCode::WorkerMemory
            | IncidentCode::MemoryLow
            | IncidentCode::LimitNear
            | IncidentCode::Suspended
            | IncidentCode::ErrorRate
            | IncidentCode::OperationStuck
            | IncidentCode::CpuHigh
            | IncidentCode::CpuPressure
            | IncidentCode::MemoryHigh
            | IncidentCode::LowMemoryMode
            | IncidentCode::RecordingLate
            | IncidentCode::PreviewsReduced
            | IncidentCode::PreviewsOff
            | IncidentCode::BitrateReduced => Severity::Warning,
            IncidentCode::PriorityRefused
            | IncidentCode::SessionRecovered
            | IncidentCode::ClockStepped
            | IncidentCode::SleepNotInhibited
            | IncidentCode::CpuBudget
            | IncidentCode::DiskBudget => Severity::Info,
        }
    }
}

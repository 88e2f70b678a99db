//! What the engine hands down to a worker so that it can act alone, also with the engine dead (DESIGN §1).

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The rules a worker carries out by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerPolicy {
    /// No frame from the source for this long = no signal (R-FM-8; network inputs get more).
    pub signal_timeout: Duration,
    /// Frames come in but the file does not grow for this long: the recording is shown as stalled (R-FM-2, R-TRU-1: within
    /// 2 s, of which 250 ms are for the ticks of worker and engine).
    pub stall_shown: Duration,
    /// Frames come in but the file does not grow for this long: pipelines are thrown away, next part (R-FM-2, 30 s).
    pub stall_restart: Duration,
    /// What then becomes of the recording.
    #[serde(default)]
    pub stall_action: StallAction,
    /// First delay before a lost source is opened again; doubles up to `retry_cap` (R-SRC-1).
    pub retry_first: Duration,
    /// Longest delay between two attempts to open a source.
    pub retry_cap: Duration,
    /// Free bytes on the library's file system below which a recording is closed gracefully (R-FM-4, 1 GB).
    pub critical_free_bytes: u64,
    /// How long EOS may take to flush a part before it is cut (R-SUP-8, 15 s).
    pub flush_deadline: Duration,
    /// An idle worker without an engine for this long exits (R-SUP-13, 60 s).
    pub orphan_exit: Duration,
    /// When a part is followed by the next one although nothing is wrong (R-JOB-7).
    #[serde(default)]
    pub split: Split,
}

/// What becomes of a recording that has stalled for [`WorkerPolicy::stall_restart`] (R-FM-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StallAction {
    /// Its pipelines are thrown away, and the next part begins.
    #[default]
    Restart,
    /// It ends, as failed.
    Stop,
}

/// How long a part may become. The next part begins with the first keyframe behind the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Media time, `None` = not limited.
    pub after: Option<Duration>,
    /// Size in bytes, `None` = not limited.
    pub bytes: Option<u64>,
}

impl Default for Split {
    /// Four hours: below the 4 GB of FAT at 2 Mbit/s, and a day is still only six files.
    fn default() -> Self {
        Self { after: Some(Duration::from_secs(4 * 3600)), bytes: None }
    }
}

impl Default for WorkerPolicy {
    fn default() -> Self {
        Self {
            signal_timeout: Duration::from_millis(750),
            stall_shown: Duration::from_millis(1750),
            stall_restart: Duration::from_secs(30),
            stall_action: StallAction::default(),
            retry_first: Duration::from_secs(1),
            retry_cap: Duration::from_secs(60),
            critical_free_bytes: 1_000_000_000,
            flush_deadline: Duration::from_secs(15),
            orphan_exit: Duration::from_secs(60),
            split: Split::default(),
        }
    }
}

//! How long things take that somebody waits for, against what was promised (R-CMD-5).

use crate::model::snapshot::HealthVerdict;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Something that somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Latency {
    /// A question to the API is answered.
    Read,
    /// A command is answered.
    Write,
    /// A change of the state is in the socket of a client that listens.
    Event,
    /// A tile that is shown has its first picture. Only the window sees that, and tells it.
    Preview,
    /// From the click to media in the file of the last input that records, by its worker's evidence (R-TRU-1).
    Start,
    /// From the click to the last file closed and the manifest written.
    Stop,
}

impl Latency {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Read, Self::Write, Self::Event, Self::Preview, Self::Start, Self::Stop];

    /// What 95 of 100 are to keep, and what is acceptable.
    pub const fn bounds(self) -> (Duration, Duration) {
        let (target, acceptable) = match self {
            Self::Read | Self::Event => (50, 200),
            Self::Write => (100, 500),
            Self::Preview => (200, 500),
            Self::Start => (1000, 3000),
            Self::Stop => (2000, 5000),
        };
        (Duration::from_millis(target), Duration::from_millis(acceptable))
    }

    /// Its name on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Event => "event",
            Self::Preview => "preview",
            Self::Start => "start",
            Self::Stop => "stop",
        }
    }
}

/// How long something took lately: the last 256 times within an hour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LatencyView {
    /// What.
    pub kind: Latency,
    /// How often it was measured.
    pub count: u32,
    /// 95 of 100 took no longer, in ms; `null` = it has not happened yet.
    pub p95_ms: Option<f64>,
    /// The longest.
    pub max_ms: Option<f64>,
    /// The last one.
    pub last_ms: Option<f64>,
    /// How many were above what is acceptable; each is a line in the log, with its trace id, ten seconds apart at least.
    pub over: u32,
    /// What 95 of 100 are to keep.
    pub target_ms: u64,
    /// What is acceptable.
    pub acceptable_ms: u64,
    /// `healthy` = 95 of 100 keep the target, `degraded` = what is acceptable.
    pub verdict: HealthVerdict,
}

/// Body of `POST /api/v1/latencies`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LatencyReport {
    /// What was measured; `preview` is the only one that the engine does not measure itself.
    pub kind: Latency,
    /// How long it took, in ms: 0 to 600 000.
    pub took_ms: f64,
}

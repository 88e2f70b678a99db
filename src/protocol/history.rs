//! The last five minutes of an input, for a plot.

use crate::model::InputId;
use serde::{Deserialize, Serialize};

/// Reply to `GET /api/v1/inputs/{id}/history`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HistoryReply {
    /// The input.
    pub input: InputId,
    /// Time from one point to the next.
    pub step_ms: u64,
    /// What was seen, oldest first; at most five minutes. An engine that was started later knows less.
    pub points: Vec<HistoryPoint>,
}

/// What was seen of an input over one step. `null` = not known, or there is no such thing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HistoryPoint {
    /// End of the step: CLOCK_MONOTONIC of this machine in ms.
    pub t_ms: u64,
    /// Pictures per second that arrived from the source.
    pub fps: Option<f64>,
    /// Frames lost within the step, wherever; `null` while nothing is recorded.
    pub dropped: Option<u64>,
    /// Growth of the file.
    pub bytes_per_s: Option<u64>,
    /// Bytes per second that came over a network; `null` = its source is none.
    #[serde(default)]
    pub received_bytes_per_s: Option<u64>,
    /// How full the fullest queue on the way into the file was, in percent of where it begins to lose.
    pub queue_percent: Option<u8>,
}

/// Reply to `POST /api/v1/inputs/{id}/clip/clear`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ClipReply {
    /// The input whose meters were told to forget that they clipped.
    pub input: InputId,
}

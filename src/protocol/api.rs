//! The public API, version 1 (DESIGN §4): bodies of requests, replies and errors, and the event stream.

use crate::model::snapshot::Snapshot;
use crate::model::{InputId, SessionId, SessionName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Header that makes a start repeatable.
pub const IDEMPOTENCY_KEY: &str = "x-idempotency-key";
/// Header that names a request through all processes.
pub const TRACE_ID: &str = "x-trace-id";
/// Header with the time the engine took.
pub const RESPONSE_TIME_MS: &str = "x-response-time-ms";

/// Body of `POST /api/v1/recorder/start`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartRequest {
    /// Name of the session; one is made from the date without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Only these inputs; all armed ones without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Vec<String>>,
}

/// Reply to a start (201 once journaled, 200 for the same key).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartReply {
    /// The session.
    pub session_id: SessionId,
    /// Its name.
    pub name: SessionName,
    /// Wall clock.
    pub started_at: Timestamp,
    /// The inputs it records.
    pub inputs: Vec<InputId>,
    /// `starting`, `recording`, `stopping`, `failed` or `finished`.
    pub status: String,
}

/// Body of `POST /api/v1/recorder/stop`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopRequest {
    /// Which session; the running one without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
}

/// Reply to a stop (202 at once; completion is an event).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopReply {
    /// The session.
    pub session_id: SessionId,
    /// `stopping` or `finished`.
    pub status: String,
}

/// Every error of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// Stable code.
    pub code: String,
    /// What happened and what to do about it, in English.
    pub message: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// Trace id of the request.
    pub trace_id: String,
}

/// One message of `GET /api/v1/events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Event {
    /// The whole state; first message, and after a resync.
    Sync {
        /// Sequence number of the state.
        seq: u64,
        /// Wall clock.
        at: Timestamp,
        /// The state.
        data: Box<Snapshot>,
    },
    /// Every second, without a number (R-TRU-8).
    Heartbeat {
        /// Wall clock.
        at: Timestamp,
    },
}

/// One line of `GET /api/v1/sessions`, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionRow {
    /// Folder name.
    pub dir: String,
    /// The manifest, `None` while the session is open or interrupted.
    pub manifest: Option<crate::model::session::Manifest>,
}

/// Reply to `GET /api/v1/sessions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionsReply {
    /// The page.
    pub sessions: Vec<SessionRow>,
    /// Pass as `cursor` for the next page.
    pub next_cursor: Option<String>,
}

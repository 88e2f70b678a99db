//! The public API, version 1 (DESIGN §4): bodies of requests, replies and errors. The event stream is
//! [`super::event`]; health, histories, latencies, markers, names and operations have files of their own.

pub use super::health::*;
pub use super::history::*;
pub use super::latency::*;
pub use super::marker::*;
pub use super::naming::*;
pub use super::operations::*;
pub use super::order::*;
use crate::model::snapshot::{Alert, AlertCounts};
use crate::model::{InputId, SessionId, SessionName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Header that makes a start repeatable.
pub const IDEMPOTENCY_KEY: &str = "x-idempotency-key";
/// What is asked, byte by byte, to learn whether an engine is alive: it answers from memory, or that it is full.
pub const SIGN_OF_LIFE: &[u8] = b"GET /api/v1/health HTTP/1.1\r\nHost: holdfast\r\nConnection: close\r\n\r\n";
/// Header of a client that says what it is.
pub const CLIENT: &str = "X-Client";
/// The value of [`CLIENT`] of a window.
pub const WINDOW: &str = "window";
/// Header that names a request through all processes.
pub const TRACE_ID: &str = "x-trace-id";
/// Header with the time the engine took.
pub const RESPONSE_TIME_MS: &str = "x-response-time-ms";

/// Body of `POST /api/v1/recorder/start`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRequest {
    /// Name of the session, with `{date}`, `{time}` and `{n}` for what it is then (other braces are text); the configured one
    /// without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Only these inputs; all armed ones without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Vec<String>>,
}

/// Reply to a start (201 once journaled, 200 for the same key).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StopRequest {
    /// Which session; the running one without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
}

/// Reply to a stop (202 at once; completion is an event).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StopReply {
    /// The session.
    pub session_id: SessionId,
    /// `stopping` or `finished`.
    pub status: String,
}

/// Body of `POST /api/v1/recorder/split`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitRequest {
    /// Which session; the running one without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
}

/// Reply to a split (202 at once). Every input begins its next part with its first keyframe at or after one common
/// instant, about half a second later. A second request before that, or within a group of pictures (one second) after
/// it, means the same split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SplitReply {
    /// The session.
    pub session_id: SessionId,
    /// The inputs that were asked; one whose worker is just being replaced begins a new part anyway.
    pub inputs: Vec<InputId>,
}

/// Every error of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, utoipa::ToSchema)]
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

/// Reply to `POST /api/v1/inputs/{id}/retry`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RetryReply {
    /// The input that is tried again.
    pub input: InputId,
}

/// Reply to `GET /api/v1/alerts`: the newest alerts first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AlertsReply {
    /// As many of them as were asked for.
    pub alerts: Vec<Alert>,
    /// How many of all that are kept are active, and how many wait to be seen.
    pub counts: AlertCounts,
    /// How many are kept.
    #[serde(default)]
    pub kept: u32,
}

/// Reply to `POST /api/v1/alerts/{id}/ack`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AckReply {
    /// The alert, acknowledged.
    pub alert: Alert,
}

/// One line of `GET /api/v1/sessions`, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SessionRow {
    /// Folder name.
    pub dir: String,
    /// The manifest, `None` while the session is open or interrupted.
    pub manifest: Option<crate::model::session::Manifest>,
    /// The manifest is too long for a page: its parts, findings, incidents and markers are left out here and stand in the
    /// session's `session.json`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shortened: bool,
}

/// Reply to `GET /api/v1/sessions`. A page ends early when it grows long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SessionsReply {
    /// The page.
    pub sessions: Vec<SessionRow>,
    /// Pass as `cursor` for the next page.
    pub next_cursor: Option<String>,
}

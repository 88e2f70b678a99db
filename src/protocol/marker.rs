//! Markers of the running session, as the API takes and tells them.

use crate::model::SessionId;
use crate::model::marker::Marker;
use serde::{Deserialize, Serialize};

/// Header with the moment of a click: CLOCK_MONOTONIC of this machine in ns. A marker lies there, and what a start or a
/// stop took is measured from there; without it, or with one that is no moment of the last thirty seconds, from when the
/// request came.
pub const CLICKED_AT: &str = "x-clicked-at-ns";

/// Body of `POST /api/v1/recorder/marker`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MarkerRequest {
    /// Which session; the running one without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// What to call it: one line of at most 120 characters; blank is as good as none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// Reply to a marker (201 once it is on the disk, 200 for the same key).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MarkerReply {
    /// Its session.
    pub session_id: SessionId,
    /// The marker.
    pub marker: Marker,
}

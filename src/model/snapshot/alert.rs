//! An alert: an incident as it is shown, with a count and a state.

use crate::model::incident::Severity;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One alert, as the API lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// Goes on.
    Active,
    /// Has gone.
    Resolved,
}

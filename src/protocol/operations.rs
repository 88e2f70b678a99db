//! Long operations as the API tells them (R-ALR-4).

use serde::{Deserialize, Serialize};

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// A session is written down, or an input that delivers pictures comes to record.
    Start,
    /// The files of a session are closed by their workers.
    Stop,
    /// What is left of a session is turned into ordinary files, and its manifest written.
    Finalise,
    /// The files of a session are read again.
    Verify,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OperationView {
    /// Its number.
    pub id: u64,
    /// What it does.
    pub kind: OperationKind,
    /// Input, or `engine`.
    pub source: String,
    /// For how long it has run.
    pub since_ms: u64,
    /// How long it may take.
    pub deadline_ms: u64,
    /// It takes longer than that.
    pub stuck: bool,
    /// It can be cleaned up.
    pub cancellable: bool,
}

/// Reply to `GET /api/v1/operations`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OperationsReply {
    /// How many run.
    pub count: u32,
    /// How many of them are stuck.
    pub stuck: u32,
    /// Somebody should clean up.
    pub action_required: bool,
    /// The first ten, those that are stuck first.
    pub operations: Vec<OperationView>,
}

/// Reply to `POST /api/v1/operations/{id}/cleanup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CleanupReply {
    /// The operation.
    pub id: u64,
    /// What it did.
    pub kind: OperationKind,
    /// Input, or `engine`.
    pub source: String,
    /// `cleaned`: it was given up and counts as failed; nothing that was recorded is touched.
    pub status: String,
}

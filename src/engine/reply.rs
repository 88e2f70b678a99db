//! How requests end, before the server puts it into HTTP.

use crate::protocol::api::{
    AckReply, CleanupReply, ClipReply, MarkerReply, OrderReply, RetryReply, SplitReply, StartReply, StopReply,
};

/// How a request ended, for the server to put into HTTP.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// 201 (`new`) or 200.
    Started {
        /// The session.
        body: StartReply,
        /// It was made by this request.
        new: bool,
    },
    /// 202 (`stopping`) or 200 (`finished`).
    Stopped(StopReply),
    /// 202.
    Split(SplitReply),
    /// 201 (`new`) or 200.
    Marked {
        /// The marker.
        body: Box<MarkerReply>,
        /// It was made by this request.
        new: bool,
    },
    /// 202.
    Retried(RetryReply),
    /// 202.
    ClipCleared(ClipReply),
    /// 200.
    Ordered(OrderReply),
    /// 200.
    Acknowledged(Box<AckReply>),
    /// 200.
    Cleaned(CleanupReply),
    /// An error.
    Refused(Refused),
}

/// A refusal: status, code, English.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// HTTP status.
    pub status: u16,
    /// Stable code.
    pub code: &'static str,
    /// What happened and what to do about it.
    pub message: String,
    /// The same request may succeed later.
    pub retryable: bool,
}

//! An alert: an incident as it is shown, with a count and a state; and which go first when a list of them is full.

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
    /// When its cause came last (wall clock); not told by engines of before.
    #[serde(default)]
    pub last_at: Option<Timestamp>,
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
    /// How many more like this (other files, at the same source) it stands for: so many alerts wait to be seen that they
    /// have none of their own.
    #[serde(default)]
    pub more: u32,
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

/// How many alerts are kept (R-ALR-1), and besides every critical one that nobody has acknowledged.
pub const KEPT: usize = 100;

/// Takes from `list` (newest first) what matters least until [`KEPT`] are left, the oldest first. A critical alert that
/// nobody has acknowledged stays.
pub fn shorten(list: &mut Vec<Alert>) {
    while list.len() > KEPT {
        let least = list.iter().enumerate().rev().min_by_key(|(_, alert)| weight(alert));
        match least {
            Some((place, alert)) if weight(alert) != Weight::Unseen => drop(list.remove(place)),
            _ => return,
        }
    }
}

impl Alert {
    /// When its cause came last, as far as that is told.
    pub fn came_at(&self) -> Timestamp {
        self.last_at.unwrap_or(self.at)
    }

    /// Its cause has gone, and somebody has seen it: nothing is left to be done about it.
    pub fn is_settled(&self) -> bool {
        self.acknowledged && self.state == AlertState::Resolved
    }

    /// It is critical, and nobody has acknowledged it.
    pub fn is_unseen(&self) -> bool {
        weight(self) == Weight::Unseen
    }
}

/// What goes first when a list is full, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// Over, and seen.
    Settled,
    /// Over.
    Over,
    /// Goes on.
    GoesOn,
    /// Goes on, and is critical.
    Critical,
    /// Critical, and nobody has acknowledged it.
    Unseen,
}

fn weight(alert: &Alert) -> Weight {
    match (alert.severity, alert.state, alert.acknowledged) {
        (Severity::Critical, _, false) => Weight::Unseen,
        (_, AlertState::Resolved, true) => Weight::Settled,
        (_, AlertState::Resolved, false) => Weight::Over,
        (Severity::Critical, AlertState::Active, true) => Weight::Critical,
        (_, AlertState::Active, _) => Weight::GoesOn,
    }
}

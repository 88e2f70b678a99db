//! The proof after Stop: clean sessions are called clean, and damage planted in real recordings is found by name.

mod clean;
pub mod crash;
mod damage;
mod window;

use crate::support::proc::Holdfast;
use serde_json::Value;
use std::time::Duration;

/// Reading some seconds of small pictures twice at idle priority beside compilers.
pub const PROVED_WITHIN: Duration = Duration::from_secs(60);

/// Waits until the last session has a verdict.
pub fn wait_verdict(holdfast: &Holdfast) -> Value {
    let snapshot = holdfast.wait_until("a verdict", PROVED_WITHIN, |snapshot| {
        let last = &snapshot["last_session"];
        snapshot["session"].is_null() && last["proof_percent"].is_null() && last["verdict"] != "unverified"
    });
    snapshot["last_session"].clone()
}

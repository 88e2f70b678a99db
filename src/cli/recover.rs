//! `holdfast recover`: what became of interrupted sessions, in words.

use super::{Json, Outcome, failed, print_json};
use crate::model::InputId;
use serde::Serialize;

/// One session that had been interrupted.
#[derive(Debug, Serialize)]
pub struct RecoveredSession {
    /// Its folder.
    pub dir: String,
    /// At most this many milliseconds were lost at the end of an input.
    pub lost_ms: Vec<(InputId, u64)>,
    /// Why it is still open.
    pub error: Option<String>,
}

/// Prints `sessions`; failed when one of them is still open.
pub fn recovered(sessions: &[RecoveredSession], form: Json) -> Outcome {
    if form.json {
        print_json(&sessions);
    } else if sessions.is_empty() {
        println!("no session was interrupted");
    }
    let mut outcome = Outcome::Done;
    for session in sessions {
        if let Some(error) = &session.error {
            outcome = failed(format!("{} is still open: {error}", session.dir));
        } else if !form.json {
            println!("closed {}", session.dir);
            for (input, ms) in &session.lost_ms {
                println!("  {input}: at most {ms} ms lost at its end");
            }
        }
    }
    outcome
}

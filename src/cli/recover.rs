//! `holdfast recover`: what became of interrupted sessions, in words.

use super::{Json, Outcome, failed, print_json};
use crate::model::InputId;
use crate::model::loss::Loss;
use serde::Serialize;

/// One session that had been interrupted.
#[derive(Debug, Serialize)]
pub struct RecoveredSession {
    /// Its folder.
    pub dir: String,
    /// So many milliseconds were lost at the end of an input: [`Loss::ms`].
    lost_ms: Vec<(InputId, u64)>,
    /// The same, with how well it is known.
    pub lost: Vec<(InputId, Loss)>,
    /// Why it is still open.
    pub error: Option<String>,
}

impl RecoveredSession {
    /// The session in the folder `dir`.
    pub fn new(dir: String, lost: Vec<(InputId, Loss)>, error: Option<String>) -> Self {
        let lost_ms = lost.iter().map(|(input, lost)| (input.clone(), lost.ms)).collect();
        Self { dir, lost_ms, lost, error }
    }
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
            for (input, lost) in &session.lost {
                println!("  {input}: {lost} lost at its end");
            }
        }
    }
    outcome
}

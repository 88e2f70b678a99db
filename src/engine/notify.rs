//! What systemd hears of the engine, where systemd runs it (R-SUP-11): that it answers, that it lives, what it does.
//!
//! Contract: a sign of life comes from the loop that looks after the workers, behind a look and never on its own: a loop
//! that hangs gives none. Nothing waits for systemd.

use crate::model::MonoNs;
use crate::model::snapshot::{RecordingState, SessionState, Snapshot};
use crate::sys::notify::Manager;
use std::time::Duration;

/// A sign of life comes this often (`WatchdogSec=30` in the unit), or three times as often as it must.
const SIGN_EVERY: Duration = Duration::from_secs(10);

/// What has been said.
#[derive(Debug)]
pub struct Notify {
    manager: Option<Manager>,
    every: Duration,
    ready: bool,
    status: String,
    sign: Option<MonoNs>,
    leaving: bool,
}

impl Notify {
    /// Nothing yet.
    pub fn new(manager: Option<Manager>) -> Self {
        let watchdog = manager.as_ref().and_then(Manager::watchdog);
        let every = watchdog.map_or(SIGN_EVERY, |watchdog| (watchdog / 3).min(SIGN_EVERY));
        Self { manager, every, ready: false, status: String::new(), sign: None, leaving: false }
    }

    /// The workers were looked after; `serving` = the API answers.
    pub fn looked(&mut self, now: MonoNs, serving: bool, snapshot: &Snapshot) {
        if self.manager.is_none() || self.leaving {
            return;
        }
        let (status, sign) = (status(snapshot), self.sign.is_none_or(|last| now.since(last) >= self.every));
        let mut words = String::new();
        if serving && !self.ready {
            words.push_str("READY=1\n");
        }
        if status != self.status {
            words.push_str(&format!("STATUS={status}\n"));
        }
        if sign {
            words.push_str("WATCHDOG=1\n");
        }
        // What is refused is said behind the next look.
        if !words.is_empty() && self.say(&words) {
            (self.ready, self.status) = (serving || self.ready, status);
            self.sign = if sign { Some(now) } else { self.sign };
        }
    }

    /// The engine leaves; `idle` = nothing records that goes on without it.
    pub fn leave(&mut self, idle: bool) {
        if !self.leaving {
            let goes_on = if idle { "" } else { "; recordings go on" };
            self.leaving = self.manager.is_none() || self.say(&format!("STOPPING=1\nSTATUS=leaving{goes_on}\n"));
        }
    }

    fn say(&self, words: &str) -> bool {
        let said = self.manager.as_ref().map(|manager| manager.say(words));
        said.is_some_and(|said| said.inspect_err(|error| tracing::debug!(%error, "systemd does not listen")).is_ok())
    }
}

/// One line for `systemctl status`.
fn status(snapshot: &Snapshot) -> String {
    let inputs = snapshot.inputs.len();
    let Some(session) = &snapshot.session else { return format!("idle, {inputs} inputs") };
    let records = snapshot.inputs.iter().filter_map(|input| input.recording.as_ref());
    let recording = records.filter(|of| of.state == RecordingState::Recording).count();
    // A name has no line breaks.
    match session.state {
        SessionState::Recording => format!("recording {}: {recording} of {inputs} inputs", session.name),
        SessionState::Starting => format!("starting {}", session.name),
        SessionState::Stopping => format!("closing {}", session.name),
        SessionState::Failed => format!("{} has failed", session.name),
    }
}

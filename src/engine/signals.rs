//! The signals that ask the engine to leave; recordings go on (R-SUP-12).
//!
//! SIGHUP is one of them: the terminal an engine was started in is closed. A second signal asks for nothing more.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// See the module.
#[derive(Debug)]
pub struct Signals([Signal; 3]);

impl Signals {
    /// Catches them from here on.
    pub fn catch() -> anyhow::Result<Self> {
        let caught = |kind, name| signal(kind).with_context(|| format!("{name} cannot be caught"));
        Ok(Self([
            caught(SignalKind::interrupt(), "SIGINT")?,
            caught(SignalKind::terminate(), "SIGTERM")?,
            caught(SignalKind::hangup(), "SIGHUP")?,
        ]))
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

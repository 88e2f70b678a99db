//! One prove process: what it prints becomes events, how it ends too.
//!
//! Contract: at idle priority, so that it never takes anything from a recording; at most one runs, and it can be
//! killed anywhere: it changes nothing.

use super::event::{Event, ProofEvent};
use crate::model::proof::ProofLine;
use crate::storage::proof;
use crate::sys::process::{self, Handle, Priority, Process};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::Sender;

/// Longest line: a part with its gaps is some kilobytes.
const LINE_MAX_BYTES: u64 = 4 << 20;

/// Newest sessions that are looked at for files nobody has proved; older ones are for `holdfast verify`.
const LOOKED_AT: usize = 200;

/// Looks for sessions nobody has proved, in the background. One that cannot be read now is found by the next engine.
pub fn search(library: PathBuf, events: Sender<Event>) {
    tokio::task::spawn_blocking(move || match proof::unproved(&library, LOOKED_AT) {
        Ok(sessions) => drop(events.blocking_send(Event::Unproved(sessions))),
        Err(error) => tracing::warn!(%error, "the library could not be searched for unproved sessions"),
    });
}

/// The proof that runs, if any.
#[derive(Debug, Clone, Default)]
pub struct Prover {
    running: Arc<Mutex<Option<(u64, Handle)>>>,
}

impl Prover {
    /// Starts proof `number` of the session in `dir`.
    pub fn start(&self, number: u64, dir: PathBuf, events: Sender<Event>) {
        let prover = self.clone();
        tokio::spawn(async move {
            let reason = prover.run(number, dir, &events).await.err().map(|error| error.to_string());
            drop(events.send(Event::Proof { number, event: ProofEvent::Ended { reason } }).await);
        });
    }

    /// Kills proof `number`; one that has ended is left alone.
    pub fn end(&self, number: u64) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, handle)) = running.as_ref().filter(|(running, _)| *running == number)
            && let Err(error) = handle.kill()
        {
            tracing::warn!(%error, "a proof could not be ended");
        }
    }

    async fn run(&self, number: u64, dir: PathBuf, events: &Sender<Event>) -> io::Result<()> {
        let started = tokio::task::spawn_blocking(move || spawn(&dir)).await;
        let (process, said) = started.map_err(io::Error::other)??;
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some((number, process.handle()?));
        let events = events.clone();
        let hearing = tokio::task::spawn_blocking(move || hear(number, said, &events));
        let how = process.wait().await;
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = None;
        hearing.await.map_err(io::Error::other)??;
        match how?.as_str() {
            process::SUCCESS => Ok(()),
            how => Err(io::Error::other(format!("the process that reads the files ended with {how}"))),
        }
    }
}

fn spawn(dir: &Path) -> io::Result<(Process, impl Read + use<>)> {
    process::spawn_heard(&["prove".as_ref(), "--verify".as_ref(), dir.as_os_str()], Priority::Idle)
}

/// Reads lines to their end; they wait for the loop, which bounds what is kept.
fn hear(number: u64, said: impl Read, events: &Sender<Event>) -> io::Result<()> {
    let mut said = BufReader::new(said);
    let mut line = Vec::new();
    loop {
        line.clear();
        if said.by_ref().take(LINE_MAX_BYTES).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let line = serde_json::from_slice::<ProofLine>(&line)?;
        if events.blocking_send(Event::Proof { number, event: ProofEvent::Line(line) }).is_err() {
            // The loop has ended: closing the pipe ends the process.
            return Ok(());
        }
    }
}

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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// The proofs that run: one, and those that outlive their kill.
#[derive(Debug, Clone, Default)]
pub struct Prover {
    proofs: Arc<Mutex<Proofs>>,
    /// Of the processes that run.
    pids: Arc<Mutex<Vec<u32>>>,
}

/// Which processes run, and which of them must not.
#[derive(Debug)]
struct Proofs<P = Handle> {
    running: Vec<(u64, P)>,
    /// Every proof up to this number is to end, also one whose process is only being started.
    ended: u64,
}

impl<P> Default for Proofs<P> {
    fn default() -> Self {
        Self { running: Vec::new(), ended: 0 }
    }
}

impl<P> Proofs<P> {
    /// Proof `number` has a process now; returns it if it was to end meanwhile.
    fn add(&mut self, number: u64, process: P) -> Option<&P> {
        self.running.push((number, process));
        self.running.last().filter(|_| number <= self.ended).map(|(_, process)| process)
    }

    /// Proof `number` is to end, and those before it; returns their processes.
    fn end(&mut self, number: u64) -> impl Iterator<Item = &P> {
        self.ended = self.ended.max(number);
        self.running.iter().filter(move |(running, _)| *running <= number).map(|(_, process)| process)
    }

    fn remove(&mut self, number: u64) {
        self.running.retain(|(running, _)| *running != number);
    }
}

fn kill(process: &Handle) {
    if let Err(error) = process.kill() {
        tracing::warn!(%error, "a proof could not be ended");
    }
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

    /// Kills proof `number` and those before it, also when its process only comes to life after this; one that has
    /// ended is left alone.
    pub fn end(&self, number: u64) {
        self.lock().end(number).for_each(kill);
    }

    /// Process ids of the proofs that run.
    pub fn pids(&self) -> Vec<u32> {
        self.lock_pids().clone()
    }

    fn lock_pids(&self) -> MutexGuard<'_, Vec<u32>> {
        self.pids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Proofs> {
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(&self, number: u64, dir: PathBuf, events: &Sender<Event>) -> io::Result<()> {
        let started = tokio::task::spawn_blocking(move || spawn(&dir)).await;
        let (process, said) = started.map_err(io::Error::other)??;
        let (handle, pid) = (process.handle()?, process.pid());
        self.lock_pids().push(pid);
        self.lock().add(number, handle).into_iter().for_each(kill);
        let events = events.clone();
        let hearing = tokio::task::spawn_blocking(move || hear(number, said, &events));
        let how = process.wait().await;
        self.lock().remove(number);
        self.lock_pids().retain(|running| *running != pid);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_that_is_ended_before_its_process_lives_is_ended_when_it_does() {
        let mut proofs = Proofs::default();
        assert_eq!(proofs.end(3).count(), 0);
        assert_eq!(proofs.add(3, "three"), Some(&"three"));
        assert_eq!(proofs.add(4, "four"), None);
        // The third would not end; it is told again with every later one.
        assert_eq!(proofs.end(4).copied().collect::<Vec<_>>(), ["three", "four"]);
        proofs.remove(3);
        proofs.remove(4);
        assert_eq!(proofs.add(5, "five"), None);
        assert_eq!(proofs.end(5).count(), 1);
    }
}

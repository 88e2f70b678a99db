//! The facts file, written on a thread of its own because every line waits for the disk.
//!
//! Contract: a fact is reported only after it survived an fsync; facts keep their order.

use super::Notice;
use super::mailbox::Mailbox;
use crate::model::session::{Fact, Line};
use crate::model::{InputId, SessionId};
use crate::storage::journal::Log;
use crate::storage::layout;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Facts waiting for the disk at most. A recording makes a handful; a disk that holds up this many is gone.
const CAPACITY: usize = 256;
/// How long leaving waits for the last facts. Below the engine's patience with a stopping worker.
const LEAVE_DEADLINE: Duration = Duration::from_secs(5);

/// One fact on its way to the disk.
#[derive(Debug)]
pub struct Entry {
    /// The session.
    pub session: SessionId,
    /// Its folder.
    pub dir: PathBuf,
    /// Time since its origin.
    pub t_ns: i64,
    /// The fact.
    pub fact: Fact,
}

/// The writer thread.
#[derive(Debug)]
pub struct Facts {
    entries: Option<SyncSender<Entry>>,
    thread: Option<JoinHandle<()>>,
    finished: Receiver<()>,
}

impl Facts {
    /// Starts the thread for `input`.
    pub fn start(input: InputId, mailbox: Mailbox<Notice>) -> std::io::Result<Self> {
        let (entries, waiting) = sync_channel(CAPACITY);
        let (done, finished) = sync_channel(1);
        let thread = std::thread::Builder::new().name("facts".to_owned()).spawn(move || {
            write_all(&layout::facts_file(&input), &waiting, &mailbox);
            // Nobody waits when the worker is not leaving.
            let _ = done.send(());
        })?;
        Ok(Self { entries: Some(entries), thread: Some(thread), finished })
    }

    /// Queues one fact; an error names why it is lost.
    pub fn write(&self, entry: Entry) -> Result<(), &'static str> {
        let Some(entries) = &self.entries else { return Err("the facts file is closed") };
        entries.try_send(entry).map_err(|error| match error {
            TrySendError::Full(_) => "the disk holds up too many facts",
            TrySendError::Disconnected(_) => "the facts file is closed",
        })
    }

    /// Waits until every queued fact is on the disk, or the deadline.
    pub fn finish(&mut self) {
        self.entries = None;
        if self.finished.recv_timeout(LEAVE_DEADLINE).is_ok()
            && let Some(thread) = self.thread.take()
        {
            // It has said that it is done; a panic in it was logged by then.
            let _ = thread.join();
        }
    }
}

fn write_all(file: &str, entries: &Receiver<Entry>, mailbox: &Mailbox<Notice>) {
    let mut open: Option<(PathBuf, Log)> = None;
    for entry in entries {
        match append(&mut open, &entry.dir.join(file), &entry) {
            Ok(()) => mailbox.send(Notice::FactWritten(Box::new(entry))),
            Err(error) => {
                // The next fact tries a fresh file handle.
                open = None;
                mailbox.send(Notice::FactLost(format!("{file}: {error}")));
            }
        }
    }
}

fn append(open: &mut Option<(PathBuf, Log)>, path: &Path, entry: &Entry) -> std::io::Result<()> {
    if open.as_ref().is_none_or(|(known, _)| known != path) {
        *open = Some((path.to_owned(), Log::open(path)?));
    }
    let line = Line { t_ns: entry.t_ns, at: crate::sys::clock::wall_now(), kind: &entry.fact };
    match open {
        Some((_, log)) => log.append(&line),
        None => Ok(()),
    }
}

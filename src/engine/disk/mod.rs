//! The one thread that writes journals and folders for the engine, so that its loop never waits for a disk.
//!
//! Contract: nothing is written once another engine has taken over ([`Fence`]), nor into what lies below the library's
//! name while its disk is away ([`Home`]); jobs are carried out in order; the queue holds [`QUEUE`] of them. A full queue
//! (a frozen disk) refuses further ones: nothing is lost by that, because workers keep their own facts, folded in at the
//! close. What goes wrong is told by its kind, once, and so is the first write that succeeds again ([`thread`]); a write
//! that does not return is seen by [`watch`].

mod thread;
pub mod watch;

use super::event::Event;
use super::fence::Fence;
use super::kept::{Account, Kept};
use super::tally::Traffic;
use crate::model::SessionId;
use crate::model::marker::MarkerLine;
use crate::model::proof::{LookLine, ProvedPart};
use crate::model::session::{Closed, JournalKind, Line, Plan};
use crate::storage::recovery::Finalised;
use crate::storage::space::Home;
use crate::sys::process::{self, Priority};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;
use thread::DiskThread;
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;

/// Jobs that may wait: a minute of facts of sixteen inputs.
pub const QUEUE: usize = 1024;
/// Finalising reads a part once: an hour of 4K is 20 GB, read at 100 MB/s in idle class.
const FINALISE_DEADLINE: Duration = Duration::from_secs(600);

/// One thing to do.
#[derive(Debug)]
pub enum Job {
    /// Make a session's folder and journal.
    Persist {
        /// The folder.
        dir: PathBuf,
        /// Line 1.
        plan: Box<Plan>,
    },
    /// Append a line.
    Journal {
        /// The session's folder.
        dir: PathBuf,
        /// Time since its origin.
        t_ns: i64,
        /// The line.
        kind: Box<JournalKind>,
    },
    /// Append a marker, and tell.
    Mark {
        /// The session.
        session: SessionId,
        /// Its folder.
        dir: PathBuf,
        /// The line.
        line: Box<Line<MarkerLine>>,
    },
    /// Write down that somebody asked to stop, and tell.
    Stop {
        /// The session.
        session: SessionId,
        /// Its folder.
        dir: PathBuf,
        /// Time since its origin.
        t_ns: i64,
    },
    /// Go on with a session of an earlier engine.
    Adopt {
        /// The session.
        session: SessionId,
        /// Its folder.
        dir: PathBuf,
        /// Time since its origin.
        t_ns: i64,
        /// Our epoch.
        epoch: u64,
    },
    /// Close a session, on a thread of its own once everything before is written.
    Close {
        /// The session.
        session: SessionId,
        /// Its folder.
        dir: PathBuf,
        /// How it ended.
        state: Closed,
    },
    /// Put what a proof found into a session's manifest.
    KeepProof {
        /// Number of the proof.
        number: u64,
        /// The session's folder.
        dir: PathBuf,
        /// What was found.
        parts: Vec<ProvedPart>,
    },
    /// Keep what survives a restart.
    Save(Account),
    /// Tell when everything before is done.
    Flush(SyncSender<()>),
}

/// The thread's queue.
#[derive(Debug, Clone)]
pub struct Disk {
    jobs: SyncSender<Job>,
    fence: Fence,
    /// Jobs that keep what survives a restart and are not done.
    saves: Arc<AtomicUsize>,
    at_work: watch::AtWork,
    /// What waits, and what was written.
    traffic: Traffic,
}

impl Disk {
    /// Starts the thread; results come as events. The first thing it does is to read what an earlier engine left.
    pub fn start(
        library: PathBuf,
        home: Home,
        boot_id: String,
        fence: Fence,
        events: Sender<Event>,
    ) -> io::Result<(Self, oneshot::Receiver<Kept>)> {
        let (jobs, queue) = sync_channel(QUEUE);
        let (told, kept) = oneshot::channel();
        let saves = Arc::<AtomicUsize>::default();
        let (at_work, traffic) = <(watch::AtWork, Traffic)>::default();
        let worker = DiskThread {
            library,
            home,
            boot_id,
            events,
            open: None,
            kept: Kept::default(),
            fence: fence.clone(),
            saves: saves.clone(),
            at_work: at_work.clone(),
            traffic: traffic.clone(),
            doubted: None,
        };
        std::thread::Builder::new().name("disk".to_owned()).spawn(move || worker.run(&queue, told))?;
        Ok((Self { jobs, fence, saves, at_work, traffic }, kept))
    }

    /// What the thread is at.
    pub fn at_work(&self) -> &watch::AtWork {
        &self.at_work
    }

    /// Queues keeping what survives a restart; `false` when the queue is full.
    pub fn save(&self, account: Account) -> bool {
        self.saves.fetch_add(1, Ordering::SeqCst);
        let queued = self.push(Job::Save(account));
        if !queued {
            self.saves.fetch_sub(1, Ordering::SeqCst);
        }
        queued
    }

    /// What was to be kept last is not on the disk yet.
    pub fn is_saving(&self) -> bool {
        self.saves.load(Ordering::SeqCst) > 0
    }

    /// Queues a job; `false` when the queue is full.
    pub fn push(&self, job: Job) -> bool {
        self.traffic.enter();
        self.jobs.try_send(job).inspect_err(|_| self.traffic.leave()).is_ok()
    }

    /// What waits, and what was written.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// The engine with this number has taken over: nothing more is written, also nothing that was queued.
    pub fn abandon(&self, epoch: u64) {
        self.fence.fall(epoch);
    }

    /// Waits until everything queued so far is written, up to `deadline`. Blocks.
    pub fn flush(&self, deadline: Duration) {
        let (done, wait) = sync_channel(1);
        if self.push(Job::Flush(done)) {
            // Late or gone: leaving is not delayed by a disk that does not answer.
            let _ = wait.recv_timeout(deadline);
        }
    }
}

/// Lets the prove role turn what a crash left in `dir` into ordinary files.
pub fn finalise(dir: &Path) -> io::Result<Finalised> {
    let args = ["prove".as_ref(), "--finalise".as_ref(), dir.as_os_str()];
    let finished = process::run(&args, Priority::Idle, FINALISE_DEADLINE)?;
    if !finished.success {
        // It named what it could not read on standard error; the other parts are good.
        tracing::warn!(dir = %dir.display(), "not every part could be looked at");
    }
    let lines = finished.output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut finalised = Finalised::default();
    for line in lines {
        match serde_json::from_slice(line)? {
            LookLine::Part(record) => finalised.parts.push(*record),
            LookLine::Busy { busy } => finalised.busy.push(busy),
        }
    }
    Ok(finalised)
}

/// Why the library cannot be written, and what to do.
pub fn explain(library: &Path, error: &io::Error) -> String {
    let library = library.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!(
                "the library {library} may not be written; give your user the right or choose another with --library"
            )
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            format!("the disk of the library {library} is read-only; check it or choose another with --library")
        }
        io::ErrorKind::NotFound => {
            format!("the library {library} is gone ({error}); connect its disk again or choose another with --library")
        }
        io::ErrorKind::QuotaExceeded => {
            format!("the quota on the disk of {library} is used up; free some space or have it raised")
        }
        io::ErrorKind::AlreadyExists => format!("the session's folder in {library} exists already; try again"),
        io::ErrorKind::StorageFull => format!("the disk of {library} is full; free some space"),
        _ => format!("the library {library} cannot be used ({error}); check the disk or choose another with --library"),
    }
}

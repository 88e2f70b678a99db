//! The one thread that writes journals and folders for the engine, so that its loop never waits for a disk.
//!
//! Contract: nothing is written once another engine has taken over ([`Fence`]); jobs are carried out in order; the queue
//! holds [`QUEUE`] of them. A full queue (a frozen disk) refuses further ones: nothing is lost by that, because workers
//! keep their own facts, folded in at the close.

use super::event::{CloseFault, Event, ProofEvent, Unwritten};
use super::fence::Fence;
use super::kept::{Account, Kept};
use super::tally::Traffic;
use crate::model::SessionId;
use crate::model::proof::ProvedPart;
use crate::model::session::{Closed, JournalKind, Line, LookLine, Plan};
use crate::storage::history::{self, Journal};
use crate::storage::recovery::{self, CloseError, Finalised};
use crate::storage::{atomic, layout, proof, recent};
use crate::sys::clock;
use crate::sys::process::{self, Priority};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;

/// Jobs that may wait: a minute of facts of sixteen inputs.
pub const QUEUE: usize = 1024;
/// How often a line that somebody waits for is tried (R-CMD-1).
const TRIES: u32 = 3;
/// Finalising reads a part once: an hour of 4K is 20 GB, read at 100 MB/s in idle class.
const FINALISE_DEADLINE: Duration = Duration::from_secs(600);

/// A worker says that it is done while its last fact is on the way to the disk: one sync, slow on a busy disk.
const LAST_FACTS: Duration = Duration::from_secs(2);

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
    /// What waits, and what was written.
    traffic: Traffic,
}

impl Disk {
    /// Starts the thread; results come as events. The first thing it does is to read what an earlier engine left.
    pub fn start(
        library: PathBuf,
        boot_id: String,
        fence: Fence,
        events: Sender<Event>,
    ) -> io::Result<(Self, oneshot::Receiver<Kept>)> {
        let (jobs, queue) = sync_channel(QUEUE);
        let (told, kept) = oneshot::channel();
        let (saves, traffic) = <(Arc<AtomicUsize>, Traffic)>::default();
        let worker = DiskThread {
            library,
            boot_id,
            events,
            open: None,
            kept: Kept::default(),
            fence: fence.clone(),
            saves: saves.clone(),
            traffic: traffic.clone(),
        };
        std::thread::Builder::new().name("disk".to_owned()).spawn(move || worker.run(&queue, told))?;
        Ok((Self { jobs, fence, saves, traffic }, kept))
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

struct DiskThread {
    library: PathBuf,
    boot_id: String,
    events: Sender<Event>,
    /// The journal that was written last.
    open: Option<Journal>,
    /// What stands in the engine's own file.
    kept: Kept,
    /// Behind it everything belongs to another engine.
    fence: Fence,
    /// Jobs of the kind [`Job::Save`] that are not done.
    saves: Arc<AtomicUsize>,
    traffic: Traffic,
}

impl DiskThread {
    fn run(mut self, queue: &Receiver<Job>, told: oneshot::Sender<Kept>) {
        self.kept = Kept::load(&self.library);
        // The engine has ended meanwhile.
        drop(told.send(self.kept.clone()));
        for job in queue {
            self.traffic.leave();
            if let Some(epoch) = self.fence.fallen() {
                return self.tell(Event::Superseded { epoch });
            }
            match job {
                Job::Persist { dir, plan } => {
                    let (session, begun) = (plan.id, plan.clone());
                    let result = self
                        .persist(&dir, *plan)
                        .map_err(|error| Unwritten { reason: explain(&self.library, &error), full: is_full(&error) });
                    let listed = result.is_ok();
                    self.tell(Event::Persisted { session, result });
                    if listed {
                        self.list(&dir, &begun);
                    }
                }
                Job::Journal { dir, t_ns, kind } => {
                    let line = Line { t_ns, at: clock::wall_now(), kind: *kind };
                    self.append_or_log(&dir, &line);
                }
                Job::Stop { session, dir, t_ns } => {
                    let line = Line { t_ns, at: clock::wall_now(), kind: JournalKind::StopRequested };
                    let written = tried(|| self.append(&dir, &line).inspect_err(|_| self.open = None));
                    if let Err(error) = written {
                        let dir = dir.display();
                        tracing::error!(%dir, %error, "the order to stop could not be written; it is carried out without");
                    }
                    self.tell(Event::StopWritten { session });
                }
                Job::Adopt { session, dir, t_ns, epoch } => {
                    self.open = None;
                    let adopted = history::adopt(&dir, session, epoch, t_ns);
                    let result = adopted.map(Box::new).map_err(|error| format!("{}: {error}", dir.display()));
                    self.tell(Event::Adopted { session, result });
                }
                Job::Close { session, dir, state } => {
                    self.open = None;
                    self.close(session, dir, state);
                }
                Job::KeepProof { number, dir, parts } => {
                    let kept = proof::keep(&dir, &parts).map(Box::new).map_err(|error| error.to_string());
                    self.tell(Event::Proof { number, event: ProofEvent::Kept(kept) });
                }
                Job::Save(account) => {
                    self.kept.take_in(&self.boot_id, account);
                    self.save();
                    self.saves.fetch_sub(1, Ordering::SeqCst);
                }
                // Nobody waits any more when this fails.
                Job::Flush(done) => drop(done.try_send(())),
            }
        }
    }

    /// A start that may be repeated, wherever the calendar puts its folder.
    fn list(&mut self, dir: &Path, plan: &Plan) {
        let clocks = recent::Clocks { boot_id: self.boot_id.clone(), mono: clock::mono_now(), wall: clock::wall_now() };
        recent::note(&mut self.kept.recent, &clocks, dir, plan);
        self.save();
    }

    fn save(&self) {
        let saved = self.fence.check().and_then(|()| self.kept.save(&self.library));
        self.traffic.tally.note(saved.is_ok());
        if let Err(error) = saved {
            tracing::warn!(%error, "alerts, counters and recent starts could not be kept");
        }
    }

    /// mkdir → fsync of the library → journal with the plan, fsynced. A name that exists is refused (R-JOB-4).
    fn persist(&mut self, dir: &Path, plan: Plan) -> io::Result<()> {
        fs::create_dir(dir)?;
        let line = Line { t_ns: 0, at: plan.started_at, kind: JournalKind::Plan(plan) };
        let written = tried(|| {
            atomic::sync_dir(&self.library)?;
            // Whatever a failed try has left is behind the line of the next: the first whole plan counts.
            self.append(dir, &line).inspect_err(|_| self.open = None)
        });
        written.inspect_err(|_| self.refuse(dir))
    }

    /// A plan that could not be synced may stand in its journal all the same, and be found there until this machine
    /// goes down: a line behind it, said before its client is answered, keeps every later engine from beginning it. That
    /// line needs no sync, since after a power cut nobody begins a plan of an earlier boot.
    fn refuse(&mut self, dir: &Path) {
        self.open = None;
        if dir.join(layout::JOURNAL).exists() {
            let kind = JournalKind::Closed { state: Closed::Failed };
            self.append_or_log(dir, &Line { t_ns: 0, at: clock::wall_now(), kind });
            self.open = None;
        }
    }

    fn append(&mut self, dir: &Path, line: &Line<JournalKind>) -> io::Result<()> {
        self.fence.check()?;
        let journal = match &mut self.open {
            Some(open) if open.dir() == dir => open,
            open => open.insert(Journal::open(dir)?),
        };
        let written = journal.append(line);
        self.traffic.tally.note(written.is_ok());
        written
    }

    /// Appends a line; whether it stands there.
    fn append_or_log(&mut self, dir: &Path, line: &Line<JournalKind>) -> bool {
        let Err(error) = self.append(dir, line) else { return true };
        tracing::error!(dir = %dir.display(), %error, "a journal line could not be written");
        self.open = None;
        false
    }

    /// Finalising may take minutes: it must not hold up the journal of the next session.
    fn close(&self, session: SessionId, dir: PathBuf, state: Closed) {
        let (events, fence) = (self.events.clone(), self.fence.clone());
        let folder = dir.clone();
        let work = move || {
            let closed = recovery::close_while(&dir, state, LAST_FACTS, &finalise, &|| fence.check());
            let result = closed.map(Box::new).map_err(|error| match error {
                CloseError::Locked(_) => CloseFault::Locked(error.to_string()),
                CloseError::Io { .. } | CloseError::Unread(_) => CloseFault::Failed(error.to_string()),
            });
            drop(events.blocking_send(Event::Closed { session, dir, result }));
        };
        if let Err(error) = std::thread::Builder::new().name("close".to_owned()).spawn(work) {
            let result = Err(CloseFault::Failed(error.to_string()));
            self.tell(Event::Closed { session, dir: folder, result });
        }
    }

    fn tell(&self, event: Event) {
        // The loop has ended: nobody is interested any more.
        drop(self.events.blocking_send(event));
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

/// Does `work` until it succeeds, [`TRIES`] times at most.
fn tried<T>(mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 1..TRIES {
        match work() {
            Ok(done) => return Ok(done),
            Err(error) => tracing::warn!(%error, "the disk refused a line; it is tried again"),
        }
    }
    work()
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Why the library cannot be written, and what to do.
pub fn explain(library: &Path, error: &io::Error) -> String {
    let library = library.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            format!(
                "the library {library} may not be written; give your user the right or choose another with --library"
            )
        }
        io::ErrorKind::AlreadyExists => format!("the session's folder in {library} exists already; try again"),
        _ if is_full(error) => format!("the disk of {library} is full; free some space"),
        _ => format!("the library {library} cannot be used ({error}); check the disk or choose another with --library"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_disk_refuses_is_tried_three_times() {
        for (failures, well) in [(0, true), (1, true), (2, true), (3, false)] {
            let mut tries = 0;
            let result = tried(|| {
                tries += 1;
                if tries > failures { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
            });
            assert_eq!((result.is_ok(), tries), (well, 3.min(failures + 1)), "{failures} failures");
        }
    }
}

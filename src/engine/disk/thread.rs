//! The thread itself: what it writes, and what it tells of it.

use super::{Job, explain, finalise, watch};
use crate::engine::event::{CloseFault, Event, ProofEvent, StorageEvent, Unwritten};
use crate::engine::fence::Fence;
use crate::engine::kept::Kept;
use crate::engine::tally::Traffic;
use crate::model::SessionId;
use crate::model::incident::IncidentCode;
use crate::model::session::{Closed, JournalKind, Line, Plan};
use crate::storage::history::{self, Journal};
use crate::storage::recovery::{self, CloseError};
use crate::storage::space::Home;
use crate::storage::{atomic, fault, layout, order, proof, recent};
use crate::sys::clock;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;

/// How often a line is tried (R-CMD-1).
const TRIES: u32 = 3;
/// How often a disk that refused something is tried while nothing else is to be written: its end is to be told, too.
const TRY_EVERY: Duration = Duration::from_secs(2);
/// A worker says that it is done while its last fact is on the way to the disk: one sync, slow on a busy disk.
const LAST_FACTS: Duration = Duration::from_secs(2);

pub(super) struct DiskThread {
    pub library: PathBuf,
    /// Where the library was at first.
    pub home: Home,
    pub boot_id: String,
    pub events: Sender<Event>,
    /// The journal that was written last.
    pub open: Option<Journal>,
    /// What stands in the engine's own file.
    pub kept: Kept,
    /// Behind it everything belongs to another engine.
    pub fence: Fence,
    /// Jobs of the kind [`Job::Save`] that are not done.
    pub saves: Arc<AtomicUsize>,
    /// What the thread is at, for others to see.
    pub at_work: watch::AtWork,
    /// What waits, and what was written, for others to see.
    pub traffic: Traffic,
    /// What the disk refused last.
    pub doubted: Option<IncidentCode>,
}

impl DiskThread {
    pub fn run(mut self, queue: &Receiver<Job>, told: oneshot::Sender<Kept>) {
        let at_work = self.at_work.clone();
        self.kept = at_work.while_doing(|| Kept::load(&self.library));
        // The engine has ended meanwhile.
        drop(told.send(self.kept.clone()));
        while let Some(job) = self.next(queue) {
            self.traffic.leave();
            if let Some(epoch) = self.fence.fallen() {
                return self.tell(Event::Superseded { epoch });
            }
            at_work.while_doing(|| self.carry_out(job));
        }
    }

    /// The next job; `None` = there will be none. A disk that refused something is tried meanwhile.
    fn next(&mut self, queue: &Receiver<Job>) -> Option<Job> {
        while self.doubted.is_some() {
            match queue.recv_timeout(TRY_EVERY) {
                Ok(job) => return Some(job),
                Err(RecvTimeoutError::Timeout) => self.at_work.clone().while_doing(|| self.save()),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        queue.recv().ok()
    }

    fn carry_out(&mut self, job: Job) {
        match job {
            Job::Persist { dir, plan } => {
                let (session, begun) = (plan.id, plan.clone());
                let result = self.persist(&dir, *plan);
                self.tell_outcome(&result);
                let result = result.map_err(|error| self.unwritten(&error));
                let listed = result.is_ok();
                self.tell(Event::Persisted { session, result });
                if listed {
                    self.list(&dir, &begun);
                }
            }
            Job::Journal { dir, t_ns, kind } => {
                let line = Line { t_ns, at: clock::wall_now(), kind: *kind };
                // What could not be written stands in the workers' facts.
                drop(self.append_or_log(&dir, &line));
            }
            Job::Mark { session, dir, line } => {
                let n = line.kind.n;
                let line = Line { t_ns: line.t_ns, at: line.at, kind: JournalKind::Marker(line.kind) };
                let result = self.append_or_log(&dir, &line);
                let result = result.map_err(|error| self.unwritten(&error));
                self.tell(Event::Marked { session, n, result });
            }
            Job::Stop { session, dir, t_ns } => {
                let line = Line { t_ns, at: clock::wall_now(), kind: JournalKind::StopRequested };
                // It is carried out either way.
                drop(self.append_or_log(&dir, &line));
                self.tell(Event::StopWritten { session });
            }
            Job::Adopt { session, dir, t_ns, epoch } => {
                self.open = None;
                let adopted = history::adopt(&dir, session, epoch, t_ns, || self.at_work.step());
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

    /// A start that may be repeated, wherever the calendar puts its folder.
    fn list(&mut self, dir: &Path, plan: &Plan) {
        self.at_work.step();
        let clocks = recent::Clocks { boot_id: self.boot_id.clone(), mono: clock::mono_now(), wall: clock::wall_now() };
        recent::note(&mut self.kept.recent, &clocks, dir, plan);
        if let (Ok(names), Some(ours)) =
            (recovery::session_dirs(&self.library), dir.file_name().and_then(OsStr::to_str))
        {
            order::note(&mut self.kept.displaced, ours, names.iter().map(String::as_str));
        }
        self.save();
    }

    fn save(&mut self) {
        self.at_work.step();
        let may = self.fence.check().and_then(|()| self.home.check());
        let saved = may.and_then(|()| self.kept.save(&self.library));
        self.traffic.tally.note(saved.is_ok());
        // What goes on is tried every two seconds, and told once.
        if let Err(error) = &saved
            && self.doubted.is_none()
        {
            tracing::warn!(%error, "alerts, counters and recent starts could not be kept");
        }
        self.tell_outcome(&saved);
    }

    /// Tells what became of a write: each kind of trouble once, and its end.
    fn tell_outcome<T>(&mut self, outcome: &io::Result<T>) {
        let trouble = match outcome {
            Ok(_) => None,
            // Nothing is wrong with the disk.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists || self.fence.fallen().is_some() => return,
            Err(error) => Some(fault::incident_of(error)),
        };
        let code = trouble.as_ref().map(|trouble| trouble.code);
        if self.doubted != code {
            self.doubted = code;
            self.tell(Event::Storage(StorageEvent::Wrote(trouble)));
        }
    }

    /// mkdir → fsync of the library → journal with the plan, fsynced. A name that exists is refused (R-JOB-4).
    fn persist(&mut self, dir: &Path, plan: Plan) -> io::Result<()> {
        self.home.check()?;
        fs::create_dir(dir)?;
        let line = Line { t_ns: 0, at: plan.started_at, kind: JournalKind::Plan(plan) };
        let written = tried(|| {
            self.at_work.step();
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
            // A plan that cannot even be closed here is closed by the next engine.
            drop(self.append_or_log(dir, &Line { t_ns: 0, at: clock::wall_now(), kind }));
            self.open = None;
        }
    }

    fn append(&mut self, dir: &Path, line: &Line<JournalKind>) -> io::Result<()> {
        self.fence.check()?;
        let journal = match &mut self.open {
            Some(open) if open.dir() == dir => open,
            open => {
                self.at_work.step();
                open.insert(Journal::open(dir)?)
            }
        };
        self.at_work.step();
        let written = journal.append(line);
        self.traffic.tally.note(written.is_ok());
        written
    }

    /// Appends a line, whatever it takes; if it cannot be, that is said.
    fn append_or_log(&mut self, dir: &Path, line: &Line<JournalKind>) -> io::Result<()> {
        let written = tried(|| self.append(dir, line).inspect_err(|_| self.open = None));
        if let Err(error) = &written {
            tracing::error!(dir = %dir.display(), %error, "a journal line could not be written");
        }
        let full = matches!(self.doubted, Some(IncidentCode::DiskFull | IncidentCode::QuotaExceeded));
        // A line has room of its own on a full disk.
        if !(full && written.is_ok()) {
            self.tell_outcome(&written);
        }
        written
    }

    /// Why something is not on the disk.
    fn unwritten(&self, error: &io::Error) -> Unwritten {
        Unwritten { reason: explain(&self.library, error), code: fault::code_of(error) }
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

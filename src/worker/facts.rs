//! The facts files, written on a thread of their own because every line waits for the disk.
//!
//! Contract: a fact is reported only after it survived an fsync; the facts of a session keep their order. One that the disk
//! refuses is tried again until it is taken or the worker is gone, and those of its session wait behind it; one word is said
//! of that. Another session waits for none of it ([`lines`]). Only what exceeds the queue is lost, and what belongs to a
//! folder that was removed, both by name. The recording itself waits for none of this.
//! A session is held ([`crate::storage::journal::hold`]) from before its first fact until behind its last, so nobody
//! closes it meanwhile; while it is held, its pulse beats ([`super::pulse`]), and its facts file keeps room for lines on a
//! disk that somebody else has filled.

mod lines;

use super::Notice;
use super::mailbox::Mailbox;
use super::state::Reply;
use crate::media::durable_sink::Calls;
use crate::model::session::Fact;
use crate::model::{InputId, SessionId};
use crate::sys::clock;
use jiff::Timestamp;
use lines::Lines;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Facts waiting for the disk at most. A recording makes a handful; a disk that holds up this many is gone.
const CAPACITY: usize = 256;
/// Beside them, sessions that are held and let go: those of the next session are not to wait for facts of the last one.
const MORE: usize = 16;
/// How long leaving waits for the last facts. Below the engine's patience with a stopping worker.
const LEAVE_DEADLINE: Duration = Duration::from_secs(5);

const HELD_UP: &str = "the disk holds up too many facts";

/// One fact on its way to the disk.
#[derive(Debug)]
pub struct Entry {
    /// The session.
    pub session: SessionId,
    /// Its folder.
    pub dir: PathBuf,
    /// Time since its origin.
    pub t_ns: i64,
    /// When it happened, by the wall clock: it may reach the disk much later.
    pub at: Timestamp,
    /// The fact.
    pub fact: Fact,
}

/// A session to be held.
#[derive(Debug)]
pub struct Hold {
    /// Whom to answer.
    pub reply: Reply,
    /// The session.
    pub session: SessionId,
    /// Its folder.
    pub dir: PathBuf,
}

/// What the thread does, within a session in order.
#[derive(Debug)]
enum Job {
    Hold(Hold),
    Write(Box<Entry>),
    LetGo(SessionId),
}

/// The writer thread.
#[derive(Debug)]
pub struct Facts {
    jobs: Option<SyncSender<Job>>,
    /// Facts that wait.
    queued: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
    finished: Receiver<()>,
}

impl Facts {
    /// Starts the thread for `input`; what it waits for from the disk is marked in `calls`.
    pub fn start(input: InputId, mailbox: Mailbox<Notice>, calls: Arc<Calls>) -> std::io::Result<Self> {
        let (jobs, waiting) = sync_channel(CAPACITY + MORE);
        let (done, finished) = sync_channel(1);
        let queued = Arc::new(AtomicUsize::new(0));
        let lines = Lines { input, mailbox, calls, queued: queued.clone(), sessions: Vec::new() };
        let thread = std::thread::Builder::new().name("facts".to_owned()).spawn(move || {
            work_all(lines, &waiting);
            // Nobody waits when the worker is not leaving.
            let _ = done.send(());
        })?;
        Ok(Self { jobs: Some(jobs), queued, thread: Some(thread), finished })
    }

    /// Queues one fact; an error names why it is lost.
    pub fn write(&self, entry: Entry) -> Result<(), &'static str> {
        // Only this thread adds to it.
        if self.queued.load(Ordering::Relaxed) >= CAPACITY {
            return Err(HELD_UP);
        }
        self.queued.fetch_add(1, Ordering::Relaxed);
        let sent = self.send(Job::Write(Box::new(entry)));
        if sent.is_err() {
            self.queued.fetch_sub(1, Ordering::Relaxed);
        }
        sent
    }

    /// Queues the hold of a session; it ends with [`Self::let_go`], or with this process.
    pub fn hold(&self, hold: Hold) -> Result<(), &'static str> {
        self.send(Job::Hold(hold))
    }

    /// Lets go of `session` behind everything that is queued of it.
    pub fn let_go(&self, session: SessionId) -> Result<(), &'static str> {
        self.send(Job::LetGo(session))
    }

    fn send(&self, job: Job) -> Result<(), &'static str> {
        let Some(jobs) = &self.jobs else { return Err("the facts file is closed") };
        jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => HELD_UP,
            TrySendError::Disconnected(_) => "the facts file is closed",
        })
    }

    /// Waits until every queued fact is on the disk, or the deadline.
    pub fn finish(&mut self) {
        self.jobs = None;
        if let Some(thread) = &self.thread {
            // It may be between two attempts.
            thread.thread().unpark();
        }
        if self.finished.recv_timeout(LEAVE_DEADLINE).is_ok()
            && let Some(thread) = self.thread.take()
        {
            // It has said that it is done; a panic in it was logged by then.
            let _ = thread.join();
        }
    }
}

fn work_all(mut lines: Lines, jobs: &Receiver<Job>) {
    let mut open = true;
    loop {
        let now = clock::mono_now();
        let pause = lines.pause(now);
        let next = match pause {
            None if !open => return,
            None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(pause) if open => jobs.recv_timeout(pause),
            Some(pause) => {
                std::thread::park_timeout(pause);
                Err(RecvTimeoutError::Timeout)
            }
        };
        let now = clock::mono_now();
        match next {
            Ok(job) => lines.take(now, job),
            Err(RecvTimeoutError::Timeout) => lines.again(now, false),
            Err(RecvTimeoutError::Disconnected) => {
                // The worker leaves: whatever can be written now is.
                open = false;
                lines.again(now, true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::session::FactKind;
    use crate::model::session::Line;
    use crate::storage::{journal, layout};

    /// Each waits for the disk, and all of them are to be there within [`LEAVE_DEADLINE`]: a slow one takes 250 ms, and it
    /// may be asked twice for a line.
    const FEW: usize = 8;

    #[test]
    fn what_the_disk_refuses_is_written_later_in_order_and_told_once() {
        let library = tempfile::tempdir().expect("a folder");
        let dir = library.path().join("not yet there");
        let mailbox = Mailbox::new().expect("an eventfd");
        let input: InputId = "cam1".parse().expect("an id");
        let mut facts = Facts::start(input.clone(), mailbox.clone(), Arc::default()).expect("a thread");
        for n in 1..=FEW as u64 {
            let fact = Fact { n, kind: FactKind::PartOpened { part: 1, file: "cam1.mp4".into() } };
            let entry = Entry {
                session: SessionId(uuid::Uuid::nil()),
                dir: dir.clone(),
                t_ns: 0,
                at: Timestamp::UNIX_EPOCH,
                fact,
            };
            facts.write(entry).expect("room in the queue");
        }
        let first = mailbox.wait(Duration::from_secs(10));
        assert!(matches!(&first[..], [Notice::FactsFailed(_)]), "{first:?}");
        std::fs::create_dir(&dir).expect("a folder");
        facts.finish();
        let told = mailbox.wait(Duration::from_secs(10));
        assert!(
            told.len() == FEW && told.iter().all(|notice| matches!(notice, Notice::FactWritten { .. })),
            "{told:?}"
        );
        let (kept, damaged) = journal::read::<Line<Fact>>(&dir.join(layout::facts_file(&input))).expect("a file");
        let numbers: Vec<u64> = kept.iter().map(|line| line.kind.n).collect();
        assert_eq!((numbers, damaged), ((1..=FEW as u64).collect(), 0));
    }

    #[test]
    fn a_disk_that_never_answers_fills_a_bounded_queue() {
        let mailbox = Mailbox::new().expect("an eventfd");
        let facts = Facts::start("cam1".parse().expect("an id"), mailbox, Arc::default()).expect("a thread");
        let write = |n| {
            let fact = Fact { n, kind: FactKind::PartOpened { part: 1, file: "cam1.mp4".into() } };
            facts.write(Entry {
                session: SessionId(uuid::Uuid::nil()),
                dir: "/proc/nowhere".into(),
                t_ns: 0,
                at: Timestamp::UNIX_EPOCH,
                fact,
            })
        };
        let taken = (0..2 * CAPACITY as u64).map_while(|n| write(n).ok()).count();
        // One is in the thread's hands, if it was quick enough.
        assert!(taken == CAPACITY || taken == CAPACITY + 1, "{taken}");
    }
}

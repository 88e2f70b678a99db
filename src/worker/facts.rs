//! The facts file, written on a thread of its own because every line waits for the disk.
//!
//! Contract: a fact is reported only after it survived an fsync; facts keep their order. One that the disk refuses is
//! tried again until it is taken or the worker is gone, and those behind it wait; one word is said of that. Only what
//! exceeds the queue is lost, by name. The recording itself waits for none of this.
//! The session is held ([`crate::storage::journal::hold`]) from before its first fact until behind its last, so nobody
//! closes it meanwhile; while it is held, its pulse beats ([`super::pulse`]).

use super::Notice;
use super::mailbox::Mailbox;
use super::pulse::Pulse;
use super::state::{HoldFault, Reply};
use crate::media::durable_sink::{Caller, Calls, Trouble};
use crate::model::session::{Fact, Line};
use crate::model::{InputId, SessionId};
use crate::storage::journal::{self, Log};
use crate::storage::layout;
use jiff::Timestamp;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Facts waiting for the disk at most. A recording makes a handful; a disk that holds up this many is gone.
const CAPACITY: usize = 256;
/// A disk that was full or did not answer is asked again after this long, then after twice that, …
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// … up to this: room may be made at any time, and leaving waits only [`LEAVE_DEADLINE`].
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
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

/// What the thread does, in order.
#[derive(Debug)]
enum Job {
    Hold(Hold),
    Write(Box<Entry>),
    LetGo,
}

/// The writer thread.
#[derive(Debug)]
pub struct Facts {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    finished: Receiver<()>,
}

impl Facts {
    /// Starts the thread for `input`; what it waits for from the disk is marked in `calls`.
    pub fn start(input: InputId, mailbox: Mailbox<Notice>, calls: Arc<Calls>) -> std::io::Result<Self> {
        let (jobs, waiting) = sync_channel(CAPACITY);
        let (done, finished) = sync_channel(1);
        let thread = std::thread::Builder::new().name("facts".to_owned()).spawn(move || {
            work_all(&input, &waiting, &mailbox, &calls);
            // Nobody waits when the worker is not leaving.
            let _ = done.send(());
        })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), finished })
    }

    /// Queues one fact; an error names why it is lost.
    pub fn write(&self, entry: Entry) -> Result<(), &'static str> {
        self.send(Job::Write(Box::new(entry)))
    }

    /// Queues the hold of a session; it ends with [`Self::let_go`], or with this process.
    pub fn hold(&self, hold: Hold) -> Result<(), &'static str> {
        self.send(Job::Hold(hold))
    }

    /// Lets go of the session behind everything that is queued.
    pub fn let_go(&self) -> Result<(), &'static str> {
        self.send(Job::LetGo)
    }

    fn send(&self, job: Job) -> Result<(), &'static str> {
        let Some(jobs) = &self.jobs else { return Err("the facts file is closed") };
        jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => "the disk holds up too many facts",
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

fn work_all(input: &InputId, jobs: &Receiver<Job>, mailbox: &Mailbox<Notice>, calls: &Calls) {
    let file = layout::facts_file(input);
    let mut open: Option<(PathBuf, Log)> = None;
    // Held until the next one is, or until it is let go.
    let mut held: Option<Pulse> = None;
    for job in jobs {
        match job {
            Job::Hold(Hold { reply, session, dir }) => {
                let result = match journal::hold(&dir) {
                    Ok(Some(hold)) => {
                        held = Some(Pulse::start(input.clone(), dir, hold));
                        Ok(())
                    }
                    Ok(None) => Err(HoldFault::Closing),
                    // Nobody closes a session without a journal.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                    Err(error) => Err(HoldFault::Disk(Trouble::of_file(layout::JOURNAL, &error))),
                };
                mailbox.send(Notice::SessionHeld(reply, session, result));
            }
            Job::Write(entry) => {
                let mut pause = FIRST_PAUSE;
                let mut attempt = || {
                    let _in_flight = calls.begin(Caller::Writer);
                    // After a refusal the next gets a fresh file handle, which also finds what is left of the line.
                    append(&mut open, &entry.dir.join(&file), &entry).inspect_err(|_| open = None)
                };
                while let Err(error) = attempt() {
                    if pause == FIRST_PAUSE {
                        mailbox.send(Notice::FactsFailed(Trouble::of_file(&file, &error)));
                    }
                    std::thread::park_timeout(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                mailbox.send(Notice::FactWritten(entry));
            }
            Job::LetGo => held = None,
        }
    }
    drop(held);
}

fn append(open: &mut Option<(PathBuf, Log)>, path: &Path, entry: &Entry) -> std::io::Result<()> {
    if open.as_ref().is_none_or(|(known, _)| known != path) {
        *open = Some((path.to_owned(), Log::open(path)?));
    }
    let line = Line { t_ns: entry.t_ns, at: entry.at, kind: &entry.fact };
    match open {
        Some((_, log)) => log.append(&line),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::session::FactKind;
    use crate::storage::journal;

    #[test]
    fn what_the_disk_refuses_is_written_later_in_order_and_told_once() {
        let library = tempfile::tempdir().expect("a folder");
        let dir = library.path().join("not yet there");
        let mailbox = Mailbox::new().expect("an eventfd");
        let input: InputId = "cam1".parse().expect("an id");
        let mut facts = Facts::start(input.clone(), mailbox.clone(), Arc::default()).expect("a thread");
        for n in 1..=20 {
            let kind = FactKind::PartOpened { part: n, file: "cam1.mp4".into() };
            let fact = Fact { n: n.into(), kind };
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
        assert!(told.len() == 20 && told.iter().all(|notice| matches!(notice, Notice::FactWritten(_))), "{told:?}");
        let (kept, damaged) = journal::read::<Line<Fact>>(&dir.join(layout::facts_file(&input))).expect("a file");
        let numbers: Vec<u64> = kept.iter().map(|line| line.kind.n).collect();
        assert_eq!((numbers, damaged), ((1..=20).collect(), 0));
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

//! What waits for the disk, session by session: the thread's own book.
//!
//! Contract: within a session everything keeps its order: what the disk refuses is tried again, and what stands behind it
//! waits. Another session waits for none of that. What belongs to a session that is over and whose folder was removed
//! from a library that is there is given up, by name: nobody can write it down any more.

use super::super::Notice;
use super::super::mailbox::Mailbox;
use super::super::pulse::Pulse;
use super::super::state::HoldFault;
use super::{Entry, Hold, Job};
use crate::media::durable_sink::{Caller, Calls, Trouble};
use crate::model::session::Line;
use crate::model::{InputId, MonoNs, SessionId};
use crate::storage::journal::{self, Log};
use crate::storage::layout;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A disk that was full or did not answer is asked again after this long, then after twice that, …
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// … up to this: room may be made at any time, and leaving waits only some seconds.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A folder that is missing for this long was not just renamed and back.
const GONE_AFTER: Duration = Duration::from_secs(10);

/// Everything that waits, and what it waits with.
#[derive(Debug)]
pub struct Lines {
    pub input: InputId,
    pub mailbox: Mailbox<Notice>,
    pub calls: Arc<Calls>,
    /// Facts that are queued anywhere, shared with whoever queues them.
    pub queued: Arc<AtomicUsize>,
    /// Sessions that are held, or of which something waits; a few at most.
    pub sessions: Vec<Session>,
}

/// One session's part of it.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    dir: PathBuf,
    jobs: VecDeque<Job>,
    log: Option<Log>,
    /// Held, with its pulse.
    held: Option<Pulse>,
    /// Nothing more is recorded in it.
    over: bool,
    stuck: Option<Stuck>,
}

/// What stands first was refused.
#[derive(Debug)]
struct Stuck {
    pause: Duration,
    again: MonoNs,
    /// Since when its folder is gone.
    gone: Option<MonoNs>,
}

impl Lines {
    /// Takes `job` in, and does what can be done of its session.
    pub fn take(&mut self, now: MonoNs, job: Job) {
        let (id, dir) = match &job {
            Job::Hold(hold) => (hold.session, Some(&hold.dir)),
            Job::Write(entry) => (entry.session, Some(&entry.dir)),
            Job::LetGo(session) => (*session, None),
        };
        if matches!(job, Job::Hold(_)) {
            self.sessions.iter_mut().filter(|session| session.id != id).for_each(|session| session.over = true);
        }
        let known = self.sessions.iter().position(|session| session.id == id);
        let place = match (known, dir) {
            (Some(place), _) => place,
            (None, Some(dir)) => {
                let (dir, jobs) = (dir.clone(), VecDeque::new());
                self.sessions.push(Session { id, dir, jobs, log: None, held: None, over: false, stuck: None });
                self.sessions.len() - 1
            }
            // Nothing of it is left that could be let go.
            (None, None) => return,
        };
        let session = &mut self.sessions[place];
        session.over |= matches!(job, Job::LetGo(_));
        session.jobs.push_back(job);
        if session.stuck.is_none() {
            self.advance(now, place);
        }
        // Held until the next one is.
        self.sessions.retain(|session| !session.over || !session.jobs.is_empty());
    }

    /// Tries again what is due; everything with `at_once`.
    pub fn again(&mut self, now: MonoNs, at_once: bool) {
        for place in 0..self.sessions.len() {
            if self.sessions[place].stuck.as_ref().is_some_and(|stuck| at_once || now >= stuck.again) {
                self.advance(now, place);
            }
        }
        self.sessions.retain(|session| !session.over || !session.jobs.is_empty());
    }

    /// How long nothing is to be tried; `None` = nothing waits.
    pub fn pause(&self, now: MonoNs) -> Option<Duration> {
        let due = self.sessions.iter().filter_map(|session| session.stuck.as_ref());
        due.map(|stuck| stuck.again.since(now)).min()
    }

    fn is_stuck(&self) -> bool {
        self.sessions.iter().any(|session| session.stuck.is_some())
    }

    fn advance(&mut self, now: MonoNs, place: usize) {
        let file = layout::facts_file(&self.input);
        let calls = Arc::clone(&self.calls);
        while let Some(job) = self.sessions[place].jobs.pop_front() {
            // All of them wait for the disk: also the hold, the room that is given back, and the look at the folder.
            let _in_flight = calls.begin(Caller::Writer);
            let session = &mut self.sessions[place];
            match job {
                Job::Hold(hold) => self.hold(place, hold),
                Job::LetGo(_) => session.let_go(),
                Job::Write(entry) => match session.append(&file, &entry) {
                    Ok(()) => {
                        session.stuck = None;
                        self.queued.fetch_sub(1, Ordering::Relaxed);
                        let all = !self.is_stuck();
                        self.mailbox.send(Notice::FactWritten { entry, all });
                    }
                    Err(error) => {
                        if session.stuck.is_none() {
                            self.mailbox.send(Notice::FactsFailed(Trouble::of_file(&file, &error)));
                        }
                        session.jobs.push_front(Job::Write(entry));
                        session.hold_up(now, &error);
                        if session.is_lost(now) {
                            self.give_up(place);
                        }
                        return;
                    }
                },
            }
        }
    }

    fn hold(&mut self, place: usize, Hold { reply, session, dir }: Hold) {
        let result = match journal::hold(&dir) {
            Ok(Some(hold)) => {
                self.sessions[place].held = Some(Pulse::start(self.input.clone(), dir, hold));
                Ok(())
            }
            Ok(None) => Err(HoldFault::Closing),
            // Nobody closes a session without a journal.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(HoldFault::Disk(Trouble::of_file(layout::JOURNAL, &error))),
        };
        self.mailbox.send(Notice::SessionHeld(reply, session, result));
    }

    /// What waits of a session whose folder was removed.
    fn give_up(&mut self, place: usize) {
        let session = &mut self.sessions[place];
        let facts = session.jobs.drain(..).filter(|job| matches!(job, Job::Write(_))).count();
        (session.stuck, session.held) = (None, None);
        let reason = format!("{facts} facts of {} are given up: the folder is gone", session.dir.display());
        self.queued.fetch_sub(facts, Ordering::Relaxed);
        let all = !self.is_stuck();
        self.mailbox.send(Notice::FactsGivenUp { reason, all });
    }
}

impl Session {
    fn append(&mut self, file: &str, entry: &Entry) -> io::Result<()> {
        let result = self.try_append(file, entry);
        if result.is_err() {
            // The next gets a fresh file handle, which also finds what is left of the line.
            self.log = None;
        }
        result
    }

    fn try_append(&mut self, file: &str, entry: &Entry) -> io::Result<()> {
        let log = match &mut self.log {
            Some(log) => log,
            None => self.log.insert(Log::open(&entry.dir.join(file))?),
        };
        // Given back with the hold, so not kept without one.
        if self.held.is_some()
            && let Err(error) = log.keep_room()
        {
            tracing::debug!(dir = %entry.dir.display(), %error, "no room can be kept for the facts");
        }
        log.append(&Line { t_ns: entry.t_ns, at: entry.at, kind: &entry.fact })
    }

    /// Behind the last line of its facts: whoever closes it finds them as they stay.
    fn let_go(&mut self) {
        if let Some(Err(error)) = self.log.as_mut().map(Log::give_back) {
            tracing::debug!(dir = %self.dir.display(), %error, "room stays kept for facts");
        }
        (self.log, self.held) = (None, None);
    }

    fn hold_up(&mut self, now: MonoNs, error: &io::Error) {
        let missing = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
        let (pause, gone) = match &self.stuck {
            Some(stuck) => ((stuck.pause * 2).min(LONGEST_PAUSE), stuck.gone),
            None => (FIRST_PAUSE, None),
        };
        let gone = (missing && was_removed(&self.dir)).then(|| gone.unwrap_or(now));
        self.stuck = Some(Stuck { pause, again: now.plus(pause), gone });
    }

    fn is_lost(&self, now: MonoNs) -> bool {
        let gone = self.stuck.as_ref().and_then(|stuck| stuck.gone);
        self.over && gone.is_some_and(|since| now.since(since) >= GONE_AFTER)
    }
}

/// The session's folder is missing in a library that is there. One whose disk is unplugged comes back with it.
fn was_removed(dir: &Path) -> bool {
    let library = dir.parent().is_some_and(|library| library.join(layout::LIBRARY_LOCK).exists());
    library && !dir.is_dir()
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;

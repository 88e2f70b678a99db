//! Sessions an earlier engine left open and nobody records: closed in the background, one at a time.

use super::super::event::{CloseFault, Effect, Now};
use super::State;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::session::{Closed, Plan};
use crate::model::snapshot::LastSession;
use crate::model::{InputId, MonoNs, SessionId};
use crate::storage::history::History;
use crate::storage::recovery::{ClosedSession, Interrupted};
use crate::storage::search::Unread;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Pause before a session that could not be recovered is tried again (a worker may still write to it).
const AGAIN: Duration = Duration::from_secs(5);
/// A session that fails this often is left for the next engine; a disk that is broken stays broken.
const TRIES: u32 = 10;
/// A file that is still being written this many tries later is written by somebody nobody here can stop.
const LOCKED_TOLD: u32 = 3;

/// Sessions of this engine that a worker may still call its own: it is told so within seconds.
const GIVEN_UP: usize = 64;

/// The work that start-up found.
#[derive(Debug, Default)]
pub struct Recovery {
    /// The newest folders were looked at.
    began: bool,
    /// All folders were looked at.
    searched: bool,
    /// Folders that could not be read: whoever records into one is left alone.
    unread: Vec<Unread>,
    /// Sessions that are not gone on with whoever records them, oldest first: stopped, closed or refused here.
    given_up: VecDeque<SessionId>,
    waiting: VecDeque<Job>,
    running: Option<Job>,
    /// Sessions that are left for the next engine, or until the disk works again.
    left: Vec<Job>,
}

/// A session to be closed, unless it is gone on with.
#[derive(Debug)]
pub struct Job {
    pub found: Interrupted,
    /// How it ended, as far as it is known.
    state: Closed,
    not_before: MonoNs,
    tries: u32,
    /// Times in a row that a file of it was still being written.
    locked: u32,
}

impl Job {
    fn new(found: Interrupted, state: Closed, not_before: MonoNs) -> Self {
        Self { found, state, not_before, tries: 0, locked: 0 }
    }
}

impl Recovery {
    /// The library was searched.
    pub fn searched(&self) -> bool {
        self.searched
    }

    /// The newest folders of the library were looked at.
    pub fn began(&self) -> bool {
        self.began
    }

    /// Whether `id` may be a session of this library that was not closed: one that is not known is not taken for one
    /// that is closed while something was not read.
    pub fn may_hold(&self, id: SessionId) -> bool {
        !self.is_given_up(id) && (self.holds(id) || !self.searched || !self.unread.is_empty())
    }

    /// Nobody goes on with `id`, whatever is found.
    pub fn give_up(&mut self, id: SessionId) {
        if self.is_given_up(id) {
            return;
        }
        if self.given_up.len() >= GIVEN_UP {
            self.given_up.pop_front();
        }
        self.given_up.push_back(id);
    }

    /// Whether `id` is not gone on with.
    pub fn is_given_up(&self, id: SessionId) -> bool {
        self.given_up.contains(&id)
    }

    /// The sessions that wait to be closed.
    pub fn waiting(&self) -> impl Iterator<Item = &Job> {
        self.waiting.iter()
    }

    /// Whether `id` waits to be closed.
    pub fn holds(&self, id: SessionId) -> bool {
        self.waiting.iter().any(|job| job.found.plan.id == id)
    }

    /// The newest waiting session of this boot that `is` so, and its place.
    pub fn newest(&self, is: impl Fn(&Job) -> bool) -> Option<(&Job, usize)> {
        let matching = self.waiting.iter().enumerate().filter(|(_, job)| is(job));
        matching.max_by_key(|(_, job)| job.found.plan.start_at_ns).map(|(place, job)| (job, place))
    }

    /// The session that is being closed in the background.
    pub fn closes(&self) -> Option<SessionId> {
        self.running.as_ref().map(|job| job.found.plan.id)
    }

    /// Nobody waits any longer for the session that is being closed: it is left for the next engine.
    pub fn leave_running(&mut self) {
        self.left.extend(self.running.take());
    }

    /// The job of `id`, which was closed: also when nobody waited for it any longer, and wherever it went since.
    fn take_closed(&mut self, id: SessionId) -> Option<Job> {
        let is = |job: &Job| job.found.plan.id == id;
        if let Some(job) = self.running.take_if(|job| is(job)) {
            return Some(job);
        }
        if let Some(place) = self.left.iter().position(is) {
            return Some(self.left.swap_remove(place));
        }
        let place = self.waiting.iter().position(is)?;
        self.waiting.remove(place)
    }

    /// The disk works again: everything that could not be closed is tried anew.
    pub fn retry_now(&mut self) {
        self.waiting.extend(self.left.drain(..).map(|job| Job { tries: 0, ..job }));
        for job in &mut self.waiting {
            job.not_before = MonoNs(0);
        }
    }

    /// Takes the session at `place` out.
    pub fn take_waiting(&mut self, place: usize) -> Option<Job> {
        self.waiting.remove(place)
    }
}

impl State {
    /// Some folders were looked at, the newest first.
    pub(super) fn on_found(&mut self, interrupted: Vec<Interrupted>, last: Option<LastSession>) {
        self.recovery.began = true;
        let job = |found| Job::new(found, Closed::Recovered, MonoNs(0));
        self.recovery.waiting.extend(interrupted.into_iter().map(job));
        self.last_session = self.last_session.take().or(last);
    }

    /// All folders were looked at.
    pub(super) fn on_searched(&mut self, interrupted: Vec<Interrupted>, last: Option<LastSession>) {
        self.on_found(interrupted, last);
        self.recovery.searched = true;
    }

    /// These folders cannot be read; nobody who may be recording into them is stopped.
    pub(super) fn on_unread(&mut self, now: Now, unread: Vec<Unread>, out: &mut Vec<Effect>) {
        self.recovery.unread = unread;
        let Some(first) = self.recovery.unread.first() else { return self.calm_disk(now) };
        let more = match self.recovery.unread.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let (dir, reason) = (first.dir.display(), &first.reason);
        let reason = format!(
            "the session folder {dir}{more} cannot be read ({reason}); whatever records into it is left alone and shown \
             once it can be read; check the disk"
        );
        self.raise(now, super::ENGINE, Incident::new(IncidentCode::DiskError).with("reason", reason), out);
    }

    /// Closes the next interrupted session once it is known which of them workers still record.
    pub(super) fn recover_next(&mut self, now: Now, out: &mut Vec<Effect>) {
        if self.recovery.running.is_some() {
            return;
        }
        let orphans = self.orphans();
        let ready = |job: &Job| {
            now.mono >= job.not_before
                && !orphans.contains(&job.found.plan.id)
                && !job.found.plan.inputs.iter().any(|spec| self.is_looked_at(&spec.id))
        };
        let Some(place) = self.recovery.waiting.iter().position(ready) else { return };
        let Some(job) = self.recovery.waiting.remove(place) else { return };
        out.push(Effect::Close { session: job.found.plan.id, dir: job.found.dir.clone(), state: job.state });
        self.recovery.running = Some(job);
    }

    /// Somebody may serve this input, and has not said what it records.
    pub(super) fn is_looked_at(&self, id: &InputId) -> bool {
        self.input(id).is_some_and(|input| input.worker.is_connecting() || input.worker.is_mute())
            || self.strays.iter().any(|stray| stray.is(id) && stray.is_looked_at())
    }

    /// An interrupted session was closed.
    pub(super) fn recovered(
        &mut self,
        now: Now,
        id: SessionId,
        dir: &Path,
        closed: &ClosedSession,
        out: &mut Vec<Effect>,
    ) {
        let Some(job) = self.recovery.take_closed(id) else { return };
        if job.state == Closed::Recovered {
            self.tell_recovered(now, closed, out);
        }
        let newer = self.last_session.as_ref().is_none_or(|last| last.id < id);
        if newer {
            self.last_session = Some(crate::storage::recovery::last_session(&closed.manifest, dir));
        }
    }

    fn tell_recovered(&mut self, now: Now, closed: &ClosedSession, out: &mut Vec<Effect>) {
        let lost: Vec<String> = closed.lost().map(|(input, lost)| format!("{input} {lost}")).collect();
        let lost = if lost.is_empty() { "nothing".to_owned() } else { lost.join(", ") };
        let incident =
            Incident::new(IncidentCode::SessionRecovered).with("session", &closed.manifest.name).with("loss", lost);
        self.raise(now, super::ENGINE, incident, out);
        // It is over and done with: the notice stays in the list, but nothing is active about it.
        self.alerts.resolve(now, super::ENGINE, IncidentCode::SessionRecovered.as_str());
    }

    /// A session of this engine that could not be closed: from here on it is closed in the background.
    pub(super) fn recover_ours(&mut self, now: Now, plan: Plan, dir: PathBuf, state: Closed) {
        let found = Interrupted { dir, plan, history: History::default() };
        self.recovery.waiting.push_back(Job::new(found, state, now.mono.plus(AGAIN)));
    }

    /// A session was closed: unless another one cannot be, the disk is in order again.
    pub(super) fn calm_disk(&mut self, now: Now) {
        let read = self.recovery.unread.is_empty();
        if read && self.recovery.left.is_empty() && self.recovery.waiting.iter().all(|job| job.tries + job.locked == 0)
        {
            self.alerts.resolve(now, super::ENGINE, IncidentCode::DiskError.as_str());
        }
    }

    /// An interrupted session could not be closed now.
    pub(super) fn recover_later(&mut self, now: Now, id: SessionId, fault: &CloseFault, out: &mut Vec<Effect>) {
        let Some(mut job) = self.recovery.running.take_if(|job| job.found.plan.id == id) else { return };
        let reason = match fault {
            CloseFault::Failed(reason) => {
                job.tries += 1;
                Some(reason)
            }
            CloseFault::Locked(reason) => {
                job.locked += 1;
                Some(reason).filter(|_| job.locked >= LOCKED_TOLD)
            }
        };
        if let Some(reason) = reason {
            let reason = format!("session {} cannot be closed: {reason}", job.found.plan.name);
            self.keep(now, super::ENGINE, Incident::new(IncidentCode::DiskError).with("reason", reason), out);
        }
        if job.tries < TRIES {
            job.not_before = now.mono.plus(AGAIN);
            self.recovery.waiting.push_back(job);
        } else {
            self.recovery.left.push(job);
        }
    }
}

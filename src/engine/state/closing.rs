//! The end of a session: when it is closed on disk, with which word, and what the operator learns from it.

use super::super::event::{CloseFault, Effect, Now};
use super::State;
use super::session::{Ending, Phase, Session};
use crate::model::SessionId;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::session::{Closed, Manifest, PartEnd};
use crate::storage::recovery::{self, ClosedSession};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// After this many tries a session is closed in the background.
const CLOSE_TRIES: u32 = 3;
/// Pause before closing is tried again when a file was still locked or the disk refused.
const CLOSE_AGAIN: Duration = Duration::from_secs(5);

/// Keeps lines out of the journal in `closing`: it belongs to the thread that closes the session, which gives its reserve
/// back by its length and writes its last line. What is told meanwhile stands in the log and among the alerts.
pub(super) fn leave_alone(closing: Option<&Path>, out: &mut Vec<Effect>) {
    let about = |effect: &Effect| matches!(effect, Effect::Journal { dir, .. } if Some(dir.as_path()) == closing);
    out.retain(|effect| !about(effect));
}

impl State {
    /// The folder of the session that is being closed on disk.
    pub(super) fn closing_dir(&self) -> Option<PathBuf> {
        let session = self.session.as_ref().filter(|session| matches!(session.phase, Phase::Closing { .. }));
        session.map(|session| session.dir.clone())
    }

    /// Closes the session on disk once no worker has anything of it open.
    pub(super) fn advance_session(&mut self, now: Now, out: &mut Vec<Effect>) {
        let Some(session) = &self.session else { return };
        if session.takes.iter().any(|take| take.ending.is_none()) {
            return;
        }
        let full = session.runs() && self.ended_for_want_of_room();
        let Some(session) = &self.session else { return };
        let state = match session.phase {
            Phase::Running { .. } if full => Closed::Completed,
            Phase::Running { .. } => Closed::Failed,
            Phase::Stopping { .. }
                if session.takes.iter().any(|take| take.ending == Some(Ending::Done) || take.evident) =>
            {
                Closed::Completed
            }
            Phase::Stopping { .. } => Closed::Failed,
            _ => return,
        };
        let (id, asked) = (session.plan.id, !session.runs() || full);
        self.alerts.resolve(now, super::ENGINE, IncidentCode::PartialStart.as_str());
        self.close_now(id, state, asked, out);
    }

    pub(super) fn close_now(&mut self, id: SessionId, state: Closed, asked: bool, out: &mut Vec<Effect>) {
        // All recordings may end before the order to stop is on disk.
        self.answer_stop(out);
        let Some(session) = &mut self.session else { return };
        session.phase = Phase::Closing { state, asked, retry: None };
        self.recovery.give_up(id);
        out.push(Effect::Close { session: id, dir: session.dir.clone(), state });
    }

    /// The running session was closed on disk.
    pub(super) fn session_closed(&mut self, now: Now, dir: &Path, closed: &ClosedSession) {
        self.freeze(now, Some(&closed.manifest));
        self.last_session = Some(recovery::last_session(&closed.manifest, dir));
        self.calm_stops(now);
        match &mut self.session {
            // Nobody asked it to stop: it stays on the screen as failed.
            Some(session) if matches!(session.phase, Phase::Closing { asked: false, .. }) => {
                session.phase = Phase::Over
            }
            session => *session = None,
        }
    }

    /// Stops that were cut are over with the session.
    fn calm_stops(&mut self, now: Now) {
        for take in self.session.iter().flat_map(|session| &session.takes) {
            self.alerts.resolve(now, take.input.as_str(), IncidentCode::StopCut.as_str());
        }
    }

    /// Somebody asked to stop the session that is being closed: it leaves the screen afterwards.
    pub(super) fn ask_closing(&mut self) {
        if let Some(Session { phase: Phase::Closing { asked, .. }, .. }) = &mut self.session {
            *asked = true;
        }
    }

    /// The disk works again: whatever could not be closed for it is tried now.
    pub(super) fn close_at_once(&mut self, now: Now) {
        if let Some(Session { phase: Phase::Closing { retry: Some(at), .. }, .. }) = &mut self.session {
            *at = now.mono;
        }
        self.recovery.retry_now();
    }

    pub(super) fn close_later(&mut self, now: Now) {
        let Some(session) = &mut self.session else { return };
        let Phase::Closing { retry, .. } = &mut session.phase else { return };
        session.unclosed += 1;
        if session.unclosed < CLOSE_TRIES {
            *retry = Some(now.mono.plus(CLOSE_AGAIN));
            return;
        }
        self.close_aside(now);
    }

    /// Nobody shall be kept from the next recording by a file of the last one: it is closed in the background.
    pub(super) fn close_aside(&mut self, now: Now) {
        let Some(session) = &mut self.session else { return };
        let Phase::Closing { state, asked, .. } = session.phase else { return };
        let (plan, dir) = (session.plan.clone(), session.dir.clone());
        session.phase = Phase::Over;
        self.calm_stops(now);
        self.freeze(now, None);
        self.session = self.session.take().filter(|_| !asked);
        self.recover_ours(now, plan, dir, state);
    }

    pub(super) fn on_closed(
        &mut self,
        now: Now,
        id: SessionId,
        dir: &Path,
        result: Result<Box<ClosedSession>, CloseFault>,
        out: &mut Vec<Effect>,
    ) {
        let running = self.session.as_ref().is_some_and(|session| session.plan.id == id);
        match result {
            Ok(closed) if running => {
                self.note_lost(&closed.manifest);
                self.calm_disk(now);
                self.tell_damaged(now, &closed.manifest, dir, out);
                self.session_closed(now, dir, &closed);
                self.prove_soon(&closed.manifest, dir);
            }
            Ok(closed) => {
                self.note_lost(&closed.manifest);
                self.tell_damaged(now, &closed.manifest, dir, out);
                self.recovered(now, id, dir, &closed, out);
                self.prove_soon(&closed.manifest, dir);
                self.calm_disk(now);
            }
            Err(fault) if running => {
                self.tell_unclosed(now, &fault, out);
                self.close_later(now);
            }
            Err(fault) => self.recover_later(now, id, &fault, out),
        }
    }

    fn tell_damaged(&mut self, now: Now, manifest: &Manifest, dir: &Path, out: &mut Vec<Effect>) {
        // Files of one input have the same names in every session.
        let session = dir.file_name().unwrap_or_default().to_string_lossy();
        for input in &manifest.inputs {
            for part in input.parts.iter().filter(|part| part.end == PartEnd::Damaged) {
                let incident = Incident::new(IncidentCode::FileDamaged).with("file", &part.file);
                let incident = incident.with("session", session.as_ref());
                self.raise(now, input.id.as_str(), incident, out);
            }
        }
    }

    fn tell_unclosed(&mut self, now: Now, fault: &CloseFault, out: &mut Vec<Effect>) {
        if let CloseFault::Failed(reason) = fault {
            let incident = Incident::new(IncidentCode::DiskError).with("reason", reason);
            self.raise(now, super::ENGINE, incident, out);
        }
    }
}

//! Workers of inputs that are not configured any more: found by their locks at start-up, dismissed when they are done.
//!
//! Contract: such a worker is never started, and shown only in what its session comes to; what it records of the running
//! session goes on until Stop, anything else is stopped and closed like any session of an earlier engine. It does not keep
//! the others from recording, not even when it does not answer.

use super::super::event::{Effect, Now};
use super::super::worker_state::{Act, WorkerEvent};
use super::State;
use super::session::Ending;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::session::JournalKind;
use crate::model::snapshot::RecordingState;
use crate::model::{InputId, MonoNs, SessionId};
use crate::protocol::worker::{Command, WorkerStatus};
use std::time::Duration;

/// Pause before a worker that did not answer, or broke its link, is asked again; nobody waits for it.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// A stray that goes on recording, or stays, is told again this often.
const TELL_AGAIN: Duration = Duration::from_secs(1);

/// One such worker.
#[derive(Debug)]
pub struct Stray {
    id: InputId,
    /// Number of the current connection.
    link: u64,
    /// It is not known yet what it does.
    looking: bool,
    /// The session it records.
    orphan: Option<SessionId>,
    /// How its recording ended.
    over: Option<Ending>,
    /// The last report and when it came.
    report: Option<(MonoNs, WorkerStatus)>,
    /// When it was told to stop or to leave last.
    told: MonoNs,
    commands: u64,
}

impl Stray {
    /// A worker that holds its lock, and the first thing to do about it.
    pub fn new(now: Now, id: InputId) -> (Self, Effect) {
        let look = Act::Connect { link: 1, child: false, pause: Duration::ZERO };
        let effect = Effect::Worker(id.clone(), look);
        (
            Self { id, link: 1, looking: true, orphan: None, over: None, report: None, told: now.mono, commands: 0 },
            effect,
        )
    }

    /// It is not known yet whether it records.
    pub fn is_looked_at(&self) -> bool {
        self.looking
    }

    /// The session it records, as far as is known.
    pub fn orphan(&self) -> Option<SessionId> {
        self.orphan
    }

    /// The last report and when it came.
    pub fn report(&self) -> Option<&(MonoNs, WorkerStatus)> {
        self.report.as_ref()
    }

    /// The same, to take a pause out of its age.
    pub fn report_mut(&mut self) -> Option<&mut (MonoNs, WorkerStatus)> {
        self.report.as_mut()
    }

    /// Whether it serves this input.
    pub fn is(&self, input: &InputId) -> bool {
        self.id == *input
    }

    /// Tells it to stop what it records, or to leave.
    pub fn tell(&mut self, now: Now) -> Effect {
        self.told = now.mono;
        self.commands += 1;
        let id = self.commands;
        let command = match self.orphan {
            Some(session) if self.over.is_none() => Command::Stop { id, session },
            _ => Command::Leave { id },
        };
        Effect::Send(self.id.clone(), Box::new(command))
    }

    fn connect(&mut self) -> Effect {
        self.link += 1;
        Effect::Worker(self.id.clone(), Act::Connect { link: self.link, child: false, pause: ASK_AGAIN })
    }
}

impl State {
    pub(super) fn on_stray(&mut self, now: Now, id: &InputId, event: WorkerEvent, out: &mut Vec<Effect>) {
        let Some(place) = self.strays.iter().position(|stray| stray.id == *id) else { return };
        let stray = &mut self.strays[place];
        match event {
            WorkerEvent::Linked { link, session, .. } if link == stray.link => {
                stray.looking = false;
                stray.orphan = session.or(stray.orphan);
                if !session.is_some_and(|recorded| self.goes_on(recorded)) {
                    out.push(self.strays[place].tell(now));
                }
                if session.is_none() {
                    self.miss_worker(now, id, out);
                    self.end_unserved(id);
                } else {
                    self.accounted(id);
                }
            }
            WorkerEvent::LinkLost { link } if link == stray.link => out.push(stray.connect()),
            WorkerEvent::Mute { link, .. } if link == stray.link => {
                stray.looking = false;
                out.push(stray.connect());
                self.keep(now, id.as_str(), Incident::new(IncidentCode::TeardownStuck), out);
            }
            WorkerEvent::LockFree { link } if link == stray.link => self.stray_left(now, place, out),
            WorkerEvent::StopLate => out.push(Effect::Worker(id.clone(), Act::Terminate)),
            _ => {}
        }
    }

    /// It has left; all it had to say is in its facts.
    fn stray_left(&mut self, now: Now, place: usize, out: &mut Vec<Effect>) {
        let stray = self.strays.remove(place);
        self.alerts.resolve(now, stray.id.as_str(), IncidentCode::TeardownStuck.as_str());
        let Some(session) = self.session.as_mut().filter(|session| stray.orphan == Some(session.plan.id)) else {
            return;
        };
        let reason = "it left while it recorded".to_owned();
        let lost = session.line(now, JournalKind::WorkerLost { input: stray.id.clone(), reason });
        if let Some(take) = session.take_mut(&stray.id).filter(|take| take.ending.is_none()) {
            take.ending = Some(stray.over.unwrap_or(Ending::Failed));
            if stray.over.is_none() {
                out.push(lost);
            }
        }
    }

    pub(super) fn on_stray_status(
        &mut self,
        now: Now,
        id: &InputId,
        link: u64,
        status: &WorkerStatus,
        out: &mut Vec<Effect>,
    ) {
        let Some(stray) = self.strays.iter_mut().find(|stray| stray.id == *id && stray.link == link) else { return };
        let over = match status.recording.as_ref().map(|recording| recording.state) {
            Some(RecordingState::Failed) => Some(Ending::Failed),
            Some(RecordingState::Done) | None => Some(Ending::Done),
            Some(_) => None,
        };
        let news = over != std::mem::replace(&mut stray.over, over);
        stray.report = Some((now.mono, status.clone()));
        let orphan = stray.orphan;
        if over.is_none() && orphan.is_some_and(|recorded| self.goes_on(recorded)) {
            self.note_evidence(id, status);
            return;
        }
        let Some(stray) = self.strays.iter_mut().find(|stray| stray.id == *id) else { return };
        // Leaving writes its last facts; only then is its session closed.
        if news || now.mono.since(stray.told) >= TELL_AGAIN {
            out.push(stray.tell(now));
        }
    }
}

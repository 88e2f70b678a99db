//! Going on with the session of an earlier engine (R-SUP-3): which one, and what becomes of each of its inputs.
//!
//! ```text
//! library searched, workers looked at ──▶ a worker records it, or it was about to begin ──▶ Running
//!                                                          └ somebody asked to stop it ──▶ Stopping
//! ```
//! Contract: the session keeps its id, a worker that records it is told nothing, and one that died while no engine
//! ran is journaled and replaced like any other. Only the newest session of this boot is gone on with; whatever else
//! is still recorded is stopped and closed.

use super::super::event::{Effect, Now};
use super::State;
use super::commands::START_AHEAD;
use super::interrupted::Job;
use super::session::{Ending, PERSIST_DEADLINE, Phase, Session, Take};
use super::strays::Stray;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::session::JournalKind;
use crate::model::{InputId, MonoNs, SessionId};
use crate::storage::history::{History, InputHistory};
use std::time::Duration;

/// A start that was written down less than this long ago is still finished: its client waits for evidence. Nobody was
/// told by then that it was refused: the engine that made the plan would have refused it at [`PERSIST_DEADLINE`], and
/// one whose plan could not be written has said so behind the plan.
const START_FRESH: Duration = PERSIST_DEADLINE.saturating_sub(START_AHEAD);

impl State {
    /// Sessions that workers still record for an engine that is gone.
    pub(super) fn orphans(&self) -> Vec<SessionId> {
        let strays = self.strays.iter().filter_map(Stray::orphan);
        self.inputs.iter().filter_map(|input| input.orphan).chain(strays).collect()
    }

    /// It is not known yet of every input whether somebody serves it.
    pub(super) fn looking(&self) -> bool {
        self.inputs.iter().any(|input| input.worker.is_connecting()) || self.strays.iter().any(Stray::is_looked_at)
    }

    /// What runs is known: nothing that is shown now will turn out to be an earlier engine's session. While nobody
    /// records anything, the newest folders are enough to know that.
    pub fn is_settled(&self) -> bool {
        let searched = self.recovery.searched() || (self.recovery.began() && self.orphans().is_empty());
        self.session.as_ref().is_some_and(|session| session.phase != Phase::Over) || (searched && !self.looking())
    }

    /// A worker that records this goes on: it is the running session, may become it, or could not be read.
    pub(super) fn goes_on(&self, recorded: SessionId) -> bool {
        match &self.session {
            Some(session) if session.plan.id == recorded => session.runs(),
            Some(_) => self.recovery.may_hold(recorded) && !self.recovery.holds(recorded),
            None => self.recovery.may_hold(recorded),
        }
    }

    /// A session that a worker records, or may, although it is not the running one: this one, or the newest there is.
    pub(super) fn still_recorded(&self, asked: Option<SessionId>) -> Option<SessionId> {
        if asked.is_some() {
            return asked.filter(|id| self.may_be_recorded(*id));
        }
        let known = self.recovery.waiting().map(|job| job.found.plan.id).filter(|id| !self.recovery.is_given_up(*id));
        known.filter(|id| self.may_be_recorded(*id)).chain(self.orphans()).max()
    }

    fn may_be_recorded(&self, id: SessionId) -> bool {
        let planned = self.recovery.waiting().find(|job| job.found.plan.id == id).map(|job| &job.found.plan);
        let unheard = match planned {
            Some(plan) if plan.boot_id == self.setup.boot_id => {
                plan.inputs.iter().any(|spec| self.is_looked_at(&spec.id))
            }
            Some(_) => false,
            None => self.recovery.may_hold(id) && self.inputs.iter().any(|input| self.is_looked_at(&input.spec.id)),
        };
        unheard || self.orphans().contains(&id)
    }

    /// Stops a session that is recorded without being the running one, now or as soon as its worker answers.
    pub(super) fn stop_left(&mut self, now: Now, id: SessionId, out: &mut Vec<Effect>) {
        self.recovery.give_up(id);
        if let Some(job) = self.recovery.waiting().find(|job| job.found.plan.id == id) {
            let nanos = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
            let t_ns = nanos(now.mono.0).saturating_sub(nanos(job.found.plan.start_at_ns.0));
            out.push(Effect::WriteStop { session: id, dir: job.found.dir.clone(), t_ns });
        }
        let recording = self.inputs.iter().filter(|input| input.orphan == Some(id));
        let inputs: Vec<InputId> = recording.map(|input| input.spec.id.clone()).collect();
        for input in &inputs {
            self.stop_worker(now, input, id, out);
        }
        out.extend(self.strays.iter_mut().filter(|stray| stray.orphan() == Some(id)).map(|stray| stray.tell(now)));
    }

    /// Goes on with the newest session that workers still record, or were about to.
    pub(super) fn adopt_interrupted(&mut self, now: Now, out: &mut Vec<Effect>) {
        if self.session.is_some() || !self.recovery.began() {
            return;
        }
        let orphans = self.orphans();
        let ours = |job: &Job| {
            let plan = &job.found.plan;
            plan.boot_id == self.setup.boot_id && !self.recovery.is_given_up(plan.id)
        };
        let Some((newest, place)) = self.recovery.newest(ours) else {
            return;
        };
        let recorded = |job: &Job| orphans.contains(&job.found.plan.id);
        if recorded(newest) {
            return self.adopt(now, place, out);
        }
        // Workers answer one by one: that nobody records it is known only when all have been looked at.
        if self.looking() {
            return;
        }
        if orphans.is_empty() && self.was_about_to_begin(now.mono, newest) {
            return self.adopt(now, place, out);
        }
        let older = self.recovery.newest(|job| ours(job) && recorded(job));
        if let Some((_, place)) = older {
            self.adopt(now, place, out);
        }
    }

    /// Its plan was written a moment ago, and the workers it was made for live and wait.
    fn was_about_to_begin(&self, now: MonoNs, job: &Job) -> bool {
        let plan = &job.found.plan;
        let survives = |input: &super::Input| input.worker.is_linked() && !input.worker.is_child();
        job.found.history.is_blank()
            && now.since(plan.start_at_ns) < START_FRESH
            && plan.inputs.iter().any(|spec| self.input(&spec.id).is_some_and(survives))
    }

    fn adopt(&mut self, now: Now, place: usize, out: &mut Vec<Effect>) {
        let Some(job) = self.recovery.take_waiting(place) else { return };
        let found = job.found;
        let stopping = found.history.stop_requested;
        let phase = match stopping {
            true => Phase::Stopping { since: now.mono, signalled: false },
            false => Phase::Running { since: now.mono },
        };
        let mut session = Session::new(found.plan, found.dir, phase);
        for take in &mut session.takes {
            take.ticketed = true;
            if let Some(past) = found.history.inputs.get(&take.input) {
                remember(take, past);
            }
        }
        self.marks.recall(&mut session, found.history.markers);
        let (id, epoch) = (session.plan.id, self.setup.epoch);
        let inputs: Vec<InputId> = session.takes.iter().map(|take| take.input.clone()).collect();
        out.push(Effect::Adopt { session: id, dir: session.dir.clone(), t_ns: session.t_ns(now.mono), epoch });
        let incident = Incident::new(IncidentCode::EngineRestarted);
        out.push(session.line(now, JournalKind::Incident { input: None, incident: incident.clone() }));
        for input in &inputs {
            let Some(past) = found.history.inputs.get(input) else { continue };
            let times = |t_ns: &mut dyn Iterator<Item = i64>| t_ns.filter_map(|t_ns| session.at(t_ns)).collect();
            let lost: Vec<MonoNs> = times(&mut past.lost_ns.iter().copied());
            let stalled: Vec<MonoNs> = times(&mut past.stalled.iter().map(|(_, t_ns)| *t_ns));
            if let Some(input) = self.input_mut(input) {
                input.worker.restore_losses(now.mono, &lost, &stalled);
            }
        }
        self.session = Some(session);
        self.raise(now, super::ENGINE, incident, out);
        // It is over and done with; what it cost, if anything, is told by its own alerts.
        self.alerts.resolve(now, super::ENGINE, IncidentCode::EngineRestarted.as_str());
        for input in inputs {
            self.adopt_input(now, &input, id, stopping, out);
        }
    }

    /// Takes over one input of the adopted session: its worker goes on, is told to stop, or is missed.
    fn adopt_input(&mut self, now: Now, id: &InputId, session: SessionId, stopping: bool, out: &mut Vec<Effect>) {
        if let Some(stray) = self.strays.iter_mut().find(|stray| stray.is(id)) {
            if stray.orphan() == Some(session) {
                out.extend(stopping.then(|| stray.tell(now)));
            } else if !stray.is_looked_at() {
                self.end_unserved(id);
            }
            return;
        }
        let Some(input) = self.input_mut(id) else { return self.end_unserved(id) };
        if input.worker.is_connecting() || input.worker.is_mute() {
            // Whoever it is will say what it does when it is linked.
            return;
        }
        match input.orphan {
            Some(recorded) if recorded == session => {
                input.orphan = None;
                input.handover.ticket = Some(session);
                self.accounted(id);
                if stopping {
                    self.stop_worker(now, id, session, out);
                }
            }
            // Busy with yet another session: it is told to stop that one, and is free for this one then.
            Some(_) => {}
            // Given up by an earlier engine: nobody tries until the operator asks.
            None if input.worker.is_quarantined() => {
                self.miss_worker(now, id, out);
                self.end_unserved(id);
            }
            None => {
                self.miss_worker(now, id, out);
                self.hand_over(now, id, None, out);
            }
        }
    }

    /// Nobody serves this input of the running session, and nobody will.
    pub(super) fn end_unserved(&mut self, id: &InputId) {
        if let Some(take) = self.session.as_mut().and_then(|session| session.take_mut(id)) {
            take.ending = take.ending.or(Some(Ending::Failed));
        }
    }

    /// The worker that wrote the past of this input lives.
    pub(super) fn accounted(&mut self, id: &InputId) {
        if let Some(take) = self.session.as_mut().and_then(|session| session.take_mut(id)) {
            take.missed = false;
        }
    }

    /// The worker that wrote the past of this input is gone; nobody has written that down yet.
    pub(super) fn miss_worker(&mut self, now: Now, id: &InputId, out: &mut Vec<Effect>) {
        let Some(session) = &mut self.session else { return };
        let missed = session.take_mut(id).is_some_and(|take| std::mem::take(&mut take.missed) && take.ending.is_none());
        if !missed {
            return;
        }
        let reason = "it ended while no supervisor ran".to_owned();
        out.push(session.line(now, JournalKind::WorkerLost { input: id.clone(), reason: reason.clone() }));
        if let Some(input) = self.input_mut(id) {
            // Whoever serves this input now is its replacement.
            input.worker.count_loss(now.mono);
        }
        self.raise(now, id.as_str(), Incident::new(IncidentCode::WorkerDied).with("reason", reason), out);
    }

    /// The journal is ours; it was read once more, after which nothing is missed.
    pub(super) fn on_adopted(
        &mut self,
        now: Now,
        id: SessionId,
        result: Result<Box<History>, String>,
        out: &mut Vec<Effect>,
    ) {
        let Some(session) = self.session.as_mut().filter(|session| session.plan.id == id) else { return };
        match result {
            Ok(history) => {
                self.marks.recall(session, history.markers.clone());
                for take in &mut session.takes {
                    let Some(past) = history.inputs.get(&take.input) else { continue };
                    take.past = past.parts.clone();
                    take.evident |= past.started;
                    take.starved |= past.starved;
                    if past.done {
                        take.ending = take.ending.or(Some(Ending::Done));
                    }
                }
                for (id, past) in &history.inputs {
                    past.stalled.iter().for_each(|(part, _)| self.count_late_stall(now, id, *part));
                }
            }
            Err(reason) => {
                // The workers keep their own facts; closing folds them all the same.
                self.keep(now, super::ENGINE, Incident::new(IncidentCode::DiskError).with("reason", reason), out);
            }
        }
    }
}

fn remember(take: &mut Take, past: &InputHistory) {
    take.past = past.parts.clone();
    take.evident = past.started;
    take.starved = past.starved;
    take.missed = past.served && !past.done;
    take.ending = past.done.then_some(Ending::Done);
    take.stalled = past.stalled.last().map_or(0, |(part, _)| *part);
}

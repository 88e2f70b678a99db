//! The running session: its phases, what each input's recording came to, and how it ends.
//!
//! ```text
//! Persisting ──plan on disk──▶ Running ──Stop──▶ Stopping ──all ended──▶ Closing ──▶ (none)
//!     │ not persisted            └──all ended by themselves──────────────▶ Closing ──▶ Over (failed)
//!     ▼ (none)
//! ```

use super::super::event::{Effect, Now, Reply, Token, Unwritten};
use super::super::worker_state::WorkerEvent;
use super::State;
use super::view::add_frames;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::marker::Marker;
use crate::model::session::{Closed, JournalKind, Plan};
use crate::model::snapshot::Frames;
use crate::model::{InputId, MonoNs, SessionId};
use crate::protocol::api::StopReply;
use crate::storage::history::PastPart;
use std::path::PathBuf;
use std::time::Duration;

/// A plan that is not on disk by then is refused: a waiting start is answered within 8 s (R-CMD-2).
pub(super) const PERSIST_DEADLINE: Duration = Duration::from_secs(7);
/// Inputs that show no evidence by then make a partial start; before the 8 s a client waits.
const EVIDENCE_DEADLINE: Duration = Duration::from_secs(5);
/// A stop that is not on disk by then is carried out all the same (R-CMD-1); an fsync takes 20 ms, on a bad day 1 s.
const WRITE_DEADLINE: Duration = Duration::from_secs(1);
/// Beyond the workers' own flush deadline, for their answer to arrive.
const STOP_MARGIN: Duration = Duration::from_secs(1);
/// SIGTERM, SIGKILL and a process table under load; then the session is closed around what is stuck.
const STOP_GIVE_UP: Duration = Duration::from_secs(8);

/// What a session is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Its plan is being written; these requests wait.
    Persisting { waiting: Vec<Token>, since: MonoNs },
    /// Recording, as far as the inputs can.
    Running { since: MonoNs },
    /// Asked to stop.
    Stopping { since: MonoNs, signalled: bool },
    /// Its files are being finalised and its manifest written; `asked` = somebody wanted it to stop; `retry` = again then.
    Closing { state: Closed, asked: bool, retry: Option<MonoNs> },
    /// Closed without being asked to stop; shown until the next start.
    Over,
}

/// An order to stop that is being written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopOrder {
    /// Since when.
    pub since: MonoNs,
    /// Requests to be answered.
    pub waiting: Vec<Token>,
}

/// How one input's recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Its worker closed all parts.
    Done,
    /// Its worker is gone for good.
    Failed,
}

/// One input's recording within the session.
#[derive(Debug, Clone, PartialEq)]
pub struct Take {
    pub input: InputId,
    /// A worker was handed a ticket, so numbers may have been used.
    pub ticketed: bool,
    /// New media was seen in its file at least once.
    pub evident: bool,
    pub ending: Option<Ending>,
    /// There is no room for it, or was none when it ended.
    pub starved: bool,
    /// Since when its worker's reports call it ended although the fact has not come.
    pub ended_since: Option<MonoNs>,
    /// Its worker wrote something and may be gone; nobody has written that down.
    pub missed: bool,
    /// The last part that was counted as stalled (R-SUP-5).
    pub stalled: u32,
    /// Parts that were there when this engine came.
    pub past: Vec<PastPart>,
    /// What workers that died before this engine's eyes had safely written.
    pub before: Totals,
}

impl Take {
    /// Everything written by earlier workers than the one whose first part is `first`; `None` = all there is.
    pub fn earlier(&self, first: Option<u32>) -> Totals {
        let mut sum = self.before;
        for part in self.past.iter().filter(|past| first.is_none_or(|first| past.part < first)) {
            sum.media_ms += part.media_ms;
            match &part.frames {
                Some(frames) => sum.frames = Some(add_frames(sum.frames, frames)),
                None => sum.uncounted = true,
            }
        }
        sum
    }
}

/// Sums over the parts of workers that are gone. A dead worker's unsynced media is not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Totals {
    pub media_ms: u64,
    pub frames: Option<Frames>,
    /// There are frames that nobody lived to count.
    pub uncounted: bool,
}

/// The session.
#[derive(Debug)]
pub struct Session {
    pub plan: Plan,
    pub dir: PathBuf,
    pub phase: Phase,
    pub takes: Vec<Take>,
    /// The workers wait for this to be written.
    pub stop: Option<StopOrder>,
    pub partial_told: bool,
    /// Times that it could not be closed.
    pub unclosed: u32,
    /// What the operator noted, oldest first.
    pub markers: Vec<Marker>,
    /// Trace id of the start; empty when an earlier engine made the session.
    pub trace: String,
}

impl Session {
    pub fn new(plan: Plan, dir: PathBuf, phase: Phase) -> Self {
        let take = |input: &InputId| Take {
            input: input.clone(),
            ticketed: false,
            evident: false,
            ending: None,
            starved: false,
            ended_since: None,
            missed: false,
            stalled: 0,
            past: Vec::new(),
            before: Totals::default(),
        };
        let takes = plan.inputs.iter().map(|spec| take(&spec.id)).collect();
        Self {
            plan,
            dir,
            phase,
            takes,
            stop: None,
            partial_told: false,
            unclosed: 0,
            markers: Vec::new(),
            trace: String::new(),
        }
    }

    pub fn take_mut(&mut self, input: &InputId) -> Option<&mut Take> {
        self.takes.iter_mut().find(|take| take.input == *input)
    }

    pub fn take(&self, input: &InputId) -> Option<&Take> {
        self.takes.iter().find(|take| take.input == *input)
    }

    pub fn t_ns(&self, now: MonoNs) -> i64 {
        let nanos = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
        nanos(now.0).saturating_sub(nanos(self.plan.start_at_ns.0))
    }

    /// The instant `t_ns` after its origin.
    pub fn at(&self, t_ns: i64) -> Option<MonoNs> {
        self.plan.start_at_ns.0.checked_add_signed(t_ns).map(MonoNs)
    }

    /// A journal line about this session.
    pub fn line(&self, now: Now, kind: JournalKind) -> Effect {
        Effect::Journal { dir: self.dir.clone(), t_ns: self.t_ns(now.mono), kind: Box::new(kind) }
    }

    /// Its plan is on disk, as line 1 of its journal: others may follow.
    pub fn is_written(&self) -> bool {
        !matches!(self.phase, Phase::Persisting { .. })
    }

    /// It wants media now.
    pub fn runs(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }
}

impl State {
    /// A session wants this input's media now, or is waiting for it to close its files.
    pub(super) fn is_wanted(&self, input: &InputId) -> bool {
        let Some(session) = &self.session else { return false };
        let open = session.take(input).is_some_and(|take| take.ending.is_none());
        open && matches!(session.phase, Phase::Running { .. } | Phase::Stopping { .. } | Phase::Persisting { .. })
    }

    pub(super) fn on_persisted(
        &mut self,
        now: Now,
        id: SessionId,
        result: Result<(), Unwritten>,
        out: &mut Vec<Effect>,
    ) {
        let Some(session) = self.session.as_mut().filter(|session| session.plan.id == id) else {
            self.close_abandoned(id, result.is_ok(), out);
            return;
        };
        let Phase::Persisting { waiting, .. } = &session.phase else { return };
        let waiting = waiting.clone();
        match result {
            Ok(()) => {
                session.phase = Phase::Running { since: now.mono };
                let inputs: Vec<InputId> = session.takes.iter().map(|take| take.input.clone()).collect();
                for input in &inputs {
                    self.begin_take(now, input, out);
                }
                self.answer_started(&waiting, out);
                // Somebody asked to stop meanwhile.
                if let Some(order) = self.session.as_mut().and_then(|session| session.stop.take()) {
                    self.stop_session(now, order.waiting, out);
                }
            }
            Err(why) => self.abandon(&waiting, why, out),
        }
    }

    /// The plan of the running session is on disk: its worker is told, or nobody tries until the operator asks for it. An
    /// input that waits to be asked for keeps no session open by itself.
    fn begin_take(&mut self, now: Now, id: &InputId, out: &mut Vec<Effect>) {
        if !self.input(id).is_some_and(|input| input.worker.is_quarantined()) {
            return self.start_worker(now, id, out);
        }
        if let Some(session) = &self.session {
            let incident = Incident::new(IncidentCode::WorkerGaveUp);
            out.push(session.line(now, JournalKind::Incident { input: Some(id.clone()), incident }));
        }
        self.end_unserved(id);
    }

    /// A plan reached the disk after its start was refused: its folder says that nothing was recorded.
    fn close_abandoned(&mut self, id: SessionId, written: bool, out: &mut Vec<Effect>) {
        let Some(place) = self.abandoned.iter().position(|(abandoned, _)| *abandoned == id) else { return };
        if let Some((_, dir)) = self.abandoned.remove(place)
            && written
        {
            out.push(Effect::Close { session: id, dir, state: Closed::Failed });
        }
    }

    pub(super) fn watch_session(&mut self, now: Now, out: &mut Vec<Effect>) {
        let Some(session) = &self.session else { return };
        let id = session.plan.id;
        match session.phase.clone() {
            Phase::Persisting { waiting, since } if now.mono.since(since) >= PERSIST_DEADLINE => {
                self.abandon(&waiting, "the disk did not answer in time; check it and try again".into(), out);
            }
            Phase::Running { since } if now.mono.since(since) >= EVIDENCE_DEADLINE => self.tell_partial(now, out),
            Phase::Stopping { .. }
                if session.stop.as_ref().is_some_and(|stop| now.mono.since(stop.since) >= WRITE_DEADLINE) =>
            {
                self.on_stop_written(now, id, out);
            }
            Phase::Stopping { since, signalled } => self.hurry(now, since, signalled, out),
            Phase::Closing { state, asked, retry: Some(at) } if now.mono >= at => self.close_now(id, state, asked, out),
            _ => {}
        }
    }

    /// A partial start is a visible, named incident (R-TRU-4).
    fn tell_partial(&mut self, now: Now, out: &mut Vec<Effect>) {
        let Some(session) = &mut self.session else { return };
        let started = session.takes.iter().filter(|take| take.evident).count();
        let armed = session.takes.len();
        let code = IncidentCode::PartialStart;
        if started == armed {
            self.alerts.resolve(now, super::ENGINE, code.as_str());
        } else if !session.partial_told {
            session.partial_told = true;
            let incident = Incident::new(code).with("started", started).with("armed", armed);
            out.push(session.line(now, JournalKind::Incident { input: None, incident: incident.clone() }));
            self.raise(now, super::ENGINE, incident, out);
        }
    }

    /// Workers that do not close in time are signalled; then the session is closed around them (R-SUP-8).
    fn hurry(&mut self, now: Now, since: MonoNs, signalled: bool, out: &mut Vec<Effect>) {
        let Some(session) = &mut self.session else { return };
        let late = now.mono.since(since);
        let limit = self.setup.policy.flush_deadline + STOP_MARGIN;
        let open: Vec<InputId> =
            session.takes.iter().filter(|take| take.ending.is_none()).map(|take| take.input.clone()).collect();
        // Nobody is to blame for a disk that does not answer: their time begins once it does (DESIGN §1).
        if self.inputs.iter().any(|input| open.contains(&input.spec.id) && input.waits_for_disk(now)) {
            session.phase = Phase::Stopping { since: now.mono, signalled };
            return;
        }
        if late >= limit + STOP_GIVE_UP {
            for id in &open {
                if let Some(take) = session.take_mut(id) {
                    take.ending = Some(Ending::Failed);
                }
            }
        } else if late >= limit && !signalled {
            session.phase = Phase::Stopping { since, signalled: true };
            for id in &open {
                let incident = Incident::new(IncidentCode::StopCut);
                if let Some(session) = &self.session {
                    let kind = JournalKind::Incident { input: Some(id.clone()), incident: incident.clone() };
                    out.push(session.line(now, kind));
                }
                self.raise(now, id.as_str(), incident, out);
                self.on_worker(now, id, WorkerEvent::StopLate, out);
            }
        }
    }

    /// Somebody wants the session stopped: that is written down first, so that an engine that dies now is not the end
    /// of it (R-CMD-1).
    pub(super) fn stop_session(&mut self, now: Now, waiting: Vec<Token>, out: &mut Vec<Effect>) {
        let Some(session) = &mut self.session else { return };
        self.recovery.give_up(session.plan.id);
        self.presses.stop(&waiting, session.plan.id);
        let t_ns = session.t_ns(now.mono);
        out.push(Effect::WriteStop { session: session.plan.id, dir: session.dir.clone(), t_ns });
        session.phase = Phase::Stopping { since: now.mono, signalled: false };
        session.stop = Some(StopOrder { since: now.mono, waiting });
    }

    /// The order to stop is on disk, or the disk takes too long: it is carried out either way.
    pub(super) fn on_stop_written(&mut self, now: Now, id: SessionId, out: &mut Vec<Effect>) {
        if self.session.as_ref().is_some_and(|session| session.plan.id == id) && self.answer_stop(out) {
            self.tell_stop(now, out);
        }
    }

    /// Answers whoever asked to stop; `false` = nobody waits for that.
    pub(super) fn answer_stop(&mut self, out: &mut Vec<Effect>) -> bool {
        let Some(session) = &mut self.session else { return false };
        let Some(order) = session.stop.take() else { return false };
        let body = StopReply { session_id: session.plan.id, status: "stopping".to_owned() };
        out.extend(order.waiting.into_iter().map(|token| Effect::Reply(token, Reply::Stopped(body.clone()))));
        true
    }

    /// Asks every worker of the session to close its parts.
    fn tell_stop(&mut self, now: Now, out: &mut Vec<Effect>) {
        let Some(session) = &mut self.session else { return };
        let id = session.plan.id;
        for take in &mut session.takes {
            // A worker that was never handed a ticket has nothing to close.
            if !take.ticketed && take.ending.is_none() {
                take.ending = Some(Ending::Failed);
            }
        }
        let inputs: Vec<InputId> = session.takes.iter().map(|take| take.input.clone()).collect();
        for input in inputs {
            let linked = self.input(&input).is_some_and(|input| input.worker.is_linked());
            let open = self
                .session
                .as_ref()
                .and_then(|session| session.take(&input))
                .is_some_and(|take| take.ending.is_none());
            if linked && open && self.is_told_of(&input, id) {
                self.stop_worker(now, &input, id, out);
            } else if linked
                && open
                && let Some(take) = self.session.as_mut().and_then(|session| session.take_mut(&input))
            {
                // It replaced one that died, and its ticket was still on the way: there is nothing to close.
                take.ending = Some(Ending::Failed);
            }
        }
        out.extend(self.strays.iter_mut().filter(|stray| stray.orphan() == Some(id)).map(|stray| stray.tell(now)));
    }
}

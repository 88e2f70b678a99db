//! The engine's state machine. Pure: `handle(now, event) -> Vec<Effect>`; [`super::effect`] performs.
//!
//! Contract: at most one session at any time; nothing is called recording without a worker's own evidence that
//! is younger than [`EVIDENCE_AGE`](view::EVIDENCE_AGE); a session is answered only after its plan is on disk;
//! Stop is always carried out; media is never touched here.

mod adoption;
mod alarms;
mod clock;
mod closing;
mod commands;
mod evidence;
mod governor;
mod handover;
mod health;
mod inhibit;
mod interrupted;
mod keys;
mod markers;
mod memory;
mod operations;
mod order;
mod orders;
mod oversight;
mod pause;
mod presses;
mod priority;
mod proof;
mod recovered;
mod session;
mod setup;
mod stalls;
mod storage;
mod strays;
mod told;
mod traces;
mod view;
mod waiting;
mod workers;

pub use setup::Setup;

use super::alerts::Alerts;
use super::event::{Effect, Event, Now, Space, WorkerUsage};
use super::governor::{Budgets, Governor};
use super::headroom::Headroom;
use super::history::Trace;
use super::kept::Kept;
use super::orders::Orders;
use super::restart::Restarts;
use super::worker_state::{Worker, WorkerEvent};
use crate::model::incident::Incident;
use crate::model::snapshot::{LastSession, PriorityView};
use crate::model::{InputId, MonoNs, SessionId};
use closing::leave_alone;
use handover::Handover;
use interrupted::Recovery;
use keys::Keys;
use oversight::Oversight;
use proof::Proofs;
use session::{Phase, Session};
use setup::Input;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;
use strays::Stray;
use told::Told;
use waiting::{Asked, Waiting};

/// A file system that has not answered for this long is not known (it is asked every second).
const SPACE_AGE: Duration = Duration::from_secs(6);
/// Name of what belongs to no input, in alerts.
const ENGINE: &str = "engine";

/// See the module.
#[derive(Debug)]
pub struct State {
    setup: Setup,
    inputs: Vec<Input>,
    strays: Vec<Stray>,
    session: Option<Session>,
    last_session: Option<LastSession>,
    keys: Keys,
    recovery: Recovery,
    proofs: Proofs,
    waiting: Waiting,
    marks: markers::Marks,
    headroom: Headroom,
    presses: presses::Presses,
    order: order::Order,
    /// There is something new in what is remembered of the inputs.
    traced: bool,
    /// Starts that were refused because their plans were late, oldest first; a plan may still reach the disk.
    abandoned: VecDeque<(SessionId, PathBuf)>,
    space: Option<(MonoNs, Space)>,
    /// The priority that was achieved, as it was told last.
    protection: PriorityView,
    storage: storage::Storage,
    /// Alerts; the publisher takes changes out.
    pub alerts: Alerts,
    clocks: clock::Clocks,
    /// The machine is to be kept awake.
    awake: bool,
    oversight: Oversight,
    governor: Governor,
    budgets: Budgets,
    leaving: Option<MonoNs>,
    /// The last event, and whether a pause before it was taken out of everything.
    listened: (MonoNs, bool),
}

impl State {
    /// The state at start-up, and the first effects: look who holds the workers' locks.
    pub fn new(now: Now, setup: Setup) -> (Self, Vec<Effect>) {
        let mut effects = Vec::new();
        let mut inputs = Vec::new();
        for spec in &setup.inputs {
            let earlier = setup.restarts.get(&spec.id).cloned().unwrap_or_default();
            let (worker, acts) = Worker::new(now.mono, earlier);
            effects.extend(acts.into_iter().map(|act| Effect::Worker(spec.id.clone(), act)));
            inputs.push(Input {
                spec: spec.clone(),
                worker,
                status: None,
                orphan: None,
                handover: Handover::default(),
                usage: WorkerUsage::default(),
                frozen: None,
                orders: Orders::default(),
                told: Told::default(),
                shed: None,
                commands: 0,
                trace: Trace::default(),
                mended: recovered::Mended::default(),
            });
        }
        let (strays, looks): (Vec<_>, Vec<_>) = setup.strays.iter().map(|id| Stray::new(now, id.clone())).unzip();
        effects.extend(looks);
        let mut alerts = Alerts::restore(setup.alerts.clone());
        alerts.forget_causes(now);
        let mut state = Self {
            inputs,
            strays,
            session: None,
            last_session: None,
            keys: Keys::default(),
            recovery: Recovery::default(),
            proofs: Proofs::default(),
            waiting: Waiting::new(),
            marks: markers::Marks::default(),
            headroom: Headroom::default(),
            presses: presses::Presses::default(),
            order: order::Order::new(setup.order.clone()),
            traced: false,
            abandoned: VecDeque::new(),
            space: None,
            protection: PriorityView::unknown(),
            storage: storage::Storage::default(),
            alerts,
            clocks: clock::Clocks::new(setup.clocks),
            awake: false,
            oversight: Oversight::new(setup.epoch),
            governor: Governor::new(setup.degradation.clone()),
            budgets: Budgets::default(),
            leaving: None,
            listened: (now.mono, false),
            setup,
        };
        state.recall_memory(state.setup.measured.clone());
        (state, effects)
    }

    /// Decides what an event means and what has to be done.
    pub fn handle(&mut self, now: Now, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        let closing = self.closing_dir();
        self.notice_pause(now.mono);
        if let Event::Superseded { epoch } = event {
            // Whatever else this engine had in mind is another one's business now.
            return vec![Effect::Abandon { epoch }];
        }
        // Not in the event that closed the session before: clients are to see that nothing runs.
        self.advance_waiting(now, &mut out);
        match event {
            Event::Worker { input, event } => self.on_worker(now, &input, event, &mut out),
            Event::Status { input, link, status } => self.on_status(now, &input, link, *status, &mut out),
            Event::Fact { input, session, t_ns, fact } => self.on_fact(now, &input, session, t_ns, fact, &mut out),
            Event::Ack { input, link, command, refused } => self.on_ack(now, &input, link, command, refused, &mut out),
            Event::Numbered { input, link, session, result } => {
                self.on_numbered(now, &input, link, session, result, &mut out);
            }
            Event::Pressed { token, at, trace } => self.presses.press(token, at, trace),
            Event::Start(command) => self.on_asked(now, Asked::Start(command), &mut out),
            Event::Stop { token, session } => self.on_asked(now, Asked::Stop(token, session), &mut out),
            Event::Split { token, session } => self.on_asked(now, Asked::Split(token, session), &mut out),
            Event::Mark(command) => self.on_asked(now, Asked::Mark(command), &mut out),
            Event::Marked { session, n, result } => self.on_marked(session, n, result, &mut out),
            Event::Retry { token, input } => self.on_asked(now, Asked::Retry(token, input), &mut out),
            Event::ClearClip { token, input } => self.on_clear_clip(now, token, &input, &mut out),
            Event::Order { token, request } => self.on_order(token, request, &mut out),
            Event::Acknowledge { token, alert } => self.on_acknowledge(token, alert, &mut out),
            Event::Cleanup { token, operation } => self.on_cleanup(now, token, operation, &mut out),
            Event::Persisted { session, result } => self.on_persisted(now, session, result, &mut out),
            Event::StopWritten { session } => self.on_stop_written(now, session, &mut out),
            Event::Closed { session, dir, result } => self.on_closed(now, session, &dir, result, &mut out),
            Event::Superseded { .. } => {}
            Event::Adopted { session, result } => self.on_adopted(now, session, result, &mut out),
            Event::Found { interrupted, last } => self.on_found(interrupted, last),
            Event::Unread(unread) => self.on_unread(now, unread, &mut out),
            Event::Searched { interrupted, last } => self.on_searched(interrupted, last),
            Event::Unproved(sessions) => self.on_unproved(sessions),
            Event::Proof { number, event } => self.on_proof(now, number, event, &mut out),
            Event::Plans(plans) => self.keys.complete(now, &self.setup.boot_id, &plans),
            Event::Recalled(kept) => self.on_recalled(now, *kept, &mut out),
            Event::Usage(usage) => self.on_usage(now, usage),
            Event::Load(load) => self.on_load(now, load, &mut out),
            Event::Resources(seen) => self.on_resources(now, *seen, &mut out),
            Event::Protection(protection) => self.on_protection(now, *protection, &mut out),
            Event::Space(space) => self.on_space(now, space, &mut out),
            Event::Storage(event) => self.on_storage(now, event, &mut out),
            Event::Inhibit(event) => self.on_inhibit(now, event, &mut out),
            Event::Clocks(seen) => self.on_clocks(now, seen, &mut out),
            Event::Leave => self.on_leave(now, &mut out),
            Event::Tick => self.on_tick(now, &mut out),
        }
        self.advance(now, &mut out);
        self.watch_presses(now, &mut out);
        self.write_clocks(&mut out);
        self.keep_awake(now, &mut out);
        self.tell_raised(now, &mut out);
        leave_alone(closing.as_deref(), &mut out);
        out
    }

    /// What an earlier engine left comes behind what has happened since: attempts count together, and of an alert that both
    /// have the newer one stays.
    fn on_recalled(&mut self, now: Now, kept: Kept, out: &mut Vec<Effect>) {
        let restarts = kept.restarts_in(&self.setup.boot_id);
        self.recall_clocks(kept.clocks_in(&self.setup.boot_id));
        self.recall_memory(kept.measured_in(&self.setup.boot_id));
        self.recall_order(kept.order);
        self.alerts.recall(now, kept.alerts);
        for (id, earlier) in restarts {
            self.on_worker(now, &id, WorkerEvent::Recalled { earlier }, out);
        }
    }

    /// How often workers were replaced: kept for the next engine.
    pub fn restarts(&self) -> BTreeMap<InputId, Restarts> {
        let restarts = |input: &Input| (input.spec.id.clone(), input.worker.restarts().clone());
        self.inputs.iter().map(restarts).filter(|(_, restarts)| *restarts != Restarts::default()).collect()
    }

    /// Nothing records, closes or is about to.
    pub fn is_idle(&self) -> bool {
        let session = self.session.as_ref().is_none_or(|session| session.phase == Phase::Over);
        session && self.inputs.iter().all(|input| input.orphan.is_none())
    }

    /// It was told to leave.
    pub fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// Room on the library's file system, when it was asked lately.
    fn space(&self, now: MonoNs) -> Option<Space> {
        self.space.filter(|(at, _)| now.since(*at) < SPACE_AGE).map(|(_, space)| space)
    }

    fn on_usage(&mut self, now: Now, usage: Vec<(InputId, WorkerUsage)>) {
        for (id, usage) in usage {
            if let Some(input) = self.input_mut(&id) {
                input.usage = usage;
            }
        }
        self.watch_memory(now);
        self.watch_budgets(now);
    }

    fn on_tick(&mut self, now: Now, out: &mut Vec<Effect>) {
        let ids: Vec<InputId> = self.inputs.iter().map(|input| input.spec.id.clone()).collect();
        for id in ids {
            self.on_worker(now, &id, WorkerEvent::Tick, out);
            self.watch_handover(now, &id, out);
            self.watch_orders(now, &id, out);
        }
        self.watch_session(now, out);
        self.watch_marks(now, out);
        self.watch_proof(now, out);
        self.watch_clocks(now);
        self.watch_operations(now);
        self.watch_errors(now);
        self.watch_traces(now.mono);
        self.govern(now, out);
    }

    fn on_leave(&mut self, now: Now, out: &mut Vec<Effect>) {
        if self.leaving.is_some() {
            return;
        }
        self.leaving = Some(now.mono);
        self.leave_proof(out);
        for place in 0..self.inputs.len() {
            // A recording worker goes on alone; the next engine finds it by its lock.
            if self.stays(&self.inputs[place]) {
                continue;
            }
            let id = self.inputs[place].spec.id.clone();
            self.on_worker(now, &id, WorkerEvent::Leave, out);
        }
    }

    /// Its worker outlives this engine: it records, or somebody else's does not say whether it does.
    fn stays(&self, input: &Input) -> bool {
        let id = &input.spec.id;
        let unheard = input.worker.is_unheard() && self.may_record(id);
        self.is_wanted(id) || input.orphan.is_some() || unheard
    }

    /// Steps that follow from the state alone, whatever event came.
    fn advance(&mut self, now: Now, out: &mut Vec<Effect>) {
        if let Some(since) = self.leaving {
            self.advance_waiting(now, out);
            self.advance_leaving(now, since, out);
            return;
        }
        self.adopt_interrupted(now, out);
        self.advance_session(now, out);
        self.recover_next(now, out);
        self.prove_next(now, out);
    }

    fn advance_leaving(&mut self, now: Now, since: MonoNs, out: &mut Vec<Effect>) {
        let left: Vec<InputId> = self
            .inputs
            .iter()
            .filter(|input| !self.stays(input) && !input.worker.is_gone())
            .map(|input| input.spec.id.clone())
            .collect();
        let late = now.mono.since(since);
        if left.is_empty() || late >= LEAVE_DEADLINE + super::worker_state::KILL_AFTER {
            out.push(Effect::Exit);
        } else if late >= LEAVE_DEADLINE {
            for id in left {
                self.on_worker(now, &id, WorkerEvent::StopLate, out);
            }
        }
    }

    fn input(&self, id: &InputId) -> Option<&Input> {
        self.inputs.iter().find(|input| input.spec.id == *id)
    }

    fn input_mut(&mut self, id: &InputId) -> Option<&mut Input> {
        self.inputs.iter_mut().find(|input| input.spec.id == *id)
    }

    /// Raises an incident whose cause goes on, once; what is said of it is kept true.
    fn keep(&mut self, now: Now, source: &str, incident: Incident, out: &mut Vec<Effect>) {
        self.alerts.keep(now, source, &incident);
        self.tell_raised(now, out);
    }

    fn raise(&mut self, now: Now, source: &str, incident: Incident, out: &mut Vec<Effect>) {
        self.alerts.raise(now, source, &incident);
        self.tell_raised(now, out);
    }
}

/// How long dismissed workers may take to leave before they are signalled (R-SUP-13 leaves 5 s in all).
const LEAVE_DEADLINE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests;

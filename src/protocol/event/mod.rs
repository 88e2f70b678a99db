//! The event stream of `GET /api/v1/events`, and the one fold that turns it back into the snapshot.
//!
//! Contract: a stream begins with [`Event::Sync`], or, for a client that asked `?since=`, with everything it missed.
//! Every later message replaces whole objects by id, so the engine and all clients that fold the same messages
//! ([`Event::fold`]) hold the same [`Snapshot`], whenever they joined. The fold never fails, and a message that was
//! folded already changes nothing.

use crate::model::snapshot::{
    Alert, AlertCounts, InputView, LastSession, LevelView, PriorityView, ServiceView, SessionView, Snapshot,
    StorageView,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One message of the stream. `seq` counts changes of the state; messages without it change no state word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// The whole state; first message, and after a resync.
    Sync {
        /// Sequence number of the state.
        seq: u64,
        /// Wall clock.
        at: Timestamp,
        /// The state.
        data: Box<Snapshot>,
    },
    /// One input changed.
    Input {
        /// Sequence number.
        seq: u64,
        /// Wall clock.
        at: Timestamp,
        /// The input; replaces the one with its id.
        data: Box<InputView>,
    },
    /// The running session changed; `null` = nothing runs any more.
    Session {
        /// Sequence number.
        seq: u64,
        /// Wall clock.
        at: Timestamp,
        /// The session.
        data: Option<SessionView>,
    },
    /// A session ended, or more became known about the last one: its verdict comes long after `session` has become
    /// `null`, so the snapshot's `last_session` travels on its own.
    LastSession {
        /// Sequence number.
        seq: u64,
        /// Wall clock.
        at: Timestamp,
        /// The last session.
        data: Option<LastSession>,
    },
    /// The library's file system appeared, vanished or moved.
    Storage {
        /// Sequence number.
        seq: u64,
        /// Wall clock.
        at: Timestamp,
        /// The storage.
        data: StorageView,
    },
    /// The load level changed.
    Level {
        /// Sequence number.
        seq: u64,
        /// Wall clock.
        at: Timestamp,
        /// The level.
        data: LevelView,
    },
    /// An external service changed.
    Service {
        /// Sequence number.
        seq: u64,
        /// Wall clock.
        at: Timestamp,
        /// The service; replaces the one with its name.
        data: ServiceView,
    },
    /// The achieved priority changed.
    Priority {
        /// Sequence number.
        seq: u64,
        /// Wall clock.
        at: Timestamp,
        /// The priority.
        data: PriorityView,
    },
    /// An alert is new, was repeated, or its cause has gone. Not part of the snapshot; see [`fold_alert`].
    Alert {
        /// Sequence number.
        seq: u64,
        /// Wall clock.
        at: Timestamp,
        /// The alert; replaces the one with its id.
        data: Box<Alert>,
    },
    /// The counts of active alerts changed.
    Alerts {
        /// Sequence number.
        seq: u64,
        /// Wall clock.
        at: Timestamp,
        /// The counts.
        data: AlertCounts,
    },
    /// Fast counters (media time, bytes, meters, memory), at most twice a second. Losing one loses nothing.
    Sample {
        /// Wall clock.
        at: Timestamp,
        /// The objects whose counters moved.
        data: Box<Sample>,
    },
    /// Every second (R-TRU-8).
    Heartbeat {
        /// Wall clock.
        at: Timestamp,
    },
}

/// Objects of the snapshot of which only counters changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Sample {
    /// The running session, when its counters moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionView>,
    /// Inputs whose counters moved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<InputView>,
    /// The storage, when its numbers moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageView>,
    /// The load level, when its numbers moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<LevelView>,
}

impl Event {
    /// The sequence number of a change of state.
    pub fn seq(&self) -> Option<u64> {
        match self {
            Event::Sync { seq, .. }
            | Event::Input { seq, .. }
            | Event::Session { seq, .. }
            | Event::LastSession { seq, .. }
            | Event::Storage { seq, .. }
            | Event::Level { seq, .. }
            | Event::Service { seq, .. }
            | Event::Priority { seq, .. }
            | Event::Alert { seq, .. }
            | Event::Alerts { seq, .. } => Some(*seq),
            Event::Sample { .. } | Event::Heartbeat { .. } => None,
        }
    }

    /// The message that gives a client that knows nothing the whole of `snapshot`.
    pub fn replicate(at: Timestamp, snapshot: &Snapshot) -> Self {
        Event::Sync { seq: snapshot.seq, at, data: Box::new(snapshot.clone()) }
    }

    /// The message that follows the events a client missed: counters travel without numbers, so what moved meanwhile
    /// is told whole. After it the client holds `snapshot`.
    pub fn catch_up(at: Timestamp, snapshot: &Snapshot) -> Self {
        let (session, inputs) = (snapshot.session.clone(), snapshot.inputs.clone());
        let (storage, level) = (Some(snapshot.storage.clone()), Some(snapshot.level.clone()));
        let data = Sample { session, inputs, storage, level };
        Event::Sample { at, data: Box::new(data) }
    }

    /// Folds the message into what a client holds: nothing before the first [`Event::Sync`].
    pub fn fold(&self, held: &mut Option<Snapshot>) {
        match (self, held) {
            (Event::Sync { data, .. }, held) => *held = Some((**data).clone()),
            (event, Some(snapshot)) => event.apply(snapshot),
            // Nothing can be folded into nothing.
            (_, None) => {}
        }
    }

    /// Folds the message into `snapshot`: whole objects are replaced by id, everything else stays.
    pub fn apply(&self, snapshot: &mut Snapshot) {
        if let Event::Sync { data, .. } = self {
            *snapshot = (**data).clone();
            return;
        }
        if self.seq().is_some_and(|seq| seq <= snapshot.seq) {
            return;
        }
        match self {
            Event::Input { data, .. } => replace_input(snapshot, data),
            Event::Session { data, .. } => snapshot.session.clone_from(data),
            Event::LastSession { data, .. } => snapshot.last_session.clone_from(data),
            Event::Storage { data, .. } => snapshot.storage = data.clone(),
            Event::Level { data, .. } => snapshot.level = data.clone(),
            Event::Service { data, .. } => replace_service(snapshot, data),
            Event::Priority { data, .. } => snapshot.priority = data.clone(),
            Event::Alerts { data, .. } => snapshot.alerts = *data,
            Event::Sample { data, .. } => apply_sample(snapshot, data),
            Event::Sync { .. } | Event::Alert { .. } | Event::Heartbeat { .. } => {}
        }
        if let Some(seq) = self.seq() {
            snapshot.seq = seq;
        }
    }
}

fn apply_sample(snapshot: &mut Snapshot, sample: &Sample) {
    if let Some(session) = &sample.session {
        snapshot.session = Some(session.clone());
    }
    for input in &sample.inputs {
        replace_input(snapshot, input);
    }
    if let Some(storage) = &sample.storage {
        snapshot.storage = storage.clone();
    }
    if let Some(level) = &sample.level {
        snapshot.level = level.clone();
    }
}

fn replace_input(snapshot: &mut Snapshot, input: &InputView) {
    match snapshot.inputs.iter_mut().find(|known| known.id == input.id) {
        Some(known) => *known = input.clone(),
        None => snapshot.inputs.push(input.clone()),
    }
}

fn replace_service(snapshot: &mut Snapshot, service: &ServiceView) {
    match snapshot.services.iter_mut().find(|known| known.name == service.name) {
        Some(known) => *known = service.clone(),
        None => snapshot.services.push(service.clone()),
    }
}

/// Folds an alert into a list whose cause that came last is first: replaced by id; a new one, and one whose cause has come
/// again, goes to the front, as in the engine's own list.
pub fn fold_alert(alerts: &mut Vec<Alert>, alert: &Alert) {
    let place = alerts.iter().position(|known| known.id == alert.id);
    match place.filter(|place| (alerts[*place].count, alerts[*place].more) >= (alert.count, alert.more)) {
        Some(place) => alerts[place] = alert.clone(),
        None => {
            place.into_iter().for_each(|place| drop(alerts.remove(place)));
            alerts.insert(0, alert.clone());
        }
    }
}

//! Clients that join anywhere, with or without a number, and lose what they like: none ever disagrees.

use super::*;
use crate::model::incident::Severity;
use crate::model::snapshot::*;
use crate::model::{InputId, SessionId};
use proptest::prelude::*;
use std::collections::VecDeque;

/// Messages that may wait for one client of these tests; small, so that clients fall behind often.
const WAITING: usize = 6;

pub(in crate::engine) fn empty() -> Snapshot {
    Snapshot {
        version: SNAPSHOT_VERSION,
        seq: 0,
        session: None,
        last_session: None,
        inputs: Vec::new(),
        storage: StorageView { path: "/x".into(), free_bytes: None, total_bytes: Some(9), seconds_left: None },
        level: LevelView { name: LevelName::Normal, causes: Vec::new(), actions: Vec::new(), cpu_percent: Some(20) },
        alerts: AlertCounts::default(),
        services: Vec::new(),
        priority: PriorityView::unknown(),
    }
}

pub(in crate::engine) fn input(id: &str, state: InputState, media_ms: Option<u64>) -> InputView {
    let id: InputId = id.parse().expect("an id");
    let recording = |media_ms| RecordingView {
        state: RecordingState::Recording,
        verdict: None,
        part: 1,
        file: Some(format!("{id}.mp4")),
        media_ms: Some(media_ms),
        safe_ms: Some(media_ms),
        bytes: Some(media_ms),
        bytes_per_s: None,
        frames: Frames { written: Some(media_ms / 33), ..Frames::default() },
    };
    InputView {
        name: id.to_string(),
        kind: "test".into(),
        state,
        since: None,
        recording_since: None,
        detail: None,
        detail_code: None,
        detail_params: Default::default(),
        armed: true,
        importance: 0,
        health: Health { verdict: HealthVerdict::Healthy, reasons: Vec::new() },
        retry: RetryView { state: RetryState::Idle, attempt: 0, max: None, next_in_ms: None, error_class: None },
        signal: None,
        breaker: BreakerState::Closed,
        worker: None,
        preview: PreviewView::OFF,
        audio: Vec::new(),
        recording: media_ms.map(recording),
        id,
    }
}

fn session(number: u128, state: SessionState, media_ms: Option<u64>) -> SessionView {
    SessionView {
        id: SessionId(uuid::Uuid::from_u128(number)),
        name: "x".parse().expect("a name"),
        state,
        started_at: Timestamp::UNIX_EPOCH,
        dir: "/x".into(),
        media_ms,
        safe_ms: media_ms,
        open: true,
        markers: Default::default(),
    }
}

fn any_input(id: &'static str) -> impl Strategy<Value = InputView> {
    let state = prop_oneof![Just(InputState::Live), Just(InputState::NoSignal)];
    (state, prop::option::of(0u64..3)).prop_map(move |(state, media)| input(id, state, media))
}

fn any_session() -> impl Strategy<Value = Option<SessionView>> {
    let state = prop_oneof![Just(SessionState::Recording), Just(SessionState::Stopping)];
    prop::option::of(
        (1u128..3, state, prop::option::of(0u64..3)).prop_map(|(n, state, media)| session(n, state, media)),
    )
}

fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let level = prop_oneof![Just(LevelName::Normal), Just(LevelName::Warn)];
    let service = prop_oneof![Just(ServiceState::Ok), Just(ServiceState::Down)];
    let level = (level, prop::option::of(0u8..3));
    let rest = (prop::option::of(0u64..3), 0u32..3, level, service, prop::option::of(Just(vec![1])));
    (any_session(), any_input("cam1"), any_input("cam2"), rest).prop_map(|(session, one, two, rest)| {
        let (free, critical, (level, percent), state, cpus) = rest;
        let mut snapshot = Snapshot { session, inputs: vec![one, two], ..empty() };
        (snapshot.storage.free_bytes, snapshot.storage.seconds_left) = (free, free);
        snapshot.alerts.critical = critical;
        snapshot.level.name = level;
        snapshot.level.cpu_percent = percent;
        snapshot.services = vec![ServiceView { name: "mediamtx".into(), state, version: None, detail: String::new() }];
        snapshot.priority.cpus = cpus;
        snapshot
    })
}

#[derive(Debug, Clone)]
enum Op {
    /// The engine's state is another one, and some time has passed.
    Becomes(Box<Snapshot>, u64),
    /// An alert is raised.
    Alert,
    /// A client comes, or comes back with the number it had come to.
    Joins(usize),
    /// A client comes back without one.
    Forgets(usize),
    /// A client goes; what was on its way is lost.
    Leaves(usize),
    /// A client reads some of what waits for it.
    Reads(usize, usize),
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (any_snapshot(), 50u64..900).prop_map(|(snapshot, ms)| Op::Becomes(Box::new(snapshot), ms)),
        1 => Just(Op::Alert),
        2 => (0usize..3).prop_map(Op::Joins),
        1 => (0usize..3).prop_map(Op::Forgets),
        1 => (0usize..3).prop_map(Op::Leaves),
        3 => (0usize..3, 1usize..5).prop_map(|(client, count)| Op::Reads(client, count)),
    ]
}

/// A client as the server keeps it: a bounded queue, and the whole state again when it is full.
#[derive(Default)]
struct Client {
    held: Option<Snapshot>,
    waiting: Option<VecDeque<Arc<Event>>>,
}

impl Client {
    fn join(&mut self, publisher: &Publisher) {
        let since = self.held.as_ref().map(|held| held.seq);
        self.waiting = Some(publisher.begin(Timestamp::UNIX_EPOCH, since).into());
    }

    fn tell(&mut self, publisher: &Publisher, event: &Arc<Event>) {
        let Some(waiting) = &mut self.waiting else { return };
        if waiting.len() >= WAITING {
            *waiting = publisher.begin(Timestamp::UNIX_EPOCH, None).into();
        } else {
            waiting.push_back(event.clone());
        }
    }

    fn read(&mut self, count: usize) {
        let Some(waiting) = &mut self.waiting else { return };
        for event in waiting.drain(..count.min(waiting.len())) {
            event.fold(&mut self.held);
        }
    }
}

fn alert(seq: u64) -> Alert {
    Alert {
        id: seq,
        seq,
        at: Timestamp::UNIX_EPOCH,
        last_at: None,
        severity: Severity::Info,
        source: "engine".into(),
        code: "x".into(),
        params: Default::default(),
        message: String::new(),
        count: 1,
        more: 0,
        state: AlertState::Active,
        resolved_at: None,
        acknowledged: false,
        actions: Vec::new(),
    }
}

fn now(ms: u64) -> Now {
    Now { mono: MonoNs(ms * 1_000_000), at: Timestamp::UNIX_EPOCH }
}

proptest! {
    #[test]
    fn two_clients_never_disagree(ops in prop::collection::vec(any_op(), 1..80), floor in 0u64..9) {
        let mut publisher = Publisher::new(empty(), floor);
        let mut clients: [Client; 3] = Default::default();
        let (mut ms, mut last_seq, mut state) = (1000, floor, empty());
        for op in ops {
            let mut raised = false;
            match op {
                Op::Becomes(next, after) => (state, ms) = (*next, ms + after),
                Op::Alert => raised = true,
                Op::Joins(client) => clients[client].join(&publisher),
                Op::Forgets(client) => {
                    clients[client].held = None;
                    clients[client].join(&publisher);
                }
                Op::Leaves(client) => clients[client].waiting = None,
                Op::Reads(client, count) => clients[client].read(count),
            }
            let alerts = |seq: &mut u64| if raised { *seq += 1; vec![alert(*seq)] } else { Vec::new() };
            for event in publisher.update(now(ms), &state, alerts) {
                if let Some(seq) = event.seq() {
                    prop_assert_eq!(seq, last_seq + 1);
                    last_seq = seq;
                }
                clients.iter_mut().for_each(|client| client.tell(&publisher, &event));
            }
        }
        for event in publisher.update(now(ms + 1000), &state, |_| Vec::new()) {
            clients.iter_mut().for_each(|client| client.tell(&publisher, &event));
        }
        state.seq = publisher.seq();
        for client in &mut clients {
            if client.waiting.is_none() {
                client.join(&publisher);
            }
            client.read(usize::MAX);
            prop_assert_eq!(client.held.as_ref(), Some(&state));
        }
    }
}

#[test]
fn counters_alone_do_not_travel_more_than_twice_a_second() {
    let mut publisher = Publisher::new(empty(), 0);
    let events = (1..=20u64).map(|n| {
        let mut next = empty();
        (next.storage.free_bytes, next.storage.seconds_left) = (Some(n), Some(n));
        next.level.cpu_percent = Some(n as u8);
        let events = publisher.update(now(1000 + n * 100), &next, |_| Vec::new());
        events.iter().filter(|event| matches!(***event, Event::Sample { .. })).count()
    });
    // The disk's first change, from unknown to known, is an event of its own; what only counts travels every 0.5 s.
    assert_eq!(events.sum::<usize>(), 4);
    assert_eq!(publisher.seq(), 1);
}

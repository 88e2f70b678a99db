//! From one snapshot to the next: the events that tell clients about it. Pure.
//!
//! Contract: a client that folds what [`Publisher::update`] returns holds the published snapshot, word for word;
//! counters alone travel at most every [`SAMPLE_EVERY`], without a sequence number.

use super::event::Now;
use crate::model::MonoNs;
use crate::model::snapshot::{Alert, InputView, SessionView, Snapshot, StorageView};
use crate::protocol::event::{Event, Sample};
use std::time::Duration;

/// Fast counters travel at most twice a second (DESIGN §4).
pub const SAMPLE_EVERY: Duration = Duration::from_millis(500);

/// What the clients were told.
#[derive(Debug)]
pub struct Publisher {
    told: Snapshot,
    sampled: MonoNs,
}

impl Publisher {
    /// Starts at `first`, with sequence numbers above `seq`.
    pub fn new(mut first: Snapshot, seq: u64) -> Self {
        first.seq = seq;
        Self { told: first, sampled: MonoNs(0) }
    }

    /// The sequence number of the last change.
    pub fn seq(&self) -> u64 {
        self.told.seq
    }

    /// The events that lead to `next`; `alerts` numbers and returns the alerts that changed.
    pub fn update(&mut self, now: Now, next: &Snapshot, alerts: impl FnOnce(&mut u64) -> Vec<Alert>) -> Vec<Event> {
        let mut events = self.changes(now, next);
        let mut seq = self.told.seq + u64::try_from(events.len()).unwrap_or(0);
        let changed = alerts(&mut seq);
        events.extend(changed.into_iter().map(|alert| Event::Alert {
            seq: alert.seq,
            at: now.at,
            data: Box::new(alert),
        }));
        if now.mono.since(self.sampled) >= SAMPLE_EVERY {
            let sample = self.sample(next, &events);
            if sample != Sample::default() {
                events.push(Event::Sample { at: now.at, data: Box::new(sample) });
            }
            self.sampled = now.mono;
        }
        for event in &events {
            event.apply(&mut self.told);
        }
        events
    }

    /// Changes of words, each with its number.
    fn changes(&self, now: Now, next: &Snapshot) -> Vec<Event> {
        let (told, at) = (&self.told, now.at);
        let mut seq = told.seq;
        let mut number = || {
            seq += 1;
            seq
        };
        let mut events = Vec::new();
        for input in &next.inputs {
            let known = told.inputs.iter().find(|known| known.id == input.id);
            if known.is_none_or(|known| input_words(known) != input_words(input)) {
                events.push(Event::Input { seq: number(), at, data: Box::new(input.clone()) });
            }
        }
        // Before the session goes: who waits for its end wants to know how it ended.
        if told.last_session != next.last_session {
            events.push(Event::LastSession { seq: number(), at, data: next.last_session.clone() });
        }
        if told.session.as_ref().map(session_words) != next.session.as_ref().map(session_words) {
            events.push(Event::Session { seq: number(), at, data: next.session.clone() });
        }
        if storage_words(&told.storage) != storage_words(&next.storage) {
            events.push(Event::Storage { seq: number(), at, data: next.storage.clone() });
        }
        if told.level != next.level {
            events.push(Event::Level { seq: number(), at, data: next.level.clone() });
        }
        if told.priority != next.priority {
            events.push(Event::Priority { seq: number(), at, data: next.priority.clone() });
        }
        if told.alerts != next.alerts {
            events.push(Event::Alerts { seq: number(), at, data: next.alerts });
        }
        events
    }

    /// Objects whose counters moved and that `events` do not carry anyway.
    fn sample(&self, next: &Snapshot, events: &[Event]) -> Sample {
        let mut told = self.told.clone();
        for event in events {
            event.apply(&mut told);
        }
        let moved = |input: &&InputView| told.inputs.iter().find(|known| known.id == input.id) != Some(*input);
        Sample {
            session: next.session.clone().filter(|_| told.session != next.session),
            inputs: next.inputs.iter().filter(moved).cloned().collect(),
            storage: (told.storage != next.storage).then(|| next.storage.clone()),
        }
    }
}

fn input_words(input: &InputView) -> InputView {
    let mut words = input.clone();
    words.audio.clear();
    words.preview.fps = None;
    words.retry.next_in_ms = None;
    if let Some(signal) = &mut words.signal {
        signal.fps = signal.fps.map(f64::round);
    }
    if let Some(worker) = &mut words.worker {
        (worker.uptime_ms, worker.rss_bytes, worker.cpu_percent) = (0, None, None);
    }
    if let Some(recording) = &mut words.recording {
        (recording.media_ms, recording.safe_ms) = (None, None);
        (recording.bytes, recording.bytes_per_s) = (None, None);
        recording.frames = Default::default();
    }
    words
}

fn session_words(session: &SessionView) -> SessionView {
    SessionView { media_ms: None, safe_ms: None, ..session.clone() }
}

fn storage_words(storage: &StorageView) -> (String, bool, Option<u64>) {
    (storage.path.clone(), storage.free_bytes.is_some(), storage.total_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::snapshot::{AlertCounts, LevelName, LevelView, PriorityVia, PriorityView, SNAPSHOT_VERSION};
    use jiff::Timestamp;
    use proptest::prelude::*;

    fn snapshot(free: Option<u64>, critical: u32, level: LevelName, cpus: Option<Vec<u32>>) -> Snapshot {
        Snapshot {
            version: SNAPSHOT_VERSION,
            seq: 0,
            session: None,
            last_session: None,
            inputs: Vec::new(),
            storage: StorageView { path: "/x".into(), free_bytes: free, total_bytes: Some(9), seconds_left: free },
            level: LevelView { name: level, causes: Vec::new(), actions: Vec::new() },
            alerts: AlertCounts { critical, ..AlertCounts::default() },
            services: Vec::new(),
            priority: PriorityView { nice: None, via: PriorityVia::None, cpus, io: None, oom_score_adj_ui: None },
        }
    }

    fn any_snapshot() -> impl Strategy<Value = Snapshot> {
        let level = prop_oneof![Just(LevelName::Normal), Just(LevelName::Warn)];
        (prop::option::of(0u64..3), 0u32..3, level, prop::option::of(Just(vec![1])))
            .prop_map(|(free, critical, level, cpus)| snapshot(free, critical, level, cpus))
    }

    proptest! {
        #[test]
        fn a_client_that_folds_the_events_holds_the_snapshot(states in prop::collection::vec(any_snapshot(), 1..30)) {
            let first = snapshot(None, 0, LevelName::Normal, None);
            let mut publisher = Publisher::new(first.clone(), 7);
            let mut client = Snapshot { seq: 7, ..first };
            let mut last_seq = 7;
            for (n, mut next) in (1u64..).zip(states) {
                let now = Now { mono: MonoNs(n * 1_000_000_000), at: Timestamp::UNIX_EPOCH };
                for event in publisher.update(now, &next, |_| Vec::new()) {
                    if let Some(seq) = event.seq() {
                        prop_assert_eq!(seq, last_seq + 1);
                        last_seq = seq;
                    }
                    event.apply(&mut client);
                }
                next.seq = publisher.seq();
                prop_assert_eq!(&client, &next);
            }
        }
    }

    #[test]
    fn counters_alone_do_not_travel_more_than_twice_a_second() {
        let mut publisher = Publisher::new(snapshot(Some(0), 0, LevelName::Normal, None), 0);
        let events = (1..=20u64).map(|n| {
            let now = Now { mono: MonoNs(1_000_000_000 + n * 100_000_000), at: Timestamp::UNIX_EPOCH };
            publisher.update(now, &snapshot(Some(n), 0, LevelName::Normal, None), |_| Vec::new()).len()
        });
        assert_eq!(events.sum::<usize>(), 4);
        assert_eq!(publisher.seq(), 0);
    }
}

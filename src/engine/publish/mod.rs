//! From one snapshot to the next: the events that tell clients about it. Pure.
//!
//! Contract: a client that folds what [`Publisher::begin`] and then [`Publisher::update`] return holds what the engine
//! told, word for word, whenever it joined; counters alone travel at most every [`SAMPLE_EVERY`], without a number.

mod kept;

use super::event::Now;
use crate::model::MonoNs;
use crate::model::snapshot::{Alert, InputView, SessionView, Snapshot, StorageView};
use crate::protocol::event::{Event, Sample};
use jiff::Timestamp;
use kept::Kept;
use std::sync::Arc;
use std::time::Duration;

/// Fast counters travel at most twice a second (DESIGN §4).
pub const SAMPLE_EVERY: Duration = Duration::from_millis(500);

/// What the clients were told.
#[derive(Debug)]
pub struct Publisher {
    told: Snapshot,
    sampled: MonoNs,
    kept: Kept,
}

impl Publisher {
    /// Starts at `first`, which gets the number `seq`; no earlier engine may have used it.
    pub fn new(mut first: Snapshot, seq: u64) -> Self {
        first.seq = seq;
        Self { told: first, sampled: MonoNs(0), kept: Kept::new(seq) }
    }

    /// The sequence number of the last change.
    pub fn seq(&self) -> u64 {
        self.told.seq
    }

    /// How the stream of a client begins that folded everything up to `since` (or nothing): what it missed as long as
    /// that is kept, else the whole state. The same state for every client: what was told, not what is newer.
    pub fn begin(&self, at: Timestamp, since: Option<u64>) -> Vec<Arc<Event>> {
        match since.and_then(|seq| self.kept.since(seq)) {
            Some(mut missed) => {
                missed.push(Arc::new(Event::catch_up(at, &self.told)));
                missed
            }
            None => vec![Arc::new(Event::replicate(at, &self.told))],
        }
    }

    /// The events that lead to `next`; `alerts` numbers and returns the alerts that changed.
    pub fn update(
        &mut self,
        now: Now,
        next: &Snapshot,
        alerts: impl FnOnce(&mut u64) -> Vec<Alert>,
    ) -> Vec<Arc<Event>> {
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
        let events: Vec<_> = events.into_iter().map(Arc::new).collect();
        for event in &events {
            event.apply(&mut self.told);
            self.kept.push(event);
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
        if told.level.words() != next.level.words() {
            events.push(Event::Level { seq: number(), at, data: next.level.clone() });
        }
        for service in &next.services {
            if !told.services.contains(service) {
                events.push(Event::Service { seq: number(), at, data: service.clone() });
            }
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
            level: (told.level != next.level).then(|| next.level.clone()),
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

fn storage_words(storage: &StorageView) -> (&str, bool) {
    // On some file systems the size moves with what is written.
    (&storage.path, storage.free_bytes.is_some())
}

#[cfg(test)]
pub(super) mod tests;

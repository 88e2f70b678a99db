//! How long things took that somebody waits for (R-CMD-5): a bounded window of each kind, and a line in the log for what was
//! not acceptable.
//!
//! Contract: a clone counts together with the original; nobody waits for more than a lock that is held for microseconds.

use crate::model::MonoNs;
use crate::model::snapshot::HealthVerdict;
use crate::protocol::api::{Latency, LatencyView};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Times that are kept of each kind.
const KEPT: usize = 256;
/// What is older says nothing of now.
const AGE: Duration = Duration::from_secs(3600);
/// Lines of one kind are at least this far apart: what is slow is asked for again and again.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Latencies(Arc<Mutex<[Kind; Latency::ALL.len()]>>);

/// One kind. Pure.
#[derive(Debug, Default)]
struct Kind {
    /// When it was measured, and how long it took; oldest first.
    times: VecDeque<(MonoNs, Duration)>,
    told: Option<MonoNs>,
    /// Not told since.
    silent: u32,
}

impl Kind {
    /// Takes a time in; `Some` = it is to be told, with how many before it were not.
    fn note(&mut self, now: MonoNs, took: Duration, acceptable: Duration) -> Option<u32> {
        if self.times.len() >= KEPT {
            self.times.pop_front();
        }
        self.times.push_back((now, took));
        if took <= acceptable {
            return None;
        }
        if self.told.is_some_and(|at| now.since(at) < LINE_EVERY) {
            self.silent += 1;
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.silent))
    }

    fn view(&self, now: MonoNs, kind: Latency) -> LatencyView {
        let mut times: Vec<Duration> =
            self.times.iter().filter(|(at, _)| now.since(*at) < AGE).map(|(_, took)| *took).collect();
        let last = times.last().copied();
        times.sort_unstable();
        // The nearest rank.
        let p95 = (times.len() * 95).div_ceil(100).checked_sub(1).and_then(|place| times.get(place)).copied();
        let (target, acceptable) = kind.bounds();
        let verdict = match p95 {
            Some(p95) if p95 > acceptable => HealthVerdict::Unhealthy,
            Some(p95) if p95 > target => HealthVerdict::Degraded,
            _ => HealthVerdict::Healthy,
        };
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        LatencyView {
            kind,
            count: count(times.len()),
            p95_ms: p95.map(ms),
            max_ms: times.last().copied().map(ms),
            last_ms: last.map(ms),
            over: count(times.iter().filter(|took| **took > acceptable).count()),
            target_ms: u64::try_from(target.as_millis()).unwrap_or(u64::MAX),
            acceptable_ms: u64::try_from(acceptable.as_millis()).unwrap_or(u64::MAX),
            verdict,
        }
    }
}

impl Latencies {
    /// Something took so long; `trace` = the trace id of the request it belongs to, or what else names it.
    pub fn note(&self, now: MonoNs, kind: Latency, took: Duration, trace: &str) {
        let (_, acceptable) = kind.bounds();
        let told = self.lock()[place(kind)].note(now, took, acceptable);
        if let Some(silent) = told {
            let kind = kind.word();
            tracing::warn!(
                trace_id = trace,
                kind,
                ?took,
                ?acceptable,
                silent,
                "somebody waited longer than is acceptable"
            );
        }
    }

    /// How one kind is.
    pub fn view_of(&self, now: MonoNs, kind: Latency) -> LatencyView {
        self.lock()[place(kind)].view(now, kind)
    }

    /// How every kind is.
    pub fn view(&self, now: MonoNs) -> Vec<LatencyView> {
        Latency::ALL.into_iter().map(|kind| self.view_of(now, kind)).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, [Kind; Latency::ALL.len()]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(kind: Latency) -> usize {
    kind as usize
}

fn ms(took: Duration) -> f64 {
    (took.as_secs_f64() * 10_000.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(seconds: u64) -> MonoNs {
        MonoNs(seconds * 1_000_000_000)
    }

    #[test]
    fn ninety_five_of_a_hundred_are_what_counts() {
        let latencies = Latencies::default();
        assert_eq!(latencies.view_of(at(0), Latency::Read).p95_ms, None);
        for took in 1..=100 {
            latencies.note(at(1), Latency::Read, took * MS, "t");
        }
        let view = latencies.view_of(at(1), Latency::Read);
        assert_eq!((view.count, view.p95_ms, view.max_ms, view.over), (100, Some(95.0), Some(100.0), 0));
        assert_eq!((view.target_ms, view.acceptable_ms, view.verdict), (50, 200, HealthVerdict::Degraded));
        // What is an hour old says nothing of now.
        assert_eq!(latencies.view_of(at(3601), Latency::Read).count, 0);
        for _ in 0..1000 {
            latencies.note(at(4000), Latency::Read, MS, "t");
        }
        let view = latencies.view_of(at(4000), Latency::Read);
        assert_eq!((view.count, view.verdict, view.last_ms), (256, HealthVerdict::Healthy, Some(1.0)));
    }

    #[test]
    fn what_is_not_acceptable_is_told_and_not_every_time() {
        let (mut kind, acceptable) = (Kind::default(), 200 * MS);
        assert_eq!(kind.note(at(0), acceptable, acceptable), None);
        assert_eq!(kind.note(at(1), 201 * MS, acceptable), Some(0));
        assert_eq!(kind.note(at(2), 201 * MS, acceptable), None);
        assert_eq!(kind.note(at(9), 201 * MS, acceptable), None);
        assert_eq!(kind.note(at(11), 201 * MS, acceptable), Some(2));
    }

    #[test]
    fn every_kind_has_a_place_of_its_own() {
        let latencies = Latencies::default();
        for (n, kind) in (1..).zip(Latency::ALL) {
            latencies.note(at(1), kind, n * MS, "t");
        }
        let told: Vec<_> = latencies.view(at(1)).into_iter().map(|view| (view.kind, view.last_ms)).collect();
        let wanted: Vec<_> = (1..).zip(Latency::ALL).map(|(n, kind)| (kind, Some(f64::from(n)))).collect();
        assert_eq!(told, wanted);
        assert!(Latency::ALL.into_iter().all(|kind| serde_json::to_value(kind).expect("a word") == kind.word()));
    }
}

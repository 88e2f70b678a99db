//! Looks at the machine every half second, and at once when somebody waits for a processor (R-DEG-2).
//!
//! Contract: nothing here runs on the loop; it costs some reads of the kernel's memory. What cannot be read is `None`,
//! and makes no load.

use crate::engine::event::Event;
use crate::engine::proof::Prover;
use crate::model::MonoNs;
use crate::sys::pressure::{self, Trigger};
use crate::sys::usage::{self, CpuTime, Memory};
use crate::sys::{cgroup, clock, process};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::time::{MissedTickBehavior, interval};

/// Trouble is answered within a second.
const EVERY: Duration = Duration::from_millis(500);
/// Means are over this long.
const WINDOW: Duration = Duration::from_secs(2);
/// A mean over less says nothing: that is a few ticks of the kernel.
const SHORTEST: Duration = Duration::from_millis(400);

/// What was seen of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// Busy processors, all of them together and without our proofs, mean of 2 s.
    pub cpu_percent: Option<f64>,
    /// Time in which somebody waited for one, mean of 2 s.
    pub pressure_percent: Option<f64>,
    /// Memory in use where it is fullest: the machine's, or that of a group we are in.
    pub memory_percent: Option<f64>,
    /// The least that is available of any of them, in bytes.
    pub available: Option<u64>,
    /// The smallest of them, in bytes.
    pub total: Option<u64>,
}

impl Load {
    /// Of memory alone; each limit by itself: the fullest is not always the one with the least bytes.
    pub fn of_memory(limits: impl IntoIterator<Item = Memory>) -> Self {
        let limits = limits.into_iter().filter(|memory| memory.total > 0);
        limits.fold(Self::default(), |load, memory| {
            let percent = 100.0 - memory.available as f64 * 100.0 / memory.total as f64;
            Self {
                memory_percent: Some(load.memory_percent.map_or(percent, |known| known.max(percent))),
                available: Some(load.available.map_or(memory.available, |known| known.min(memory.available))),
                total: Some(load.total.map_or(memory.total, |known| known.min(memory.total))),
                ..load
            }
        })
    }
}

/// What the kernel has counted at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Count {
    at: MonoNs,
    cpu: Option<CpuTime>,
    waited: Option<Duration>,
}

/// The last counts, oldest first.
#[derive(Debug, Default)]
struct Means(VecDeque<Count>);

impl Means {
    /// Takes in a count, and says what the mean of the window before it is: (processors, pressure).
    fn add(&mut self, count: Count) -> (Option<f64>, Option<f64>) {
        let first = loop {
            match (self.0.front(), self.0.get(1)) {
                // The one behind it covers the window.
                (Some(_), Some(second)) if count.at.since(second.at) >= WINDOW => drop(self.0.pop_front()),
                (first, _) => break first.copied(),
            }
        };
        self.0.push_back(count);
        let Some(first) = first.filter(|first| count.at.since(first.at) >= SHORTEST) else { return (None, None) };
        let share = |part: f64, whole: f64| (whole > 0.0).then(|| (part / whole * 1000.0).round() / 10.0);
        let cpu = first.cpu.zip(count.cpu).and_then(|(then, now)| {
            share(now.busy.saturating_sub(then.busy) as f64, now.whole.saturating_sub(then.whole) as f64)
        });
        let pressure = first.waited.zip(count.waited).and_then(|(then, now)| {
            share(now.saturating_sub(then).as_secs_f64(), count.at.since(first.at).as_secs_f64())
        });
        (cpu, pressure)
    }
}

/// What proofs have taken since we look; that of one which has ended stays.
#[derive(Debug, Clone, Default)]
struct Proofs {
    known: BTreeMap<u32, Duration>,
    took: Duration,
}

impl Proofs {
    fn look(mut self, pids: &[u32]) -> Self {
        let used = pids.iter().filter_map(|pid| Some((*pid, process::usage_of(*pid)?.cpu)));
        let known: BTreeMap<u32, Duration> = used.collect();
        for (pid, used) in &known {
            self.took += used.saturating_sub(self.known.get(pid).copied().unwrap_or_default());
        }
        Self { known, took: self.took }
    }
}

/// What there is now; `pids` = our proofs.
fn look(proofs: Proofs, pids: &[u32]) -> (Count, Load, Proofs) {
    let proofs = proofs.look(pids);
    let theirs = CpuTime::ticks(proofs.took);
    let cpu = usage::cpu_time().map(|cpu| CpuTime { busy: cpu.busy.saturating_sub(theirs), ..cpu });
    // The kernel does not say who waited: a proof that gives way to everybody does all the time.
    let waited = pids.is_empty().then(pressure::cpu_waited).flatten();
    let count = Count { at: clock::mono_now(), cpu, waited };
    (count, Load::of_memory(usage::memory().into_iter().chain(cgroup::limits())), proofs)
}

/// Looks until the loop is gone. `pressure_percent` = how much of a window somebody must wait for the kernel to tell at
/// once.
pub async fn watch(pressure_percent: u32, prover: Prover, events: Sender<Event>) {
    let waited = WINDOW * pressure_percent.min(99) / 100;
    let mut trigger = Trigger::new(waited, WINDOW)
        .inspect_err(|error| tracing::info!(%error, "the kernel does not tell of pressure; it is asked twice a second"))
        .ok();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut means, mut proofs) = (Means::default(), Proofs::default());
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            fired = fired(trigger.as_ref()) => if fired.is_err() { trigger = None },
        }
        let (known, pids) = (std::mem::take(&mut proofs), prover.pids());
        let Ok(looked) = tokio::task::spawn_blocking(move || look(known, &pids)).await else { continue };
        let (count, load, theirs) = looked;
        proofs = theirs;
        let (cpu_percent, pressure_percent) = means.add(count);
        let load = Load { cpu_percent, pressure_percent, ..load };
        if events.send(Event::Load(load)).await.is_err() {
            return;
        }
    }
}

async fn fired(trigger: Option<&Trigger>) -> std::io::Result<()> {
    match trigger {
        Some(trigger) => trigger.fired().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    #[test]
    fn means_are_of_the_last_two_seconds() {
        let mut means = Means::default();
        let mut busy = 0;
        let mut seen = Vec::new();
        for step in 0..12u64 {
            // Idle for three seconds, then busy: 100 ticks per second and processor, two processors.
            busy += if step > 6 { 100 } else { 10 };
            let cpu = Some(CpuTime { busy, whole: 100 * step });
            let waited = Some(Duration::from_millis(if step > 6 { 250 * (step - 6) } else { 0 }));
            seen.push(means.add(Count { at: at(500 * step), cpu, waited }));
        }
        assert_eq!(seen[0], (None, None));
        assert_eq!(seen[1], (Some(10.0), Some(0.0)));
        assert_eq!(seen[6], (Some(10.0), Some(0.0)));
        assert_eq!(seen[7], (Some(32.5), Some(12.5)));
        assert_eq!(seen[10], (Some(100.0), Some(50.0)));
    }

    #[test]
    fn what_is_not_counted_is_not_known() {
        let mut means = Means::default();
        for step in 0..6 {
            assert_eq!(means.add(Count { at: at(500 * step), cpu: None, waited: None }), (None, None));
        }
        assert_eq!(Load::of_memory([]), Load::default());
        assert_eq!(Load::of_memory([Memory { total: 0, available: 0 }]), Load::default());
    }

    #[test]
    fn of_several_memories_the_fullest_counts_and_the_one_with_the_least_left() {
        let (machine, group) = (Memory { total: 64_000, available: 3000 }, Memory { total: 8000, available: 2000 });
        let load = Load { memory_percent: Some(95.3125), available: Some(2000), total: Some(8000), ..Load::default() };
        assert_eq!(Load::of_memory([machine, group]), load);
        assert_eq!(Load::of_memory([group, machine]), load);
    }

    #[test]
    fn who_waits_beside_a_proof_of_ours_is_not_known() {
        let (alone, ..) = look(Proofs::default(), &[]);
        assert_eq!(alone.waited.is_some(), pressure::cpu_waited().is_some());
        let (beside, ..) = look(Proofs::default(), &[std::process::id()]);
        assert_eq!(beside.waited, None);
        // Nor is a mean over a time in which one ran.
        let count = |ms, waited| Count { at: at(ms), cpu: None, waited };
        let mut means = Means::default();
        means.add(count(0, Some(Duration::ZERO)));
        assert_eq!(means.add(count(1000, None)).1, None);
        assert_eq!(means.add(count(2000, Some(Duration::from_secs(1)))).1, Some(50.0));
    }
}

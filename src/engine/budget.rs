//! How much memory a worker may use before somebody is told (R-SUP-4). Pure.
//!
//! Contract: a worker is measured by itself. What it uses some time after it began is what it needs; a margin on top of
//! that, and never less than a floor, is its budget. Recording needs more than waiting (an encoder, its queues), so it is
//! measured for itself: nothing is said of a recording before that, nor counted as its fault. Each is measured once in
//! the life of a process: what grows from session to session is to be seen. Over the budget ends at 90 % of it.

use crate::config::SupervisionRules;
use crate::model::MonoNs;

/// Where it is in order again, in percent of the budget: memory goes up and down by some buffers.
const CALM_PERCENT: u64 = 90;

/// What is known of one worker's memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    pid: Option<u32>,
    recording: bool,
    /// Since when it has done what it does.
    since: MonoNs,
    /// What it needs while nothing is recorded.
    idle: Option<u64>,
    /// What it needs to record.
    busy: Option<u64>,
    rss: Option<u64>,
    over: bool,
}

impl Memory {
    /// Process `pid` uses `rss` now.
    pub fn measured(&mut self, now: MonoNs, rules: &SupervisionRules, pid: u32, recording: bool, rss: Option<u64>) {
        if self.pid != Some(pid) {
            *self = Self { pid: Some(pid), recording, since: now, ..Self::default() };
        } else if self.recording != recording {
            (self.recording, self.since) = (recording, now);
        }
        self.rss = rss;
        let Some(rss) = rss else { return };
        if now.since(self.since) >= rules.memory_baseline {
            let need = if recording { &mut self.busy } else { &mut self.idle };
            need.get_or_insert(rss);
        }
        self.over = match self.budget(rules) {
            Some(budget) if rss > budget => true,
            Some(budget) => self.over && rss > budget / 100 * CALM_PERCENT,
            None => false,
        };
    }

    /// There is no process.
    pub fn gone(&mut self) {
        *self = Self::default();
    }

    /// What it needs, as it was measured. One that has recorded does not give everything back.
    fn need(&self) -> Option<u64> {
        if self.recording { self.busy.map(|busy| busy.max(self.idle.unwrap_or(0))) } else { self.busy.max(self.idle) }
    }

    /// What it may use, `None` before it was measured.
    pub fn budget(&self, rules: &SupervisionRules) -> Option<u64> {
        Some(self.need()?.saturating_add(rules.memory_margin).max(rules.memory_floor))
    }

    /// What it uses.
    pub fn used(&self) -> Option<u64> {
        self.rss
    }

    /// Whether it uses more than it may.
    pub fn is_over(&self) -> bool {
        self.over
    }
}

/// What all workers use together and may use: the floor of each, or what they need and half a margin for each, so that
/// what grows in all of them at once is seen sooner. `None` before all were measured.
pub fn together<'a>(workers: impl IntoIterator<Item = &'a Memory>, rules: &SupervisionRules) -> Option<(u64, u64)> {
    let (mut used, mut need, mut count) = (0u64, 0u64, 0u64);
    for worker in workers.into_iter().filter(|worker| worker.pid.is_some()) {
        used = used.saturating_add(worker.rss?);
        need = need.saturating_add(worker.need()?);
        count += 1;
    }
    let budget = need.saturating_add(rules.memory_margin / 2 * count).max(rules.memory_floor.saturating_mul(count));
    (count > 0).then_some((used, budget))
}

/// Whether it is in order again.
pub fn is_calm((used, budget): (u64, u64)) -> bool {
    used <= budget / 100 * CALM_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MB: u64 = 1_000_000;

    fn at(seconds: u64) -> MonoNs {
        MonoNs(seconds * 1_000_000_000)
    }

    #[test]
    fn a_worker_is_measured_by_itself_waiting_and_recording() {
        let (rules, mut memory) = (SupervisionRules::default(), Memory::default());
        let mut look = |second, recording, mb: u64| {
            memory.measured(at(second), &rules, 7, recording, Some(mb * MB));
            (memory.budget(&rules), memory.is_over())
        };
        assert_eq!(look(0, false, 900), (None, false), "nothing is known yet");
        assert_eq!(look(60, false, 150), (Some(214 * MB), false));
        assert_eq!(look(62, false, 220), (Some(214 * MB), true));
        assert_eq!(look(64, false, 200), (Some(214 * MB), true), "it does not come and go");
        assert_eq!(look(66, false, 190), (Some(214 * MB), false));
        // An encoder of 4K is no leak.
        assert_eq!(look(70, true, 700), (None, false));
        assert_eq!(look(130, true, 800), (Some(864 * MB), false));
        assert_eq!(look(132, true, 870), (Some(864 * MB), true));
        // Nor is what it keeps for the next session; what it needs is not measured anew.
        assert_eq!(look(140, false, 600), (Some(864 * MB), false));
        assert_eq!(look(300, false, 800), (Some(864 * MB), false));
        assert_eq!(look(400, true, 870), (Some(864 * MB), true));
    }

    #[test]
    fn small_workers_have_the_floor_and_another_process_begins_anew() {
        let (rules, mut memory) = (SupervisionRules::default(), Memory::default());
        memory.measured(at(0), &rules, 7, false, Some(50 * MB));
        memory.measured(at(60), &rules, 7, false, Some(50 * MB));
        assert_eq!(memory.budget(&rules), Some(200 * MB));
        memory.measured(at(61), &rules, 8, false, Some(500 * MB));
        assert_eq!((memory.budget(&rules), memory.is_over()), (None, false));
        let four: Vec<Memory> = (0..4)
            .map(|pid| {
                let mut memory = Memory::default();
                memory.measured(at(0), &rules, pid, false, Some(60 * MB));
                memory.measured(at(60), &rules, pid, false, Some(60 * MB));
                memory
            })
            .collect();
        assert_eq!(together(&four, &rules), Some((240 * MB, 800 * MB)));
        assert_eq!(together(four.iter().chain([&memory]), &rules), None);
        assert_eq!(together(four.iter().chain([&Memory::default()]), &rules), Some((240 * MB, 800 * MB)));
        assert_eq!(together([], &rules), None);
    }

    proptest! {
        /// Whatever is measured: the budget is above what was needed, and over is what is above it.
        #[test]
        fn no_history_calls_a_worker_greedy_within_its_budget(looks in prop::collection::vec((0u64..40, any::<bool>(), 1u64..2000), 0..60)) {
            let (rules, mut memory, mut second) = (SupervisionRules::default(), Memory::default(), 0);
            for (pause, recording, mb) in looks {
                second += pause;
                memory.measured(at(second), &rules, 7, recording, Some(mb * MB));
                let budget = memory.budget(&rules);
                prop_assert!(budget.is_none_or(|budget| budget >= rules.memory_floor));
                let over = memory.is_over();
                prop_assert!(!over || budget.is_some_and(|budget| mb * MB > budget / 100 * CALM_PERCENT));
                prop_assert!(over || budget.is_none_or(|budget| mb * MB <= budget));
            }
        }
    }
}

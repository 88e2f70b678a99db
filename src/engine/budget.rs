//! How much memory a worker may use before somebody is told (R-SUP-4). Pure.
//!
//! Contract: a worker is measured by itself. What it uses some time after it began is what it needs; a margin on top of
//! that, and never less than a floor, is its budget. Recording needs more than waiting (an encoder, its queues), so it is
//! measured for itself: nothing is said of a recording before that, nor counted as its fault. Each is measured once in
//! the life of a process, which may be longer than an engine's ([`Measured`]): what grows from session to session is to be
//! seen. Over the budget ends at 90 % of it. One that began to record while it was over is not measured: that is
//! told until it has given back what it had, or does something else.

use crate::config::SupervisionRules;
use crate::model::MonoNs;
use serde::{Deserialize, Serialize};

/// Where it is in order again, in percent of the budget: memory goes up and down by some buffers.
const CALM_PERCENT: u64 = 90;

/// What a process needs; kept for the next engine of this boot, to which one that has grown is no measure any more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// The process, and when it was started, in ticks since boot.
    process: (u32, u64),
    /// What it needs while nothing is recorded.
    idle: Option<u64>,
    /// What it needs to record.
    busy: Option<u64>,
    /// It used too much when its recording began: what it uses meanwhile is no measure.
    #[serde(default)]
    tainted: bool,
}

/// What is known of one worker's memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// The process that was looked at last, or was measured by an earlier engine.
    of: Option<Measured>,
    recording: bool,
    /// Since when it has done what it does, as far as this engine has seen.
    since: MonoNs,
    rss: Option<u64>,
    over: bool,
}

impl Memory {
    /// What an earlier engine has measured, before anything was seen of the process, or afterwards: it was earlier.
    pub fn recall(&mut self, earlier: Measured) {
        match &mut self.of {
            Some(of) if of.process == earlier.process => {
                // What it was too much for then is what it does now; what was measured of that meanwhile is none.
                let tainted = earlier.tainted && self.recording;
                let busy = of.busy.filter(|_| !tainted);
                (of.idle, of.busy) = (earlier.idle.or(of.idle), earlier.busy.or(busy));
                of.tainted |= tainted;
                self.over |= tainted;
            }
            Some(_) => {}
            None => {
                self.over = earlier.tainted;
                self.of = Some(earlier);
            }
        }
    }

    /// What was measured, for the next engine; `None` = nothing yet.
    pub fn kept(&self) -> Option<Measured> {
        self.of.clone().filter(|of| of.idle.or(of.busy).is_some())
    }

    /// This process (with the time it was started) uses `rss` now.
    pub fn measured(&mut self, now: MonoNs, rules: &SupervisionRules, process: (u32, u64), recording: bool, rss: u64) {
        if self.rss.is_none() || self.recording != recording {
            (self.recording, self.since) = (recording, now);
            if let Some(of) = &mut self.of {
                of.tainted = recording && self.over;
            }
        }
        if self.of.as_ref().is_none_or(|of| of.process != process) {
            let of = Some(Measured { process, ..Measured::default() });
            *self = Self { of, recording, since: now, ..Self::default() };
        }
        self.rss = Some(rss);
        if now.since(self.since) >= rules.memory_baseline
            && let Some(of) = self.of.as_mut().filter(|of| !of.tainted)
        {
            let need = if recording { &mut of.busy } else { &mut of.idle };
            need.get_or_insert(rss);
        }
        self.over = match self.budget(rules) {
            Some(budget) if rss > budget => true,
            Some(budget) => self.over && rss > budget / 100 * CALM_PERCENT,
            // It does something else now, and whether that is too much is not known yet.
            None => self.over && self.idle_budget(rules).is_none_or(|budget| rss > budget),
        };
        if let Some(of) = self.of.as_mut().filter(|of| of.tainted && !self.over) {
            // It has given that back: what it uses from here on is a measure.
            (of.tainted, self.since) = (false, now);
        }
    }

    /// There is no process.
    pub fn gone(&mut self) {
        *self = Self::default();
    }

    /// What it needs, as it was measured. One that has recorded does not give everything back.
    fn need(&self) -> Option<u64> {
        let Measured { idle, busy, .. } = self.of.as_ref()?;
        if self.recording { busy.map(|busy| busy.max(idle.unwrap_or(0))) } else { (*busy).max(*idle) }
    }

    /// The same among others, where one that is not measured for being over must not hide what they all use.
    fn share(&self, rules: &SupervisionRules) -> Option<u64> {
        let tainted = self.of.as_ref().filter(|of| of.tainted);
        self.need().or_else(|| Some(tainted?.idle.unwrap_or(rules.memory_floor)))
    }

    /// What it may use, `None` before it was measured.
    pub fn budget(&self, rules: &SupervisionRules) -> Option<u64> {
        Some(with_margin(self.need()?, rules))
    }

    fn idle_budget(&self, rules: &SupervisionRules) -> Option<u64> {
        Some(with_margin(self.of.as_ref()?.idle?, rules))
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

fn with_margin(need: u64, rules: &SupervisionRules) -> u64 {
    need.saturating_add(rules.memory_margin).max(rules.memory_floor)
}

/// What all workers use together and may use: the floor of each, or what they need and half a margin for each, so that
/// what grows in all of them at once is seen sooner. `None` before all were measured.
pub fn together<'a>(workers: impl IntoIterator<Item = &'a Memory>, rules: &SupervisionRules) -> Option<(u64, u64)> {
    let (mut used, mut need, mut count) = (0u64, 0u64, 0u64);
    for worker in workers.into_iter().filter(|worker| worker.rss.is_some()) {
        used = used.saturating_add(worker.rss.unwrap_or(0));
        need = need.saturating_add(worker.share(rules)?);
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
            memory.measured(at(second), &rules, (7, 1), recording, mb * MB);
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
    fn what_it_has_grown_by_while_it_waited_is_not_what_recording_needs() {
        let (rules, mut memory) = (SupervisionRules::default(), Memory::default());
        let mut look = |second, recording, mb: u64| {
            memory.measured(at(second), &rules, (7, 1), recording, mb * MB);
            (memory.budget(&rules), memory.is_over())
        };
        look(0, false, 100);
        look(60, false, 100);
        assert_eq!(look(100, false, 3000), (Some(200 * MB), true));
        assert_eq!(look(102, true, 3010), (None, true), "pressing Record makes nothing good");
        assert_eq!(look(162, true, 3100), (None, true), "nor is it a measure");
        assert_eq!(look(164, false, 3000), (Some(200 * MB), true));
        // Whatever it was for, it has given that back: the next recording is measured.
        assert_eq!(look(166, false, 150), (Some(200 * MB), false));
        look(168, true, 700);
        assert_eq!(look(228, true, 700), (Some(764 * MB), false));
    }

    #[test]
    fn what_is_no_measure_is_none_for_the_next_engine_either_and_hides_nothing() {
        let rules = SupervisionRules::default();
        let grown = || {
            let mut memory = Memory::default();
            for (second, recording, mb) in [(0, false, 200), (60, false, 200), (100, false, 3000), (102, true, 3000)] {
                memory.measured(at(second), &rules, (7, 1), recording, mb * MB);
            }
            memory
        };
        let kept = grown().kept().expect("what it needs to wait");
        let mut next = Memory::default();
        next.recall(kept.clone());
        for second in [200, 261, 400] {
            next.measured(at(second), &rules, (7, 1), true, 3010 * MB);
            assert_eq!((next.budget(&rules), next.is_over()), (None, true), "at {second} s");
        }
        // The library came late.
        let mut late = Memory::default();
        for second in [200, 261] {
            late.measured(at(second), &rules, (7, 1), true, 3010 * MB);
        }
        late.recall(kept);
        late.measured(at(262), &rules, (7, 1), true, 3010 * MB);
        assert_eq!((late.budget(&rules), late.is_over()), (None, true));
        let mut other = Memory::default();
        for second in [0, 60] {
            other.measured(at(second), &rules, (8, 1), true, 100 * MB);
        }
        assert_eq!(together([&next, &other], &rules), Some((3110 * MB, 400 * MB)));
        // It gives that back within the recording.
        next.measured(at(402), &rules, (7, 1), true, 150 * MB);
        assert!(!next.is_over());
        next.measured(at(404), &rules, (7, 1), true, 600 * MB);
        assert_eq!(next.budget(&rules), None, "what it needs is seen a minute later");
        next.measured(at(462), &rules, (7, 1), true, 600 * MB);
        assert_eq!((next.budget(&rules), next.is_over()), (Some(664 * MB), false));
    }

    #[test]
    fn small_workers_have_the_floor_and_another_process_begins_anew() {
        let (rules, mut memory) = (SupervisionRules::default(), Memory::default());
        memory.measured(at(0), &rules, (7, 1), false, 50 * MB);
        memory.measured(at(60), &rules, (7, 1), false, 50 * MB);
        assert_eq!(memory.budget(&rules), Some(200 * MB));
        memory.measured(at(61), &rules, (8, 1), false, 500 * MB);
        assert_eq!((memory.budget(&rules), memory.is_over()), (None, false));
        let four: Vec<Memory> = (0..4)
            .map(|pid| {
                let mut memory = Memory::default();
                memory.measured(at(0), &rules, (pid, 1), false, 60 * MB);
                memory.measured(at(60), &rules, (pid, 1), false, 60 * MB);
                memory
            })
            .collect();
        assert_eq!(together(&four, &rules), Some((240 * MB, 800 * MB)));
        assert_eq!(together(four.iter().chain([&memory]), &rules), None);
        assert_eq!(together(four.iter().chain([&Memory::default()]), &rules), Some((240 * MB, 800 * MB)));
        assert_eq!(together([], &rules), None);
    }

    #[test]
    fn what_an_engine_has_measured_holds_for_the_next_one_and_for_no_other_process() {
        let rules = SupervisionRules::default();
        let mut first = Memory::default();
        for (second, recording, mb) in [(0, false, 150), (60, false, 150), (61, true, 300), (121, true, 300)] {
            first.measured(at(second), &rules, (7, 1), recording, mb * MB);
        }
        let kept = first.kept().expect("it was measured");
        let text = serde_json::to_string(&kept).expect("plain");
        assert_eq!(serde_json::from_str::<Measured>(&text).expect("ours"), kept);
        // It has grown while nobody looked. That is known at once, and a minute later it has become no measure.
        let mut next = Memory::default();
        next.recall(kept.clone());
        assert_eq!((next.used(), together([&next], &rules)), (None, None), "nothing was seen yet");
        for second in [200, 260, 320] {
            next.measured(at(second), &rules, (7, 1), true, 900 * MB);
            assert_eq!((next.budget(&rules), next.is_over()), (Some(364 * MB), true));
        }
        // The library came late: what was measured before counts, not what was measured since.
        let mut late = Memory::default();
        for second in [200, 260] {
            late.measured(at(second), &rules, (7, 1), true, 900 * MB);
        }
        late.recall(kept.clone());
        late.measured(at(261), &rules, (7, 1), true, 900 * MB);
        assert_eq!((late.budget(&rules), late.is_over()), (Some(364 * MB), true));
        // The same number, given to another process; and one that was seen before the other was remembered.
        let mut other = Memory::default();
        other.recall(kept.clone());
        other.measured(at(200), &rules, (7, 2), true, 900 * MB);
        other.recall(kept);
        assert_eq!((other.budget(&rules), other.kept()), (None, None));
    }

    proptest! {
        /// Whatever is measured: the budget is above what was needed, and over is what is above it.
        #[test]
        fn no_history_calls_a_worker_greedy_within_its_budget(looks in prop::collection::vec((0u64..40, any::<bool>(), 1u64..2000), 0..60)) {
            let (rules, mut memory, mut second) = (SupervisionRules::default(), Memory::default(), 0);
            for (pause, recording, mb) in looks {
                second += pause;
                memory.measured(at(second), &rules, (7, 1), recording, mb * MB);
                let budget = memory.budget(&rules);
                prop_assert!(budget.is_none_or(|budget| budget >= rules.memory_floor));
                let over = memory.is_over();
                prop_assert!(!over || budget.is_none_or(|budget| mb * MB > budget / 100 * CALM_PERCENT));
                prop_assert!(over || budget.is_none_or(|budget| mb * MB <= budget));
            }
        }
    }
}

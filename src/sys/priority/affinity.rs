//! Which processors are the recording's, and which are left to everybody else. Pure but for reading and applying.
//!
//! Contract: nothing leaves the set this process may use (cgroup, taskset). Where the processors differ, recordings get
//! the fast ones, unless those are the smaller half of the machine; where they are alike, recordings may use all. What is
//! secondary (the window, proofs) keeps off at least one processor a recording may use (R-SUP-7).

use super::nice;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::collections::BTreeSet;
use std::io;

/// Processors by number.
pub type Cpus = BTreeSet<u32>;

/// Processors differ if the slowest has less than this share of the fastest; what is closer is the same kind of
/// processor with another clock.
const ALIKE_PERCENT: u64 = 80;

/// Who runs where; `None` = wherever it may.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The recording.
    pub recording: Option<Cpus>,
    /// Everything else of ours while something is recorded.
    pub secondary: Option<Cpus>,
}

impl Plan {
    /// The plan for `allowed` processors and how much each of them can do (of 1024; what is not listed is not known).
    pub fn new(capacity: impl Fn(u32) -> Option<u64>, allowed: &Cpus) -> Self {
        let known: Option<Vec<(u32, u64)>> = allowed.iter().map(|cpu| Some((*cpu, capacity(*cpu)?))).collect();
        let recording = known.and_then(|known| fast(&known));
        let secondary = match &recording {
            Some(fast) => allowed.difference(fast).copied().collect(),
            None => allowed.iter().copied().take(allowed.len().saturating_sub(1)).collect::<Cpus>(),
        };
        Self { recording, secondary: Some(secondary).filter(|cpus| !cpus.is_empty()) }
    }

    /// The plan for this process, as it may run now.
    pub fn here() -> Self {
        Self::new(capacity, &allowed())
    }
}

/// The fast ones, if they differ from the others and can do at least half of the work.
fn fast(known: &[(u32, u64)]) -> Option<Cpus> {
    let most = known.iter().map(|(_, capacity)| *capacity).max()?;
    let least = known.iter().map(|(_, capacity)| *capacity).min()?;
    if least * 100 >= most * ALIKE_PERCENT {
        return None;
    }
    let is_fast = |capacity: u64| capacity * 2 > most + least;
    let work = |fast: bool| known.iter().map(|(_, c)| *c).filter(|c| !fast || is_fast(*c)).sum::<u64>();
    let cpus = known.iter().filter(|(_, capacity)| is_fast(*capacity)).map(|(cpu, _)| *cpu);
    (work(true) * 2 >= work(false)).then(|| cpus.collect())
}

/// How much a processor can do, of 1024; only kernels for machines whose processors differ say so.
fn capacity(cpu: u32) -> Option<u64> {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/cpu_capacity");
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Where this thread may run.
pub fn allowed() -> Cpus {
    of_thread(0).unwrap_or_default()
}

/// Where a thread may run (0 = this one), `None` when it has gone.
pub fn of_thread(tid: u32) -> Option<Cpus> {
    Some(numbers(&sched_getaffinity(nice::pid(tid)).ok()?))
}

/// Where any of these threads may run, `None` when all have gone. Threads of a process are mostly alike, and numbers are
/// made of a set only once.
pub fn of_any(tids: impl IntoIterator<Item = u32>) -> Option<Cpus> {
    let mut different = Vec::<CpuSet>::new();
    for set in tids.into_iter().filter_map(|tid| sched_getaffinity(nice::pid(tid)).ok()) {
        if !different.contains(&set) {
            different.push(set);
        }
    }
    different.iter().map(numbers).reduce(|all, more| all.union(&more).copied().collect())
}

fn numbers(set: &CpuSet) -> Cpus {
    let numbers = 0..u32::try_from(CpuSet::MAX_CPU).unwrap_or(u32::MAX);
    numbers.filter(|cpu| set.is_set(*cpu as usize)).collect()
}

/// Lets a thread run on `cpus` only.
pub fn set_thread(tid: u32, cpus: &Cpus) -> io::Result<()> {
    Ok(sched_setaffinity(nice::pid(tid), &set_of(cpus))?)
}

pub(super) fn set_of(cpus: &Cpus) -> CpuSet {
    let mut set = CpuSet::new();
    // More processors than the kernel's set has room for cannot be named; they were not read from it either.
    cpus.iter().filter(|cpu| (**cpu as usize) < CpuSet::MAX_CPU).for_each(|cpu| set.set(*cpu as usize));
    set
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plan(capacities: &[u64], allowed: &[u32]) -> Plan {
        let capacity = |cpu: u32| capacities.get(cpu as usize).copied();
        Plan::new(capacity, &allowed.iter().copied().collect())
    }

    fn cpus(numbers: impl IntoIterator<Item = u32>) -> Option<Cpus> {
        Some(numbers.into_iter().collect())
    }

    #[test]
    fn the_machines_it_was_made_for() {
        let r58 = [530, 530, 530, 530, 1024, 1024, 1008, 1008];
        let all: Vec<u32> = (0..8).collect();
        assert_eq!(plan(&r58, &all), Plan { recording: cpus(4..8), secondary: cpus(0..4) });
        // Shut up in the slow cluster: all it has are alike.
        assert_eq!(plan(&r58, &[0, 1, 2]), Plan { recording: None, secondary: cpus(0..2) });
        // Two fast processors among eight slower ones would be too few.
        let hybrid = [1024, 1024, 600, 600, 600, 600, 600, 600, 600, 600];
        assert_eq!(plan(&hybrid, &(0..10).collect::<Vec<_>>()), Plan { recording: None, secondary: cpus(0..9) });
        assert_eq!(plan(&[1024, 1024], &[0, 1]), Plan { recording: None, secondary: cpus([0]) });
        assert_eq!(plan(&[], &[0, 1]), Plan { recording: None, secondary: cpus([0]) });
        assert_eq!(plan(&[1024], &[0]), Plan::default());
    }

    proptest! {
        #[test]
        fn every_plan_keeps_a_processor_for_the_recording_and_leaves_one_to_the_rest(
            capacities in proptest::collection::vec(1u64..=1024, 0..16),
            allowed in proptest::collection::btree_set(0u32..16, 1..16),
        ) {
            let plan = Plan::new(|cpu| capacities.get(cpu as usize).copied(), &allowed);
            let recording = plan.recording.clone().unwrap_or_else(|| allowed.clone());
            prop_assert!(!recording.is_empty() && recording.is_subset(&allowed));
            match &plan.secondary {
                None => prop_assert_eq!(allowed.len(), 1),
                Some(secondary) => {
                    prop_assert!(!secondary.is_empty() && secondary.is_subset(&allowed));
                    prop_assert!(recording.difference(secondary).next().is_some(), "{:?}", plan);
                }
            }
            if let Some(fast) = &plan.recording {
                let of = |cpu: &u32| capacities[*cpu as usize];
                let (inside, outside): (Vec<u32>, Vec<u32>) = allowed.iter().partition(|cpu| fast.contains(cpu));
                prop_assert!(inside.iter().map(of).min() > outside.iter().map(of).max());
                let work = |cpus: &[u32]| cpus.iter().map(of).sum::<u64>();
                prop_assert!(work(&inside) >= work(&outside), "most of the machine is taken away: {:?}", plan);
            }
        }
    }

    #[test]
    fn a_thread_is_restricted_alone_and_let_go_again() {
        let all = allowed();
        let one: Cpus = all.iter().copied().take(1).collect();
        let seen = std::thread::spawn(move || {
            set_thread(0, &one).expect("a subset of what is allowed");
            (allowed() == one, of_any(crate::sys::priority::threads(std::process::id())))
        });
        assert_eq!(seen.join().expect("the thread"), (true, Some(all.clone())));
        assert_eq!(allowed(), all);
    }
}

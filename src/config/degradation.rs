//! `[degradation]` and `[budgets]`: from when on the recorder does without what is not the recording (R-DEG).

use super::apply::Reader;
use super::file::{Budgets, Degradation};
use super::problem::Problem;
use std::time::Duration;

/// See the module. Every field is a key of its name; in percent from 1, and 100 = never, unless something else is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DegradationRules {
    /// Busy processors, mean of 2 s: more is told.
    pub cpu_warn_percent: u32,
    /// More: previews are reduced.
    pub cpu_degrade_percent: u32,
    /// More: everything but recording goes.
    pub cpu_critical_percent: u32,
    /// Memory in use: more is told.
    pub memory_warn_percent: u32,
    /// More: previews are reduced.
    pub memory_degrade_percent: u32,
    /// More: everything but recording goes.
    pub memory_critical_percent: u32,
    /// Time in which somebody waits for a processor, mean of 2 s: more counts like `cpu_degrade_percent`, on a machine
    /// that is busy.
    pub pressure_percent: u32,
    /// A queue on the way into a file that is fuller counts like `cpu_critical_percent`.
    pub queue_percent: u32,
    /// An encoder that is later counts like `cpu_critical_percent`.
    pub late: Duration,
    /// Everything is given back once it was good for this long.
    pub calm: Duration,
    /// Less available memory is low-memory mode: one preview at a time.
    pub low_memory: u64,
    /// `budgets.cpu_percent`: one input with its preview may use so much of the machine.
    pub budget_cpu_percent: u32,
    /// `budgets.disk_per_second`: one input may write so much, or twice the bitrate it was given.
    pub budget_disk: u64,
}

impl Default for DegradationRules {
    fn default() -> Self {
        Self {
            cpu_warn_percent: 60,
            cpu_degrade_percent: 70,
            cpu_critical_percent: 85,
            memory_warn_percent: 70,
            memory_degrade_percent: 80,
            memory_critical_percent: 95,
            pressure_percent: 20,
            queue_percent: 50,
            late: Duration::from_millis(250),
            calm: Duration::from_secs(30),
            low_memory: 150_000_000,
            budget_cpu_percent: 15,
            budget_disk: 5_000_000,
        }
    }
}

/// Lays the keys of a document over `rules`.
pub(super) fn apply(
    rules: &mut DegradationRules,
    at: &Reader<'_>,
    keys: &Degradation,
    budgets: &Budgets,
) -> Result<(), Problem> {
    for (key, value, into) in [
        ("degradation.cpu_warn_percent", &keys.cpu_warn_percent, &mut rules.cpu_warn_percent),
        ("degradation.cpu_degrade_percent", &keys.cpu_degrade_percent, &mut rules.cpu_degrade_percent),
        ("degradation.cpu_critical_percent", &keys.cpu_critical_percent, &mut rules.cpu_critical_percent),
        ("degradation.memory_warn_percent", &keys.memory_warn_percent, &mut rules.memory_warn_percent),
        ("degradation.memory_degrade_percent", &keys.memory_degrade_percent, &mut rules.memory_degrade_percent),
        ("degradation.memory_critical_percent", &keys.memory_critical_percent, &mut rules.memory_critical_percent),
        ("degradation.pressure_percent", &keys.pressure_percent, &mut rules.pressure_percent),
        ("degradation.queue_percent", &keys.queue_percent, &mut rules.queue_percent),
        ("budgets.cpu_percent", &budgets.cpu_percent, &mut rules.budget_cpu_percent),
    ] {
        at.number(key, value, 1, 100, into)?;
    }
    at.millis("degradation.late_ms", &keys.late_ms, 50, 60_000, &mut rules.late)?;
    // Shorter would come and go with whatever it does; everything is back within a minute by default.
    at.millis("degradation.calm_ms", &keys.calm_ms, 5_000, 3_600_000, &mut rules.calm)?;
    at.size("degradation.low_memory", &keys.low_memory, &mut rules.low_memory)?;
    at.size("budgets.disk_per_second", &budgets.disk_per_second, &mut rules.budget_disk)
}

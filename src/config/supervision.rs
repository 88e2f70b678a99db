//! `[supervision]`: what the engine itself watches, and from when on it says something. Rules for the workers are in
//! [`crate::model::policy`].

use super::apply::Reader;
use super::file::Supervision;
use super::problem::Problem;
use std::time::Duration;

/// Most words of the command that is told about critical alerts.
const COMMAND_WORDS: usize = 32;

/// See the module. Every field is a key of its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupervisionRules {
    /// A worker is measured this long after it began (to run, and to record), when it uses what it needs (R-SUP-4).
    pub memory_baseline: Duration,
    /// It may use so much more than that.
    pub memory_margin: u64,
    /// It may use so much in any case.
    pub memory_floor: u64,
    /// Memory the machine should have left when a recording starts (R-SUP-15).
    pub min_free_memory: u64,
    /// More of the machine's memory in use is told (R-ALR-5).
    pub warn_memory_percent: u32,
    /// More of any other limit in use is told (R-ALR-5).
    pub warn_limit_percent: u32,
    /// Deadline of a start (R-ALR-4).
    pub operation_start: Duration,
    /// Deadline of a stop.
    pub operation_stop: Duration,
    /// Deadline of finalising.
    pub operation_finalise: Duration,
    /// Deadline of reading files again, on top of twice the time it should take.
    pub operation_verify: Duration,
    /// Program and arguments to run for each critical alert (R-ALR-7); empty = none.
    pub alert_command: Vec<String>,
    /// It is ended after this long.
    pub alert_command_limit: Duration,
}

impl Default for SupervisionRules {
    fn default() -> Self {
        Self {
            memory_baseline: Duration::from_secs(60),
            memory_margin: 64_000_000,
            memory_floor: 200_000_000,
            min_free_memory: 200_000_000,
            warn_memory_percent: 90,
            warn_limit_percent: 80,
            operation_start: Duration::from_secs(10),
            operation_stop: Duration::from_secs(20),
            operation_finalise: Duration::from_secs(60),
            operation_verify: Duration::from_secs(30),
            alert_command: Vec::new(),
            alert_command_limit: Duration::from_secs(10),
        }
    }
}

/// Lays the keys of a document over `rules`.
pub(super) fn apply(rules: &mut SupervisionRules, at: &Reader<'_>, keys: &Supervision) -> Result<(), Problem> {
    let baseline = &keys.memory_baseline_ms;
    at.millis("supervision.memory_baseline_ms", baseline, 1_000, 3_600_000, &mut rules.memory_baseline)?;
    at.size("supervision.memory_margin", &keys.memory_margin, &mut rules.memory_margin)?;
    at.size("supervision.memory_floor", &keys.memory_floor, &mut rules.memory_floor)?;
    at.size("supervision.min_free_memory", &keys.min_free_memory, &mut rules.min_free_memory)?;
    let percent = &keys.warn_memory_percent;
    at.number("supervision.warn_memory_percent", percent, 1, 100, &mut rules.warn_memory_percent)?;
    let percent = &keys.warn_limit_percent;
    at.number("supervision.warn_limit_percent", percent, 1, 100, &mut rules.warn_limit_percent)?;
    for (key, value, into) in [
        ("supervision.operation_start_ms", &keys.operation_start_ms, &mut rules.operation_start),
        ("supervision.operation_stop_ms", &keys.operation_stop_ms, &mut rules.operation_stop),
        ("supervision.operation_finalise_ms", &keys.operation_finalise_ms, &mut rules.operation_finalise),
        ("supervision.operation_verify_ms", &keys.operation_verify_ms, &mut rules.operation_verify),
    ] {
        at.millis(key, value, 1_000, 86_400_000, into)?;
    }
    let limit = &keys.alert_command_limit_ms;
    at.millis("supervision.alert_command_limit_ms", limit, 100, 60_000, &mut rules.alert_command_limit)?;
    let Some(command) = &keys.alert_command else { return Ok(()) };
    let words = command.get_ref();
    if words.len() > COMMAND_WORDS || words.first().is_some_and(|program| program.trim().is_empty()) {
        let message = format!("use a program and its arguments, at most {COMMAND_WORDS} texts, or [] for none");
        return Err(at.problem(command, "supervision.alert_command", message));
    }
    rules.alert_command.clone_from(words);
    Ok(())
}

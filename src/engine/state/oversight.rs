//! What the engine watches beside the workers' words: memory, limits, error rates, long operations. Pure.
//!
//! Contract: everything here only tells; none of it stops or refuses a recording (R-TRU-7).

use super::super::budget::Memory;
use super::super::errors::Errors;
use super::super::event::{Effect, Now};
use super::super::operations::Operations;
use super::super::resources::{Processes, Resources};
use super::super::worker_state::WorkerEvent;
use super::State;
use super::storage::STORAGE;
use crate::config::size;
use crate::model::InputId;
use crate::model::incident::{Incident, IncidentCode};
use crate::protocol::health::LimitView;
use std::collections::BTreeMap;

/// Name of what belongs to the machine, in alerts.
pub(super) const MACHINE: &str = "machine";
/// Name of the API, in alerts and error rates.
const API: &str = "api";
/// A limit is no longer near below this share of what was near.
const CALM: f64 = 0.95;
/// What memory is called among the limits; it is told in units, and has a share of its own.
const MEMORY: &str = "memory";

/// See the module.
#[derive(Debug)]
pub struct Oversight {
    pub(super) errors: Errors,
    pub(super) operations: Operations,
    pub(super) resources: Resources,
    pub(super) memory: BTreeMap<InputId, Memory>,
    /// Which limit of which source is told as near.
    near: BTreeMap<String, String>,
}

impl Oversight {
    /// Nothing was seen yet by the engine with this number.
    pub fn new(epoch: u64) -> Self {
        Self {
            errors: Errors::default(),
            operations: Operations::new(epoch),
            resources: Resources::default(),
            memory: BTreeMap::new(),
            near: BTreeMap::new(),
        }
    }

    /// The processes, as they were seen last.
    pub(super) fn processes(&self) -> Option<&Processes> {
        self.resources.processes.as_ref()
    }

    /// Everything bounded, as it was seen last.
    pub(super) fn limits(&self) -> Vec<LimitView> {
        let mut limits = Vec::new();
        let mut add = |source: &str, what: &str, used: Option<u64>, limit: Option<u64>| {
            if let (Some(used), Some(limit)) = (used, limit) {
                limits.push(LimitView { source: source.to_owned(), what: what.to_owned(), used, limit });
            }
        };
        if let Some(memory) = self.resources.memory {
            add(MACHINE, MEMORY, Some(memory.total.saturating_sub(memory.available)), Some(memory.total));
        }
        for gauge in &self.resources.gauges {
            add(super::ENGINE, gauge.what, Some(gauge.used), Some(gauge.limit));
        }
        let Some(processes) = self.processes() else { return limits };
        if let Some((used, limit)) = processes.machine_threads {
            add(MACHINE, "threads", Some(used), Some(limit));
        }
        let workers = processes.workers.iter().map(|(id, _, usage)| (id.as_str(), usage));
        let mut threads = 0u64;
        for (source, usage) in std::iter::once((super::ENGINE, &processes.engine)).chain(workers) {
            add(source, "open files", usage.files, usage.files_limit);
            threads = threads.saturating_add(usage.threads.unwrap_or(0));
        }
        // The limit is one for all processes of the user; these are ours.
        add(super::ENGINE, "threads", Some(threads), processes.engine.threads_limit);
        limits
    }
}

impl State {
    /// Machine and processes were looked at.
    pub(super) fn on_resources(&mut self, now: Now, mut seen: Resources, out: &mut Vec<Effect>) {
        let errors = &mut self.oversight.errors;
        errors.note(now.mono, STORAGE, seen.disk.errors, seen.disk.successes);
        errors.note(now.mono, API, seen.api.errors, seen.api.successes);
        let looked = seen.processes.is_some();
        seen.processes = seen.processes.or(self.oversight.resources.processes.take());
        self.oversight.resources = seen;
        if looked {
            self.bury_zombies(now, out);
        }
        self.calm_memory(now);
        self.watch_limits(now);
    }

    /// A worker that has ended although nobody has said so.
    fn bury_zombies(&mut self, now: Now, out: &mut Vec<Effect>) {
        let workers = self.oversight.processes().into_iter().flat_map(|processes| &processes.workers);
        let zombies: Vec<_> =
            workers.filter(|(_, _, usage)| usage.zombie).map(|(id, pid, _)| (id.clone(), *pid)).collect();
        for (id, pid) in zombies {
            let how = "it has ended, and nobody was told how".to_owned();
            self.on_worker(now, &id, WorkerEvent::Exited { pid, how }, out);
        }
    }

    /// Of each source the limit that is nearest is told, once; it ends when none is near.
    fn watch_limits(&mut self, now: Now) {
        let rules = &self.setup.supervision;
        let mut nearest = BTreeMap::<String, (f64, LimitView)>::new();
        for limit in self.oversight.limits().into_iter().filter(|limit| limit.limit > 0) {
            let percent = if limit.what == MEMORY { rules.warn_memory_percent } else { rules.warn_limit_percent };
            // 1 = as much as is worth a word.
            let share = limit.used as f64 * 100.0 / (limit.limit as f64 * f64::from(percent));
            match nearest.get(&limit.source) {
                Some((most, _)) if *most >= share => {}
                _ => drop(nearest.insert(limit.source.clone(), (share, limit))),
            }
        }
        let told: Vec<String> = self.oversight.near.keys().cloned().collect();
        for source in told.into_iter().filter(|source| nearest.get(source).is_none_or(|(share, _)| *share < CALM)) {
            self.oversight.near.remove(&source);
            self.alerts.resolve(now, &source, IncidentCode::LimitNear.as_str());
        }
        for (source, (_, limit)) in nearest.into_iter().filter(|(_, (share, _))| *share > 1.0) {
            let count = |number| if limit.what == MEMORY { size::format(number) } else { number.to_string() };
            let incident = Incident::new(IncidentCode::LimitNear)
                .with("what", &limit.what)
                .with("used", count(limit.used))
                .with("limit", count(limit.limit));
            if self.oversight.near.get(&source) == Some(&limit.what) {
                self.alerts.keep(now, &source, &incident);
            } else {
                self.alerts.raise(now, &source, &incident);
                self.oversight.near.insert(source, limit.what);
            }
        }
    }
}

//! Memory of the workers, and of the machine before a start (R-SUP-4, R-SUP-15).
//!
//! Contract: no worker is ever replaced for memory, not even one that waits: the moment it would leave may be the one in
//! which somebody presses Record. What a session needed its worker gives back by itself ([`crate::sys::memory`]).

use super::super::budget::{self, Measured};
use super::super::event::Now;
use super::{ENGINE, State};
use crate::config::size;
use crate::model::InputId;
use crate::model::incident::{Incident, IncidentCode};
use std::collections::BTreeMap;

/// Memory is no longer low above this share of what there should be, in percent.
const CALM_PERCENT: u64 = 110;

impl State {
    /// The workers were measured.
    pub(super) fn watch_memory(&mut self, now: Now) {
        let rules = self.setup.supervision.clone();
        let code = IncidentCode::WorkerMemory;
        let ids: Vec<InputId> = self.inputs.iter().map(|input| input.spec.id.clone()).collect();
        for id in &ids {
            let recording = self.may_record(id);
            let Some(input) = self.input(id) else { continue };
            let (pid, seen) = (input.worker.pid(), input.usage.process.zip(input.usage.rss_bytes));
            let memory = self.oversight.memory.entry(id.clone()).or_default();
            match (pid, seen) {
                // What was seen of the one before says nothing of this one.
                (Some(pid), Some((process, rss))) if process.0 == pid => {
                    memory.measured(now.mono, &rules, process, recording, rss);
                }
                (Some(_), _) => {}
                // Nobody has said yet which process an earlier engine's is; what was kept is of none but that one.
                (None, _) if memory.used().is_none() => {}
                (None, _) => memory.gone(),
            }
            let (over, used, budget) = (memory.is_over(), memory.used(), memory.budget(&rules));
            match (over, used.zip(budget)) {
                (true, Some((used, budget))) => self.alerts.keep(now, id.as_str(), &too_much(used, budget)),
                // It will be known again how much it may use.
                (true, None) => {}
                (false, _) => self.alerts.resolve(now, id.as_str(), code.as_str()),
            }
        }
        let memories = || self.oversight.memory.values();
        match budget::together(memories(), &rules) {
            Some((used, budget)) if used > budget => self.alerts.keep(now, ENGINE, &too_much(used, budget)),
            Some(together) if !budget::is_calm(together) => {}
            None if memories().any(|memory| memory.used().is_some()) => {}
            Some(_) | None => self.alerts.resolve(now, ENGINE, code.as_str()),
        }
    }

    /// What the workers were measured to need: kept for the next engine.
    pub fn measured(&self) -> BTreeMap<InputId, Measured> {
        self.oversight.memory.iter().filter_map(|(id, memory)| Some((id.clone(), memory.kept()?))).collect()
    }

    /// What an earlier engine of this boot had measured.
    pub(super) fn recall_memory(&mut self, earlier: BTreeMap<InputId, Measured>) {
        for (id, measured) in earlier {
            if self.input(&id).is_some() {
                self.oversight.memory.entry(id).or_default().recall(measured);
            }
        }
    }

    /// A recording is about to begin: that there is little memory is said, and keeps nobody from it.
    pub(super) fn check_memory(&mut self, now: Now) {
        let free = self.oversight.resources.memory.map(|memory| memory.available);
        if let Some(free) = free.filter(|free| *free < self.setup.supervision.min_free_memory) {
            let incident = Incident::new(IncidentCode::MemoryLow).with("free", size::format(free));
            self.alerts.raise(now, ENGINE, &incident);
        }
    }

    /// There is memory again.
    pub(super) fn calm_memory(&mut self, now: Now) {
        let wanted = self.setup.supervision.min_free_memory / 100 * CALM_PERCENT;
        if self.oversight.resources.memory.is_some_and(|memory| memory.available >= wanted) {
            self.alerts.resolve(now, ENGINE, IncidentCode::MemoryLow.as_str());
        }
    }
}

fn too_much(used: u64, budget: u64) -> Incident {
    Incident::new(IncidentCode::WorkerMemory).with("used", size::format(used)).with("budget", size::format(budget))
}

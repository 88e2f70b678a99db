//! The governor's hands: what it is shown of the inputs, what workers are told to do without, and what is said of it
//! (R-DEG).
//!
//! Contract: one level for disk and machine. What a worker does without is put right from what it says it does without, so
//! that a new link, a new worker and a new engine need nothing of their own. Workers that do not say are told nothing.

use super::super::event::{Effect, Now};
use super::super::governor::watch::Load;
use super::super::governor::{Action, Danger, Scene, Shown, Usage};
use super::State;
use super::oversight::MACHINE;
use super::setup::Input;
use super::view::{AUDIO_BYTES_PER_S, EVIDENCE_AGE};
use crate::config::size;
use crate::model::InputId;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::shed::{FULL_BITRATE, Shed};
use crate::model::snapshot::{LevelName, LevelView, PreviewReduction, PreviewState, RecordingState};
use crate::protocol::health::MachineLoad;
use crate::protocol::worker::{Command, WorkerStatus};
use std::time::Duration;

/// A worker that still does something else is told again after this long.
const AGAIN: Duration = Duration::from_secs(1);
/// Everything that is told of the machine's load.
const TOLD: [IncidentCode; 9] = [
    IncidentCode::RecordingLate,
    IncidentCode::CpuHigh,
    IncidentCode::CpuPressure,
    IncidentCode::MemoryHigh,
    IncidentCode::LowMemoryMode,
    IncidentCode::PreviewsReduced,
    IncidentCode::PreviewsOff,
    IncidentCode::BitrateReduced,
    IncidentCode::Overloaded,
];

impl State {
    /// The machine was looked at.
    pub(super) fn on_load(&mut self, now: Now, load: Load, out: &mut Vec<Effect>) {
        self.governor.see(now.mono, load);
        self.govern(now, out);
    }

    /// What one input may write per second: what is configured, or twice what it was told to (R-DEG-4).
    pub(super) fn disk_budget(&self) -> u64 {
        let expected = u64::from(self.setup.encoding.bitrate_kbps) * 125 + AUDIO_BYTES_PER_S;
        self.setup.degradation.budget_disk.max(2 * expected)
    }

    /// What the inputs use was looked at.
    pub(super) fn watch_budgets(&mut self, now: Now) {
        let disk_budget = self.disk_budget();
        let inputs = self.inputs.iter().filter(|input| input.worker.pid().is_some());
        let usage = |input: &Input| {
            let status = fresh(now, input);
            let recording = status.and_then(|status| status.recording.as_ref());
            let usage = Usage {
                cpu_percent: input.usage.cpu_percent,
                disk: recording.and_then(|recording| recording.bytes_per_s),
                disk_budget,
                shown: status.is_some_and(|status| status.preview.state != PreviewState::Off),
                adjustable: input.load(now).is_some_and(|load| load.bitrate_adjustable),
            };
            (input.spec.id.clone(), usage)
        };
        self.budgets.see(now.mono, inputs.map(usage).collect());
    }

    /// Does what is due.
    pub(super) fn govern(&mut self, now: Now, out: &mut Vec<Effect>) {
        let scene = self.scene(now);
        for (input, change) in self.governor.step(now.mono, &scene) {
            let (action, level) = (change.action.as_str(), self.governor.level());
            let input = input.as_ref().map(InputId::as_str);
            match change.taken {
                true => {
                    tracing::warn!(input, action, felt = change.felt, ?level, "the machine is loaded; done without")
                }
                false => tracing::info!(input, action, felt = change.felt, ?level, "the load has gone; given back"),
            }
            if change.taken && change.action == Action::CachesDropped {
                out.push(Effect::DropCaches);
            }
        }
        let rules = &self.setup.degradation;
        let loaded = self.governor.level() >= LevelName::Warn;
        for (input, change) in self.budgets.step(now.mono, rules.calm, rules.budget_cpu_percent, loaded) {
            let (action, taken, felt) = (change.action.as_str(), change.taken, change.felt);
            tracing::info!(%input, action, taken, felt, "an input is above its budget, or within it again");
        }
        if self.holds_jobs() {
            self.put_off_proof(out);
        }
        if self.governor.is_settled(now.mono) {
            self.tell_sheds(now, &scene.inputs, out);
        }
        self.tell_load(now, out);
    }

    /// Nothing that was recorded before is read again now.
    pub(super) fn holds_jobs(&self) -> bool {
        let recording = self.session.as_ref().is_some_and(|session| session.runs());
        self.governor.holds_jobs(recording)
    }

    fn scene(&self, now: Now) -> Scene {
        let order = self.by_importance();
        let heard = || self.inputs.iter().filter_map(|input| Some((input, fresh(now, input)?)));
        let watched = heard().filter(|(_, status)| status.preview.state != PreviewState::Off);
        let shown = |(input, status): (&Input, &WorkerStatus)| Shown {
            input: input.spec.id.clone(),
            height: status.preview.height,
            fps: status.signal.and_then(|signal| signal.fps),
        };
        let runs = |status: &WorkerStatus| {
            let recording = status.recording.as_ref().map(|recording| recording.state);
            // One that stands still is no question of load, and has a watchdog of its own.
            recording == Some(RecordingState::Recording)
        };
        let danger = heard().filter(|(input, status)| runs(status) && !input.waits_for_disk(now));
        let late = danger.filter_map(|(input, status)| {
            let fps = status.signal.and_then(|signal| signal.fps);
            let load = status.load.filter(|load| self.governor.is_late(load, fps))?;
            let danger = Danger { queue_percent: load.queue_percent, late_ms: load.late_ms.unwrap_or(0) };
            Some((input.spec.id.clone(), danger))
        });
        let adjustable = heard().filter(|(_, status)| status.load.is_some_and(|load| load.bitrate_adjustable));
        Scene {
            inputs: order.iter().map(|input| input.spec.id.clone()).collect(),
            shown: watched.map(shown).collect(),
            jobs: self.proofs.has_work(),
            adjustable: adjustable.map(|(input, _)| input.spec.id.clone()).collect(),
            late: late.collect(),
            sheds: heard().filter_map(|(input, status)| Some((input.spec.id.clone(), status.shed?))).collect(),
        }
    }

    /// Puts right what the workers do without; `order` = the most important input first.
    fn tell_sheds(&mut self, now: Now, order: &[InputId], out: &mut Vec<Effect>) {
        let wanted: Vec<Shed> = self.governor.sheds(order);
        for (id, wanted) in order.iter().zip(wanted) {
            let wanted = wanted.and(self.budgets.shed(id));
            let Some(input) = self.input_mut(id) else { continue };
            let does = input.status.as_ref().and_then(|(_, status)| status.shed);
            let told = input.shed.is_some_and(|(at, shed)| shed == wanted && now.mono.since(at) < AGAIN);
            let known = does.is_none_or(|does| does == wanted);
            // Who says what it does without knows the command, of whatever build it is.
            if known || told || !input.worker.is_linked() {
                continue;
            }
            input.shed = Some((now.mono, wanted));
            self.send(now, id, out, |command| Command::Shed { id: command, shed: wanted });
        }
    }

    /// Says what is wrong and what is done about it, from what the workers say. Their last words count until there are
    /// others: under load they come late.
    fn tell_load(&mut self, now: Now, out: &mut Vec<Effect>) {
        let mut incidents: Vec<Incident> =
            self.governor.causes().into_iter().filter_map(|(_, code)| self.cause(code)).collect();
        let said = || self.inputs.iter().filter_map(|input| input.status.as_ref().map(|(_, status)| status));
        let reduced = said().filter_map(|status| status.preview.reduced).max();
        match reduced {
            Some(PreviewReduction::Off) => incidents.push(Incident::new(IncidentCode::PreviewsOff)),
            Some(_) => incidents.push(Incident::new(IncidentCode::PreviewsReduced)),
            None => {}
        }
        let lowest = said().filter_map(|status| Some(status.shed?.bitrate_percent)).min();
        if let Some(percent) = lowest.filter(|percent| *percent < FULL_BITRATE) {
            incidents.push(Incident::new(IncidentCode::BitrateReduced).with("percent", percent));
        }
        if self.governor.is_helpless() {
            incidents.push(Incident::new(IncidentCode::Overloaded));
        }
        for code in TOLD {
            match incidents.iter().find(|incident| incident.code == code) {
                Some(incident) => self.keep(now, MACHINE, incident.clone(), out),
                None => self.alerts.resolve(now, MACHINE, code.as_str()),
            }
        }
        self.tell_budgets(now, out);
    }

    /// A cause in words; pressure is told only where no number of processors says it better.
    fn cause(&self, code: IncidentCode) -> Option<Incident> {
        let (load, danger) = (self.governor.load(), self.governor.danger());
        let percent = |value: Option<f64>| Some(Incident::new(code).with("percent", value?.round()));
        match code {
            IncidentCode::CpuPressure if self.governor.is_busy() => None,
            IncidentCode::CpuHigh => percent(load.cpu_percent),
            IncidentCode::CpuPressure => percent(load.pressure_percent),
            IncidentCode::MemoryHigh => percent(load.memory_percent),
            IncidentCode::LowMemoryMode => Some(Incident::new(code).with("free", size::format(load.available?))),
            _ => Some(Incident::new(code).with("queue", danger.queue_percent).with("late", danger.late_ms)),
        }
    }

    fn tell_budgets(&mut self, now: Now, out: &mut Vec<Effect>) {
        let budget = format!("{}", self.setup.degradation.budget_cpu_percent);
        let ids: Vec<InputId> = self.inputs.iter().map(|input| input.spec.id.clone()).collect();
        for id in ids {
            let over = self.budgets.overdraft(&id);
            let cpu = over.cpu_percent.map(|used| (format!("{used:.0}"), budget.clone()));
            let disk = over.disk.map(|(used, budget)| (size::format(used), size::format(budget)));
            for (code, over) in [(IncidentCode::CpuBudget, cpu), (IncidentCode::DiskBudget, disk)] {
                match over {
                    Some((used, budget)) => {
                        let incident = Incident::new(code).with("used", used).with("budget", budget);
                        self.keep(now, id.as_str(), incident, out);
                    }
                    None => self.alerts.resolve(now, id.as_str(), code.as_str()),
                }
            }
        }
    }

    /// The one level everybody sees, why, and what is done about it.
    pub(super) fn level_view(&self, now: Now) -> LevelView {
        let disk = self.disk_level(now);
        let machine = self.governor.causes();
        let mut causes: Vec<(LevelName, String)> = disk.causes.into_iter().map(|code| (disk.name, code)).collect();
        causes.extend(machine.into_iter().map(|(level, code)| (level, code.as_str().to_owned())));
        let budgets = self.budgets.felt();
        for (level, code, _) in &budgets {
            if !causes.iter().any(|(_, known)| known == code.as_str()) {
                causes.push((*level, code.as_str().to_owned()));
            }
        }
        let seen = causes.iter().map(|(level, _)| *level);
        let name = seen.fold(disk.name.max(self.governor.level()), LevelName::max);
        causes.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
        let mut actions = disk.actions;
        let mut add = |action: Action| {
            if !actions.iter().any(|known| known == action.as_str()) {
                actions.push(action.as_str().to_owned());
            }
        };
        self.governor.taken().chain(budgets.iter().map(|(_, _, action)| *action)).for_each(&mut add);
        if self.holds_jobs() && self.proofs.has_work() {
            add(Action::JobsPaused);
        }
        let causes = causes.into_iter().map(|(_, code)| code).collect();
        // Saturates where it is no percent.
        let cpu_percent = self.governor.load().cpu_percent.map(|percent| percent.round() as u8);
        LevelView { name, causes, actions, cpu_percent }
    }

    /// The machine's numbers, as they were seen last.
    pub(super) fn machine_load(&self) -> MachineLoad {
        let load = self.governor.load();
        MachineLoad {
            cpu_percent: load.cpu_percent,
            pressure_percent: load.pressure_percent,
            memory_percent: load.memory_percent.map(|percent| (percent * 10.0).round() / 10.0),
        }
    }
}

/// The last word of a worker, while it proves something.
fn fresh(now: Now, input: &Input) -> Option<&WorkerStatus> {
    input.status.as_ref().filter(|(at, _)| now.mono.since(*at) < EVIDENCE_AGE).map(|(_, status)| status)
}

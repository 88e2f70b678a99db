//! From what was seen to what is done without. Pure.

use super::action::{self, Action, CPU, LOW_MEMORY, MEMORY};
use super::cause::Cause;
use super::late::{AT_ONCE, Late, Seen};
use super::track::{Change, Standing, Track, Worth};
use super::watch::Load;
use crate::config::DegradationRules;
use crate::model::InputId;
use crate::model::MonoNs;
use crate::model::incident::IncidentCode;
use crate::model::shed::{Shed, WorkerLoad};
use crate::model::snapshot::LevelName;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The next action of a row (R-DEG).
const PACE: Duration = Duration::from_secs(5);
/// The same where the machine is at its limit: all previews are off within 5 s of a load that came at once.
const FAST: Duration = Duration::from_millis(1500);
/// Nothing is decided before the first means are whole.
const SETTLES: Duration = Duration::from_secs(2);
/// Low-memory mode is left above this share of where it begins, in percent.
const ROOM_PERCENT: u64 = 110;
/// Pictures on their way through an encoder that keeps up: hardware holds up to four, and there are two ends.
const PIPELINED: f64 = 6.0;
/// A machine with no more memory than this is always in low-memory mode (R-DEG-5).
const SMALL_MACHINE: u64 = 1 << 30;

/// A recording that runs late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Danger {
    /// The fullest queue, in percent.
    pub queue_percent: u8,
    /// The latest encoder.
    pub late_ms: u64,
}

/// A preview somebody watches.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// Of this input.
    pub input: InputId,
    /// Pixels, `None` = not known.
    pub height: Option<u32>,
    /// Of the input, `None` = not known.
    pub fps: Option<f64>,
}

/// What there is to be done without.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scene {
    /// All inputs, the most important first.
    pub inputs: Vec<InputId>,
    /// The previews that are watched.
    pub shown: Vec<Shown>,
    /// Files are being read again, or wait to be.
    pub jobs: bool,
    /// Their recordings' bitrate can be lowered.
    pub adjustable: Vec<InputId>,
    /// Their recordings run late.
    pub late: Vec<(InputId, Danger)>,
    /// What their workers say they do without.
    pub sheds: Vec<(InputId, Shed)>,
}

/// See the module.
#[derive(Debug)]
pub struct Governor {
    rules: DegradationRules,
    since: Option<MonoNs>,
    load: Load,
    danger: Danger,
    busy: [Cause; 3],
    memory: [Cause; 3],
    pressure: Cause,
    /// Recordings run late, and it is the machine that holds them up.
    late: Cause,
    low_memory: Cause,
    tracks: [Track; 3],
    /// Of each input by itself.
    own: BTreeMap<InputId, Late>,
    /// Whose first word about what they do without is known.
    met: BTreeSet<InputId>,
}

/// Places in [`Governor::busy`] and `memory`.
const WARN: usize = 0;
const DEGRADE: usize = 1;
const CRITICAL: usize = 2;
const LEVELS: [LevelName; 3] = [LevelName::Warn, LevelName::Degrade, LevelName::Critical];

impl Governor {
    /// Nothing was seen yet. A milder limit never lies behind a stricter one.
    pub fn new(mut rules: DegradationRules) -> Self {
        rules.cpu_degrade_percent = rules.cpu_degrade_percent.min(rules.cpu_critical_percent);
        rules.cpu_warn_percent = rules.cpu_warn_percent.min(rules.cpu_degrade_percent);
        rules.memory_degrade_percent = rules.memory_degrade_percent.min(rules.memory_critical_percent);
        rules.memory_warn_percent = rules.memory_warn_percent.min(rules.memory_degrade_percent);
        Self {
            rules,
            since: None,
            load: Load::default(),
            danger: Danger::default(),
            busy: Default::default(),
            memory: Default::default(),
            pressure: Cause::default(),
            late: Cause::default(),
            low_memory: Cause::default(),
            tracks: [Track::new(&CPU), Track::new(&MEMORY), Track::new(&LOW_MEMORY)],
            own: BTreeMap::new(),
            met: BTreeSet::new(),
        }
    }

    /// The machine was looked at.
    pub fn see(&mut self, now: MonoNs, load: Load) {
        self.since.get_or_insert(now);
        let (rules, calm) = (&self.rules, self.rules.calm);
        let cpu = [rules.cpu_warn_percent, rules.cpu_degrade_percent, rules.cpu_critical_percent];
        let memory = [rules.memory_warn_percent, rules.memory_degrade_percent, rules.memory_critical_percent];
        let above = |percent: Option<f64>, limit: u32| percent.map(|percent| percent > f64::from(limit));
        for (cause, limit) in self.busy.iter_mut().zip(cpu) {
            cause.look(now, calm, above(load.cpu_percent, limit));
        }
        for (cause, limit) in self.memory.iter_mut().zip(memory) {
            cause.look(now, calm, above(load.memory_percent, limit));
        }
        // 100 is never passed: everything above may be switched off, and pressure with it.
        let busy = above(load.cpu_percent, cpu[WARN]).unwrap_or(true);
        // Not known = no load: beside a proof it would stay as it was for as long as that runs.
        let pressed = above(load.pressure_percent, rules.pressure_percent).unwrap_or(false);
        self.pressure.look(now, calm, Some(pressed && busy));
        let low = load.available.zip(load.total).map(|(available, total)| {
            let enough = match self.low_memory.on {
                true => (rules.low_memory / 100).saturating_mul(ROOM_PERCENT),
                false => rules.low_memory,
            };
            // Whoever sets the limit to nothing does not want the mode.
            available < enough || total <= SMALL_MACHINE.min(rules.low_memory.saturating_mul(8))
        });
        self.low_memory.look(now, calm, low);
        self.load = load;
    }

    /// Whether anything of it is to be carried out yet.
    pub fn is_settled(&self, now: MonoNs) -> bool {
        self.since.is_some_and(|since| now.since(since) >= SETTLES)
    }

    /// Does what is due; what concerns one input comes with its name.
    pub fn step(&mut self, now: MonoNs, scene: &Scene) -> Vec<(Option<InputId>, Change)> {
        // One that is late where nothing else is busy is its own trouble (a driver, an encoder that is too slow).
        let all = scene.late.len() > 1 || (!scene.late.is_empty() && self.is_loaded());
        self.late.look(now, self.rules.calm, Some(all));
        if !scene.late.is_empty() {
            self.danger = scene.late.iter().fold(Danger::default(), |worst, (_, danger)| Danger {
                queue_percent: worst.queue_percent.max(danger.queue_percent),
                late_ms: worst.late_ms.max(danger.late_ms),
            });
        } else if !self.is_settled(now) {
            return Vec::new();
        }
        self.resume(now, scene);
        let changes = self.step_all(now, scene).into_iter().map(|change| (None, change));
        let mut changes: Vec<_> = changes.collect();
        let waits = all && !self.has(Action::PreviewsOff);
        let off = action::previews(scene.inputs.len(), |action| self.has(action));
        for (id, preview) in scene.inputs.iter().zip(off) {
            let seen = Seen {
                late: scene.late.iter().any(|(late, _)| late == id),
                shown: !preview.off && scene.shown.iter().any(|shown| shown.input == *id),
                adjustable: scene.adjustable.contains(id),
                waits,
            };
            let own = self.own.entry(id.clone()).or_default().step(now, self.rules.calm, seen);
            changes.extend(own.into_iter().map(|change| (Some(id.clone()), change)));
        }
        changes
    }

    /// What is done about all inputs.
    fn step_all(&mut self, now: MonoNs, scene: &Scene) -> Vec<Change> {
        let calm = self.rules.calm;
        let urgent = self.late.bad;
        let pace = |row: usize| match row {
            _ if urgent => AT_ONCE,
            0 => PACE,
            _ => FAST,
        };
        let cpu = [
            standing(now, &[self.busy[DEGRADE], self.pressure, self.late], pace(0)),
            standing(now, &[self.busy[CRITICAL], self.late], pace(1)),
        ];
        let memory = [standing(now, &[self.memory[DEGRADE]], PACE), standing(now, &[self.memory[CRITICAL]], PACE)];
        let low = [standing(now, &[self.low_memory], PACE)];
        let off: Vec<bool> = self.sheds(&scene.inputs).iter().map(|shed| shed.preview.off).collect();
        let worth = |action| worth(action, scene, &off);
        let [of_cpu, of_memory, of_low] = &mut self.tracks;
        let mut changes = of_cpu.step(now, calm, &cpu, worth);
        changes.extend(of_memory.step(now, calm, &memory, worth));
        changes.extend(of_low.step(now, calm, &low, worth));
        changes
    }

    /// Goes on from what workers did without before this engine knew them: what an earlier one has shed was needed a
    /// moment ago, and is given back in the ordinary way. What all of them do without was done about all, the rest about
    /// each.
    fn resume(&mut self, now: MonoNs, scene: &Scene) {
        let news: Vec<_> = scene.sheds.iter().filter(|(id, _)| !self.met.contains(id)).collect();
        if news.is_empty() {
            return;
        }
        let place = |id: &InputId| scene.inputs.iter().position(|input| input == id);
        if self.met.is_empty() && self.tracks[0].taken().next().is_none() {
            let order: Vec<Action> = CPU.iter().flat_map(|row| row.actions).copied().collect();
            let of = |count: usize| action::previews(scene.inputs.len(), |action| order[..count].contains(&action));
            let fits = |count: &usize| {
                let previews = of(*count);
                let shed = |id| Some(Shed { preview: *previews.get(place(id)?)?, ..Shed::default() });
                news.iter().all(|(id, does)| shed(id).is_none_or(|shed| does.and(shed) == *does))
            };
            let count = (1..=order.len()).take_while(fits);
            let count = count.fold(0, |best, count| if of(count) == of(best) { best } else { count });
            self.tracks[0].resume(now, order.into_iter().take(count));
        }
        let off = action::previews(scene.inputs.len(), |action| self.has(action));
        for (id, does) in news {
            let is_off = place(id).and_then(|place| off.get(place)).is_some_and(|preview| preview.off);
            self.own.entry(id.clone()).or_default().resume(now, *does, is_off);
            self.met.insert(id.clone());
        }
    }

    /// Everything that is done, in order; of single inputs what was felt.
    pub fn taken(&self) -> impl Iterator<Item = Action> + '_ {
        self.tracks.iter().flat_map(Track::taken).chain(self.own.values().flat_map(Late::felt))
    }

    /// Something is done about all inputs.
    fn has(&self, action: Action) -> bool {
        self.tracks.iter().any(|track| track.is_taken(action))
    }

    /// Whether nothing is to be read again now.
    pub fn holds_jobs(&self, recording: bool) -> bool {
        // R-SUP-9: beside a recording what can wait does so as soon as the machine is loaded.
        self.has(Action::JobsPaused) || (recording && self.level() >= LevelName::Degrade)
    }

    /// What each input does without; `inputs` the most important first.
    pub fn sheds(&self, inputs: &[InputId]) -> Vec<Shed> {
        let previews = action::previews(inputs.len(), |action| self.has(action));
        let own = |id| self.own.get(id).map(Late::shed).unwrap_or_default();
        let shed = |(id, preview)| Shed { preview, ..Shed::default() }.and(own(id));
        inputs.iter().zip(previews).map(shed).collect()
    }

    /// The level of what was seen and of what is still done about it.
    pub fn level(&self) -> LevelName {
        let causes = self.causes();
        let seen = causes.iter().map(|(level, _)| *level);
        let done = self.tracks.iter().map(Track::level).chain(self.own.values().map(Late::level));
        seen.chain(done).max().unwrap_or(LevelName::Normal)
    }

    /// Why, worst first.
    pub fn causes(&self) -> Vec<(LevelName, IncidentCode)> {
        let level = |causes: &[Cause; 3]| causes.iter().rposition(|cause| cause.on).map(|place| LEVELS[place]);
        let late = self.late.on || self.own.values().any(Late::is_on);
        let found = [
            (late.then_some(LevelName::Critical), IncidentCode::RecordingLate),
            (level(&self.busy), IncidentCode::CpuHigh),
            (level(&self.memory), IncidentCode::MemoryHigh),
            (self.pressure.on.then_some(LevelName::Degrade), IncidentCode::CpuPressure),
            (self.low_memory.on.then_some(LevelName::Warn), IncidentCode::LowMemoryMode),
        ];
        let mut causes: Vec<_> = found.into_iter().filter_map(|(level, code)| Some((level?, code))).collect();
        causes.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
        causes
    }

    /// A recording runs late although nothing is left that could be done without.
    pub fn is_helpless(&self) -> bool {
        self.own.values().any(Late::is_helpless)
    }

    /// Whether a recording runs late, by what its worker says. An encoder holds some pictures in any case.
    pub fn is_late(&self, load: &WorkerLoad, fps: Option<f64>) -> bool {
        let held = fps.filter(|fps| *fps > 0.0).map_or(Duration::ZERO, |fps| Duration::from_secs_f64(PIPELINED / fps));
        let late = load.late_ms.is_some_and(|ms| Duration::from_millis(ms) > self.rules.late.max(held));
        late || u32::from(load.queue_percent) > self.rules.queue_percent
    }

    /// The processors themselves are said to be busy.
    pub fn is_busy(&self) -> bool {
        self.busy[WARN].on
    }

    /// The machine itself may hold up who runs late; also where it is not known.
    fn is_loaded(&self) -> bool {
        self.load.cpu_percent.is_none() || self.is_busy() || self.pressure.on || self.memory[DEGRADE].on
    }

    /// The machine as it was seen last.
    pub fn load(&self) -> &Load {
        &self.load
    }

    /// The recordings' trouble as it was seen last.
    pub fn danger(&self) -> Danger {
        self.danger
    }
}

fn standing(now: MonoNs, causes: &[Cause], pace: Duration) -> Standing {
    Standing {
        bad: causes.iter().any(|cause| cause.bad),
        good_for: causes.iter().map(|cause| cause.good_for(now)).min().unwrap_or_default(),
        pace,
    }
}

/// What `action` would change, where some previews are `off` already.
fn worth(action: Action, scene: &Scene, off: &[bool]) -> Worth {
    let count = scene.inputs.len();
    let place = |shown: &Shown| scene.inputs.iter().position(|input| *input == shown.input).unwrap_or(usize::MAX);
    let some = |changes: &dyn Fn(usize, &Shown) -> bool| {
        let seen = scene.shown.iter().map(|shown| (place(shown), shown));
        seen.filter(|(place, _)| off.get(*place) != Some(&true)).any(|(place, shown)| changes(place, shown))
    };
    let felt = match action {
        Action::PreviewHeight => some(&|_, shown| shown.height.is_some_and(|height| height > action::PREVIEW_HEIGHT)),
        Action::PreviewRate => some(&|_, shown| shown.fps.is_none_or(|fps| fps > f64::from(action::PREVIEW_FPS))),
        Action::FewPreviewsOff => some(&|place, _| action::is_of_the_few(place, count)),
        Action::LeastPreviewOff => some(&|place, _| place.saturating_add(1) >= count),
        Action::OnePreview => some(&|place, _| place > 0),
        Action::PreviewsOff => some(&|_, _| true),
        Action::JobsPaused => scene.jobs,
        // Some memory of this process: nobody is to wait for what it changes.
        Action::CachesDropped => false,
        // Of single inputs only.
        Action::LatePreviewOff | Action::BitrateLower | Action::BitrateHalf => return Worth::Wait,
    };
    if felt { Worth::Something } else { Worth::Nothing }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;

//! From what was seen to what is done without. Pure.

use super::action::{self, Action, CPU, FEW, LOW_MEMORY, MEMORY};
use super::cause::Cause;
use super::track::{Change, Standing, Track, Worth};
use super::watch::Load;
use crate::config::DegradationRules;
use crate::model::InputId;
use crate::model::MonoNs;
use crate::model::incident::IncidentCode;
use crate::model::shed::{FULL_BITRATE, PreviewCap, Shed, WorkerLoad};
use crate::model::snapshot::LevelName;
use std::time::Duration;

/// The next action of a row (R-DEG).
const PACE: Duration = Duration::from_secs(5);
/// The same where the machine is at its limit: all previews are off within 5 s of a load that came at once.
const FAST: Duration = Duration::from_millis(1500);
/// The same while a recording runs late: a raw queue holds a second.
const AT_ONCE: Duration = Duration::from_secs(1);
/// A recording that runs late for so long in spite of everything gets a lower bitrate.
const LATE_FOR_LONG: Duration = Duration::from_secs(5);
/// Nothing is decided before the first means are whole: what an earlier engine has shed stays so long.
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
    /// A recording's bitrate can be lowered.
    pub adjustable: bool,
    /// The worst of the recordings that run late, `None` = all keep up.
    pub danger: Option<Danger>,
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
    late: Cause,
    low_memory: Cause,
    tracks: [Track; 3],
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
            cause.look(now, calm, above(load.memory_percent(), limit));
        }
        // 100 is never passed: everything above may be switched off, and pressure with it.
        let busy = above(load.cpu_percent, cpu[WARN]).unwrap_or(true);
        self.pressure.look(now, calm, above(load.pressure_percent, rules.pressure_percent).map(|above| above && busy));
        let low = load.memory.map(|memory| {
            let enough = match self.low_memory.on {
                true => rules.low_memory / 100 * ROOM_PERCENT,
                false => rules.low_memory,
            };
            // Whoever sets the limit to nothing does not want the mode.
            memory.available < enough || memory.total <= SMALL_MACHINE.min(rules.low_memory.saturating_mul(8))
        });
        self.low_memory.look(now, calm, low);
        self.load = load;
    }

    /// Whether anything of it is to be carried out yet.
    pub fn is_settled(&self, now: MonoNs) -> bool {
        self.since.is_some_and(|since| now.since(since) >= SETTLES)
    }

    /// Does what is due.
    pub fn step(&mut self, now: MonoNs, scene: &Scene) -> Vec<Change> {
        self.late.look(now, self.rules.calm, Some(scene.danger.is_some()));
        self.danger = scene.danger.unwrap_or(self.danger);
        if !self.is_settled(now) && scene.danger.is_none() {
            return Vec::new();
        }
        let calm = self.rules.calm;
        let late_for = self.late.bad_for(now);
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
        let held: Vec<Action> = self.taken().collect();
        let worth = |action| worth(action, scene, &held, late_for);
        let [of_cpu, of_memory, of_low] = &mut self.tracks;
        let mut changes = of_cpu.step(now, calm, &cpu, worth);
        changes.extend(of_memory.step(now, calm, &memory, worth));
        changes.extend(of_low.step(now, calm, &low, worth));
        changes
    }

    /// Everything that is done, in order.
    pub fn taken(&self) -> impl Iterator<Item = Action> + '_ {
        self.tracks.iter().flat_map(Track::taken)
    }

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
        let count = inputs.len();
        let last = |number: usize, place: usize| place >= count.saturating_sub(number);
        let off = |place: usize| {
            self.has(Action::PreviewsOff)
                || (self.has(Action::FewPreviewsOff) && last(FEW, place))
                || (self.has(Action::LeastPreviewOff) && last(1, place))
                || (self.has(Action::OnePreview) && place > 0)
        };
        let bitrate_percent = match () {
            () if self.has(Action::BitrateHalf) => 50,
            () if self.has(Action::BitrateLower) => 75,
            () => FULL_BITRATE,
        };
        let preview = |place| PreviewCap {
            max_height: self.has(Action::PreviewHeight).then_some(action::PREVIEW_HEIGHT),
            max_fps: self.has(Action::PreviewRate).then_some(action::PREVIEW_FPS),
            off: off(place),
        };
        (0..count).map(|place| Shed { preview: preview(place), bitrate_percent }).collect()
    }

    /// The level of what was seen and of what is still done about it.
    pub fn level(&self) -> LevelName {
        let causes = self.causes();
        let seen = causes.iter().map(|(level, _)| *level);
        seen.chain(self.tracks.iter().map(Track::level)).max().unwrap_or(LevelName::Normal)
    }

    /// Why, worst first.
    pub fn causes(&self) -> Vec<(LevelName, IncidentCode)> {
        let level = |causes: &[Cause; 3]| causes.iter().rposition(|cause| cause.on).map(|place| LEVELS[place]);
        let found = [
            (self.late.on.then_some(LevelName::Critical), IncidentCode::RecordingLate),
            (level(&self.busy), IncidentCode::CpuHigh),
            (level(&self.memory), IncidentCode::MemoryHigh),
            (self.pressure.on.then_some(LevelName::Degrade), IncidentCode::CpuPressure),
            (self.low_memory.on.then_some(LevelName::Warn), IncidentCode::LowMemoryMode),
        ];
        let mut causes: Vec<_> = found.into_iter().filter_map(|(level, code)| Some((level?, code))).collect();
        causes.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
        causes
    }

    /// Recordings run late although nothing is left that could be done without.
    pub fn is_helpless(&self, now: MonoNs, scene: &Scene) -> bool {
        let open = scene.adjustable && !self.has(Action::BitrateHalf);
        self.late.bad_for(now) >= LATE_FOR_LONG && self.has(Action::PreviewsOff) && !open
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

/// What `action` would change, beside what is `held` already.
fn worth(action: Action, scene: &Scene, held: &[Action], late_for: Duration) -> Worth {
    let off = |place: usize| {
        let count = scene.inputs.len();
        held.contains(&Action::PreviewsOff)
            || (held.contains(&Action::FewPreviewsOff) && place + FEW >= count)
            || (held.contains(&Action::LeastPreviewOff) && place + 1 >= count)
            || (held.contains(&Action::OnePreview) && place > 0)
    };
    let place = |shown: &Shown| scene.inputs.iter().position(|input| *input == shown.input).unwrap_or(usize::MAX);
    let some = |changes: &dyn Fn(usize, &Shown) -> bool| {
        scene.shown.iter().any(|shown| !off(place(shown)) && changes(place(shown), shown))
    };
    let count = scene.inputs.len();
    let felt = match action {
        Action::PreviewHeight => some(&|_, shown| shown.height.is_some_and(|height| height > action::PREVIEW_HEIGHT)),
        Action::PreviewRate => some(&|_, shown| shown.fps.is_none_or(|fps| fps > f64::from(action::PREVIEW_FPS))),
        Action::FewPreviewsOff => some(&|place, _| place.saturating_add(FEW) >= count),
        Action::LeastPreviewOff => some(&|place, _| place.saturating_add(1) >= count),
        Action::OnePreview => some(&|place, _| place > 0),
        Action::PreviewsOff => some(&|_, _| true),
        Action::JobsPaused => scene.jobs,
        Action::CachesDropped => true,
        Action::BitrateLower | Action::BitrateHalf => {
            let wait = if action == Action::BitrateLower { LATE_FOR_LONG } else { LATE_FOR_LONG * 2 };
            return if scene.adjustable && late_for >= wait { Worth::Something } else { Worth::Wait };
        }
    };
    if felt { Worth::Something } else { Worth::Nothing }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;

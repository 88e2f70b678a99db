//! What one input may use of the machine (R-DEG-4). Pure.
//!
//! Contract: counts the mean of [`WINDOW`]; an input above its budget is named, and loses quality of its own preview only
//! while the machine is loaded: on an idle one there is nobody to save it for. Its bitrate is lowered only where it writes
//! far more than it was told to. The budget of all together is the sum, so nobody can be above that alone.

use super::action::{Action, Row};
use super::cause::Cause;
use super::track::{Change, Standing, Track, Worth};
use crate::model::incident::IncidentCode;
use crate::model::shed::{PreviewCap, Shed};
use crate::model::snapshot::LevelName;
use crate::model::{InputId, MonoNs};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Means are over this long, and there is one action in it.
const WINDOW: Duration = Duration::from_secs(10);
/// Samples of a window: one every 2 s, and some.
const SAMPLES: usize = 16;

/// Against too much processor time.
const CPU: [Row; 1] = [Row { level: LevelName::Warn, actions: &[Action::PreviewRate, Action::PreviewHeight] }];
/// Against too many bytes.
const DISK: [Row; 1] = [Row { level: LevelName::Warn, actions: &[Action::BitrateLower, Action::BitrateHalf] }];

/// What an input was seen to use.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Of the whole machine.
    pub cpu_percent: Option<f64>,
    /// Written per second.
    pub disk: Option<u64>,
    /// What it may write per second.
    pub disk_budget: u64,
    /// Somebody watches it.
    pub shown: bool,
    /// Its bitrate can be lowered.
    pub adjustable: bool,
}

/// An input above its budget, by its means.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Overdraft {
    /// Of the whole machine, in percent.
    pub cpu_percent: Option<f64>,
    /// Written per second, and the budget.
    pub disk: Option<(u64, u64)>,
}

#[derive(Debug)]
struct Stream {
    seen: VecDeque<(MonoNs, Usage)>,
    cpu: Cause,
    disk: Cause,
    /// The causes on a machine that is loaded.
    cpu_matters: Cause,
    tracks: [Track; 2],
}

/// The budgets of all inputs.
#[derive(Debug, Default)]
pub struct Budgets(BTreeMap<InputId, Stream>);

impl Stream {
    fn new() -> Self {
        let cause = Cause::default();
        let tracks = [Track::new(&CPU), Track::new(&DISK)];
        Self { seen: VecDeque::new(), cpu: cause, disk: cause, cpu_matters: cause, tracks }
    }

    fn see(&mut self, now: MonoNs, usage: Usage) {
        while self.seen.len() >= SAMPLES || self.seen.front().is_some_and(|(at, _)| now.since(*at) > WINDOW) {
            self.seen.pop_front();
        }
        self.seen.push_back((now, usage));
    }

    /// The mean of what is known, once that is most of a window.
    fn mean(&self, of: impl Fn(&Usage) -> Option<f64>) -> Option<f64> {
        let (first, last) = (self.seen.front()?, self.seen.back()?);
        let known: Option<Vec<f64>> = self.seen.iter().map(|(_, usage)| of(usage)).collect();
        let known = known.filter(|_| last.0.since(first.0) >= WINDOW * 8 / 10)?;
        Some(known.iter().sum::<f64>() / known.len() as f64)
    }
}

impl Budgets {
    /// What the inputs used was looked at; those that are not named have no worker.
    pub fn see(&mut self, now: MonoNs, usages: Vec<(InputId, Usage)>) {
        self.0.retain(|id, _| usages.iter().any(|(of, _)| of == id));
        for (id, usage) in usages {
            self.0.entry(id).or_insert_with(Stream::new).see(now, usage);
        }
    }

    /// Judges the means, and does what is due. `cpu_budget` in percent of the machine.
    pub fn step(&mut self, now: MonoNs, calm: Duration, cpu_budget: u32, loaded: bool) -> Vec<(InputId, Change)> {
        let mut changes = Vec::new();
        for (id, stream) in &mut self.0 {
            let usage = stream.seen.back().map(|(_, usage)| *usage).unwrap_or_default();
            let cpu = stream.mean(|usage| usage.cpu_percent).map(|cpu| cpu > f64::from(cpu_budget));
            let disk = stream.mean(|usage| usage.disk.map(|bytes| bytes as f64));
            let disk = disk.map(|bytes| bytes > usage.disk_budget as f64);
            stream.cpu.look(now, calm, cpu);
            // Nothing is written any more.
            stream.disk.look(now, calm, if usage.disk.is_none() { Some(false) } else { disk });
            stream.cpu_matters.look(now, calm, Some(stream.cpu.bad && loaded));
            let standing = |cause: &Cause| [Standing { bad: cause.bad, good_for: cause.good_for(now), pace: WINDOW }];
            let worth = |action: Action| match action.is_of_the_recording() {
                true if usage.adjustable => Worth::Something,
                true => Worth::Wait,
                false if usage.shown => Worth::Something,
                false => Worth::Nothing,
            };
            let [of_cpu, of_disk] = &mut stream.tracks;
            let steps = of_cpu.step(now, calm, &standing(&stream.cpu_matters), worth);
            let more = of_disk.step(now, calm, &standing(&stream.disk), worth);
            changes.extend(steps.into_iter().chain(more).map(|change| (id.clone(), change)));
        }
        changes
    }

    /// What `input` does without because of its own budget.
    pub fn shed(&self, input: &InputId) -> Shed {
        let has = |action| self.0.get(input).is_some_and(|of| of.tracks.iter().any(|track| track.is_taken(action)));
        let preview = PreviewCap {
            max_height: has(Action::PreviewHeight).then_some(super::action::PREVIEW_HEIGHT),
            max_fps: has(Action::PreviewRate).then_some(super::action::PREVIEW_FPS),
            off: false,
        };
        Shed { preview, bitrate_percent: super::action::bitrate_percent(has) }
    }

    /// Why something is done about an input, what, and the level of it (R-DEG-3): what changed nothing is not told.
    pub fn felt(&self) -> Vec<(LevelName, IncidentCode, Action)> {
        let codes = [IncidentCode::CpuBudget, IncidentCode::DiskBudget];
        let tracks = self.0.values().flat_map(|stream| stream.tracks.iter().zip(codes));
        tracks.flat_map(|(track, code)| track.felt().map(move |action| (track.level(), code, action))).collect()
    }

    /// Whether `input` is above its budget, and by what.
    pub fn overdraft(&self, input: &InputId) -> Overdraft {
        let Some(stream) = self.0.get(input) else { return Overdraft::default() };
        let cpu_percent = stream.mean(|usage| usage.cpu_percent).filter(|_| stream.cpu.on);
        let disk = stream.mean(|usage| usage.disk.map(|bytes| bytes as f64)).filter(|_| stream.disk.on);
        let budget = stream.seen.back().map_or(0, |(_, usage)| usage.disk_budget);
        Overdraft { cpu_percent, disk: disk.map(|bytes| (bytes as u64, budget)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::shed::FULL_BITRATE;

    const CALM: Duration = Duration::from_secs(30);

    fn id() -> InputId {
        "cam1".parse().expect("an id")
    }

    fn usage(cpu: f64, disk: u64) -> Usage {
        Usage { cpu_percent: Some(cpu), disk: Some(disk), disk_budget: 5_000_000, shown: true, adjustable: true }
    }

    /// Second by second until `end`: what was done, and when.
    fn run(
        budgets: &mut Budgets,
        seconds: std::ops::Range<u64>,
        usage: Usage,
        loaded: bool,
    ) -> Vec<(u64, Action, bool)> {
        let mut done = Vec::new();
        for second in seconds {
            let now = MonoNs(second * 1_000_000_000);
            if second % 2 == 0 {
                budgets.see(now, vec![(id(), usage)]);
            }
            let changes = budgets.step(now, CALM, 15, loaded).into_iter();
            done.extend(changes.map(|(_, change)| (second, change.action, change.taken)));
        }
        done
    }

    #[test]
    fn an_input_above_its_budget_is_named_by_its_mean_and_loses_its_own_preview_only_under_load() {
        let mut budgets = Budgets::default();
        assert_eq!(run(&mut budgets, 0..8, usage(40.0, 0), true), []);
        assert_eq!(budgets.overdraft(&id()), Overdraft::default(), "eight seconds are no mean of ten");
        assert_eq!(run(&mut budgets, 8..30, usage(40.0, 0), false), []);
        assert_eq!(budgets.overdraft(&id()).cpu_percent, Some(40.0), "named also where it hurts nobody");
        let done = run(&mut budgets, 30..60, usage(40.0, 0), true);
        assert_eq!(done, [(30, Action::PreviewRate, true), (40, Action::PreviewHeight, true)]);
        assert_eq!(budgets.shed(&id()).preview.max_fps, Some(15));
        let told = [Action::PreviewRate, Action::PreviewHeight];
        assert_eq!(budgets.felt(), told.map(|action| (LevelName::Warn, IncidentCode::CpuBudget, action)));
        assert_eq!(budgets.shed(&id()).bitrate_percent, FULL_BITRATE, "the recording is as it was asked for");
        // It uses less for long enough, and everything is undone in reverse.
        let done = run(&mut budgets, 60..120, usage(5.0, 0), true);
        let undone: Vec<(Action, bool)> = done.iter().map(|(_, action, taken)| (*action, *taken)).collect();
        assert_eq!(undone, [(Action::PreviewHeight, false), (Action::PreviewRate, false)]);
        assert_eq!((budgets.shed(&id()), budgets.overdraft(&id())), (Shed::default(), Overdraft::default()));
    }

    #[test]
    fn one_that_writes_far_more_than_it_was_told_to_gets_a_lower_bitrate_once_in_ten_seconds() {
        let mut budgets = Budgets::default();
        let done = run(&mut budgets, 0..40, usage(5.0, 9_000_000), false);
        assert_eq!(done, [(8, Action::BitrateLower, true), (18, Action::BitrateHalf, true)]);
        assert_eq!(budgets.overdraft(&id()).disk, Some((9_000_000, 5_000_000)));
        assert_eq!(budgets.shed(&id()).bitrate_percent, 50);
        assert_eq!(budgets.felt()[1], (LevelName::Warn, IncidentCode::DiskBudget, Action::BitrateHalf));
        budgets.see(MonoNs(41_000_000_000), Vec::new());
        assert_eq!(budgets.shed(&id()), Shed::default(), "another worker begins anew");
    }
}

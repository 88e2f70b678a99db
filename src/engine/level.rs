//! What the room on a disk means (R-FM-4, R-DEG-T1, -T6, -T7). Pure.
//!
//! Contract: a stricter limit never lies behind a milder one, whatever is configured; a limit is passed at once, and is
//! left when the disk has been on its good side for [`CALM`]; what is not known changes nothing.

use super::event::Space;
use crate::config::StorageRules;
use crate::model::MonoNs;
use crate::model::snapshot::LevelName;
use std::time::Duration;

/// Files come and go: a limit that was passed counts until the disk has kept away from it for so long.
pub const CALM: Duration = Duration::from_secs(30);

/// The limits, in bytes free for us and in percent used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Tell the operator below it (`storage.warn_free`).
    pub warn_free: u64,
    /// No new recordings below it (`storage.stop_new_free`, `storage.min_free_start`).
    pub stop_new_free: u64,
    /// Everything that writes is stopped below it (`storage.critical_free`).
    pub critical_free: u64,
    /// Tell the operator from here on (`storage.warn_used_percent`).
    pub warn_used_percent: u32,
    /// Tell the operator that it is serious from here on (`storage.critical_used_percent`).
    pub critical_used_percent: u32,
}

impl Limits {
    /// The limits as configured, each at least as mild as the next one.
    pub fn new(rules: &StorageRules, critical_free: u64) -> Self {
        let stop_new_free = rules.stop_new_free.max(rules.min_free_start).max(critical_free);
        Self {
            warn_free: rules.warn_free.max(stop_new_free),
            stop_new_free,
            critical_free,
            warn_used_percent: rules.warn_used_percent.min(rules.critical_used_percent),
            critical_used_percent: rules.critical_used_percent,
        }
    }
}

/// How much of a file system is in use, in percent, rounded down; what others may not have counts as used.
pub fn used_percent(space: Space) -> u32 {
    let used = u128::from(space.total.saturating_sub(space.free));
    let percent = (used * 100).checked_div(u128::from(space.total)).unwrap_or(0);
    u32::try_from(percent).unwrap_or(100)
}

/// A limit: passed at once, left after [`CALM`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Latch {
    on: bool,
    good_since: Option<MonoNs>,
}

impl Latch {
    fn look(&mut self, now: MonoNs, passed: bool) {
        if passed {
            *self = Self { on: true, good_since: None };
        } else if self.on && now.since(*self.good_since.get_or_insert(now)) >= CALM {
            *self = Self::default();
        }
    }
}

/// Which limits the file system that is written has passed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskLevel {
    last: Option<Space>,
    low: Latch,
    few_percent: Latch,
    short: Latch,
    empty: Latch,
}

impl DiskLevel {
    /// The file system was asked.
    pub fn look(&mut self, now: MonoNs, limits: &Limits, space: Space) {
        let used = used_percent(space);
        self.last = Some(space);
        self.low.look(now, space.free < limits.warn_free || used >= limits.warn_used_percent);
        self.few_percent.look(now, used >= limits.critical_used_percent);
        self.short.look(now, space.free < limits.stop_new_free);
        self.empty.look(now, space.free < limits.critical_free);
    }

    /// It did not answer: nothing has become better for all that is known.
    pub fn doubt(&mut self) {
        for latch in [&mut self.low, &mut self.few_percent, &mut self.short, &mut self.empty] {
            latch.good_since = None;
        }
    }

    /// What it was when it was asked last.
    pub fn last(&self) -> Option<Space> {
        self.last
    }

    /// The level it makes.
    pub fn name(&self) -> LevelName {
        match (self.empty.on, self.short.on, self.low.on || self.few_percent.on) {
            (true, _, _) => LevelName::Critical,
            (_, true, _) => LevelName::Degrade,
            (_, _, true) => LevelName::Warn,
            _ => LevelName::Normal,
        }
    }

    /// Little is left.
    pub fn is_low(&self) -> bool {
        self.name() > LevelName::Normal
    }

    /// Next to nothing is left.
    pub fn is_critical(&self) -> bool {
        self.empty.on || self.few_percent.on
    }

    /// Whatever wrote was to be stopped, a moment ago at most.
    pub fn was_empty(&self) -> bool {
        self.empty.on
    }

    /// By the last look everything that writes is to be stopped.
    pub fn is_empty(&self, limits: &Limits) -> bool {
        self.last.is_some_and(|space| space.free < limits.critical_free)
    }

    /// By the last look no recording may begin.
    pub fn is_short(&self, limits: &Limits) -> bool {
        self.last.is_some_and(|space| space.free < limits.stop_new_free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GB: u64 = 1_000_000_000;

    fn limits() -> Limits {
        Limits::new(&StorageRules::default(), GB)
    }

    fn at(seconds: u64) -> MonoNs {
        MonoNs(seconds * GB)
    }

    fn level(free: u64, total: u64) -> DiskLevel {
        let mut level = DiskLevel::default();
        level.look(at(0), &limits(), Space { free, total });
        level
    }

    #[test]
    fn every_rule_has_its_level() {
        let table = [
            // Free, total, level, critical alert.
            (201 * GB, 1000 * GB, LevelName::Normal, false),
            (200 * GB, 1000 * GB, LevelName::Warn, false),
            (50 * GB, 1000 * GB, LevelName::Warn, true),
            (10 * GB, 20 * GB, LevelName::Normal, false),
            (10 * GB - 1, 20 * GB, LevelName::Warn, false),
            (5 * GB, 20 * GB, LevelName::Warn, false),
            (5 * GB - 1, 20 * GB, LevelName::Degrade, false),
            (GB, 20 * GB, LevelName::Degrade, true),
            (GB, 10 * GB, LevelName::Degrade, false),
            (GB - 1, 10 * GB, LevelName::Critical, true),
            (0, 0, LevelName::Critical, true),
        ];
        for (free, total, name, critical) in table {
            let found = level(free, total);
            assert_eq!((found.name(), found.is_critical()), (name, critical), "{free} of {total}");
            assert_eq!(found.is_low(), name > LevelName::Normal, "{free} of {total}");
            assert_eq!(found.is_short(&limits()), name >= LevelName::Degrade, "{free} of {total}");
            assert_eq!(found.is_empty(&limits()), name == LevelName::Critical, "{free} of {total}");
        }
    }

    #[test]
    fn up_at_once_and_down_in_order_after_thirty_good_seconds() {
        let mut level = DiskLevel::default();
        let mut names = Vec::new();
        // It fills up within three seconds, and room comes back step by step.
        let free = |second| match second {
            0 => 50,
            1 => 9,
            2 => 4,
            3..10 => 0,
            10..20 => 2,
            // One look back below the limit begins the thirty seconds anew.
            20 => 0,
            21..40 => 6,
            _ => 50,
        };
        for second in 0..90 {
            level.look(at(second), &limits(), Space { free: free(second) * GB, total: 60 * GB });
            if names.last().is_none_or(|(_, name)| *name != level.name()) {
                names.push((second, level.name()));
            }
        }
        use LevelName::{Critical, Degrade, Normal, Warn};
        let steps = [(0, Normal), (1, Warn), (2, Degrade), (3, Critical), (51, Warn), (70, Normal)];
        assert_eq!(names, steps);
    }

    #[test]
    fn time_in_which_the_disk_does_not_answer_is_not_good() {
        let mut level = level(0, 60 * GB);
        let good = Space { free: 50 * GB, total: 60 * GB };
        level.look(at(1), &limits(), good);
        level.look(at(25), &limits(), good);
        level.doubt();
        level.look(at(40), &limits(), good);
        assert_eq!(level.name(), LevelName::Critical);
        level.look(at(70), &limits(), good);
        assert_eq!(level.name(), LevelName::Normal);
    }

    fn any_limits() -> impl Strategy<Value = Limits> {
        let sizes = [0..100u64, 0..100, 0..100, 0..100];
        (sizes, 1..=100u32, 1..=100u32).prop_map(|([warn, stop, min, critical], warned, serious)| {
            let rules = StorageRules {
                min_free_start: min,
                stop_new_free: stop,
                warn_free: warn,
                warn_used_percent: warned,
                critical_used_percent: serious,
            };
            Limits::new(&rules, critical)
        })
    }

    proptest! {
        #[test]
        fn less_room_is_never_better_whatever_is_configured(
            limits in any_limits(), total in 0..200u64, one in 0..200u64, other in 0..200u64
        ) {
            let seen = |free: u64| {
                let mut level = DiskLevel::default();
                level.look(at(0), &limits, Space { free: free.min(total), total });
                level
            };
            let (less, more) = (seen(one.min(other)), seen(one.max(other)));
            prop_assert!(less.name() >= more.name());
            prop_assert!(less.is_critical() >= more.is_critical());
            prop_assert!(less.is_low() >= less.is_critical(), "what is serious is also worth a warning");
            prop_assert!(less.is_short(&limits) >= less.is_empty(&limits), "what is stopped cannot begin");
        }

        #[test]
        fn a_level_is_never_left_early_nor_kept_for_ever(looks in proptest::collection::vec((0..12u64, 0..8u64), 1..60)) {
            let (mut level, mut now) = (DiskLevel::default(), 0);
            let mut worst_at = [None; 3];
            for (free, pause) in looks {
                now += pause;
                let space = Space { free: free * GB, total: 13 * GB };
                // Percentages are out of the way.
                let limits = Limits { warn_used_percent: 101, critical_used_percent: 101, ..limits() };
                level.look(at(now), &limits, space);
                for (place, limit) in [10, 5, 1].into_iter().enumerate() {
                    if free < limit {
                        worst_at[place] = Some(now);
                    }
                }
                // A limit counts at least for thirty seconds behind the last look below it.
                let held = worst_at.iter().rposition(|at| at.is_some_and(|at| now - at < CALM.as_secs()));
                let name = [LevelName::Warn, LevelName::Degrade, LevelName::Critical];
                prop_assert!(level.name() >= held.map_or(LevelName::Normal, |place| name[place]));
            }
            for second in 0..=CALM.as_secs() {
                level.look(at(now + second), &limits(), Space { free: 50 * GB, total: 60 * GB });
            }
            prop_assert_eq!(level.name(), LevelName::Normal);
        }
    }
}

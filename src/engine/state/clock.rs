//! What becomes known of the clocks of the machine: steps of the wall clock, and sleeps (R-FM-6). Pure.
//!
//! Contract: nothing is decided by either; they are told, and written into the journal of the running session. A change
//! is what differs from what was told last, so that a clock that is slewed (NTP corrects 0.5 ms per second at most) is
//! told each time that has come to a second: the manifest never says less than the truth by more than that. A session
//! begins with a clean sheet: what the clock did before is none of its business. What CLOCK_BOOTTIME gained on
//! CLOCK_MONOTONIC was slept, and is no step: a wall clock that is moved touches neither of the two.

use super::super::event::{Effect, Now};
use super::State;
use super::session::Phase;
use crate::model::MonoNs;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::session::JournalKind;
use crate::model::time::ClockOffsets;
use std::time::Duration;

/// A change of more than this is told (R-FM-6).
const NOTICEABLE_NS: i64 = 1_000_000_000;
/// A change is over when it is told; so long it stays among what is active, for whoever comes back to the screen.
const SHOWN_FOR: Duration = Duration::from_secs(600);
/// Changes that wait for the session they belong to; more only come where somebody plays with the clock.
const WAITING: usize = 16;

/// What is known of the clocks.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    /// What this engine saw first.
    first: Option<ClockOffsets>,
    /// What was told last.
    told: Option<ClockOffsets>,
    /// Changes that stand in no journal yet, and when they were noticed.
    unwritten: Vec<(MonoNs, JournalKind)>,
    /// Since when each of the two is shown.
    shown: [Option<MonoNs>; 2],
}

/// What is told, in the order of [`Clocks::shown`].
const CODES: [IncidentCode; 2] = [IncidentCode::ClockStepped, IncidentCode::Suspended];

impl Clocks {
    /// `kept` = what an earlier engine of this boot told last.
    pub fn new(kept: Option<ClockOffsets>) -> Self {
        Self { told: kept, ..Self::default() }
    }

    /// What differs from what was told, which it is from here on.
    fn compare(&mut self, seen: ClockOffsets) -> Vec<JournalKind> {
        self.first.get_or_insert(seen);
        let told = self.told.get_or_insert(seen);
        let mut changes = Vec::new();
        let slept = seen.boot_ns.saturating_sub(told.boot_ns);
        // Counted from the end of the sleep: the wall clock goes on in it.
        let step = seen.wall_ns.saturating_sub(told.wall_ns).saturating_sub(slept);
        if slept > NOTICEABLE_NS {
            (told.boot_ns, told.wall_ns) = (seen.boot_ns, told.wall_ns.saturating_add(slept));
            changes.push(JournalKind::Suspend { slept_ns: slept.unsigned_abs() });
        } else if slept < 0 {
            // Nobody gets sleep back: this engine lives in another time namespace than the one before.
            (told.boot_ns, told.wall_ns) = (seen.boot_ns, told.wall_ns.saturating_add(slept));
        }
        if step.unsigned_abs() > NOTICEABLE_NS.unsigned_abs() {
            told.wall_ns = told.wall_ns.saturating_add(step);
            changes.push(JournalKind::ClockStep { step_ns: step });
        }
        changes
    }

    /// What an earlier engine told last came late: everything this one has told lies behind it.
    fn recall(&mut self, kept: ClockOffsets) {
        if let (Some(first), Some(told)) = (self.first, &mut self.told) {
            told.wall_ns = kept.wall_ns.saturating_add(told.wall_ns.saturating_sub(first.wall_ns));
            told.boot_ns = kept.boot_ns.saturating_add(told.boot_ns.saturating_sub(first.boot_ns));
        } else {
            self.told = Some(kept);
        }
    }
}

impl State {
    /// The clocks were read.
    pub(super) fn on_clocks(&mut self, now: Now, seen: ClockOffsets, out: &mut Vec<Effect>) {
        for change in self.clocks.compare(seen) {
            let (place, incident) = match &change {
                JournalKind::Suspend { slept_ns } => (1, Incident::suspended(*slept_ns)),
                JournalKind::ClockStep { step_ns } => (0, Incident::clock_stepped(*step_ns)),
                _ => continue,
            };
            self.clocks.shown[place] = Some(now.mono);
            self.raise(now, super::ENGINE, incident, out);
            if self.clocks.unwritten.len() < WAITING {
                self.clocks.unwritten.push((now.mono, change));
            }
        }
    }

    /// An earlier engine's account came late.
    pub(super) fn recall_clocks(&mut self, kept: Option<ClockOffsets>) {
        kept.into_iter().for_each(|kept| self.clocks.recall(kept));
    }

    /// What was told last: kept for the next engine.
    pub fn clocks(&self) -> Option<ClockOffsets> {
        self.clocks.told
    }

    /// A session begins: its calendar is the one of now.
    pub(super) fn rebase_clocks(&mut self, now: Now, out: &mut Vec<Effect>) {
        let Some(told) = self.clocks.told else { return };
        let wall = now.at.as_nanosecond() - i128::from(now.mono.0);
        let seen = ClockOffsets { wall_ns: i64::try_from(wall).unwrap_or(told.wall_ns), ..told };
        self.on_clocks(now, seen, out);
        self.clocks.told = Some(seen);
        self.clocks.unwritten.clear();
    }

    /// Writes what was noticed into the journal it belongs to: at once, or as soon as that has a plan or was found.
    pub(super) fn write_clocks(&mut self, out: &mut Vec<Effect>) {
        if self.clocks.unwritten.is_empty() {
            return;
        }
        match &self.session {
            Some(session) => match session.phase {
                Phase::Persisting { .. } => {}
                Phase::Running { .. } | Phase::Stopping { .. } => {
                    for (noticed, kind) in self.clocks.unwritten.drain(..) {
                        let (dir, t_ns) = (session.dir.clone(), session.t_ns(noticed));
                        out.push(Effect::Journal { dir, t_ns, kind: Box::new(kind) });
                    }
                }
                // Its journal is being closed by another thread, and everything is in its files.
                Phase::Closing { .. } | Phase::Over => self.clocks.unwritten.clear(),
            },
            None if self.is_settled() => self.clocks.unwritten.clear(),
            None => {}
        }
    }

    /// A change that was seen long enough is no news any more.
    pub(super) fn watch_clocks(&mut self, now: Now) {
        for (shown, code) in self.clocks.shown.iter_mut().zip(CODES) {
            if shown.take_if(|since| now.mono.since(*since) >= SHOWN_FOR).is_some() {
                self.alerts.resolve(now, super::ENGINE, code.as_str());
            }
        }
    }
}

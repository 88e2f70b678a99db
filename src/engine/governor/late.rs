//! An input whose recording runs late: what it does without of its own (R-DEG-T3). Pure.
//!
//! Contract: costs nobody but this input; its bitrate only while it goes on to run late without its preview, and behind
//! everything that the machine can do without where that is what holds it up. Given back when *it* keeps up again, however
//! busy the machine is.

use super::action::{self, Action, LATE};
use super::cause::Cause;
use super::track::{Change, Standing, Track, Worth};
use crate::model::MonoNs;
use crate::model::shed::{FULL_BITRATE, PreviewCap, Shed};
use crate::model::snapshot::LevelName;
use std::time::Duration;

/// The next action: a raw queue holds a second.
pub const AT_ONCE: Duration = Duration::from_secs(1);
/// A recording that runs late for so long in spite of everything gets a lower bitrate.
const FOR_LONG: Duration = Duration::from_secs(5);

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// It runs late now.
    pub late: bool,
    /// Somebody sees its preview.
    pub shown: bool,
    /// Its bitrate can be lowered.
    pub adjustable: bool,
    /// There are things to be done without before.
    pub waits: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Late {
    cause: Cause,
    track: Track,
    helpless: bool,
    /// What is done was found done; whether it was ever late nobody knows yet.
    found: bool,
}

impl Default for Late {
    fn default() -> Self {
        Self { cause: Cause::default(), track: Track::new(&LATE), helpless: false, found: false }
    }
}

impl Late {
    /// Goes on from what it does without already, beside what is done about all inputs.
    pub fn resume(&mut self, now: MonoNs, does: Shed, is_off: bool) {
        let lowered = does.bitrate_percent < FULL_BITRATE;
        let actions = [
            (does.preview.off && (lowered || !is_off), Action::LatePreviewOff),
            (lowered, Action::BitrateLower),
            (does.bitrate_percent <= 50, Action::BitrateHalf),
        ];
        self.found = true;
        self.track.resume(now, actions.into_iter().filter(|(does, _)| *does).map(|(_, action)| action));
    }

    /// Does what is due.
    pub fn step(&mut self, now: MonoNs, calm: Duration, seen: Seen) -> Vec<Change> {
        self.cause.look(now, calm, Some(seen.late));
        self.found &= !self.cause.on;
        let late_for = self.cause.bad_for(now);
        let lower = |wait| if seen.adjustable && late_for >= wait { Worth::Something } else { Worth::Wait };
        let worth = |action| match action {
            _ if seen.waits => Worth::Wait,
            Action::BitrateLower => lower(FOR_LONG),
            Action::BitrateHalf => lower(FOR_LONG * 2),
            _ if seen.shown => Worth::Something,
            _ => Worth::Nothing,
        };
        let standing = Standing { bad: self.cause.bad, good_for: self.cause.good_for(now), pace: AT_ONCE };
        let changes = self.track.step(now, calm, &[standing], worth);
        let open = seen.waits
            || !self.track.is_taken(Action::LatePreviewOff)
            || (seen.adjustable && !self.track.is_taken(Action::BitrateHalf));
        // Told until it is over: a recording on the verge would raise the alarm every few seconds.
        self.helpless = self.cause.on && (self.helpless || (!open && late_for >= FOR_LONG));
        changes
    }

    /// It runs late, or did a moment ago.
    pub fn is_on(&self) -> bool {
        self.cause.on
    }

    /// It runs late although nothing is left that could be done without.
    pub fn is_helpless(&self) -> bool {
        self.helpless
    }

    /// What it does without.
    pub fn shed(&self) -> Shed {
        let has = |action| self.track.is_taken(action);
        let preview = PreviewCap { off: has(Action::LatePreviewOff), ..PreviewCap::default() };
        Shed { preview, bitrate_percent: action::bitrate_percent(has) }
    }

    /// Everything that is done and was felt, in order.
    pub fn felt(&self) -> impl Iterator<Item = Action> + '_ {
        self.track.felt()
    }

    /// The level of what is still done.
    pub fn level(&self) -> LevelName {
        // Something else may have been the reason (memory, a budget): it tells its own level.
        if self.found { self.track.level().min(LevelName::Warn) } else { self.track.level() }
    }
}

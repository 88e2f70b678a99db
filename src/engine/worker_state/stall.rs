//! Parts that a living worker gave up because they had stalled: they spend the attempts of its process (R-SUP-5).
//!
//! Contract: media counts as new only behind the last of them; once the attempts are used up the next one ends the worker,
//! and what follows is what follows any death.

use super::super::restart::{Next, PROVED_AFTER};
use super::{Act, Worker};
use crate::model::MonoNs;
use std::time::Duration;

/// Media of a worker that counts as new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NewMedia {
    /// All but this much of what it has written.
    Beyond(Duration),
    /// What it writes behind its next report.
    FromNextReport,
}

impl NewMedia {
    /// A process that has stalled nowhere.
    pub(super) const ALL: Self = Self::Beyond(Duration::ZERO);

    /// How much of `written` is new. A recording that begins anew is counted from its begin.
    fn of(&mut self, written: Duration) -> Duration {
        match *self {
            Self::Beyond(before) if before <= written => written - before,
            Self::Beyond(_) => {
                *self = Self::ALL;
                written
            }
            Self::FromNextReport => {
                *self = Self::Beyond(written);
                Duration::ZERO
            }
        }
    }
}

impl Worker {
    /// It has written this much since it began to record.
    pub(super) fn media(&mut self, written: Duration) {
        if self.new_media.of(written) >= PROVED_AFTER {
            self.proved();
        }
    }

    /// A part of it stalled, and it goes on by itself.
    pub(super) fn stalled(&mut self, now: MonoNs) -> Vec<Act> {
        if self.restarts.next(now) == Next::GiveUp {
            return self.end(now, false, "its recording stalled again and again");
        }
        self.count_stall(now);
        Vec::new()
    }

    /// A part of it stalled while nobody listened: that counts, and is no reason to end what goes on.
    pub fn count_stall(&mut self, now: MonoNs) {
        self.restarts.begin(now);
        self.new_media = NewMedia::FromNextReport;
    }
}

//! Time in which the worker itself stood still: SIGSTOP, a frozen machine, one that is too busy to run it.
//!
//! Contract: nothing is concluded from what was seen before such a time, and no deadline runs through it: whoever is
//! waited for had no chance in it either. Of two late looks in a row only the first is excused, so that on a machine where
//! all are late nobody is waited for, or believed, without end.

use super::State;
use super::recording::{Phase, Recording};
use super::source::SourceState;
use crate::model::MonoNs;
use crate::worker::TICK;
use std::time::Duration;

/// A look this long behind the one before it means that the worker stood still.
const LATE_TICK: Duration = Duration::from_millis(400);

/// For how long nothing ran between two looks; zero = the second came in time.
fn stood_still(before: MonoNs, now: MonoNs) -> Duration {
    let between = now.since(before);
    if between > LATE_TICK { between.saturating_sub(TICK) } else { Duration::ZERO }
}

/// Takes out of the time since `since` what it was held up for; what began meanwhile begins now.
fn hold_up(since: &mut MonoNs, now: MonoNs, held_up: Duration) {
    *since = since.plus(held_up).min(now);
}

impl State {
    /// For how long the worker itself stood still before a look at `now`; zero = it did not, or that counts.
    pub fn stood_still(&self, now: MonoNs) -> Duration {
        if self.excused { Duration::ZERO } else { stood_still(self.ticked, now) }
    }

    /// The worker itself stood still: nobody had a chance meanwhile to send a frame, or to grow, create or close a file.
    pub(super) fn hold_up(&mut self, now: MonoNs, held_up: Duration) {
        if let Some(recording) = &mut self.recording {
            recording.hold_up(now, held_up);
        }
        if let SourceState::Opening { since, .. } = &mut self.source {
            hold_up(since, now, held_up);
        }
        self.frames_from = self.frames_from.max(self.evidence.frame_at.unwrap_or_default());
        hold_up(&mut self.frames_from, now, held_up);
        self.disk_from = now;
        self.audio.hold_up(self.evidence.sound_at, |since| hold_up(since, now, held_up));
    }
}

impl Recording {
    fn hold_up(&mut self, now: MonoNs, held_up: Duration) {
        let own = match &mut self.phase {
            Phase::Opening { since, .. } | Phase::Closing { since, .. } => Some(since),
            Phase::Writing { grown_at, since, .. } => Some(grown_at.as_mut().unwrap_or(since)),
            Phase::Awaiting { .. } | Phase::Ending { .. } | Phase::Done { .. } => None,
        };
        let next = self.next.as_mut().map(|next| &mut next.since);
        let settling = self.settling.as_mut().map(|settling| &mut settling.since);
        for since in [own, next, settling].into_iter().flatten() {
            hold_up(since, now, held_up);
        }
        self.growth.restart(now);
    }
}

/// A time somebody gets, in which the worker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    since: MonoNs,
    time: Duration,
}

impl Patience {
    /// `time` from `now` on.
    pub fn new(now: MonoNs, time: Duration) -> Self {
        Self { since: now, time }
    }

    /// Whether it is over at a look before which the worker stood still for `held_up` ([`super::State::stood_still`]).
    pub fn is_over(&mut self, now: MonoNs, held_up: Duration) -> bool {
        hold_up(&mut self.since, now, held_up);
        now.since(self.since) >= self.time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Whether a patience of 600 ms, begun at `begun`, is over after looks at these milliseconds; the last one before
    /// them came at 0.
    fn over_at(begun: u64, looks: &[u64]) -> Vec<bool> {
        let at = |millis| MonoNs(0).plus(ms(millis));
        let mut patience = Patience::new(at(begun), ms(600));
        let mut before = at(0);
        let mut look = |millis: &u64| {
            let now = at(*millis);
            let held_up = stood_still(std::mem::replace(&mut before, now), now);
            patience.is_over(now, held_up)
        };
        looks.iter().map(&mut look).collect()
    }

    #[test]
    fn a_deadline_does_not_run_while_the_worker_stands_still() {
        assert_eq!(over_at(0, &[100, 200, 300, 400, 500, 600]), [false, false, false, false, false, true]);
        // 200 ms were used up, and one look's worth of the pause counts.
        assert_eq!(over_at(0, &[100, 200, 5000, 5100, 5200, 5300]), [false, false, false, false, false, true]);
        // Begun between the end of the pause and the look behind it: no more than the whole time is left.
        assert_eq!(over_at(4950, &[5000, 5100, 5500, 5599, 5600]), [false, false, false, false, true]);
    }
}

//! How the calendar and the time of a session differ. Pure.
//!
//! Contract: time of a session is CLOCK_MONOTONIC since its origin. At a time `t` of it the calendar showed
//! `started_at` + `t` + every step noticed and every sleep ended by then.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A step or a sleep is noticed this late at most while an engine lives: it polls every 500 ms, and may be busy.
const NOTICED_WITHIN_NS: i64 = 1_000_000_000;

/// A step of the wall clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ClockStep {
    /// When it was noticed, since `start_at_ns`.
    pub t_ns: i64,
    /// By how much, forwards positive.
    pub step_ns: i64,
    /// Wall clock behind it.
    pub at: Timestamp,
}

/// A sleep of the machine. Time of the session stood still in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Suspend {
    /// When it was noticed, since `start_at_ns`.
    pub t_ns: i64,
    /// How long.
    pub slept_ns: u64,
    /// Wall clock behind it.
    pub at: Timestamp,
}

/// The calendar of one session.
#[derive(Debug, Clone)]
pub struct Calendar {
    started_at: Timestamp,
    /// When the calendar moved against the time of the session, and by how much, in the order it was noticed.
    moves: Vec<(i64, i64)>,
}

impl Calendar {
    /// Of a session whose origin was at `started_at`.
    pub fn new(started_at: Timestamp, steps: &[ClockStep], suspends: &[Suspend]) -> Self {
        let slept = |suspend: &Suspend| (suspend.t_ns, i64::try_from(suspend.slept_ns).unwrap_or(i64::MAX));
        let mut moves: Vec<_> = steps.iter().map(|step| (step.t_ns, step.step_ns)).collect();
        moves.extend(suspends.iter().map(slept));
        moves.sort_unstable();
        Self { started_at, moves }
    }

    /// The earliest and the latest time of the session at which the calendar may have shown `wall`: a step back makes
    /// it show the same twice. What it never showed is put where the least is wrong with it: a step that no engine
    /// lived to see is noticed late.
    pub fn times_of(&self, wall: Timestamp) -> (i64, i64) {
        let since = wall.as_nanosecond() - self.started_at.as_nanosecond();
        let mut ahead = 0i128;
        let mut spans = Vec::with_capacity(self.moves.len() + 1);
        let mut from = i64::MIN;
        for (t, by) in &self.moves {
            spans.push((from, *t, ahead));
            (from, ahead) = (t.saturating_sub(NOTICED_WITHIN_NS), ahead + i128::from(*by));
        }
        spans.push((from, i64::MAX, ahead));
        let fit = |(from, to, ahead): &(i64, i64, i128)| {
            let t = i64::try_from(since - ahead).unwrap_or(if since > *ahead { i64::MAX } else { i64::MIN });
            let wrong = from.saturating_sub(t).max(t.saturating_sub(*to)).max(0);
            (wrong, t)
        };
        let least = spans.iter().map(fit).map(|(wrong, _)| wrong).min().unwrap_or(0);
        let best = || spans.iter().map(fit).filter(|(wrong, _)| *wrong == least).map(|(_, t)| t);
        (best().min().unwrap_or(0), best().max().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    const S: i64 = 1_000_000_000;

    fn calendar(steps: &[(i64, i64)], suspends: &[(i64, u64)]) -> Calendar {
        let at = Timestamp::UNIX_EPOCH;
        let step = |(t, by): &(i64, i64)| ClockStep { t_ns: t * S, step_ns: by * S, at };
        let slept = |(t, by): &(i64, u64)| Suspend { t_ns: t * S, slept_ns: by * 1_000_000_000, at };
        let steps: Vec<_> = steps.iter().map(step).collect();
        Calendar::new(at, &steps, &suspends.iter().map(slept).collect::<Vec<_>>())
    }

    fn times(calendar: &Calendar, wall: i64) -> (i64, i64) {
        let (one, other) = calendar.times_of(Timestamp::UNIX_EPOCH + SignedDuration::from_secs(wall));
        (one / S, other / S)
    }

    #[test]
    fn without_a_step_the_calendar_runs_along() {
        assert_eq!(times(&calendar(&[], &[]), 7), (7, 7));
        assert_eq!(times(&calendar(&[], &[]), -7), (-7, -7));
    }

    #[test]
    fn a_step_is_taken_out_of_what_was_dated_behind_it() {
        let ahead = calendar(&[(10, 3600)], &[]);
        assert_eq!(times(&ahead, 8), (8, 8));
        assert_eq!(times(&ahead, 3612), (12, 12));
        // A step back shows the same minutes twice.
        let back = calendar(&[(1000, -60)], &[]);
        assert_eq!(times(&back, 970), (970, 1030));
        assert_eq!(times(&back, 100), (100, 100));
        // There and back again, with a sleep between.
        let both = calendar(&[(10, 3600), (30, -3600)], &[(20, 100)]);
        assert_eq!(times(&both, 3600 + 100 + 25), (25, 3625));
        assert_eq!(times(&both, 100 + 40), (40, 40));
    }

    #[test]
    fn a_step_that_was_noticed_long_after_it_came_is_believed_all_the_same() {
        // Written at 150 s, when the calendar had moved already; an engine that came at 200 s found that out.
        assert_eq!(times(&calendar(&[(200, 3600)], &[]), 3600 + 150), (150, 150));
    }
}

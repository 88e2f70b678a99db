//! The last five minutes of one input, in steps of two seconds. Pure.
//!
//! Contract: bounded; whatever is not known of a step is unknown, never 0 (R-TRU-3). A rate is what was counted between
//! two reports of one process over the time between them.

use crate::model::MonoNs;
use crate::protocol::api::HistoryPoint;
use std::collections::VecDeque;
use std::time::Duration;

/// From one point to the next.
pub const STEP: Duration = Duration::from_secs(2);
/// Points that are kept: five minutes.
pub const KEPT: usize = 150;

/// What is known of an input at a look.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Seen {
    /// The process, and when its last report came.
    pub report: Option<(u32, MonoNs)>,
    /// Pictures that arrived at that process.
    pub arrived: Option<u64>,
    /// Bytes that came to it over a network.
    pub received: Option<u64>,
    /// Frames lost in the recording so far.
    pub dropped: Option<u64>,
    /// Growth of the file.
    pub bytes_per_s: Option<u64>,
    /// How full the fullest queue is.
    pub queue_percent: Option<u8>,
}

/// What an input has done lately.
#[derive(Debug, Default)]
pub struct Trace {
    points: VecDeque<HistoryPoint>,
    looked: Option<(MonoNs, Seen)>,
}

impl Trace {
    /// Adds a point when it is time for one; whether it did.
    pub fn look(&mut self, now: MonoNs, seen: impl FnOnce() -> Seen) -> bool {
        if self.looked.is_some_and(|(at, _)| now.since(at) < STEP) {
            return false;
        }
        let seen = seen();
        if let Some((_, before)) = self.looked.replace((now, seen)) {
            if self.points.len() >= KEPT {
                self.points.pop_front();
            }
            self.points.push_back(HistoryPoint {
                t_ms: now.0 / 1_000_000,
                fps: rate(&before, &seen, |seen| seen.arrived).map(|rate| (rate * 10.0).round() / 10.0),
                received_bytes_per_s: rate(&before, &seen, |seen| seen.received).map(|rate| rate as u64),
                // A new session counts from nothing; so does a worker whose predecessor could not be counted.
                dropped: seen.dropped.zip(before.dropped).map(|(now, before)| now.saturating_sub(before)),
                bytes_per_s: seen.bytes_per_s,
                queue_percent: seen.queue_percent,
            });
        }
        true
    }

    /// The points, oldest first.
    pub fn points(&self) -> impl Iterator<Item = &HistoryPoint> {
        self.points.iter()
    }
}

/// What came per second of something that a process counts.
fn rate(before: &Seen, now: &Seen, what: impl Fn(&Seen) -> Option<u64>) -> Option<f64> {
    let ((pid, at), (pid_before, at_before)) = (now.report?, before.report?);
    let (came, time) = (what(now)?.checked_sub(what(before)?)?, at.since(at_before));
    (pid == pid_before && !time.is_zero()).then(|| came as f64 / time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn seen(pid: u32, at: u64, arrived: u64, dropped: Option<u64>) -> Seen {
        Seen { report: Some((pid, MonoNs(at))), arrived: Some(arrived), dropped, ..Seen::default() }
    }

    #[test]
    fn a_step_tells_what_came_and_what_was_lost_in_it() {
        let mut trace = Trace::default();
        assert!(trace.look(MonoNs(0), || seen(1, 0, 100, None)));
        assert!(!trace.look(MonoNs(SECOND), || panic!("too early")));
        trace.look(MonoNs(2 * SECOND), || seen(1, 2 * SECOND, 160, Some(3)));
        trace.look(MonoNs(4 * SECOND), || seen(1, 4 * SECOND, 210, Some(5)));
        // It was replaced, and the next session counts anew.
        trace.look(MonoNs(6 * SECOND), || seen(2, 6 * SECOND, 10, Some(0)));
        // Nothing was heard of it since.
        trace.look(MonoNs(8 * SECOND), || seen(2, 6 * SECOND, 10, Some(0)));
        let told: Vec<_> = trace.points().map(|point| (point.t_ms, point.fps, point.dropped)).collect();
        let wanted =
            [(2000, Some(30.0), None), (4000, Some(25.0), Some(2)), (6000, None, Some(0)), (8000, None, Some(0))];
        assert_eq!(told, wanted);
    }

    #[test]
    fn five_minutes_are_kept() {
        let mut trace = Trace::default();
        for step in 0..=400 {
            trace.look(MonoNs(2 * SECOND * step), || seen(1, 2 * SECOND * step, 0, None));
        }
        assert_eq!((trace.points().count(), trace.points().next().map(|point| point.t_ms)), (KEPT, Some(502_000)));
    }
}

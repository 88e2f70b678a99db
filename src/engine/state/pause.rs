//! Time in which the engine itself stood still: SIGSTOP, a frozen machine, one that is too busy to run it.
//!
//! Contract: silence counts only while somebody listens. What was known when the engine fell silent is known for as long
//! as it would have been without the pause; what was in doubt by then stays in doubt. Of two pauses in a row only the first
//! is excused, so that on a machine where every tick is late nothing is waited for, or believed, without end. A start that is
//! not yet on the disk is not excused: its client does not wait longer for that.

use super::super::TICK;
use super::super::worker_state::OWN_PAUSE;
use super::State;
use super::session::Phase;
use crate::model::MonoNs;
use std::time::Duration;

impl State {
    /// Looks whether the engine stood still before this event, whichever it is: a command may be read before a tick.
    pub(super) fn notice_pause(&mut self, now: MonoNs) {
        let (before, excused) = self.listened;
        let between = now.since(before);
        let paused = between >= OWN_PAUSE && !excused;
        self.listened = (now, paused);
        if paused {
            self.hold_up(between.saturating_sub(TICK));
        }
    }

    /// Takes `time` out of every silence that somebody is judged by.
    fn hold_up(&mut self, time: Duration) {
        let inputs = self.inputs.iter_mut().filter_map(|input| input.status.as_mut().map(|(at, _)| at));
        let strays = self.strays.iter_mut().filter_map(|stray| stray.report_mut().map(|(at, _)| at));
        let session = self.session.as_mut().and_then(|session| match &mut session.phase {
            Phase::Running { since } | Phase::Stopping { since, .. } => Some(since),
            Phase::Persisting { .. } | Phase::Closing { .. } | Phase::Over => None,
        });
        self.oversight.operations.excuse(time);
        for at in inputs.chain(strays).chain(session) {
            *at = at.plus(time);
        }
    }
}

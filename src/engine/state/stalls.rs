//! Parts that workers gave up because they had stalled: each spends one attempt of its input (R-SUP-5).
//!
//! Contract: a part counts once, however often it is told and by whom; the worker that goes on is ended only for a stall
//! that is told while this engine lives.

use super::super::event::{Effect, Now};
use super::super::worker_state::WorkerEvent;
use super::State;
use crate::model::InputId;
use crate::model::policy::StallAction;

impl State {
    /// `part` of `id` in the running session stalled.
    pub(super) fn on_stall(&mut self, now: Now, id: &InputId, part: u32, out: &mut Vec<Effect>) {
        if self.spends_an_attempt(id, part) {
            self.on_worker(now, id, WorkerEvent::Stalled, out);
        }
    }

    /// The same, found written down.
    pub(super) fn count_late_stall(&mut self, now: Now, id: &InputId, part: u32) {
        if self.spends_an_attempt(id, part)
            && let Some(input) = self.input_mut(id)
        {
            input.worker.count_stall(now.mono);
        }
    }

    /// Whether `part` was not counted yet, and the recording went on behind it.
    fn spends_an_attempt(&mut self, id: &InputId, part: u32) -> bool {
        let goes_on = self.setup.policy.stall_action == StallAction::Restart;
        let Some(session) = self.session.as_mut().filter(|session| goes_on && session.runs()) else { return false };
        let Some(take) = session.take_mut(id).filter(|take| take.ending.is_none()) else { return false };
        let is_new = part > take.stalled;
        take.stalled = take.stalled.max(part);
        is_new
    }
}

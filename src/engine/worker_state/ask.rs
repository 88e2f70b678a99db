//! What others may ask of the supervision of a worker, and what an earlier engine has to say about it.

use super::super::restart::{Next, Restarts, Settled, is_old};
use super::stall::NewMedia;
use super::{Act, MUTE_CONNECTS, Phase, Worker};
use crate::model::MonoNs;

impl Worker {
    /// Number of the current connection.
    pub fn link(&self) -> u64 {
        self.link
    }

    /// Somebody serves this input, as far as is known.
    pub fn is_served(&self) -> bool {
        self.served
    }

    /// Process id, when there is one that means anything here.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// When the process started.
    pub fn started(&self) -> Option<MonoNs> {
        self.started
    }

    /// It answers (or did until a moment ago).
    pub fn is_linked(&self) -> bool {
        matches!(self.phase, Phase::Linked { .. })
    }

    /// It is not known yet whether somebody serves this input.
    pub fn is_connecting(&self) -> bool {
        matches!(self.phase, Phase::Connecting { tries } if tries < MUTE_CONNECTS)
    }

    /// Somebody holds its lock and does not say what it does; it may record.
    pub fn is_mute(&self) -> bool {
        matches!(self.phase, Phase::Connecting { tries } if tries >= MUTE_CONNECTS)
    }

    /// Somebody holds its lock, and there is no word from him now.
    pub fn is_unheard(&self) -> bool {
        matches!(self.phase, Phase::Connecting { .. }) && self.served
    }

    /// Nothing more is tried.
    pub fn is_quarantined(&self) -> bool {
        self.phase == Phase::Quarantined
    }

    /// Another one is to follow it.
    pub fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Ending { .. } | Phase::Replacing { .. })
    }

    /// It is of another version than this engine.
    pub fn is_older(&self) -> bool {
        self.older
    }

    /// This engine started its process.
    pub fn is_child(&self) -> bool {
        self.child
    }

    /// Deaths of earlier workers and stalls of parts that were written down before this engine came, oldest first: they
    /// count against the limits.
    pub fn restore_losses(&mut self, now: MonoNs, lost: &[MonoNs], stalled: &[MonoNs]) {
        let mut spent = [lost, stalled].concat();
        spent.sort_unstable();
        self.restarts.merge(Restarts::after(&spent, now));
        // It may be of the worker that writes now.
        if stalled.last() > lost.last() && stalled.last().is_some_and(|last| !is_old(*last, now)) {
            self.new_media = NewMedia::FromNextReport;
        }
    }

    /// What earlier engines had counted, learned only now. A worker that runs is left alone, whatever they had given up:
    /// it is its next death that finds the attempts used up.
    pub(super) fn recalled(&mut self, now: MonoNs, earlier: Restarts) -> Vec<Act> {
        self.restarts.come_after(earlier, self.settled);
        let Phase::Waiting { until } = self.phase else { return Vec::new() };
        match self.restarts.next(now) {
            Next::GiveUp => {
                self.restarts.give_up();
                self.phase = Phase::Quarantined;
                return vec![Act::GaveUp];
            }
            Next::At(later) => self.phase = Phase::Waiting { until: until.max(later) },
            Next::Now => {}
        }
        Vec::new()
    }

    /// It has shown that it lives: the attempts are counted anew.
    pub(super) fn proved(&mut self) {
        self.restarts.proved();
        self.settled = self.settled.max(Settled::Proved);
    }

    /// How often it was replaced.
    pub fn restarts(&self) -> &Restarts {
        &self.restarts
    }

    /// An earlier worker died while no engine ran; the one of now is its replacement.
    pub fn count_loss(&mut self, now: MonoNs) {
        self.restarts.begin(now);
    }

    /// There is no process to wait for when leaving.
    pub fn is_gone(&self) -> bool {
        matches!(self.phase, Phase::Gone | Phase::Quarantined | Phase::Waiting { .. })
    }

    /// When the last word came, if it is linked.
    pub fn heard(&self) -> Option<MonoNs> {
        self.is_linked().then_some(self.heard)
    }

    /// Attempts since the last proof.
    pub fn attempts(&self) -> u32 {
        self.restarts.attempts()
    }

    /// When the next attempt is made.
    pub fn waits_until(&self) -> Option<MonoNs> {
        if let Phase::Waiting { until } = self.phase { Some(until) } else { None }
    }
}

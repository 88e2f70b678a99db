//! A disk that does not answer: a call to it has been in flight for longer than any healthy one takes.
//!
//! Contract: while that lasts nothing is cut, left behind or thrown away for it, and no deadline of a part runs: whoever
//! waits for the disk gets the whole time again once it answers (DESIGN §1). What is shown follows from the growth of the
//! file as ever.

use super::recording::{Phase, Recording};
use super::{Effect, State};
use crate::model::MonoNs;
use crate::model::incident::{Incident, IncidentCode};
use std::time::Duration;

/// A call that takes this long finds a disk that does not answer: a busy one takes half a second for a sync. Seen 0.1 s
/// later, it is told within 2 s of the freeze, whose first call may come 0.5 s behind it.
const FROZEN_AFTER: Duration = Duration::from_millis(1200);

impl State {
    /// Whether the disk does not answer.
    pub(super) fn disk_is_frozen(&self, now: MonoNs) -> bool {
        self.evidence.disk_waits_since.is_some_and(|since| now.since(since.max(self.disk_from)) >= FROZEN_AFTER)
    }

    /// For how long a part had no chance to get on because of the disk, since the look before `now`.
    pub fn held_up_by_disk(&self, now: MonoNs) -> Duration {
        if self.active.contains_key(&IncidentCode::StorageFrozen) { now.since(self.ticked) } else { Duration::ZERO }
    }

    /// Notices a disk that does not answer, and one that does again.
    pub(super) fn watch_disk(&mut self, now: MonoNs, out: &mut Vec<Effect>) {
        let known = self.active.contains_key(&IncidentCode::StorageFrozen);
        if self.disk_is_frozen(now) {
            if !known {
                let incident = Incident::new(IncidentCode::StorageFrozen);
                out.push(Effect::Log(incident.clone()));
                self.raise(now, incident, out);
            }
        } else if known {
            self.clear(IncidentCode::StorageFrozen, out);
        }
        if let Some(recording) =
            self.recording.as_mut().filter(|_| self.active.contains_key(&IncidentCode::StorageFrozen))
        {
            recording.wait_for_disk(now);
        }
    }
}

impl Recording {
    /// Whatever waits for the disk begins to wait now.
    fn wait_for_disk(&mut self, now: MonoNs) {
        self.stall_from = now;
        self.growth.restart(now);
        if let Phase::Closing { since, .. } = &mut self.phase {
            *since = now;
        }
        if let Some(next) = &mut self.next {
            next.since = now;
        }
        if let Some(settling) = &mut self.settling {
            settling.since = now;
        }
    }
}

//! A disk that does not answer: a call to it has been in flight for longer than any healthy one takes.
//!
//! Contract: while that lasts nothing is cut, left behind or thrown away for it, and no deadline of a part runs: whoever
//! waits for the disk gets the whole time again once it answers (DESIGN §1). What is shown follows from the growth of the
//! file as ever; that it did not answer is told a little longer, because a slow one comes and goes.

use super::recording::{Phase, Recording};
use super::{Effect, State};
use crate::model::MonoNs;
use crate::model::incident::{Incident, IncidentCode};
use std::time::Duration;

/// A call that takes this long finds a disk that does not answer: a busy one takes half a second for a sync. Seen 0.1 s
/// later, it is told within 2 s of the freeze, whose first call may come 0.5 s behind it.
const FROZEN_AFTER: Duration = Duration::from_millis(1200);

/// A disk that answers is told after this long without such a call: a slow one would come and go all the time.
const THAWED_AFTER: Duration = Duration::from_secs(3);

impl State {
    /// Whether the disk does not answer.
    pub(super) fn disk_is_frozen(&self, now: MonoNs) -> bool {
        self.evidence.disk_waits_since.is_some_and(|since| now.since(since.max(self.disk_from)) >= FROZEN_AFTER)
    }

    /// For how long a part had no chance to get on because of the disk, since the look before `now`.
    pub fn held_up_by_disk(&self, now: MonoNs) -> Duration {
        if self.frozen { now.since(self.ticked) } else { Duration::ZERO }
    }

    /// Notices a disk that does not answer, and one that does again.
    pub(super) fn watch_disk(&mut self, now: MonoNs, out: &mut Vec<Effect>) {
        let known = self.active.contains_key(&IncidentCode::StorageFrozen);
        self.frozen = self.disk_is_frozen(now);
        if self.frozen {
            self.frozen_at = now;
            if !known {
                let incident = Incident::new(IncidentCode::StorageFrozen);
                out.push(Effect::Log(incident.clone()));
                self.raise(now, incident, out);
            }
            if let Some(recording) = &mut self.recording {
                recording.wait_for_disk(now);
            }
        } else if known && now.since(self.frozen_at) >= THAWED_AFTER {
            self.clear(IncidentCode::StorageFrozen, out);
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

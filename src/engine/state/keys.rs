//! Idempotency keys of starts (R-CMD-3): same key and body → same session, for 24 h, also across restarts.
//!
//! Contract: until the plans of the last day were read, a key that is not known may be one of theirs: whoever comes with
//! it waits. Who comes without one gets a new one, and does not. Ages are of CLOCK_MONOTONIC.

use super::super::event::Now;
use crate::model::session::Plan;
use crate::model::{MonoNs, SessionId};
use crate::protocol::api::StartReply;
use std::collections::VecDeque;
use std::time::Duration;

/// How long a key is remembered.
pub const KEY_LIFE: Duration = crate::storage::recent::DAY;
/// Most keys remembered: one start every 1.5 minutes for a day.
const KEPT: usize = 1000;

/// A key and the session it made.
#[derive(Debug, Clone)]
pub struct Known {
    /// The key.
    pub key: String,
    /// Digest of the body it came with.
    pub digest: String,
    /// The answer it got.
    pub reply: StartReply,
    /// When, in monotonic time.
    made: MonoNs,
}

/// The keys of the last day, oldest first.
#[derive(Debug, Default)]
pub struct Keys {
    known: VecDeque<Known>,
    /// Those of earlier engines are among them.
    complete: bool,
}

impl Keys {
    /// Takes in the plans of the last day, newest first. What was begun in another boot is called new: that can only
    /// lengthen its life.
    pub fn complete(&mut self, now: Now, boot_id: &str, plans: &[Plan]) {
        let ours = std::mem::take(&mut self.known);
        for plan in plans.iter().rev() {
            let inputs = plan.inputs.iter().map(|spec| spec.id.clone()).collect();
            let status = "finished".to_owned();
            let reply = StartReply {
                session_id: plan.id,
                name: plan.name.clone(),
                started_at: plan.started_at,
                inputs,
                status,
            };
            let made = if plan.boot_id == boot_id { plan.start_at_ns.min(now.mono) } else { now.mono };
            self.add(Known { key: plan.key.clone(), digest: plan.request.clone(), reply, made });
        }
        ours.into_iter().for_each(|known| self.add(known));
        self.complete = true;
    }

    /// A key that is not known was never used.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// What `key` made.
    pub fn find(&self, now: Now, key: &str) -> Option<&Known> {
        self.known.iter().rev().find(|known| known.key == key && now.mono.since(known.made) < KEY_LIFE)
    }

    /// Remembers what `key` made.
    pub fn remember(&mut self, now: Now, key: String, digest: String, reply: StartReply) {
        self.add(Known { key, digest, reply, made: now.mono });
    }

    fn add(&mut self, known: Known) {
        if self.known.len() >= KEPT {
            self.known.pop_front();
        }
        self.known.push_back(known);
    }

    /// Whether a key of the last day made session `id`.
    pub fn knows(&self, id: SessionId) -> bool {
        self.known.iter().any(|known| known.reply.session_id == id)
    }

    /// Forgets `key`: its session could not be made.
    pub fn forget(&mut self, key: &str) {
        self.known.retain(|known| known.key != key);
    }
}

//! Idempotency keys of starts (R-CMD-3): same key and body → same session, for 24 h, also across restarts.

use super::super::event::Now;
use crate::model::session::Plan;
use crate::model::{MonoNs, SessionId};
use crate::protocol::api::StartReply;
use std::collections::VecDeque;
use std::time::Duration;

/// How long a key is remembered.
pub const KEY_LIFE: Duration = Duration::from_secs(24 * 3600);
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
}

impl Keys {
    /// Keys of the journals of the last day; their life counts from now, which can only lengthen it.
    pub fn restore(now: Now, plans: &[Plan]) -> Self {
        let mut keys = Self::default();
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
            keys.remember(now, plan.key.clone(), plan.request.clone(), reply);
        }
        keys
    }

    /// What `key` made.
    pub fn find(&self, now: Now, key: &str) -> Option<&Known> {
        self.known.iter().rev().find(|known| known.key == key && now.mono.since(known.made) < KEY_LIFE)
    }

    /// Remembers what `key` made.
    pub fn remember(&mut self, now: Now, key: String, digest: String, reply: StartReply) {
        if self.known.len() >= KEPT {
            self.known.pop_front();
        }
        self.known.push_back(Known { key, digest, reply, made: now.mono });
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

//! How long an engine that the window started stays (R-SUP-13, DESIGN §4). Pure.
//!
//! It leaves shortly after its last client when nothing records; left recording, it leaves a minute after the
//! session was closed without clients. An engine somebody started by hand stays until it is told to leave.

use crate::model::MonoNs;
use std::time::Duration;

/// A client that reconnects (a resync, a restarted window) does so within 2 s (R-SUP-1).
const AFTER_CLIENT: Duration = Duration::from_millis(1500);
/// A window that spawned us and never connected has failed to start.
const WITHOUT_CLIENT: Duration = Duration::from_secs(60);
/// Left recording: time to come back and look.
const AFTER_SESSION: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub struct Lifetime {
    /// The last moment with a client, or the start.
    client_seen: MonoNs,
    ever_a_client: bool,
    /// The last moment that was not idle while no client was connected.
    busy_alone: Option<MonoNs>,
}

impl Lifetime {
    /// An engine that starts now.
    pub fn new(now: MonoNs) -> Self {
        Self { client_seen: now, ever_a_client: false, busy_alone: None }
    }

    /// Whether it is time to leave.
    pub fn is_over(&mut self, now: MonoNs, clients: usize, idle: bool) -> bool {
        if clients > 0 {
            (self.client_seen, self.ever_a_client, self.busy_alone) = (now, true, None);
            return false;
        }
        if !idle {
            self.busy_alone = Some(now);
            return false;
        }
        match self.busy_alone {
            Some(busy) => now.since(busy) >= AFTER_SESSION,
            None if self.ever_a_client => now.since(self.client_seen) >= AFTER_CLIENT,
            None => now.since(self.client_seen) >= WITHOUT_CLIENT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    #[test]
    fn it_leaves_soon_after_the_window_and_late_after_a_session_nobody_watched() {
        let mut lifetime = Lifetime::new(at(0));
        assert!(!lifetime.is_over(at(59_000), 0, true));
        assert!(!lifetime.is_over(at(59_100), 1, true));
        assert!(!lifetime.is_over(at(60_000), 0, true));
        assert!(lifetime.is_over(at(61_000), 0, true));

        let mut lifetime = Lifetime::new(at(0));
        assert!(!lifetime.is_over(at(100), 1, false));
        assert!(!lifetime.is_over(at(200_000), 0, false));
        assert!(!lifetime.is_over(at(230_000), 0, true));
        assert!(lifetime.is_over(at(260_000), 0, true));
    }
}

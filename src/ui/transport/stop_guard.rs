//! Stop needs a deliberate act (R-UI-3): hold for 0.8 s, or press a key twice within 2 s. Pure.
//!
//! ```text
//!            PointerDown              Tick, 0.8 s later
//!   Idle ───────────────▶ Holding ─────────────────────▶ stop
//!    ▲  ◀─ PointerUp ────────┘
//!    │ KeyDown (new press)           KeyDown within 2 s
//!    └───────────────────▶ Armed ──────────────────────▶ stop
//!       ◀─ Tick, 2 s later ──┘
//! ```

use crate::model::MonoNs;
use std::time::Duration;

/// How long Stop is held (DESK): longer than any tap, short enough to wait for.
pub const HOLD: Duration = Duration::from_millis(800);
/// How soon the second key press must follow the first (DESK).
pub const SECOND_PRESS: Duration = Duration::from_secs(2);

/// What the operator, or time, did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// A finger or button went down on Stop.
    PointerDown,
    /// It was lifted, or left the button.
    PointerUp,
    /// A key of Stop went down; key repeat counts for nothing until it is let go.
    KeyDown,
    /// It was let go.
    KeyUp,
    /// Time passed.
    Tick,
}

/// Where the deliberate act stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Idle,
    Holding {
        since: MonoNs,
    },
    Armed {
        since: MonoNs,
    },
}

/// Watches over the Stop button.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StopGuard {
    stage: Stage,
    /// A key is down; repeats of it are not presses.
    key_down: bool,
}

impl StopGuard {
    /// Takes in what happened; `true` = stop now.
    pub fn handle(&mut self, now: MonoNs, touch: Touch) -> bool {
        let new_press = touch == Touch::KeyDown && !self.key_down;
        match touch {
            Touch::KeyDown => self.key_down = true,
            Touch::KeyUp => self.key_down = false,
            Touch::PointerDown | Touch::PointerUp | Touch::Tick => {}
        }
        let (next, stop) = match (self.stage, touch) {
            (Stage::Idle | Stage::Armed { .. }, Touch::PointerDown) => (Stage::Holding { since: now }, false),
            (Stage::Holding { since }, Touch::Tick) if now.since(since) >= HOLD => (Stage::Idle, true),
            (Stage::Holding { .. }, Touch::PointerUp) => (Stage::Idle, false),
            (Stage::Armed { since }, Touch::KeyDown) if new_press && now.since(since) <= SECOND_PRESS => {
                (Stage::Idle, true)
            }
            (Stage::Idle | Stage::Armed { .. }, Touch::KeyDown) if new_press => (Stage::Armed { since: now }, false),
            (Stage::Armed { since }, Touch::Tick) if now.since(since) > SECOND_PRESS => (Stage::Idle, false),
            (stage, _) => (stage, false),
        };
        self.stage = next;
        stop
    }

    /// How full the ring is, 0 to 1.
    pub fn fill(&self, now: MonoNs) -> f64 {
        match self.stage {
            Stage::Holding { since } => (now.since(since).as_secs_f64() / HOLD.as_secs_f64()).min(1.0),
            Stage::Idle | Stage::Armed { .. } => 0.0,
        }
    }

    /// Forgets what was begun; a key that is down stays down.
    pub fn disarm(&mut self) {
        self.stage = Stage::Idle;
    }

    /// Whether a key is held down.
    pub fn is_key_down(&self) -> bool {
        self.key_down
    }

    /// Whether one more key press stops.
    pub fn is_armed(&self) -> bool {
        matches!(self.stage, Stage::Armed { .. })
    }

    /// Whether time must be reported by [`Touch::Tick`].
    pub fn is_idle(&self) -> bool {
        self.stage == Stage::Idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    /// Times at which the guard said stop.
    fn stops(touches: &[(u64, Touch)]) -> Vec<u64> {
        let mut guard = StopGuard::default();
        touches.iter().filter(|(ms, touch)| guard.handle(at(*ms), *touch)).map(|(ms, _)| *ms).collect()
    }

    #[test]
    fn a_tap_does_not_stop_and_a_hold_does() {
        use Touch::{PointerDown, PointerUp, Tick};
        assert_eq!(stops(&[(0, PointerDown), (790, Tick), (795, PointerUp), (900, Tick)]), [0; 0]);
        assert_eq!(stops(&[(0, PointerDown), (400, Tick), (800, Tick), (816, Tick), (900, PointerUp)]), [800]);
    }

    #[test]
    fn two_presses_within_two_seconds_stop_and_key_repeat_does_not() {
        use Touch::{KeyDown, KeyUp, Tick};
        assert_eq!(stops(&[(0, KeyDown), (80, KeyUp), (900, KeyDown)]), [900]);
        assert_eq!(stops(&[(0, KeyDown), (500, KeyDown), (530, KeyDown), (560, KeyDown), (900, KeyUp)]), [0; 0]);
        assert_eq!(
            stops(&[(0, KeyDown), (80, KeyUp), (2100, Tick), (2200, KeyDown), (2300, KeyUp), (2400, KeyDown)]),
            [2400]
        );
        assert_eq!(stops(&[(0, KeyDown), (80, KeyUp), (2200, KeyDown)]), [0; 0], "no tick was needed to forget");
    }

    proptest! {
        #[test]
        fn no_single_act_stops(kind in 0..2, steps in prop::collection::vec(0u64..700, 0..40)) {
            // One touch shorter than the hold, or one key held for ever, with ticks in between.
            let (down, up) = if kind == 0 { (Touch::PointerDown, Some(Touch::PointerUp)) } else { (Touch::KeyDown, None) };
            let mut guard = StopGuard::default();
            let mut now = 0;
            prop_assert!(!guard.handle(at(now), down));
            for step in steps {
                now += step;
                if let Some(up) = up && now >= 700 {
                    prop_assert!(!guard.handle(at(now.min(799)), up));
                    break;
                }
                let touch = if kind == 0 { Touch::Tick } else { Touch::KeyDown };
                prop_assert!(!guard.handle(at(now), touch));
            }
        }
    }
}

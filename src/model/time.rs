//! Monotonic time as a value. Wall-clock time is `jiff::Timestamp`, used only for display and records.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A reading of CLOCK_MONOTONIC in nanoseconds. Equal to GStreamer running time in every pipeline of ours
/// (monotonic clock, base time 0), and comparable between processes of one boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MonoNs(pub u64);

impl MonoNs {
    /// The time since `earlier`, zero if `earlier` is later.
    pub fn since(self, earlier: MonoNs) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This instant moved on by `by`.
    pub fn plus(self, by: Duration) -> MonoNs {
        MonoNs(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// How far two clocks were ahead of CLOCK_MONOTONIC at one instant. CLOCK_MONOTONIC stands still while the machine
/// sleeps, CLOCK_BOOTTIME does not; both are the kernel's own. The wall clock is moved by whoever sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockOffsets {
    /// The wall clock, since 1970.
    pub wall_ns: i64,
    /// CLOCK_BOOTTIME: all that was slept in this boot.
    pub boot_ns: i64,
}

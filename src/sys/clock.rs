//! The only place that reads a clock.

use crate::model::MonoNs;
use rustix::time::{ClockId, clock_gettime};

/// CLOCK_MONOTONIC now; equals GStreamer running time in every pipeline of ours.
pub fn mono_now() -> MonoNs {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    MonoNs(seconds * 1_000_000_000 + nanos)
}

/// The wall clock now, for display and records only.
#[allow(clippy::disallowed_methods, reason = "the one reading of the wall clock")]
pub fn wall_now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// The id of this boot; monotonic times of another boot mean nothing.
pub fn boot_id() -> std::io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

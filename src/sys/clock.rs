//! The only place that reads a clock.

use crate::model::MonoNs;
use crate::model::time::ClockOffsets;
use rustix::time::{ClockId, clock_gettime};

/// Four readings of clocks take a microsecond; what took longer is read again, so often at most.
const READINGS: u32 = 5;
/// Readings this close fit together well enough: what is looked for is a second.
const TOGETHER_NS: i64 = 10_000_000;

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

/// How far the wall clock and CLOCK_BOOTTIME are ahead of CLOCK_MONOTONIC; `None` = this thread was held up between the
/// readings each time, or the machine slept between them, and what they say does not fit together.
pub fn offsets() -> Option<ClockOffsets> {
    let nanos = |id| {
        let time = clock_gettime(id);
        time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
    };
    (0..READINGS).find_map(|_| {
        let before = nanos(ClockId::Boottime);
        let mono = nanos(ClockId::Monotonic);
        let wall = i64::try_from(wall_now().as_nanosecond()).unwrap_or(i64::MAX);
        let boot = nanos(ClockId::Boottime);
        let fits = boot.saturating_sub(before) < TOGETHER_NS;
        fits.then_some(ClockOffsets { wall_ns: wall.saturating_sub(mono), boot_ns: before.saturating_sub(mono) })
    })
}

/// The id of this boot; monotonic times of another boot mean nothing.
pub fn boot_id() -> std::io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

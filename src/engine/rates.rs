//! From what processes have used so far to what they use: shares and rates between two looks. Pure.

use crate::model::MonoNs;
use crate::sys::process;
use crate::sys::usage::Usage;
use std::collections::HashMap;
use std::time::Duration;

/// What a process had used at a look.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// When.
    pub at: MonoNs,
    /// Processor time.
    pub cpu: Option<Duration>,
    /// Bytes it had sent to disks.
    pub written: Option<u64>,
}

/// The last look at each process.
pub type Looks = HashMap<u32, Look>;

/// What a process uses.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    /// Share of all processors in percent.
    pub cpu_percent: Option<f64>,
    /// Bytes per second that go to disks.
    pub disk_bytes_per_s: Option<u64>,
}

impl Look {
    /// Of a look at the whole process.
    pub fn of(at: MonoNs, usage: &Usage) -> Self {
        Self { at, cpu: usage.cpu, written: usage.written }
    }

    /// What was used since `before`.
    pub fn since(&self, before: Option<&Self>) -> Rates {
        let Some(before) = before else { return Rates::default() };
        let time = self.at.since(before.at).as_secs_f64();
        if time <= 0.0 {
            return Rates::default();
        }
        let cpu = self.cpu.zip(before.cpu).map(|(now, before)| now.saturating_sub(before).as_secs_f64());
        let machine = time * process::processors() as f64;
        let written = self.written.zip(before.written).map(|(now, before)| now.saturating_sub(before));
        Rates {
            cpu_percent: cpu.map(|cpu| (cpu / machine * 1000.0).round() / 10.0),
            disk_bytes_per_s: written.map(|bytes| (bytes as f64 / time) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_was_used_over_the_time_and_unknown_without_two_looks() {
        let look = |seconds: u64, cpu_ms, written| Look {
            at: MonoNs(seconds * 1_000_000_000),
            cpu: Some(Duration::from_millis(cpu_ms)),
            written,
        };
        let (first, second) = (look(10, 1000, Some(5_000_000)), look(12, 1000, Some(7_000_000)));
        assert_eq!(second.since(None), Rates::default());
        let rates = second.since(Some(&first));
        assert_eq!(rates, Rates { cpu_percent: Some(0.0), disk_bytes_per_s: Some(1_000_000) });
        // What cannot be read is not called nothing.
        assert_eq!(second.since(Some(&look(10, 1000, None))).disk_bytes_per_s, None);
        let busy = look(12, 1000 + 2000 * process::processors() as u64, None);
        assert_eq!(busy.since(Some(&first)).cpu_percent, Some(100.0));
    }
}

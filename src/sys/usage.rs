//! What `/proc` says about memory, open files and threads: of the machine, of this process, of others of ours.
//!
//! Contract: reads memory of the kernel only, no disk; what cannot be read is `None`, never 0. A few dozen microseconds
//! for each process (it lists its descriptors), so it is asked every few seconds and not from a loop.

use super::procfs;
use std::fs;
use std::time::Duration;

/// Memory of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All of it, in bytes.
    pub total: u64,
    /// What can be had without swapping, in bytes.
    pub available: u64,
}

/// What a process uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// It has ended, and nobody has looked how.
    pub zombie: bool,
    /// Resident memory in bytes.
    pub rss_bytes: Option<u64>,
    /// Processor time, user and system.
    pub cpu: Option<Duration>,
    /// Bytes it has sent to disks, or will have.
    pub written: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// How many its user may have.
    pub threads_limit: Option<u64>,
    /// Open files.
    pub files: Option<u64>,
    /// How many it may open.
    pub files_limit: Option<u64>,
}

/// Memory of the machine, `None` where the kernel does not say.
pub fn memory() -> Option<Memory> {
    parse_memory(&fs::read_to_string("/proc/meminfo").ok()?)
}

/// Time of all processors together since boot, in ticks of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTime {
    /// Used by anybody; waiting for a disk is idle.
    pub busy: u64,
    /// All of it.
    pub whole: u64,
}

impl CpuTime {
    /// So many ticks of all processors are this long.
    pub fn ticks(time: Duration) -> u64 {
        let per_second = u128::from(rustix::param::clock_ticks_per_second());
        u64::try_from(time.as_millis() * per_second / 1000).unwrap_or(u64::MAX)
    }
}

/// What the processors have done since boot, `None` where the kernel does not say.
pub fn cpu_time() -> Option<CpuTime> {
    parse_cpu_time(&fs::read_to_string("/proc/stat").ok()?)
}

/// `cpu user nice system idle iowait irq softirq steal …`; guests are counted in the first two.
fn parse_cpu_time(text: &str) -> Option<CpuTime> {
    let row = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Vec<u64> = row.split_ascii_whitespace().take(8).map_while(|field| field.parse().ok()).collect();
    let [user, nice, system, idle, iowait, irq, softirq, steal] = *fields.first_chunk::<8>()?;
    let busy = user + nice + system + irq + softirq + steal;
    Some(CpuTime { busy, whole: busy + idle + iowait })
}

/// Threads of the whole machine, and how many it can have.
pub fn machine_threads() -> Option<(u64, u64)> {
    let load = fs::read_to_string("/proc/loadavg").ok()?;
    let limit = fs::read_to_string("/proc/sys/kernel/threads-max").ok()?;
    Some((parse_threads(&load)?, limit.trim().parse().ok()?))
}

/// Usage of `pid`, `None` when it has gone, or cannot be seen.
pub fn of(pid: u32) -> Option<Usage> {
    let of = procfs::of(pid)?;
    let stat = fs::read_to_string(of.join("stat")).ok()?;
    let limits = fs::read_to_string(of.join("limits")).unwrap_or_default();
    let field = |field| stat_field(&stat, field);
    let number = |place| field(place)?.parse::<u64>().ok();
    let page = u64::try_from(rustix::param::page_size()).ok()?;
    let ticks = number(STAT_UTIME).zip(number(STAT_STIME)).map(|(user, system)| user + system);
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let files = fs::read_dir(of.join("fd")).ok();
    Some(Usage {
        // The first thread of a process may end before the others: those still do their work.
        zombie: matches!(field(STAT_STATE), Some("Z" | "X")) && number(STAT_THREADS).is_none_or(|threads| threads <= 1),
        rss_bytes: number(STAT_RSS).map(|pages| pages * page),
        cpu: ticks.map(|ticks| Duration::from_millis(ticks * 1000 / per_second)),
        written: written(pid),
        threads: number(STAT_THREADS),
        threads_limit: soft_limit(&limits, "Max processes"),
        files: files.and_then(|files| u64::try_from(files.count()).ok()),
        files_limit: soft_limit(&limits, "Max open files"),
    })
}

/// Bytes that `pid` has sent to disks so far, or will have: what it wrote into files and has not taken back. `None` = it has
/// gone, or belongs to somebody else.
pub fn written(pid: u32) -> Option<u64> {
    parse_written(&fs::read_to_string(format!("/proc/{pid}/io")).ok()?)
}

fn parse_written(io: &str) -> Option<u64> {
    io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.trim().parse().ok()
}

// Fields of /proc/PID/stat counted from 0 behind the parenthesised name (proc_pid_stat(5) numbers minus 3).
const STAT_STATE: usize = 0;
const STAT_UTIME: usize = 11;
const STAT_STIME: usize = 12;
const STAT_THREADS: usize = 17;
const STAT_RSS: usize = 21;

/// The name may hold spaces and parentheses, so fields are counted from its last `)`.
fn stat_field(stat: &str, field: usize) -> Option<&str> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(field)
}

/// A row of `/proc/PID/limits`; `None` = not limited.
fn soft_limit(limits: &str, name: &str) -> Option<u64> {
    let row = limits.lines().find_map(|line| line.strip_prefix(name))?;
    row.split_ascii_whitespace().next()?.parse().ok()
}

fn parse_memory(text: &str) -> Option<Memory> {
    let kilobytes = |name: &str| {
        let row = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        row.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    Some(Memory { total: kilobytes("MemTotal")? * 1024, available: kilobytes("MemAvailable")? * 1024 })
}

/// `0.10 0.20 0.30 2/345 678`: 345 threads.
fn parse_threads(load: &str) -> Option<u64> {
    load.split_ascii_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_numbers_are_read() {
        let usage = of(std::process::id()).expect("we live");
        assert!(!usage.zombie && usage.rss_bytes > Some(100_000) && usage.threads >= Some(1));
        let files = usage.files.expect("our own are listed");
        assert!(files >= 3 && usage.files_limit.is_none_or(|limit| limit > files), "{usage:?}");
        let memory = memory().expect("Linux says");
        assert!(memory.total > memory.available && memory.available > 0);
        let (threads, limit) = machine_threads().expect("Linux says");
        assert!(threads > 0 && limit > threads);
    }

    #[test]
    fn rows_are_found_by_their_names() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             unlimited            unlimited            processes \n\
                      Max open files            1024                 524288               files     \n";
        assert_eq!(soft_limit(limits, "Max open files"), Some(1024));
        assert_eq!(soft_limit(limits, "Max processes"), None);
        let text = "MemTotal:       16316412 kB\nMemFree:  1 kB\nMemAvailable:    8000000 kB\n";
        assert_eq!(parse_memory(text), Some(Memory { total: 16_316_412 * 1024, available: 8_000_000 * 1024 }));
        assert_eq!(parse_memory("MemTotal: 1 kB\n"), None, "what is not known is not called empty");
        assert_eq!(parse_written("wchar: 1\nwrite_bytes: 4096\ncancelled_write_bytes: 0\n"), Some(4096));
        let stat = "cpu  100 1 20 1000 50 3 4 5 7 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(parse_cpu_time(stat), Some(CpuTime { busy: 133, whole: 1183 }));
        assert_eq!(parse_cpu_time("cpu  1 2 3\n"), None);
        assert_eq!(parse_threads("0.10 0.20 0.30 2/345 678\n"), Some(345));
    }

    #[test]
    fn a_child_nobody_has_waited_for_is_a_zombie() {
        #[allow(clippy::disallowed_methods, reason = "a child of a test")]
        let mut child = std::process::Command::new("true").spawn().expect("it starts");
        let deadline = super::super::clock::mono_now().plus(Duration::from_secs(10));
        while of(child.id()).is_some_and(|usage| !usage.zombie) {
            assert!(super::super::clock::mono_now() < deadline, "true does not end");
            std::thread::yield_now();
        }
        assert!(of(child.id()).is_some_and(|usage| usage.zombie));
        child.wait().expect("it has ended");
        assert_eq!(of(child.id()), None);
    }
}

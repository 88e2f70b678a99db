//! What the kernel is asked for on behalf of a process: nice, I/O class, processors, and who dies first without memory.
//!
//! Contract: nothing here decides who deserves what but [`Priority`]; a refusal is returned or read back, never fatal
//! (R-SUP-7). Values are per thread where the kernel has them per thread.

pub mod affinity;
pub mod io;
pub mod nice;
pub mod oom;
pub mod realtime;

use affinity::Plan;
use rustix::thread::CpuSet;
use std::fs;

/// How important the processor time and the disk are to a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Nice −10, best-effort I/O 0, the fast processors (R-SUP-7); refusal is no error, it is seen by reading back.
    Recording,
    /// The parent's.
    Inherited,
    /// Nice 19, idle I/O, away from one processor that is the recording's alone (R-SUP-9).
    Idle,
}

/// The threads of `pid`, empty when it has gone, or cannot be seen; of this very process as well.
pub fn threads(pid: u32) -> Vec<u32> {
    let tasks = super::procfs::tasks_of(pid).and_then(|tasks| fs::read_dir(tasks).ok());
    let tasks = tasks.into_iter().flatten().flatten();
    tasks.filter_map(|task| task.file_name().to_str()?.parse().ok()).collect()
}

/// What a child sets between fork and exec, prepared before the fork.
#[derive(Debug)]
pub(super) struct ForChild {
    nice: Option<i32>,
    io: Option<io::Class>,
    group: Option<&'static [u8]>,
    cpus: Option<CpuSet>,
    oom: oom::ForChild,
}

impl ForChild {
    /// For a child of this priority.
    pub fn new(priority: Priority) -> Self {
        let plan = || Plan::here();
        let (nice, io, group, cpus) = match priority {
            Priority::Recording => {
                (Some(nice::RECORDING), Some(io::Class::RECORDING), Some(b"-10".as_slice()), plan().recording)
            }
            Priority::Idle => (Some(nice::IDLE), Some(io::Class::Idle), Some(b"19".as_slice()), plan().secondary),
            Priority::Inherited => (None, None, None, None),
        };
        Self { nice, io, group, cpus: cpus.map(|cpus| affinity::set_of(&cpus)), oom: oom::ForChild::new(priority) }
    }

    /// Applies it to this process, which has one thread. Between fork and exec: system calls only, nothing is allocated
    /// and no lock is taken. Refused for an ordinary user without a limit for it; what was got is read back by the parent.
    pub fn apply(&self) {
        if let Some(nice) = self.nice {
            let _ = rustix::process::setpriority_process(None, nice);
        }
        if let Some(class) = self.io {
            let _ = io::set_own(class);
        }
        if let Some(group) = self.group {
            nice::set_group(group);
        }
        if let Some(cpus) = &self.cpus {
            let _ = rustix::thread::sched_setaffinity(None, cpus);
        }
        self.oom.apply();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::{own_thread, usage_of};

    #[test]
    fn the_threads_of_a_process_are_its_own_or_none() {
        let own = threads(std::process::id());
        assert!(own.is_empty() || own.contains(&own_thread()), "{own:?}");
        assert!(usage_of(std::process::id()).is_some(), "that has no numbers");
    }

    #[test]
    fn also_in_a_sandbox() {
        crate::sys::sandbox::runs("sys::priority::tests::the_threads_of_a_process_are_its_own_or_none", &[]);
    }
}

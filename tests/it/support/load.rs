//! A machine that is busy: programs that take its processors or its memory for some time, and limits that a small machine
//! full of tests never passes.

use super::process::{self, Running};
use std::process::Command;
use std::time::Duration;

/// Floors that a small test machine is above; tests of the floors set their own.
pub const SMALL_FLOORS: &str = "[storage]\nmin_free_start = \"100MB\"\nstop_new_free = \"100MB\"\ncritical_free = \"50MB\"\n\
     warn_free = \"100MB\"\nwarn_used_percent = 100\ncritical_used_percent = 100\n";

/// No load of the machine counts; tests of the governor have a section of their own.
pub const NEVER_LOADED: &str = "[degradation]\ncpu_warn_percent = 100\ncpu_degrade_percent = 100\n\
     cpu_critical_percent = 100\nmemory_warn_percent = 100\nmemory_degrade_percent = 100\nmemory_critical_percent = 100\n\
     pressure_percent = 100\nqueue_percent = 100\nlate_ms = 60000\nlow_memory = \"1B\"\n[budgets]\ncpu_percent = 100\n";

/// Whether there is a program that makes load.
pub fn is_here() -> bool {
    process::program("stress-ng").is_some()
}

/// `workers` programs that compute for `time`, at the priority of an ordinary program whatever the tests run at.
pub fn processors(workers: u32, time: Duration) -> Running {
    stress(&["--cpu", &workers.to_string()], time)
}

/// One that holds `bytes` of memory for `time`.
pub fn memory(bytes: u64, time: Duration) -> Running {
    stress(&["--vm", "1", "--vm-keep", "--vm-populate", "--vm-hang", "0", "--vm-bytes", &bytes.to_string()], time)
}

fn stress(what: &[&str], time: Duration) -> Running {
    let own = rustix::process::getpriority_process(None).expect("this process runs");
    let mut command = Command::new("nice");
    command.args(["-n", &(-own).to_string(), "stress-ng", "--quiet", "--timeout", &format!("{}s", time.as_secs())]);
    // Whatever it uses as scratch lies there.
    Running::start("stress-ng", command.args(["--temp-path", "/tmp"]).args(what).stdin(std::process::Stdio::null()))
}

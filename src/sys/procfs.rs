//! Where `/proc` tells of a process.
//!
//! Contract: in a sandbox `/proc` may be that of another process namespace, which calls strangers by our numbers. Nothing is
//! looked up there by number; what this very process is, it says all the same.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

/// The folder of `pid`, `None` where numbers mean others.
pub fn of(pid: u32) -> Option<PathBuf> {
    if pid == std::process::id() {
        return Some(PathBuf::from("/proc/self"));
    }
    is_ours().then(|| PathBuf::from(format!("/proc/{pid}")))
}

/// The folder of the threads of `pid`: those of this very process have numbers as well.
pub fn tasks_of(pid: u32) -> Option<PathBuf> {
    is_ours().then(|| PathBuf::from(format!("/proc/{pid}/task")))
}

/// Whether `/proc` calls this process by the number it has here. Nobody moves to another namespace meanwhile.
fn is_ours() -> bool {
    static OURS: OnceLock<bool> = OnceLock::new();
    let own = || fs::read_link("/proc/self").is_ok_and(|own| own.to_str() == Some(&std::process::id().to_string()));
    *OURS.get_or_init(own)
}

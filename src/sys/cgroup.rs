//! Memory that the groups of this process may still have (cgroup v2).
//!
//! Contract: reads memory of the kernel only. A limit of any group above counts as well; what can be given back at once
//! (pages of files nobody has used lately) counts as available, as in `MemAvailable`.

use super::usage::Memory;
use std::fs;
use std::path::{Path, PathBuf};

/// Where groups are mounted: v2 alone, or beside v1.
const ROOTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// Memory of every group this process is in that has a limit; none without cgroup v2.
pub fn limits() -> Vec<Memory> {
    let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let Some(group) = group_of(&membership) else { return Vec::new() };
    let found = ROOTS.iter().map(|root| limits_of(Path::new(root), &group));
    found.into_iter().find(|limits| !limits.is_empty()).unwrap_or_default()
}

/// The v2 line of `/proc/PID/cgroup`, `0::/some/group`, relative to the mount point.
fn group_of(membership: &str) -> Option<PathBuf> {
    let path = membership.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let path = PathBuf::from(path);
    // A group outside what this process may see is shown as `/../…`.
    path.components().all(|part| matches!(part, std::path::Component::Normal(_))).then_some(path)
}

fn limits_of(root: &Path, group: &Path) -> Vec<Memory> {
    group.ancestors().filter_map(|group| limit_of(&root.join(group))).collect()
}

fn limit_of(dir: &Path) -> Option<Memory> {
    let number = |name| fs::read_to_string(dir.join(name)).ok()?.trim().parse::<u64>().ok();
    // `max` is no number: no limit here. Above `high` the kernel slows the group down.
    let total = ["memory.max", "memory.high"].into_iter().filter_map(number).min()?;
    let used = number("memory.current")?;
    let stat = fs::read_to_string(dir.join("memory.stat")).unwrap_or_default();
    let row = stat.lines().find_map(|line| line.strip_prefix("inactive_file "));
    let idle = row.and_then(|value| value.trim().parse::<u64>().ok()).unwrap_or(0);
    Some(Memory { total, available: total.saturating_sub(used.saturating_sub(idle)) })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test plants files of its own")]
mod tests {
    use super::*;

    #[test]
    fn every_limit_above_counts_also_the_soft_one() {
        let root = tempfile::tempdir().expect("a folder");
        let plant = |group: &str, [max, high]: [&str; 2], current: &str, idle: u64| {
            let dir = root.path().join(group);
            fs::create_dir_all(&dir).expect("a folder");
            for (name, text) in [("memory.max", max), ("memory.high", high), ("memory.current", current)] {
                fs::write(dir.join(name), format!("{text}\n")).expect("a file");
            }
            fs::write(dir.join("memory.stat"), format!("anon 5\ninactive_file {idle}\n")).expect("a file");
        };
        plant("user", ["1000", "max"], "900", 300);
        plant("user/app", ["max", "max"], "500", 0);
        plant("user/app/part", ["800", "700"], "100", 0);
        let found = limits_of(root.path(), Path::new("user/app/part"));
        assert_eq!(found, [Memory { total: 700, available: 600 }, Memory { total: 1000, available: 400 }]);
        assert_eq!(limits_of(root.path(), Path::new("elsewhere")), []);
    }

    #[test]
    fn only_a_group_within_sight_is_looked_at() {
        assert_eq!(group_of("4:memory:/x\n0::/user/app\n"), Some("user/app".into()));
        assert_eq!(group_of("0::/\n"), Some(PathBuf::new()));
        assert_eq!(group_of("0::/../other\n"), None);
        assert_eq!(group_of("4:memory:/x\n"), None);
    }
}

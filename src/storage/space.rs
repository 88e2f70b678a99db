//! Room on a file system. Blocks when the file system does.

use std::io;
use std::path::Path;

/// Bytes an ordinary user may still write below `dir`, and the size of the file system.
pub fn measure(dir: &Path) -> io::Result<(u64, u64)> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok((stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_blocks.saturating_mul(stat.f_frsize)))
}

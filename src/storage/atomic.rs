//! Replaces a small file so that a power cut leaves the old one or the new one, never half of it.

use rustix::fs::{Mode, OFlags, open};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Makes the entries of folder `dir` (new names, renames) survive a power cut.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    let fd = open(dir, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    File::from(fd).sync_all()
}

/// Writes `bytes` to `dir/name`: temporary file, fsync, rename, fsync of the folder.
///
/// Blocks on the disk; not for an event loop. On an error the old file is untouched.
#[allow(clippy::disallowed_methods, reason = "the one durable rename")]
pub fn replace(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = dir.join(format!(".{name}.tmp"));
    let result = (|| {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, dir.join(name))
    })();
    if result.is_err() {
        // The temporary name is ours alone and holds nothing recorded.
        let _ = std::fs::remove_file(&temporary);
    }
    result?;
    sync_dir(dir)
}

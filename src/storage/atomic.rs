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
        // Whatever stands there is the rest of an earlier try, or a link somebody put there to be written through.
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = File::from(open(&temporary, flags, Mode::from_raw_mode(0o666))?);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "plants files")]
    fn a_link_under_the_temporary_name_is_not_written_through() {
        let dir = tempfile::tempdir().expect("a folder");
        let outside = dir.path().join("outside");
        std::fs::write(&outside, "precious").expect("a file");
        std::os::unix::fs::symlink(&outside, dir.path().join(".name.tmp")).expect("a link");
        replace(dir.path(), "name", b"new").expect("replaced");
        assert_eq!(std::fs::read(&outside).expect("a file"), b"precious");
        assert_eq!(std::fs::read(dir.path().join("name")).expect("a file"), b"new");
        replace(dir.path(), "name", b"newer").expect("replaced again");
        assert_eq!(std::fs::read(dir.path().join("name")).expect("a file"), b"newer");
    }
}

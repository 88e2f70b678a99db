//! A library's place: which file system it lies on, and the room there. Blocks when the file system does.
//!
//! Contract: what lies below the library's name is taken for the library only while it is the file system that was there
//! at first; an empty folder that a disk has left behind has plenty of room, and nobody would look for a recording there.

use super::layout;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes an ordinary user may still write below `dir`, and of how many in all: what the file system keeps for others
/// (5 % of an ext4) is not counted, so that the two tell how full it is to us, as `df` does.
pub fn measure(dir: &Path) -> io::Result<(u64, u64)> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(room(&stat))
}

fn room(stat: &rustix::fs::StatVfs) -> (u64, u64) {
    let kept_for_others = stat.f_bfree.saturating_sub(stat.f_bavail);
    let blocks = stat.f_blocks.saturating_sub(kept_for_others);
    (stat.f_bavail.saturating_mul(stat.f_frsize), blocks.saturating_mul(stat.f_frsize))
}

/// Where a library lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    library: PathBuf,
    device: u64,
    /// The file system's own name for itself, 0 = it has none, and the number of a file of ours in it: a disk that was
    /// unplugged comes back as another device.
    file_system: u64,
    lock: u64,
}

impl Home {
    /// The place of `library`, in which the lock of an engine lies.
    pub fn of(library: &Path) -> io::Result<Self> {
        Ok(Self {
            library: library.to_owned(),
            device: fs::metadata(library)?.dev(),
            file_system: rustix::fs::statvfs(library)?.f_fsid,
            lock: fs::metadata(library.join(layout::LIBRARY_LOCK))?.ino(),
        })
    }

    /// Says so when another file system lies below the library's name.
    pub fn check(&self) -> io::Result<()> {
        self.check_device(fs::metadata(&self.library)?.dev())
    }

    fn check_device(&self, device: u64) -> io::Result<()> {
        let same = |now: Self| now.file_system != 0 && (now.file_system, now.lock) == (self.file_system, self.lock);
        // A library without its lock is none of ours.
        if device == self.device || Self::of(&self.library).is_ok_and(same) {
            return Ok(());
        }
        let why = format!("another file system lies at {}", self.library.display());
        Err(io::Error::new(io::ErrorKind::NotFound, why))
    }

    /// Room below `dir`, which is the library or a folder in it: free for us, and in all.
    pub fn look(&self, dir: &Path) -> io::Result<(u64, u64)> {
        let named = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::new(error.kind(), format!("{} is not there", dir.display())),
            _ => error,
        };
        let device = fs::metadata(dir).map_err(named)?.dev();
        self.check_device(device)?;
        let stat = rustix::fs::statvfs(dir)?;
        if stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(room(&stat))
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "plants files")]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_at_home_where_it_was_and_nowhere_else() {
        let library = tempfile::tempdir().expect("a library");
        assert!(Home::of(library.path()).is_err(), "nobody has its lock");
        fs::write(library.path().join(layout::LIBRARY_LOCK), "").expect("ours");
        let home = Home::of(library.path()).expect("a place");
        let (free, total) = home.look(library.path()).expect("room");
        assert!(free <= total && total > 0, "{free} of {total}");
        assert_eq!(measure(library.path()).expect("room").1, total);
        home.check().expect("at home");
        // Plugged in again: another device, the same file system.
        let back = Home { device: home.device + 1, ..home.clone() };
        assert_eq!(back.check().is_ok(), home.file_system != 0);
        for other in [Home { lock: home.lock + 1, ..back.clone() }, Home { file_system: 0, ..back }] {
            let refused = other.look(library.path()).expect_err("another one");
            assert_eq!(refused.kind(), io::ErrorKind::NotFound);
            assert!(refused.to_string().starts_with("another file system lies at /"), "{refused}");
        }
        let gone = home.look(&library.path().join("session")).expect_err("it was never there");
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    }
}

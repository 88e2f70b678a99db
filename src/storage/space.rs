//! A library's place: which file system it lies on, and the room there. Blocks when the file system does.
//!
//! Contract: what lies below the library's name is taken for the library only while it is the file system that was there
//! at first, or one that bears the library's id; an empty folder that a disk has left behind has plenty of room, and
//! nobody would look for a recording there. The id is random and stands in the library's lock file: what a file system
//! calls itself (`f_fsid`) is nothing on NFS and FUSE and another device's number elsewhere, and FAT numbers its files
//! anew with every mount.

use super::layout;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{pread, pwrite};
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use uuid::Uuid;

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
    /// Stands in the library's lock file, for a disk that was unplugged comes back as another device; `None` = it could
    /// be neither read nor written, and such a disk is not known again.
    id: Option<Uuid>,
}

impl Home {
    /// The place of `library`, whose `lock` is held by this engine: nobody else gives it an id meanwhile. It is asked
    /// through the lock's own descriptor, for on SMB no other may read what is locked.
    pub fn of(library: &Path, lock: impl AsFd) -> io::Result<Self> {
        let id = marked(&lock).unwrap_or_else(|error| {
            tracing::warn!(%error, "the library cannot be marked; should its disk be unplugged, it is not known again");
            None
        });
        Ok(Self { library: library.to_owned(), device: fs::metadata(library)?.dev(), id })
    }

    /// Says so when another file system lies below the library's name.
    pub fn check(&self) -> io::Result<()> {
        self.check_device(fs::metadata(&self.library)?.dev())
    }

    fn check_device(&self, device: u64) -> io::Result<()> {
        // A library without its lock is none of ours.
        let same = || self.id.is_some() && found(&self.library).is_ok_and(|id| id == self.id);
        if device == self.device || same() {
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

/// The id in a library's lock file; one without any, or with what a power cut made of it, is given one.
fn marked(lock: impl AsFd) -> io::Result<Option<Uuid>> {
    if let Some(known) = read_id(&lock)? {
        return Ok(Some(known));
    }
    let id = Uuid::now_v7();
    let line = format!("{}\n", id.hyphenated());
    if pwrite(&lock, line.as_bytes(), 0)? < line.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    // A disk that is unplugged now must come back with it.
    rustix::fs::fsync(&lock)?;
    Ok(Some(id))
}

/// The id of whatever lies at `library` now.
fn found(library: &Path) -> io::Result<Option<Uuid>> {
    // Nobody waits for what may be a pipe there.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    read_id(open(library.join(layout::LIBRARY_LOCK), flags, Mode::empty())?)
}

fn read_id(lock: impl AsFd) -> io::Result<Option<Uuid>> {
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let read = pread(lock, &mut text, 0)?;
    Ok(Uuid::try_parse_ascii(&text[..read]).ok())
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "plants files")]
mod tests {
    use super::*;
    use crate::sys::lock::{Lock, is_held, try_lock};

    fn lock(library: &Path) -> Lock {
        try_lock(&library.join(layout::LIBRARY_LOCK)).expect("a lock").expect("free")
    }

    #[test]
    fn a_library_is_at_home_where_it_was_and_nowhere_else() {
        let library = tempfile::tempdir().expect("a library");
        let lock = lock(library.path());
        let home = Home::of(library.path(), &lock).expect("a place");
        let (free, total) = home.look(library.path()).expect("room");
        assert!(free <= total && total > 0, "{free} of {total}");
        assert_eq!(measure(library.path()).expect("room").1, total);
        home.check().expect("at home");
        let gone = home.look(&library.path().join("session")).expect_err("it was never there");
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_disk_that_was_unplugged_is_known_by_its_id_and_an_empty_folder_is_not_taken_for_it() {
        let library = tempfile::tempdir().expect("a library");
        let path = library.path().join(layout::LIBRARY_LOCK);
        let held = lock(library.path());
        let home = Home::of(library.path(), &held).expect("a place");
        assert!(is_held(&path).expect("asked"), "marking it does not let go of it");
        // Plugged in again: another device, and (on FAT) another number of every file.
        let back = Home { device: home.device + 1, ..home.clone() };
        let text = fs::read(&path).expect("an id");
        fs::remove_file(&path).expect("unplugged");
        let refused = back.look(library.path()).expect_err("an empty mount point");
        assert_eq!(refused.kind(), io::ErrorKind::NotFound);
        assert!(refused.to_string().starts_with("another file system lies at /"), "{refused}");
        fs::write(&path, &text).expect("plugged in");
        back.check().expect("the same one");
        back.look(library.path()).expect("room");
        // Somebody else's, one that was never marked, and one that could not be.
        for other in [format!("{}\n", Uuid::now_v7()), String::new(), "\0".repeat(37)] {
            fs::write(&path, other).expect("planted");
            assert!(back.check().is_err());
            assert!(Home { id: None, ..back.clone() }.check().is_err());
        }
    }

    #[test]
    fn a_library_is_marked_once_and_again_only_after_a_power_cut_took_its_mark() {
        let library = tempfile::tempdir().expect("a library");
        let path = library.path().join(layout::LIBRARY_LOCK);
        let first = Home::of(library.path(), lock(library.path())).expect("a place");
        assert_eq!(Home::of(library.path(), lock(library.path())).expect("a place"), first);
        fs::write(&path, "\0".repeat(37)).expect("a power cut");
        let second = Home::of(library.path(), lock(library.path())).expect("a place");
        assert!(second.id.is_some() && second != first);
        // Where nothing can be written it is a library nevertheless.
        let read_only = fs::File::open("/dev/null").expect("nothing");
        assert_eq!(Home::of(library.path(), read_only).expect("a place").id, None);
    }
}

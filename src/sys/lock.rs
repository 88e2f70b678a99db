//! Advisory locks (`flock`) that decide ownership. A lock lives as long as its file descriptor, also across
//! `exec` never (CLOEXEC), and is released by the kernel whatever kills the holder.

use super::clock::mono_now;
use rustix::event::{Timespec, poll};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// Asking whether a lock is held takes it for microseconds; this is generous for a busy machine.
const ASKING_TAKES: Timespec = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };
/// Pause between two tries for a lock that is waited for; the kernel tells nobody when one is let go.
const TRY_AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
/// How often a lock is tried for that is held by somebody who only asks.
const ASKINGS: u32 = 50;

/// A lock that is held until dropped.
#[derive(Debug)]
pub struct Lock {
    fd: OwnedFd,
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Takes the lock `path` (created with mode 0600 when missing). `Ok(None)` = somebody else holds it.
pub fn try_lock(path: &Path) -> io::Result<Option<Lock>> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let fd = open(path, flags, Mode::from_raw_mode(0o600))?;
    Ok(try_lock_fd(&fd)?.then_some(Lock { fd }))
}

/// The same, tried for `time` before it is called held. Blocks.
pub fn try_lock_within(path: &Path, time: Duration) -> io::Result<Option<Lock>> {
    within(time, || try_lock(path))
}

/// Takes a lock on an open file, tried for `time` before it is called held (`Ok(false)`). Blocks.
pub fn lock_fd_within(fd: impl AsFd, time: Duration) -> io::Result<bool> {
    Ok(within(time, || Ok(try_lock_fd(&fd)?.then_some(())))?.is_some())
}

fn within<T>(time: Duration, mut attempt: impl FnMut() -> io::Result<Option<T>>) -> io::Result<Option<T>> {
    let begun = mono_now();
    loop {
        if let Some(taken) = attempt()? {
            return Ok(Some(taken));
        }
        if mono_now().since(begun) >= time {
            return Ok(None);
        }
        pause(TRY_AGAIN)?;
    }
}

/// Takes a lock on an open file; it lives as long as the open file description. `Ok(false)` = held elsewhere.
pub fn try_lock_fd(fd: impl AsFd) -> io::Result<bool> {
    match flock(fd, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Takes a shared lock on an open file: others may share it, nobody can hold it alone. `Ok(false)` = held elsewhere.
pub fn try_share_fd(fd: impl AsFd) -> io::Result<bool> {
    match flock(fd, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Takes a lock that can only be held for an instant, by somebody who asks ([`is_held`]); `Ok(false)` = held for
/// longer than that. Blocks at most [`ASKING_TAKES`] times [`ASKINGS`].
pub fn lock_fd_soon(fd: impl AsFd) -> io::Result<bool> {
    soon(|| try_lock_fd(&fd))
}

/// The same for a shared lock.
pub fn share_fd_soon(fd: impl AsFd) -> io::Result<bool> {
    soon(|| try_share_fd(&fd))
}

fn soon(mut attempt: impl FnMut() -> io::Result<bool>) -> io::Result<bool> {
    for _ in 0..ASKINGS {
        if attempt()? {
            return Ok(true);
        }
        pause(ASKING_TAKES)?;
    }
    Ok(false)
}

/// Whether somebody holds the lock `path`; a missing file is free. Asks with a shared lock, so that two who ask do
/// not take each other for a holder.
pub fn is_held(path: &Path) -> io::Result<bool> {
    match open(path, OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty()) {
        Ok(fd) => match flock(&fd, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(error.into()),
        },
        Err(rustix::io::Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn pause(time: Timespec) -> io::Result<()> {
    match poll(&mut [], Some(&time)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_held_for_good_is_not_waited_for() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("lock");
        let _holder = try_lock(&path).expect("locked").expect("free");
        let other = std::fs::File::open(&path).expect("the file");
        assert!(!lock_fd_soon(&other).expect("asked"));
    }

    #[test]
    fn a_lock_is_held_once_and_freed_by_drop() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("lock");
        assert!(!is_held(&path).expect("asked"));
        let lock = try_lock(&path).expect("locked").expect("free");
        assert!(is_held(&path).expect("asked"));
        assert!(try_lock(&path).expect("asked").is_none());
        drop(lock);
        assert!(!is_held(&path).expect("asked"));
    }
}

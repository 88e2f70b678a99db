//! A private nonblocking Unix socket to listen on, and a look at who listens on one.

use super::clock::mono_now;
use super::process::Handle;
use rustix::event::{Timespec, poll};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen, socket_with,
};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Connections waiting to be accepted. Enough that one can still be made, and its peer be known, when clients have
/// called on a process that hangs for minutes.
const BACKLOG: i32 = 256;
/// `getsockopt(2)`, from `asm-generic/socket.h`.
const SO_PEERPIDFD: libc::c_int = 77;
/// In how many steps an answer is waited for. When a machine that stood still goes on, a time-out is over at once, and an
/// answer is not there yet.
const STEPS: u32 = 8;
/// Pause between two tries to connect.
const TRY_AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// Listens at `path` with mode 0600, in place of whatever a dead process left there. The caller holds the lock that
/// decides who owns `path`. It listens before it has its name, so whoever finds the socket can connect.
#[allow(clippy::disallowed_methods, reason = "a socket need not survive a power cut, it only must appear whole")]
pub fn bind_private(path: &Path) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let listener = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let temporary = path.with_extension("sock.tmp");
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    bind(&listener, &SocketAddrUnix::new(&temporary)?)?;
    rustix::fs::chmod(&temporary, Mode::from_raw_mode(0o600))?;
    listen(&listener, BACKLOG)?;
    #[expect(clippy::disallowed_methods, reason = "a socket: there is nothing to sync")]
    std::fs::rename(&temporary, path)?;
    Ok(listener)
}

/// The next connection, nonblocking, and whether its peer is the same user; `None` when nobody waits.
pub fn accept(listener: &OwnedFd) -> Option<(OwnedFd, bool)> {
    let fd = accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).ok()?;
    let ours = peer(&fd).is_ok_and(|peer| peer.uid == rustix::process::getuid().as_raw());
    Some((fd, ours))
}

/// A connection, and the process that listens at its other end.
#[derive(Debug)]
pub struct Peer {
    /// Blocking.
    pub stream: UnixStream,
    /// `Err` = it is not known which, or it has gone.
    pub process: io::Result<Handle>,
}

impl Peer {
    /// Asks `question`; whether anything at all comes back within `time`, in which the two could run: a machine that
    /// stood still counts for a step of it. [`io::ErrorKind::WouldBlock`] = nothing did, `Ok(false)` = it hung up. Blocks.
    pub fn answers(&mut self, question: &[u8], time: Duration) -> io::Result<bool> {
        self.stream.set_read_timeout(Some(time / STEPS))?;
        self.stream.set_write_timeout(Some(time))?;
        self.stream.write_all(question)?;
        for _ in 0..STEPS {
            match self.stream.read(&mut [0; 64]) {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                read => return Ok(read? > 0),
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }
}

/// Connects to whoever listens at `path`; one that takes no more connections is tried for `time`. A peer of another
/// user is an error. Blocks.
pub fn connect_within(path: &Path, time: Duration) -> io::Result<Peer> {
    let address = SocketAddrUnix::new(path)?;
    let begun = mono_now();
    let stream = loop {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        match connect(&socket, &address) {
            Ok(()) => break UnixStream::from(socket),
            Err(Errno::AGAIN) if mono_now().since(begun) < time => match poll(&mut [], Some(&TRY_AGAIN)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            },
            Err(error) => return Err(error.into()),
        }
    };
    stream.set_nonblocking(false)?;
    if peer(&stream)?.uid != rustix::process::getuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user"));
    }
    let process = Handle::of_peer(&stream);
    Ok(Peer { stream, process })
}

/// Who is at the other end of a connected Unix socket. A process of a namespace we cannot see into is called 0 by the
/// kernel, which rustix takes for a process, or for no answer at all.
#[allow(unsafe_code, reason = "rustix refuses the process id 0")]
pub(super) fn peer(socket: impl AsFd) -> io::Result<libc::ucred> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = libc::socklen_t::try_from(size_of::<libc::ucred>()).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most `length` bytes to `peer`, which is that long, and both live during the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            std::ptr::from_mut(&mut peer).cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(peer) } else { Err(io::Error::last_os_error()) }
}

/// `SO_PEERPIDFD` (Linux 6.5), `None` on an older kernel.
#[allow(unsafe_code, reason = "rustix does not know SO_PEERPIDFD")]
pub(super) fn peer_pidfd(socket: BorrowedFd<'_>) -> Option<OwnedFd> {
    let mut fd: libc::c_int = -1;
    let mut length = libc::socklen_t::try_from(size_of::<libc::c_int>()).ok()?;
    // SAFETY: the kernel writes at most `length` bytes to `fd`, which is that long, and both live during the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PEERPIDFD,
            std::ptr::from_mut(&mut fd).cast(),
            &raw mut length,
        )
    };
    // SAFETY: on success the descriptor was made for us by the kernel and belongs to nobody else.
    (result == 0 && fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_stale_socket_is_replaced_and_private() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.sock");
        drop(bind_private(&path).expect("bound"));
        let listener = bind_private(&path).expect("bound again");
        assert_eq!(std::fs::metadata(&path).expect("a socket").permissions().mode() & 0o777, 0o600);
        assert!(accept(&listener).is_none());
        let _peer = UnixStream::connect(&path).expect("connected");
        assert!(accept(&listener).is_some_and(|(_, ours)| ours));
    }

    #[test]
    fn the_process_that_listens_is_known_before_it_accepts() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.sock");
        let listener = bind_private(&path).expect("bound");
        let peer = connect_within(&path, Duration::ZERO).expect("connected");
        let process = peer.process.expect("it is us");
        assert!(!process.wait_end(Duration::ZERO).expect("asked"), "we live");
        drop(listener);
        assert!(connect_within(&path, Duration::ZERO).is_err());
    }

    #[test]
    fn a_peer_that_says_nothing_is_given_its_whole_time() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.sock");
        let _listener = bind_private(&path).expect("bound");
        let mut peer = connect_within(&path, Duration::ZERO).expect("connected");
        let (time, begun) = (Duration::from_millis(200), mono_now());
        let silent = peer.answers(b"?", time).expect_err("nobody accepts");
        assert_eq!(silent.kind(), io::ErrorKind::WouldBlock);
        assert!(mono_now().since(begun) >= time, "after {:?}", mono_now().since(begun));
    }
}

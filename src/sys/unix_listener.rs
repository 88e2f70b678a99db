//! A private nonblocking Unix socket to listen on.

use rustix::fs::Mode;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with, sockopt,
};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Connections waiting to be accepted: when every place of the API is taken its clients wait instead of failing.
const BACKLOG: i32 = 128;

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
    let ours = sockopt::socket_peercred(&fd).is_ok_and(|peer| peer.uid == rustix::process::getuid());
    Some((fd, ours))
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
}

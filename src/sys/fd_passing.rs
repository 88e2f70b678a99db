//! Unix stream sockets of workers: connecting without blocking, and one file descriptor beside the bytes (SCM_RIGHTS).
//!
//! Contract: works on blocking and non-blocking sockets alike (`WouldBlock` is returned, never waited out); received
//! descriptors are CLOEXEC; a peer that sends more than one loses the others, which are closed.

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketAddrUnix, SocketFlags, SocketType, recvmsg, sendmsg, socket_with,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Connects to the socket `path`. The stream is non-blocking and CLOEXEC. A listener that does not accept (its queue is
/// full) is an error like one that is not there; nothing is waited for.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(UnixStream::from(socket))
}

/// Sends `bytes` with `fd` attached to the first of them. Returns how many bytes went; the descriptor went with them.
pub fn send(socket: impl AsFd, bytes: &[u8], fd: BorrowedFd<'_>) -> io::Result<usize> {
    let fds = [fd];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&fds));
    Ok(sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
}

/// Receives bytes, and the descriptor that came with them, if any. 0 bytes = the peer closed.
pub fn receive(socket: impl AsFd, bytes: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut fds = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    Ok((received.bytes, fds.next().and_then(|mut fds| fds.next())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn a_descriptor_travels_with_its_bytes() {
        let (here, there) = UnixStream::pair().expect("a pair of sockets");
        let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
        assert_eq!(send(&here, b"ring\n", reader.as_fd()).expect("sent"), 5);
        let mut bytes = [0; 16];
        let (count, fd) = receive(&there, &mut bytes).expect("received");
        assert_eq!(&bytes[..count], b"ring\n");
        let mut twin = std::fs::File::from(fd.expect("the descriptor came along"));
        writer.write_all(b"x").expect("written");
        drop(writer);
        let mut through = String::new();
        twin.read_to_string(&mut through).expect("read");
        assert_eq!(through, "x");
        assert_eq!(reader.read(&mut bytes).expect("read"), 0, "it was the same pipe");
        drop(here);
        assert!(matches!(receive(&there, &mut bytes), Ok((0, None))));
    }
}

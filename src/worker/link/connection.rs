//! One connection: whole lines in, bounded bytes out, a descriptor beside a line when asked.

use super::LinkEvent;
use crate::model::MonoNs;
use crate::protocol::codec::LineDecoder;
use crate::protocol::worker::{Command, Role};
use crate::worker::Notice;
use crate::worker::mailbox::Mailbox;
use gst::glib;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv, sendmsg};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Bytes waiting for a peer at most: over a minute of statuses. A peer that far behind does not read.
const MAX_WAITING_BYTES: usize = 256 * 1024;
/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;
/// Reads per wake-up, so that one busy peer does not hold up the loop.
const MAX_READS: usize = 8;

/// Whether the connection still stands.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It does.
    Open,
    /// It does not, for this reason.
    Gone(&'static str),
}

#[derive(Debug)]
struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    fd: Option<OwnedFd>,
}

/// A connected peer.
#[derive(Debug)]
pub struct Connection {
    id: u64,
    /// When it came.
    pub since: MonoNs,
    /// Who it said it is.
    pub role: Option<Role>,
    fd: OwnedFd,
    decoder: LineDecoder,
    waiting: VecDeque<Outgoing>,
    waiting_bytes: usize,
    readable: Option<glib::SourceId>,
    writable: Option<glib::SourceId>,
    mailbox: Mailbox<Notice>,
}

impl Connection {
    /// Serves the nonblocking socket `fd`.
    pub fn new(id: u64, fd: OwnedFd, since: MonoNs, mailbox: Mailbox<Notice>) -> Self {
        let readable = Some(watch(id, &fd, glib::IOCondition::IN, &mailbox));
        let (decoder, waiting) = (LineDecoder::default(), VecDeque::new());
        Self { id, since, role: None, fd, decoder, waiting, waiting_bytes: 0, readable, writable: None, mailbox }
    }

    /// Reads or writes what can be; returns whole commands.
    pub fn on_ready(&mut self, condition: glib::IOCondition) -> (Vec<Command>, Outcome) {
        if condition.contains(glib::IOCondition::OUT) {
            return (Vec::new(), self.flush());
        }
        let mut commands = Vec::new();
        let mut chunk = [0; READ_BYTES];
        for _ in 0..MAX_READS {
            let count = match recv(&self.fd, &mut chunk[..], RecvFlags::empty()) {
                Ok((0, _)) => return (commands, Outcome::Gone("it closed")),
                Ok((count, _)) => count,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => continue,
                Err(_) => return (commands, Outcome::Gone("reading failed")),
            };
            self.decoder.push(&chunk[..count]);
            loop {
                match self.decoder.next() {
                    Ok(Some(command)) => commands.push(command),
                    Ok(None) => break,
                    Err(_) => return (commands, Outcome::Gone("it does not speak our protocol")),
                }
            }
        }
        (commands, Outcome::Open)
    }

    /// Queues a line and sends what the socket takes.
    pub fn send(&mut self, bytes: Vec<u8>, fd: Option<OwnedFd>) -> Outcome {
        if self.waiting_bytes + bytes.len() > MAX_WAITING_BYTES {
            return Outcome::Gone("it does not read");
        }
        self.waiting_bytes += bytes.len();
        self.waiting.push_back(Outgoing { bytes, sent: 0, fd });
        self.flush()
    }

    fn flush(&mut self) -> Outcome {
        while let Some(next) = self.waiting.front_mut() {
            match send_some(&self.fd, next) {
                Ok(count) => {
                    next.sent += count;
                    self.waiting_bytes -= count;
                    // It travelled with the first byte.
                    next.fd = None;
                    if next.sent == next.bytes.len() {
                        self.waiting.pop_front();
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    if self.writable.is_none() {
                        self.writable = Some(watch(self.id, &self.fd, glib::IOCondition::OUT, &self.mailbox));
                    }
                    return Outcome::Open;
                }
                Err(_) => return Outcome::Gone("writing failed"),
            }
        }
        if let Some(source) = self.writable.take() {
            source.remove();
        }
        Outcome::Open
    }
}

fn send_some(socket: &OwnedFd, line: &Outgoing) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = line.fd.as_ref().map(|fd| [fd.as_fd()]);
    if let Some(fds) = &fds {
        control.push(SendAncillaryMessage::ScmRights(fds));
    }
    // NOSIGNAL: a peer that is gone must not kill a recorder.
    sendmsg(socket, &[IoSlice::new(&line.bytes[line.sent..])], &mut control, SendFlags::NOSIGNAL)
}

fn watch(id: u64, fd: &OwnedFd, condition: glib::IOCondition, mailbox: &Mailbox<Notice>) -> glib::SourceId {
    let mailbox = mailbox.clone();
    glib::source::unix_fd_add_local(fd.as_raw_fd(), condition, move |_, condition| {
        mailbox.send(Notice::Link(LinkEvent::Ready(id, condition)));
        glib::ControlFlow::Continue
    })
}

impl Drop for Connection {
    fn drop(&mut self) {
        for source in [self.readable.take(), self.writable.take()].into_iter().flatten() {
            source.remove();
        }
    }
}

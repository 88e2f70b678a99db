//! The window's connection to one worker: asks for pictures of a size, gets frame rings.
//!
//! Contract: never blocks, runs on the glib main loop. The connection is never repaired: after
//! [`ViewerEvent::Closed`] it is thrown away and a new one is made.

use crate::protocol::codec::{self, LineDecoder};
use crate::protocol::worker::{Command, PROTOCOL_VERSION, Report, Role};
use crate::sys::fd_passing;
use gtk::glib;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::rc::Rc;

/// Bytes taken at once; a report is far shorter (codec).
const READ_BYTES: usize = 4096;
/// Rings that may wait for their line; a worker sends one at a time.
const WAITING_FDS: usize = 4;

/// What comes from the worker.
#[derive(Debug)]
pub enum ViewerEvent {
    /// A new ring; the one before is no longer written.
    Ring {
        /// Its memory.
        memfd: OwnedFd,
        /// Our number in it.
        reader: u8,
    },
    /// The worker does not let us watch.
    Refused(String),
    /// The worker is gone, or broke the protocol.
    Closed,
}

/// A connection with `role=viewer`. Closes when dropped.
#[derive(Debug)]
pub struct Viewer {
    socket: Rc<UnixStream>,
    /// Emptied when the source ends by itself: removing it twice would panic.
    source: Rc<RefCell<Option<glib::SourceId>>>,
}

impl Viewer {
    /// Connects to the worker that listens on `path`. `on_event` is called on the main loop.
    pub fn connect(path: &Path, on_event: impl Fn(ViewerEvent) + 'static) -> io::Result<Self> {
        let socket = Rc::new(fd_passing::connect(path)?);
        let hello = Command::Hello {
            protocol: PROTOCOL_VERSION,
            build: crate::sys::build::id().to_owned(),
            role: Role::Viewer,
            epoch: 0,
        };
        send(&socket, &hello)?;
        let source = Rc::new(RefCell::new(None));
        let mut incoming = Incoming { socket: Rc::clone(&socket), lines: LineDecoder::default(), fds: VecDeque::new() };
        let ended = Rc::clone(&source);
        let condition = glib::IOCondition::IN | glib::IOCondition::HUP | glib::IOCondition::ERR;
        let id = glib::source::unix_fd_add_local(socket.as_raw_fd(), condition, move |_, _| {
            match incoming.read(&on_event) {
                Ok(()) => glib::ControlFlow::Continue,
                Err(_) => {
                    ended.borrow_mut().take();
                    on_event(ViewerEvent::Closed);
                    glib::ControlFlow::Break
                }
            }
        });
        source.replace(Some(id));
        Ok(Self { socket, source })
    }

    /// Asks for pictures of at most this size in device pixels; 0×0 = none. A line this short that does not fit into
    /// the socket means that the worker does not read: the caller throws the connection away.
    pub fn watch(&self, (width, height): (u32, u32)) -> io::Result<()> {
        send(&self.socket, &Command::Watch { width, height })
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        if let Some(source) = self.source.borrow_mut().take() {
            source.remove();
        }
    }
}

fn send(mut socket: &UnixStream, command: &Command) -> io::Result<()> {
    let line = codec::encode(command).map_err(io::Error::other)?;
    socket.write_all(&line)
}

/// What has arrived and is not understood yet.
struct Incoming {
    socket: Rc<UnixStream>,
    lines: LineDecoder,
    fds: VecDeque<OwnedFd>,
}

impl Incoming {
    /// Takes in everything that is there. An error ends the connection.
    fn read(&mut self, on_event: &impl Fn(ViewerEvent)) -> io::Result<()> {
        let mut bytes = [0; READ_BYTES];
        loop {
            match fd_passing::receive(&*self.socket, &mut bytes) {
                Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok((count, fd)) => {
                    self.fds.extend(fd);
                    self.fds.truncate(WAITING_FDS);
                    self.lines.push(&bytes[..count]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            while let Some(report) = self.lines.next::<Report>().map_err(io::Error::other)? {
                match report {
                    Report::Ring { reader, .. } => {
                        let memfd = self.fds.pop_front().ok_or(io::ErrorKind::InvalidData)?;
                        on_event(ViewerEvent::Ring { memfd, reader });
                    }
                    Report::WatchRefused { reason } => on_event(ViewerEvent::Refused(reason)),
                    // A viewer has no use for the rest.
                    Report::Hello { .. }
                    | Report::Superseded { .. }
                    | Report::Ack { .. }
                    | Report::Status(_)
                    | Report::Fact { .. } => {}
                }
            }
        }
    }
}

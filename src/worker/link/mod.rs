//! The worker's socket: one engine, up to four viewers, everything nonblocking on the glib main loop.
//!
//! Contract: a peer that does not read is dropped, never waited for; a peer of another user is refused; a peer that
//! breaks the protocol is thrown out, one that says nothing is left after [`HELLO_DEADLINE`]: an engine always gets in,
//! however many others are there. Only the engine with the highest epoch ever seen is obeyed; a lower one is told
//! that it was superseded. Only the holder of the worker's lock may open this link, so replacing a stale
//! socket is safe.

mod connection;

use super::Notice;
use super::mailbox::Mailbox;
use super::state::{Allegiance, Greeting};
use crate::media::frame_ring::MAX_READERS;
use crate::model::{InputId, MonoNs};
use crate::protocol::codec;
use crate::protocol::worker::{Command, PROTOCOL_VERSION, Report, Role};
use crate::sys::{build, unix_listener};
use connection::{Connection, Outcome};
use gst::glib;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Connections at once: an engine, viewers, and a few that have not said hello. When there are more, whoever has been
/// silent for longest goes.
const MAX_CONNECTIONS: usize = 12;
/// Viewers at once: as many as a ring has readers, and as many again that are told why they get no pictures.
const MAX_VIEWERS: usize = 2 * MAX_READERS as usize;
const _: () = assert!(MAX_VIEWERS + 2 <= MAX_CONNECTIONS, "an engine and its successor always get in");
/// A peer says hello with its first bytes; one that takes this long is none of ours.
const HELLO_DEADLINE: Duration = Duration::from_secs(2);

/// What peers do.
#[derive(Debug)]
pub enum LinkEvent {
    /// Somebody connects.
    Incoming,
    /// A connection has bytes, room, or is closed.
    Ready(u64, glib::IOCondition),
}

/// What the worker learns from peers.
#[derive(Debug, PartialEq)]
pub enum Said {
    /// An engine is there (again).
    EngineConnected(u64),
    /// The engine is gone.
    EngineGone,
    /// A command of the engine.
    Command(u64, Box<Command>),
    /// A viewer wants pictures of at most this size; 0×0 = none.
    Watch(u64, u32, u32),
    /// A viewer is gone.
    ViewerGone(u64),
}

/// The link; see the module.
#[derive(Debug)]
pub struct Link {
    path: PathBuf,
    listener: OwnedFd,
    source: Option<glib::SourceId>,
    connections: BTreeMap<u64, Connection>,
    engine: Option<u64>,
    /// Epoch of the engine that is, or was last, connected.
    engine_epoch: u64,
    allegiance: Allegiance,
    next: u64,
    mailbox: Mailbox<Notice>,
}

impl Link {
    /// Listens at `path` with mode 0600, replacing what a dead worker left there.
    pub fn open(path: &Path, mailbox: Mailbox<Notice>) -> io::Result<Self> {
        let listener = unix_listener::bind_private(path)?;
        let incoming = mailbox.clone();
        let condition = glib::IOCondition::IN;
        let source = glib::source::unix_fd_add_local(listener.as_raw_fd(), condition, move |_, _| {
            incoming.send(Notice::Link(LinkEvent::Incoming));
            glib::ControlFlow::Continue
        });
        let (path, connections) = (path.to_owned(), BTreeMap::new());
        Ok(Self {
            path,
            listener,
            source: Some(source),
            connections,
            engine: None,
            engine_epoch: 0,
            allegiance: Allegiance::default(),
            next: 1,
            mailbox,
        })
    }

    /// Takes in what happened; `hello` is this worker's own greeting.
    pub fn on_event(&mut self, now: MonoNs, event: LinkEvent, hello: &Report) -> Vec<Said> {
        let mut said = Vec::new();
        match event {
            LinkEvent::Incoming => self.accept(now),
            LinkEvent::Ready(id, condition) => {
                let Some(connection) = self.connections.get_mut(&id) else { return said };
                let (commands, outcome) = connection.on_ready(condition);
                for command in commands {
                    if !self.on_command(id, command, hello, &mut said) {
                        self.drop_connection(id, &mut said);
                        return said;
                    }
                }
                if let Outcome::Gone(reason) = outcome {
                    tracing::debug!(connection = id, reason, "a peer is gone");
                    self.drop_connection(id, &mut said);
                }
            }
        }
        said
    }

    fn accept(&mut self, now: MonoNs) {
        while let Some((fd, ours)) = unix_listener::accept(&self.listener) {
            if !ours {
                tracing::warn!("a connection of another user was refused");
                continue;
            }
            if self.connections.len() >= MAX_CONNECTIONS {
                // There is one: those who said hello are fewer.
                let silent = self.connections.iter().find(|(_, connection)| connection.role.is_none());
                let Some(id) = silent.map(|(id, _)| *id) else { continue };
                tracing::warn!(connection = id, "a peer that says nothing makes room");
                self.connections.remove(&id);
            }
            let id = self.next;
            self.next += 1;
            self.connections.insert(id, Connection::new(id, fd, now, self.mailbox.clone()));
        }
    }

    /// Hangs up on those who should have said hello by now.
    pub fn tick(&mut self, now: MonoNs) {
        self.connections.retain(|id, connection| {
            let stays = connection.role.is_some() || now.since(connection.since) < HELLO_DEADLINE;
            if !stays {
                tracing::warn!(connection = id, "a peer never said hello");
            }
            stays
        });
    }

    /// Epoch of the engine that is, or was last, connected.
    pub fn engine_epoch(&self) -> u64 {
        self.engine_epoch
    }

    fn viewers(&self) -> usize {
        self.connections.values().filter(|connection| connection.role == Some(Role::Viewer)).count()
    }

    /// Returns whether the peer kept to the protocol.
    fn on_command(&mut self, id: u64, command: Command, hello: &Report, said: &mut Vec<Said>) -> bool {
        let role = self.connections.get(&id).and_then(|connection| connection.role);
        match (role, command) {
            (None, Command::Hello { protocol, role, epoch, .. }) => {
                let greeting = if role == Role::Engine { self.allegiance.greet(epoch) } else { Greeting::Obeyed };
                if let Greeting::Superseded { by } = greeting {
                    tracing::warn!(epoch, by, "an engine that was replaced is sent away");
                    self.send(id, &Report::Superseded { epoch: by }, None, said);
                    return false;
                }
                if role == Role::Viewer && self.viewers() >= MAX_VIEWERS {
                    tracing::warn!("a viewer too many was refused");
                    return false;
                }
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.role = Some(role);
                }
                self.send(id, hello, None, said);
                if protocol != PROTOCOL_VERSION {
                    tracing::warn!(protocol, "a peer speaks another version; it is answered and left");
                    return false;
                }
                if role == Role::Engine {
                    self.displace(id, epoch);
                    said.push(Said::EngineConnected(id));
                }
                true
            }
            (Some(Role::Engine), Command::Hello { .. } | Command::Watch { .. }) => false,
            (Some(Role::Engine), command) => {
                said.push(Said::Command(id, Box::new(command)));
                true
            }
            (Some(Role::Viewer), Command::Watch { width, height }) => {
                said.push(Said::Watch(id, width, height));
                true
            }
            (None | Some(Role::Viewer), _) => false,
        }
    }

    /// `id` is the engine from here on; one that is still connected is told when another has taken its place.
    fn displace(&mut self, id: u64, epoch: u64) {
        let lower = std::mem::replace(&mut self.engine_epoch, epoch) < epoch;
        let Some(old) = self.engine.replace(id) else { return };
        let told = lower.then(|| codec::encode(&Report::Superseded { epoch })).and_then(Result::ok);
        if let (Some(mut old), Some(line)) = (self.connections.remove(&old), told) {
            // It is left either way; what fits into its socket it can still read.
            let _ = old.send(line, None);
        }
    }

    /// Sends to one peer; a descriptor travels with the line. A peer that does not read is dropped.
    pub fn send(&mut self, id: u64, report: &Report, fd: Option<BorrowedFd<'_>>, said: &mut Vec<Said>) {
        let line = match codec::encode(report) {
            Ok(line) => line,
            Err(error) => return tracing::error!(%error, "a report cannot be encoded"),
        };
        let fd = match fd.map(|fd| fd.try_clone_to_owned()).transpose() {
            Ok(fd) => fd,
            Err(error) => return tracing::error!(%error, "no descriptor left for a preview"),
        };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if let Outcome::Gone(reason) = connection.send(line, fd) {
            tracing::warn!(connection = id, reason, "a peer was dropped");
            self.drop_connection(id, said);
        }
    }

    /// Sends to the engine, if there is one.
    pub fn send_to_engine(&mut self, report: &Report, said: &mut Vec<Said>) {
        if let Some(engine) = self.engine {
            self.send(engine, report, None, said);
        }
    }

    /// Hangs up on everybody and takes the socket away. The lock is still held, so this can only be our own.
    pub fn close(&mut self) {
        self.connections.clear();
        if let Some(source) = self.source.take() {
            source.remove();
        }
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "the socket was gone already");
        }
    }

    fn drop_connection(&mut self, id: u64, said: &mut Vec<Said>) {
        let Some(connection) = self.connections.remove(&id) else { return };
        match connection.role {
            Some(Role::Engine) if self.engine == Some(id) => {
                self.engine = None;
                said.push(Said::EngineGone);
            }
            Some(Role::Viewer) => said.push(Said::ViewerGone(id)),
            Some(Role::Engine) | None => {}
        }
    }
}

/// This worker's greeting.
pub fn hello(input: &InputId, started: crate::model::MonoNs, session: Option<crate::model::SessionId>) -> Report {
    Report::Hello {
        protocol: PROTOCOL_VERSION,
        build: build::id().to_owned(),
        input: input.clone(),
        pid: std::process::id(),
        started_ns: started,
        session,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::sync::{Mutex, PoisonError};

    const S: u64 = 1_000_000_000;

    fn greet(link: &mut Link, peer: &mut UnixStream, role: Role) -> Vec<Said> {
        let input: InputId = "cam1".parse().expect("an id");
        let ours = hello(&input, MonoNs(0), None);
        let theirs = Command::Hello { protocol: PROTOCOL_VERSION, build: build::id().to_owned(), role, epoch: 1 };
        peer.write_all(&codec::encode(&theirs).expect("a line")).expect("the worker takes it");
        let id = link.next - 1;
        link.on_event(MonoNs(S), LinkEvent::Ready(id, glib::IOCondition::IN), &ours)
    }

    /// A local source is added to the default context of the process, which one thread at a time may hold.
    static TURN: Mutex<()> = Mutex::new(());

    /// A link and whoever may come to it; `met` is done with both.
    fn meet(met: impl FnOnce(&mut Link, &mut dyn FnMut(&mut Link) -> UnixStream)) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("cam1.sock");
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut link = Link::open(&path, Mailbox::new().expect("an eventfd")).expect("a socket");
        let input: InputId = "cam1".parse().expect("an id");
        let ours = hello(&input, MonoNs(0), None);
        met(&mut link, &mut |link| {
            let peer = UnixStream::connect(&path).expect("the worker listens");
            link.on_event(MonoNs(S), LinkEvent::Incoming, &ours);
            peer
        });
    }

    #[test]
    fn an_engine_gets_in_whoever_sits_there_in_silence() {
        meet(|link, connect| {
            let _silent: Vec<UnixStream> = (0..3 * MAX_CONNECTIONS).map(|_| connect(link)).collect();
            assert_eq!(link.connections.len(), MAX_CONNECTIONS);
            let mut engine = connect(link);
            assert!(matches!(greet(link, &mut engine, Role::Engine)[..], [Said::EngineConnected(_)]));
            link.tick(MonoNs(S + HELLO_DEADLINE.as_nanos() as u64 - 1));
            assert_eq!(link.connections.len(), MAX_CONNECTIONS);
            link.tick(MonoNs(S + HELLO_DEADLINE.as_nanos() as u64));
            assert_eq!((link.connections.len(), link.engine.is_some()), (1, true));
        });
    }

    #[test]
    fn an_engine_gets_in_beside_any_number_of_viewers() {
        meet(|link, connect| {
            let mut kept = Vec::new();
            for _ in 0..3 * MAX_CONNECTIONS {
                let mut viewer = connect(link);
                greet(link, &mut viewer, Role::Viewer);
                kept.push(viewer);
            }
            assert_eq!(link.viewers(), MAX_VIEWERS);
            let mut engine = connect(link);
            assert!(matches!(greet(link, &mut engine, Role::Engine)[..], [Said::EngineConnected(_)]));
        });
    }
}

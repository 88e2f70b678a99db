//! The connection to one worker: connects, says hello, then carries commands down and reports up.
//!
//! One task per connection, ended by the first error; the state machine decides whether there is a next one.

use super::event::Event;
use super::worker_state::{START_DEADLINE, WorkerEvent};
use crate::model::InputId;
use crate::protocol::codec::{self, LineDecoder};
use crate::protocol::worker::{Command, PROTOCOL_VERSION, Report, Role};
use crate::sys::process::Handle;
use crate::sys::{build, lock};
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::{Instant, sleep, timeout};

/// How long a worker that holds its lock may take to accept and to answer the hello (R-CMD-6).
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Pause between two attempts to connect: program start takes 0.3 s.
const CONNECT_AGAIN: Duration = Duration::from_millis(50);
/// A worker that does not take a line within this is hung.
const WRITE_DEADLINE: Duration = Duration::from_secs(5);
/// Bytes read at once: a status is below 2 KiB.
const READ_BYTES: usize = 8 * 1024;

/// Processes that may have to be ended, by input.
#[derive(Debug, Clone, Default)]
pub struct Handles(Arc<Mutex<HashMap<InputId, (u32, Handle)>>>);

impl Handles {
    /// Remembers the process of an input. Always anew: a process id that is known may have been given away since.
    pub fn remember(&self, input: &InputId, pid: u32, open: impl FnOnce() -> io::Result<Handle>) {
        match open() {
            Ok(handle) => {
                let mut handles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                drop(handles.insert(input.clone(), (pid, handle)));
            }
            Err(error) => {
                tracing::warn!(%input, pid, %error, "a worker cannot be held on to");
                self.forget(input);
            }
        }
    }

    /// Forgets the process of an input: another one serves it, which cannot be held on to.
    pub fn forget(&self, input: &InputId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(input);
    }

    /// Forgets the process of an input if it has ended.
    pub fn bury(&self, input: &InputId) {
        let mut handles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = |(_, handle): &(u32, Handle)| handle.wait_end(Duration::ZERO).unwrap_or(false);
        if handles.get(input).is_some_and(ended) {
            handles.remove(input);
        }
    }

    /// Does something to the process of an input; `false` = there is none to do it to.
    #[must_use]
    pub fn with(&self, input: &InputId, act: impl FnOnce(&Handle) -> io::Result<()>) -> bool {
        let handles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((pid, handle)) = handles.get(input) else { return false };
        if let Err(error) = act(handle) {
            tracing::error!(%input, pid, %error, "a worker could not be signalled");
        }
        true
    }
}

/// One connection to be made.
#[derive(Debug)]
pub struct Link {
    /// The input.
    pub input: InputId,
    /// Number of the connection.
    pub number: u64,
    /// A process that was just started: its lock may still be free.
    pub child: bool,
    /// The worker's socket.
    pub socket: PathBuf,
    /// The worker's lock.
    pub lock: PathBuf,
    /// Where to report.
    pub events: Sender<Event>,
    /// What to send.
    pub commands: Receiver<Command>,
    /// Where to leave the peer's process.
    pub handles: Handles,
    /// Pause before the first attempt.
    pub pause: Duration,
    /// Our epoch.
    pub epoch: u64,
}

/// What came of saying hello.
enum Hello {
    Linked(WorkerEvent),
    /// It speaks an older version, and hangs up on those who do not.
    Speaks(u32),
    /// Another engine has taken over.
    Superseded(u64),
}

/// How an attempt to connect ended.
enum Attempt {
    Connected(UnixStream),
    LockFree,
    Mute,
    /// A newer connection took over.
    Replaced,
}

impl Link {
    /// Runs the connection to its end.
    pub async fn run(mut self) {
        let link = self.number;
        sleep(self.pause).await;
        let mut protocol = PROTOCOL_VERSION;
        let (mut stream, mut decoder) = loop {
            let mut stream = match self.connect().await {
                Attempt::Connected(stream) => stream,
                Attempt::LockFree => {
                    self.handles.bury(&self.input);
                    return self.tell(WorkerEvent::LockFree { link }).await;
                }
                Attempt::Mute => return self.tell(WorkerEvent::Mute { link, pid: None }).await,
                // One that says hello now would displace it.
                Attempt::Replaced => return,
            };
            let ours = rustix::process::getuid().as_raw();
            let pid = match stream.peer_cred() {
                Ok(peer) if peer.uid() == ours => {
                    // 0 = of a namespace we cannot see into.
                    peer.pid().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0)
                }
                _ => {
                    tracing::error!(input = %self.input, "the worker's socket belongs to another user; not used");
                    return self.tell(WorkerEvent::Mute { link, pid: None }).await;
                }
            };
            match pid {
                Some(pid) => self.handles.remember(&self.input, pid, || Handle::of_peer(&stream)),
                None => self.handles.forget(&self.input),
            }
            let mut decoder = LineDecoder::default();
            match timeout(CONNECT_DEADLINE, self.greet(&mut stream, &mut decoder, pid, protocol)).await {
                Ok(Ok(Hello::Linked(hello))) => {
                    self.tell(hello).await;
                    break (stream, decoder);
                }
                Ok(Ok(Hello::Speaks(older))) => protocol = older,
                Ok(Ok(Hello::Superseded(epoch))) => return drop(self.events.send(Event::Superseded { epoch }).await),
                Ok(Err(error)) => {
                    tracing::warn!(input = %self.input, %error, "the worker did not say hello");
                    return self.tell(WorkerEvent::Mute { link, pid }).await;
                }
                Err(_) => return self.tell(WorkerEvent::Mute { link, pid }).await,
            }
        };
        if let Err(error) = self.carry(&mut stream, &mut decoder).await {
            tracing::debug!(input = %self.input, %error, "the connection to a worker ended");
        }
        self.tell(WorkerEvent::LinkLost { link }).await;
    }

    async fn connect(&self) -> Attempt {
        let deadline = Instant::now() + if self.child { START_DEADLINE } else { CONNECT_DEADLINE };
        loop {
            if self.commands.is_closed() {
                return Attempt::Replaced;
            }
            match UnixStream::connect(&self.socket).await {
                Ok(stream) => return Attempt::Connected(stream),
                // Held by nobody and not about to be: nobody will ever answer.
                Err(_) if !self.child && matches!(lock::is_held(&self.lock), Ok(false)) => return Attempt::LockFree,
                Err(_) if Instant::now() >= deadline => return Attempt::Mute,
                Err(_) => sleep(CONNECT_AGAIN).await,
            }
        }
    }

    /// Says hello in the words of `protocol`.
    async fn greet(
        &self,
        stream: &mut UnixStream,
        decoder: &mut LineDecoder,
        peer: Option<u32>,
        protocol: u32,
    ) -> io::Result<Hello> {
        let hello = Command::Hello { protocol, build: build::id().to_owned(), role: Role::Engine, epoch: self.epoch };
        stream.write_all(&codec::encode(&hello).map_err(io::Error::other)?).await?;
        let mut bytes = vec![0; READ_BYTES];
        loop {
            match decoder.next::<Report>().map_err(io::Error::other)? {
                Some(Report::Hello { protocol: theirs, .. }) if theirs < protocol => return Ok(Hello::Speaks(theirs)),
                Some(Report::Hello { protocol: theirs, build, started_ns, session, .. }) => {
                    let older = theirs != PROTOCOL_VERSION || build != build::id();
                    if older {
                        let input = &self.input;
                        tracing::warn!(%input, protocol = theirs, build, "a worker of another version; it is left to finish");
                    }
                    let (link, pid, started) = (self.number, peer, started_ns);
                    return Ok(Hello::Linked(WorkerEvent::Linked { link, pid, started, session, older }));
                }
                Some(Report::Superseded { epoch }) => return Ok(Hello::Superseded(epoch)),
                Some(_) => continue,
                None => {}
            }
            let count = stream.read(&mut bytes).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            decoder.push(&bytes[..count]);
        }
    }

    async fn carry(&mut self, stream: &mut UnixStream, decoder: &mut LineDecoder) -> io::Result<()> {
        let (mut reader, mut writer) = stream.split();
        let mut bytes = vec![0; READ_BYTES];
        loop {
            while let Some(report) = decoder.next::<Report>().map_err(io::Error::other)? {
                if let Some(event) = understand(&self.input, self.number, report) {
                    drop(self.events.send(event).await);
                }
            }
            tokio::select! {
                count = reader.read(&mut bytes) => match count? {
                    0 => return Ok(()),
                    count => decoder.push(&bytes[..count]),
                },
                command = self.commands.recv() => match command {
                    Some(command) => {
                        let line = codec::encode(&command).map_err(io::Error::other)?;
                        timeout(WRITE_DEADLINE, writer.write_all(&line)).await??;
                    }
                    // A newer connection took over.
                    None => return Ok(()),
                },
            }
        }
    }

    async fn tell(&self, event: WorkerEvent) {
        drop(self.events.send(Event::Worker { input: self.input.clone(), event }).await);
    }
}

fn understand(input: &InputId, link: u64, report: Report) -> Option<Event> {
    let input = input.clone();
    match report {
        Report::Status(status) => Some(Event::Status { input, link, status }),
        Report::Fact { session, t_ns, fact } => Some(Event::Fact { input, session, t_ns, fact: *fact }),
        Report::Ack { id, refused } => {
            if let Some(refusal) = &refused {
                let (code, message) = (&refusal.code, &refusal.message);
                tracing::warn!(%input, id, code, message, "a worker refused a command");
            }
            Some(Event::Ack { input, link, command: id, refused })
        }
        Report::Superseded { epoch } => Some(Event::Superseded { epoch }),
        Report::Hello { .. } | Report::Ring { .. } | Report::WatchRefused { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_process_id_that_was_given_away_does_not_keep_the_handle_of_the_dead() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let input: InputId = "cam1".parse().expect("an id");
        let handles = Handles::default();
        let opened = Cell::new(0);
        let open = || {
            opened.set(opened.get() + 1);
            Handle::of_peer(&ours)
        };
        handles.remember(&input, 7, open);
        handles.remember(&input, 7, open);
        assert_eq!(opened.get(), 2);
        // This very process lives: its handle stays.
        handles.bury(&input);
        let found = Cell::new(false);
        let find = |_: &Handle| {
            found.set(true);
            Ok(())
        };
        assert!(handles.with(&input, find) && found.get());
        // Another process, of which nothing is known, is not answered for by the one before.
        handles.remember(&input, 8, || Err(io::ErrorKind::ConnectionReset.into()));
        assert!(!handles.with(&input, |_| Ok(())));
        handles.remember(&input, 7, || Handle::of_peer(&ours));
        handles.forget(&input);
        assert!(!handles.with(&input, |_| Ok(())));
        drop(theirs);
    }

    /// The link of a dead worker that was still pausing said hello to the worker that came after it.
    #[tokio::test]
    async fn a_connection_that_was_replaced_is_not_made() {
        let dir = tempfile::tempdir().expect("a folder");
        let socket = dir.path().join("cam1.sock");
        let worker = tokio::net::UnixListener::bind(&socket).expect("a socket");
        let (events, mut told) = tokio::sync::mpsc::channel(1);
        let (_, commands) = tokio::sync::mpsc::channel(1);
        let link = Link {
            input: "cam1".parse().expect("an id"),
            number: 1,
            child: false,
            socket,
            lock: dir.path().join("cam1.lock"),
            events,
            commands,
            handles: Handles::default(),
            pause: Duration::ZERO,
            epoch: 1,
        };
        timeout(CONNECT_DEADLINE, link.run()).await.expect("it ends");
        assert!(told.recv().await.is_none(), "nobody waits for what it finds");
        assert!(timeout(CONNECT_AGAIN, worker.accept()).await.is_err(), "it called on the worker");
    }
}

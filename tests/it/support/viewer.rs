//! Somebody who watches an input: the worker's socket and its frame ring, without a window.

use super::proc::Holdfast;
use super::process::{Deadline, readable};
use holdfast::media::frame_ring::RingReader;
use holdfast::model::snapshot::Meter;
use holdfast::protocol::codec::{self, LineDecoder};
use holdfast::protocol::worker::{Command, PROTOCOL_VERSION, Report, Role};
use holdfast::sys::fd_passing;
use std::collections::BTreeSet;
use std::io::{ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How often the ring is looked at: as often as a display would.
const DISPLAY_FRAME: Duration = Duration::from_millis(16);

/// A viewer; gone when dropped.
pub struct Viewer {
    socket: UnixStream,
    lines: LineDecoder,
    memfd: Option<OwnedFd>,
    ring: Option<RingReader>,
}

impl Viewer {
    /// Watches `input` of `holdfast` at 320×240 or less.
    pub fn watch(holdfast: &Holdfast, input: &str) -> Self {
        Self::watch_at(holdfast, input, (320, 240))
    }

    /// Watches `input` of `holdfast` in a tile of this size.
    pub fn watch_at(holdfast: &Holdfast, input: &str, (width, height): (u32, u32)) -> Self {
        let path = holdfast.runtime().join("workers").join(format!("{input}.sock"));
        let mut socket = fd_passing::connect(&path).expect("a worker listens");
        let hello =
            Command::Hello { protocol: PROTOCOL_VERSION, build: "test".to_owned(), role: Role::Viewer, epoch: 0 };
        for command in [hello, Command::Watch { width, height }] {
            socket.write_all(&codec::encode(&command).expect("a line")).expect("a worker reads");
        }
        Self { socket, lines: LineDecoder::default(), memfd: None, ring: None }
    }

    /// Sizes and checksums of the pictures seen until there are `wanted` different ones, at most `time`.
    pub fn pictures(&mut self, wanted: usize, time: Duration) -> BTreeSet<(u32, u32, u32)> {
        let deadline = Deadline::after(time);
        let mut seen = BTreeSet::new();
        while seen.len() < wanted
            && let Some(left) = deadline.left()
        {
            if readable(&self.socket, left.min(DISPLAY_FRAME)) {
                self.read();
            }
            if let Some(frame) = self.ring.as_mut().and_then(RingReader::latest) {
                seen.insert((frame.width(), frame.height(), crc32fast::hash(&frame)));
            }
        }
        seen
    }

    /// Every change of the meters within `time`.
    pub fn levels(&mut self, time: Duration) -> Vec<Vec<Meter>> {
        let deadline = Deadline::after(time);
        let (mut seen, mut number) = (Vec::new(), None);
        while let Some(left) = deadline.left() {
            if readable(&self.socket, left.min(DISPLAY_FRAME)) {
                self.read();
            }
            let Some((now, meters)) = self.ring.as_ref().map(RingReader::meters) else { continue };
            if number.replace(now) != Some(now) {
                seen.push(meters);
            }
        }
        seen
    }

    fn read(&mut self) {
        let mut bytes = [0; 4096];
        match fd_passing::receive(&self.socket, &mut bytes) {
            Ok((0, _)) => panic!("the worker closed the viewer's connection"),
            Ok((count, fd)) => {
                self.memfd = fd.or(self.memfd.take());
                self.lines.push(&bytes[..count]);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("the viewer's connection: {error}"),
        }
        while let Some(report) = self.lines.next::<Report>().expect("a line of the protocol") {
            match report {
                Report::Ring { reader, .. } => {
                    let memfd = self.memfd.take().expect("the ring comes with its memory");
                    self.ring = Some(RingReader::open(memfd, reader).expect("a ring"));
                }
                Report::WatchRefused { reason } => panic!("not allowed to watch: {reason}"),
                _ => {}
            }
        }
    }
}

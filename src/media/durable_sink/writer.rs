//! Puts the muxer's bytes into a part: placeholder, append, index, reserve, sync. No GStreamer here.

use super::sync::{Request, Syncer};
use super::{Events, Finished, Progress, SinkEvent};
use crate::media::finalise::{
    self, BoxScanner, Index, PLACEHOLDER, PLACEHOLDER_BYTES, PartStore, Scanned, StreamError,
};
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Room kept beyond the `moov` and two fragments: for growth of the tables between two looks.
const RESERVE_MARGIN_BYTES: u64 = 1_000_000;
/// Assumed size of a fragment before the first is known: 500 ms at 16 Mbit/s.
const FIRST_FRAGMENT_GUESS_BYTES: u64 = 1_000_000;
/// Bytes of one fragment that may wait for its end: 500 ms at 1 Gbit/s.
const FRAGMENT_MAX_BYTES: usize = 64 * 1024 * 1024;
/// Bytes that may come before the first `moov` is complete; it is below 2 KiB in practice.
const HEADER_MAX_BYTES: usize = 1024 * 1024;

/// What can go wrong while a part is written. Each kind is reported once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// No room, or a quota is used up. What is reserved suffices to close the part.
    DiskFull,
    /// A write was refused (EIO, EROFS, …). Nothing more is written.
    Write(String),
    /// `fdatasync` failed. Writing goes on, nothing more is called safe.
    Sync(String),
    /// The muxer sent what is not a fragmented MP4. Nothing more is written.
    Stream(String),
}

impl Trouble {
    fn of_write(error: &io::Error) -> Self {
        let code = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
        match code {
            Some(rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT) => Trouble::DiskFull,
            Some(_) | None => Trouble::Write(error.to_string()),
        }
    }
}

/// One part being written.
pub struct PartWriter {
    store: Arc<dyn PartStore>,
    syncer: Syncer,
    shared: Arc<Shared>,
    phase: Phase,
    /// Where the next byte goes.
    end: u64,
    /// Room is kept up to here; `None` = this file system cannot keep any.
    reserved: Option<u64>,
    largest_fragment: u64,
    /// Bytes are swallowed from here on.
    closed: bool,
}

enum Phase {
    /// Until the first `moov` is complete.
    Header(Vec<u8>),
    /// `moof mdat` pairs.
    Fragments(Fragments),
}

struct Fragments {
    scanner: BoxScanner,
    index: Box<Index>,
    /// The last `moof`, until its `mdat` is complete.
    moof: Option<(u64, Vec<u8>)>,
    /// Bytes of a fragment that is not complete yet; they begin at `PartWriter::end`.
    pending: Vec<u8>,
}

/// What a push completed.
#[derive(Default)]
struct Completed {
    /// `moof`s: offset and whole box, with the end of their data.
    fragments: Vec<(u64, Vec<u8>, std::ops::Range<u64>)>,
    /// Offset behind the last complete fragment.
    end: u64,
}

/// What the streaming and the sync thread both report.
struct Shared {
    events: Events,
    state: Mutex<(Progress, Vec<Trouble>)>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, (Progress, Vec<Trouble>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn progress(&self, change: impl FnOnce(&mut Progress)) {
        let progress = {
            let mut state = self.lock();
            change(&mut state.0);
            state.0
        };
        (self.events)(SinkEvent::Progress(progress));
    }

    fn trouble(&self, trouble: Trouble) {
        {
            let known = &mut self.lock().1;
            if known.iter().any(|t| std::mem::discriminant(t) == std::mem::discriminant(&trouble)) {
                return;
            }
            known.push(trouble.clone());
        }
        (self.events)(SinkEvent::Trouble(trouble));
    }
}

impl PartWriter {
    /// A writer for the empty `store`. Starts the sync thread.
    pub fn new(store: Arc<dyn PartStore>, events: Events) -> io::Result<Self> {
        let shared = Arc::new(Shared { events, state: Mutex::default() });
        let theirs = Arc::clone(&shared);
        let syncer = Syncer::start(Arc::clone(&store), move |result| match result {
            Ok(media) => theirs.progress(|progress| progress.safe = media),
            Err(error) => theirs.trouble(Trouble::Sync(error.to_string())),
        })?;
        Ok(Self {
            store,
            syncer,
            shared,
            phase: Phase::Header(Vec::new()),
            end: 0,
            reserved: Some(0),
            largest_fragment: FIRST_FRAGMENT_GUESS_BYTES,
            closed: false,
        })
    }

    /// Takes the next bytes of the muxer, however they are cut. Never fails: trouble is an event.
    pub fn push(&mut self, slices: &[&[u8]]) {
        if self.closed {
            return;
        }
        match &mut self.phase {
            Phase::Header(head) => {
                for slice in slices {
                    head.extend_from_slice(slice);
                }
                let head = std::mem::take(head);
                self.push_header(head);
            }
            Phase::Fragments(_) => self.push_fragments(slices),
        }
    }

    /// Writes `ftyp`, the placeholder and the first `moov` once they are complete; `rest` goes on as fragments.
    fn push_header(&mut self, head: Vec<u8>) {
        let (ftyp, moov) = match split_header(&head) {
            Ok(Some(ends)) => ends,
            Ok(None) if head.len() <= HEADER_MAX_BYTES => {
                self.phase = Phase::Header(head);
                return;
            }
            Ok(None) => return self.close(Trouble::Stream("the first moov does not end".to_owned())),
            Err(error) => return self.close(Trouble::Stream(error.to_string())),
        };
        let index = match Index::new(&head[ftyp..moov], ftyp as u64) {
            Ok(index) => Box::new(index),
            Err(error) => return self.close(Trouble::Stream(error.to_string())),
        };
        let scanner = BoxScanner::new(moov as u64 + PLACEHOLDER_BYTES);
        self.phase = Phase::Fragments(Fragments { scanner, index, moof: None, pending: Vec::new() });
        self.reserve();
        if self.write(&[&head[..ftyp], &PLACEHOLDER, &head[ftyp..moov]]) {
            self.syncer.request(Request::default());
            self.push_fragments(&[&head[moov..]]);
        }
    }

    /// Writes every fragment that is complete, in one call, with its `moof` still reading `free`.
    fn push_fragments(&mut self, slices: &[&[u8]]) {
        let Phase::Fragments(fragments) = &mut self.phase else { return };
        let completed = match fragments.follow(slices) {
            Ok(completed) => completed,
            Err(error) => return self.close(Trouble::Stream(error.to_string())),
        };
        let pushed: u64 = slices.iter().map(|slice| slice.len() as u64).sum();
        let whole = fragments.pending.is_empty() && completed.end == self.end + pushed;
        if let ([first, rest @ ..], [(at, moof, _)]) = (slices, completed.fragments.as_slice())
            && whole
            && at + moof.len() as u64 <= self.end + first.len() as u64
        {
            // What the muxer really sends: one fragment, one list, the moof in its first buffer. Nothing is copied.
            let letters = usize::try_from(at - self.end).unwrap_or(0) + 4;
            let mut disguised = vec![&first[..letters], b"free".as_slice(), &first[letters + 4..]];
            disguised.extend(rest);
            if self.write(&disguised) {
                self.on_written(completed);
            }
            return;
        }
        for slice in slices {
            fragments.pending.extend_from_slice(slice);
        }
        if fragments.pending.len() > FRAGMENT_MAX_BYTES {
            return self.close(Trouble::Stream("a fragment does not end".to_owned()));
        }
        if completed.fragments.is_empty() {
            return;
        }
        let start = self.end;
        let local = |at: u64| usize::try_from(at - start).unwrap_or(0);
        let mut ready: Vec<u8> = fragments.pending.drain(..local(completed.end)).collect();
        for (at, ..) in &completed.fragments {
            ready[local(*at) + 4..local(*at) + 8].copy_from_slice(b"free");
        }
        if self.write(&[&ready]) {
            self.on_written(completed);
        }
    }

    /// Appends; `false` = the bytes were swallowed.
    fn write(&mut self, slices: &[&[u8]]) -> bool {
        let bytes: u64 = slices.iter().map(|slice| slice.len() as u64).sum();
        let full = self.shared.lock().1.contains(&Trouble::DiskFull);
        if full && self.reserved.is_some_and(|reserved| self.end + bytes + self.moov_bytes() > reserved) {
            // The room that is left belongs to the moov.
            self.closed = true;
            return false;
        }
        let slices: Vec<IoSlice<'_>> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
        match self.store.write_at(self.end, &slices) {
            Ok(()) => {
                self.end += bytes;
                true
            }
            Err(error) => {
                // Some of it may have been written; whatever follows goes behind it.
                self.end = self.store.len().unwrap_or(self.end + bytes);
                self.close(Trouble::of_write(&error));
                false
            }
        }
    }

    fn close(&mut self, trouble: Trouble) {
        self.closed = true;
        self.shared.trouble(trouble);
    }

    /// Lets the index follow fragments that were written, and asks for them to be made safe.
    fn on_written(&mut self, completed: Completed) {
        let Phase::Fragments(fragments) = &mut self.phase else { return };
        let mut commits = Vec::new();
        for (at, moof, data) in completed.fragments {
            self.largest_fragment = self.largest_fragment.max(data.end - at);
            if let Err(error) = fragments.index.push(&moof, at, data) {
                self.close(Trouble::Stream(error.to_string()));
                return;
            }
            commits.push(at + 4);
        }
        let written = fragments.index.media_time();
        let video_frames = fragments.index.video_samples();
        let bytes = self.end;
        self.shared.progress(|progress| *progress = Progress { written, safe: progress.safe, bytes, video_frames });
        self.syncer.request(Request { media: written, commits });
        self.reserve();
    }

    fn moov_bytes(&self) -> u64 {
        match &self.phase {
            Phase::Header(_) => 0,
            Phase::Fragments(fragments) => fragments.index.moov_estimate(),
        }
    }

    /// Keeps room for the moov, two more fragments and a margin; finds out that the disk is full before it is.
    fn reserve(&mut self) {
        let Some(reserved) = self.reserved else { return };
        let needed = self.end + self.moov_bytes() + 2 * self.largest_fragment + RESERVE_MARGIN_BYTES;
        if needed <= reserved {
            return;
        }
        // A larger step first, so that most fragments need no call at all.
        let from = reserved.max(self.end);
        for target in [needed + 4 * self.largest_fragment, needed] {
            match self.store.reserve(from, target - from) {
                Ok(()) => {
                    self.reserved = Some(target);
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    self.reserved = None;
                    return;
                }
                Err(error) => {
                    if target == needed {
                        self.shared.trouble(Trouble::of_write(&error));
                    }
                }
            }
        }
    }

    /// Last sync, finalise, give back reserved room. Blocks on the disk.
    pub fn finish(self) -> Finished {
        self.syncer.stop();
        let bytes = self.end;
        let index = match &self.phase {
            Phase::Fragments(fragments) if !fragments.index.is_empty() => Some(&fragments.index),
            Phase::Fragments(_) | Phase::Header(_) => None,
        };
        let completed = index.map(|index| (finalise::complete(&*self.store, index), index));
        // Room that stays reserved is a matter of tidiness, not of the recording.
        let _ = self.store.release();
        // What puts the written in doubt says more than a full disk that came first.
        let doubt = |trouble: &&Trouble| matches!(trouble, Trouble::Sync(_) | Trouble::Write(_));
        let troubles = std::mem::take(&mut self.shared.lock().1);
        let trouble = troubles.iter().find(doubt).or(troubles.first()).cloned();
        match completed {
            None => Finished { summary: None, bytes, trouble, unfinalised: None },
            Some((Ok(summary), _)) => {
                Finished { bytes: summary.bytes, summary: Some(summary), trouble, unfinalised: None }
            }
            Some((Err(error), index)) => {
                Finished { summary: Some(index.summary(bytes)), bytes, trouble, unfinalised: Some(error) }
            }
        }
    }
}

impl Fragments {
    /// Follows bytes as they come and says which fragments they complete.
    fn follow(&mut self, slices: &[&[u8]]) -> Result<Completed, StreamError> {
        let mut completed = Completed::default();
        let moof = &mut self.moof;
        let mut on_box = |done: Scanned| match (&done.header.kind, done.bytes) {
            (b"moof", Some(bytes)) => *moof = Some((done.header.start, bytes)),
            (b"mdat", _) => {
                if let Some((at, bytes)) = moof.take() {
                    completed.end = done.header.end();
                    completed.fragments.push((at, bytes, done.header.start..done.header.end()));
                }
            }
            // `styp` and whatever else a muxer puts between fragments.
            _ => {}
        };
        for slice in slices {
            self.scanner.feed(slice, &mut on_box)?;
        }
        Ok(completed)
    }
}

/// Offsets behind `ftyp` and behind `moov`, `None` while they are not complete.
fn split_header(head: &[u8]) -> Result<Option<(usize, usize)>, StreamError> {
    let mut ends = (None, None);
    BoxScanner::new(0).feed(head, &mut |done| match &done.header.kind {
        b"ftyp" if ends.0.is_none() => ends.0 = Some(done.header.end()),
        b"moov" if ends.1.is_none() => ends.1 = Some(done.header.end()),
        _ => {}
    })?;
    Ok(match ends {
        (Some(ftyp), Some(moov)) => usize::try_from(ftyp).ok().zip(usize::try_from(moov).ok()),
        (Some(_) | None, _) => None,
    })
}

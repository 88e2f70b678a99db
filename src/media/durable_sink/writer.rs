//! Puts the muxer's bytes into a part: append, index, digest, reserve, sync. No GStreamer and no container here: what
//! a fragment is, the part's [`Format`] knows.

use super::format::{self, Append, Format, Opened};
use super::report::{Reporter, Trouble};
use super::sync::{Request, Syncer};
use super::watch::{Caller, Calls, Watched};
use super::{Events, Finished, Progress};
use crate::media::finalise::PartStore;
use std::borrow::Cow;
use std::io::{self, IoSlice};
use std::sync::Arc;

/// Room kept beyond the index and two fragments: for growth of the tables between two looks.
const RESERVE_MARGIN_BYTES: u64 = 1_000_000;
/// Assumed size of a fragment before the first is known: 500 ms at 16 Mbit/s.
const FIRST_FRAGMENT_GUESS_BYTES: u64 = 1_000_000;
/// Bytes that may come before the header is complete; it is below 2 KiB in practice.
const HEADER_MAX_BYTES: usize = 1024 * 1024;

/// One part being written.
pub struct PartWriter {
    store: Arc<dyn PartStore>,
    syncer: Syncer,
    reporter: Arc<Reporter>,
    phase: Phase,
    /// Where the next byte goes.
    end: u64,
    /// Over the payload of every fragment in the file.
    digest: blake3::Hasher,
    /// Room is kept up to here; `None` = this file system cannot keep any.
    reserved: Option<u64>,
    largest_fragment: u64,
    /// Bytes are swallowed from here on.
    closed: bool,
}

enum Phase {
    /// Until the beginning of the file is complete.
    Header(Vec<u8>),
    Fragments(Box<dyn Format>),
}

impl PartWriter {
    /// A writer for the empty `store`. Starts the sync thread.
    pub fn new(store: Arc<dyn PartStore>, events: Events) -> io::Result<Self> {
        Self::watched(store, events, Arc::default())
    }

    /// The same, with every call to the disk marked in `calls`.
    pub fn watched(store: Arc<dyn PartStore>, events: Events, calls: Arc<Calls>) -> io::Result<Self> {
        let marked = |caller| Watched { store: Arc::clone(&store), calls: Arc::clone(&calls), caller };
        let (synced, store) = (Arc::new(marked(Caller::Syncer)), Arc::new(marked(Caller::Writer)));
        let reporter = Arc::new(Reporter::new(events));
        let theirs = Arc::clone(&reporter);
        let syncer = Syncer::start(synced, move |result| match result {
            Ok(media) => theirs.progress(|progress| progress.safe = media),
            Err(error) => theirs.sync_refused(&error),
        })?;
        Ok(Self {
            store,
            syncer,
            reporter,
            phase: Phase::Header(Vec::new()),
            end: 0,
            digest: blake3::Hasher::new(),
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
            Phase::Fragments(format) => match format.push(self.end, slices) {
                Ok(append) => self.append(append),
                Err(trouble) => self.close(trouble),
            },
        }
    }

    /// Writes the beginning of the file once it is complete; the rest goes on as fragments.
    fn push_header(&mut self, head: Vec<u8>) {
        let Opened { header, taken, format } = match format::open(&head) {
            Ok(Some(opened)) => opened,
            Ok(None) if head.len() <= HEADER_MAX_BYTES => {
                self.phase = Phase::Header(head);
                return;
            }
            Ok(None) => return self.close(Trouble::Stream("the header of the file does not end".to_owned())),
            Err(trouble) => return self.close(trouble),
        };
        self.phase = Phase::Fragments(format);
        self.reserve();
        if self.write(&[Cow::Owned(header)]) {
            self.syncer.request(Request::default());
            self.push(&[&head[taken..]]);
        }
    }

    /// Appends fragments, if there are any, and asks for them to be made safe.
    fn append(&mut self, append: Append<'_>) {
        let start = self.end;
        if append.slices.is_empty() || !self.write(&append.slices) {
            return;
        }
        append.digest(start, &mut self.digest);
        let Phase::Fragments(format) = &mut self.phase else { return };
        let commits = match format.on_appended() {
            Ok(commits) => commits,
            Err(trouble) => return self.close(trouble),
        };
        let (written, video_frames) = (format.media_time(), format.video_frames());
        self.largest_fragment = self.largest_fragment.max(self.end - start);
        let bytes = self.end;
        self.reporter.progress(|progress| *progress = Progress { written, safe: progress.safe, bytes, video_frames });
        self.syncer.request(Request { media: written, commits });
        self.reserve();
    }

    /// Appends; `false` = the bytes were swallowed.
    fn write(&mut self, slices: &[Cow<'_, [u8]>]) -> bool {
        let bytes: u64 = slices.iter().map(|slice| slice.len() as u64).sum();
        let full = self.reporter.is_full();
        if full && self.reserved.is_some_and(|reserved| self.end + bytes + self.index_bytes() > reserved) {
            // The room that is left belongs to the index.
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
                self.close(Trouble::of(&error));
                false
            }
        }
    }

    fn close(&mut self, trouble: Trouble) {
        self.closed = true;
        self.reporter.trouble(trouble);
    }

    fn index_bytes(&self) -> u64 {
        match &self.phase {
            Phase::Header(_) => 0,
            Phase::Fragments(format) => format.index_bytes(),
        }
    }

    /// Keeps room for the index, two more fragments and a margin; finds out that the disk is full before it is.
    fn reserve(&mut self) {
        let Some(reserved) = self.reserved else { return };
        let needed = self.end + self.index_bytes() + 2 * self.largest_fragment + RESERVE_MARGIN_BYTES;
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
                        self.reporter.trouble(Trouble::of(&error));
                    }
                }
            }
        }
    }

    /// Writes what was held back, last sync, finalise, give back reserved room. Blocks on the disk.
    pub fn finish(mut self) -> Finished {
        if let Phase::Fragments(format) = &mut self.phase
            && !self.closed
        {
            match format.flush(self.end) {
                Ok(append) => self.append(append),
                Err(trouble) => self.close(trouble),
            }
        }
        self.syncer.stop();
        let bytes = self.end;
        let format = match self.phase {
            Phase::Fragments(format) if !format.is_empty() => Some(format),
            Phase::Fragments(_) | Phase::Header(_) => None,
        };
        let completed = format.map(|format| (format.complete(&*self.store), format));
        // Room that stays reserved is a matter of tidiness, not of the recording.
        let _ = self.store.release();
        let trouble = self.reporter.gravest();
        let payload = Some(self.digest.finalize());
        match completed {
            None => Finished { summary: None, bytes, trouble, unfinalised: None, payload: None },
            Some((Ok(summary), _)) => {
                Finished { bytes: summary.bytes, summary: Some(summary), trouble, unfinalised: None, payload }
            }
            Some((Err(error), format)) => {
                let summary = Some(format.summary(bytes));
                Finished { summary, bytes, trouble, unfinalised: Some(error), payload }
            }
        }
    }
}

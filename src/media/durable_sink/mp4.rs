//! MP4 as `isofmp4mux` sends it: a placeholder is put behind `ftyp`, and every `moof` is written reading `free` until
//! its bytes are on the disk.

use super::format::{Append, Commit, FRAGMENT_MAX_BYTES, Format, Opened};
use super::report::Trouble;
use crate::media::finalise::{
    BoxScanner, FinaliseError, Index, PLACEHOLDER, PLACEHOLDER_BYTES, PartStore, Scanned, StreamError, Summary, mp4,
};
use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

/// `moof mdat` pairs.
pub(super) struct Mp4Fragments {
    scanner: BoxScanner,
    index: Box<Index>,
    /// The last `moof`, until its `mdat` is complete.
    moof: Option<(u64, Vec<u8>)>,
    /// Bytes of a fragment that is not complete yet; they begin at the end of the file.
    pending: Vec<u8>,
    /// Fragments handed out, until they are in the file.
    handed_out: Vec<Fragment>,
}

/// A complete fragment.
struct Fragment {
    at: u64,
    moof: Vec<u8>,
    /// Its `mdat`, and how much of that is header.
    data: Range<u64>,
    header: u64,
}

/// What a push completed.
#[derive(Default)]
struct Completed {
    fragments: Vec<Fragment>,
    /// Offset behind the last complete fragment.
    end: u64,
}

impl Mp4Fragments {
    /// `ftyp`, the placeholder and the first `moov`, once they are complete.
    pub(super) fn open(head: &[u8]) -> Result<Option<Opened>, Trouble> {
        let Some((ftyp, moov)) = split_header(head).map_err(refused)? else { return Ok(None) };
        let index = Box::new(Index::new(&head[ftyp..moov], ftyp as u64).map_err(refused)?);
        let scanner = BoxScanner::new(moov as u64 + PLACEHOLDER_BYTES);
        let header = [&head[..ftyp], &PLACEHOLDER, &head[ftyp..moov]].concat();
        let format = Self { scanner, index, moof: None, pending: Vec::new(), handed_out: Vec::new() };
        Ok(Some(Opened { header, taken: moov, format: Box::new(format) }))
    }

    /// Follows bytes as they come and says which fragments they complete.
    fn follow(&mut self, slices: &[&[u8]]) -> Result<Completed, StreamError> {
        let mut completed = Completed::default();
        let moof = &mut self.moof;
        let mut on_box = |done: Scanned| match (&done.header.kind, done.bytes) {
            (b"moof", Some(bytes)) => *moof = Some((done.header.start, bytes)),
            (b"mdat", _) => {
                if let Some((at, moof)) = moof.take() {
                    let data = done.header.start..done.header.end();
                    completed.end = data.end;
                    completed.fragments.push(Fragment { at, moof, data, header: done.header.header });
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

    fn hand_out<'a>(&mut self, slices: Vec<Cow<'a, [u8]>>, fragments: Vec<Fragment>) -> Append<'a> {
        let payloads = fragments.iter().map(|fragment| fragment.data.start + fragment.header..fragment.data.end);
        let payloads = payloads.collect();
        self.handed_out = fragments;
        Append { slices, payloads }
    }
}

impl Format for Mp4Fragments {
    fn push<'a>(&mut self, end: u64, slices: &[&'a [u8]]) -> Result<Append<'a>, Trouble> {
        let completed = self.follow(slices).map_err(refused)?;
        let pushed: u64 = slices.iter().map(|slice| slice.len() as u64).sum();
        let whole = self.pending.is_empty() && completed.end == end + pushed;
        if let ([first, rest @ ..], [only]) = (slices, completed.fragments.as_slice())
            && whole
            && only.at + only.moof.len() as u64 <= end + first.len() as u64
        {
            // What the muxer really sends: one fragment, one list, the moof in its first buffer. Nothing is copied.
            let letters = usize::try_from(only.at - end).unwrap_or(0) + 4;
            let mut disguised = vec![&first[..letters], b"free".as_slice(), &first[letters + 4..]];
            disguised.extend(rest);
            let disguised = disguised.into_iter().map(Cow::Borrowed).collect();
            return Ok(self.hand_out(disguised, completed.fragments));
        }
        for slice in slices {
            self.pending.extend_from_slice(slice);
        }
        if self.pending.len() > FRAGMENT_MAX_BYTES {
            return Err(refused("a fragment does not end"));
        }
        if completed.fragments.is_empty() {
            return Ok(Append::default());
        }
        let local = |at: u64| usize::try_from(at - end).unwrap_or(0);
        let mut ready: Vec<u8> = self.pending.drain(..local(completed.end)).collect();
        for fragment in &completed.fragments {
            ready[local(fragment.at) + 4..local(fragment.at) + 8].copy_from_slice(b"free");
        }
        Ok(self.hand_out(vec![Cow::Owned(ready)], completed.fragments))
    }

    fn flush(&mut self, _end: u64) -> Result<Append<'static>, Trouble> {
        // A fragment says its own size: what is held back is a torn one.
        Ok(Append::default())
    }

    fn on_appended(&mut self) -> Result<Vec<Commit>, Trouble> {
        let mut commits = Vec::new();
        for Fragment { at, moof, data, .. } in std::mem::take(&mut self.handed_out) {
            self.index.push(&moof, at, data).map_err(refused)?;
            commits.push(Commit { at: at + 4, bytes: b"moof".to_vec() });
        }
        Ok(commits)
    }

    fn media_time(&self) -> Duration {
        self.index.media_time()
    }

    fn video_frames(&self) -> u64 {
        self.index.video_samples()
    }

    fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    fn index_bytes(&self) -> u64 {
        self.index.moov_estimate()
    }

    fn summary(&self, bytes: u64) -> Summary {
        self.index.summary(bytes)
    }

    fn complete(&self, store: &dyn PartStore) -> Result<Summary, FinaliseError> {
        mp4::complete(store, &self.index)
    }
}

fn refused(reason: impl ToString) -> Trouble {
    Trouble::Stream(reason.to_string())
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

//! What the writer must know of a container: where a fragment ends, how it is disguised, and how the part is closed.
//!
//! Contract: a format holds no file and does no I/O before [`Format::complete`]; the bytes it hands out are appended
//! as they are, in order. Between two fragments it holds back at most [`FRAGMENT_MAX_BYTES`].

use super::mkv::MkvClusters;
use super::mp4::Mp4Fragments;
use super::report::Trouble;
use crate::media::finalise::{FinaliseError, PartStore, Summary};
use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

/// Bytes of one fragment that may wait for its end: 500 ms at 1 Gbit/s.
pub(super) const FRAGMENT_MAX_BYTES: usize = 64 * 1024 * 1024;
/// First bytes of every Matroska file (the id of its EBML header).
const MATROSKA: [u8; 4] = [0x1a, 0x45, 0xdf, 0xa3];

/// Bytes to be appended now.
#[derive(Default)]
pub(super) struct Append<'a> {
    /// One after the other; empty = no fragment is complete.
    pub(super) slices: Vec<Cow<'a, [u8]>>,
    /// File offsets of the payload of each complete fragment.
    pub(super) payloads: Vec<Range<u64>>,
}

/// Puts the disguise of a fragment right, once its bytes are on the disk. Lies within one sector.
#[derive(Debug)]
pub(super) struct Commit {
    /// Where.
    pub(super) at: u64,
    /// What stands there then.
    pub(super) bytes: Vec<u8>,
}

/// The beginning of a part, once it is complete.
pub(super) struct Opened {
    /// What is written at offset 0.
    pub(super) header: Vec<u8>,
    /// Bytes of the muxer it was made from; the rest are fragments.
    pub(super) taken: usize,
    /// Takes the fragments.
    pub(super) format: Box<dyn Format>,
}

/// One container.
pub(super) trait Format: Send {
    /// Takes the next bytes of the muxer, however they are cut; what is complete is to be appended at `end`.
    fn push<'a>(&mut self, end: u64, slices: &[&'a [u8]]) -> Result<Append<'a>, Trouble>;

    /// The muxer has ended: what was held back and is complete by that.
    fn flush(&mut self, end: u64) -> Result<Append<'static>, Trouble>;

    /// What was handed out last is in the file: it counts from now on, and is to be committed.
    fn on_appended(&mut self) -> Result<Vec<Commit>, Trouble>;

    /// Media time in fragments that count.
    fn media_time(&self) -> Duration;

    /// Video frames in fragments that count.
    fn video_frames(&self) -> u64;

    /// Whether no fragment counts.
    fn is_empty(&self) -> bool;

    /// An upper bound of what [`Format::complete`] appends, in bytes.
    fn index_bytes(&self) -> u64;

    /// What the file holds; `bytes` is its size.
    fn summary(&self, bytes: u64) -> Summary;

    /// Makes it an ordinary file. Blocks on the disk.
    fn complete(&self, store: &dyn PartStore) -> Result<Summary, FinaliseError>;
}

/// Reads the beginning of what the muxer sends, whose first bytes name the container; `None` = more is needed.
pub(super) fn open(head: &[u8]) -> Result<Option<Opened>, Trouble> {
    match head.first_chunk::<4>() {
        None => Ok(None),
        Some(first) if *first == MATROSKA => MkvClusters::open(head),
        Some(_) => Mp4Fragments::open(head),
    }
}

impl Append<'_> {
    /// Feeds the payloads to `hasher`; the first slice was appended at `start`.
    pub(super) fn digest(&self, start: u64, hasher: &mut blake3::Hasher) {
        let mut at = start;
        let mut payloads = self.payloads.iter().cloned().peekable();
        for slice in &self.slices {
            let end = at + slice.len() as u64;
            while let Some(payload) = payloads.peek() {
                let local = |offset: u64| usize::try_from(offset.clamp(at, end) - at).unwrap_or(0);
                hasher.update(&slice[local(payload.start)..local(payload.end)]);
                if payload.end > end {
                    break;
                }
                payloads.next();
            }
            at = end;
        }
    }
}

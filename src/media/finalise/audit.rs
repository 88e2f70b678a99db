//! Reads the structure of a part again, from the chain of fragments that every part keeps, whatever its container.
//!
//! Contract: changes nothing. What stands in the file is believed from the fragments on: they are walked one by one,
//! the index is built anew from them, and what finalising put into the file must be, byte for byte, what follows from
//! it. Reads indexes only; the media is read by [`super::MediaReader`]. Memory: the index, 16 bytes per picture and
//! per fragment.

use super::{PartStore, Summary, mkv, mp4};
use crate::model::encoding::Container;
use crate::model::proof::{Finding, FindingCode};
use std::io;
use std::ops::Range;
use std::time::Duration;

/// Pictures further apart than this pause (the slowest source delivers 10 per second).
const PAUSE: Duration = Duration::from_millis(250);
/// More than this many pauses are not listed one by one.
const PAUSES_LISTED: usize = 20;

/// What a file turned out to be.
#[derive(Debug)]
pub enum Audited {
    /// A part with at least one whole fragment.
    Part(Box<Audit>),
    /// The beginning of a part without one.
    Nothing {
        /// Size of the file.
        bytes: u64,
    },
    /// Not a part of ours.
    Foreign,
}

/// What the fragments of a part say.
#[derive(Debug)]
pub struct Audit {
    /// Its container.
    pub container: Container,
    /// What is in it.
    pub summary: Summary,
    /// It has a final index.
    pub finalised: bool,
    /// What is wrong with its structure.
    pub findings: Vec<Finding>,
    /// Where the payload of each fragment lies, in the order of the file.
    pub payloads: Vec<Range<u64>>,
    /// Bytes that are no whole fragment and belong to nothing.
    pub tail_bytes: u64,
    /// Samples and bytes of the pictures and of the sound.
    pub volumes: [(u64, u64); 2],
    /// Bytes of each piece of sound that begins before the first picture: it warms decoders up and is not played, so a
    /// demuxer may leave it out.
    pub warm_up: Vec<u32>,
    /// Bytes of the last piece of sound when it is cut short. Behind an edit list qtdemux 1.22 leaves it out.
    pub cut_short: Option<u32>,
    /// (offset, bytes) of every picture, in the order of the file.
    pub(super) pictures: Vec<(u64, u32)>,
    /// Bytes of the length in front of each NAL unit, `None` = the pictures are not made of NAL units.
    pub(super) nal_length: Option<usize>,
}

/// Reads the structure of `store`. Blocks on the disk.
pub fn audit(store: &dyn PartStore) -> io::Result<Audited> {
    if mkv::is_ours(store)? { mkv::audit(store) } else { mp4::audit(store) }
}

/// Notes where pictures stand still.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    noted: usize,
}

impl Pauses {
    /// A picture ended (or was shown last) at `ended`, the next one comes at `begins`.
    pub(super) fn note(&mut self, ended: Duration, begins: Duration, findings: &mut Vec<Finding>) {
        let length = begins.saturating_sub(ended);
        if length > PAUSE && self.noted < PAUSES_LISTED {
            self.noted += 1;
            let pause = Finding::new(FindingCode::Pause).with("at_ms", ended.as_millis());
            findings.push(pause.with("length_ms", length.as_millis()));
        }
    }
}

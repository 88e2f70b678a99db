//! Reads every byte of a part once: two digests, and a look into every picture.
//!
//! Contract: one pass from the first byte to the last in blocks of [`BLOCK_BYTES`]; memory does not grow with the
//! file. A picture counts as broken when the lengths of its NAL units (ISO 14496-15, 4.3.3) do not fill it exactly, or
//! when a unit's header has the bit set that is always zero (ITU-T H.264 7.4.1, H.265 7.4.2.2).

use super::PartStore;
use super::audit::Audit;
use super::mkv::cluster::{CRC_BYTES, stated_crc};
use crate::model::encoding::Container;
use std::io;
use std::ops::Range;

/// Large enough that the disk does not wait for us, small beside everything else.
const BLOCK_BYTES: usize = 1 << 20;
/// Bit of a NAL unit's first byte that must be zero.
const FORBIDDEN_BIT: u8 = 0x80;

/// What reading a part found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// BLAKE3 of the whole file in hex.
    pub blake3: String,
    /// BLAKE3 of the payload of every fragment in the order of the file, in hex.
    pub payload_blake3: String,
    /// Fragments whose own checksum does not fit (Matroska).
    pub broken_fragments: u64,
    /// Pictures whose inside is broken.
    pub broken_pictures: u64,
    /// Number of the first of them, from 0.
    pub first_broken: Option<u64>,
}

/// Reads one part. See the module.
#[derive(Debug)]
pub struct MediaReader<'a> {
    store: &'a dyn PartStore,
}

impl std::fmt::Debug for dyn PartStore + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PartStore")
    }
}

impl<'a> MediaReader<'a> {
    /// A reader of `store`.
    pub fn new(store: &'a dyn PartStore) -> Self {
        Self { store }
    }

    /// Reads everything; `audit` says where payloads and pictures lie, without one only the whole is digested.
    /// `on_bytes` is told of every block. Blocks on the disk.
    pub fn read(&self, audit: Option<&Audit>, on_bytes: &mut dyn FnMut(u64)) -> io::Result<Read> {
        let mut whole = blake3::Hasher::new();
        let mut payloads = Payloads::of(audit);
        let nal = audit.and_then(|audit| Some((audit.pictures.as_slice(), audit.nal_length?)));
        let mut pictures = nal.map(|(pictures, length)| Pictures::new(pictures, length));
        let bytes = self.store.len()?;
        let mut block = vec![0; BLOCK_BYTES];
        let mut at = 0;
        while at < bytes {
            let length = usize::try_from(bytes - at).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
            let block = &mut block[..length];
            self.store.read_at(at, block)?;
            whole.update(block);
            payloads.feed(at, block);
            if let Some(pictures) = &mut pictures {
                pictures.feed(at, block);
            }
            on_bytes(length as u64);
            at += length as u64;
        }
        let (broken_pictures, first_broken) = pictures.map_or((0, None), Pictures::result);
        Ok(Read {
            blake3: whole.finalize().to_hex().to_string(),
            payload_blake3: payloads.digest.finalize().to_hex().to_string(),
            broken_fragments: payloads.broken,
            broken_pictures,
            first_broken,
        })
    }
}

/// The bytes `range` of the file from a `block` that begins at `at`.
fn part(block: &[u8], at: u64, range: Range<u64>) -> &[u8] {
    let inside = |offset: u64| usize::try_from(offset - at).unwrap_or(block.len()).min(block.len());
    &block[inside(range.start)..inside(range.end)]
}

/// Digests the payloads of the fragments as blocks of the file pass by, and checks those that carry a checksum.
struct Payloads<'a> {
    left: &'a [Range<u64>],
    digest: blake3::Hasher,
    /// The fragments begin with a CRC-32 element of their own.
    checked: bool,
    crc: crc32fast::Hasher,
    /// The CRC-32 element of the fragment that is being read.
    stated: Vec<u8>,
    broken: u64,
}

impl<'a> Payloads<'a> {
    fn of(audit: Option<&'a Audit>) -> Self {
        Self {
            left: audit.map_or(&[][..], |audit| &audit.payloads),
            digest: blake3::Hasher::new(),
            checked: audit.is_some_and(|audit| audit.container == Container::Mkv),
            crc: crc32fast::Hasher::new(),
            stated: Vec::new(),
            broken: 0,
        }
    }

    fn feed(&mut self, at: u64, block: &[u8]) {
        let end = at + block.len() as u64;
        while let Some(range) = self.left.first() {
            let (from, to) = (range.start.max(at), range.end.min(end));
            if from < to {
                self.take(part(block, at, from..to));
            }
            if range.end > end {
                break;
            }
            self.left = &self.left[1..];
            let whole = std::mem::take(&mut self.crc).finalize();
            if self.checked && self.stated != stated_crc(whole) {
                self.broken += 1;
            }
            self.stated.clear();
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        if self.checked {
            let missing = CRC_BYTES as usize - self.stated.len();
            let (stated, rest) = bytes.split_at(missing.min(bytes.len()));
            self.stated.extend_from_slice(stated);
            self.crc.update(rest);
        }
    }
}

/// Walks through the NAL units of all pictures as blocks of the file pass by.
struct Pictures<'a> {
    /// (offset, bytes) of the pictures to come, in the order of the file.
    spans: std::slice::Iter<'a, (u64, u32)>,
    /// End of the picture that is being read.
    end: Option<u64>,
    /// Offset of the unit that comes next.
    unit: u64,
    /// Its length and first byte, as far as they have come.
    head: Vec<u8>,
    nal_length: usize,
    number: u64,
    broken: u64,
    first_broken: Option<u64>,
}

impl<'a> Pictures<'a> {
    fn new(spans: &'a [(u64, u32)], nal_length: usize) -> Self {
        let (spans, head) = (spans.iter(), Vec::new());
        let mut pictures =
            Self { spans, end: None, unit: 0, head, nal_length, number: 0, broken: 0, first_broken: None };
        pictures.step();
        pictures
    }

    fn step(&mut self) {
        self.head.clear();
        let span = self.spans.next();
        self.unit = span.map_or(0, |(at, _)| *at);
        self.end = span.map(|(at, size)| at + u64::from(*size));
    }

    fn next(&mut self, fine: bool) {
        if !fine {
            self.broken += 1;
            self.first_broken.get_or_insert(self.number);
        }
        self.number += 1;
        self.step();
    }

    fn feed(&mut self, at: u64, block: &[u8]) {
        let block_end = at + block.len() as u64;
        while let Some(end) = self.end {
            let from = self.unit + self.head.len() as u64;
            let wanted = self.nal_length + 1 - self.head.len();
            if from < at || self.unit + self.nal_length as u64 >= end {
                // It lies before another one, or has no room for a unit.
                self.next(false);
                continue;
            }
            if from >= block_end {
                return;
            }
            self.head.extend_from_slice(part(block, at, from..block_end.min(from + wanted as u64)));
            if self.head.len() <= self.nal_length {
                return;
            }
            let (length, first) = self.head.split_at(self.nal_length);
            let length = length.iter().fold(0, |length, byte| length << 8 | u64::from(*byte));
            let bad = length == 0 || first[0] & FORBIDDEN_BIT != 0;
            self.unit += self.nal_length as u64 + length;
            self.head.clear();
            if bad || self.unit >= end {
                let fine = !bad && self.unit == end;
                self.next(fine);
            }
        }
    }

    /// Broken pictures, and the number of the first; those that lie behind the end of the file are broken too.
    fn result(self) -> (u64, Option<u64>) {
        let unread = u64::from(self.end.is_some()) + self.spans.len() as u64;
        (self.broken + unread, self.first_broken.or((unread > 0).then_some(self.number)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Broken pictures among `sizes` of units, with byte `flip` of the file flipped by `mask`, read in blocks of `cut`.
    fn broken(pictures: &[Vec<u8>], flip: Option<(usize, u8)>, cut: usize) -> u64 {
        let mut file = vec![7; 3];
        let mut spans = Vec::new();
        for picture in pictures {
            let at = file.len() as u64;
            for unit in picture {
                file.extend(u32::from(*unit).to_be_bytes());
                file.extend(std::iter::repeat_n(0x41, usize::from(*unit)));
            }
            spans.push((at, u32::try_from(file.len() as u64 - at).expect("small")));
        }
        if let Some((at, mask)) = flip {
            let place = at % file.len();
            file[place] ^= mask;
        }
        let mut walk = Pictures::new(&spans, 4);
        let mut at = 0;
        for block in file.chunks(cut) {
            walk.feed(at, block);
            at += block.len() as u64;
        }
        walk.result().0
    }

    proptest! {
        #[test]
        fn whole_pictures_are_whole_however_they_are_cut(
            pictures in prop::collection::vec(prop::collection::vec(1u8..40, 1..4), 1..20), cut in 1usize..50,
        ) {
            prop_assert_eq!(broken(&pictures, None, cut), 0);
        }

        #[test]
        fn a_wrong_length_breaks_one_picture_and_no_cut_hides_it(
            first in 1u8..40, others in prop::collection::vec(prop::collection::vec(1u8..40, 1..4), 0..20),
            cut in 1usize..50, bit in 0u8..8,
        ) {
            // A single unit: among several a wrong length may by chance end where the next one does.
            let pictures: Vec<_> = std::iter::once(vec![first]).chain(others).collect();
            // The last byte of its length.
            prop_assert_eq!(broken(&pictures, Some((6, 1 << bit)), cut), 1);
        }
    }

    #[test]
    fn pictures_behind_the_end_are_unread() {
        let mut walk = Pictures::new(&[(0, 5), (5, 5), (10, 5)], 4);
        walk.feed(0, &[0, 0, 0, 1, 0x41]);
        assert_eq!(walk.result(), (2, Some(1)));
    }
}

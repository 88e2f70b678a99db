//! The worker's side of a ring.

use super::layout::{Geometry, MAGIC, Mapping, frame_bytes};
use super::{PIXEL_BYTES, SLOTS_PER_READER};
use crate::model::snapshot::Meter;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

/// Writes frames into a ring. Lives on one thread at a time; nothing here ever waits.
pub struct RingWriter {
    memfd: OwnedFd,
    mapping: Mapping,
    geometry: Geometry,
    /// Readers whose marks count, one bit each.
    heeded: u32,
    /// Sequence number of the newest frame.
    sequence: u64,
    /// Slot of the newest frame; kept, so that a reader always finds one.
    newest: Option<usize>,
    /// Where the search for a free slot begins.
    next: usize,
}

impl RingWriter {
    /// A new sealed memory file for `readers` readers and frames of at most `max_width` × `max_height` pixels.
    pub fn create(max_width: u32, max_height: u32, readers: u8) -> io::Result<Self> {
        let geometry = Geometry::new(max_width, max_height, readers)?;
        let memfd = memfd_create("holdfast-frames", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&memfd, geometry.total() as u64)?;
        fcntl_add_seals(&memfd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let mapping = Mapping::new(memfd.as_fd(), geometry.total())?;
        let header = mapping.header();
        header.slot_bytes.store(geometry.slot_bytes as u64, Ordering::Relaxed);
        header.readers.store(u32::from(readers), Ordering::Relaxed);
        header.magic.store(MAGIC, Ordering::Release);
        let heeded = (1 << readers) - 1;
        Ok(Self { memfd, mapping, geometry, heeded, sequence: 0, newest: None, next: 0 })
    }

    /// The memory file, to be passed to each reader (SCM_RIGHTS).
    pub fn memfd(&self) -> BorrowedFd<'_> {
        self.memfd.as_fd()
    }

    /// Whether a frame of this size fits.
    pub fn fits(&self, width: u32, height: u32) -> bool {
        width > 0
            && height > 0
            && u64::from(width) * u64::from(height) * PIXEL_BYTES as u64 <= self.geometry.slot_bytes as u64
    }

    /// A free slot for a frame of this size. `None` when it does not fit, or when every slot is held, which readers
    /// that keep the rules cannot bring about.
    pub fn begin(&mut self, width: u32, height: u32) -> Option<SlotMut<'_>> {
        if !self.fits(width, height) {
            return None;
        }
        let slot = self.free_slot().or_else(|| {
            self.drop_greedy_readers();
            self.free_slot()
        })?;
        self.next = (slot + 1) % self.geometry.slots();
        Some(SlotMut { slot, width, height, writer: self })
    }

    /// Copies a frame whose rows are `stride` bytes apart into the ring. `false` = there was no slot, or `bytes` is
    /// shorter than the frame it claims to be.
    pub fn publish(&mut self, width: u32, height: u32, stride: usize, pts_ns: u64, bytes: &[u8]) -> bool {
        let row = width as usize * PIXEL_BYTES;
        let needed = stride.checked_mul((height as usize).saturating_sub(1)).and_then(|n| n.checked_add(row));
        if stride < row || needed.is_none_or(|needed| bytes.len() < needed) {
            return false;
        }
        let Some(mut slot) = self.begin(width, height) else { return false };
        if stride == row {
            let whole = slot.len();
            slot.copy_from_slice(&bytes[..whole]);
        } else {
            for (to, from) in slot.chunks_exact_mut(row).zip(bytes.chunks(stride)) {
                to.copy_from_slice(&from[..row]);
            }
        }
        slot.commit(pts_ns);
        true
    }

    /// Forgets a reader whose socket closed: its marks are dropped and never heeded again.
    pub fn clear_reader(&mut self, reader: u8) {
        let bit = 1u32.checked_shl(u32::from(reader)).unwrap_or(0);
        self.heeded &= !bit;
        for slot in 0..self.geometry.slots() {
            self.mapping.slot(slot).marks.fetch_and(!bit, Ordering::SeqCst);
        }
    }

    /// Publishes the audio levels, one per channel.
    pub fn set_meters(&self, meters: &[Meter]) {
        self.mapping.header().set_meters(meters);
    }

    /// Takes a slot away from the readers, if one is free.
    fn free_slot(&self) -> Option<usize> {
        let slots = self.geometry.slots();
        (0..slots).map(|step| (self.next + step) % slots).find(|&slot| Some(slot) != self.newest && self.take(slot))
    }

    /// Empties `slot` unless a reader holds it.
    fn take(&self, slot: usize) -> bool {
        let header = self.mapping.slot(slot);
        let held = || header.marks.load(Ordering::SeqCst) & self.heeded != 0;
        if held() {
            return false;
        }
        // A reader may mark the slot right now. It marks and then looks at the sequence; we clear the sequence and
        // then look at the marks. In the one order of all SeqCst operations at least one of the two sees the other.
        let before = header.sequence.swap(0, Ordering::SeqCst);
        if held() {
            header.sequence.store(before, Ordering::SeqCst);
            return false;
        }
        true
    }

    /// A reader with more marks than it may have breaks the rules and is not heeded any more.
    fn drop_greedy_readers(&mut self) {
        for reader in 0..self.geometry.readers {
            let bit = 1 << reader;
            let held = (0..self.geometry.slots())
                .filter(|&slot| self.mapping.slot(slot).marks.load(Ordering::SeqCst) & bit != 0)
                .count();
            if held > SLOTS_PER_READER {
                self.clear_reader(reader);
            }
        }
    }
}

/// A slot that belongs to the writer until it is committed; dropped without that, it stays empty.
pub struct SlotMut<'a> {
    writer: &'a mut RingWriter,
    slot: usize,
    width: u32,
    height: u32,
}

impl SlotMut<'_> {
    /// Makes this the newest frame. `pts_ns` is CLOCK_MONOTONIC.
    pub fn commit(self, pts_ns: u64) {
        let Self { writer, slot, width, height } = self;
        let sequence = writer.sequence + 1;
        let header = writer.mapping.slot(slot);
        header.width.store(width, Ordering::Relaxed);
        header.height.store(height, Ordering::Relaxed);
        header.pts_ns.store(pts_ns, Ordering::Relaxed);
        header.sequence.store(sequence, Ordering::SeqCst);
        writer.mapping.header().set_newest(sequence, slot);
        writer.sequence = sequence;
        writer.newest = Some(slot);
    }
}

impl Deref for SlotMut<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let len = frame_bytes(self.width, self.height);
        let pixels = self.writer.mapping.pixels(self.writer.geometry, self.slot, len);
        // SAFETY: `pixels` vouches for the range. `take` gave the slot to this side: no reader that keeps the rules
        // looks at it while its sequence is 0, and there is one SlotMut at a time (it borrows the writer mutably).
        unsafe { std::slice::from_raw_parts(pixels.as_ptr(), len) }
    }
}

impl DerefMut for SlotMut<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        let len = frame_bytes(self.width, self.height);
        let pixels = self.writer.mapping.pixels(self.writer.geometry, self.slot, len);
        // SAFETY: as in `deref`, and `&mut self` makes this the only slice of it.
        unsafe { std::slice::from_raw_parts_mut(pixels.as_ptr(), len) }
    }
}

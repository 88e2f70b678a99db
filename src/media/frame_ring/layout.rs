//! The bytes of a ring and their mapping into this process.
//!
//! Contract: [`Geometry::read`] is the only way to learn sizes from foreign memory; it accepts nothing that would
//! reach beyond the mapping. Everything shared is an atomic; pixels are handed out as raw pointers, and only
//! [`super::writer`] and [`super::reader`] turn them into slices, after the protocol has given them the slot.

use super::{MAX_EDGE, MAX_METERS, MAX_READERS, PIXEL_BYTES, SLOTS_PER_READER, SPARE_SLOTS};
use crate::model::snapshot::Meter;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// First word of a ring ("HFRING" and the version of this layout).
pub(super) const MAGIC: u64 = u64::from_be_bytes(*b"HFRING\0\x01");
/// Where the slot headers begin.
const SLOT_TABLE: usize = 1024;
/// Where the pixels begin.
pub(super) const PIXELS: usize = 4096;
/// Most slots a ring can have.
pub(super) const MAX_SLOTS: usize = SPARE_SLOTS + SLOTS_PER_READER * MAX_READERS as usize;
/// Bits of [`Header::newest`] that name the slot; the rest is the sequence number.
const SLOT_BITS: u32 = 8;
/// Slots begin on a page, so that a frame can be handed on without copying.
const SLOT_ALIGNMENT: usize = 4096;
/// What an unknown level reads as, in hundredths of a dB: far below anything a meter draws.
const SILENCE_CDB: i16 = -20_000;

const _: () = assert!(size_of::<Header>() <= SLOT_TABLE);
const _: () = assert!(SLOT_TABLE + MAX_SLOTS * size_of::<SlotHeader>() <= PIXELS);

/// The fixed part at the start.
#[repr(C, align(64))]
pub(super) struct Header {
    /// [`MAGIC`]; written last.
    pub magic: AtomicU64,
    /// Bytes of one slot.
    pub slot_bytes: AtomicU64,
    /// Readers the ring was made for.
    pub readers: AtomicU32,
    _reserved: AtomicU32,
    /// Newest whole frame: sequence << 8 | slot. 0 = none yet.
    newest: AtomicU64,
    /// Channels that have a meter.
    meter_count: AtomicU32,
    /// Counts up with every change of the meters.
    meter_sequence: AtomicU32,
    /// One channel each: peak and RMS in hundredths of a dB, clip; one word, so never half old.
    meters: [AtomicU64; MAX_METERS],
}

/// What is known of one slot.
#[repr(C, align(64))]
pub(super) struct SlotHeader {
    /// Sequence number of the frame in it; 0 = none, or being written.
    pub sequence: AtomicU64,
    /// One bit per reader that holds it.
    pub marks: AtomicU32,
    /// Pixels.
    pub width: AtomicU32,
    /// Pixels.
    pub height: AtomicU32,
    _reserved: AtomicU32,
    /// CLOCK_MONOTONIC of the frame.
    pub pts_ns: AtomicU64,
}

/// Sizes of a ring, checked once and copied out of the shared memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    pub readers: u8,
    pub slot_bytes: usize,
}

impl Geometry {
    /// A ring for frames of at most `width` × `height`.
    pub fn new(width: u32, height: u32, readers: u8) -> io::Result<Self> {
        let sane = (1..=MAX_EDGE).contains(&width) && (1..=MAX_EDGE).contains(&height);
        if !sane || !(1..=MAX_READERS).contains(&readers) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "impossible size or number of readers of a frame ring",
            ));
        }
        let slot_bytes = frame_bytes(width, height).next_multiple_of(SLOT_ALIGNMENT);
        Ok(Self { readers, slot_bytes })
    }

    /// What the header of `mapping` says, `None` unless it fits into the mapping.
    pub fn read(mapping: &Mapping) -> Option<Self> {
        let header = mapping.header();
        if header.magic.load(Ordering::Acquire) != MAGIC {
            return None;
        }
        let readers = u8::try_from(header.readers.load(Ordering::Relaxed)).ok()?;
        let slot_bytes = usize::try_from(header.slot_bytes.load(Ordering::Relaxed)).ok()?;
        let most = frame_bytes(MAX_EDGE, MAX_EDGE);
        let sane = (1..=MAX_READERS).contains(&readers) && slot_bytes > 0 && slot_bytes <= most;
        let geometry = Self { readers, slot_bytes };
        (sane && slot_bytes % SLOT_ALIGNMENT == 0 && geometry.total() <= mapping.len).then_some(geometry)
    }

    /// Slots of the ring.
    pub fn slots(self) -> usize {
        SPARE_SLOTS + SLOTS_PER_READER * usize::from(self.readers)
    }

    /// Bytes of the whole memory file.
    pub fn total(self) -> usize {
        PIXELS + self.slots() * self.slot_bytes
    }
}

/// Bytes of a frame with packed rows. Both edges are at most [`MAX_EDGE`].
pub(super) fn frame_bytes(width: u32, height: u32) -> usize {
    width as usize * height as usize * PIXEL_BYTES
}

/// A ring's memory, mapped until dropped.
pub(super) struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory belongs to no thread; everything in it is reached through atomics, or through slices that the
// slot protocol gives to one side at a time.
unsafe impl Send for Mapping {}
// SAFETY: as above; `&Mapping` gives out atomics and raw pointers only.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes of `memfd`, which must be at least [`PIXELS`] long.
    pub fn new(memfd: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        if len < PIXELS {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the memory file is too short"));
        }
        // SAFETY: a new shared mapping at an address the kernel chooses; nothing else refers to it. The caller has
        // made or checked the seal against shrinking, so its pages stay.
        let base =
            unsafe { mmap(std::ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, memfd, 0)? };
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mapped at address 0"))?;
        Ok(Self { base, len })
    }

    /// The fixed part.
    pub fn header(&self) -> &Header {
        // SAFETY: the mapping is at least PIXELS long, page-aligned, lives as long as `self`, and every bit pattern is
        // a valid Header of atomics.
        unsafe { self.base.cast().as_ref() }
    }

    /// The header of a slot; `slot` is below [`MAX_SLOTS`].
    pub fn slot(&self, slot: usize) -> &SlotHeader {
        assert!(slot < MAX_SLOTS, "slot {slot} does not exist");
        // SAFETY: the table of MAX_SLOTS headers ends before PIXELS (checked at compile time), and the mapping is at
        // least that long; alignment follows from SLOT_TABLE and the page; every bit pattern is valid.
        unsafe { &*self.base.as_ptr().add(SLOT_TABLE).cast::<SlotHeader>().add(slot) }
    }

    /// Where the pixels of a slot begin; `len` bytes from there lie inside the mapping.
    pub fn pixels(&self, geometry: Geometry, slot: usize, len: usize) -> NonNull<u8> {
        assert!(slot < geometry.slots() && len <= geometry.slot_bytes && geometry.total() <= self.len);
        // SAFETY: by the assertion the range ends within the mapping.
        unsafe { self.base.add(PIXELS + slot * geometry.slot_bytes) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the range that `new` mapped; every borrow of it had to end before.
        let result = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
        debug_assert!(result.is_ok(), "unmapping our own mapping cannot fail");
    }
}

impl Header {
    /// Sequence number and slot of the newest frame; a slot that cannot exist is for the caller to refuse.
    pub fn newest(&self) -> (u64, usize) {
        let word = self.newest.load(Ordering::SeqCst);
        (word >> SLOT_BITS, (word & ((1 << SLOT_BITS) - 1)) as usize)
    }

    /// Names the newest frame.
    pub fn set_newest(&self, sequence: u64, slot: usize) {
        self.newest.store(sequence << SLOT_BITS | slot as u64, Ordering::SeqCst);
    }

    /// Publishes the meters of the first [`MAX_METERS`] channels.
    pub fn set_meters(&self, meters: &[Meter]) {
        for (word, meter) in self.meters.iter().zip(meters) {
            word.store(pack_meter(meter), Ordering::Relaxed);
        }
        self.meter_count.store(meters.len().min(MAX_METERS) as u32, Ordering::Release);
        self.meter_sequence.fetch_add(1, Ordering::Release);
    }

    /// The meters and their sequence number.
    pub fn meters(&self) -> (u32, Vec<Meter>) {
        let sequence = self.meter_sequence.load(Ordering::Acquire);
        let count = (self.meter_count.load(Ordering::Acquire) as usize).min(MAX_METERS);
        let meters = self.meters[..count].iter().map(|word| unpack_meter(word.load(Ordering::Relaxed))).collect();
        (sequence, meters)
    }
}

fn pack_meter(meter: &Meter) -> u64 {
    let centi = |db: f64| {
        let value = if db.is_finite() {
            (db * 100.0).round().clamp(f64::from(SILENCE_CDB), 10_000.0) as i16
        } else {
            SILENCE_CDB
        };
        u64::from(value as u16)
    };
    centi(meter.peak_dbfs) | centi(meter.rms_dbfs) << 16 | u64::from(meter.clip) << 32
}

fn unpack_meter(word: u64) -> Meter {
    let decibel = |bits: u64| f64::from(bits as u16 as i16) / 100.0;
    Meter { peak_dbfs: decibel(word), rms_dbfs: decibel(word >> 16), clip: word >> 32 & 1 == 1 }
}

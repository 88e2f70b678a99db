//! The window's side of a ring.

use super::layout::{Geometry, Mapping, PIXELS, frame_bytes};
use super::{MAX_EDGE, OpenError, PIXEL_BYTES, SLOTS_PER_READER};
use crate::model::snapshot::Meter;
use rustix::fs::{SealFlags, fcntl_get_seals, fstat};
use std::ops::Deref;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Reads frames from a ring. There is no signal for a new frame: ask [`RingReader::latest`] once per display frame,
/// it costs one atomic load when there is none.
pub struct RingReader {
    shared: Arc<Shared>,
    /// Sequence number of the last frame handed out.
    seen: u64,
}

/// What a reader and its frames share.
struct Shared {
    mapping: Mapping,
    geometry: Geometry,
    /// Our bit in the marks.
    bit: u32,
    /// Frames alive.
    held: AtomicUsize,
}

impl RingReader {
    /// Maps the ring in `memfd` as its reader number `reader`.
    pub fn open(memfd: OwnedFd, reader: u8) -> Result<Self, OpenError> {
        let seals = fcntl_get_seals(&memfd).map_err(std::io::Error::from)?;
        if !seals.contains(SealFlags::SHRINK) {
            return Err(OpenError::NotSealed);
        }
        let len = usize::try_from(fstat(&memfd).map_err(std::io::Error::from)?.st_size).unwrap_or(0);
        if len < PIXELS {
            return Err(OpenError::NotARing);
        }
        let mapping = Mapping::new(memfd.as_fd(), len)?;
        let geometry = Geometry::read(&mapping).ok_or(OpenError::NotARing)?;
        if reader >= geometry.readers {
            return Err(OpenError::NoSuchReader(reader));
        }
        let shared = Shared { mapping, geometry, bit: 1 << reader, held: AtomicUsize::new(0) };
        Ok(Self { shared: Arc::new(shared), seen: 0 })
    }

    /// The newest frame, if it is newer than the last one handed out and fewer than [`SLOTS_PER_READER`] are held.
    pub fn latest(&mut self) -> Option<Frame> {
        let (sequence, slot) = self.shared.mapping.header().newest();
        if sequence == self.seen || sequence == 0 || slot >= self.shared.geometry.slots() {
            return None;
        }
        if self.shared.held.load(Ordering::Acquire) >= SLOTS_PER_READER {
            return None;
        }
        let frame = self.mark(slot, sequence)?;
        self.seen = sequence;
        Some(frame)
    }

    /// The audio levels, one per channel, and a number that changes whenever they are renewed (20 times a second).
    pub fn meters(&self) -> (u32, Vec<Meter>) {
        self.shared.mapping.header().meters()
    }

    /// Sequence number of the last frame handed out; the writer counts from 1.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Holds `slot` if it still has the frame `sequence`. `None` = it was overwritten in between: ask again later.
    fn mark(&self, slot: usize, sequence: u64) -> Option<Frame> {
        let header = self.shared.mapping.slot(slot);
        // We may hold an older frame of this slot only if the writer broke the rules; then our mark is not ours to take.
        if header.marks.fetch_or(self.shared.bit, Ordering::SeqCst) & self.shared.bit != 0 {
            return None;
        }
        self.shared.held.fetch_add(1, Ordering::AcqRel);
        // From here on dropping the frame takes the mark away again.
        let mut frame = Frame { shared: Arc::clone(&self.shared), slot, width: 0, height: 0, pts_ns: 0 };
        if header.sequence.load(Ordering::SeqCst) != sequence {
            return None;
        }
        let (width, height) = (header.width.load(Ordering::Relaxed), header.height.load(Ordering::Relaxed));
        let sane = (1..=MAX_EDGE).contains(&width) && (1..=MAX_EDGE).contains(&height);
        if !sane || frame_bytes(width, height) > self.shared.geometry.slot_bytes {
            return None;
        }
        frame.width = width;
        frame.height = height;
        frame.pts_ns = header.pts_ns.load(Ordering::Relaxed);
        Some(frame)
    }
}

/// One picture, BGRx with packed rows; its slot is given back when it is dropped. May outlive its reader.
pub struct Frame {
    shared: Arc<Shared>,
    slot: usize,
    width: u32,
    height: u32,
    pts_ns: u64,
}

impl Frame {
    /// Pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Bytes from one row to the next.
    pub fn stride(&self) -> usize {
        self.width as usize * PIXEL_BYTES
    }

    /// CLOCK_MONOTONIC of the frame.
    pub fn pts_ns(&self) -> u64 {
        self.pts_ns
    }
}

impl Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let len = frame_bytes(self.width, self.height);
        let pixels = self.shared.mapping.pixels(self.shared.geometry, self.slot, len);
        // SAFETY: `pixels` vouches for the range, and the mapping lives as long as `self.shared`. Our mark keeps the
        // writer off the slot; a writer that breaks that rule changes plain bytes, for which every value is valid.
        unsafe { std::slice::from_raw_parts(pixels.as_ptr(), len) }
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        self.shared.mapping.slot(self.slot).marks.fetch_and(!self.shared.bit, Ordering::SeqCst);
        self.shared.held.fetch_sub(1, Ordering::AcqRel);
    }
}

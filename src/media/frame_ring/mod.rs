//! The frame ring: pictures from one worker to at most four windows through a sealed memory file.
//!
//! Contract:
//! * One [`RingWriter`] (the worker), up to [`MAX_READERS`] [`RingReader`]s, each with its own number. The memory
//!   file travels once over a socket; after that no system call is made for a frame.
//! * The writer takes any slot no reader holds and **never waits**. A frozen or dead reader holds at most
//!   [`SLOTS_PER_READER`] slots, and for those there is room: it costs the writer nothing.
//! * A reader marks a slot, re-checks its sequence number and only then looks at it; the mark goes when the [`Frame`]
//!   is dropped. A held slot is never written, so a frame is never torn.
//! * Marks of a reader that is gone are dropped when its socket closes ([`RingWriter::clear_reader`]); a reader that
//!   joins gets a new memory file, so an old reader can never mark slots of a new one.
//! * Neither side trusts a number it finds in the memory: geometry is checked against the size of the file, copied
//!   once, and the file is sealed against shrinking. A peer that breaks the rules can spoil pixels, nothing else.
//!
//! ```text
//!  0        Header: magic, geometry, newest frame, meters
//!  1024     SlotHeader × (3 + 5 · readers)
//!  4096     slot 0 │ slot 1 │ …            pixels, BGRx, rows packed (stride = 4 · width)
//! ```

#![expect(unsafe_code, reason = "shared memory; every block says why it is sound")]

mod layout;
mod reader;
mod writer;

#[cfg(test)]
mod tests;

pub use reader::{Frame, RingReader};
pub use writer::{RingWriter, SlotMut};

/// Most readers of one ring: windows of one recorder. Each costs five slots of memory.
pub const MAX_READERS: u8 = 4;
/// Most frames one reader may hold. Measured: gtk4paintablesink with its pipeline keeps 4 to 5 (PLATFORM.md).
pub const SLOTS_PER_READER: usize = 5;
/// Slots beyond the readers' own: the newest frame, the one being written, one to spare.
pub const SPARE_SLOTS: usize = 3;
/// Most audio channels with a meter.
pub const MAX_METERS: usize = 8;
/// Longest edge of a frame in pixels; keeps every product of sizes far from overflow.
pub const MAX_EDGE: u32 = 8192;
/// Bytes of a pixel (BGRx: blue, green, red, unused).
pub const PIXEL_BYTES: usize = 4;

/// Why a memory file is not a ring this version can read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The memory could not be examined or mapped.
    #[error("the preview memory cannot be mapped: {0}")]
    Io(#[from] std::io::Error),
    /// It could shrink under the reader.
    #[error("the preview memory is not sealed; the preview is refused")]
    NotSealed,
    /// It is not a ring of this version, or its numbers contradict each other.
    #[error("the preview memory is not a frame ring of this version; the preview is refused")]
    NotARing,
    /// The reader number does not belong to this ring.
    #[error("the preview memory has no reader {0}; the preview is refused")]
    NoSuchReader(u8),
}

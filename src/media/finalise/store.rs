//! Where the bytes of a part go. A seam, so that tests can own the disk: record every write, cut the power, refuse.

use std::fs::File;
use std::io::{self, IoSlice};

/// A part file as the sink and the finaliser see it. Every call may block on the disk.
pub trait PartStore: Send + Sync {
    /// Writes all of `slices`, one after the other, at `offset`.
    fn write_at(&self, offset: u64, slices: &[IoSlice<'_>]) -> io::Result<()>;

    /// Waits until every write that returned before is on the disk (`fdatasync`).
    fn sync(&self) -> io::Result<()>;

    /// Fills `buffer` from `offset`, or fails with [`io::ErrorKind::UnexpectedEof`].
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Bytes in the file.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file holds nothing.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Keeps `bytes` of room from `offset` on without changing the file's length.
    fn reserve(&self, offset: u64, bytes: u64) -> io::Result<()>;

    /// Gives back room reserved beyond the end of the file.
    fn release(&self) -> io::Result<()>;
}

impl PartStore for File {
    fn write_at(&self, mut offset: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
        let mut slices = slices.to_vec();
        let mut rest = slices.as_mut_slice();
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            // The kernel takes at most UIO_MAXIOV (1024) slices at once.
            let batch = &rest[..rest.len().min(1024)];
            match rustix::io::pwritev(self, batch, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    offset += written as u64;
                    IoSlice::advance_slices(&mut rest, written);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn reserve(&self, offset: u64, bytes: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(self, rustix::fs::FallocateFlags::KEEP_SIZE, offset, bytes)?)
    }

    fn release(&self) -> io::Result<()> {
        // Truncating to the length it has frees blocks kept beyond the end and changes no byte.
        self.set_len(PartStore::len(self)?)
    }
}

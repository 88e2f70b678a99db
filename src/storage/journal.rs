//! Append-only JSON lines, fsynced one by one: the engine's journal and a worker's facts.
//!
//! Contract: a line that was returned `Ok` survives a power cut. Reading skips (and counts) every line that is not
//! whole and goes on behind it; appending after a torn line starts a new line first: one torn line costs only itself.
//! A log that keeps room ([`Log::keep_room`]) takes some hundred more lines on a full disk.
//! Only the user may read a log: it says what was recorded where. A link in the place of a log is refused: it may lead
//! into a library that belongs to somebody else.
//!
//! The engine's journal also carries the lock of its session: every worker that records it shares the lock ([`hold`]),
//! whoever closes it takes it alone ([`hold_alone`]). It dies with its holder.

use crate::sys::lock;
use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, open};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

/// Room that is kept behind the last line of a log: some hundred lines (R-CMD-1).
const ROOM_BYTES: u64 = 256 * 1024;
/// Of which so much may be used up before it is made up for.
const LEAST_ROOM_BYTES: u64 = ROOM_BYTES / 2;
/// Room for one line.
const LAST_LINE_BYTES: u64 = 4096;

/// A log open for appending.
#[derive(Debug)]
pub struct Log {
    file: File,
    /// The last write may have left a torn line.
    torn: bool,
    /// Room is kept up to here.
    kept: u64,
}

impl Log {
    /// Opens `path`, creating it (and fsyncing its folder) when it does not exist. Blocks on the disk.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mut file = File::from(open(path, flags, Mode::from_raw_mode(0o600))?);
        let length = file.seek(SeekFrom::End(0))?;
        let torn = length > 0 && {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            last != *b"\n"
        };
        if let Some(dir) = path.parent() {
            super::atomic::sync_dir(dir)?;
        }
        Ok(Self { file, torn, kept: 0 })
    }

    /// Keeps room for lines to come, so that they can be written when everybody else has filled the disk. Where that
    /// cannot be had the log does without.
    pub fn keep_room(&mut self) -> io::Result<()> {
        let end = self.file.metadata()?.len();
        if self.kept < end.saturating_add(LEAST_ROOM_BYTES) {
            fallocate(&self.file, FallocateFlags::KEEP_SIZE, end, ROOM_BYTES)?;
            self.kept = end + ROOM_BYTES;
        }
        Ok(())
    }

    /// Gives back the room that is kept but for one line, to whoever needs it to end the session. Only for whoever has
    /// the log for himself.
    pub fn spare_one_line(&mut self) -> io::Result<()> {
        self.give_back()?;
        let end = self.file.metadata()?.len();
        Ok(fallocate(&self.file, FallocateFlags::KEEP_SIZE, end, LAST_LINE_BYTES)?)
    }

    /// Gives back all room that is kept. Only for whoever has the log for himself.
    pub fn give_back(&mut self) -> io::Result<()> {
        self.kept = 0;
        self.file.set_len(self.file.metadata()?.len())
    }

    /// Appends one value and waits until it is on the disk. Blocks on the disk.
    pub fn append<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        let mut line = Vec::new();
        if self.torn {
            line.push(b'\n');
        }
        serde_json::to_writer(&mut line, value)?;
        line.push(b'\n');
        self.torn = true;
        self.file.write_all(&line)?;
        self.torn = false;
        self.sync()
    }

    /// Waits until everything in it is on the disk. Blocks on the disk.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Every whole line of `path` that is a `T`, in order, and how many lines were not.
pub fn read<T: DeserializeOwned>(path: &Path) -> io::Result<(Vec<T>, usize)> {
    read_until(path, |_| false)
}

/// The same up to and including the first line that is `enough`: of what lies behind it no more is read than one block.
pub fn read_until<T: DeserializeOwned>(path: &Path, enough: impl Fn(&T) -> bool) -> io::Result<(Vec<T>, usize)> {
    let mut values = Vec::new();
    let mut damaged = 0;
    for line in BufReader::new(open_to_read(path)?).split(b'\n') {
        let line = line?;
        if line.is_empty() {
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(value) => values.push(value),
            Err(_) => damaged += 1,
        }
        if values.last().is_some_and(&enough) {
            break;
        }
    }
    Ok((values, damaged))
}

/// Lets nobody close the session in `dir` while the file lives; `None` = somebody is closing it. A worker holds it from
/// before it says that it records until behind its last fact, also while none of its parts is open. Blocks.
pub fn hold(dir: &Path) -> io::Result<Option<File>> {
    let file = open_to_read(&dir.join(super::layout::JOURNAL))?;
    Ok(lock::share_fd_soon(&file)?.then_some(file))
}

/// Lets nobody record the session in `dir` while the file lives; `None` = somebody does, and did for `patience`. Blocks.
pub fn hold_alone(dir: &Path, patience: Duration) -> io::Result<Option<File>> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = File::from(open(dir.join(super::layout::JOURNAL), flags, Mode::empty())?);
    Ok(lock::lock_fd_within(&file, patience)?.then_some(file))
}

fn open_to_read(path: &Path) -> io::Result<File> {
    Ok(File::from(open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_kept_ahead_of_the_lines_and_given_back() {
        use std::os::unix::fs::MetadataExt;
        // Where tests of files always are: a file system that keeps room.
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("log");
        let room = || std::fs::metadata(&path).map(|meta| (meta.len(), meta.blocks() * 512)).expect("the log");
        let mut log = Log::open(&path).expect("open");
        if log.keep_room().is_err() {
            return;
        }
        for _ in 0..400 {
            log.keep_room().expect("room");
            log.append(&"x".repeat(1000)).expect("append");
            let (length, blocks) = room();
            assert!(blocks >= length + LEAST_ROOM_BYTES - 4096, "{blocks} behind {length}");
        }
        log.spare_one_line().expect("given back");
        let (length, blocks) = room();
        assert!(length > 400_000 && blocks >= length && blocks < length + 3 * 4096, "{blocks} behind {length}");
        log.append(&"the last line").expect("append");
        log.give_back().expect("given back");
        assert_eq!(read::<String>(&path).expect("read").0.len(), 401);
    }

    #[test]
    fn a_torn_line_costs_only_itself() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("log");
        Log::open(&path).expect("open").append(&1).expect("append");
        std::fs::OpenOptions::new().append(true).open(&path).expect("open").write_all(b"[2, ").expect("tear");
        Log::open(&path).expect("open").append(&3).expect("append");
        assert_eq!(read::<u32>(&path).expect("read"), (vec![1, 3], 1));
    }
}

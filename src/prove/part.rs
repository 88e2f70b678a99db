//! Reads one file of a session: opens it safely, takes its lock, lets everybody who can read it read it.

use super::judge::{Found, FoundPart};
use crate::media::finalise::{Audited, MediaReader, audit};
use crate::media::reread::reread;
use crate::sys::lock;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::path::Path;

/// What came of looking at one file.
#[derive(Debug)]
pub enum Look {
    /// It was read.
    Found(Box<Found>),
    /// Somebody records to it.
    Busy,
}

/// Reads the file at `path`. `on_bytes` is told of bytes read, twice the file's size in all. Blocks on the disk.
pub fn look(path: &Path, on_bytes: &mut dyn FnMut(u64)) -> Look {
    let found = |found: Found| Look::Found(Box::new(found));
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR) => return found(Found::Gone),
        Err(Errno::LOOP) => return found(Found::NotAFile),
        Err(error) => return found(Found::Unreadable(io::Error::from(error).to_string())),
    };
    match file.metadata() {
        Ok(meta) if meta.is_file() => {}
        Ok(_) => return found(Found::NotAFile),
        Err(error) => return found(Found::Unreadable(error.to_string())),
    }
    // Shared, so that nobody takes it for a recording; a file system without locks has no recorder either.
    if let Ok(false) = lock::try_share_fd(&file) {
        return Look::Busy;
    }
    found(read(&file, on_bytes).unwrap_or_else(|error| Found::Unreadable(error.to_string())))
}

fn read(file: &File, on_bytes: &mut dyn FnMut(u64)) -> io::Result<Found> {
    let audit = match audit(file)? {
        Audited::Part(audit) => audit,
        Audited::Nothing { bytes } => return Ok(Found::Nothing { bytes }),
        Audited::Foreign => return Ok(Found::Foreign { bytes: file.metadata()?.len() }),
    };
    let read = MediaReader::new(file).read(Some(&audit), on_bytes)?;
    let reread = reread(file, audit.container, on_bytes).map_err(io::Error::other)?;
    Ok(Found::Part(Box::new(FoundPart {
        container: audit.container,
        summary: audit.summary,
        finalised: audit.finalised,
        findings: audit.findings,
        tail_bytes: audit.tail_bytes,
        volumes: audit.volumes,
        warm_up: audit.warm_up,
        cut_short: audit.cut_short,
        read,
        reread,
    })))
}

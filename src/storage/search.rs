//! Looking through a library for sessions that nobody closed.
//!
//! Contract: reading changes nothing. A folder that could not be read is told as such, never as one that recorded
//! nothing: somebody may be writing to it. The newest folders come first, and of a closed session only the end of its
//! journal is read, so that a library of years keeps nobody from going on with what is recorded now. Blocks on the disk.

use super::history::History;
use super::recovery::{Interrupted, last_session, media_files, plan_of, read_manifest, session_dirs};
use super::{journal, layout};
use crate::model::session::{JournalKind, Line};
use crate::model::snapshot::LastSession;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// `closed` is the last line of a journal, and 60 bytes long; a fact that came late may stand behind it.
const TAIL: u64 = 4096;

/// A session folder that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The folder.
    pub dir: PathBuf,
    /// Why, in English.
    pub reason: String,
}

/// What one session folder turned out to be.
#[derive(Debug)]
pub enum Look {
    /// It never recorded anything.
    Empty,
    /// Its journal says that it is closed.
    Closed,
    /// Nobody closed it.
    Interrupted(Box<Interrupted>),
    /// What it is could not be learned.
    Unread(Unread),
}

/// What was found in some folders.
#[derive(Debug, Default)]
pub struct Found {
    /// Sessions nobody closed, newest first.
    pub interrupted: Vec<Interrupted>,
    /// The newest closed session.
    pub last: Option<LastSession>,
    /// Folders that could not be read.
    pub unread: Vec<Unread>,
}

impl Found {
    fn add(&mut self, dir: &Path) {
        match look(dir) {
            Look::Empty => {}
            Look::Closed if self.last.is_none() => {
                self.last = read_manifest(dir).ok().map(|manifest| last_session(&manifest, dir));
            }
            Look::Closed => {}
            Look::Interrupted(found) => self.interrupted.push(*found),
            Look::Unread(unread) => self.unread.push(unread),
        }
    }
}

/// Looks at every session folder of `library`.
pub fn search(library: &Path) -> io::Result<Found> {
    let mut found = Found::default();
    search_newest_first(library, usize::MAX, &mut |more| found = more)?;
    Ok(found)
}

/// Looks at the `newest` session folders of `library` and tells what they are, then one by one at the others: each that
/// nobody closed, or that could not be read, is told at once. An error = the library itself could not be read, and
/// nothing was told.
pub fn search_newest_first(library: &Path, newest: usize, tell: &mut dyn FnMut(Found)) -> io::Result<()> {
    let names = session_dirs(library)?;
    let (first, others) = names.split_at(newest.min(names.len()));
    let mut found = Found::default();
    for name in first {
        found.add(&library.join(name));
    }
    let mut last = found.last.is_some();
    tell(found);
    for name in others {
        let mut found = Found::default();
        found.add(&library.join(name));
        found.last = found.last.filter(|_| !std::mem::replace(&mut last, true));
        if !found.interrupted.is_empty() || !found.unread.is_empty() || found.last.is_some() {
            tell(found);
        }
    }
    Ok(())
}

/// Looks at one session folder.
pub fn look(dir: &Path) -> Look {
    let unread = |error: io::Error| Look::Unread(Unread { dir: dir.to_owned(), reason: error.to_string() });
    let path = dir.join(layout::JOURNAL);
    match ends_closed(&path) {
        Ok(true) => return Look::Closed,
        Ok(false) => {}
        // Made, but its plan never reached the disk.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Look::Empty,
        Err(error) => return unread(error),
    }
    let (lines, damaged) = match journal::read::<Line<JournalKind>>(&path) {
        Ok(read) => read,
        Err(error) => return unread(error),
    };
    let Some(plan) = plan_of(&lines) else {
        // A plan that was torn while it was written began nothing; one that was damaged later has files beside it.
        return match media_files(dir) {
            Ok(files) if files.is_empty() || damaged == 0 => Look::Empty,
            Ok(_) => unread(io::Error::other("the plan in its journal is damaged")),
            Err(error) => unread(error),
        };
    };
    if lines.iter().any(|line| matches!(line.kind, JournalKind::Closed { .. })) {
        return Look::Closed;
    }
    let history = History::read(dir, plan, &lines).unwrap_or_else(|error| {
        tracing::warn!(dir = %dir.display(), %error, "only the journal of a session could be read");
        History::of_journal(&lines)
    });
    Look::Interrupted(Box::new(Interrupted { plan: plan.clone(), history, dir: dir.to_owned() }))
}

/// Whether one of the last lines says `closed`. `false` = read all of it.
fn ends_closed(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    let closed = |line: &[u8]| {
        serde_json::from_slice::<Line<JournalKind>>(line)
            .is_ok_and(|line| matches!(line.kind, JournalKind::Closed { .. }))
    };
    Ok(tail.split(|byte| *byte == b'\n').any(closed))
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;

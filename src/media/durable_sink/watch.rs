//! What a worker waits for from the disk, and which part files it holds: seen by others without waiting for either.
//!
//! Contract: every call that may block on the disk is marked before it begins and unmarked when it returns, by two atomic
//! writes. A file is listed from before it is created until everything that holds it is dropped. The lock in here is
//! never held across a call to the disk.

use crate::media::finalise::PartStore;
use crate::model::MonoNs;
use crate::sys::clock::mono_now;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

/// Everything a worker has to do with the disk at the moment. Clone it freely.
#[derive(Debug, Clone, Default)]
pub struct DiskWatch(Arc<Mutex<Vec<Weak<Calls>>>>);

/// A file that is written, and which one it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Where it was created.
    pub path: PathBuf,
    /// Its file system.
    dev: u64,
    /// Its number there.
    ino: u64,
}

/// Whose call it is: each has one in flight at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// The thread that creates, appends or finalises.
    Writer,
    /// The thread that syncs.
    Syncer,
}

/// The calls in flight of one file, or of one thread that asks the disk something.
#[derive(Debug, Default)]
pub struct Calls {
    held: OnceLock<Held>,
    /// When the call began, by [`Caller`]; 0 = there is none.
    since: [AtomicU64; 2],
}

/// A call in flight, until it is dropped.
#[derive(Debug)]
pub struct InFlight<'a>(&'a AtomicU64);

impl DiskWatch {
    /// Lists one more file, or thread; it is listed as long as somebody keeps what comes back.
    pub fn list(&self) -> Arc<Calls> {
        let calls = Arc::new(Calls::default());
        let mut listed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listed.retain(|other| other.strong_count() > 0);
        listed.push(Arc::downgrade(&calls));
        calls
    }

    fn listed(&self) -> Vec<Arc<Calls>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }

    /// Since when the disk owes an answer: the begin of the oldest call in flight.
    pub fn waits_since(&self) -> Option<MonoNs> {
        self.listed().iter().filter_map(|calls| calls.waits_since()).min()
    }

    /// The files that are held.
    pub fn held(&self) -> Vec<Held> {
        self.listed().iter().filter_map(|calls| calls.held.get().cloned()).collect()
    }
}

impl Held {
    /// Whether what `meta` tells of is this file.
    pub fn is(&self, meta: &std::fs::Metadata) -> bool {
        (self.dev, self.ino) == (meta.dev(), meta.ino())
    }
}

impl Calls {
    /// Marks a call of `caller`.
    pub fn begin(&self, caller: Caller) -> InFlight<'_> {
        let since = match caller {
            Caller::Writer => &self.since[0],
            Caller::Syncer => &self.since[1],
        };
        since.store(mono_now().0.max(1), Ordering::Relaxed);
        InFlight(since)
    }

    fn waits_since(&self) -> Option<MonoNs> {
        self.since.iter().map(|since| since.load(Ordering::Relaxed)).filter(|since| *since > 0).min().map(MonoNs)
    }

    /// The file is there, and it is `file`.
    pub(super) fn hold(&self, path: &Path, file: &File) -> io::Result<()> {
        let meta = file.metadata()?;
        // Once per file; a second call would name the same one.
        let _ = self.held.set(Held { path: path.to_owned(), dev: meta.dev(), ino: meta.ino() });
        Ok(())
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// A store whose calls are marked.
pub(super) struct Watched {
    pub(super) store: Arc<dyn PartStore>,
    pub(super) calls: Arc<Calls>,
    pub(super) caller: Caller,
}

impl Watched {
    fn marked<T>(&self, call: impl FnOnce(&dyn PartStore) -> io::Result<T>) -> io::Result<T> {
        let _in_flight = self.calls.begin(self.caller);
        call(&*self.store)
    }
}

impl PartStore for Watched {
    fn write_at(&self, offset: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
        self.marked(|store| store.write_at(offset, slices))
    }

    fn sync(&self) -> io::Result<()> {
        self.marked(|store| store.sync())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.marked(|store| store.read_at(offset, buffer))
    }

    fn len(&self) -> io::Result<u64> {
        self.marked(|store| store.len())
    }

    fn reserve(&self, offset: u64, bytes: u64) -> io::Result<()> {
        self.marked(|store| store.reserve(offset, bytes))
    }

    fn release(&self) -> io::Result<()> {
        self.marked(|store| store.release())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_call_in_flight_counts_and_a_file_is_listed_while_it_is_held() {
        let watch = DiskWatch::default();
        let (one, other) = (watch.list(), watch.list());
        assert_eq!(watch.waits_since(), None);
        let first = one.begin(Caller::Writer);
        let since = watch.waits_since().expect("a call");
        let second = other.begin(Caller::Syncer);
        assert_eq!(watch.waits_since(), Some(since));
        drop(first);
        assert!(watch.waits_since().expect("the other one") >= since);
        drop(second);
        assert_eq!(watch.waits_since(), None);

        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("cam1.mp4");
        let file = File::create(&path).expect("a file");
        one.hold(&path, &file).expect("it is there");
        let held = watch.held();
        assert_eq!(held.iter().map(|held| &held.path).collect::<Vec<_>>(), [&path]);
        assert!(held[0].is(&path.metadata().expect("it is there")));
        std::fs::rename(&path, dir.path().join("moved")).expect("renamed");
        std::fs::write(&path, "another").expect("a file");
        assert!(!held[0].is(&path.metadata().expect("it is there")));
        drop(one);
        assert_eq!(watch.held(), []);
    }
}

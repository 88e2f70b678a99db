//! The sink on a disk that refuses: full, failing writes, failing syncs (R-FM-4). It keeps accepting, tells once, and
//! whatever was written stays playable.

use super::log::LoggedStore;
use super::record::{self, CONTENTS};
use super::{Reader, SYNC_DEADLINE, announced, assert_holds, assert_ordinary, matroska};
use holdfast::media::durable_sink::{Finished, PartWriter, Progress, SinkEvent, Trouble};
use holdfast::media::finalise::PartStore;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};

/// A store with limits, on top of one that remembers.
struct Brittle {
    inner: LoggedStore,
    /// Bytes the disk has, reserved ones included.
    capacity: u64,
    reserved: AtomicU64,
    /// Number of the append and of the sync that fail, with EIO.
    bad_write: u64,
    bad_sync: u64,
    /// The sync between the appended moov and the flip fails.
    bad_finalise: bool,
    finalising: AtomicBool,
    /// The sync that is in flight when the part is closed fails, with EIO: it takes until then.
    bad_last_sync: AtomicBool,
    closing: (Mutex<bool>, Condvar),
    writes: AtomicU64,
    syncs: AtomicU64,
}

impl Default for Brittle {
    fn default() -> Self {
        Self {
            inner: LoggedStore::default(),
            capacity: u64::MAX,
            reserved: AtomicU64::new(0),
            bad_write: u64::MAX,
            bad_sync: u64::MAX,
            bad_finalise: false,
            finalising: AtomicBool::new(false),
            bad_last_sync: AtomicBool::new(false),
            closing: Default::default(),
            writes: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
        }
    }
}

fn refuse(errno: rustix::io::Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.raw_os_error())
}

impl PartStore for Brittle {
    fn write_at(&self, offset: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
        let bytes: u64 = slices.iter().map(|slice| slice.len() as u64).sum();
        // The commit of a fragment (4 or 12 bytes) comes from the sync thread, at no fixed place in the order.
        if bytes > 12 && self.writes.fetch_add(1, Ordering::Relaxed) == self.bad_write {
            return Err(refuse(rustix::io::Errno::IO));
        }
        if offset + bytes > self.capacity {
            return Err(refuse(rustix::io::Errno::NOSPC));
        }
        let moov = slices.first().is_some_and(|slice| slice.get(4..8) == Some(b"moov"));
        self.finalising.fetch_or(moov, Ordering::Relaxed);
        self.inner.write_at(offset, slices)
    }

    fn sync(&self) -> io::Result<()> {
        if self.bad_finalise && self.finalising.load(Ordering::Relaxed) {
            return Err(refuse(rustix::io::Errno::IO));
        }
        if self.bad_last_sync.swap(false, Ordering::Relaxed) {
            let (closing, changed) = &self.closing;
            let waited =
                changed.wait_timeout_while(closing.lock().expect("no panic"), SYNC_DEADLINE, |closing| !*closing);
            assert!(*waited.expect("no panic").0, "nobody closed the part");
            return Err(refuse(rustix::io::Errno::IO));
        }
        if self.syncs.fetch_add(1, Ordering::Relaxed) == self.bad_sync {
            return Err(refuse(rustix::io::Errno::IO));
        }
        self.inner.sync()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.inner.read_at(offset, buffer)
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn reserve(&self, offset: u64, bytes: u64) -> io::Result<()> {
        if offset + bytes > self.capacity {
            return Err(refuse(rustix::io::Errno::NOSPC));
        }
        self.reserved.store(offset + bytes, Ordering::Relaxed);
        Ok(())
    }

    fn release(&self) -> io::Result<()> {
        self.reserved.store(0, Ordering::Relaxed);
        self.inner.release()
    }
}

/// What a writer told.
#[derive(Default)]
struct Heard {
    progress: Vec<Progress>,
    troubles: Vec<Trouble>,
}

impl Heard {
    fn take(&mut self, event: SinkEvent) {
        match event {
            SinkEvent::Progress(step) => self.progress.push(step),
            SinkEvent::Trouble(trouble) => self.troubles.push(trouble),
        }
    }

    /// Whether a sync is still to come, good or bad.
    fn awaits_sync(&self) -> bool {
        self.troubles.is_empty() && self.progress.last().is_some_and(|last| last.safe < last.written)
    }
}

/// Records the noise (about 75 kB a fragment) to `store`.
fn record_to(store: &Arc<Brittle>) -> (Finished, Vec<Progress>, Vec<Trouble>) {
    push_to(store, record::record(CONTENTS[2]))
}

/// Records `pushes` to `store`. Where a sync is to fail, each has its own, until it does: a thread that gets no processor
/// meanwhile would serve all in one.
fn push_to(store: &Arc<Brittle>, pushes: Vec<record::Push>) -> (Finished, Vec<Progress>, Vec<Trouble>) {
    let (events, received) = mpsc::sync_channel(10_000);
    let on_event = move |event| events.send(event).expect("the test listens");
    let mut writer = PartWriter::new(Arc::clone(store) as Arc<dyn PartStore>, Arc::new(on_event)).expect("a writer");
    let mut heard = Heard::default();
    for push in pushes {
        let slices: Vec<&[u8]> = push.iter().map(Vec::as_slice).collect();
        writer.push(&slices);
        received.try_iter().for_each(|event| heard.take(event));
        while store.bad_sync != u64::MAX && heard.awaits_sync() {
            heard.take(received.recv_timeout(SYNC_DEADLINE).expect("a sync"));
        }
    }
    *store.closing.0.lock().expect("no panic") = true;
    store.closing.1.notify_all();
    let finished = writer.finish();
    received.try_iter().for_each(|event| heard.take(event));
    (finished, heard.progress, heard.troubles)
}

#[test]
fn a_full_disk_is_told_once_and_leaves_room_to_finalise() {
    // Room for the margin of 1 MB, two guessed fragments of 1 MB, and a few real ones.
    let store = Arc::new(Brittle { capacity: 3_200_000, ..Brittle::default() });
    let (finished, _, troubles) = record_to(&store);
    assert_eq!(troubles, [Trouble::DiskFull]);
    assert!(finished.unfinalised.is_none(), "{finished:?}");
    let bytes = store.inner.bytes();
    assert_ordinary("full disk", &bytes);
    let summary = finished.summary.expect("a summary");
    assert!(summary.video_samples > 0);
    let found = Reader::new().read(&bytes);
    assert_holds("full disk", &found, (summary.video_samples as usize, summary.audio_samples as usize));
    assert_eq!(store.reserved.load(Ordering::Relaxed), 0, "room stays reserved");
}

#[test]
fn a_disk_full_from_the_first_byte_leaves_an_empty_part_and_says_so() {
    let store = Arc::new(Brittle { capacity: 100, ..Brittle::default() });
    let (finished, progress, troubles) = record_to(&store);
    assert_eq!(troubles, [Trouble::DiskFull]);
    assert!(finished.summary.is_none() && progress.is_empty(), "{finished:?} {progress:?}");
}

#[test]
fn a_refused_write_ends_the_part_and_keeps_what_is_there() {
    let store = Arc::new(Brittle { bad_write: 7, ..Brittle::default() });
    let (finished, _, troubles) = record_to(&store);
    assert!(matches!(troubles.as_slice(), [Trouble::Write(_)]), "{troubles:?}");
    let summary = finished.summary.expect("a summary");
    let found = Reader::new().read(&store.inner.bytes());
    assert!(summary.video_samples >= 15, "{summary:?}");
    assert_holds("refused write", &found, (summary.video_samples as usize, summary.audio_samples as usize));
}

#[test]
fn after_a_failed_sync_nothing_more_is_called_safe_and_recording_goes_on() {
    let store = Arc::new(Brittle { bad_sync: 2, ..Brittle::default() });
    let (finished, progress, troubles) = record_to(&store);
    assert!(matches!(troubles.as_slice(), [Trouble::Sync(_)]), "{troubles:?}");
    let last = progress.last().expect("progress");
    assert!(last.safe < last.written, "{last:?}");
    assert_eq!(finished.summary.expect("a summary").video_samples, u64::from(record::FRAMES));
    assert_ordinary("failed sync", &store.inner.bytes());
}

/// Nobody listens to a part that is being closed: how it ended has to say it.
#[test]
fn a_last_sync_that_fails_puts_a_part_in_doubt_that_lacks_nothing() {
    let store = Arc::new(Brittle { bad_last_sync: AtomicBool::new(true), ..Brittle::default() });
    let (finished, progress, _) = record_to(&store);
    assert!(matches!(finished.trouble, Some(Trouble::Sync(_))), "{finished:?}");
    assert!(finished.unfinalised.is_none() && progress.iter().all(|step| step.safe.is_zero()), "{finished:?}");
    assert_eq!(finished.summary.expect("a summary").video_samples, u64::from(record::FRAMES));
    assert_ordinary("last sync failed", &store.inner.bytes());
}

/// What a full disk refuses besides is not the full disk.
#[test]
fn a_last_sync_that_fails_on_a_full_disk_is_a_doubt_of_its_own() {
    let store = Brittle { capacity: 3_200_000, bad_last_sync: AtomicBool::new(true), ..Brittle::default() };
    let (finished, _, troubles) = record_to(&Arc::new(store));
    assert!(matches!(troubles.as_slice(), [Trouble::DiskFull, Trouble::Sync(_)]), "{troubles:?}");
    assert!(matches!(finished.trouble, Some(Trouble::Sync(_))), "{finished:?}");
}

#[test]
fn a_disk_that_refuses_to_finalise_leaves_a_readable_fragmented_file() {
    let store = Arc::new(Brittle { bad_finalise: true, ..Brittle::default() });
    let (finished, ..) = record_to(&store);
    assert!(finished.unfinalised.is_some());
    let bytes = store.inner.bytes();
    assert_eq!(announced(&bytes).0, record::FRAMES as usize);
    assert_holds("not finalised", &Reader::new().read(&bytes), announced(&bytes));
}

/// Expects every frame of `finished` in an ordinary Matroska file.
fn assert_matroska(what: &str, store: &Brittle, finished: &Finished) {
    assert!(finished.unfinalised.is_none(), "{what}: {finished:?}");
    let bytes = store.inner.bytes();
    matroska::assert_ordinary(what, &bytes);
    let summary = finished.summary.as_ref().expect("a summary");
    assert!(summary.video_samples >= 15, "{what}: {summary:?}");
    let found = Reader::of("part.mkv").read(&bytes);
    assert_holds(what, &found, (summary.video_samples as usize, summary.audio_samples as usize));
    assert_eq!((&found.0.complaints, &found.1.complaints), (&vec![], &vec![]), "{what}");
}

#[test]
fn a_disk_in_trouble_leaves_an_ordinary_matroska_file_of_what_it_took() {
    let pushes = record::record_matroska(CONTENTS[2], false);
    let store = Arc::new(Brittle { capacity: 3_200_000, ..Brittle::default() });
    let (finished, _, troubles) = push_to(&store, pushes.clone());
    assert_eq!(troubles, [Trouble::DiskFull]);
    assert_matroska("full disk", &store, &finished);

    let store = Arc::new(Brittle { bad_write: 5, ..Brittle::default() });
    let (finished, _, troubles) = push_to(&store, pushes.clone());
    assert!(matches!(troubles.as_slice(), [Trouble::Write(_)]), "{troubles:?}");
    assert_matroska("refused write", &store, &finished);

    // What was never committed is committed when the part is closed, if the disk lets it.
    let store = Arc::new(Brittle { bad_sync: 2, ..Brittle::default() });
    let (finished, progress, troubles) = push_to(&store, pushes);
    assert!(matches!(troubles.as_slice(), [Trouble::Sync(_)]), "{troubles:?}");
    assert!(progress.last().is_some_and(|last| last.safe < last.written), "{progress:?}");
    assert_eq!(finished.summary.as_ref().map(|summary| summary.video_samples), Some(u64::from(record::FRAMES)));
    assert_matroska("failed sync", &store, &finished);
}

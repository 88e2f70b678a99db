//! The sync thread of one part: at most one `fdatasync` in flight, always for the newest request.

use super::format::Commit;
use crate::media::finalise::PartStore;
use std::io::{self, IoSlice};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a committed fragment waits for the next request before it gets a sync of its own. Two fragments: while
/// media flows, the next fragment's sync covers the commit and costs nothing extra.
const COMMIT_GRACE: Duration = Duration::from_secs(1);

/// Runs `fdatasync` off the streaming thread. Requests while one is in flight fold into one.
///
/// A fragment becomes safe in three steps: its bytes are synced in a disguise (a `moof` reads `free`, a cluster
/// `Void`); the disguise is taken away (the commit); the next sync covers that. Whatever the power takes in between, a
/// demuxer sees something it skips, never half a fragment.
#[derive(Debug)]
pub(super) struct Syncer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    wanted: Option<Request>,
    quit: bool,
    /// The disk has refused: nobody takes requests any more.
    ended: bool,
}

/// Fragments that were written and are to be made safe.
#[derive(Debug, Default)]
pub(super) struct Request {
    /// Media time behind the last of them.
    pub(super) media: Duration,
    /// What takes their disguise away.
    pub(super) commits: Vec<Commit>,
}

/// What the thread waits for.
enum Next {
    Sync(Request),
    /// Nothing new came within [`COMMIT_GRACE`].
    Quiet,
    Quit,
}

impl Syncer {
    /// Starts the thread. `on_synced` gets the media time that is safe now, or why the disk refused; after an error
    /// the thread ends, because the kernel may have dropped what it could not write.
    pub(super) fn start(
        store: Arc<dyn PartStore>,
        on_synced: impl Fn(io::Result<Duration>) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("part-sync".to_owned()).spawn(move || {
            if let Err(error) = serve(&theirs, &*store, &on_synced) {
                theirs.end();
                on_synced(Err(error));
            }
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Asks for everything written so far, up to `request.media`, to be made safe.
    pub(super) fn request(&self, request: Request) {
        let mut state = self.shared.lock();
        if state.ended {
            // Nothing of this part becomes safe any more; what would take the disguises away is collected for nobody.
            return;
        }
        let wanted = state.wanted.get_or_insert_default();
        wanted.media = request.media;
        wanted.commits.extend(request.commits);
        drop(state);
        self.shared.changed.notify_one();
    }

    /// Serves the last request and ends the thread. Blocks as long as the disk does.
    pub(super) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.lock().quit = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic aborts the process before it could be seen here.
            let _ = thread.join();
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.end();
    }
}

fn serve(shared: &Shared, store: &dyn PartStore, on_synced: &dyn Fn(io::Result<Duration>)) -> io::Result<()> {
    let mut safe = Duration::ZERO;
    let mut committed = Duration::ZERO;
    loop {
        let request = match shared.next(committed > safe) {
            Next::Sync(request) => Some(request),
            Next::Quiet => None,
            Next::Quit => return Ok(()),
        };
        store.sync()?;
        if committed > safe {
            safe = committed;
            on_synced(Ok(safe));
        }
        if let Some(request) = request {
            for commit in request.commits {
                store.write_at(commit.at, &[IoSlice::new(&commit.bytes)])?;
            }
            committed = request.media;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.wanted = None;
    }

    fn next(&self, uncovered: bool) -> Next {
        let idle = |state: &mut State| state.wanted.is_none() && !state.quit;
        let mut state = if uncovered {
            let waited = self.changed.wait_timeout_while(self.lock(), COMMIT_GRACE, idle);
            waited.unwrap_or_else(PoisonError::into_inner).0
        } else {
            // Without a deadline on purpose: the owner ends this wait by `quit` in every drop path.
            self.changed.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner)
        };
        match state.wanted.take() {
            Some(request) => Next::Sync(request),
            None if state.quit => Next::Quit,
            None => Next::Quiet,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;

    /// A disk that takes everything and makes nothing safe.
    struct Refuses;

    impl PartStore for Refuses {
        fn write_at(&self, _offset: u64, _slices: &[IoSlice<'_>]) -> io::Result<()> {
            Ok(())
        }

        fn sync(&self) -> io::Result<()> {
            Err(rustix::io::Errno::IO.into())
        }

        fn read_at(&self, _offset: u64, _buffer: &mut [u8]) -> io::Result<()> {
            Ok(())
        }

        fn len(&self) -> io::Result<u64> {
            Ok(0)
        }

        fn reserve(&self, _offset: u64, _bytes: u64) -> io::Result<()> {
            Ok(())
        }

        fn release(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_thread_that_has_ended_collects_nothing() {
        let (told, refused) = sync_channel(1);
        let syncer =
            Syncer::start(Arc::new(Refuses), move |result| told.send(result.is_err()).expect("a test that waits"))
                .expect("a thread");
        syncer.request(Request::default());
        assert_eq!(refused.recv_timeout(Duration::from_secs(10)), Ok(true));
        syncer.request(Request::default());
        assert!(syncer.shared.lock().wanted.is_none(), "for nobody");
    }
}

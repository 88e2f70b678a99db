//! The sync thread of one part: at most one `fdatasync` in flight, always for the newest request.

use crate::media::finalise::PartStore;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Runs `fdatasync` off the streaming thread. Requests while one is in flight fold into one.
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
    /// Media time to make safe, newest request only.
    wanted: Option<Duration>,
    quit: bool,
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
            while let Some(media) = theirs.next() {
                let result = store.sync().map(|()| media);
                let failed = result.is_err();
                on_synced(result);
                if failed {
                    return;
                }
            }
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Asks for everything written so far, up to `media`, to be made safe.
    pub(super) fn request(&self, media: Duration) {
        self.shared.lock().wanted = Some(media);
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

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next request; `None` = quit, and nothing is left to do.
    fn next(&self) -> Option<Duration> {
        let idle = |state: &mut State| state.wanted.is_none() && !state.quit;
        // Without a deadline on purpose: the owner ends this wait by `quit` in every drop path.
        let mut state = self.changed.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        state.wanted.take()
    }
}

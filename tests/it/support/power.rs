//! How late the syncs of a disk are whose power will be cut.

use super::loss;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Syncs that are remembered, and the pause between two: about a second.
const SYNCS: usize = 20;
const SYNC_PAUSE: Duration = Duration::from_millis(50);

/// Watches how much later than they should syncs of a disk return until its power goes, be it for want of the disk or of
/// a processor: what is on the disk then is that much older.
#[derive(Debug)]
pub struct SyncWatch {
    stop: SyncSender<Infallible>,
    thread: JoinHandle<Duration>,
}

impl SyncWatch {
    /// Syncs a sector of its own in `dir` again and again.
    pub fn start(dir: &Path) -> Self {
        let file = std::fs::File::create(dir.join(".sync")).expect("a file");
        let (stop, stopped) = sync_channel(0);
        let watch = move || {
            let mut took = VecDeque::new();
            let mut due = loss::monotonic();
            loop {
                let done = file.write_all_at(&[took.len() as u8; 512], 0).and_then(|()| file.sync_data());
                let returned = loss::monotonic();
                took.push_back(returned.saturating_sub(due));
                if took.len() > SYNCS {
                    took.pop_front();
                }
                due = returned + SYNC_PAUSE;
                if done.is_err() || stopped.recv_timeout(SYNC_PAUSE) == Err(RecvTimeoutError::Disconnected) {
                    // One that should have begun by now was kept from it.
                    took.push_back(loss::monotonic().saturating_sub(due));
                    return took.into_iter().max().unwrap_or_default();
                }
            }
        };
        Self { stop, thread: std::thread::spawn(watch) }
    }

    /// By how much the latest of the last syncs before the power went was late, or that which was under way then.
    pub fn slowest(self) -> Duration {
        drop(self.stop);
        self.thread.join().expect("it does not panic")
    }
}

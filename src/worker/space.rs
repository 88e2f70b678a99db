//! Watches the room on the file system of a running recording, on a thread of its own: `statvfs` can block.

use super::Notice;
use super::mailbox::Mailbox;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Distance between two looks: at 100 MB/s the floor of 1 GB leaves ten of them.
const INTERVAL: Duration = Duration::from_secs(1);

/// Looks as long as it lives.
#[derive(Debug)]
pub struct SpaceWatch {
    _stop: SyncSender<()>,
}

impl SpaceWatch {
    /// Starts looking at the file system of `dir`.
    pub fn start(dir: PathBuf, mailbox: Mailbox<Notice>) -> std::io::Result<Self> {
        let (stop, stopped) = sync_channel::<()>(0);
        std::thread::Builder::new().name("space".to_owned()).spawn(move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                match rustix::fs::statvfs(&dir) {
                    Ok(space) => mailbox.send(Notice::Space(space.f_bavail.saturating_mul(space.f_frsize))),
                    Err(error) => tracing::warn!(dir = %dir.display(), %error, "the free space is not known"),
                }
            }
        })?;
        Ok(Self { _stop: stop })
    }
}

//! What an engine does last: what is queued for the disk is written, and what it leaves in the runtime folder is removed.

use super::Options;
use super::disk::Disk;
use std::path::Path;
use std::time::Duration;

/// A disk that does not take the last journal lines within this keeps nobody from leaving.
const FLUSH_DEADLINE: Duration = Duration::from_secs(2);

/// Removes our socket, and those of workers that are gone: only the holder of a lock may.
pub fn tidy(options: &Options, socket: &Path) {
    remove(socket);
    for input in &options.config.inputs {
        if let Ok(Some(_lock)) = crate::sys::lock::try_lock(&options.runtime.worker_lock(&input.id)) {
            remove(&options.runtime.worker_socket(&input.id));
        }
    }
}

fn remove(socket: &Path) {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(socket = %socket.display(), %error, "a socket could not be removed");
        }
        _ => {}
    }
}

/// Waits until everything queued so far is written; the loop's thread does not wait for the disk.
pub async fn flush(disk: Disk) {
    // Late or not: nobody is kept by a disk that does not answer.
    drop(tokio::task::spawn_blocking(move || disk.flush(FLUSH_DEADLINE)).await);
}

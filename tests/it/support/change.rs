//! Waiting for a change in a folder.

use super::process::{self, Deadline};
use rustix::fs::inotify;
use std::mem::MaybeUninit;
use std::path::Path;
use std::time::Duration;

/// Waits until something in `folder` is made, renamed or written to, at most `time`. A pulse is no change: it beats all
/// the time.
pub fn wait_for_change(folder: &Path, time: Duration) {
    let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
    let watch = inotify::init(flags).expect("an inotify");
    let changes = inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::MODIFY;
    inotify::add_watch(&watch, folder, changes).expect("the folder exists");
    let deadline = Deadline::after(time);
    let mut buffer = [MaybeUninit::uninit(); 4096];
    while deadline.left().is_some_and(|left| process::readable(&watch, left)) {
        let mut events = inotify::Reader::new(&watch, &mut buffer);
        while let Ok(event) = events.next() {
            if event.file_name().is_none_or(|name| !name.to_bytes().ends_with(b".pulse")) {
                return;
            }
        }
    }
}

//! Looks through the library in the background: the newest folders first, then the others, then again at those that
//! could not be read.
//!
//! Contract: an error must not be taken for an empty library or a session that is over, or workers that record into it
//! would be stopped. What could not be read is told before the search is called complete.

use super::event::Event;
use crate::storage::search::{self, Found, Look, Unread};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc::Sender;

/// Folders that are looked at before anything is told: what is recorded now is among them unless the clock was set
/// back. A hard disk takes 20 ms for each, which leaves most of the 2 s within which recording must be possible (R-FM-11).
const NEWEST: usize = 32;
/// A library that cannot be read is read again after this long; it may be a disk that is being mounted.
const LIBRARY_AGAIN: Duration = Duration::from_secs(2);
/// A folder that cannot be read is read again after this long: somebody may record into it, but a disk with a bad sector
/// answers each time only after seconds of its own tries.
const FOLDER_AGAIN: Duration = Duration::from_secs(10);

/// Searches `library` until all of it was read.
pub async fn run(library: PathBuf, events: Sender<Event>) {
    let mut unread = loop {
        let (path, told) = (library.clone(), events.clone());
        let error = match tokio::task::spawn_blocking(move || search_all(&path, &told)).await {
            Ok(Ok(unread)) => break unread,
            Ok(Err(error)) => error,
            Err(error) => error.into(),
        };
        tracing::error!(%error, "the library cannot be searched for interrupted sessions yet");
        tokio::time::sleep(LIBRARY_AGAIN).await;
    };
    while !unread.is_empty() && !events.is_closed() {
        tokio::time::sleep(FOLDER_AGAIN).await;
        let told = events.clone();
        let before = unread.clone();
        match tokio::task::spawn_blocking(move || look_again(before, &told)).await {
            Ok(still) => unread = still,
            Err(error) => tracing::error!(%error, "the folders that could not be read are not looked at again"),
        }
    }
}

/// Looks at every folder; gives back what could not be read.
fn search_all(library: &Path, events: &Sender<Event>) -> io::Result<Vec<Unread>> {
    let mut unread = Vec::new();
    search::search_newest_first(library, NEWEST, &mut |found: Found| {
        if !found.unread.is_empty() {
            unread.extend(found.unread);
            tell(events, Event::Unread(unread.clone()));
        }
        tell(events, Event::Found { interrupted: found.interrupted, last: found.last });
    })?;
    tell(events, Event::Searched { interrupted: Vec::new(), last: None });
    Ok(unread)
}

/// Looks once more at folders that could not be read; gives back those that still cannot.
fn look_again(unread: Vec<Unread>, events: &Sender<Event>) -> Vec<Unread> {
    let (mut still, mut interrupted) = (Vec::new(), Vec::new());
    let before = unread.len();
    for folder in unread {
        match search::look(&folder.dir) {
            Look::Unread(again) => still.push(again),
            Look::Interrupted(found) => interrupted.push(*found),
            Look::Empty | Look::Closed => {}
        }
    }
    if still.len() != before {
        tell(events, Event::Found { interrupted, last: None });
        tell(events, Event::Unread(still.clone()));
    }
    still
}

fn tell(events: &Sender<Event>, event: Event) {
    // The loop has ended: nobody is interested any more.
    drop(events.blocking_send(event));
}

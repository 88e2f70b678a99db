//! Watches the file system of a running recording, on a thread of its own because each question can block: the room on
//! it, and whether what is found at the path of each open file is that file (R-FM-13).
//!
//! Contract: what changes is told once. A question that is not answered is seen in the [`DiskWatch`] like every other call
//! to the disk, and holds up nothing but the next one.

use super::Notice;
use super::mailbox::Mailbox;
use super::state::Place;
use crate::media::durable_sink::{Caller, Calls, DiskWatch, Held, Trouble};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Distance between two looks: at 100 MB/s the floor of 1 GB leaves twenty of them, and a file that is gone is known
/// within a second.
const INTERVAL: Duration = Duration::from_millis(500);

/// Looks as long as it lives.
#[derive(Debug)]
pub struct SpaceWatch {
    _stop: SyncSender<Infallible>,
}

impl SpaceWatch {
    /// Starts looking at the file system of `dir`, and at the files listed in `disk`.
    pub fn start(dir: PathBuf, disk: DiskWatch, mailbox: Mailbox<Notice>) -> io::Result<Self> {
        let (stop, stopped) = sync_channel::<Infallible>(0);
        std::thread::Builder::new().name("space".to_owned()).spawn(move || {
            let calls = disk.list();
            let mut places = Places::default();
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                for (path, place) in places.look(&disk.held(), &calls) {
                    mailbox.send(Notice::FilePlace(path, place));
                }
                mailbox.send(Notice::Space(dir.clone(), free_bytes(&dir, &calls)));
            }
        })?;
        Ok(Self { _stop: stop })
    }
}

fn free_bytes(dir: &Path, calls: &Calls) -> Result<u64, Trouble> {
    let _in_flight = calls.begin(Caller::Writer);
    let space = rustix::fs::statvfs(dir);
    let space = space.map_err(|error| Trouble::of_file("the free space is not known", &error.into()))?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

/// What was told of the files.
#[derive(Debug, Default)]
struct Places(BTreeMap<PathBuf, Place>);

impl Places {
    /// What has changed since the last look.
    fn look(&mut self, held: &[Held], calls: &Calls) -> Vec<(PathBuf, Place)> {
        self.0.retain(|path, _| held.iter().any(|held| held.path == *path));
        let mut changes = Vec::new();
        for held in held {
            let Some(place) = place(held, calls) else { continue };
            let before = self.0.insert(held.path.clone(), place.clone()).unwrap_or(Place::Found);
            // A folder that is gone may be gone in other words at the next look; that is no news.
            if std::mem::discriminant(&before) != std::mem::discriminant(&place) {
                changes.push((held.path.clone(), place));
            }
        }
        changes
    }
}

/// What is at the path of `held`; `None` = the disk does not say.
fn place(held: &Held, calls: &Calls) -> Option<Place> {
    let _in_flight = calls.begin(Caller::Writer);
    let gone = |error: io::Error| match Trouble::of(&error) {
        Trouble::Vanished(reason) => Some(Place::Gone { reason }),
        _ => None,
    };
    match std::fs::symlink_metadata(&held.path) {
        Ok(meta) if held.is(&meta) => Some(Place::Found),
        Ok(_) => Some(Place::Displaced),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match held.path.parent().map_or(Ok(()), |folder| std::fs::metadata(folder).map(|_| ())) {
                Ok(()) => Some(Place::Displaced),
                Err(error) => gone(error),
            }
        }
        Err(error) => gone(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::durable_sink::{self, SinkOptions};
    use std::fs;

    #[test]
    fn a_file_is_missed_when_it_is_gone_moved_or_another_and_its_folder_when_that_is_gone() {
        gst::init().expect("GStreamer");
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("session");
        fs::create_dir(&folder).expect("a folder");
        let (path, aside) = (folder.join("cam1.mp4"), folder.join("aside"));
        let disk = DiskWatch::default();
        let calls = disk.list();
        let options = SinkOptions { path: path.clone(), name: "cam1-sink".to_owned(), watch: disk.clone() };
        let sink = durable_sink::make(options, |_| {}).expect("a part");
        let mut places = Places::default();
        let mut look = || places.look(&disk.held(), &calls);
        let told = |place| vec![(path.clone(), place)];
        assert_eq!(look(), []);
        fs::rename(&path, &aside).expect("renamed");
        assert_eq!(look(), told(Place::Displaced));
        assert_eq!(look(), [], "once");
        fs::write(&path, "another").expect("written");
        assert_eq!(look(), [], "still not ours");
        fs::rename(&aside, &path).expect("renamed");
        assert_eq!(look(), told(Place::Found));
        fs::rename(&folder, root.path().join("elsewhere")).expect("renamed");
        assert!(matches!(&look()[..], [(_, Place::Gone { .. })]));
        fs::create_dir(&folder).expect("a folder");
        assert_eq!(look(), told(Place::Displaced), "a folder of that name is there, the file is not");
        fs::remove_dir(&folder).expect("it is empty");
        fs::rename(root.path().join("elsewhere"), &folder).expect("renamed");
        assert_eq!(look(), told(Place::Found));
        fs::remove_file(&path).expect("removed");
        assert_eq!(look(), told(Place::Displaced));
        // Nobody cares for a file that is closed.
        drop(durable_sink::finish(&sink));
        assert_eq!((look(), disk.held()), (vec![], vec![]));
    }
}

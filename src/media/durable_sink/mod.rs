//! The durable sink: a `basesink` that writes one part and knows at any time how much of it is safe on the disk.
//!
//! ```text
//! streaming thread ──▶ element ──▶ PartWriter ──▶ PartStore (append only)
//!                                      │ its Format (mp4, mkv): a fragment is complete
//!                                      ▼
//!                     sync thread: fdatasync, one in flight ──▶ SinkEvent::Progress { safe, … }
//! ```
//!
//! Contract: creates its file (never opens an existing one), only appends, holds the part's lock until it is dropped,
//! and accepts data whatever the disk does, so that an EOS always gets through. Trouble is reported once per kind and
//! never ends the stream by itself: that is the worker's decision. After EOS, [`finish`] finalises the part.

mod element;
mod format;
mod mkv;
mod mp4;
mod report;
mod sync;
mod watch;
mod writer;

pub use report::Trouble;
pub use watch::{Caller, Calls, DiskWatch, Held};
pub use writer::PartWriter;

use crate::media::finalise::{FinaliseError, PartStore, Summary};
use crate::sys::lock;
use gst::prelude::*;
use gst::subclass::prelude::*;
use rustix::fs::{Mode, OFlags, open};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What the sink tells its owner, from the streaming and the sync thread; must not block.
#[derive(Debug, Clone, PartialEq)]
pub enum SinkEvent {
    /// A fragment was written, or became safe.
    Progress(Progress),
    /// The disk or the stream is in trouble.
    Trouble(Trouble),
}

/// How far a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Media time in complete fragments handed to the kernel, since the beginning of the part.
    pub written: Duration,
    /// Media time that survives a power cut. Never grows again after a failed sync.
    pub safe: Duration,
    /// Bytes handed to the kernel.
    pub bytes: u64,
    /// Video frames in complete fragments.
    pub video_frames: u64,
}

/// Receives [`SinkEvent`]s.
pub type Events = Arc<dyn Fn(SinkEvent) + Send + Sync>;

/// Which file to make.
#[derive(Debug, Clone)]
pub struct SinkOptions {
    /// The file; must not exist, its folder must.
    pub path: PathBuf,
    /// Name of the element (`<input>-sink`).
    pub name: String,
    /// Where it is listed while it is open.
    pub watch: DiskWatch,
}

/// Why a part could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file of this name is there; it is never opened for writing.
    #[error("{0} exists already and is left alone")]
    Exists(PathBuf),
    /// The file system refused.
    #[error("{path} cannot be made: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl OpenError {
    /// What the disk has against it; `None` = nothing.
    pub fn trouble(&self) -> Option<Trouble> {
        match self {
            OpenError::Exists(_) => None,
            OpenError::Io { path, error } => Some(Trouble::of_open(path, error)),
        }
    }
}

/// How a part ended.
#[derive(Debug)]
pub struct Finished {
    /// What is in the file, `None` = not one complete fragment.
    pub summary: Option<Summary>,
    /// Size of the file.
    pub bytes: u64,
    /// The first trouble of this part that puts what was written in doubt (sync, write), else the first.
    pub trouble: Option<Trouble>,
    /// Why it could not be made an ordinary file; it is readable as a stream then.
    pub unfinalised: Option<FinaliseError>,
    /// Digest of the payload of every fragment handed to the kernel, in the order of the file; what the disk gives
    /// back later must be the same ([`crate::media::finalise::MediaReader`]). `None` = there is no fragment.
    pub payload: Option<blake3::Hash>,
}

/// Creates `options.path` (O_EXCL), locks it, makes it and its name survive a power cut, and returns the element that
/// writes it. Blocks on the disk.
pub fn make(
    options: SinkOptions,
    events: impl Fn(SinkEvent) + Send + Sync + 'static,
) -> Result<gst::Element, OpenError> {
    let calls = options.watch.list();
    let store = Arc::new(create(&options.path, &calls)?);
    let writer = PartWriter::watched(store, Arc::new(events), calls)
        .map_err(|error| OpenError::Io { path: options.path.clone(), error })?;
    let element: element::DurableSink = glib::Object::builder().property("name", &options.name).build();
    element.imp().install(writer);
    Ok(element.upcast())
}

/// Ends the part of a sink whose pipeline is in NULL: last sync, finalise, give back reserved room. Blocks on the
/// disk; call it on a thread with a deadline. `None` = `element` is not a durable sink, or was finished before.
pub fn finish(element: &gst::Element) -> Option<Finished> {
    element.downcast_ref::<element::DurableSink>()?.imp().take()?.finish().into()
}

fn create(path: &std::path::Path, calls: &Calls) -> Result<File, OpenError> {
    let _in_flight = calls.begin(Caller::Writer);
    let io_error = |error: io::Error| OpenError::Io { path: path.to_owned(), error };
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = match open(path, flags, Mode::from_raw_mode(0o644)) {
        Ok(fd) => File::from(fd),
        Err(rustix::io::Errno::EXIST) => return Err(OpenError::Exists(path.to_owned())),
        Err(error) => return Err(io_error(error.into())),
    };
    // Nobody else can know a file this young, but somebody may just be asking whether it is locked.
    if !lock::lock_fd_soon(&file).map_err(io_error)? {
        return Err(io_error(io::Error::other("its lock is held by another process")));
    }
    calls.hold(path, &file).map_err(io_error)?;
    PartStore::sync(&file).map_err(io_error)?;
    if let Some(dir) = path.parent() {
        let dir = open(dir, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        dir.map_err(io::Error::from).and_then(|dir| File::from(dir).sync_all()).map_err(io_error)?;
    }
    Ok(file)
}

//! The locks that make an engine the only one of its runtime folder and of its library.

use super::disk::explain;
use super::{fence, takeover};
use crate::model::InputId;
use crate::model::input::InputSpec;
use crate::storage::space::Home;
use crate::storage::{atomic, layout};
use crate::sys::clock;
use crate::sys::lock::{Lock, is_held, try_lock};
use crate::sys::paths::Runtime;
use anyhow::{Context, bail};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

/// A library on a disk that spins up, or on a share that is mounted at last, answers by then.
const LIBRARY_ANSWERS: Duration = Duration::from_secs(15);

/// Held as long as the engine runs.
#[derive(Debug)]
pub struct Locks {
    /// Number of this engine among those of the runtime folder, counted up under its lock.
    pub epoch: u64,
    /// Where the library lies.
    pub home: Home,
    _engine: Lock,
    _library: Lock,
}

/// Inputs that are served by a worker although they are not configured (any more). An earlier engine left it.
pub fn strays(runtime: &Runtime, configured: &[InputSpec]) -> Vec<InputId> {
    let found = runtime.workers().unwrap_or_else(|error| {
        tracing::warn!(%error, "the locks of workers cannot be listed; workers of older configurations are not found");
        Vec::new()
    });
    let known = |id: &InputId| configured.iter().any(|spec| spec.id == *id);
    let held = |id: &InputId| matches!(is_held(&runtime.worker_lock(id)), Ok(true));
    found.into_iter().filter(|id| !known(id) && held(id)).collect()
}

/// Takes both for an engine, from one that hangs if need be.
pub fn take_over(runtime: &Runtime, library: &Path) -> anyhow::Result<Locks> {
    with_library(takeover::take(runtime)?, runtime, library)
}

/// Takes both if nobody has them.
pub fn take(runtime: &Runtime, library: &Path) -> anyhow::Result<Locks> {
    let path = runtime.engine_lock();
    let engine = try_lock(&path).with_context(|| format!("{} cannot be locked", path.display()))?;
    let Some(engine) = engine else {
        bail!("an engine is running already in {}; use `holdfast status`", runtime.dir().display());
    };
    with_library(engine, runtime, library)
}

/// Takes the library as well, making it when it does not exist.
fn with_library(engine: Lock, runtime: &Runtime, library: &Path) -> anyhow::Result<Locks> {
    let Some((library, home)) = lock_library(library)? else {
        bail!(
            "another engine records to {} already; stop it, or choose another library with --library",
            library.display()
        );
    };
    let epoch = next_epoch(runtime)?;
    Ok(Locks { epoch, home, _engine: engine, _library: library })
}

/// Makes the library and takes its lock, on a thread that can be left behind in a disk that hangs.
fn lock_library(library: &Path) -> anyhow::Result<Option<(Lock, Home)>> {
    let (told, answer) = sync_channel(1);
    let path = library.to_owned();
    let take = move || {
        let taken = std::fs::create_dir_all(&path).and_then(|()| try_lock(&path.join(layout::LIBRARY_LOCK)));
        let taken = taken.and_then(|lock| lock.map(|lock| Home::of(&path, &lock).map(|home| (lock, home))).transpose());
        // Nobody waits any more: the lock is let go again.
        drop(told.try_send(taken));
    };
    std::thread::Builder::new().name("library".to_owned()).spawn(take).context("no thread for the library")?;
    match answer.recv_timeout(LIBRARY_ANSWERS) {
        Ok(taken) => taken.map_err(|error| anyhow::Error::msg(explain(library, &error))),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            bail!("the library {} does not answer; check its disk, or choose another with --library", library.display())
        }
    }
}

/// Counts up. When the last number is not known, milliseconds since the machine was started stand above every number
/// that was counted to since then.
fn next_epoch(runtime: &Runtime) -> anyhow::Result<u64> {
    let path = runtime.engine_epoch();
    let next = match fence::count(&path) {
        Some(known) => known.saturating_add(1),
        None => clock::mono_now().0 / 1_000_000,
    };
    let name = path.file_name().and_then(|name| name.to_str()).context("the counter of engines has no name")?;
    atomic::replace(runtime.dir(), name, next.to_string().as_bytes())
        .with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(next)
}

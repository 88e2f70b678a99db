//! The locks that make an engine the only one of its runtime folder and of its library.

use super::disk::explain;
use super::takeover;
use crate::model::InputId;
use crate::model::input::InputSpec;
use crate::storage::{atomic, layout};
use crate::sys::clock;
use crate::sys::lock::{Lock, is_held, try_lock};
use crate::sys::paths::Runtime;
use anyhow::{Context, bail};
use std::path::Path;

/// Held as long as the engine runs.
#[derive(Debug)]
pub struct Locks {
    /// Number of this engine among those of the runtime folder, counted up under its lock.
    pub epoch: u64,
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
    std::fs::create_dir_all(library).map_err(|error| anyhow::Error::msg(explain(library, &error)))?;
    let held =
        try_lock(&library.join(layout::LIBRARY_LOCK)).map_err(|error| anyhow::Error::msg(explain(library, &error)))?;
    let Some(library) = held else {
        bail!(
            "another engine records to {} already; stop it, or choose another library with --library",
            library.display()
        );
    };
    let epoch = next_epoch(runtime)?;
    Ok(Locks { epoch, _engine: engine, _library: library })
}

/// Counts up. When the last number is not known, milliseconds since the machine was started stand above every number
/// that was counted to since then.
fn next_epoch(runtime: &Runtime) -> anyhow::Result<u64> {
    let path = runtime.engine_epoch();
    let known = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<u64>().ok());
    let next = match known {
        Some(known) => known.saturating_add(1),
        None => clock::mono_now().0 / 1_000_000,
    };
    let name = path.file_name().and_then(|name| name.to_str()).context("the counter of engines has no name")?;
    atomic::replace(runtime.dir(), name, next.to_string().as_bytes())
        .with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(next)
}

//! The locks that make an engine the only one of its runtime folder and of its library.

use super::disk::explain;
use crate::storage::layout;
use crate::sys::lock::{Lock, try_lock};
use crate::sys::paths::Runtime;
use anyhow::{Context, bail};
use std::path::Path;

/// Held as long as the engine runs.
#[derive(Debug)]
pub struct Locks {
    _engine: Lock,
    _library: Lock,
}

/// Takes both, making the library when it does not exist.
pub fn take(runtime: &Runtime, library: &Path) -> anyhow::Result<Locks> {
    let path = runtime.engine_lock();
    let engine = try_lock(&path).with_context(|| format!("{} cannot be locked", path.display()))?;
    let Some(engine) = engine else {
        bail!("an engine is running already in {}; use `holdfast status`", runtime.dir().display());
    };
    std::fs::create_dir_all(library).map_err(|error| anyhow::Error::msg(explain(library, &error)))?;
    let held =
        try_lock(&library.join(layout::LIBRARY_LOCK)).map_err(|error| anyhow::Error::msg(explain(library, &error)))?;
    let Some(library) = held else {
        bail!(
            "another engine records to {} already; stop it, or choose another library with --library",
            library.display()
        );
    };
    Ok(Locks { _engine: engine, _library: library })
}

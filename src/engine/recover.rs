//! `holdfast recover`: closes interrupted sessions without an engine. A running engine does this by itself.

use super::disk::finalise;
use super::locks;
use crate::model::session::Closed;
use crate::storage::recovery::{self, CloseError, ClosedSession};
use crate::sys::paths::Runtime;
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What became of one interrupted session.
#[derive(Debug)]
pub struct Recovered {
    /// Its folder.
    pub dir: PathBuf,
    /// `Err` = why it is still open.
    pub result: Result<ClosedSession, CloseError>,
}

/// Closes every interrupted session of `library`, newest first. Blocks; refused while an engine runs.
pub fn run(runtime: &Runtime, library: &Path) -> anyhow::Result<Vec<Recovered>> {
    let _locks = locks::take(runtime, library)?;
    let (interrupted, _) =
        recovery::search(library).with_context(|| format!("{} cannot be read", library.display()))?;
    let close =
        |dir: PathBuf| Recovered { result: recovery::close(&dir, Closed::Recovered, Duration::ZERO, &finalise), dir };
    Ok(interrupted.into_iter().map(|session| close(session.dir)).collect())
}

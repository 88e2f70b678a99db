//! What the window itself remembers: its size, the operator's language, how alerts are shown, and the key of a start that
//! was not answered yet (R-CMD-3).
//!
//! Contract: a file that is missing, damaged or from a newer version is the same as none; one that cannot be written
//! costs the memory, never the recording. Blocks on the disk; not for the main loop, except [`OwnState::load`] at start.

use crate::storage::atomic;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Name of the file.
const FILE: &str = "window.toml";

/// A start whose answer is outstanding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingStart {
    /// Idempotency key: repeating it can never make a second session.
    pub key: String,
    /// The name asked for; another name is another start.
    pub name: Option<String>,
}

/// What the window remembers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OwnState {
    /// Width and height of the window in pixels.
    pub size: Option<(i32, i32)>,
    /// The language the operator chose; `None` = that of the system.
    pub language: Option<String>,
    /// A start whose answer is outstanding.
    pub pending_start: Option<PendingStart>,
    /// Whether the alerts stand beside the inputs; `None` = nobody has said, and it follows the width of the window.
    pub alerts_open: Option<bool>,
    /// No sound for critical alerts.
    pub alerts_silent: bool,
}

/// One change at a time, or one would take back the other.
static CHANGING: Mutex<()> = Mutex::new(());

/// The folder of the file: `$XDG_STATE_HOME/holdfast`, else `~/.local/state/holdfast`; `None` without a home.
pub fn folder(demo: bool) -> Option<PathBuf> {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = var("XDG_STATE_HOME").or_else(|| Some(var("HOME")?.join(".local/state")))?;
    Some(base.join(if demo { "holdfast/demo" } else { "holdfast" }))
}

impl OwnState {
    /// What is remembered in `folder`.
    pub fn load(folder: &Path) -> Self {
        let text = std::fs::read_to_string(folder.join(FILE)).unwrap_or_default();
        toml::from_str(&text).unwrap_or_default()
    }

    /// Changes what is remembered in `folder`, if that is a change.
    pub fn change(folder: &Path, change: impl FnOnce(&mut Self)) -> io::Result<()> {
        let _alone = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
        let before = Self::load(folder);
        let mut after = before.clone();
        change(&mut after);
        if after == before { Ok(()) } else { after.save(folder) }
    }

    /// Remembers it.
    pub fn save(&self, folder: &Path) -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let text = toml::to_string(self).map_err(io::Error::other)?;
        atomic::replace(folder, FILE, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_remembered_and_damage_is_forgotten() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("state/holdfast");
        assert_eq!(OwnState::load(&folder), OwnState::default());
        let pending_start = Some(PendingStart { key: "k".to_owned(), name: Some("keynote".to_owned()) });
        let language = Some("de".to_owned());
        let state = OwnState {
            size: Some((1280, 800)),
            language,
            pending_start,
            alerts_open: Some(true),
            ..OwnState::default()
        };
        state.save(&folder).expect("saved");
        assert_eq!(OwnState::load(&folder), state);
        OwnState::change(&folder, |state| state.alerts_silent = true).expect("changed");
        assert_eq!(OwnState::load(&folder), OwnState { alerts_silent: true, ..state });
        std::fs::OpenOptions::new().write(true).truncate(true).open(folder.join(FILE)).expect("emptied");
        assert_eq!(OwnState::load(&folder), OwnState::default());
    }
}

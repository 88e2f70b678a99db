//! What survives a restart of the engine, in one small file of the library (`.holdfast.state.json`).
//!
//! Contract: replaced whole, under the locks of the engine. Nothing in it is the only witness of a recording.

use super::restart::Restarts;
use crate::model::InputId;
use crate::model::snapshot::Alert;
use crate::storage::recent::Recent;
use crate::storage::{atomic, layout};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// No sequence number above this was used.
    pub seq: u64,
    /// The alerts.
    pub alerts: Vec<Alert>,
    /// The boot in which workers were replaced.
    #[serde(default)]
    pub boot_id: String,
    /// How often workers were replaced in it (R-SUP-5).
    #[serde(default)]
    pub restarts: BTreeMap<InputId, Restarts>,
    /// Sessions that were begun lately, oldest first (R-CMD-3).
    #[serde(default)]
    pub recent: Vec<Recent>,
}

/// What the loop of the engine accounts for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Account {
    /// No sequence number above this is used.
    pub seq: u64,
    /// The alerts.
    pub alerts: Vec<Alert>,
    /// How often workers were replaced.
    pub restarts: BTreeMap<InputId, Restarts>,
}

impl Kept {
    /// What an earlier engine left in `library`; nothing when it is missing or damaged. Blocks on the disk.
    pub fn load(library: &Path) -> Self {
        let bytes = std::fs::read(library.join(layout::ENGINE_STATE));
        bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Replaces the file. Blocks on the disk.
    pub fn save(&self, library: &Path) -> io::Result<()> {
        atomic::replace(library, layout::ENGINE_STATE, &serde_json::to_vec(self)?)
    }

    /// The loop says how things are now.
    pub fn take_in(&mut self, boot_id: &str, account: Account) {
        self.seq = self.seq.max(account.seq);
        self.alerts = account.alerts;
        boot_id.clone_into(&mut self.boot_id);
        self.restarts = account.restarts;
    }

    /// How often workers were replaced, if that was in this boot: times of another one mean nothing.
    pub fn restarts_in(&self, boot_id: &str) -> BTreeMap<InputId, Restarts> {
        if self.boot_id == boot_id { self.restarts.clone() } else { BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MonoNs;

    #[test]
    fn what_is_kept_reads_back_and_a_file_of_an_older_build_is_understood() {
        let library = tempfile::tempdir().expect("a library");
        let mut kept = Kept { seq: 9, ..Kept::default() };
        let mut restarts = Restarts::default();
        restarts.begin(MonoNs(7));
        let account =
            Account { seq: 4, restarts: [("cam1".parse().expect("an id"), restarts)].into(), ..Account::default() };
        kept.take_in("boot", account);
        kept.save(library.path()).expect("written");
        let read = Kept::load(library.path());
        assert_eq!((read.seq, &read), (9, &kept));
        assert_eq!((read.restarts_in("boot").len(), read.restarts_in("another").len()), (1, 0));
        std::fs::write(library.path().join(layout::ENGINE_STATE), "{\"seq\":3,\"alerts\":[]}").expect("ours");
        assert_eq!(Kept::load(library.path()), Kept { seq: 3, ..Kept::default() });
    }
}

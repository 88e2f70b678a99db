//! What survives a restart of the engine, in one small file of the library (`.holdfast.state.json`).
//!
//! Contract: replaced whole, under the locks of the engine, at most once a second ([`Keeping`]). Nothing in it is the
//! only witness of a recording.

use super::budget::Measured;
use super::restart::Restarts;
use crate::model::snapshot::Alert;
use crate::model::time::ClockOffsets;
use crate::model::{InputId, MonoNs};
use crate::storage::order::Displaced;
use crate::storage::recent::Recent;
use crate::storage::{atomic, layout};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Changes come in bursts (an alert is raised, repeated, resolved), and each replacement costs two syncs, for which a
/// start or a stop would have to wait.
const KEEP_EVERY: Duration = Duration::from_secs(1);
/// Numbers of one block, as a power of two: a million changes, which take a day.
const BLOCK_BITS: u32 = 20;
/// Engines in a row that never share a block of numbers.
const ENGINES: u64 = 1 << 10;

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
    /// What workers were measured to need in it (R-SUP-4).
    #[serde(default)]
    pub measured: BTreeMap<InputId, Measured>,
    /// What was told of the clocks last, in it (R-FM-6).
    #[serde(default)]
    pub clocks: Option<ClockOffsets>,
    /// The order an operator has put inputs in, the most important first (R-DEG-2).
    #[serde(default)]
    pub order: Vec<InputId>,
    /// Sessions that were begun lately, oldest first (R-CMD-3).
    #[serde(default)]
    pub recent: Vec<Recent>,
    /// Sessions whose names do not tell their order, in that order (R-FM-6).
    #[serde(default)]
    pub displaced: Vec<Displaced>,
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
    /// What workers were measured to need.
    pub measured: BTreeMap<InputId, Measured>,
    /// What was told of the clocks.
    pub clocks: Option<ClockOffsets>,
    /// The operator's order of inputs.
    pub order: Vec<InputId>,
    /// What was kept before has been taken in. Until then only the number is to be kept: the rest still stands in the
    /// file, and would be lost.
    pub whole: bool,
}

impl Kept {
    /// What can be said before the disk has answered: a number above every one that was counted to since the machine was
    /// started.
    pub fn unread(now: MonoNs) -> Self {
        Self { seq: now.0 / 1_000_000, ..Self::default() }
    }

    /// What an earlier engine left in `library`; nothing when it is missing or damaged. Blocks on the disk.
    pub fn load(library: &Path) -> Self {
        let bytes = std::fs::read(library.join(layout::ENGINE_STATE));
        bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Where the engine with this number begins to count: behind everything that was kept, in a block of numbers that is
    /// its own. What was kept may be old (a full disk takes no new one) or another library's, and two engines of one
    /// runtime folder, whose clients come back with the number they had, must not give one number to two changes.
    pub fn first_seq(&self, epoch: u64) -> u64 {
        let behind = (self.seq >> BLOCK_BITS).saturating_add(1);
        let own = if epoch >= behind { epoch } else { behind.saturating_add(epoch.wrapping_sub(behind) % ENGINES) };
        own.saturating_mul(1 << BLOCK_BITS)
    }

    /// Replaces the file. Blocks on the disk.
    pub fn save(&self, library: &Path) -> io::Result<()> {
        atomic::replace(library, layout::ENGINE_STATE, &serde_json::to_vec(self)?)
    }

    /// The loop says how things are now.
    pub fn take_in(&mut self, boot_id: &str, account: Account) {
        self.seq = self.seq.max(account.seq);
        if !account.whole {
            return;
        }
        self.alerts = account.alerts;
        self.clocks = account.clocks.or(self.clocks_in(boot_id));
        boot_id.clone_into(&mut self.boot_id);
        self.restarts = account.restarts;
        self.measured = account.measured;
        self.order = account.order;
    }

    /// How often workers were replaced, if that was in this boot: times of another one mean nothing.
    pub fn restarts_in(&self, boot_id: &str) -> BTreeMap<InputId, Restarts> {
        if self.boot_id == boot_id { self.restarts.clone() } else { BTreeMap::new() }
    }

    /// What workers were measured to need, if that was in this boot: numbers of processes of another one mean nothing.
    pub fn measured_in(&self, boot_id: &str) -> BTreeMap<InputId, Measured> {
        if self.boot_id == boot_id { self.measured.clone() } else { BTreeMap::new() }
    }

    /// What was told of the clocks, if that was in this boot.
    pub fn clocks_in(&self, boot_id: &str) -> Option<ClockOffsets> {
        self.clocks.filter(|_| self.boot_id == boot_id)
    }
}

/// What is not in the file.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missing {
    /// Nothing.
    #[default]
    Nothing,
    /// What comes in bursts and can wait a second.
    Account,
    /// That a worker was replaced: it bounds what the next engine may do, and is rare.
    Restart,
}

/// When the file is replaced: at once after a change, at most once in [`KEEP_EVERY`] while things go on changing that can
/// wait, and never while the last replacement still waits for the disk. Pure.
#[derive(Debug, Default)]
pub struct Keeping {
    missing: Missing,
    begun: Option<MonoNs>,
}

impl Keeping {
    /// Something is not in the file.
    pub fn note(&mut self, missing: Missing) {
        self.missing = self.missing.max(missing);
    }

    /// Whether it is time to replace the file; `busy` = the last replacement is not done.
    pub fn is_due(&self, now: MonoNs, busy: bool) -> bool {
        let rested = self.begun.is_none_or(|begun| now.since(begun) >= KEEP_EVERY);
        !busy
            && match self.missing {
                Missing::Nothing => false,
                Missing::Account => rested,
                Missing::Restart => true,
            }
    }

    /// The file is being replaced by what is known now.
    pub fn begin(&mut self, now: MonoNs) {
        (self.missing, self.begun) = (Missing::Nothing, Some(now));
    }

    /// Whether something is not in the file.
    pub fn is_behind(&self) -> bool {
        self.missing != Missing::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_changes_costs_one_replacement_a_second_and_a_slow_disk_none_more() {
        let mut keeping = Keeping::default();
        let mut replaced = Vec::new();
        // A hundred changes a second; from 3 s to 8 s the disk does not answer.
        for ms in (0..10_000).step_by(10) {
            keeping.note(Missing::Account);
            let now = MonoNs(ms * 1_000_000);
            if keeping.is_due(now, (3000..8000).contains(&ms)) {
                keeping.begin(now);
                replaced.push(ms);
            }
        }
        assert_eq!(replaced, [0, 1000, 2000, 8000, 9000]);
        let end = MonoNs(20_000_000_000);
        assert!(keeping.is_behind() && keeping.is_due(end, false), "the last change is not forgotten");
        keeping.begin(end);
        assert!(!keeping.is_behind() && !keeping.is_due(MonoNs(u64::MAX), false));
        // Another engine is no way around the limits, however soon it comes.
        keeping.note(Missing::Restart);
        keeping.note(Missing::Account);
        assert!(keeping.is_due(end, false) && !keeping.is_due(end, true));
    }

    #[test]
    fn no_two_engines_of_a_runtime_folder_give_one_number_twice() {
        // Nothing new could be kept, or the libraries take turns, whatever stood there.
        for seq in [0, 7, 1 << 20, 60_000 << 20, (60_001 << 20) + 17, 1 << 45] {
            for epoch in [1, 29_999, 59_990, 60_000, 1 << 33] {
                let kept = Kept { seq, ..Kept::default() };
                let mut firsts: Vec<u64> = (epoch..epoch + 50).map(|epoch| kept.first_seq(epoch)).collect();
                assert!(firsts.iter().all(|first| *first > seq), "{seq} was given before");
                firsts.sort_unstable();
                assert!(firsts.is_sorted_by(|a, b| b - a >= 1 << BLOCK_BITS), "{seq} {epoch}: {firsts:?}");
            }
        }
        assert_eq!(Kept::default().first_seq(60_000), 60_000 << 20);
    }

    #[test]
    fn what_is_kept_reads_back_and_a_file_of_an_older_build_is_understood() {
        let library = tempfile::tempdir().expect("a library");
        let mut kept = Kept { seq: 9, ..Kept::default() };
        let mut restarts = Restarts::default();
        restarts.begin(MonoNs(7));
        let restarts = [("cam1".parse().expect("an id"), restarts)].into();
        let measured = [("cam1".parse().expect("an id"), Measured::default())].into();
        let account = Account { seq: 4, restarts, measured, whole: true, ..Account::default() };
        kept.take_in("boot", account);
        // An engine to which the disk was late keeps its number, and nothing else is touched.
        let before = kept.clone();
        kept.take_in("another", Account { seq: 7, ..Account::default() });
        assert_eq!(kept, before);
        kept.save(library.path()).expect("written");
        let read = Kept::load(library.path());
        assert_eq!((read.seq, &read), (9, &kept));
        assert_eq!((read.restarts_in("boot").len(), read.restarts_in("another").len()), (1, 0));
        assert_eq!((read.measured_in("boot").len(), read.measured_in("another").len()), (1, 0));
        std::fs::write(library.path().join(layout::ENGINE_STATE), "{\"seq\":3,\"alerts\":[]}").expect("ours");
        assert_eq!(Kept::load(library.path()), Kept { seq: 3, ..Kept::default() });
    }
}

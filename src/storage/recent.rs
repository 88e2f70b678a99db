//! The sessions of the last day, whose starts may be repeated (R-CMD-3).
//!
//! Contract: within one boot the age of a start is told by CLOCK_MONOTONIC whatever the calendar says, and a session is
//! found whatever time its folder is named after (a board without a battery records in 1970 and learns the date later).
//! Only over a reboot, which no other clock spans, the calendar decides; a boot that has lasted a day is enough too.
//! Reading changes nothing. Blocks on the disk.

use super::recovery::{plan_of, session_dirs, shows_life, was_refused};
use super::{journal, layout};
use crate::model::MonoNs;
use crate::model::session::{JournalKind, Line, Plan};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long a start may be repeated.
pub const DAY: Duration = Duration::from_secs(24 * 3600);
/// Most sessions listed: one start every 1.5 minutes for a day.
const LISTED: usize = 1000;

/// What time it is, by every clock.
#[derive(Debug, Clone)]
pub struct Clocks {
    /// This boot.
    pub boot_id: String,
    /// Since it began.
    pub mono: MonoNs,
    /// The calendar.
    pub wall: Timestamp,
}

impl Clocks {
    /// Now.
    pub fn now() -> io::Result<Self> {
        use crate::sys::clock;
        Ok(Self { boot_id: clock::boot_id()?, mono: clock::mono_now(), wall: clock::wall_now() })
    }

    /// Whether a start is older than a day.
    fn is_past(&self, boot_id: &str, began: MonoNs, at: Timestamp) -> bool {
        let age = if boot_id == self.boot_id { self.mono.since(began) } else { self.mono.since(MonoNs(0)) };
        age >= DAY || (boot_id != self.boot_id && self.wall.duration_since(at) >= day())
    }
}

fn day() -> jiff::SignedDuration {
    jiff::SignedDuration::try_from(DAY).unwrap_or(jiff::SignedDuration::MAX)
}

/// A session that was begun lately, as it is listed in the engine's own file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recent {
    /// Name of its folder.
    pub dir: String,
    /// The boot it began in.
    pub boot_id: String,
    /// When, in that boot.
    pub start_at_ns: MonoNs,
    /// When, by the calendar of then.
    pub started_at: Timestamp,
}

/// Lists the session of `plan` in `dir`, and forgets those that are past.
pub fn note(list: &mut Vec<Recent>, clocks: &Clocks, dir: &Path, plan: &Plan) {
    list.retain(|known| !clocks.is_past(&known.boot_id, known.start_at_ns, known.started_at));
    let over = (list.len() + 1).saturating_sub(LISTED);
    list.drain(..over);
    let Some(dir) = dir.file_name().and_then(|name| name.to_str()) else { return };
    let (boot_id, start_at_ns, started_at) = (plan.boot_id.clone(), plan.start_at_ns, plan.started_at);
    list.push(Recent { dir: dir.to_owned(), boot_id, start_at_ns, started_at });
}

/// The plans of the last day, newest first: of the sessions that are listed, and of those whose folders are named after
/// the last day or behind it. Starts that were refused are not among them.
pub fn plans(library: &Path, clocks: &Clocks, listed: &[Recent]) -> io::Result<Vec<Plan>> {
    let mut plans = Vec::new();
    let mut seen = BTreeSet::new();
    let listed = listed.iter().filter(|one| !clocks.is_past(&one.boot_id, one.start_at_ns, one.started_at));
    for name in listed.map(|one| one.dir.clone()) {
        plans.extend(read_plan(&library.join(&name)));
        seen.insert(name);
    }
    for name in session_dirs(library)? {
        if !seen.insert(name.clone()) {
            continue;
        }
        let Some(plan) = read_plan(&library.join(&name)) else { continue };
        let past = clocks.is_past(&plan.boot_id, plan.start_at_ns, plan.started_at);
        // Folder names sort by start, so everything behind is older still, by the calendar; what the calendar has
        // misplaced is listed.
        if past && (plan.boot_id != clocks.boot_id || clocks.wall.duration_since(plan.started_at) >= day()) {
            break;
        }
        plans.extend((!past).then_some(plan));
    }
    plans.sort_by_key(|plan| std::cmp::Reverse((plan.boot_id == clocks.boot_id, plan.start_at_ns, plan.started_at)));
    Ok(plans)
}

/// The plan of a session, unless its start was refused or it cannot be read. Somebody waits for this, and the facts of a
/// long session are a megabyte: two lines tell it.
fn read_plan(dir: &Path) -> Option<Plan> {
    let (lines, _) = journal::read_until::<Line<JournalKind>>(&dir.join(layout::JOURNAL), shows_life).ok()?;
    plan_of(&lines).filter(|_| !was_refused(&lines)).cloned()
}

#[cfg(test)]
#[path = "recent_tests.rs"]
mod tests;

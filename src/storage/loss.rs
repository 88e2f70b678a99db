//! How much is missing at the end of a part that nobody closed. Pure.
//!
//! What the disk holds of it, best evidence first: the next part of the same input, whose begin is known to a frame; the
//! pulse of the worker that wrote it ([`super::pulse`]) or, where its successor has overwritten that and recorded
//! nothing, the moment the engine saw it die; the time of the last write to it, by the wall clock, which
//! gives an upper bound only: had another fragment's length passed, the next fragment would be there too.

use super::manifest::{InputFacts, end_ns};
use super::pulse::Beat;
use crate::model::loss::Loss;
use crate::model::session::{PartEnd, PartRecord, Plan};

/// Where a part begins is known to a frame, and its sound ends within a frame of its pictures.
const FRAME_NS: i64 = 33_000_000;

/// What is known of the end of a part besides itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence<'a> {
    /// Everything its input has told.
    pub facts: &'a InputFacts,
    /// The last beat of its input, of the boot of the session.
    pub beat: Option<&'a Beat>,
    /// When it was last written to, as far as its date tells: the latest such time of the session.
    pub touched: Option<i64>,
}

/// What is missing behind `record`, `None` = not known at all.
pub(super) fn loss(plan: &Plan, record: &PartRecord, known: Evidence<'_>) -> Option<Loss> {
    let Some(end) = end_ns(record) else { return whole(plan, record, known) };
    if let Some(next) = known.facts.begin_behind(record.part) {
        return Some(losable(end, next, Some(millis(FRAME_NS)), known.facts));
    }
    let death = death_behind(plan, end, known);
    let died = match death {
        Some((death, seen)) => seen.then(|| within_a_frame(death.saturating_sub(end))),
        None => by_pulse(plan, end, known.beat),
    };
    let bound = || match record.end {
        // It was written to when it was made, and that tells nothing.
        PartEnd::Empty => {
            let until = death.map(|(death, _)| death).or_else(|| window_end(plan, known.beat?))?;
            (until >= end).then(|| Loss::at_most(millis(until.saturating_sub(end))))
        }
        _ => Some(at_most(plan, end, known.touched?)),
    };
    let loss = died.or_else(bound)?;
    // It may have outlived its media: while it wrote a file to its end, or waited for a signal.
    let until = end.saturating_add(i64::try_from(loss.ms).unwrap_or(i64::MAX).saturating_mul(1_000_000));
    Some(losable(end, until, loss.within_ms, known.facts))
}

/// What could be lost in `end..until`, whose ends are known as well as `within_ms` says.
fn losable(end: i64, until: i64, within_ms: Option<u64>, facts: &InputFacts) -> Loss {
    let (lost, exact) = facts.losable(end, until);
    Loss { ms: millis(lost), within_ms: within_ms.filter(|_| exact) }
}

fn within_a_frame(missing: i64) -> Loss {
    Loss { ms: millis(missing), within_ms: Some(millis(FRAME_NS)) }
}

/// It died in the middle of the window of its last beat, give or take half of it and a frame.
fn by_pulse(plan: &Plan, end: i64, beat: Option<&Beat>) -> Option<Loss> {
    let beat = beat?;
    let from = since_start(plan, beat);
    let window = i64::try_from(beat.window.as_nanos()).ok()?;
    // Nothing is recorded by the dead: the pulse stopped before the recording did.
    let stale = end > from.saturating_add(window);
    // A disk so slow that the date of the file says more.
    let vague = window / 2 > i64::from(plan.encoding.fragment_ms) * 1_000_000;
    if stale || vague {
        return None;
    }
    let ms = millis(from.saturating_add(window / 2).saturating_sub(end));
    Some(Loss { ms, within_ms: Some(millis((window / 2).saturating_add(FRAME_NS))) })
}

/// From the end of the media to the last write, and a fragment: the end came within one fragment (and the time of one
/// sync) behind that write.
fn at_most(plan: &Plan, end: i64, touched: i64) -> Loss {
    let ms = u64::try_from(touched.saturating_sub(end).max(0) / 1_000_000).unwrap_or(0);
    Loss::at_most(ms.saturating_add(u64::from(plan.encoding.fragment_ms)))
}

/// Nobody lived to say where it began: at most everything since it was opened, or since the part before it where that
/// ended later.
fn whole(plan: &Plan, record: &PartRecord, known: Evidence<'_>) -> Option<Loss> {
    let from = earliest(record, known.facts)?;
    let died = || death_behind(plan, from, known).map(|(death, _)| death);
    let until = known.facts.begin_behind(record.part).or_else(died).or_else(|| window_end(plan, known.beat?))?;
    Some(losable(from, until, None, known.facts)).filter(|loss| loss.ms > 0)
}

/// The earliest moment of which `record` may have lost something; `None` = nothing is known, or the part before it has
/// lost all of it already.
fn earliest(record: &PartRecord, facts: &InputFacts) -> Option<i64> {
    // The first file is made while the common start still lies ahead.
    let opened = facts.opened(record.part).map(|opened| opened.max(0));
    let Some(before) = facts.before(record.part) else { return Some(opened.unwrap_or(0)) };
    let end = end_ns(before);
    if before.lost.is_none() {
        return opened.max(end);
    }
    // That loss reaches to the next part that has a begin, or to the death of its worker: this one is of another.
    let end = end.or(facts.opened(before.part))?;
    let (death, _) = facts.death_behind(end)?;
    opened.filter(|opened| *opened > death && facts.begin_behind(before.part).is_none())
}

/// When the worker was found dead whose media ends at `end`, and whether that was seen, unless the pulse is its own, later
/// than the pulse: that of a successor goes on for as long as it waits for a signal.
fn death_behind(plan: &Plan, end: i64, known: Evidence<'_>) -> Option<(i64, bool)> {
    let older = |death: i64| known.beat.is_none_or(|beat| since_start(plan, beat) > death);
    known.facts.death_behind(end).filter(|(death, _)| older(*death))
}

/// The latest moment at which it can have lived, by its pulse.
fn window_end(plan: &Plan, beat: &Beat) -> Option<i64> {
    Some(since_start(plan, beat).saturating_add(i64::try_from(beat.window.as_nanos()).ok()?))
}

fn since_start(plan: &Plan, beat: &Beat) -> i64 {
    i64::try_from(i128::from(beat.at.0) - i128::from(plan.start_at_ns.0)).unwrap_or(i64::MAX)
}

fn millis(ns: i64) -> u64 {
    u64::try_from(ns.max(0)).unwrap_or(0).div_ceil(1_000_000)
}

#[cfg(test)]
#[path = "loss_tests.rs"]
mod tests;

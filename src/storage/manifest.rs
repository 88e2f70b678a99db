//! From the lines of a journal to the manifest. Pure.

use super::markers;
use crate::model::InputId;
use crate::model::calendar::{Calendar, ClockStep, Suspend};
use crate::model::incident::{Incident, IncidentCode};
use crate::model::input::InputSpec;
use crate::model::loss::Loss;
use crate::model::session::{
    Closed, FactKind, Gap, JournalKind, LATE_START, Line, MANIFEST_VERSION, Manifest, ManifestIncident, ManifestInput,
    PartEnd, PartRecord, Plan, Verdict,
};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::Path;

/// Two parts closer than this follow each other without a gap when nobody knows how long a frame lasts: one frame of
/// the slowest source (10 per second).
const SEAM_NS: i64 = 100_000_000;
/// The same in frames, where that is known: two missing frames are a gap, the rounding of times and a late frame are
/// none.
const SEAM_FRAMES: f64 = 1.5;

/// A part that was completed ends about when the stop was asked for: one frame of the slowest source before it, and
/// what a disk takes to write that down.
const STOP_SLACK_NS: i64 = 1_000_000_000;

/// With these a worker says that its source shows nothing; no part goes on then.
const OUTAGES: [IncidentCode; 3] =
    [IncidentCode::NoSignal, IncidentCode::SourceUnreachable, IncidentCode::SourceMisconfigured];

/// What the journal knows of one input.
#[derive(Debug, Default)]
pub(super) struct InputFacts {
    parts: BTreeMap<u32, PartRecord>,
    /// What workers said of parts that could not be finalised.
    unfinished: BTreeMap<u32, PartRecord>,
    gaps: Vec<Gap>,
    offsets: BTreeMap<u32, i64>,
    /// When the file of a part was there: nothing of it was recorded before, but what is kept of a stream that is copied.
    opened: BTreeMap<u32, i64>,
    /// When a worker said that its source shows nothing, and why.
    outages: Vec<(i64, IncidentCode)>,
    /// When its workers were found dead, and when another engine had to look for them.
    deaths: Vec<i64>,
    adoptions: Vec<i64>,
    /// When somebody first asked to stop.
    stopped: Option<i64>,
    last: u64,
    done: bool,
}

impl InputFacts {
    pub fn of(id: &InputId, lines: &[Line<JournalKind>]) -> Self {
        let mut facts = Self::default();
        for line in lines {
            let (input, fact) = match &line.kind {
                JournalKind::Fact { input, fact } => (input, fact),
                JournalKind::WorkerLost { input, .. } if input == id => {
                    facts.deaths.push(line.t_ns);
                    continue;
                }
                JournalKind::Adopted { .. } => {
                    facts.adoptions.push(line.t_ns);
                    continue;
                }
                JournalKind::StopRequested => {
                    facts.stopped = Some(facts.stopped.map_or(line.t_ns, |first| first.min(line.t_ns)));
                    continue;
                }
                _ => continue,
            };
            if input != id {
                continue;
            }
            facts.last = facts.last.max(fact.n);
            match &fact.kind {
                FactKind::PartClosed(record) => {
                    facts.parts.insert(record.part, record.clone());
                }
                FactKind::PartUnfinished(record) => {
                    facts.unfinished.insert(record.part, record.clone());
                }
                FactKind::Gap(gap) => facts.gaps.push(gap.clone()),
                FactKind::PartStarted { part, offset_ns } => {
                    facts.offsets.insert(*part, *offset_ns);
                }
                FactKind::Done { .. } => facts.done = true,
                FactKind::PartOpened { part, .. } => {
                    facts.opened.insert(*part, line.t_ns);
                }
                FactKind::Incident(incident) if OUTAGES.contains(&incident.code) => {
                    facts.outages.push((line.t_ns, incident.code));
                }
                FactKind::Incident(_) => {}
            }
        }
        facts
    }

    /// Names of the parts that have an end.
    pub fn closed_files(&self) -> Vec<String> {
        self.parts.values().map(|record| record.file.clone()).collect()
    }

    /// What its worker said of a part that could not be finalised.
    pub fn unfinished(&self, part: u32) -> Option<&PartRecord> {
        self.unfinished.get(&part)
    }

    /// Where a part began, as its worker said before it died.
    pub fn offset(&self, part: u32) -> Option<i64> {
        self.offsets.get(&part).copied()
    }

    /// When the file of a part was there.
    pub fn opened(&self, part: u32) -> Option<i64> {
        self.opened.get(&part).copied()
    }

    /// Where the next part begins behind `part` of which anybody knows that.
    pub fn begin_behind(&self, part: u32) -> Option<i64> {
        let told = self.parts.values().filter_map(|record| Some((record.part, record.offset_ns?)));
        // Of one that was closed its record knows better: its first picture may have come and gone.
        let open = self.offsets.iter().filter(|(part, _)| !self.parts.contains_key(part));
        let begins = told.chain(open.map(|(part, offset)| (*part, *offset)));
        begins.filter(|(behind, _)| *behind > part).min().map(|(_, begin)| begin)
    }

    /// From when until when a worker had nothing to record, and why, as far as that follows from what it said: until the
    /// next file was made for it, or until it was seen to die. Where nobody saw that, no time at all. It tells such a
    /// stretch as a gap as well, if it lives to see the end.
    fn dark(&self) -> impl Iterator<Item = Dark> + '_ {
        self.outages.iter().map(|(from, code)| {
            let opened = self.opened.values().copied().filter(|opened| opened > from).min().unwrap_or(i64::MAX);
            let died = self.death_behind(*from).map(|(death, seen)| if seen { death } else { *from });
            Dark { from_ns: *from, to_ns: died.map_or(opened, |died| died.min(opened)), code: *code }
        })
    }

    /// Session time without media between `end`, where media ends, and `until`, when the next begins or its worker died,
    /// in which something could be lost: not behind a stop, not where a gap was told, and not where there was no signal;
    /// and whether it is that exactly: of a stretch without a signal that is no gap only the end is known well.
    pub fn losable(&self, end: i64, until: i64) -> (i64, bool) {
        let until = self.stopped.map_or(until, |stopped| until.min(stopped));
        let gaps = || self.gaps.iter().map(|gap| (gap.from_ns, gap.to_ns));
        let dark = self.dark().map(|dark| (dark.from_ns, dark.to_ns));
        let lost = outside(gaps().chain(dark), end, until);
        (lost, lost == outside(gaps(), end, until))
    }

    /// When the worker was found dead whose media ends at `end`, and whether an engine was there to see it die.
    pub fn death_behind(&self, end: i64) -> Option<(i64, bool)> {
        let death = self.deaths.iter().copied().filter(|death| *death >= end).min()?;
        Some((death, !self.adoptions.iter().any(|adopted| (end..=death).contains(adopted))))
    }

    /// The last part before `part` that has an end.
    pub fn before(&self, part: u32) -> Option<&PartRecord> {
        self.parts.range(..part).next_back().map(|(_, record)| record)
    }

    /// The highest number used.
    pub fn last_number(&self) -> u64 {
        self.last
    }

    /// Its worker has ended the recording itself.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// The parts in order, each with the gaps inside or before it; the last one also with the gap behind it, up to
    /// the moment somebody asked to stop. What no worker lived to tell follows from where the parts lie.
    fn into_parts(self) -> Vec<PartRecord> {
        let stopped_ns = self.stopped;
        let dark: Vec<_> = self.dark().collect();
        let mut parts: Vec<PartRecord> = self.parts.into_values().collect();
        for gap in self.gaps {
            let told = parts.iter().any(|part| part.gaps.contains(&gap));
            let ends_behind = |part: &PartRecord| end_ns(part).is_some_and(|end| end >= gap.to_ns);
            let place = parts.iter().position(ends_behind).or(parts.len().checked_sub(1));
            if let Some(place) = place.filter(|_| !told) {
                parts[place].gaps.push(gap);
            }
        }
        let mut before = parts.first().and_then(Seam::before);
        for place in 0..parts.len() {
            let (offset, seam) = (parts[place].offset_ns, Seam::behind(&parts[place]));
            if let (Some(before), Some(to)) = (before, offset) {
                before.tell_gaps(&dark, &mut parts, place, to);
            }
            before = seam.or(before);
        }
        if let (Some(before), Some(to), Some(last)) = (before, stopped_ns, parts.len().checked_sub(1)) {
            // A worker stops behind the moment it was asked at; one that stopped before was not asked.
            let slack = if before.asked { STOP_SLACK_NS } else { 0 };
            if to.saturating_sub(before.end_ns) > slack {
                before.tell_gaps(&dark, &mut parts, last, to);
            }
        }
        parts
    }
}

/// Time in `from..to` that lies in none of `told`.
fn outside(told: impl Iterator<Item = (i64, i64)>, from: i64, to: i64) -> i64 {
    let mut told: Vec<_> = told.chain([(to, to)]).collect();
    told.sort_unstable();
    let (mut left, mut at) = (0, from);
    for (start, end) in told {
        left += start.min(to).saturating_sub(at).max(0);
        at = at.max(end);
    }
    left
}

/// A stretch in which a worker had nothing to record.
#[derive(Debug, Clone, Copy)]
struct Dark {
    from_ns: i64,
    to_ns: i64,
    code: IncidentCode,
}

/// Where a part ended.
#[derive(Debug, Clone, Copy)]
struct Seam {
    end_ns: i64,
    /// Of what is missing behind it.
    cause: &'static str,
    /// Its worker was told to end it.
    asked: bool,
    /// A longer stretch without media is a gap.
    least_ns: i64,
}

impl Seam {
    /// The common start, where the worker of the first part may not have lived to say that it began late: it does once
    /// the part holds something.
    fn before(first: &PartRecord) -> Option<Self> {
        let cause = match (first.part, first.offset_ns, first.end) {
            (1, Some(_), PartEnd::WorkerDied) => LATE_START,
            (1, Some(_), _) => return None,
            (_, _, _) => IncidentCode::WorkerDied.as_str(),
        };
        Some(Self { end_ns: 0, cause, asked: false, least_ns: SEAM_NS })
    }

    fn behind(part: &PartRecord) -> Option<Self> {
        let fps = part.video.as_ref().and_then(|video| video.fps).filter(|fps| *fps > 0.0);
        #[allow(clippy::cast_possible_truncation, reason = "a float that does not fit becomes the largest number")]
        let least_ns = fps.map_or(SEAM_NS, |fps| (SEAM_FRAMES * 1e9 / fps) as i64);
        Some(Self { end_ns: end_ns(part)?, cause: cause_of(part.end), asked: part.end == PartEnd::Completed, least_ns })
    }

    /// Adds what no gap covers between here and `to` to the gaps of one part, each with its cause.
    fn tell_gaps(self, dark: &[Dark], parts: &mut [PartRecord], place: usize, to: i64) {
        for dark in dark {
            self.tell_gap(dark.code.as_str(), parts, place, (self.end_ns.max(dark.from_ns), to.min(dark.to_ns)));
        }
        self.tell_gap(self.cause, parts, place, (self.end_ns, to));
    }

    fn tell_gap(self, cause: &str, parts: &mut [PartRecord], place: usize, (mut from, to): (i64, i64)) {
        let mut told: Vec<(i64, i64)> =
            parts.iter().flat_map(|part| &part.gaps).map(|gap| (gap.from_ns, gap.to_ns)).collect();
        told.push((to, to));
        told.sort_unstable();
        for (start, end) in told {
            let until = start.min(to);
            if until.saturating_sub(from) > self.least_ns {
                let cause = cause.to_owned();
                parts[place].gaps.push(Gap { from_ns: from, to_ns: until, cause });
            }
            from = from.max(end);
        }
        parts[place].gaps.sort_by_key(|gap| gap.from_ns);
    }
}

/// The incident that follows from how the part before a gap ended.
fn cause_of(end: PartEnd) -> &'static str {
    let code = match end {
        // A part without media or one its worker closed, and nothing behind it: the worker was gone.
        PartEnd::Completed | PartEnd::Split | PartEnd::Empty | PartEnd::WorkerDied => IncidentCode::WorkerDied,
        PartEnd::Stalled => IncidentCode::RecordingStalled,
        PartEnd::SignalLost => IncidentCode::NoSignal,
        PartEnd::DiskFull => IncidentCode::DiskFull,
        PartEnd::DiskError => IncidentCode::DiskError,
        PartEnd::Displaced => IncidentCode::FileDisplaced,
        PartEnd::Cut => IncidentCode::StopCut,
        PartEnd::Damaged => IncidentCode::FileDamaged,
    };
    code.as_str()
}

pub(super) fn end_ns(part: &PartRecord) -> Option<i64> {
    part.offset_ns?.checked_add(i64::try_from(part.duration_ns).ok()?)
}

/// The manifest of a session that ended with `state`.
pub(super) fn assemble(
    plan: &Plan,
    dir: &Path,
    state: Closed,
    lines: &[Line<JournalKind>],
    ended_at: Timestamp,
) -> Manifest {
    let inputs: Vec<ManifestInput> = plan.inputs.iter().map(|spec| manifest_input(spec, lines)).collect();
    Manifest {
        version: MANIFEST_VERSION,
        id: plan.id,
        name: plan.name.clone(),
        started_at: plan.started_at,
        ended_at,
        state,
        library_path: dir.parent().unwrap_or(dir).display().to_string(),
        markers: markers::placed(lines, &inputs),
        inputs,
        clock_steps: clock_steps(lines),
        suspends: suspends(lines),
        incidents: lines.iter().filter_map(incident).collect(),
    }
}

/// The calendar of a session by its journal.
pub(super) fn calendar(plan: &Plan, lines: &[Line<JournalKind>]) -> Calendar {
    Calendar::new(plan.started_at, &clock_steps(lines), &suspends(lines))
}

fn clock_steps(lines: &[Line<JournalKind>]) -> Vec<ClockStep> {
    let step = |line: &Line<JournalKind>| match line.kind {
        JournalKind::ClockStep { step_ns } => Some(ClockStep { t_ns: line.t_ns, step_ns, at: line.at }),
        _ => None,
    };
    lines.iter().filter_map(step).collect()
}

fn suspends(lines: &[Line<JournalKind>]) -> Vec<Suspend> {
    let suspend = |line: &Line<JournalKind>| match line.kind {
        JournalKind::Suspend { slept_ns } => Some(Suspend { t_ns: line.t_ns, slept_ns, at: line.at }),
        _ => None,
    };
    lines.iter().filter_map(suspend).collect()
}

/// A sleep of the machine is a gap of every input, without a length: time of the session stood still in it.
fn tell_suspends(lines: &[Line<JournalKind>], parts: &mut [PartRecord]) {
    for t in suspends(lines).iter().map(|suspend| suspend.t_ns) {
        let place = parts.iter().position(|part| end_ns(part).is_some_and(|end| end >= t));
        let Some(part) = place.or(parts.len().checked_sub(1)).and_then(|place| parts.get_mut(place)) else { return };
        part.gaps.push(Gap { from_ns: t, to_ns: t, cause: IncidentCode::Suspended.as_str().to_owned() });
        part.gaps.sort_by_key(|gap| gap.from_ns);
    }
}

fn manifest_input(spec: &InputSpec, lines: &[Line<JournalKind>]) -> ManifestInput {
    let mut parts = InputFacts::of(&spec.id, lines).into_parts();
    tell_suspends(lines, &mut parts);
    let something = parts.iter().any(whole);
    ManifestInput {
        id: spec.id.clone(),
        name: spec.name.clone(),
        kind: spec.source.kind().to_owned(),
        verdict: if something { Verdict::Unverified } else { Verdict::Failed },
        lost: parts.iter().filter_map(|part| part.lost).reduce(Loss::plus),
        parts,
        findings: Vec::new(),
    }
}

/// Whether a part is one that must open.
pub(super) fn whole(part: &PartRecord) -> bool {
    !matches!(part.end, PartEnd::Empty | PartEnd::Damaged)
}

fn incident(line: &Line<JournalKind>) -> Option<ManifestIncident> {
    let (input, incident) = match &line.kind {
        JournalKind::Fact { input, fact } => match &fact.kind {
            FactKind::Incident(incident) => (Some(input.clone()), incident.clone()),
            _ => return None,
        },
        JournalKind::Incident { input, incident } => (input.clone(), incident.clone()),
        JournalKind::WorkerLost { input, reason } => {
            (Some(input.clone()), Incident::new(IncidentCode::WorkerDied).with("reason", reason))
        }
        JournalKind::ClockStep { step_ns } => (None, Incident::clock_stepped(*step_ns)),
        JournalKind::Suspend { slept_ns } => (None, Incident::suspended(*slept_ns)),
        _ => return None,
    };
    Some(ManifestIncident { t_ns: line.t_ns, input, incident })
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;

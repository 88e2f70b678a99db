//! From the lines of a journal to the manifest. Pure.

use crate::model::InputId;
use crate::model::input::InputSpec;
use crate::model::session::{
    Closed, FactKind, Gap, JournalKind, Line, MANIFEST_VERSION, Manifest, ManifestIncident, ManifestInput, PartEnd,
    PartRecord, Plan, Verdict,
};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::Path;

/// What the journal knows of one input.
#[derive(Debug, Default)]
pub(super) struct InputFacts {
    parts: BTreeMap<u32, PartRecord>,
    gaps: Vec<Gap>,
    offsets: BTreeMap<u32, i64>,
    last: u64,
}

impl InputFacts {
    pub fn of(id: &InputId, lines: &[Line<JournalKind>]) -> Self {
        let mut facts = Self::default();
        for line in lines {
            let JournalKind::Fact { input, fact } = &line.kind else { continue };
            if input != id {
                continue;
            }
            facts.last = facts.last.max(fact.n);
            match &fact.kind {
                FactKind::PartClosed(record) => {
                    facts.parts.insert(record.part, record.clone());
                }
                FactKind::Gap(gap) => facts.gaps.push(gap.clone()),
                FactKind::PartStarted { part, offset_ns } => {
                    facts.offsets.insert(*part, *offset_ns);
                }
                FactKind::PartOpened { .. } | FactKind::Incident(_) | FactKind::Done { .. } => {}
            }
        }
        facts
    }

    /// Names of the parts that have an end.
    pub fn closed_files(&self) -> Vec<String> {
        self.parts.values().map(|record| record.file.clone()).collect()
    }

    /// Where a part began, as its worker said before it died.
    pub fn offset(&self, part: u32) -> Option<i64> {
        self.offsets.get(&part).copied()
    }

    /// The highest number used.
    pub fn last_number(&self) -> u64 {
        self.last
    }

    /// The parts in order, each with the gaps inside or before it.
    fn into_parts(self) -> Vec<PartRecord> {
        let mut parts: Vec<PartRecord> = self.parts.into_values().collect();
        for gap in self.gaps {
            let told = parts.iter().any(|part| part.gaps.contains(&gap));
            let ends_behind = |part: &PartRecord| end_ns(part).is_some_and(|end| end >= gap.to_ns);
            let place = parts.iter().position(ends_behind).or(parts.len().checked_sub(1));
            if let Some(place) = place.filter(|_| !told) {
                parts[place].gaps.push(gap);
            }
        }
        for place in 1..parts.len() {
            let (before, after) = (&parts[place - 1], &parts[place]);
            let died = before.end == PartEnd::WorkerDied;
            if let (true, true, Some(from_ns), Some(to_ns)) =
                (died, after.gaps.is_empty(), end_ns(before), after.offset_ns)
                && to_ns > from_ns
            {
                parts[place].gaps.push(Gap { from_ns, to_ns, cause: "worker_died".to_owned() });
            }
        }
        parts
    }
}

fn end_ns(part: &PartRecord) -> Option<i64> {
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
    Manifest {
        version: MANIFEST_VERSION,
        id: plan.id,
        name: plan.name.clone(),
        started_at: plan.started_at,
        ended_at,
        state,
        library_path: dir.parent().unwrap_or(dir).display().to_string(),
        inputs: plan.inputs.iter().map(|spec| manifest_input(spec, lines)).collect(),
        markers: Vec::new(),
        clock_steps: Vec::new(),
        incidents: lines.iter().filter_map(incident).collect(),
    }
}

fn manifest_input(spec: &InputSpec, lines: &[Line<JournalKind>]) -> ManifestInput {
    let parts = InputFacts::of(&spec.id, lines).into_parts();
    let something = parts.iter().any(|part| !matches!(part.end, PartEnd::Empty | PartEnd::Damaged));
    ManifestInput {
        id: spec.id.clone(),
        name: spec.name.clone(),
        kind: spec.source.kind().to_owned(),
        verdict: if something { Verdict::Unverified } else { Verdict::Failed },
        parts,
    }
}

fn incident(line: &Line<JournalKind>) -> Option<ManifestIncident> {
    use crate::model::incident::{Incident, IncidentCode};
    let (input, incident) = match &line.kind {
        JournalKind::Fact { input, fact } => match &fact.kind {
            FactKind::Incident(incident) => (Some(input.clone()), incident.clone()),
            _ => return None,
        },
        JournalKind::Incident { input, incident } => (input.clone(), incident.clone()),
        JournalKind::WorkerLost { input, reason } => {
            (Some(input.clone()), Incident::new(IncidentCode::WorkerDied).with("reason", reason))
        }
        _ => return None,
    };
    Some(ManifestIncident { t_ns: line.t_ns, input, incident })
}

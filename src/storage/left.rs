//! Parts that nobody closed and that cannot simply be closed now: their worker said how they ended, or their file is gone.
//! Pure.

use super::manifest::InputFacts;
use crate::model::InputId;
use crate::model::session::{Fact, FactKind, JournalKind, Line, PartEnd, PartFrames, PartRecord, Plan};
use std::collections::BTreeMap;

/// A part that is finalised only now, but whose worker lived to say how it ended (`told`), with what its file holds
/// (`found`).
pub(super) fn finished(told: &PartRecord, found: PartRecord) -> PartRecord {
    let whole = told.frames.written == found.frames.written;
    PartRecord {
        end: told.end,
        stalled: told.stalled,
        offset_ns: told.offset_ns.or(found.offset_ns),
        frames: PartFrames { written: found.frames.written, ..told.frames },
        payload_blake3: told.payload_blake3.clone().filter(|_| whole),
        ..found
    }
}

/// The parts without an end of which no file `is_there` under their name, each as a fact that says so: they were recorded,
/// and are not passed over (R-FM-13).
pub(super) fn absent(
    plan: &Plan,
    lines: &[Line<JournalKind>],
    is_there: impl Fn(&str) -> bool,
) -> Vec<(InputId, Fact)> {
    let mut found = Vec::new();
    for spec in &plan.inputs {
        let facts = InputFacts::of(&spec.id, lines);
        let closed = facts.closed_files();
        let missing = opened(&spec.id, lines).into_iter().filter(|(_, file)| !closed.contains(file) && !is_there(file));
        for (n, (part, file)) in (facts.last_number() + 1..).zip(missing) {
            let unknown = PartRecord {
                offset_ns: facts.offset(part),
                ..PartRecord::new(part, file, plan.encoding.container, PartEnd::Displaced)
            };
            let told = facts.unfinished(part).map(|told| PartRecord { end: PartEnd::Displaced, ..told.clone() });
            found.push((spec.id.clone(), Fact { n, kind: FactKind::PartClosed(told.unwrap_or(unknown)) }));
        }
    }
    found
}

/// The files that were made for `id`, by part.
fn opened(id: &InputId, lines: &[Line<JournalKind>]) -> BTreeMap<u32, String> {
    let file = |line: &Line<JournalKind>| match &line.kind {
        JournalKind::Fact { input, fact: Fact { kind: FactKind::PartOpened { part, file }, .. } } if input == id => {
            Some((*part, file.clone()))
        }
        _ => None,
    };
    lines.iter().filter_map(file).collect()
}

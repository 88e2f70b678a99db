//! A file that is not where it belongs: removed, renamed or replaced while it is written (R-FM-13), or its folder is gone.
//!
//! Contract: the recording goes on into a new part as at a split, without losing a frame; the old file is written until
//! that has begun, wherever it is now, and so nothing is lost where it turns up again. Nothing is called recording
//! meanwhile: what reaches a file that nobody can find is no evidence (R-TRU-1).

use super::recording::{Phase, Recording, Then};
use super::{Effect, Place, State};
use crate::model::MonoNs;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::session::{PartEnd, PartRecord};
use crate::storage::layout;

impl Recording {
    /// Whether the part that is written is not at its path.
    pub(super) fn is_displaced(&self) -> bool {
        matches!(&self.phase, Phase::Writing { part, .. } if self.displaced.contains(part))
    }

    /// Whether any part that is open is not at its path.
    fn misses_a_file(&self) -> bool {
        self.displaced.iter().any(|part| {
            let main = matches!(&self.phase, Phase::Writing { part: open, .. } | Phase::Closing { part: open, .. } if open == part);
            main || self.is_beside(*part)
        })
    }

    /// The number of the part that is written, closed or beside it, by its file.
    fn part_named(&self, name: &str) -> Option<u32> {
        match &self.phase {
            Phase::Writing { part, file, .. } | Phase::Closing { part, file, .. } if file == name => Some(*part),
            _ => self.beside_named(name),
        }
    }

    /// What the manifest says of the end of a part that may be elsewhere: a reason to look for it comes before one that
    /// only says why no more was written.
    pub(super) fn name_displaced(&self, record: &mut PartRecord) {
        let at_its_path = !self.displaced.contains(&record.part);
        match record.end {
            _ if at_its_path => {}
            PartEnd::Empty | PartEnd::DiskFull | PartEnd::DiskError | PartEnd::Damaged | PartEnd::WorkerDied => {}
            PartEnd::Completed
            | PartEnd::Split
            | PartEnd::Stalled
            | PartEnd::SignalLost
            | PartEnd::Cut
            | PartEnd::Displaced => record.end = PartEnd::Displaced,
        }
    }
}

impl State {
    /// What is at the path of `file` has changed.
    pub(super) fn on_place(&mut self, now: MonoNs, file: &str, place: Place, out: &mut Vec<Effect>) {
        let Some(recording) = self.recording.as_mut().filter(|recording| !recording.is_done()) else { return };
        let opening = match recording.phase {
            // Its file is watched from the moment it exists, and each change is told once: also before its name is.
            Phase::Opening { part, .. } => Some(part)
                .filter(|part| layout::part_file(&self.input, *part, recording.ticket.encoding.container) == file),
            _ => None,
        };
        let Some(part) = opening.or_else(|| recording.part_named(file)) else { return };
        let incident = match place {
            Place::Found => {
                if recording.displaced.remove(&part) && !recording.misses_a_file() {
                    self.clear(IncidentCode::FileDisplaced, out);
                    self.clear(IncidentCode::StorageVanished, out);
                }
                return;
            }
            Place::Displaced => Incident::new(IncidentCode::FileDisplaced).with("file", file),
            Place::Gone { reason } => Incident::new(IncidentCode::StorageVanished).with("reason", reason),
        };
        recording.displaced.insert(part);
        let written = matches!(recording.phase, Phase::Writing { part: written, .. } if written == part);
        let begun = matches!(recording.phase, Phase::Writing { started: true, .. });
        if written {
            // Whatever kept a split waiting before: this one is no matter of taste.
            recording.no_split_before = now;
        }
        out.push(Effect::Log(incident.clone()));
        self.raise(now, incident, out);
        if written && !begun {
            self.replace_displaced(now, out);
        }
        out.push(Effect::PublishStatus);
    }

    /// Goes on in a new part with a gap, where a split does not come about.
    pub(super) fn replace_displaced(&mut self, now: MonoNs, out: &mut Vec<Effect>) {
        let Some(recording) = self.recording.as_mut().filter(|recording| recording.is_displaced()) else { return };
        recording.close(now, PartEnd::Displaced, Then::Next, out);
    }
}

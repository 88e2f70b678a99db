//! What the disk refuses: each refusal by its own name, and what becomes of the recording.
//!
//! Contract: only a disk without room ends a recording (R-FM-4). Whatever else it refuses costs the part that is written;
//! the next one is tried, more and more slowly, until the disk takes it or somebody says stop. What is refused beside the
//! media (facts, the question for room) is told and costs nothing.

use super::recording::{Phase, Recording, Then};
use super::{Effect, State};
use crate::media::durable_sink::Trouble;
use crate::model::MonoNs;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::session::{LATE_START, PartEnd};

/// What the operator learns of `trouble`.
pub(super) fn incident_of(trouble: &Trouble) -> Incident {
    let (code, reason) = match trouble {
        Trouble::DiskFull => return Incident::new(IncidentCode::DiskFull),
        Trouble::QuotaExceeded => return Incident::new(IncidentCode::QuotaExceeded),
        Trouble::ReadOnly(reason) => (IncidentCode::DiskReadOnly, reason),
        Trouble::Vanished(reason) => (IncidentCode::StorageVanished, reason),
        Trouble::Write(reason) => (IncidentCode::DiskError, reason),
        Trouble::Sync(reason) | Trouble::Unsynced { reason, .. } => (IncidentCode::SyncFailed, reason),
        Trouble::Stream(reason) => (IncidentCode::PipelineFailed, reason),
    };
    Incident::new(code).with("reason", reason)
}

impl Recording {
    /// What follows a part that fails now.
    pub(super) fn then(&self) -> Then {
        match self.closing_then() {
            Some(then) => then,
            None if self.is_stopping() => Then::Done,
            None => Then::Next,
        }
    }

    /// There is no room for a part behind the one that is being closed.
    fn expect_no_more(&mut self) {
        if let Phase::Closing { then: then @ Then::Next, .. } = &mut self.phase
            && !self.stopping
        {
            *then = Then::Failed;
        }
    }

    /// Nothing more of `part` becomes safe: it is to be split off soon, whatever kept a split waiting before. A disk that
    /// refuses every sync gets new files more and more slowly.
    fn follow_unsynced(&mut self, now: MonoNs, part: u32) {
        if self.unsynced.insert(part) {
            let pause = self.sync_pace.after(PartEnd::DiskError, self.take.progress.safe);
            self.no_split_before = now.plus(pause);
        }
    }

    /// Whether nothing more of the part that is written becomes safe.
    pub(super) fn is_unsynced(&self) -> bool {
        matches!(&self.phase, Phase::Writing { part, .. } if self.unsynced.contains(part))
    }

    /// The disk has this against the part that is written, or against the next one.
    pub(super) fn blame(&mut self, code: IncidentCode) {
        self.fault = Some(code);
        if let Some((_, cause)) = self.lost_since.as_mut().filter(|(_, cause)| cause == LATE_START) {
            code.as_str().clone_into(cause);
        }
    }
}

impl State {
    pub(super) fn on_trouble(&mut self, now: MonoNs, part: Option<u32>, trouble: Trouble, out: &mut Vec<Effect>) {
        if let Trouble::Stream(reason) = trouble {
            return self.on_take_failed(now, part, reason, out);
        }
        let code = self.tell_trouble(now, &trouble, out);
        if let (Some(part), Some(recording)) = (part, &mut self.recording) {
            recording.told.entry(part).or_default().insert(code);
        }
        let beside = part.filter(|part| self.recording.as_ref().is_some_and(|recording| recording.is_beside(*part)));
        let Some(recording) = &mut self.recording else { return };
        match trouble {
            // The part goes on, and what it says of its safety is true; but the next one can be safe again.
            Trouble::Sync(_) | Trouble::Unsynced { .. } => {
                if let Some(part) = part.filter(|part| !recording.is_settling(*part)) {
                    recording.follow_unsynced(now, part);
                }
            }
            Trouble::Stream(_) => {}
            Trouble::DiskFull | Trouble::QuotaExceeded => {
                recording.blame(code);
                recording.close(now, PartEnd::DiskFull, Then::Failed, out);
                recording.expect_no_more();
            }
            // One file's trouble is its own; a full disk is everybody's.
            Trouble::Write(_) | Trouble::ReadOnly(_) | Trouble::Vanished(_) => match beside {
                Some(beside) => self.on_beside_failed(now, beside, out),
                // Its file takes nothing any more: what the pipelines still hold has nowhere to go.
                None => {
                    recording.blame(code);
                    let then = recording.then();
                    recording.cut(now, PartEnd::DiskError, then, out);
                }
            },
        }
    }

    /// Tells what the disk has against the media.
    fn tell_trouble(&mut self, now: MonoNs, trouble: &Trouble, out: &mut Vec<Effect>) -> IncidentCode {
        let incident = incident_of(trouble);
        let code = incident.code;
        out.push(Effect::Log(incident.clone()));
        self.blame_media(code);
        self.raise(now, incident, out);
        code
    }

    /// `part` is closed. What its last sync or write was refused with came when its pipelines were gone and nobody knew
    /// it any more, and it may have ended as asked (R-TRU-3). A sync that found no room was told as that; one that failed
    /// behind it is another trouble.
    pub(super) fn tell_doubt(&mut self, now: MonoNs, part: u32, doubt: Option<Trouble>, out: &mut Vec<Effect>) {
        let told = self.recording.as_mut().and_then(|recording| recording.told.remove(&part)).unwrap_or_default();
        if let Some(doubt) = doubt.filter(|doubt| !told.contains(&incident_of(doubt.told_as()).code)) {
            self.tell_trouble(now, &doubt, out);
        }
    }

    /// What stands for `code` is the media from now on: that something beside it works again says nothing of it.
    pub(super) fn blame_media(&mut self, code: IncidentCode) {
        self.space_fault.take_if(|fault| *fault == code);
        self.facts_fault.take_if(|fault| *fault == code);
    }

    pub(super) fn on_space(&mut self, now: MonoNs, free_bytes: u64, out: &mut Vec<Effect>) {
        if let Some(code) = self.space_fault.take() {
            self.clear(code, out);
        }
        if free_bytes < self.policy().critical_free_bytes && self.is_recording() {
            self.on_trouble(now, None, Trouble::DiskFull, out);
            if let Some(recording) = &mut self.recording {
                recording.finish_if_awaiting(now, out);
            }
        }
    }

    /// Nobody knows how much room there is: that is no reason to believe in it (R-FM-4).
    pub(super) fn on_space_unknown(&mut self, now: MonoNs, trouble: &Trouble, out: &mut Vec<Effect>) {
        let incident = incident_of(trouble);
        if let Some(before) = self.space_fault.take_if(|before| *before != incident.code) {
            self.clear(before, out);
        }
        if self.active.contains_key(&incident.code) {
            return;
        }
        self.space_fault = Some(incident.code);
        out.push(Effect::Log(incident.clone()));
        self.raise(now, incident, out);
    }

    /// The media goes on, and none of it is in doubt for this.
    pub(super) fn on_facts_failed(&mut self, now: MonoNs, trouble: &Trouble, out: &mut Vec<Effect>) {
        let incident = incident_of(trouble);
        out.push(Effect::Log(incident.clone()));
        if let Some(before) = self.facts_fault.take_if(|before| *before != incident.code) {
            self.clear(before, out);
        }
        if !self.active.contains_key(&incident.code) {
            self.facts_fault = Some(incident.code);
        }
        // It stands in line behind what is held up.
        self.note(now, incident, out);
    }

    pub(super) fn on_facts_taken(&mut self, out: &mut Vec<Effect>) {
        if let Some(code) = self.facts_fault.take() {
            self.clear(code, out);
        }
    }
}

//! The disk: what is known of it, what the operator is told, and what is no longer begun or goes on for want of it
//! (R-FM-4, R-DEG-T1, -T6, -T7).
//!
//! Contract: everything told of the disk has the source `storage`, each kind of trouble once, and is resolved when its
//! cause has gone. Percentages only alert; only bytes stop anything. A disk in trouble never stops a session: its workers
//! go on as long as they can.

use super::super::event::{Effect, Now, Refused, Space, StorageEvent};
use super::super::level::{DiskLevel, Limits, used_percent};
use super::State;
use super::commands::refused;
use super::session::{Phase, Session};
use crate::config::size;
use crate::model::MonoNs;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::session::JournalKind;
use crate::model::snapshot::{LevelName, LevelView, RecordingState, RecordingView};
use crate::protocol::worker::WorkerStatus;
use std::path::Path;

/// Name of the disk in alerts.
pub(super) const STORAGE: &str = "storage";
/// What is done about a disk, as it stands in the snapshot.
const NO_NEW_RECORDINGS: &str = "no_new_recordings";
const RECORDING_STOPPED: &str = "recording_stopped";
/// Everything that is told of the disk itself.
const TOLD: [IncidentCode; 8] = [
    IncidentCode::StorageFrozen,
    IncidentCode::StorageVanished,
    IncidentCode::DiskReadOnly,
    IncidentCode::DiskError,
    IncidentCode::DiskFull,
    IncidentCode::QuotaExceeded,
    IncidentCode::DiskCritical,
    IncidentCode::DiskLow,
];

/// What is known of the disk.
#[derive(Debug, Default)]
pub(super) struct Storage {
    level: DiskLevel,
    /// What the last look found wrong.
    seen: Option<Incident>,
    /// A write of ours does not return.
    frozen: bool,
    /// What it refused of ours last.
    refused: Option<Incident>,
    /// A session was stopped for want of room, and there was none until a moment ago.
    stopped: bool,
    /// Something was wrong with it a moment ago.
    red: bool,
}

impl State {
    /// The folder that is written: room is asked for there.
    pub fn written(&self) -> &Path {
        let written = |session: &&Session| session.is_written() && session.phase != Phase::Over;
        self.session.as_ref().filter(written).map_or(&self.setup.library, |session| &session.dir)
    }

    fn limits(&self) -> Limits {
        Limits::new(&self.setup.storage, self.setup.policy.critical_free_bytes)
    }

    /// Something happened to the disk.
    pub(super) fn on_storage(&mut self, now: Now, event: StorageEvent, out: &mut Vec<Effect>) {
        match event {
            StorageEvent::Looked(trouble) => self.storage.seen = trouble,
            StorageEvent::Frozen(frozen) => self.storage.frozen = frozen,
            StorageEvent::Wrote(trouble) => self.storage.refused = trouble,
        }
        let red = self.trouble(now).is_some() || self.storage.refused.is_some();
        if std::mem::replace(&mut self.storage.red, red) && !red {
            self.close_at_once(now);
        }
        self.tell_storage(now, out);
    }

    /// The file system was asked for its room.
    pub(super) fn on_space(&mut self, now: Now, space: Option<Space>, out: &mut Vec<Effect>) {
        let limits = self.limits();
        // A file system without a size says nothing about its room (some of FUSE).
        let space = space.filter(|space| space.total > 0);
        match space {
            Some(space) => self.storage.level.look(now.mono, &limits, space),
            None => self.storage.level.doubt(),
        }
        self.space = space.map(|space| (now.mono, space));
        self.storage.stopped &= self.storage.level.was_empty();
        if space.is_some() && self.storage.level.is_empty(&limits) {
            self.stop_for_want_of_room(now, out);
        }
        self.tell_storage(now, out);
    }

    /// A session begins: whatever was stopped before, there is room again.
    pub(super) fn begin_with_room(&mut self) {
        self.storage.stopped = false;
    }

    /// Room is gone: everything that writes is stopped while its files can still be closed.
    fn stop_for_want_of_room(&mut self, now: Now, out: &mut Vec<Effect>) {
        let Some(session) = self.session.as_ref().filter(|session| session.runs()) else { return };
        let kind = JournalKind::Incident { input: None, incident: Incident::new(IncidentCode::DiskFull) };
        out.push(session.line(now, kind));
        self.storage.stopped = true;
        self.stop_session(now, Vec::new(), out);
    }

    /// All recordings of the running session ended because there is no room: that is how it was to end, whoever saw it
    /// first.
    pub(super) fn ended_for_want_of_room(&mut self) -> bool {
        let Some(session) = &self.session else { return false };
        let ended = !session.takes.is_empty() && session.takes.iter().all(|take| take.starved);
        // The next look tells whether it was the floor.
        self.storage.stopped |= ended;
        ended
    }

    /// The room that is told of. A write that found the disk gone or read-only may come before the next look does: what was
    /// there before is not there any more.
    pub(super) fn room_told(&self, now: MonoNs) -> Option<Space> {
        let lost = |code| matches!(code, IncidentCode::StorageVanished | IncidentCode::DiskReadOnly);
        let refused = self.storage.refused.as_ref().is_some_and(|trouble| lost(trouble.code));
        self.space(now).filter(|_| !refused)
    }

    /// What keeps recordings from beginning, worst first: what was seen, or what does not return.
    fn trouble(&self, now: Now) -> Option<Incident> {
        let frozen = || self.disk_stands(now).then_some(IncidentCode::StorageFrozen);
        self.storage.seen.clone().or_else(|| frozen().map(Incident::new))
    }

    /// The disk takes nothing, as the engine or a worker that writes found out.
    pub(super) fn disk_stands(&self, now: Now) -> bool {
        self.storage.frozen || self.is_frozen_to_a_worker(now)
    }

    /// A worker that writes finds the disk frozen. What one that has ended says may have gone since: it writes no more. Nor
    /// does the last word of one that is silent excuse anybody: that it was told is kept on the same disk, so a disk that
    /// does stand is found out by our own write.
    fn is_frozen_to_a_worker(&self, now: Now) -> bool {
        let linked = self.inputs.iter().filter(|input| input.worker.is_linked() && input.waits_for_disk(now));
        let over = |recording: &RecordingView| matches!(recording.state, RecordingState::Done | RecordingState::Failed);
        let writes = |status: &&WorkerStatus| status.recording.as_ref().is_some_and(|recording| !over(recording));
        linked.filter_map(|input| Some(&input.status.as_ref()?.1)).any(|status| writes(&status))
    }

    /// Everything that is wrong with the disk now.
    fn storage_incidents(&self) -> Vec<Incident> {
        let frozen = self.storage.frozen.then(|| Incident::new(IncidentCode::StorageFrozen));
        let mut incidents: Vec<Incident> =
            [self.storage.seen.clone(), frozen, self.storage.refused.clone()].into_iter().flatten().collect();
        let level = &self.storage.level;
        if let Some(space) = level.last() {
            let told =
                |code| Incident::new(code).with("free", size::format(space.free)).with("used", used_percent(space));
            if self.storage.stopped {
                incidents.push(Incident::new(IncidentCode::DiskFull));
            } else if level.is_critical() {
                let floor = size::format(self.limits().critical_free);
                incidents.push(told(IncidentCode::DiskCritical).with("floor", floor));
            }
            if level.is_low() {
                incidents.push(told(IncidentCode::DiskLow));
            }
        }
        incidents
    }

    fn tell_storage(&mut self, now: Now, out: &mut Vec<Effect>) {
        let incidents = self.storage_incidents();
        for code in TOLD {
            match incidents.iter().find(|incident| incident.code == code) {
                Some(incident) => self.keep(now, STORAGE, incident.clone(), out),
                None => self.alerts.resolve(now, STORAGE, code.as_str()),
            }
        }
    }

    /// The level the disk makes, why, and what is done about it.
    pub(super) fn disk_level(&self, now: Now) -> LevelView {
        let level = &self.storage.level;
        let trouble = self.trouble(now);
        let red = [trouble.as_ref(), self.storage.refused.as_ref()];
        let mut causes: Vec<String> =
            red.into_iter().flatten().map(|trouble| trouble.code.as_str().to_owned()).collect();
        causes.dedup();
        let name = if causes.is_empty() { level.name() } else { LevelName::Critical };
        let disk = [(level.is_critical(), IncidentCode::DiskCritical), (level.is_low(), IncidentCode::DiskLow)];
        causes.extend(disk.into_iter().filter(|(is, _)| *is).map(|(_, code)| code.as_str().to_owned()));
        let refuses = trouble.is_some() || level.is_short(&self.limits());
        let actions = [(refuses, NO_NEW_RECORDINGS), (self.storage.stopped, RECORDING_STOPPED)];
        let actions = actions.into_iter().filter(|(is, _)| *is).map(|(_, action)| action.to_owned()).collect();
        LevelView { name, causes, actions, cpu_percent: None }
    }

    /// Whether a recording may begin; which rule forbids it, and what it needs (R-FM-4). The largest rule applies.
    pub(super) fn check_space(&self, now: Now) -> Result<(), Refused> {
        let library = self.setup.library.display();
        if let Some(trouble) = self.trouble(now) {
            let reason = trouble.params.get("reason").cloned().unwrap_or_default();
            let (code, why) = match trouble.code {
                IncidentCode::StorageFrozen => (trouble.code, "does not answer; check it and try again".to_owned()),
                IncidentCode::StorageVanished => {
                    (trouble.code, format!("is gone ({reason}); connect it again, or choose another with --library"))
                }
                IncidentCode::DiskReadOnly => {
                    (trouble.code, "is read-only; check it, or choose another with --library".to_owned())
                }
                _ => (IncidentCode::DiskError, format!("cannot be used ({reason}); check it and try again")),
            };
            return Err(refused(503, code.as_str(), format!("the disk of {library} {why}"), true));
        }
        let Some(space) = self.space(now.mono) else {
            let message = format!("the file system of {library} does not answer; check the disk and try again");
            return Err(refused(503, "storage_frozen", message, true));
        };
        let rules = [
            ("storage.critical_free", self.setup.policy.critical_free_bytes),
            ("storage.min_free_start", self.setup.storage.min_free_start),
            ("storage.stop_new_free", self.setup.storage.stop_new_free),
        ];
        let Some((rule, needed)) = rules.into_iter().max_by_key(|(_, needed)| *needed) else { return Ok(()) };
        if space.free >= needed {
            return Ok(());
        }
        let (free, needed) = (size::format(space.free), size::format(needed));
        let message =
            format!("too little space in {library}: {free} are free, {rule} needs {needed}; delete or move recordings");
        Err(refused(507, "no_space", message, false))
    }
}

/// How a start is refused whose plan could not be written: status, code, whether to try again.
pub(super) fn refusal_of(code: IncidentCode) -> (u16, &'static str, bool) {
    match code {
        IncidentCode::DiskFull => (507, "no_space", false),
        IncidentCode::QuotaExceeded => (507, "quota_exceeded", false),
        IncidentCode::StorageFrozen | IncidentCode::StorageVanished => (503, code.as_str(), true),
        IncidentCode::DiskReadOnly => (503, code.as_str(), false),
        _ => (503, "not_persisted", false),
    }
}

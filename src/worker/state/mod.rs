//! Everything a worker decides: `handle(now, event) -> effects`. No I/O, no clock, no GStreamer, no lock.
//!
//! ```text
//! source:     unconfigured ─▶ opening ─▶ live ─▶ waiting ─▶ opening …        failed (misconfigured)
//! recording:  awaiting ─▶ opening ─▶ writing ─▶ closing ─▶ awaiting … | done
//! beside it:  next part (opening ─▶ armed)     settling part          see split
//! ```
//! Contract: a worker needs nobody once it has a policy and a ticket: it keeps recording when its engine is gone,
//! closes a part when the signal goes, and opens the next one when it returns. What is shown follows from evidence
//! only (R-TRU-1).

mod allegiance;
mod answers;
mod audio;
mod closing;
mod commands;
mod disk;
mod displaced;
mod event;
mod frozen;
mod growth;
mod opening;
mod pace;
mod pause;
mod recording;
mod source;
mod split;
mod status;
#[cfg(test)]
mod tests;
mod watch;

pub use allegiance::{Allegiance, Greeting};
pub use answers::{Answers, Asked};
pub use event::{Effect, Event, Evidence, HoldFault, PartClosing, PartRefusal, Place, Reply, TakeEvidence};
pub use pause::Patience;

use crate::model::incident::{Incident, IncidentCode};
use crate::model::input::InputSpec;
use crate::model::policy::WorkerPolicy;
use crate::model::shed::Shed;
use crate::model::{InputId, MonoNs, SessionId};
use audio::AudioWatch;
use recording::{Recording, Step};
use source::SourceState;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the engine handed down.
#[derive(Debug, Clone, PartialEq)]
struct Config {
    input: InputSpec,
    policy: WorkerPolicy,
}

/// Whether an engine listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    Connected,
    GoneSince(MonoNs),
}

/// Whether the worker is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving {
    No,
    /// Exits with this code as soon as nothing is being written.
    WhenIdle(u8),
    /// Has said so.
    Gone,
}

/// The whole state of a worker.
#[derive(Debug)]
pub struct State {
    input: InputId,
    config: Option<Config>,
    source: SourceState,
    /// Attempts to open the source since it last was live.
    attempt: u32,
    /// Datagrams came to nothing: a camera that may be reached either way is asked for TCP.
    by_tcp: bool,
    /// The device of the last source has been let go of.
    released: bool,
    recording: Option<Recording>,
    audio: AudioWatch,
    engine: Engine,
    leaving: Leaving,
    /// Incidents whose cause goes on.
    active: BTreeMap<IncidentCode, Incident>,
    evidence: Evidence,
    /// The last look at the evidence.
    ticked: MonoNs,
    /// It came behind a standstill, which was taken out of everything: the next look counts whenever it comes.
    excused: bool,
    /// Frames are missed from here on, if none has come since.
    frames_from: MonoNs,
    /// An answer of the disk is missed from here on, if it owed one before.
    disk_from: MonoNs,
    /// Whether the disk did not answer at the last look, and when that was seen last.
    frozen: bool,
    frozen_at: MonoNs,
    /// What is told of the disk because its room is not known.
    space_fault: Option<IncidentCode>,
    /// What is told of the disk because it holds up facts.
    facts_fault: Option<IncidentCode>,
    /// What is done without under load.
    shed: Shed,
}

impl State {
    /// A worker that knows nothing but its name.
    pub fn new(input: InputId, now: MonoNs) -> Self {
        Self {
            input,
            config: None,
            source: SourceState::Unconfigured,
            attempt: 0,
            by_tcp: false,
            released: true,
            recording: None,
            audio: AudioWatch::default(),
            engine: Engine::GoneSince(now),
            leaving: Leaving::No,
            active: BTreeMap::new(),
            evidence: Evidence::default(),
            ticked: now,
            excused: false,
            frames_from: now,
            disk_from: now,
            frozen: false,
            frozen_at: now,
            space_fault: None,
            facts_fault: None,
            shed: Shed::default(),
        }
    }

    /// Takes one event in and says what to do about it.
    pub fn handle(&mut self, now: MonoNs, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        let out = &mut effects;
        match event {
            Event::EngineConnected => self.engine = Engine::Connected,
            Event::EngineGone => self.engine = Engine::GoneSince(now),
            Event::Configure { reply, input, policy } => self.on_configure(now, reply, input, policy, out),
            Event::Start { reply, ticket } => self.on_start(now, reply, *ticket, out),
            Event::Stop { reply, session } => self.on_stop(now, reply, session, out),
            Event::Split { reply, session, at } => self.on_split(now, reply, session, at, out),
            Event::Retry { reply } => self.on_retry(now, reply, out),
            Event::ClearClip { reply } => {
                commands::ack(reply, out);
                out.push(Effect::ClearClip);
            }
            Event::Leave { reply } => self.on_leave(now, reply, out),
            Event::Shed { reply, shed } => self.on_shed(reply, shed, out),
            Event::Terminate => {
                self.hand_on();
                self.terminate(now, 0, out);
            }
            Event::SourceFormat(format) => self.on_format(now, format, out),
            Event::SourceSilent => self.audio.absent = true,
            Event::SourceFailed { reason, permanent } => self.on_source_failed(now, reason, permanent, out),
            Event::SourceEnded => self.on_source_ended(now, out),
            Event::SourceReleased => self.released = true,
            Event::SoundFailed => out.push(Effect::CloseSound),
            Event::StageFailed { reason } => self.on_stage_failed(now, reason, out),
            Event::PartOpened { part, file } => self.on_part_opened(now, part, file, out),
            Event::PartRefused { part, refusal } => self.on_part_refused(now, part, refusal, out),
            Event::PartSplit { part } => self.on_part_split(now, part, out),
            Event::TakeFailed { part, reason } => self.on_take_failed(now, part, reason, out),
            Event::PartTrouble { part, trouble } => self.on_trouble(now, Some(part), trouble, out),
            Event::PartFlushed { part } => self.step_on(now, part, Step::Flushing, Step::Releasing),
            Event::PartReleased { part } => self.step_on(now, part, Step::Releasing, Step::Finalising),
            Event::PartClosed(closing) => self.on_part_closed(now, *closing, out),
            Event::SessionHeld { reply, session, result } => self.on_session_held(now, reply, session, result, out),
            Event::FactsFailed { trouble } => self.on_facts_failed(now, &trouble, out),
            Event::FactsTaken => self.on_facts_taken(out),
            Event::TeardownStuck => self.raise(now, Incident::new(IncidentCode::TeardownStuck), out),
            Event::Space { dir, free_bytes } if self.records_into(&dir) => self.on_space(now, free_bytes, out),
            Event::SpaceUnknown { dir, trouble } if self.records_into(&dir) => {
                self.on_space_unknown(now, &trouble, out);
            }
            Event::FilePlace { path, place } if path.parent().is_some_and(|dir| self.records_into(dir)) => {
                let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                self.on_place(now, &file, place, out);
            }
            // Late words of another session.
            Event::Space { .. } | Event::SpaceUnknown { .. } | Event::FilePlace { .. } => {}
            Event::Tick(evidence) => {
                self.evidence = *evidence;
                self.on_tick(now, out);
            }
        }
        self.end_incidents();
        self.leave_if_idle(out);
        effects
    }

    fn on_tick(&mut self, now: MonoNs, out: &mut Vec<Effect>) {
        let held_up = self.stood_still(now);
        self.ticked = now;
        self.excused = !held_up.is_zero();
        if self.excused {
            // A process that was stopped itself sees old evidence everywhere; the next look is fair again.
            return self.hold_up(now, held_up);
        }
        self.watch_disk(now, out);
        self.watch_source(now, out);
        self.watch_audio(now, out);
        self.watch_recording(now, out);
        let Engine::GoneSince(since) = self.engine else { return };
        if now.since(since) >= self.policy().orphan_exit && !self.is_recording() && self.leaving == Leaving::No {
            self.leaving = Leaving::WhenIdle(0);
        }
    }

    fn policy(&self) -> WorkerPolicy {
        self.config.as_ref().map(|config| config.policy.clone()).unwrap_or_default()
    }

    /// Whether a session runs in which this worker has something to do.
    pub fn is_recording(&self) -> bool {
        self.recording.as_ref().is_some_and(|recording| !recording.is_done())
    }

    /// The session being recorded, if any.
    pub fn session(&self) -> Option<SessionId> {
        self.recording.as_ref().filter(|recording| !recording.is_done()).map(Recording::session)
    }

    fn records_into(&self, dir: &Path) -> bool {
        self.recording.as_ref().is_some_and(|recording| !recording.is_done() && recording.ticket.dir == dir)
    }

    /// The folder of the session being recorded, if any.
    pub fn recording_dir(&self) -> Option<PathBuf> {
        self.recording.as_ref().filter(|recording| !recording.is_done()).map(|recording| recording.ticket.dir.clone())
    }

    /// Size of the pictures of a live source, and how many come per second.
    pub fn picture(&self) -> Option<((u32, u32), f64)> {
        match &self.source {
            SourceState::Live { format, .. } => {
                let rate = format.recorded_rate();
                let per_second = f64::from(rate.numer()) / f64::from(rate.denom().max(1));
                Some(((format.width, format.height), per_second))
            }
            _ => None,
        }
    }

    /// The name of the input.
    pub fn input(&self) -> &InputId {
        &self.input
    }

    /// Notes an incident whose cause goes on: shown as active, written as a fact once per session.
    fn raise(&mut self, now: MonoNs, incident: Incident, out: &mut Vec<Effect>) {
        if let Some(recording) = self.recording.as_mut().filter(|_| OF_THE_DISK.contains(&incident.code)) {
            recording.doubted_at = Some(now);
        }
        self.note(now, incident, out);
    }

    /// The same without a doubt about the media.
    fn note(&mut self, now: MonoNs, incident: Incident, out: &mut Vec<Effect>) {
        if self.active.insert(incident.code, incident.clone()).is_none() {
            out.push(Effect::PublishStatus);
        }
        if let Some(recording) = self.recording.as_mut().filter(|recording| !recording.is_done()) {
            recording.note_incident(now, incident, out);
        }
    }

    fn clear(&mut self, code: IncidentCode, out: &mut Vec<Effect>) {
        if self.active.remove(&code).is_some() {
            out.push(Effect::PublishStatus);
        }
    }

    /// A recording that has ended has no cause that goes on at the disk: whether that is still full is said by whoever
    /// looks at it, and what it did to the recording stands in the session. Facts that are held up wait for it still. Nor
    /// is anything stalled, or being stopped.
    fn end_incidents(&mut self) {
        if self.recording.as_ref().is_some_and(Recording::is_done) {
            let held_up = self.facts_fault;
            let over = |code: &IncidentCode| OF_THE_DISK.contains(code) || OVER_WHEN_DONE.contains(code);
            self.active.retain(|code, _| !over(code) || held_up == Some(*code));
            self.space_fault = None;
        }
    }

    fn terminate(&mut self, now: MonoNs, code: u8, out: &mut Vec<Effect>) {
        if self.leaving == Leaving::No {
            self.leaving = Leaving::WhenIdle(code);
        }
        self.stop_recording(now, out);
    }

    fn leave_if_idle(&mut self, out: &mut Vec<Effect>) {
        if let Leaving::WhenIdle(code) = self.leaving
            && !self.is_recording()
        {
            self.leaving = Leaving::Gone;
            out.push(Effect::Exit(code));
        }
    }

    fn on_stage_failed(&mut self, now: MonoNs, reason: String, out: &mut Vec<Effect>) {
        // The stage lives as long as the worker: a worker without one makes room for a new worker.
        self.raise(now, Incident::new(IncidentCode::PipelineFailed).with("reason", reason), out);
        self.hand_on();
        self.terminate(now, 1, out);
    }

    /// This worker ends although nobody asked to stop the session: what it says of its parts is no end of the recording,
    /// so that its successor goes on with the next one (R-SUP-5).
    fn hand_on(&mut self) {
        if let Some(recording) = self.recording.as_mut().filter(|recording| !recording.stopping) {
            recording.handed_on = true;
        }
    }
}

/// Incidents about one part: over when another one grows.
const OF_A_PART: [IncidentCode; 8] = [
    IncidentCode::QueueOverflow,
    IncidentCode::RecordingStalled,
    IncidentCode::PipelineFailed,
    IncidentCode::EncoderMissing,
    IncidentCode::SplitFailed,
    IncidentCode::StopCut,
    IncidentCode::TeardownStuck,
    IncidentCode::FileDisplaced,
];
/// Those of them that are over when nothing is written any more.
const OVER_WHEN_DONE: [IncidentCode; 4] =
    [IncidentCode::QueueOverflow, IncidentCode::RecordingStalled, IncidentCode::SplitFailed, IncidentCode::StopCut];
/// Incidents about the disk: over when media of another part is safe.
const OF_THE_DISK: [IncidentCode; 6] = [
    IncidentCode::DiskFull,
    IncidentCode::QuotaExceeded,
    IncidentCode::DiskError,
    IncidentCode::DiskReadOnly,
    IncidentCode::StorageVanished,
    IncidentCode::SyncFailed,
];

/// Whether an incident is about one recording, and so over when the next begins; the others last until their cause
/// has gone.
fn ends_with_session(code: IncidentCode) -> bool {
    OF_A_PART.contains(&code) || OF_THE_DISK.contains(&code)
}

/// A pause before attempt `attempt` (from 1): full jitter between 0 and min(cap, first · 2^(attempt − 1)), never
/// below a tenth of that so that a source which fails at once does not spin (R-SRC-1). `seed` is any number that
/// differs between inputs and moments.
fn backoff(attempt: u32, first: Duration, cap: Duration, seed: u64) -> Duration {
    let factor = 1u32.checked_shl(attempt.saturating_sub(1)).filter(|&factor| factor > 0).unwrap_or(u32::MAX);
    let longest = first.saturating_mul(factor).min(cap);
    // SplitMix64 (Steele, Lea, Flood 2014): one round is plenty to spread neighbouring seeds.
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    let fraction = (mixed >> 11) as f64 / (1u64 << 53) as f64;
    longest.mul_f64(0.1 + 0.9 * fraction)
}

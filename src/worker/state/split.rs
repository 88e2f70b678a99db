//! From one part to the next without a gap: the encoders go on, a keyframe is the boundary (R-JOB-7).
//!
//! ```text
//! writing A ─(limit | command)─▶ A, opening B ─(file exists)─▶ A, B armed ─(keyframe)─▶ writing B, settling A ─▶ writing B
//!                                      └──────(fault | stop | no keyframe)──┴─▶ writing or closing A, settling B (empty)
//! ```
//! Contract: one part is written at any time. At most one settles beside it: while a slow disk still holds up the one
//! before, a split waits and the part grows on. A split never costs the part that is being written: whatever goes wrong
//! before the keyframe concerns the new file only, which is closed empty and keeps its number. The keyframe may come in
//! the moment the next part is given up: then that part has begun, and whatever was about to end the part that is
//! written ends the new one. Every step has a deadline.

use super::recording::{Phase, Recording, Step, Then};
use super::{Effect, PartRefusal, Reply, State, TakeEvidence};
use crate::media::pipeline::TEARDOWN_DEADLINE;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::policy::Split;
use crate::model::session::{FactKind, PartEnd};
use crate::model::{MonoNs, SessionId};
use crate::storage::layout;
use std::time::Duration;

/// A split by time is prepared this long before, because creating a file waits for the disk.
const PREPARE: Duration = Duration::from_secs(2);
/// A split by size is begun when the part would reach its limit within this time: creating the file, the keyframe, and
/// the fragments that are still in memory.
const SIZE_MARGIN: Duration = Duration::from_secs(2);
/// No keyframe within this time: the split is given up. Below the time sound may wait for it
/// ([`crate::media::boundary::DECISION_DEADLINE`]), unless the worker stood still meanwhile: then sound goes on first, and
/// the split is given up behind it.
const KEYFRAME_DEADLINE: Duration = Duration::from_secs(12);
/// Creating a file takes milliseconds; a disk that takes this long is frozen, and the part that is open gets the blame.
const CREATE_DEADLINE: Duration = Duration::from_secs(30);
/// After a split that failed the next waits this long, because each attempt leaves a file.
const FAILED_PAUSE: Duration = Duration::from_secs(30);

/// The part that comes next, while the one before it is still being written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Next {
    part: u32,
    file: String,
    pub(super) since: MonoNs,
    /// Its file exists; it begins with the next keyframe.
    armed: bool,
}

/// Why a part is closed beside the one that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The next one has begun.
    Split,
    /// It was to come next, and is not wanted any more.
    GivenUp,
    /// It was to come next, and failed by itself.
    Failed,
}

/// A part that is being closed beside the one that is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settling {
    pub(super) part: u32,
    file: String,
    pub(super) since: MonoNs,
    step: Step,
    why: Why,
    /// What was seen of it last.
    pub(super) take: TakeEvidence,
}

impl Recording {
    /// Gives the next part up, if there is one; its file is closed as it is.
    pub(super) fn drop_next(&mut self, now: MonoNs, why: Why, out: &mut Vec<Effect>) {
        let Some(Next { part, file, .. }) = self.next.take() else { return };
        self.split_wanted = None;
        self.no_split_before = now.plus(FAILED_PAUSE);
        let take = TakeEvidence::default();
        self.settling = Some(Settling { part, file, since: now, step: Step::Releasing, why, take });
        out.push(Effect::DropNext);
    }

    /// How long the next split waits after one whose part could not be `made`, or failed by itself.
    fn pause_behind_failed(&mut self, made: bool) -> Duration {
        if self.is_displaced() {
            // The part before it is nowhere to be found: there is nothing to be spared but files.
            if made { self.pace.after_failure() } else { self.pace.after_refusal() }
        } else if self.is_unsynced() {
            // Nothing more of it becomes safe.
            self.sync_pace.after_failure()
        } else {
            FAILED_PAUSE
        }
    }

    /// Takes out the part whose keyframe has come, with its file and what was to become of it.
    fn take_begun(&mut self, part: u32) -> Option<(String, Why)> {
        if let Some(next) = self.next.take_if(|next| next.part == part && next.armed) {
            return Some((next.file, Why::Split));
        }
        let given_up = self.settling.take_if(|settling| settling.part == part && settling.why != Why::Split)?;
        self.no_split_before = given_up.since;
        Some((given_up.file, given_up.why))
    }

    /// Whether `part` is the one that comes next, or settles.
    pub(super) fn is_beside(&self, part: u32) -> bool {
        self.is_next(part) || self.is_settling(part)
    }

    pub(super) fn is_next(&self, part: u32) -> bool {
        self.next.as_ref().is_some_and(|next| next.part == part)
    }

    pub(super) fn is_settling(&self, part: u32) -> bool {
        self.settling.as_ref().is_some_and(|settling| settling.part == part)
    }

    /// The settling part has come this far.
    pub(super) fn settle_on(&mut self, now: MonoNs, part: u32, from: Step, to: Step) {
        if let Some(settling) = self.settling.as_mut().filter(|s| s.part == part && s.step == from) {
            settling.step = to;
            settling.since = now;
        }
    }

    /// The number of the part that comes next, or settles, by its file.
    pub(super) fn beside_named(&self, name: &str) -> Option<u32> {
        let next = self.next.as_ref().filter(|next| next.file == name).map(|next| next.part);
        next.or_else(|| self.settling.as_ref().filter(|settling| settling.file == name).map(|settling| settling.part))
    }

    /// When the part being written should end by `policy`, if that is soon.
    fn split_due(&self, now: MonoNs, policy: &Split) -> Option<MonoNs> {
        let TakeEvidence { progress, origin: Some(origin), .. } = self.take else { return None };
        if let Some(after) = policy.after {
            let at = origin.plus(after);
            if now.plus(PREPARE.min(after / 2)) >= at {
                return Some(at);
            }
        }
        let limit = policy.bytes?;
        let margin = progress.bytes as f64 / progress.written.as_secs_f64().max(1.0) * SIZE_MARGIN.as_secs_f64();
        (progress.bytes.saturating_add(margin as u64) >= limit).then_some(now)
    }
}

impl State {
    pub(super) fn on_split(
        &mut self,
        _now: MonoNs,
        reply: Reply,
        session: SessionId,
        at: MonoNs,
        out: &mut Vec<Effect>,
    ) {
        let Some(recording) = self.recording.as_mut().filter(|r| !r.is_done() && r.session() == session) else {
            return super::commands::refuse(reply, "not_recording", format!("session {session} is not recorded"), out);
        };
        super::commands::ack(reply, out);
        // Whoever asks twice within one group of pictures means one split; a part that has not begun is a new one.
        let group = Duration::from_millis(u64::from(recording.ticket.encoding.keyframe_interval_ms));
        let young = recording.take.origin.is_none_or(|origin| at < origin.plus(group));
        if matches!(recording.phase, Phase::Writing { .. }) && recording.next.is_none() && !young {
            recording.split_wanted.get_or_insert(at);
        }
    }

    /// Begins a split that is due, and gives one up that does not come about.
    pub(super) fn watch_split(&mut self, now: MonoNs, out: &mut Vec<Effect>) {
        let policy = self.policy().split;
        let Some(recording) = &mut self.recording else { return };
        if let Some(next) = &recording.next {
            let limit = if next.armed { KEYFRAME_DEADLINE } else { CREATE_DEADLINE };
            if now.since(next.since) >= limit {
                let reason = format!("{} could not begin within {} s", next.file, limit.as_secs());
                recording.drop_next(now, Why::GivenUp, out);
                self.raise_split_failed(now, reason, out);
                self.replace_displaced(now, out);
            }
            return;
        }
        let Phase::Writing { started: true, .. } = recording.phase else { return };
        if recording.settling.is_some() || now < recording.no_split_before {
            return;
        }
        let needed = (recording.is_displaced() || recording.is_unsynced()).then_some(now);
        let wanted = recording.split_wanted.or(needed).or_else(|| recording.split_due(now, &policy));
        if let Some(at) = wanted {
            self.open_next(now, at, out);
        }
    }

    fn raise_split_failed(&mut self, now: MonoNs, reason: String, out: &mut Vec<Effect>) {
        let incident = Incident::new(IncidentCode::SplitFailed).with("reason", reason);
        out.push(Effect::Log(incident.clone()));
        self.raise(now, incident, out);
    }

    fn open_next(&mut self, now: MonoNs, at: MonoNs, out: &mut Vec<Effect>) {
        let Some(recording) = &mut self.recording else { return };
        let Some((format, with_audio)) = recording.recorded.clone() else { return };
        let part = recording.next_part;
        recording.next_part += 1;
        recording.split_wanted = None;
        let ticket = recording.ticket.clone();
        let file = layout::part_file(&self.input, part, ticket.encoding.container);
        recording.next = Some(Next { part, file: file.clone(), since: now, armed: false });
        out.push(Effect::OpenPart {
            part,
            path: ticket.dir.join(file),
            start_at: ticket.start_at_ns,
            split_at: Some(at),
            format,
            with_audio,
            ticket: Box::new(ticket),
        });
    }

    /// A file beside the part that is written exists.
    pub(super) fn on_next_opened(&mut self, now: MonoNs, part: u32, file: String, out: &mut Vec<Effect>) {
        let Some(recording) = &mut self.recording else { return };
        if let Some(next) = recording.next.as_mut().filter(|next| next.part == part) {
            next.armed = true;
            next.since = now;
        }
        recording.write_fact(now, FactKind::PartOpened { part, file }, out);
    }

    /// The keyframe has come: `part` has begun, even if it was given up just before.
    pub(super) fn on_part_split(&mut self, now: MonoNs, part: u32, out: &mut Vec<Effect>) {
        let Some(recording) = &mut self.recording else { return };
        let Some((file, why)) = recording.take_begun(part) else { return };
        let (old, old_file) = match &mut recording.phase {
            // Nothing stood still: the time since the last growth counts on over the boundary.
            Phase::Writing { part: number, file: name, since, started, overflowed, .. } => {
                (*since, *started, *overflowed) = (now, false, 0);
                (std::mem::replace(number, part), std::mem::replace(name, file.clone()))
            }
            // What ends the old part comes behind the boundary, so it ends the new one.
            Phase::Closing { part: number, file: name, .. } => {
                (std::mem::replace(number, part), std::mem::replace(name, file.clone()))
            }
            Phase::Awaiting { .. } | Phase::Opening { .. } | Phase::Ending { .. } | Phase::Done { .. } => return,
        };
        let fresh = TakeEvidence { frames: super::recording::nothing(), ..TakeEvidence::default() };
        let take = std::mem::replace(&mut recording.take, fresh);
        let (since, step) = (now, Step::Flushing);
        recording.settling = Some(Settling { part: old, file: old_file, since, step, why: Why::Split, take });
        recording.last = Some((part, file));
        recording.rate_from = None;
        self.evidence.take = None;
        out.push(Effect::AdvancePart);
        if why == Why::Failed {
            recording.cut(now, PartEnd::Cut, Then::Next, out);
        }
        out.push(Effect::PublishStatus);
    }

    /// A part beside the one that is written failed by itself.
    pub(super) fn on_beside_failed(&mut self, now: MonoNs, part: u32, out: &mut Vec<Effect>) {
        let Some(recording) = &mut self.recording else { return };
        if recording.is_next(part) {
            recording.drop_next(now, Why::Failed, out);
            recording.no_split_before = now.plus(recording.pause_behind_failed(true));
        } else if let Some(settling) = recording.settling.as_mut().filter(|s| s.step == Step::Flushing) {
            settling.step = Step::Releasing;
            settling.since = now;
            out.push(Effect::CutSettling);
        }
    }

    /// A file beside the part that is written could not be made.
    pub(super) fn on_next_refused(&mut self, now: MonoNs, part: u32, why: &PartRefusal, out: &mut Vec<Effect>) {
        let Some(recording) = &mut self.recording else { return };
        if recording.is_next(part) {
            recording.next = None;
            let pause = match why {
                PartRefusal::Exists => Duration::ZERO,
                PartRefusal::Disk(_) | PartRefusal::Encoder { .. } | PartRefusal::Pipeline { .. } => {
                    recording.pause_behind_failed(false)
                }
            };
            recording.no_split_before = recording.no_split_before.max(now.plus(pause));
        } else if recording.is_settling(part) {
            recording.settling = None;
            recording.finish_if_ending(now, out);
        }
    }

    /// Notices deadlines of the settling part.
    pub(super) fn watch_settling(&mut self, now: MonoNs, out: &mut Vec<Effect>) {
        let flush_deadline = self.policy().flush_deadline;
        let seen = self.evidence.settling;
        let Some(recording) = &mut self.recording else { return };
        let Some(settling) = &mut recording.settling else { return };
        let (waited, part) = (now.since(settling.since), settling.part);
        match settling.step {
            Step::Flushing if waited >= flush_deadline => {
                self.on_beside_failed(now, part, out);
                self.raise(now, Incident::new(IncidentCode::StopCut), out);
            }
            Step::Flushing => settling.take = seen.unwrap_or(settling.take),
            Step::Releasing if waited >= TEARDOWN_DEADLINE => {
                self.leave_settling_behind(now, Incident::new(IncidentCode::TeardownStuck), out);
            }
            Step::Finalising if waited >= super::closing::FINALISE_DEADLINE => {
                let incident = super::closing::not_finalised_in_time(&settling.file);
                self.leave_settling_behind(now, incident, out);
            }
            Step::Releasing | Step::Finalising => {}
        }
    }

    fn leave_settling_behind(&mut self, now: MonoNs, incident: Incident, out: &mut Vec<Effect>) {
        out.push(Effect::Log(incident.clone()));
        self.raise(now, incident, out);
        let Some(recording) = &mut self.recording else { return };
        let Some(Settling { part, take, .. }) = recording.settling.take() else { return };
        recording.left_behind.insert(part);
        recording.add_unclosed(take);
        recording.finish_if_ending(now, out);
    }
}

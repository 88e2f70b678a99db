//! The encoders of a session: they outlive every part that was cut out of their streams.
//!
//! ```text
//! running ─(close)─▶ draining ─(both streams at the end | deadline)─▶ ending ─▶ ended
//!    └──────────────────────────(failed)──────────────────────────────────────▶ spent
//! ```
//! Contract: nothing here decides. Thrown away when they failed or may have stalled, when the signal went (what they
//! hold is drained into the part first) and when the session ends; kept over every split and over a part that failed by
//! itself. Counters are read by running time, so that a frame counts for the part it lies in.

use super::Notice;
use super::mailbox::Mailbox;
use super::state::Patience;
use super::take::Plan;
use crate::media::boundary::Boundary;
use crate::media::clip::Clip;
use crate::media::encoder::{Chosen, Encode, EncoderFrames, Feed};
use crate::media::error::BuildError;
use crate::media::signal::VideoFormat;
use crate::media::source::Losses;
use crate::media::stage::Stage;
use crate::media::tally::Tally;
use crate::model::MonoNs;
use std::time::Duration;

/// How long the sound may take to reach the end of the picture: the mixer's latency and some.
const DRAIN_DEADLINE: Duration = Duration::from_millis(600);
/// The same where pictures are copied: they come a jitter buffer (200 ms) and the pictures a decoder may hold (16 by
/// H.264, 530 ms) behind their own time, and one that is missing in between is a loss.
const COPY_DRAIN_DEADLINE: Duration = Duration::from_secs(2);

/// The source's counters, from which a take counts its own share.
#[derive(Debug, Clone)]
pub struct SourceCounters {
    /// Frames as they come.
    pub frames: Tally,
    /// Frames lost before they could be counted; `None` = the source is gone.
    pub lost: Option<Losses>,
}

/// What was counted of the frames before one time, from the source to the encoder's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Come from the source.
    pub captured: u64,
    /// Lost before they could be counted, `None` = unknown; by now, because they have no time.
    pub lost: Option<u64>,
    /// Repeated by the stage.
    pub duplicated: u64,
    /// Through the encoder; `overflowed` also counts the queue before the stage, by now.
    pub encoder: EncoderFrames,
}

impl Counts {
    /// What lies between an earlier count and this.
    pub fn since(self, base: Self) -> Self {
        let (now, then) = (self.encoder, base.encoder);
        Self {
            captured: self.captured.saturating_sub(base.captured),
            lost: self.lost.zip(base.lost).map(|(lost, before)| lost.saturating_sub(before)),
            duplicated: self.duplicated.saturating_sub(base.duplicated),
            encoder: EncoderFrames {
                taken: now.taken.saturating_sub(then.taken),
                made: now.made.saturating_sub(then.made),
                overflowed: now.overflowed.saturating_sub(then.overflowed),
            },
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Draining { patience: Patience },
    Ending,
    Ended,
    Failed,
}

impl Phase {
    /// Whether the encoders are to be ended now; they are from here on.
    fn ends(&mut self, now: MonoNs, held_up: Duration, drained: bool) -> bool {
        let Phase::Draining { patience } = self else { return false };
        let ends = patience.is_over(now, held_up) || drained;
        if ends {
            *self = Phase::Ending;
        }
        ends
    }
}

/// The running encoders; see the module.
#[derive(Debug)]
pub struct Encoder {
    /// Marks their notices.
    pub generation: u64,
    /// What their first frame was cut by.
    pub clip: Clip,
    /// The pipeline.
    pub encode: Encode,
    /// Nothing is encoded: the pictures do not come through the stage.
    copies: bool,
    format: VideoFormat,
    phase: Phase,
}

impl Encoder {
    /// Builds what `plan` needs; nothing flows before [`Self::start`].
    pub fn build(plan: &Plan, chosen: &Chosen, feed: Feed<'_>, generation: u64) -> Result<Self, BuildError> {
        // What is copied begins with the first keyframe there is, also one from before the start.
        let start_at = if chosen.copies() { MonoNs(0) } else { plan.start_at };
        let clip = Clip::new(start_at, chosen.audio_priming());
        let name = format!("{}-encode", plan.element_name());
        let encoding = &plan.ticket.encoding;
        let encode = Encode::build(&name, chosen, encoding, &plan.format, feed, &clip)?;
        Ok(Self {
            generation,
            clip,
            encode,
            copies: chosen.copies(),
            format: plan.format.clone(),
            phase: Phase::Running,
        })
    }

    /// Lets frames in.
    pub fn start(&mut self, mailbox: &Mailbox<Notice>) -> Result<(), BuildError> {
        let (mailbox, generation) = (mailbox.clone(), self.generation);
        self.encode.start(move |event| mailbox.send(Notice::Encode(generation, event)))
    }

    /// Whether they can go on into the part of `plan`.
    pub fn fits(&self, plan: &Plan) -> bool {
        self.phase == Phase::Running
            && self.format == plan.format
            && self.encode.audio_out().is_some() == plan.with_audio
    }

    /// Whether they encode on; else they are of no more use than to end.
    pub fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    /// Asks for the keyframe that decides `boundary`; its time comes as a notice with `generation`.
    pub fn arm(&self, boundary: &Boundary, generation: u64, mailbox: &Mailbox<Notice>) -> Result<(), BuildError> {
        let mailbox = mailbox.clone();
        self.encode.arm(boundary, move |at| mailbox.send(Notice::Split(generation, at)))
    }

    /// Lets nothing at or after `at` in, and ends once both streams have come so far; `frames_come` = pictures go on
    /// to arrive and will show that it is reached.
    pub fn close(&mut self, now: MonoNs, at: MonoNs, frames_come: bool) {
        self.clip.end_at(at);
        if !frames_come {
            self.clip.end_video();
        }
        if self.phase == Phase::Running {
            let deadline = if self.copies { COPY_DRAIN_DEADLINE } else { DRAIN_DEADLINE };
            self.phase = Phase::Draining { patience: Patience::new(now, deadline) };
        }
    }

    /// Moves the ending on as time passes; before `now` the worker stood still for `held_up`.
    pub fn tick(&mut self, now: MonoNs, held_up: Duration) {
        let drained = self.clip.reached_end(self.encode.audio_out().is_some());
        if self.phase.ends(now, held_up, drained) {
            self.clip.cancel();
            self.encode.end();
        }
    }

    /// Everything has come out; whether that was asked for.
    pub fn on_ended(&mut self) -> bool {
        let expected = self.phase == Phase::Ending;
        self.phase = if expected { Phase::Ended } else { Phase::Failed };
        expected
    }

    /// They failed, or nobody knows whether they did.
    pub fn give_up(&mut self) {
        self.phase = Phase::Failed;
    }

    /// Whether its pictures come through the stage: those that are copied do not.
    pub fn is_staged(&self) -> bool {
        !self.copies
    }

    /// Counts the frames before `time`; frames lie half a period from their neighbours' borders at least.
    pub fn count(&self, time: MonoNs, stage: &Stage, source: &SourceCounters) -> Counts {
        // Copies keep their times to the nanosecond; the stage moves others by less than half a period.
        let half = if self.copies { Duration::ZERO } else { self.format.period() / 2 };
        let before = MonoNs(time.0.saturating_sub(u64::try_from(half.as_nanos()).unwrap_or(0)));
        let mut encoder = self.encode.frames(Some(before));
        if !self.copies {
            encoder.overflowed += stage.video_in.overflowed();
        }
        Counts {
            captured: source.frames.count_before(before),
            lost: source.lost.as_ref().and_then(Losses::count),
            duplicated: if self.copies { 0 } else { stage.copies.count_before(before) },
            encoder,
        }
    }

    /// The time behind the last frame that was let in.
    pub fn reached(&self) -> Option<MonoNs> {
        let behind = if self.copies { Duration::from_nanos(1) } else { self.format.period() };
        self.clip.last_video().map(|last| last.plus(behind))
    }

    /// Throws them away.
    pub fn discard(self) {
        self.clip.cancel();
        self.encode.discard(|| {});
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_the_stage_is_drained_also_when_the_worker_stood_still_meanwhile() {
        let at = |millis| MonoNs(0).plus(Duration::from_millis(millis));
        let closed = || Phase::Draining { patience: Patience::new(at(0), DRAIN_DEADLINE) };
        // Stopped for 2 s right behind the close: its pipelines were as well.
        let mut phase = closed();
        assert!(!phase.ends(at(2000), Duration::from_millis(1900), false));
        assert!(phase.ends(at(2100), Duration::ZERO, true));
        assert_eq!(phase, Phase::Ending);
        // Sound that never comes is not waited for any longer for that.
        let mut phase = closed();
        assert!(!phase.ends(at(2000), Duration::from_millis(1900), false));
        assert!(!phase.ends(at(2400), Duration::ZERO, false));
        assert!(phase.ends(at(2500), Duration::ZERO, false));
        assert!(!phase.ends(at(2600), Duration::ZERO, true), "once");
    }
}

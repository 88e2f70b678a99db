//! One part in the making: encoders, muxer, sink and the clip that cuts them to one stretch of time.
//!
//! ```text
//! recording ─(close)─▶ draining ─(both streams at the end | deadline)─▶ encoder ends ─▶ part ends ─▶ finished
//!      └───────────────(cut)──────────────────────────────────────────────────────────────▶ finished
//! ```
//! Contract: nothing here decides; the worker's state says when to close or cut. Frame counts are measured, each
//! where it happens; once the take has ended, captured + duplicated = encoded + dropped.queue + dropped.encoder, but for
//! a copy at either border that may be counted on the other side.

use super::state::TakeEvidence;
use super::{Notice, mailbox::Mailbox};
use crate::media::clip::Clip;
use crate::media::durable_sink::{self, Finished, Progress, SinkEvent};
use crate::media::encoder::{Chosen, Encode, EncoderFrames, Feed};
use crate::media::error::BuildError;
use crate::media::mux::Part;
use crate::media::pipeline::BusEvent;
use crate::media::signal::VideoFormat;
use crate::media::stage::Stage;
use crate::media::tally::Tally;
use crate::model::MonoNs;
use crate::model::session::{PartEnd, PartFrames};
use crate::model::snapshot::{Dropped, Frames};
use crate::protocol::worker::Ticket;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long the sound may take to reach the end of the picture: the mixer's latency and some.
const DRAIN_DEADLINE: Duration = Duration::from_millis(600);
/// Frames an encoder holds while it works; only what exceeds them counts as dropped before it has ended.
const ENCODER_HOLDS: u64 = 4;

/// What must be known to make a part.
#[derive(Debug)]
pub struct Plan {
    /// Its number.
    pub part: u32,
    /// Its file name.
    pub file: String,
    /// Its first frame is the first at or after this.
    pub start_at: MonoNs,
    /// What the source delivers.
    pub format: VideoFormat,
    /// Whether it gets a sound track.
    pub with_audio: bool,
    /// Session, origin and encoding.
    pub ticket: Ticket,
}

/// A part file that was created for a take.
#[derive(Debug)]
pub struct OpenFile {
    /// The durable sink that writes it.
    pub sink: gst::Element,
    /// How far it is.
    pub progress: Arc<Mutex<Progress>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    No,
    Draining { until: MonoNs },
    Encoder,
    Part,
}

/// The source's counters, from which a take counts its own share.
#[derive(Debug, Clone)]
pub struct SourceCounters {
    /// Frames as they come.
    pub frames: Tally,
    /// Frames lost before anybody fetched them.
    pub lost: Option<Arc<AtomicU64>>,
}

/// Where the counters stood when the first frame was taken.
#[derive(Debug, Clone, Copy)]
struct Base {
    captured: u64,
    lost: u64,
    duplicated: u64,
    overflowed: u64,
}

/// A part in the making.
#[derive(Debug)]
pub struct Take {
    /// What it was made from.
    pub plan: Plan,
    /// Why it is being closed.
    pub end: PartEnd,
    clip: Clip,
    encode: Encode,
    part: Part,
    progress: Arc<Mutex<Progress>>,
    counters: SourceCounters,
    base: Option<Base>,
    /// Copies the stage had made when the end was set; later ones are not in the part.
    duplicated_at_end: Option<u64>,
    overflow_seen: u64,
    ending: Ending,
}

impl Take {
    /// Starts encoding what `feed` hands out into `file`; notices of this take carry `generation`.
    pub fn start(
        plan: Plan,
        file: OpenFile,
        chosen: &Chosen,
        feed: Feed<'_>,
        counters: SourceCounters,
        (generation, mailbox): (u64, &Mailbox<Notice>),
    ) -> Result<Self, BuildError> {
        let OpenFile { sink, progress } = file;
        let input = plan.file.trim_end_matches(".mp4");
        let encoding = &plan.ticket.encoding;
        let priming = chosen.audio_priming();
        // What is copied begins with the first keyframe there is, also one from before the start.
        let start_at = if chosen.copies() { MonoNs(0) } else { plan.start_at };
        let clip = Clip::new(start_at, priming);
        let notify = |wrap: fn(u64, BusEvent) -> Notice| {
            let mailbox = mailbox.clone();
            move |event| mailbox.send(wrap(generation, event))
        };
        let name = format!("{input}-encode");
        let mut encode = Encode::build(&name, chosen, encoding, &plan.format, feed, &clip)?;
        let part = Part::open(&format!("{input}-part"), sink, encoding, &encode, priming, notify(Notice::Part))?;
        // Last: from here on frames flow, and everything that takes them is there.
        if let Err(error) = encode.start(notify(Notice::Encode)) {
            part.discard(|_| {});
            return Err(error);
        }
        let end = PartEnd::Completed;
        Ok(Self {
            plan,
            end,
            clip,
            encode,
            part,
            progress,
            counters,
            base: None,
            duplicated_at_end: None,
            overflow_seen: 0,
            ending: Ending::No,
        })
    }

    /// Lets nothing at or after `at` in, and ends the streams once both have come so far.
    pub fn close(&mut self, now: MonoNs, at: MonoNs, end: PartEnd, stage: &Stage) {
        self.end = end;
        self.duplicated_at_end = Some(stage.duplicated());
        self.clip.end_at(at);
        self.ending = Ending::Draining { until: now.plus(DRAIN_DEADLINE) };
        // Without a signal no frame will come to show that the end is reached.
        if end != PartEnd::Completed {
            self.clip.end_video();
        }
    }

    /// Moves the ending on as time passes.
    pub fn tick(&mut self, now: MonoNs) {
        if let Ending::Draining { until } = self.ending
            && (now >= until || self.clip.reached_end(self.encode.audio_out().is_some()))
        {
            self.clip.cancel();
            self.encode.end();
            self.ending = Ending::Encoder;
        }
    }

    /// The encoders have handed out everything.
    pub fn on_encode_ended(&mut self) {
        if self.ending == Ending::Encoder {
            self.part.end();
            self.ending = Ending::Part;
        }
    }

    /// Whether the end of the part is the expected one.
    pub fn is_part_ending(&self) -> bool {
        self.ending == Ending::Part
    }

    /// What can be seen now.
    pub fn evidence(&mut self, stage: &Stage) -> TakeEvidence {
        let progress = *self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let frames = self.frames(stage, progress.video_frames, false);
        // A buffer between two counters looks lost for a moment; what really was is still so at the next look.
        let seen = self.encode.frames().overflowed + self.part.overflowed() + self.stage_overflow(stage);
        let overflowed = seen.min(std::mem::replace(&mut self.overflow_seen, seen));
        TakeEvidence { progress, frames, origin: self.clip.origin(), overflowed }
    }

    fn stage_overflow(&self, stage: &Stage) -> u64 {
        self.base.map_or(0, |base| stage.video_in.overflowed().saturating_sub(base.overflowed))
    }

    /// Counts this take's frames; `settled` once nothing is in flight.
    fn frames(&mut self, stage: &Stage, written: u64, settled: bool) -> Frames {
        let half = self.plan.format.period() / 2;
        let (Some(origin), Some(last)) = (self.clip.origin(), self.clip.last_video()) else {
            return Frames { written: Some(written), ..Frames::default() };
        };
        let counters = &self.counters;
        let lost_now = counters.lost.as_ref().map(|lost| lost.load(Ordering::Relaxed));
        let before = MonoNs(origin.0.saturating_sub(half.as_nanos() as u64));
        let base = *self.base.get_or_insert_with(|| Base {
            captured: counters.frames.count_before(before),
            lost: lost_now.unwrap_or(0),
            duplicated: stage.duplicated(),
            overflowed: stage.video_in.overflowed(),
        });
        let captured = counters.frames.count_before(last.plus(half)).saturating_sub(base.captured);
        let duplicated = self.duplicated_at_end.unwrap_or_else(|| stage.duplicated()).saturating_sub(base.duplicated);
        let encoder = self.encode.frames();
        let overflowed = encoder.overflowed + self.stage_overflow(stage);
        let lost = lost_now.map(|lost| lost.saturating_sub(base.lost));
        if settled {
            settle(Measured { captured, duplicated, encoder, overflowed }, written, lost)
        } else {
            let encoder_dropped = (encoder.taken - encoder.made.min(encoder.taken)).saturating_sub(ENCODER_HOLDS);
            let dropped = Dropped { source: lost, queue: Some(overflowed), encoder: Some(encoder_dropped) };
            Frames {
                captured: Some(captured),
                encoded: Some(encoder.made),
                written: Some(written),
                duplicated: Some(duplicated),
                dropped,
            }
        }
    }

    /// Throws the pipelines away as they are and closes the file; the result comes as a notice.
    pub fn finish(mut self, stage: &Stage, generation: u64, mailbox: Mailbox<Notice>) {
        self.clip.cancel();
        let frames = self.frames(stage, 0, true);
        let origin = self.clip.origin();
        let Self { plan, end, encode, part, progress, .. } = self;
        encode.discard(|| {});
        part.discard(move |sink| {
            mailbox.send(Notice::TakeReleased(generation));
            let finished = durable_sink::finish(&sink);
            let progress = *progress.lock().unwrap_or_else(PoisonError::into_inner);
            mailbox.send(Notice::TakeFinished(
                generation,
                Box::new(Ended { plan, end, frames, origin, finished, progress }),
            ));
        });
    }
}

/// What the counters along the way showed of one take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Measured {
    captured: u64,
    duplicated: u64,
    encoder: EncoderFrames,
    /// What full queues before the encoder are known to have lost.
    overflowed: u64,
}

/// The counts of a take in which nothing is in flight any more. Every number is measured; what came, left no queue
/// and is in no overflow was lost between two counters, and counts as dropped all the same. Pure.
fn settle(measured: Measured, written: u64, lost: Option<u64>) -> Frames {
    let Measured { captured, duplicated, encoder, overflowed } = measured;
    let missing = (captured + duplicated).saturating_sub(encoder.taken);
    Frames {
        captured: Some(captured),
        encoded: Some(encoder.made),
        written: Some(written),
        duplicated: Some(duplicated),
        dropped: Dropped {
            source: lost,
            queue: Some(missing.max(overflowed)),
            encoder: Some(encoder.taken.saturating_sub(encoder.made)),
        },
    }
}

/// A take whose file is closed.
#[derive(Debug)]
pub struct Ended {
    /// What it was made from.
    pub plan: Plan,
    /// Why it was closed.
    pub end: PartEnd,
    /// Its frames, without `written`.
    pub frames: Frames,
    /// Where its first frame lies.
    pub origin: Option<MonoNs>,
    /// What the sink says, `None` = nothing.
    pub finished: Option<Finished>,
    /// The sink's last word before.
    pub progress: Progress,
}

/// The counters as a manifest lists them.
pub fn part_frames(frames: Frames) -> PartFrames {
    let Dropped { source, queue, encoder } = frames.dropped;
    let dropped = queue.and_then(|queue| Some(queue + encoder? + source.unwrap_or(0)));
    PartFrames {
        captured: frames.captured,
        encoded: frames.encoded,
        written: frames.written,
        readable: None,
        duplicated: frames.duplicated,
        dropped,
    }
}

/// Keeps the newest progress and passes trouble on.
pub fn listen(generation: u64, progress: Arc<Mutex<Progress>>, mailbox: Mailbox<Notice>) -> impl Fn(SinkEvent) {
    move |event| match event {
        SinkEvent::Progress(now) => *progress.lock().unwrap_or_else(PoisonError::into_inner) = now,
        SinkEvent::Trouble(trouble) => mailbox.send(Notice::Trouble(generation, trouble)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_frame_that_is_lost_anywhere_is_dropped_and_none_is_invented(
            fates in prop::collection::vec(0u8..6, 1..400), seen_by_the_queue: bool,
        ) {
            // Frames go from counter to counter as in a take; each meets one fate on its way.
            let mut measured = Measured { captured: 0, duplicated: 0, encoder: EncoderFrames::default(), overflowed: 0 };
            let (mut queue, mut encoder) = (0, 0);
            for fate in fates {
                measured.captured += 1;
                let copies = match fate {
                    0 => {
                        queue += 1;
                        measured.overflowed += u64::from(seen_by_the_queue);
                        0
                    }
                    1 => 2,
                    _ => 1,
                };
                measured.duplicated += u64::from(copies == 2);
                measured.encoder.taken += copies;
                let held = u64::from(fate == 2);
                encoder += held;
                measured.encoder.made += copies - held;
            }
            let frames = settle(measured, 0, None);
            prop_assert_eq!(frames.dropped.queue, Some(queue));
            prop_assert_eq!(frames.dropped.encoder, Some(encoder));
            prop_assert_eq!(frames.duplicated, Some(measured.duplicated));
        }
    }

    #[test]
    fn frames_nobody_captured_are_not_called_copies() {
        let encoder = EncoderFrames { taken: 12, made: 12, overflowed: 0 };
        let frames = settle(Measured { captured: 10, duplicated: 1, encoder, overflowed: 0 }, 12, None);
        assert_eq!((frames.duplicated, frames.dropped.queue), (Some(1), Some(0)));
    }
}

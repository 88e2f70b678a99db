//! One part in the making: a window on the encoders' streams, muxer and sink.
//!
//! ```text
//! armed ─(boundary)─▶ recording ─(boundary | encoders ended)─▶ ending ─(end of stream)─▶ finished
//!   └──────────────────────┴─────────────(cut)───────────────────┴─────────────────────▶ finished
//! ```
//! Contract: nothing here decides; the worker's state says when to split, close or cut. Frame counts are measured, each
//! where it happens; once the take has ended, captured + duplicated = encoded + dropped.queue + dropped.encoder, in each
//! part and in their sum.

use super::encoder::{Counts, Encoder, SourceCounters};
use super::frames::{lost_behind, nothing, provisional, settle};
use super::state::{Patience, TakeEvidence};
use super::{Notice, mailbox::Mailbox};
use crate::media::boundary::{Boundary, Window};
use crate::media::clip::Clip;
use crate::media::durable_sink::{self, Finished, Progress, SinkEvent};
use crate::media::error::BuildError;
use crate::media::mux::Part;
use crate::media::signal::VideoFormat;
use crate::media::stage::Stage;
use crate::model::MonoNs;
use crate::model::encoding::Container;
use crate::model::session::PartEnd;
use crate::model::snapshot::Frames;
use crate::protocol::worker::Ticket;
use crate::storage::layout;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long sound may lag behind a boundary before the old part ends without it. Generous: nothing waits for it.
const TAIL_DEADLINE: Duration = Duration::from_secs(5);

/// What must be known to make a part.
#[derive(Debug)]
pub struct Plan {
    /// Its number.
    pub part: u32,
    /// Its file name.
    pub file: String,
    /// Its first frame is the first at or after this.
    pub start_at: MonoNs,
    /// It continues the part before it without a gap, from the first keyframe at or after this.
    pub split_at: Option<MonoNs>,
    /// What the source delivers.
    pub format: VideoFormat,
    /// Whether it gets a sound track.
    pub with_audio: bool,
    /// Session, origin and encoding.
    pub ticket: Ticket,
}

impl Plan {
    /// What its elements are named after.
    pub fn element_name(&self) -> String {
        layout::part_stem(&self.file).to_owned()
    }
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
    /// The boundary is decided; what lies before it is still coming.
    Tail {
        patience: Patience,
    },
    Part,
}

/// A part in the making.
#[derive(Debug)]
pub struct Take {
    /// What it was made from.
    pub plan: Plan,
    /// Marks its notices.
    pub generation: u64,
    /// Why it is being closed.
    pub end: PartEnd,
    window: Window,
    clip: Clip,
    part: Part,
    progress: Arc<Mutex<Progress>>,
    source: SourceCounters,
    /// Counters where it begins, once that is known.
    base: Option<Counts>,
    /// Its share, once nothing can change it any more.
    settled: Option<Counts>,
    overflow_seen: u64,
    ending: Ending,
    /// Everything has reached the file.
    ended: bool,
}

/// What counts frames on their way to the encoder's output.
#[derive(Debug, Clone, Copy)]
pub struct Meters<'a> {
    /// The encoders.
    pub encoder: &'a Encoder,
    /// Where the frames are made steady.
    pub stage: &'a Stage,
}

impl Take {
    /// Writes what `encoder` makes into `file`: from its first frame on, or from `boundary` on, which is still to be
    /// armed. Notices of this take carry `generation`.
    pub fn start(
        plan: Plan,
        file: OpenFile,
        (encoder, source): (&Encoder, SourceCounters),
        boundary: Option<&Boundary>,
        (generation, mailbox): (u64, &Mailbox<Notice>),
    ) -> Result<Self, BuildError> {
        let OpenFile { sink, progress } = file;
        let window = Window::new(boundary.cloned(), encoder.encode.audio_warm_up());
        let notices = mailbox.clone();
        let on_event = move |event| notices.send(Notice::Part(generation, event));
        let name = format!("{}-part", plan.element_name());
        let part = Part::open(&name, sink, &plan.ticket.encoding, &encoder.encode, &window, on_event)?;
        Ok(Self {
            plan,
            generation,
            end: PartEnd::Completed,
            window,
            clip: encoder.clip.clone(),
            part,
            progress,
            source,
            base: None,
            settled: None,
            overflow_seen: 0,
            ending: Ending::No,
            ended: false,
        })
    }

    /// Lets nothing that belongs behind `boundary` in any more. To be called before it is armed.
    pub fn end_at(&self, boundary: &Boundary) {
        self.window.end_at(boundary.clone());
    }

    /// Whether the boundary it begins at is decided; one that is not never will be.
    pub fn begins_after_all(&self) -> bool {
        self.window.give_up_begin().is_some()
    }

    /// Its last boundary is decided: it ends there by itself.
    pub fn split(&mut self, now: MonoNs, meters: Meters<'_>) {
        self.end = PartEnd::Split;
        self.ending = Ending::Tail { patience: Patience::new(now, TAIL_DEADLINE) };
        if let Some(at) = self.window.ends_at() {
            self.settle(at, meters);
            self.part.end_pictures_at(at, || meters.encoder.encode.made_from(at));
        }
    }

    /// Moves the ending on as time passes; before `now` the worker stood still for `held_up`.
    pub fn tick(&mut self, now: MonoNs, held_up: Duration) {
        let Ending::Tail { patience } = &mut self.ending else { return };
        let late = patience.is_over(now, held_up);
        let (pictures, sound) = (self.window.pictures_over(), self.window.sound_over() || !self.part.has_sound());
        if late || (pictures && sound) {
            self.end_part();
        } else if pictures {
            // Else the muxer would wait for pictures, and the sound behind that for the muxer.
            self.part.end_video();
        }
    }

    /// The encoders have handed out everything.
    pub fn on_encode_ended(&mut self, meters: Meters<'_>) {
        if let Some(reached) = meters.encoder.reached() {
            self.settle(reached, meters);
        }
        if self.ending != Ending::Part {
            self.end_part();
        }
    }

    fn end_part(&mut self) {
        self.window.release();
        self.part.end();
        self.ending = Ending::Part;
    }

    /// Its pipeline has come to the end; whether that is the expected one.
    pub fn on_ended(&mut self) -> bool {
        self.ended = self.ending == Ending::Part;
        self.ended
    }

    /// How full its queues are, in percent.
    pub fn fill_percent(&self) -> u8 {
        self.part.fill_percent()
    }

    /// Running time of its first picture.
    fn first_picture(&self) -> Option<MonoNs> {
        if self.window.is_bounded() { self.window.begins_at() } else { self.clip.origin() }
    }

    /// Running time of the file's own 0: the first picture where the container can hide the sound before it
    /// ([`crate::media::finalise`]), else that sound.
    fn origin(&self) -> Option<MonoNs> {
        let first = self.first_picture()?;
        match self.plan.ticket.encoding.container {
            Container::Mp4 => Some(first),
            Container::Mkv => Some(MonoNs(first.0.saturating_sub(self.window.lead().as_nanos() as u64))),
        }
    }

    /// The same once it cannot change any more: sound before the first picture may still come.
    fn settled_origin(&self, progress: &Progress) -> Option<MonoNs> {
        let bounded = self.plan.ticket.encoding.container == Container::Mkv && self.window.is_bounded();
        let waits = bounded && self.part.has_sound() && !self.window.has_sound() && progress.written.is_zero();
        self.origin().filter(|_| !waits)
    }

    /// What can be seen now.
    pub fn evidence(&mut self, meters: Option<Meters<'_>>) -> TakeEvidence {
        let progress = self.progress();
        let counts = meters.and_then(|meters| self.counts(meters)).or(self.settled);
        let frames = counts.map_or_else(nothing, |counts| provisional(counts, progress.video_frames));
        let frames = Frames { written: Some(progress.video_frames), ..frames };
        let frames = lost_behind(frames, self.part.lost_pictures());
        // A buffer between two counters looks lost for a moment; what really was is still so at the next look.
        let seen = counts.map_or(0, |counts| counts.encoder.overflowed) + self.part.overflowed();
        let overflowed = seen.min(std::mem::replace(&mut self.overflow_seen, seen));
        TakeEvidence { progress, frames, origin: self.settled_origin(&progress), overflowed }
    }

    fn progress(&self) -> Progress {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its share so far.
    fn counts(&mut self, meters: Meters<'_>) -> Option<Counts> {
        if self.settled.is_some() {
            return self.settled;
        }
        let begin = self.first_picture()?;
        let source = &self.source;
        let count = |time| meters.encoder.count(time, meters.stage, source);
        let base = *self.base.get_or_insert_with(|| count(begin));
        Some(count(meters.encoder.reached()?.max(begin)).since(base))
    }

    /// Fixes its share: nothing at or after `end` belongs to it.
    fn settle(&mut self, end: MonoNs, meters: Meters<'_>) {
        // Also notes where it begins.
        if self.counts(meters).is_some() && self.settled.is_none() {
            let base = self.base.unwrap_or_default();
            self.settled = Some(meters.encoder.count(end, meters.stage, &self.source).since(base));
        }
    }

    /// Throws the pipeline away as it is and closes the file; the result comes as a notice.
    pub fn finish(mut self, meters: Option<Meters<'_>>, mailbox: Mailbox<Notice>) {
        self.window.release();
        if let Some(meters) = meters {
            let end = self.window.ends_at().or(meters.encoder.reached());
            if let Some(end) = end {
                self.settle(end, meters);
            }
        }
        let frames = match (self.settled, self.first_picture()) {
            (Some(counts), _) => settle(counts, 0),
            (None, None) => nothing(),
            (None, Some(_)) => Frames::default(),
        };
        let lost = match frames.encoded {
            // Everything that was not lost has passed.
            Some(made) if self.ended => self.window.missing(made) + self.part.kept_out(),
            _ => self.part.lost_pictures(),
        };
        let frames = lost_behind(frames, lost);
        let origin = self.origin();
        let Self { plan, end, part, progress, .. } = self;
        let number = plan.part;
        part.discard(move |sink| {
            mailbox.send(Notice::TakeReleased(number));
            let finished = durable_sink::finish(&sink);
            let progress = *progress.lock().unwrap_or_else(PoisonError::into_inner);
            mailbox.send(Notice::TakeFinished(Box::new(Ended { plan, end, frames, origin, finished, progress })));
        });
    }
}

/// A file nobody will write into: closes it; the result comes as a notice.
pub fn close_unused(plan: Plan, sink: gst::Element, mailbox: Mailbox<Notice>) {
    let ended = move |finished| {
        let (frames, progress) = (nothing(), Progress::default());
        Box::new(Ended { plan, end: PartEnd::Empty, frames, origin: None, finished, progress })
    };
    let notices = mailbox.clone();
    let spawned = std::thread::Builder::new().name("close-part".to_owned()).spawn(move || {
        notices.send(Notice::TakeFinished(ended(durable_sink::finish(&sink))));
    });
    if let Err(error) = spawned {
        tracing::error!(%error, "no thread to close an unused part; it is left behind");
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

/// Keeps the newest progress and passes trouble on.
pub fn listen(generation: u64, progress: Arc<Mutex<Progress>>, mailbox: Mailbox<Notice>) -> impl Fn(SinkEvent) {
    move |event| match event {
        SinkEvent::Progress(now) => *progress.lock().unwrap_or_else(PoisonError::into_inner) = now,
        SinkEvent::Trouble(trouble) => mailbox.send(Notice::Trouble(generation, trouble)),
    }
}

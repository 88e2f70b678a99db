//! Performs what [`super::state`] decided, and turns notices into its events. Decides nothing.

mod closed;
mod load;
mod parts;
mod peers;
mod pipelines;
mod viewfinder;

use super::encoder::Encoder;
use super::facts::{Entry, Facts, Hold};
use super::link::Link;
use super::mailbox::Mailbox;
use super::notice::Notice;
use super::space::SpaceWatch;
use super::state::{Answers, Effect, Event, Evidence, HoldFault, Patience, State};
use super::take::{Plan, Take};
use super::viewers::Viewers;
use crate::media::durable_sink::{DiskWatch, Progress, Trouble};
use crate::media::encoder::Encoders;
use crate::media::level::ClipLatch;
use crate::media::pipeline::BusEvent;
use crate::media::source::{Counters, Source, Viewfinder};
use crate::media::stage::Stage;
use crate::model::input::InputSpec;
use crate::model::shed::FULL_BITRATE;
use crate::model::snapshot::Meter;
use crate::model::{InputId, MonoNs};
use crate::protocol::worker::Report;
use crate::sys::clock::wall_now;
use crate::sys::lock::Lock;
use crate::sys::memory;
use crate::sys::paths::Runtime;
use gst::glib;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Status at least this often (R-SUP-4).
const STATUS_INTERVAL: Duration = Duration::from_millis(500);
/// Memory of a session is given back this long behind it: its pipelines are thrown away by then.
const TIDY_AFTER: Duration = Duration::from_secs(2);

/// An open source.
struct OpenSource {
    source: Source,
    since: MonoNs,
}

/// A part whose file is being created.
struct Pending {
    /// Marks its notices.
    generation: u64,
    plan: Plan,
    progress: Arc<Mutex<Progress>>,
    /// Nobody waits for it any more: it is closed as soon as it exists.
    dropped: bool,
}

/// The worker: its state and everything it acts on.
pub struct Worker {
    state: State,
    started: MonoNs,
    runtime: Runtime,
    link: Link,
    answers: Answers,
    mailbox: Mailbox<Notice>,
    main_loop: glib::MainLoop,
    facts: Facts,
    /// What the disk is asked for, and which files are held.
    disk: DiskWatch,
    space: Option<(PathBuf, SpaceWatch)>,
    exit: Option<u8>,
    status_at: MonoNs,
    /// When a session was last seen to run, until its memory is given back.
    untidy: Option<MonoNs>,

    input: Option<InputSpec>,
    encoders: Encoders,
    stage: Option<Stage>,
    source: Option<OpenSource>,
    counters: Counters,
    /// The encoders of the session.
    encoder: Option<Encoder>,
    /// At most a next part that was given up while its file was being created, and the part after it.
    pending: Vec<Pending>,
    /// The part being written, the one that follows it at a boundary, and the one before it.
    take: Option<Take>,
    next: Option<Take>,
    settling: Option<Take>,
    viewers: Viewers,
    /// Percent of the bitrate that was asked for.
    bitrate_percent: u8,
    /// Decodes the pictures of a copied source while somebody watches.
    viewfinder: Option<Viewfinder>,
    /// When one that failed may be made anew.
    viewfinder_at: MonoNs,
    meters: Vec<Meter>,
    /// Channels that clipped, until somebody clears them.
    clips: ClipLatch,
    /// The lock of the capture device, and where it is.
    device_lock: Option<(PathBuf, Lock)>,
    /// Counts sources, encoders and takes.
    generation: u64,
    source_generation: u64,
    /// What the source that was thrown away gets to let go.
    releasing: Option<Patience>,
}

impl Worker {
    /// A worker that waits to be configured.
    pub fn new(
        input: InputId,
        runtime: Runtime,
        link: Link,
        mailbox: Mailbox<Notice>,
        main_loop: glib::MainLoop,
    ) -> anyhow::Result<Self> {
        let now = crate::sys::clock::mono_now();
        let disk = DiskWatch::default();
        Ok(Self {
            state: State::new(input.clone(), now),
            started: now,
            runtime,
            link,
            answers: Answers::default(),
            facts: Facts::start(input, mailbox.clone(), disk.list())?,
            disk,
            viewers: Viewers::new(mailbox.clone()),
            bitrate_percent: FULL_BITRATE,
            mailbox,
            main_loop,
            space: None,
            exit: None,
            status_at: now,
            untidy: None,
            input: None,
            encoders: Encoders::default(),
            stage: None,
            source: None,
            counters: Counters::default(),
            encoder: None,
            pending: Vec::new(),
            take: None,
            viewfinder: None,
            viewfinder_at: now,
            next: None,
            settling: None,
            meters: Vec::new(),
            clips: ClipLatch::default(),
            device_lock: None,
            generation: 0,
            source_generation: 0,
            releasing: None,
        })
    }

    /// Time passes.
    pub fn on_tick(&mut self, now: MonoNs) {
        self.link.tick(now);
        let held_up = self.state.stood_still(now);
        self.tick_parts(now, held_up, held_up.max(self.state.held_up_by_disk(now)));
        if self.releasing.as_mut().is_some_and(|patience| patience.is_over(now, held_up)) {
            self.releasing = None;
            self.decide(now, Event::TeardownStuck);
        }
        let evidence = Box::new(self.evidence(now));
        self.decide(now, Event::Tick(evidence));
        self.refresh_viewers(now);
        self.tidy(now);
        if now.since(self.status_at) >= STATUS_INTERVAL {
            self.publish_status(now);
        }
    }

    /// Gives the memory of a session back: an idle worker is no bigger than before it.
    fn tidy(&mut self, now: MonoNs) {
        if self.state.is_recording() {
            self.untidy = Some(now);
        } else if self.untidy.take_if(|recorded| now.since(*recorded) >= TIDY_AFTER).is_some() {
            memory::give_back();
        }
    }

    fn evidence(&mut self, now: MonoNs) -> Evidence {
        let opened = self.source.as_ref().map(|open| open.since);
        let of_this_source = |at: &MonoNs| opened.is_some_and(|since| *at >= since);
        let mut evidence = Evidence {
            frame_at: self.counters.frames.last_at().filter(of_this_source),
            sound_at: self.counters.sound.last_at().filter(of_this_source),
            arrived: self.counters.frames.count(),
            received: self.counters.received.count(),
            meters: self.meters.clone(),
            preview: self.viewers.view(now),
            load: Some(self.load()),
            nice: rustix::process::getpriority_process(None).ok(),
            disk_waits_since: self.disk.waits_since(),
            ..Evidence::default()
        };
        self.look_at_parts(&mut evidence);
        evidence
    }

    /// Something happened elsewhere.
    pub fn on_notice(&mut self, now: MonoNs, notice: Notice) {
        match notice {
            Notice::Link(event) => self.on_link(now, event),
            Notice::Terminate => self.decide(now, Event::Terminate),
            Notice::Source(generation, event) if generation == self.source_generation => match event {
                BusEvent::Format(format) => self.decide(now, Event::SourceFormat(format)),
                BusEvent::Silent => self.decide(now, Event::SourceSilent),
                BusEvent::Failed(failure) => {
                    self.decide(
                        now,
                        Event::SourceFailed { reason: self.name_source(&failure.reason), permanent: false },
                    );
                }
                BusEvent::Ended => self.decide(now, Event::SourceEnded),
                BusEvent::Meters(_) => {}
            },
            Notice::Sound(generation, BusEvent::Failed(failure)) if generation == self.source_generation => {
                tracing::warn!(reason = failure.reason, "the sound device failed");
                self.decide(now, Event::SoundFailed);
            }
            Notice::SourceReleased(_) if self.source.is_none() || self.releasing.is_some() => {
                self.releasing = None;
                self.decide(now, Event::SourceReleased);
            }
            Notice::Stage(BusEvent::Meters(mut meters)) => {
                self.clips.hold(&mut meters);
                self.viewers.set_meters(&meters);
                self.meters = meters;
            }
            Notice::Stage(BusEvent::Failed(failure)) => self.decide(now, Event::StageFailed { reason: failure.reason }),
            Notice::Preview(generation, BusEvent::Failed(failure)) => {
                self.viewers.on_failed(now, generation, &failure.reason);
            }
            Notice::Viewfinder(generation, BusEvent::Failed(failure)) if generation == self.source_generation => {
                self.on_viewfinder_failed(now, &failure.reason);
            }
            Notice::Encode(generation, event) => self.on_encode(now, generation, event),
            Notice::Part(generation, event) => self.on_part(now, generation, event),
            Notice::SinkMade(generation, made) => self.on_sink_made(now, generation, *made),
            Notice::Trouble(generation, trouble) => self.on_trouble(now, generation, trouble),
            Notice::Split(generation, at) => self.on_boundary(now, generation, at),
            Notice::TakeReleased(part) => self.decide(now, Event::PartReleased { part }),
            Notice::TakeFinished(ended) => self.decide(now, Event::PartClosed(Box::new(closed::closing(*ended)))),
            Notice::FactWritten { entry, all } => {
                let report = Report::Fact { session: entry.session, t_ns: entry.t_ns, fact: Box::new(entry.fact) };
                self.tell_engine(now, &report);
                if all {
                    self.decide(now, Event::FactsTaken);
                }
            }
            Notice::FactsGivenUp { reason, all } => {
                tracing::error!(input = %self.state.input(), "{reason}");
                if all {
                    self.decide(now, Event::FactsTaken);
                }
            }
            Notice::FactsFailed(trouble) => self.decide(now, Event::FactsFailed { trouble }),
            Notice::SessionHeld(reply, session, result) => {
                self.decide(now, Event::SessionHeld { reply, session, result });
            }
            Notice::Space(dir, Ok(free_bytes)) => self.decide(now, Event::Space { dir, free_bytes }),
            Notice::Space(dir, Err(trouble)) => self.decide(now, Event::SpaceUnknown { dir, trouble }),
            Notice::FilePlace(path, place) => self.decide(now, Event::FilePlace { path, place }),
            // Late words of pipelines that were thrown away, and ends nobody asked about.
            Notice::Source(..)
            | Notice::Sound(..)
            | Notice::SourceReleased(_)
            | Notice::Stage(_)
            | Notice::Preview(..)
            | Notice::Viewfinder(..) => {}
        }
    }

    fn decide(&mut self, now: MonoNs, event: Event) {
        for effect in self.state.handle(now, event) {
            self.perform(now, effect);
        }
    }

    fn perform(&mut self, now: MonoNs, effect: Effect) {
        match effect {
            Effect::Prepare(input) => self.prepare(now, *input),
            Effect::OpenSource { seamless, by_tcp } => self.open_source(now, seamless, by_tcp),
            Effect::CloseSource => self.close_source(now),
            Effect::CloseSound => {
                if let Some(open) = &mut self.source {
                    open.source.discard_sound();
                }
            }
            Effect::Freeze(format) => {
                if let Some(stage) = &self.stage {
                    stage.freeze(&format);
                }
            }
            Effect::OpenPart { part, path, start_at, split_at, format, with_audio, ticket } => {
                let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let plan = Plan { part, file, start_at, split_at, format, with_audio, ticket: *ticket };
                self.make_sink(plan, path);
            }
            Effect::ClosePart { at, end } => self.close_part(now, at, end),
            Effect::CutPart { end } => self.cut_part(end),
            Effect::AdvancePart => self.advance_part(now),
            Effect::DropNext => self.drop_next(now),
            Effect::CutSettling => self.cut_settling(),
            Effect::ReleaseEncoders => self.release_encoder(),
            Effect::WriteFact { session, dir, t_ns, fact } => {
                if let Err(reason) = self.facts.write(Entry { session, dir, t_ns, at: wall_now(), fact: *fact }) {
                    self.mailbox.send(Notice::FactsFailed(Trouble::Write(format!("a fact is lost: {reason}"))));
                }
            }
            Effect::HoldSession { reply, session, dir } => {
                if let Err(reason) = self.facts.hold(Hold { reply, session, dir }) {
                    let result = Err(HoldFault::Disk(Trouble::Write(reason.to_owned())));
                    self.mailbox.send(Notice::SessionHeld(reply, session, result));
                }
            }
            Effect::LetGoOfSession(session) => {
                if let Err(reason) = self.facts.let_go(session) {
                    tracing::warn!(input = %self.state.input(), reason, "the session stays held until this worker leaves");
                }
            }
            Effect::Shed(shed) => self.shed(now, shed),
            Effect::Ack { reply, refused } => self.answer(now, reply, refused),
            Effect::ClearClip => {
                self.clips.clear(&mut self.meters);
                self.viewers.set_meters(&self.meters);
            }
            Effect::PublishStatus => self.publish_status(now),
            Effect::Log(incident) => {
                tracing::warn!(input = %self.state.input(), code = incident.code.as_str(), "{}", incident.message());
            }
            Effect::Exit(code) => {
                self.exit = Some(code);
                self.main_loop.quit();
            }
        }
        self.watch_space();
    }
}

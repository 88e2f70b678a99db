//! The machine against what can happen to it: named cases, then any order of events.

use super::*;
use crate::media::durable_sink::{Progress, Trouble};
use crate::media::signal::VideoFormat;
use crate::model::encoding::Encoding;
use crate::model::input::{AudioChoice, OnSignalLoss, SourceSpec, TestPattern};
use crate::model::session::{FactKind, PartEnd, PartFrames, PartRecord};
use crate::model::snapshot::{Frames, InputState, RecordingState};
use crate::protocol::worker::Ticket;
use proptest::prelude::*;

const REPLY: Reply = Reply { connection: 1, id: 1 };
const MS: u64 = 1_000_000;

fn format() -> VideoFormat {
    VideoFormat {
        width: 640,
        height: 360,
        pixels: "I420".into(),
        coding: None,
        rate: Some(gst::Fraction::new_raw(30, 1)),
    }
}

fn input(on_signal_loss: OnSignalLoss) -> InputSpec {
    InputSpec {
        id: "cam1".parse().expect("an id"),
        name: "Camera".into(),
        source: SourceSpec::Test { pattern: TestPattern::Ball, width: 640, height: 360, fps: 30, tone_hz: 440 },
        audio: AudioChoice::Off,
        on_signal_loss,
        codec: None,
        importance: 0,
        armed: true,
    }
}

fn session() -> SessionId {
    SessionId(uuid::uuid!("01934f5e-0000-7000-8000-000000007f3a"))
}

fn ticket(start_at_ns: MonoNs) -> Ticket {
    Ticket {
        session: session(),
        dir: "/library/session".into(),
        start_at_ns,
        boot_id: "boot".into(),
        first_part: 1,
        first_fact: 1,
        encoding: Encoding::default(),
        trace_id: String::new(),
    }
}

/// A worker, a clock, and a world that does what it is told.
struct Bench {
    state: State,
    now: MonoNs,
    frames: bool,
    written: Option<Duration>,
    /// The part being written, and why it is being closed.
    part: Option<(u32, Option<PartEnd>)>,
    opened: Vec<u32>,
    facts: Vec<(u64, FactKind)>,
    exit: Option<u8>,
    /// Parts cannot be built.
    refuses: bool,
    /// Parts asked for.
    attempts: usize,
    /// Why parts cannot be finalised.
    unfinalised: Option<String>,
    /// A part has its first frame when it grows, not at no known time.
    origin_at_growth: bool,
    origin: Option<MonoNs>,
    /// The part that waits for its keyframe.
    next: Option<u32>,
    /// Parts that settle, with their media; `None` = it never had any. More than one only when one was left behind.
    settling: Vec<(u32, Option<Duration>)>,
    /// The part whose file is still being created.
    creating: Option<u32>,
    /// Files of next parts come into being only when told to.
    slow_files: bool,
}

mod histories;
mod parts;
mod split;

impl Bench {
    fn new(on_signal_loss: OnSignalLoss) -> Self {
        Self::with_policy(on_signal_loss, WorkerPolicy::default())
    }

    fn with_policy(on_signal_loss: OnSignalLoss, policy: WorkerPolicy) -> Self {
        let now = MonoNs(1_000_000 * MS);
        let mut bench = Self {
            state: State::new("cam1".parse().expect("an id"), now),
            now,
            frames: true,
            written: None,
            part: None,
            opened: Vec::new(),
            facts: Vec::new(),
            exit: None,
            refuses: false,
            attempts: 0,
            unfinalised: None,
            origin_at_growth: false,
            origin: None,
            next: None,
            settling: Vec::new(),
            creating: None,
            slow_files: false,
        };
        bench.feed(Event::EngineConnected);
        bench.feed(Event::Configure { reply: REPLY, input: Box::new(input(on_signal_loss)), policy });
        bench.feed(Event::SourceFormat(format()));
        bench.tick();
        bench
    }

    /// The part that is written or being closed.
    fn number(&self) -> u32 {
        self.part.map_or(0, |(part, _)| part)
    }

    fn feed(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for effect in self.state.handle(self.now, event) {
                match effect {
                    Effect::OpenPart { part, .. } if self.refuses => {
                        self.attempts += 1;
                        self.opened.push(part);
                        let refusal = PartRefusal::Pipeline { reason: "no encoder".into() };
                        events.push(Event::PartRefused { part, refusal });
                    }
                    Effect::OpenPart { part, split_at: Some(_), .. } => {
                        assert_eq!(self.next, None, "more than one part beside");
                        self.opened.push(part);
                        self.next = Some(part);
                        if self.slow_files {
                            self.creating = Some(part);
                        } else {
                            events.push(Event::PartOpened { part, file: format!("cam1.part{part}.mp4") });
                        }
                    }
                    Effect::AdvancePart => {
                        let (old, end) = self.part.expect("a part is written");
                        assert_eq!(end, None, "what is being closed is not split");
                        self.settling.push((old, Some(self.written.unwrap_or_default())));
                        self.part = Some((self.next.take().expect("the next part is armed"), None));
                        self.written = Some(Duration::ZERO);
                        self.origin = Some(self.now);
                    }
                    Effect::DropNext => {
                        self.settling.push((self.next.take().expect("there is a next part"), None));
                    }
                    Effect::OpenPart { part, .. } => {
                        self.attempts += 1;
                        self.opened.push(part);
                        self.part = Some((part, None));
                        self.written = Some(Duration::ZERO);
                        events.push(Event::PartOpened { part, file: format!("cam1.part{part}.mp4") });
                    }
                    Effect::ClosePart { end, .. } | Effect::CutPart { end } => {
                        let (part, _) = self.part.expect("only an open part is closed");
                        self.part = Some((part, Some(end)));
                    }
                    Effect::WriteFact { fact, .. } => self.facts.push((fact.n, fact.kind)),
                    Effect::CloseSource => events.push(Event::SourceReleased),
                    Effect::Exit(code) => self.exit = Some(code),
                    _ => {}
                }
            }
        }
    }

    /// The world finishes what it was told to close.
    fn close_part(&mut self) {
        let Some((part, Some(end))) = self.part else { return };
        let duration = self.written.take().unwrap_or_default();
        self.part = None;
        self.finish_part(part, duration, end);
    }

    /// The keyframe the next part waits for comes.
    fn keyframe(&mut self) {
        if let Some(part) = self.next.filter(|_| self.creating.is_none()) {
            self.feed(Event::PartSplit { part });
        }
    }

    /// The file that is being created is there.
    fn file_ready(&mut self) {
        if let Some(part) = self.creating.take() {
            self.feed(Event::PartOpened { part, file: format!("cam1.part{part}.mp4") });
        }
    }

    /// The world finishes the part beside the one that is written.
    fn settle(&mut self) {
        if let Some((part, media)) = self.settling.pop() {
            if self.creating == Some(part) {
                self.file_ready();
            }
            let end = if media.is_some() { PartEnd::Split } else { PartEnd::Empty };
            self.finish_part(part, media.unwrap_or_default(), end);
        }
    }

    fn finish_part(&mut self, part: u32, duration: Duration, end: PartEnd) {
        let record = PartRecord {
            part,
            file: format!("cam1.part{part}.mp4"),
            offset_ns: Some(0),
            duration_ns: duration.as_nanos() as u64,
            bytes: 1,
            container: crate::model::encoding::Container::Mp4,
            video: None,
            audio: None,
            frames: PartFrames::default(),
            gaps: Vec::new(),
            blake3: None,
            payload_blake3: None,
            end,
        };
        let frames = Frames { written: Some(3), ..Frames::default() };
        let closing =
            PartClosing { session: session(), record, frames, safe: duration, unfinalised: self.unfinalised.take() };
        self.feed(Event::PartClosed(Box::new(closing)));
    }

    fn tick(&mut self) {
        self.now = self.now.plus(Duration::from_millis(100));
        let progress =
            |written| Progress { written, safe: written, bytes: 1 + written.as_millis() as u64, video_frames: 1 };
        let grown = self.written.is_some_and(|written| !written.is_zero());
        if self.origin_at_growth && grown && self.origin.is_none() {
            self.origin = Some(self.now);
        }
        let origin = self.origin;
        let take =
            self.written.map(|written| TakeEvidence { progress: progress(written), origin, ..TakeEvidence::default() });
        let frame_at = self.frames.then_some(self.now);
        self.feed(Event::Tick(Box::new(Evidence { frame_at, take, ..Evidence::default() })));
    }

    fn run(&mut self, time: Duration, growing: bool) {
        for _ in 0..time.as_millis() / 100 {
            if growing && let Some(written) = &mut self.written {
                *written += Duration::from_millis(100);
            }
            self.tick();
        }
    }

    fn start(&mut self) {
        self.feed(Event::Start { reply: REPLY, ticket: Box::new(ticket(self.now)) });
    }

    fn ask_split(&mut self) {
        self.feed(Event::Split { reply: REPLY, session: session(), at: self.now });
    }

    fn shown(&mut self) -> (InputState, Option<RecordingState>) {
        let status = self.state.status(self.now);
        (status.state, status.recording.map(|recording| recording.state))
    }

    fn incidents(&self) -> Vec<IncidentCode> {
        let code = |(_, kind): &(u64, FactKind)| match kind {
            FactKind::Incident(incident) => Some(incident.code),
            _ => None,
        };
        self.facts.iter().filter_map(code).collect()
    }
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn recording_is_shown_only_while_the_file_grows() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    assert_eq!(bench.shown(), (InputState::Live, Some(RecordingState::Starting)));
    bench.run(s(1), true);
    assert_eq!(bench.shown().1, Some(RecordingState::Recording));
    bench.run(Duration::from_millis(2100), false);
    assert_eq!(bench.shown().1, Some(RecordingState::Stalled));
    bench.run(s(1), true);
    assert_eq!(bench.shown().1, Some(RecordingState::Recording));
}

#[test]
fn a_stall_becomes_an_incident_and_then_the_next_part() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(1), true);
    bench.run(s(11), false);
    assert_eq!(bench.incidents(), [IncidentCode::RecordingStalled]);
    bench.run(s(20), false);
    assert_eq!(bench.part, Some((1, Some(PartEnd::Stalled))));
    bench.close_part();
    assert_eq!(bench.opened, [1, 2]);
    bench.run(s(1), true);
    assert_eq!(bench.shown().1, Some(RecordingState::Recording));
}

#[test]
fn a_lost_signal_closes_the_part_and_the_next_begins_when_it_returns() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(2), true);
    bench.frames = false;
    bench.run(s(3), false);
    assert_eq!(bench.part, Some((1, Some(PartEnd::SignalLost))));
    bench.close_part();
    assert_eq!(bench.shown(), (InputState::NoSignal, Some(RecordingState::Stalled)));
    assert_eq!(bench.opened, [1]);
    bench.frames = true;
    bench.feed(Event::SourceFormat(format()));
    bench.run(s(1), true);
    assert_eq!(bench.opened, [1, 2]);
    assert_eq!(bench.shown(), (InputState::Live, Some(RecordingState::Recording)));
}

#[test]
fn a_lost_signal_ends_the_recording_when_asked_to() {
    let mut bench = Bench::new(OnSignalLoss::Stop);
    bench.start();
    bench.run(s(2), true);
    bench.frames = false;
    bench.run(s(3), false);
    bench.close_part();
    assert_eq!(bench.shown().1, Some(RecordingState::Done));
}

#[test]
fn a_full_disk_ends_the_recording_with_its_name() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(2), true);
    bench.feed(Event::PartTrouble { part: bench.number(), trouble: Trouble::DiskFull });
    bench.close_part();
    assert_eq!(bench.shown().1, Some(RecordingState::Failed));
    assert_eq!(bench.incidents(), [IncidentCode::DiskFull]);
}

#[test]
fn a_failing_sync_is_told_and_recording_goes_on() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(1), true);
    bench.feed(Event::PartTrouble { part: bench.number(), trouble: Trouble::Sync("EIO".into()) });
    bench.run(s(1), true);
    assert_eq!(bench.shown().1, Some(RecordingState::Recording));
    assert_eq!(bench.incidents(), [IncidentCode::SyncFailed]);
}

#[test]
fn a_recording_worker_outlives_its_engine_and_an_idle_one_does_not() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.feed(Event::EngineGone);
    bench.run(s(90), true);
    assert_eq!((bench.exit, bench.shown().1), (None, Some(RecordingState::Recording)));
    bench.feed(Event::Terminate);
    assert_eq!(bench.exit, None, "it left before its file was closed");
    bench.close_part();
    assert_eq!(bench.exit, Some(0));

    let mut idle = Bench::new(OnSignalLoss::Split);
    idle.feed(Event::EngineGone);
    idle.run(s(61), false);
    assert_eq!(idle.exit, Some(0));
}

#[test]
fn a_worker_that_was_stopped_itself_does_not_blame_the_source() {
    let mut bench = Bench::new(OnSignalLoss::Split);
    bench.start();
    bench.run(s(1), true);
    let before = bench.now;
    bench.now = bench.now.plus(s(30));
    let take = TakeEvidence::default();
    let old = Evidence { frame_at: Some(before), take: Some(take), ..Evidence::default() };
    bench.feed(Event::Tick(Box::new(old)));
    assert_eq!(bench.incidents(), []);
}

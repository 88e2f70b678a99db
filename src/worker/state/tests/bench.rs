//! The machine in a world that does what it is told.

use super::*;

/// The worker's state, a clock, and what it is told about.
pub(super) struct Bench {
    pub(super) state: State,
    pub(super) now: MonoNs,
    pub(super) frames: bool,
    pub(super) written: Option<Duration>,
    /// The part being written, and why it is being closed.
    pub(super) part: Option<(u32, Option<PartEnd>)>,
    pub(super) opened: Vec<u32>,
    pub(super) facts: Vec<(u64, FactKind)>,
    pub(super) exit: Option<u8>,
    /// Parts cannot be built.
    pub(super) refuses: bool,
    /// The disk refuses to make files.
    pub(super) disk_refuses: Option<Trouble>,
    /// When the call began that the disk does not answer.
    pub(super) disk_waits_since: Option<MonoNs>,
    /// Parts asked for.
    pub(super) attempts: usize,
    /// Why parts cannot be finalised.
    pub(super) unfinalised: Option<String>,
    /// What puts the next part that is closed in doubt.
    pub(super) doubt: Option<Trouble>,
    /// A part has its first frame when it grows, not at no known time.
    pub(super) origin_at_growth: bool,
    pub(super) origin: Option<MonoNs>,
    /// The part that waits for its keyframe.
    pub(super) next: Option<u32>,
    /// Parts that settle, with their media; `None` = it never had any. More than one only when one was left behind.
    pub(super) settling: Vec<(u32, Option<Duration>)>,
    /// The part whose file is still being created.
    pub(super) creating: Option<u32>,
    /// Files of next parts come into being only when told to.
    pub(super) slow_files: bool,
    /// Parts that begin a stretch never come into being, and nobody says why not.
    pub(super) opening_hangs: bool,
    /// This is told of the next first part before it is opened.
    pub(super) before_opened: Option<Event>,
    /// The disk makes nothing safe.
    pub(super) nothing_safe: bool,
    /// The keyframe of the next part has come, and nobody has been told yet.
    pub(super) decided: bool,
}

impl Bench {
    pub(super) fn new(on_signal_loss: OnSignalLoss) -> Self {
        Self::with_policy(on_signal_loss, WorkerPolicy::default())
    }

    pub(super) fn with_policy(on_signal_loss: OnSignalLoss, policy: WorkerPolicy) -> Self {
        let mut bench = Self::opening(on_signal_loss, policy);
        bench.feed(Event::SourceFormat(format()));
        bench.tick();
        bench
    }

    /// Its source has only just been asked to open.
    pub(super) fn opening(on_signal_loss: OnSignalLoss, policy: WorkerPolicy) -> Self {
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
            disk_refuses: None,
            disk_waits_since: None,
            attempts: 0,
            unfinalised: None,
            doubt: None,
            origin_at_growth: false,
            origin: None,
            next: None,
            settling: Vec::new(),
            creating: None,
            slow_files: false,
            opening_hangs: false,
            before_opened: None,
            nothing_safe: false,
            decided: false,
        };
        bench.feed(Event::EngineConnected);
        bench.feed(Event::Configure { reply: REPLY, input: Box::new(input(on_signal_loss)), policy });
        bench
    }

    /// The part that is written or being closed.
    pub(super) fn number(&self) -> u32 {
        self.part.map_or(0, |(part, _)| part)
    }

    pub(super) fn feed(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            self.handle(event, &mut events);
        }
    }

    fn handle(&mut self, event: Event, events: &mut Vec<Event>) {
        for effect in self.state.handle(self.now, event) {
            self.perform(effect, events);
        }
    }

    fn perform(&mut self, effect: Effect, events: &mut Vec<Event>) {
        match effect {
            Effect::OpenPart { part, .. } if self.refuses || self.disk_refuses.is_some() => {
                self.attempts += 1;
                self.opened.push(part);
                let pipeline = || PartRefusal::Pipeline { reason: "no encoder".into() };
                let refusal = self.disk_refuses.clone().map_or_else(pipeline, PartRefusal::Disk);
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
            Effect::DropNext if std::mem::take(&mut self.decided) => {
                let part = self.next.expect("there is a next part");
                self.handle(Event::PartSplit { part }, events);
                assert_eq!(self.number(), part, "pictures behind the boundary are in no part");
            }
            Effect::DropNext => {
                self.settling.push((self.next.take().expect("there is a next part"), None));
            }
            Effect::OpenPart { part, .. } if self.opening_hangs => {
                self.attempts += 1;
                self.opened.push(part);
            }
            Effect::OpenPart { part, .. } => {
                self.attempts += 1;
                self.opened.push(part);
                self.part = Some((part, None));
                self.written = Some(Duration::ZERO);
                if let Some(event) = self.before_opened.take() {
                    self.handle(event, events);
                }
                events.push(Event::PartOpened { part, file: format!("cam1.part{part}.mp4") });
            }
            Effect::ClosePart { end, .. } | Effect::CutPart { end } => {
                assert!(!self.decided, "the next part has begun, and the one before it is ended instead");
                let (part, _) = self.part.expect("only an open part is closed");
                self.part = Some((part, Some(end)));
            }
            Effect::WriteFact { fact, .. } => self.facts.push((fact.n, fact.kind)),
            Effect::CloseSource => events.push(Event::SourceReleased),
            Effect::Exit(code) => self.exit = Some(code),
            _ => {}
        }
    }

    /// The world finishes what it was told to close.
    pub(super) fn close_part(&mut self) {
        let Some((part, Some(end))) = self.part else { return };
        let duration = self.written.take().unwrap_or_default();
        self.part = None;
        self.finish_part(part, duration, end);
    }

    /// The keyframe the next part waits for comes.
    pub(super) fn keyframe(&mut self) {
        if let Some(part) = self.next.filter(|_| self.creating.is_none()) {
            self.decided = false;
            self.feed(Event::PartSplit { part });
        }
    }

    /// It comes, but the word of it is still on its way.
    pub(super) fn silent_keyframe(&mut self) {
        self.decided = self.next.is_some() && self.creating.is_none();
    }

    /// The file that is being created is there.
    pub(super) fn file_ready(&mut self) {
        if let Some(part) = self.creating.take() {
            self.feed(Event::PartOpened { part, file: format!("cam1.part{part}.mp4") });
        }
    }

    /// The world finishes the part beside the one that is written.
    pub(super) fn settle(&mut self) {
        if let Some((part, media)) = self.settling.pop() {
            if self.creating == Some(part) {
                self.file_ready();
            }
            let end = if media.is_some() { PartEnd::Split } else { PartEnd::Empty };
            self.finish_part(part, media.unwrap_or_default(), end);
        }
    }

    pub(super) fn finish_part(&mut self, part: u32, duration: Duration, end: PartEnd) {
        let record = PartRecord {
            offset_ns: Some(0),
            duration_ns: duration.as_nanos() as u64,
            bytes: 1,
            ..PartRecord::new(part, format!("cam1.part{part}.mp4"), crate::model::encoding::Container::Mp4, end)
        };
        let frames = Frames { written: Some(3), ..Frames::default() };
        let (doubt, unfinalised) = (self.doubt.take(), self.unfinalised.take());
        let closing = PartClosing { session: session(), record, frames, safe: duration, doubt, unfinalised };
        self.feed(Event::PartClosed(Box::new(closing)));
    }

    pub(super) fn tick(&mut self) {
        self.now = self.now.plus(Duration::from_millis(100));
        let safe = |written| if self.nothing_safe { Duration::ZERO } else { written };
        let progress = |written| Progress {
            written,
            safe: safe(written),
            bytes: 1 + 2 * written.as_millis() as u64,
            video_frames: 1,
        };
        let grown = self.written.is_some_and(|written| !written.is_zero());
        if self.origin_at_growth && grown && self.origin.is_none() {
            self.origin = Some(self.now);
        }
        let origin = self.origin;
        let take =
            self.written.map(|written| TakeEvidence { progress: progress(written), origin, ..TakeEvidence::default() });
        let frame_at = self.frames.then_some(self.now);
        self.feed(Event::Tick(Box::new(Evidence {
            frame_at,
            take,
            disk_waits_since: self.disk_waits_since,
            ..Evidence::default()
        })));
    }

    pub(super) fn run(&mut self, time: Duration, growing: bool) {
        for _ in 0..time.as_millis() / 100 {
            if growing && let Some(written) = &mut self.written {
                *written += Duration::from_millis(100);
            }
            self.tick();
        }
    }

    pub(super) fn start(&mut self) {
        self.feed(Event::Start { reply: REPLY, ticket: Box::new(ticket(self.now)) });
    }

    /// This is found at the path of the part that is written.
    pub(super) fn place(&mut self, place: Place) {
        let part = self.number();
        self.feed(placed(&format!("cam1.part{part}.mp4"), place));
    }

    pub(super) fn ask_split(&mut self) {
        self.feed(Event::Split { reply: REPLY, session: session(), at: self.now });
    }

    pub(super) fn shown(&mut self) -> (InputState, Option<RecordingState>) {
        let status = self.state.status(self.now);
        (status.state, status.recording.map(|recording| recording.state))
    }

    pub(super) fn incidents(&self) -> Vec<IncidentCode> {
        let code = |(_, kind): &(u64, FactKind)| match kind {
            FactKind::Incident(incident) => Some(incident.code),
            _ => None,
        };
        self.facts.iter().filter_map(code).collect()
    }
}

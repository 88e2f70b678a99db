//! A bench for the state machine: its clock, its events, everything it wanted done.

mod adoption;
mod clock;
mod doubt;
mod ends;
mod governor;
mod handover;
mod histories;
mod kinds;
mod lives;
mod markers;
mod memory;
mod order;
mod orders;
mod oversight;
mod pause;
mod presses;
mod priority;
mod promises;
mod proof;
mod retry;
mod stalls;
mod start_up;
mod stop;
mod storage;
mod told;
mod waiting;

use super::super::event::{CloseFault, Event, Refused, Reply, StartCommand, Token, Unwritten};
use super::super::worker_state::Act;
use super::*;
use crate::config::StorageRules;
use crate::model::encoding::Encoding;
use crate::model::incident::IncidentCode;
use crate::model::input::{AudioChoice, InputSpec, OnSignalLoss, SourceSpec, TestPattern};
use crate::model::naming::{Moment, Template};
use crate::model::policy::WorkerPolicy;
use crate::model::session::{Closed, Fact, FactKind, JournalKind, Plan};
use crate::model::snapshot::{
    Frames, InputState, Meter, PreviewState, PreviewView, RecordingState, RecordingView, RetryState, RetryView,
    SessionState,
};
use crate::protocol::api::StartRequest;
use crate::protocol::worker::{Command, Refusal, WorkerStatus};
use crate::storage::recovery::Interrupted;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A state machine with its clock and everything it wanted done.
struct Bench {
    state: State,
    ms: u64,
    token: u64,
    done: Vec<Effect>,
}

fn id(text: &str) -> InputId {
    text.parse().expect("an id")
}

fn spec(text: &str) -> InputSpec {
    InputSpec {
        id: id(text),
        name: text.to_owned(),
        source: SourceSpec::Test { pattern: TestPattern::Bars, width: 64, height: 64, fps: 30, tone_hz: 440 },
        audio: AudioChoice::Auto,
        on_signal_loss: OnSignalLoss::Split,
        codec: None,
        importance: 0,
        armed: true,
    }
}

fn setup(inputs: &[&str]) -> Setup {
    Setup {
        inputs: inputs.iter().map(|text| spec(text)).collect(),
        encoding: Encoding::default(),
        policy: WorkerPolicy::default(),
        storage: StorageRules::default(),
        supervision: Default::default(),
        degradation: Default::default(),
        library: "/library".into(),
        boot_id: "boot".into(),
        epoch: 3,
        config_file: "config.toml".into(),
        alerts: Vec::new(),
        strays: Vec::new(),
        order: Vec::new(),
        clocks: None,
        restarts: Default::default(),
        measured: Default::default(),
    }
}

fn status(session: Option<SessionId>, state: RecordingState, media_ms: u64) -> WorkerStatus {
    WorkerStatus {
        state: InputState::Live,
        detail_code: None,
        detail_params: Default::default(),
        retry: RetryView { state: RetryState::Idle, attempt: 0, max: None, next_in_ms: None, error_class: None },
        signal: None,
        preview: PreviewView::OFF,
        audio: Vec::<Meter>::new(),
        session,
        first_part: Some(1),
        recording: session.map(|_| RecordingView {
            state,
            verdict: None,
            part: 1,
            file: None,
            media_ms: Some(media_ms),
            safe_ms: Some(media_ms),
            bytes: Some(1),
            bytes_per_s: Some(1),
            frames: Frames { written: Some(media_ms / 33), ..Frames::default() },
        }),
        nice: None,
        arrived: None,
        received: None,
        grown_ms_ago: None,
        active: Vec::new(),
        load: None,
        shed: None,
    }
}

impl Bench {
    /// Every worker linked, the library searched, plenty of space.
    fn ready(inputs: &[&str]) -> Self {
        let mut bench = Self::cold(inputs);
        bench.feed(Event::Searched { interrupted: Vec::new(), last: None });
        bench.feed(Event::Space(Some(Space { free: 100_000_000_000, total: 200_000_000_000 })));
        for (pid, input) in (1..).zip(inputs) {
            bench.link(input, pid);
        }
        bench
    }

    fn cold(inputs: &[&str]) -> Self {
        Self::with(setup(inputs))
    }

    fn with(setup: Setup) -> Self {
        Self::knowing(setup, &[])
    }

    /// With these plans of earlier engines, newest first.
    fn knowing(setup: Setup, plans: &[Plan]) -> Self {
        let now = Now { mono: MonoNs(0), at: Timestamp::UNIX_EPOCH };
        let (state, done) = State::new(now, setup);
        let mut bench = Self { state, ms: 0, token: 0, done };
        bench.feed(Event::Plans(plans.to_vec()));
        bench
    }

    fn now(&self) -> Now {
        Now { mono: MonoNs(self.ms * 1_000_000), at: Timestamp::UNIX_EPOCH }
    }

    fn feed(&mut self, event: Event) -> Vec<Effect> {
        let now = self.now();
        let effects = self.state.handle(now, event);
        self.done.extend(effects.iter().cloned());
        effects
    }

    fn worker(&mut self, input: &str, event: WorkerEvent) -> Vec<Effect> {
        self.feed(Event::Worker { input: id(input), event })
    }

    /// The worker's lock was free; it was spawned and said hello.
    fn link(&mut self, input: &str, pid: u32) {
        let link = self.last_link(input);
        self.worker(input, WorkerEvent::LockFree { link });
        self.spawned(input, pid);
    }

    fn spawned(&mut self, input: &str, pid: u32) -> Vec<Effect> {
        self.worker(input, WorkerEvent::Spawned { pid });
        let link = self.last_link(input);
        self.worker(
            input,
            WorkerEvent::Linked { link, pid: Some(pid), started: MonoNs(0), session: None, older: false },
        );
        self.ack_configure(input, None)
    }

    /// The worker answers the last Configure; refused with this code, if any.
    fn ack_configure(&mut self, input: &str, refused: Option<&str>) -> Vec<Effect> {
        let configures = self.done.iter().rev().filter_map(|effect| match effect {
            Effect::Send(of, command) if *of == id(input) => match **command {
                Command::Configure { id, .. } => Some(id),
                _ => None,
            },
            _ => None,
        });
        let Some(command) = configures.max() else { return Vec::new() };
        self.ack(input, command, refused)
    }

    fn ack(&mut self, input: &str, command: u64, refused: Option<&str>) -> Vec<Effect> {
        let refused = refused.map(|code| Refusal { code: code.into(), message: format!("it is {code}") });
        let link = self.last_link(input);
        self.feed(Event::Ack { input: id(input), link, command, refused })
    }

    fn last_link(&self, input: &str) -> u64 {
        let connects = self.done.iter().rev().filter_map(|effect| match effect {
            Effect::Worker(of, Act::Connect { link, .. }) if *of == id(input) => Some(*link),
            _ => None,
        });
        connects.max().expect("a connection was asked for")
    }

    fn status(&mut self, input: &str, session: Option<SessionId>, state: RecordingState, media_ms: u64) {
        let link = self.last_link(input);
        self.feed(Event::Status { input: id(input), link, status: Box::new(status(session, state, media_ms)) });
    }

    fn start(&mut self, key: &str, name: Option<&str>) -> Vec<Effect> {
        let command = self.start_command(key, name);
        self.feed(Event::Start(command))
    }

    fn start_command(&mut self, key: &str, name: Option<&str>) -> StartCommand {
        self.token += 1;
        let request = StartRequest { name: name.map(str::to_owned), inputs: None };
        let digest = format!("{request:?}");
        StartCommand {
            token: self.token,
            key: key.to_owned(),
            fresh: false,
            request,
            digest,
            id: SessionId(uuid::Uuid::from_u128(u128::from(self.token))),
            name: Template::read(name.unwrap_or("Session"))
                .and_then(|template| template.name(&Moment::new(&Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC), 1))),
            trace: "trace".into(),
        }
    }

    /// Starts and persists; the session's id.
    fn record(&mut self, key: &str) -> SessionId {
        self.start(key, None);
        let session = self.session_id();
        self.feed(Event::Persisted { session, result: Ok(()) });
        session
    }

    fn session_id(&self) -> SessionId {
        self.state.session.as_ref().expect("a session").plan.id
    }

    fn stop(&mut self) -> Vec<Effect> {
        self.token += 1;
        let mut effects = self.feed(Event::Stop { token: self.token, session: None });
        let written = effects.iter().find_map(|effect| match effect {
            Effect::WriteStop { session, .. } => Some(*session),
            _ => None,
        });
        if let Some(session) = written {
            effects.extend(self.feed(Event::StopWritten { session }));
        }
        effects
    }

    fn tick_for(&mut self, ms: u64) {
        let until = self.ms + ms;
        while self.ms < until {
            self.ms += 200;
            self.feed(Event::Tick);
        }
    }

    fn view(&self) -> crate::model::snapshot::Snapshot {
        self.state.snapshot(self.now())
    }

    fn recording(&self, place: usize) -> Option<RecordingState> {
        self.view().inputs[place].recording.as_ref().map(|recording| recording.state)
    }

    fn done_fact(&mut self, input: &str, session: SessionId) -> Vec<Effect> {
        let fact = Fact { n: 9, kind: FactKind::Done { frames: Frames::default() } };
        self.feed(Event::Fact { input: id(input), session, t_ns: 0, fact })
    }
}

fn reply(effects: &[Effect]) -> Option<&Reply> {
    effects.iter().find_map(|effect| if let Effect::Reply(_, reply) = effect { Some(reply) } else { None })
}

fn refusal(effects: &[Effect]) -> &Refused {
    match reply(effects) {
        Some(Reply::Refused(refused)) => refused,
        other => panic!("not refused: {other:?}"),
    }
}

fn starts(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::StartWorker { .. })).count()
}

fn closes(effects: &[Effect]) -> Option<Closed> {
    effects.iter().find_map(|effect| if let Effect::Close { state, .. } = effect { Some(*state) } else { None })
}

fn closed_session(id: SessionId, state: Closed) -> crate::storage::recovery::ClosedSession {
    let manifest = crate::model::session::Manifest {
        version: 1,
        id,
        name: "x".parse().expect("a name"),
        started_at: Timestamp::UNIX_EPOCH,
        ended_at: Timestamp::UNIX_EPOCH,
        state,
        library_path: "/library".into(),
        inputs: vec![lost_input()],
        markers: Vec::new(),
        clock_steps: Vec::new(),
        suspends: Vec::new(),
        incidents: Vec::new(),
    };
    crate::storage::recovery::ClosedSession { manifest }
}

/// An input that has lost at most 40 ms.
fn lost_input() -> crate::model::session::ManifestInput {
    crate::model::session::ManifestInput {
        id: id("a"),
        name: "A".into(),
        kind: "test".into(),
        verdict: crate::model::session::Verdict::Unverified,
        lost: Some(crate::model::loss::Loss::at_most(40)),
        parts: Vec::new(),
        findings: Vec::new(),
    }
}

//! Memory, limits, error rates and long operations against the whole state: what is told, and that nothing is stopped.

use super::*;
use crate::engine::event::StorageEvent;
use crate::engine::resources::{Gauge, Processes, Resources};
use crate::engine::tally::Counted;
use crate::model::incident::Severity;
use crate::model::snapshot::{Alert, AlertState, HealthVerdict};
use crate::protocol::operations::{OperationKind, OperationsReply};
use crate::sys::usage::{Memory, Usage};

const MB: u64 = 1_000_000;

fn machine(available: u64) -> Resources {
    Resources { memory: Some(Memory { total: 16_000 * MB, available: available * MB }), ..Resources::default() }
}

impl Bench {
    fn seen(&mut self, resources: Resources) -> Vec<Effect> {
        self.feed(Event::Resources(Box::new(resources)))
    }

    /// Worker `a` uses so much.
    pub(super) fn uses(&mut self, mb: u64) -> Vec<Effect> {
        let process = self.state.input(&id("a")).and_then(|input| input.worker.pid()).map(|pid| (pid, 7));
        let usage = WorkerUsage { process, rss_bytes: Some(mb * MB), ..WorkerUsage::default() };
        self.feed(Event::Usage(vec![(id("a"), usage)]))
    }

    /// Two seconds pass, in which worker `a` reports what it does.
    pub(super) fn live(&mut self, ms: u64, session: Option<SessionId>, state: RecordingState) {
        let until = self.ms + ms;
        while self.ms < until {
            self.tick_for(400);
            let media = self.ms;
            self.status("a", session, state, media);
        }
    }

    fn alert(&self, source: &str, code: &str) -> Option<Alert> {
        self.state.alerts.list().iter().find(|alert| alert.source == source && alert.code == code).cloned()
    }

    pub(super) fn is_told(&self, source: &str, code: &str) -> bool {
        self.alert(source, code).is_some_and(|alert| alert.state == AlertState::Active)
    }

    fn operations(&self) -> OperationsReply {
        self.state.operations(self.now())
    }

    fn clean_up(&mut self, operation: u64) -> Vec<Effect> {
        self.ask(|token| Event::Cleanup { token, operation })
    }
}

fn ends(effects: &[Effect]) -> usize {
    let ends = |effect: &&Effect| matches!(effect, Effect::Worker(_, Act::Terminate | Act::Kill | Act::Dismiss));
    effects.iter().filter(ends).count()
}

#[test]
fn a_worker_above_its_budget_is_told_and_left_alone_whether_it_records_or_waits() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    bench.live(1000, Some(session), RecordingState::Recording);
    bench.uses(300);
    bench.live(60_000, Some(session), RecordingState::Recording);
    bench.uses(300);
    assert!(!bench.is_told("a", "worker_memory"), "an encoder of 4K is no leak");
    bench.uses(365);
    let alert = bench.alert("a", "worker_memory").expect("it is told");
    assert_eq!((alert.severity, alert.params["used"].as_str()), (Severity::Warning, "365 MB"));
    let before = bench.done.len();
    for _ in 0..100 {
        bench.live(2000, Some(session), RecordingState::Recording);
        bench.uses(5000);
    }
    assert_eq!(ends(&bench.done[before..]), 0, "a recording worker is never restarted for memory");
    assert_eq!(bench.alert("a", "worker_memory").map(|alert| alert.count), Some(1));
    assert!(bench.is_told("engine", "worker_memory"), "all of them together as well");
    bench.stop();
    bench.done_fact("a", session);
    let closed = Box::new(closed_session(session, Closed::Completed));
    bench.feed(Event::Closed { session, dir: "/library/x".into(), result: Ok(closed) });
    let before = bench.done.len();
    for _ in 0..40 {
        bench.live(2000, Some(session), RecordingState::Done);
        bench.uses(5000);
    }
    let dismissed = |effect: &Effect| matches!(effect, Effect::Worker(_, Act::Dismiss));
    assert!(!bench.done[before..].iter().any(dismissed), "nor is one that waits: somebody may press Record");
    bench.uses(100);
    assert!(!bench.is_told("a", "worker_died") && !bench.is_told("a", "worker_memory"));
    assert!(!bench.is_told("engine", "worker_memory"));
}

#[test]
fn little_memory_before_a_start_is_told_and_refuses_nothing() {
    let mut bench = Bench::ready(&["a"]);
    bench.seen(machine(150));
    assert!(!bench.is_told("engine", "memory_low"), "nobody starts anything");
    bench.record("k");
    assert!(bench.is_told("engine", "memory_low") && bench.is_told("machine", "limit_near"));
    bench.seen(machine(210));
    assert!(bench.is_told("engine", "memory_low"), "it does not come and go");
    bench.seen(machine(4000));
    assert!(!bench.is_told("engine", "memory_low") && !bench.is_told("machine", "limit_near"));
}

#[test]
fn of_each_source_the_nearest_limit_is_told_once_and_ends_below_it() {
    let mut bench = Bench::ready(&["a"]);
    let open = |files| Usage { files: Some(files), files_limit: Some(100), ..Usage::default() };
    let look = |files: u64, of_worker: u64, queue: u64| {
        let (engine, worker) = (open(files), open(of_worker));
        Resources {
            gauges: vec![Gauge { what: "places for events", used: queue, limit: 100 }],
            processes: Some(Processes { engine, workers: vec![(id("a"), 1, worker)], ..Processes::default() }),
            ..Resources::default()
        }
    };
    bench.seen(look(80, 80, 80));
    assert!(bench.alert("engine", "limit_near").is_none() && bench.alert("a", "limit_near").is_none());
    bench.seen(look(81, 90, 10));
    let files = bench.alert("engine", "limit_near").expect("it is told");
    let told = |name: &str| files.params[name].as_str();
    assert_eq!((told("what"), told("used"), told("limit")), ("open files", "81", "100"));
    assert!(bench.is_told("a", "limit_near"));
    bench.seen(look(85, 70, 10));
    bench.seen(Resources { processes: None, ..look(0, 0, 10) });
    assert_eq!(bench.alert("engine", "limit_near").map(|alert| alert.count), Some(1), "what goes on is told once");
    assert!(!bench.is_told("a", "limit_near"));
    bench.seen(look(85, 70, 99));
    assert_eq!(bench.alert("engine", "limit_near").expect("told").params["what"], "places for events");
    bench.seen(look(78, 70, 10));
    assert!(bench.is_told("engine", "limit_near"), "it does not come and go");
    bench.seen(look(70, 70, 10));
    assert!(!bench.is_told("engine", "limit_near"));
}

#[test]
fn threads_of_all_our_processes_count_against_the_one_limit_of_their_user() {
    let mut bench = Bench::ready(&["a"]);
    let usage = |threads| Usage { threads: Some(threads), threads_limit: Some(100), ..Usage::default() };
    let workers = vec![(id("a"), 1, usage(75))];
    let processes = Some(Processes { engine: usage(10), workers, ..Processes::default() });
    bench.seen(Resources { processes, ..Resources::default() });
    assert_eq!(bench.alert("engine", "limit_near").expect("told").params["used"], "85");
}

#[test]
fn a_zombie_is_dead() {
    let mut bench = Bench::ready(&["a"]);
    let zombie = Usage { zombie: true, ..Usage::default() };
    let look = |pid| {
        let workers = vec![(id("a"), pid, zombie)];
        Resources { processes: Some(Processes { workers, ..Processes::default() }), ..Resources::default() }
    };
    bench.seen(look(77));
    assert!(!bench.is_told("a", "worker_died"), "that is another one");
    let effects = bench.seen(look(1));
    assert!(bench.is_told("a", "worker_died"));
    assert!(effects.contains(&Effect::Worker(id("a"), Act::Spawn)));
}

#[test]
fn errors_are_counted_where_they_happen_and_a_rate_that_is_too_high_is_told_until_it_is_calm() {
    let mut bench = Bench::ready(&["a"]);
    let disk = |errors, successes| Resources { disk: Counted { errors, successes }, ..Resources::default() };
    bench.seen(disk(0, 300));
    bench.tick_for(1000);
    assert!(!bench.is_told("storage", "error_rate"));
    bench.seen(disk(10, 0));
    bench.tick_for(200);
    let alert = bench.alert("storage", "error_rate").expect("it is told");
    assert_eq!((alert.params["errors"].as_str(), alert.params["seconds"].as_str()), ("10", "60"));
    let health = bench.state.health(bench.now(), &bench.view());
    let rate = health.error_rates.iter().find(|rate| rate.source == "storage").expect("it is counted").rate;
    assert_eq!((rate.errors, rate.total, rate.percent, rate.window_s), (10, 310, Some(3.23), 300));
    assert_eq!(health.overall, HealthVerdict::Degraded, "{health:#?}");
    bench.live(290_000, None, RecordingState::Done);
    assert!(bench.is_told("storage", "error_rate"), "3 % of 310 operations");
    bench.live(12_000, None, RecordingState::Done);
    assert!(!bench.is_told("storage", "error_rate"));
    // A source that cannot be opened; the rate itself is no error of anybody's.
    for attempt in 1..=12 {
        let mut report = status(None, RecordingState::Done, 0);
        report.state = InputState::Reconnecting;
        report.retry.attempt = attempt;
        let link = bench.last_link("a");
        bench.feed(Event::Status { input: id("a"), link, status: Box::new(report) });
    }
    bench.tick_for(200);
    assert!(bench.is_told("a", "error_rate"));
    let rates = bench.state.health(bench.now(), &bench.view()).error_rates;
    let rate = rates.iter().find(|rate| rate.source == "a").expect("it is counted").rate;
    assert_eq!((rate.errors, rate.successes), (11, 0), "the twelfth attempt may still succeed");
}

#[test]
fn what_is_critical_reaches_the_operators_command_once_and_the_log_each_time() {
    let mut bench = Bench::ready(&["a"]);
    let alarms = |effects: &[Effect]| effects.iter().filter(|effect| matches!(effect, Effect::Alarm { .. })).count();
    let lines = |effects: &[Effect]| effects.iter().filter(|effect| matches!(effect, Effect::Log { .. })).count();
    let effects = bench.feed(Event::Storage(StorageEvent::Frozen(true)));
    assert_eq!((alarms(&effects), lines(&effects)), (1, 1), "who asks for it does not matter: {effects:?}");
    let effects = bench.worker("a", WorkerEvent::Exited { pid: 1, how: "signal: 9".into() });
    assert_eq!((alarms(&effects), lines(&effects)), (1, 1), "{effects:?}");
    bench.spawned("a", 2);
    let effects = bench.worker("a", WorkerEvent::Exited { pid: 2, how: "signal: 9".into() });
    assert_eq!((alarms(&effects), lines(&effects)), (0, 1), "it goes on");
}

#[test]
fn an_acknowledgement_is_answered_told_to_everybody_and_unknown_ones_are_refused() {
    let mut bench = Bench::ready(&["a"]);
    bench.worker("a", WorkerEvent::Exited { pid: 1, how: "signal: 9".into() });
    let alert = bench.alert("a", "worker_died").expect("it is told").id;
    bench.state.alerts.take_changed(&mut 0);
    let effects = bench.ask(|token| Event::Acknowledge { token, alert });
    assert!(matches!(reply(&effects), Some(Reply::Acknowledged(ack)) if ack.alert.acknowledged));
    let changed = bench.state.alerts.take_changed(&mut 0);
    assert!(changed.len() == 1 && changed[0].acknowledged);
    assert_eq!(bench.view().alerts.unacknowledged, 0);
    let effects = bench.ask(|token| Event::Acknowledge { token, alert: 4711 });
    assert_eq!((refusal(&effects).status, refusal(&effects).code), (404, "unknown_alert"));
}

#[test]
fn a_stop_that_is_stuck_is_told_and_the_session_closed_around_it() {
    let mut long = setup(&["a", "b"]);
    long.policy.flush_deadline = Duration::from_secs(120);
    let mut bench = Bench::with(long);
    bench.feed(Event::Searched { interrupted: Vec::new(), last: None });
    bench.feed(Event::Space(Some(Space { free: 100_000_000_000, total: 200_000_000_000 })));
    (1..).zip(["a", "b"]).for_each(|(pid, input)| bench.link(input, pid));
    let session = bench.record("k");
    for input in ["a", "b"] {
        bench.status(input, Some(session), RecordingState::Recording, 1000);
    }
    bench.tick_for(200);
    assert_eq!(bench.operations().count, 0, "a recording is no operation that has to end");
    bench.stop();
    bench.done_fact("b", session);
    bench.live(19_800, Some(session), RecordingState::Stopping);
    let operations = bench.operations();
    let stop = operations.operations[0].clone();
    assert_eq!((operations.count, stop.kind, stop.source.as_str(), stop.stuck), (1, OperationKind::Stop, "a", false));
    let early = bench.clean_up(stop.id);
    assert_eq!((refusal(&early).status, refusal(&early).code), (409, "not_stuck"));
    bench.live(800, Some(session), RecordingState::Stopping);
    assert!(bench.operations().action_required && bench.is_told("a", "operation_stuck"));
    assert_eq!(bench.alert("a", "operation_stuck").expect("told").params["id"], stop.id.to_string());
    let effects = bench.clean_up(stop.id);
    assert!(matches!(reply(&effects), Some(Reply::Cleaned(cleaned)) if cleaned.status == "cleaned"));
    assert!(effects.contains(&Effect::Worker(id("a"), Act::Terminate)), "its worker is ended: {effects:?}");
    assert_eq!(closes(&effects), Some(Closed::Completed));
    assert!(!bench.is_told("a", "operation_stuck"));
    let again = bench.clean_up(stop.id);
    assert!(matches!(reply(&again), Some(Reply::Cleaned(_))) && closes(&again).is_none(), "it is idempotent");
    assert_eq!(refusal(&bench.clean_up(1)).code, "unknown_operation");
}

#[test]
fn a_start_that_is_stuck_is_given_up_for_its_input_and_the_others_record_on() {
    let mut bench = Bench::ready(&["a", "b"]);
    let session = bench.record("k");
    for _ in 0..26 {
        bench.tick_for(400);
        let media = bench.ms;
        bench.status("a", Some(session), RecordingState::Recording, media);
        bench.status("b", Some(session), RecordingState::Starting, 0);
    }
    let operation = bench.operations().operations[0].clone();
    assert_eq!((operation.kind, operation.source.as_str(), operation.stuck), (OperationKind::Start, "b", true));
    let effects = bench.clean_up(operation.id);
    assert!(closes(&effects).is_none(), "{effects:?}");
    let stops = |effect: &Effect| matches!(effect, Effect::Send(of, command) if *of == id("b") && matches!(**command, Command::Stop { .. }));
    assert_eq!(effects.iter().filter(|effect| stops(effect)).count(), 1);
    assert_eq!(
        (bench.recording(0), bench.recording(1)),
        (Some(RecordingState::Recording), Some(RecordingState::Failed))
    );
    // An input without pictures is no operation that is stuck: that is told as what it is.
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    let mut report = status(Some(session), RecordingState::Starting, 0);
    report.state = InputState::NoSignal;
    for _ in 0..40 {
        bench.tick_for(400);
        let link = bench.last_link("a");
        bench.feed(Event::Status { input: id("a"), link, status: Box::new(report.clone()) });
    }
    assert_eq!((bench.operations().count, bench.is_told("a", "operation_stuck")), (0, false));
}

#[test]
fn a_close_that_is_stuck_makes_way_for_the_next_recording_and_is_made_up_for() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    bench.status("a", Some(session), RecordingState::Recording, 1000);
    bench.stop();
    assert_eq!(closes(&bench.done_fact("a", session)), Some(Closed::Completed));
    bench.live(60_400, None, RecordingState::Done);
    let operation = bench.operations().operations[0].clone();
    assert_eq!((operation.kind, operation.stuck), (OperationKind::Finalise, true));
    bench.clean_up(operation.id);
    assert_eq!(bench.view().session, None, "the screen is free");
    bench.feed(Event::Space(Some(Space { free: 100_000_000_000, total: 200_000_000_000 })));
    bench.start("k2", None);
    assert_ne!(bench.session_id(), session);
    // The close that was stuck comes to its end all the same, and is not taken for another session's.
    let closed = Box::new(closed_session(session, Closed::Completed));
    bench.feed(Event::Closed { session, dir: "/library/x".into(), result: Ok(closed) });
    assert_ne!(bench.session_id(), session);
}

#[test]
fn a_flood_of_alerts_touches_no_recording() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    bench.status("a", Some(session), RecordingState::Recording, 1000);
    let before = bench.done.len();
    // A thousand within a second, of every kind, from the worker and from the engine's own eyes.
    for n in 0..1000 {
        bench.ms += 1;
        let mut report = status(Some(session), RecordingState::Recording, 1000 + n);
        report.active = vec![Incident::new(IncidentCode::ALL[n as usize % IncidentCode::ALL.len()])];
        let link = bench.last_link("a");
        bench.feed(Event::Status { input: id("a"), link, status: Box::new(report) });
        let api = Counted { errors: 3, successes: 0 };
        bench.seen(Resources { api, ..machine(n % 300) });
    }
    bench.tick_for(200);
    let harm = |effect: &&Effect| {
        let command = |command: &Command| !matches!(command, Command::Configure { .. });
        match effect {
            Effect::Worker(..) | Effect::WriteStop { .. } | Effect::Close { .. } | Effect::EndProof { .. } => true,
            Effect::Send(_, sent) => command(sent),
            _ => false,
        }
    };
    assert_eq!(bench.done[before..].iter().filter(harm).collect::<Vec<_>>(), Vec::<&Effect>::new());
    assert_eq!(bench.recording(0), Some(RecordingState::Recording));
    assert_eq!(bench.view().session.map(|session| session.state), Some(SessionState::Recording));
    assert!(bench.is_told("api", "error_rate"));
}

#[test]
fn what_a_worker_said_goes_on_dies_with_it() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    let full = Incident::new(IncidentCode::DiskFull);
    let said = WorkerStatus { active: vec![full], ..status(Some(session), RecordingState::Recording, 1000) };
    let link = bench.last_link("a");
    bench.feed(Event::Status { input: id("a"), link, status: Box::new(said) });
    assert!(bench.is_told("a", "disk_full"));
    bench.worker("a", WorkerEvent::Exited { pid: 1, how: "signal: 9".into() });
    assert!(bench.is_told("a", "worker_died") && !bench.is_told("a", "disk_full"));
}

#[test]
fn a_stop_that_waits_for_a_frozen_disk_is_not_stuck() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    bench.live(1000, Some(session), RecordingState::Recording);
    bench.stop();
    let frozen = Incident::new(IncidentCode::StorageFrozen);
    for _ in 0..60 {
        bench.ms += 1000;
        let said =
            WorkerStatus { active: vec![frozen.clone()], ..status(Some(session), RecordingState::Stopping, 1000) };
        let link = bench.last_link("a");
        bench.feed(Event::Status { input: id("a"), link, status: Box::new(said) });
        bench.feed(Event::Tick);
    }
    assert!(!bench.is_told("a", "operation_stuck"), "what waits in memory would be lost by a clean-up");
}

#[test]
fn a_journal_that_is_being_closed_gets_no_line_from_anybody_else() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    bench.live(1000, Some(session), RecordingState::Recording);
    bench.stop();
    bench.done_fact("a", session);
    assert!(bench.done.iter().any(|effect| matches!(effect, Effect::Close { .. })), "it is being closed");
    let before = bench.done.len();
    // Its worker answers none of its commands, which is told.
    for _ in 0..60 {
        bench.live(1000, Some(session), RecordingState::Done);
    }
    assert!(bench.is_told("a", "command_unanswered"));
    let lines = bench.done[before..].iter().filter(|effect| matches!(effect, Effect::Journal { .. })).count();
    assert_eq!(lines, 0);
}

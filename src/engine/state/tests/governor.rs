//! The governor's hands: who is told what, and what is said of it.

use super::*;
use crate::engine::governor::watch::Load;
use crate::model::shed::{PreviewCap, Shed, WorkerLoad};
use crate::model::snapshot::{AlertState, LevelName, PreviewReduction};
use crate::storage::proof::Unproved;
use crate::sys::usage::Memory;

const GB: u64 = 1_000_000_000;
const INPUTS: [&str; 3] = ["a", "b", "c"];

/// The sheds among effects: input, what.
fn sheds(effects: &[Effect]) -> Vec<(String, Shed)> {
    let shed = |effect: &Effect| match effect {
        Effect::Send(input, command) => match **command {
            Command::Shed { shed, .. } => Some((input.to_string(), shed)),
            _ => None,
        },
        _ => None,
    };
    effects.iter().filter_map(shed).collect()
}

impl Bench {
    /// The machine is so busy.
    fn busy(&mut self, percent: f64) -> Vec<Effect> {
        let memory = Load::of_memory([Memory { total: 16 * GB, available: 12 * GB }]);
        self.feed(Event::Load(Load { cpu_percent: Some(percent), pressure_percent: Some(0.0), ..memory }))
    }

    /// A worker that does without `shed` says so; somebody watches it.
    fn says(&mut self, input: &str, shed: Option<Shed>, load: WorkerLoad) -> Vec<Effect> {
        let link = self.last_link(input);
        let reduced = shed.filter(|shed| shed.preview.off).map(|_| PreviewReduction::Off);
        let preview = PreviewView { state: PreviewState::Live, height: Some(360), reduced, ..PreviewView::OFF };
        let session = self.state.session.as_ref().map(|session| session.plan.id);
        let said = WorkerStatus { shed, load: Some(load), preview, ..status(session, RecordingState::Recording, 1000) };
        self.feed(Event::Status { input: id(input), link, status: Box::new(said) })
    }

    /// Seconds of one load, with workers that do what they are told; everything that they were told.
    fn seconds(&mut self, seconds: u64, percent: f64) -> Vec<(String, Shed)> {
        self.seconds_with(seconds, percent, |_| WorkerLoad::default())
    }

    /// The same, where they keep up so.
    fn seconds_with(&mut self, seconds: u64, percent: f64, load: impl Fn(&str) -> WorkerLoad) -> Vec<(String, Shed)> {
        let mut told = Vec::new();
        for _ in 0..seconds * 2 {
            self.ms += 500;
            let mut effects = self.busy(percent);
            effects.extend(self.feed(Event::Tick));
            let news = sheds(&effects);
            for input in INPUTS {
                let last = self.does(input);
                let shed = news.iter().rev().find(|(of, _)| of == input).map_or(last, |(_, shed)| *shed);
                let effects = self.says(input, Some(shed), load(input));
                told.extend(sheds(&effects));
            }
            told.extend(news);
        }
        told
    }

    fn does(&self, input: &str) -> Shed {
        let status = self.state.input(&id(input)).and_then(|input| input.status.as_ref());
        status.and_then(|(_, status)| status.shed).unwrap_or_default()
    }

    fn standing(&self, code: &str) -> Option<AlertState> {
        self.state.alerts.list().iter().find(|alert| alert.code == code).map(|alert| alert.state)
    }
}

fn ready() -> Bench {
    let mut bench = Bench::with(Setup {
        // The first in the grid is the least important here.
        inputs: INPUTS
            .iter()
            .zip([-1, 0, 0])
            .map(|(text, importance)| InputSpec { importance, ..spec(text) })
            .collect(),
        ..setup(&[])
    });
    bench.feed(Event::Searched { interrupted: Vec::new(), last: None });
    bench.feed(Event::Space(Some(Space { free: 100 * GB, total: 200 * GB })));
    for (pid, input) in (1..).zip(INPUTS) {
        bench.link(input, pid);
    }
    bench
}

/// `b` records late, the others keep up.
fn late_b(input: &str) -> WorkerLoad {
    match input {
        "b" => WorkerLoad { queue_percent: 60, late_ms: Some(900), bitrate_adjustable: true },
        _ => WorkerLoad { bitrate_adjustable: true, ..WorkerLoad::default() },
    }
}

#[test]
fn the_least_important_previews_go_first_and_everything_comes_back_and_is_resolved() {
    let mut bench = ready();
    bench.record("k");
    bench.seconds(5, 50.0);
    let told = bench.seconds(15, 75.0);
    let first_off: Vec<&str> = told.iter().filter(|(_, shed)| shed.preview.off).map(|(id, _)| id.as_str()).collect();
    assert_eq!((first_off, bench.does("b").preview.off), (vec!["c", "a"], false), "{told:?}");
    assert_eq!(
        (bench.standing("cpu_high"), bench.standing("previews_off")),
        (Some(AlertState::Active), Some(AlertState::Active))
    );
    let level = bench.view().level;
    assert_eq!((level.name, level.causes), (LevelName::Degrade, vec!["cpu_high".to_owned()]));
    assert_eq!(level.actions, ["previews_720p", "previews_15fps", "two_previews_off"]);
    bench.seconds(60, 50.0);
    assert_eq!(INPUTS.map(|input| bench.does(input)), [Shed::default(); 3]);
    assert_eq!(
        (bench.standing("cpu_high"), bench.standing("previews_off")),
        (Some(AlertState::Resolved), Some(AlertState::Resolved))
    );
    assert_eq!(bench.view().level.name, LevelName::Normal);
}

#[test]
fn a_worker_of_another_build_is_given_back_what_it_does_without() {
    let mut bench = Bench::cold(&INPUTS);
    let old = adoption::running(&INPUTS);
    let session = Some(old.plan.id);
    for (pid, input) in (1..).zip(INPUTS) {
        let link = bench.last_link(input);
        bench.worker(input, WorkerEvent::Linked { link, pid: Some(pid), started: MonoNs(0), session, older: true });
    }
    adoption::searched(&mut bench, old);
    bench.seconds(5, 50.0);
    let half = Shed { bitrate_percent: 50, ..Shed::default() };
    let told = sheds(&bench.says("a", Some(half), WorkerLoad::default()));
    let all = [told, bench.seconds(2, 50.0)].concat();
    assert!(all.contains(&("a".to_owned(), Shed::default())), "{all:?}");
}

#[test]
fn what_a_worker_does_without_is_put_right_from_its_own_words() {
    let mut bench = ready();
    bench.seconds(5, 50.0);
    // An earlier engine has left it so; and one that does not say is of another version.
    let left = Shed { preview: PreviewCap { off: true, ..PreviewCap::default() }, bitrate_percent: 75 };
    bench.says("b", Some(left), WorkerLoad::default());
    bench.says("c", None, WorkerLoad::default());
    assert_eq!(sheds(&bench.feed(Event::Tick)), [("b".to_owned(), Shed::default())]);
    bench.ms += 400;
    assert_eq!(sheds(&bench.feed(Event::Tick)), [], "it has a moment to do it");
    bench.ms += 800;
    bench.says("b", Some(left), WorkerLoad::default());
    assert_eq!(sheds(&bench.feed(Event::Tick)).len(), 1, "and is told again");
}

#[test]
fn a_new_engine_gives_back_what_is_shed_in_the_ordinary_way_and_only_when_the_load_has_gone() {
    let preview = PreviewCap { off: true, max_height: Some(720), max_fps: Some(15) };
    let left = Shed { preview, bitrate_percent: 50 };
    for percent in [100.0, 30.0] {
        let mut bench = ready();
        for input in INPUTS {
            bench.says(input, Some(left), WorkerLoad::default());
        }
        assert_eq!(bench.seconds(28, percent), [], "at {percent} %");
        bench.seconds(22, percent);
        let does = match percent {
            100.0 => Shed { bitrate_percent: 100, ..left },
            _ => Shed::default(),
        };
        assert_eq!(INPUTS.map(|input| bench.does(input)), [does; 3], "at {percent} %");
    }
}

#[test]
fn an_input_that_is_late_by_itself_costs_the_others_nothing() {
    let mut bench = ready();
    bench.record("k");
    bench.seconds(5, 10.0);
    bench.seconds_with(30, 10.0, late_b);
    let preview = PreviewCap { off: true, ..PreviewCap::default() };
    let does = ["a", "b", "c"].map(|input| bench.does(input));
    assert_eq!(does, [Shed::default(), Shed { preview, bitrate_percent: 50 }, Shed::default()]);
    assert_eq!(bench.view().level.actions, ["late_preview_off", "bitrate_75", "bitrate_50"]);
    assert_eq!(bench.standing("overloaded"), Some(AlertState::Active));
    // Its worker says nothing for a while: what it does without is not over for that.
    bench.tick_for(3000);
    assert_eq!(
        (bench.standing("overloaded"), bench.standing("bitrate_reduced"), bench.standing("previews_off")),
        (Some(AlertState::Active), Some(AlertState::Active), Some(AlertState::Active))
    );
}

#[test]
fn an_input_that_stands_still_is_not_late() {
    let mut bench = ready();
    let session = bench.record("k");
    bench.seconds(5, 10.0);
    for _ in 0..20 {
        bench.ms += 500;
        let mut effects = bench.busy(10.0);
        for input in INPUTS {
            let state = if input == "b" { RecordingState::Stalled } else { RecordingState::Recording };
            let link = bench.last_link(input);
            let shed = Some(Shed::default());
            let said = WorkerStatus { load: Some(late_b(input)), shed, ..status(Some(session), state, 1000) };
            bench.feed(Event::Status { input: id(input), link, status: Box::new(said) });
        }
        effects.extend(bench.feed(Event::Tick));
        assert_eq!(sheds(&effects), []);
    }
}

#[test]
fn a_recording_that_runs_late_is_answered_at_once_unless_the_disk_is_what_it_waits_for() {
    let late = WorkerLoad { queue_percent: 60, late_ms: Some(900), bitrate_adjustable: true };
    for frozen in [false, true] {
        let mut bench = ready();
        let session = bench.record("k");
        bench.seconds(5, 30.0);
        let active = if frozen { vec![Incident::new(IncidentCode::StorageFrozen)] } else { Vec::new() };
        let link = bench.last_link("a");
        let said = WorkerStatus {
            load: Some(late),
            shed: Some(Shed::default()),
            active,
            ..status(Some(session), RecordingState::Recording, 1000)
        };
        bench.feed(Event::Status { input: id("a"), link, status: Box::new(said) });
        bench.ms += 200;
        let told = sheds(&bench.feed(Event::Tick));
        assert_eq!(!told.is_empty(), !frozen, "{told:?}");
        assert_eq!(bench.standing("recording_late"), (!frozen).then_some(AlertState::Active));
        assert!(told.iter().all(|(_, shed)| shed.bitrate_percent == 100));
    }
}

#[test]
fn files_are_read_again_only_when_nobody_needs_the_machine() {
    let mut bench = ready();
    bench.seconds(5, 30.0);
    let session = Unproved { id: SessionId(uuid::Uuid::from_u128(7)), dir: "/library/7".into(), bytes: 1 };
    let effects = bench.feed(Event::Unproved(vec![session]));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Prove { number: 1, .. })), "{effects:?}");
    let mut ended = false;
    for _ in 0..20 {
        bench.ms += 500;
        let mut effects = bench.busy(95.0);
        effects.extend(bench.feed(Event::Tick));
        ended |= effects.iter().any(|effect| matches!(effect, Effect::EndProof { number: 1 }));
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Prove { .. })));
    }
    assert!(ended && bench.view().level.actions.contains(&"jobs_paused".to_owned()));
    let mut again = false;
    for _ in 0..120 {
        bench.ms += 500;
        let effects = bench.busy(30.0);
        again |= effects.iter().any(|effect| matches!(effect, Effect::Prove { number: 2, .. }));
    }
    assert!(again, "it is read from its beginning");
}

#[test]
fn disk_and_machine_make_one_level() {
    let mut bench = ready();
    bench.seconds(5, 75.0);
    bench.feed(Event::Space(Some(Space { free: GB / 2, total: 200 * GB })));
    let level = bench.view().level;
    assert_eq!(level.name, LevelName::Critical);
    assert_eq!(level.causes, ["disk_critical", "disk_low", "cpu_high"], "worst first");
    assert_eq!(level.actions[..2], ["no_new_recordings", "previews_720p"]);
}

#[test]
fn an_input_above_its_budget_is_named() {
    let mut bench = ready();
    let usage = |percent| WorkerUsage { cpu_percent: Some(percent), ..WorkerUsage::default() };
    for second in 0..14 {
        bench.ms = second * 1000;
        bench.feed(Event::Usage(vec![(id("a"), usage(40.0)), (id("b"), usage(5.0))]));
        bench.feed(Event::Tick);
    }
    let alerts: Vec<(&str, &str)> =
        bench.state.alerts.list().iter().map(|alert| (alert.source.as_str(), alert.code.as_str())).collect();
    assert_eq!(alerts, [("a", "cpu_budget")]);
    assert!(bench.state.alerts.list()[0].message.starts_with("This input uses 40 % of the machine; 15 % were"));
    assert_eq!((bench.view().level.name, bench.view().level.actions), (LevelName::Normal, Vec::new()));
}

#[test]
fn what_is_done_about_a_budget_is_seen_in_the_level() {
    let mut bench = ready();
    let session = bench.record("k");
    for _ in 0..15 {
        bench.ms += 1000;
        bench.busy(10.0);
        bench.feed(Event::Usage(vec![(id("a"), WorkerUsage::default())]));
        let link = bench.last_link("a");
        let mut said = status(Some(session), RecordingState::Recording, 1000);
        said.load = Some(WorkerLoad { bitrate_adjustable: true, ..WorkerLoad::default() });
        said.shed = Some(bench.does("a"));
        said.recording.iter_mut().for_each(|recording| recording.bytes_per_s = Some(90_000_000));
        bench.feed(Event::Status { input: id("a"), link, status: Box::new(said) });
        bench.feed(Event::Tick);
    }
    let level = bench.view().level;
    assert_eq!((level.name, level.causes), (LevelName::Warn, vec!["disk_budget".to_owned()]));
    assert_eq!(level.actions, ["bitrate_75"]);
}

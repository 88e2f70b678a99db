//! The engine's and the worker's state machines together, over real journals, facts files and locks, in random
//! interleavings: kill at any step, engines started twice, frozen and thawed, stale connections, plans half acknowledged.
//!
//! What must hold (DESIGN §1): never two writers of a part, never a number used twice, never a lost or doubled fact, at
//! most one session at a time, and a session that somebody records stays that session whatever engine comes.

mod clients;
mod engine;
mod worker;
mod world;

use crate::support::proc::rounds;
use holdfast::model::SessionId;
use holdfast::model::session::{Fact, JournalKind, Line};
use holdfast::storage::{journal, layout, recovery, search};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use world::World;

const INPUTS: [&str; 2] = ["cam1", "cam2"];
/// Distance between two looks of an engine.
const TICK_MS: u16 = 200;
/// Rounds of a tick in which a world where nothing more is broken must have come to rest: two minutes, because a
/// worker that hangs while stopping is given 15 s to flush, and replacements are 5 s apart.
const SETTLES_WITHIN: usize = 600;
/// Things that can happen without time passing; a start takes about fifty per input.
const STEPS_PER_ROUND: u32 = 5000;

#[derive(Debug, Clone)]
enum Op {
    /// So many small steps, chosen by the numbers.
    Steps(Vec<u16>),
    /// Milliseconds, all at once (`true`: everybody stands still meanwhile) or tick by tick.
    Pass(u16, bool),
    StartEngine,
    KillEngine,
    FreezeEngine,
    ThawEngine,
    KillWorker(u8),
    CutLink(u8),
    LoseWord(u8, bool),
    Start(u8),
    Split,
    /// Asked of the engine that runs, or (`true`) of one started in its place, before that has looked around.
    Stop(bool),
    /// The session that is being recorded, by its id.
    StopThis,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => prop::collection::vec(any::<u16>(), 1..60).prop_map(Op::Steps),
        8 => (50u16..2000, prop::bool::weighted(0.25)).prop_map(|(millis, still)| Op::Pass(millis, still)),
        4 => Just(Op::StartEngine),
        2 => Just(Op::KillEngine),
        1 => Just(Op::FreezeEngine),
        1 => Just(Op::ThawEngine),
        2 => any::<u8>().prop_map(Op::KillWorker),
        2 => any::<u8>().prop_map(Op::CutLink),
        2 => any::<(u8, bool)>().prop_map(|(n, answer)| Op::LoseWord(n, answer)),
        4 => (0u8..4).prop_map(Op::Start),
        3 => Just(Op::Split),
        1 => any::<bool>().prop_map(Op::Stop),
        1 => Just(Op::StopThis),
    ]
}

impl World {
    fn apply(&mut self, op: &Op) {
        match op {
            Op::Steps(choices) => {
                for choice in choices {
                    self.step(*choice);
                }
            }
            Op::Pass(millis, true) => self.pass(Duration::from_millis(u64::from(*millis))),
            Op::Pass(millis, false) => (0..millis.div_ceil(TICK_MS)).for_each(|_| {
                self.pass(Duration::from_millis(TICK_MS.into()));
            }),
            Op::StartEngine => self.start_engine(),
            Op::KillEngine => self.kill_engine(),
            Op::FreezeEngine | Op::ThawEngine => {
                if let Some(engine) = self.engine() {
                    engine.frozen = matches!(op, Op::FreezeEngine);
                }
            }
            Op::KillWorker(n) => self.kill_worker(usize::from(*n) % self.workers.len().max(1)),
            Op::CutLink(n) => self.cut_link(usize::from(*n) % self.workers.len().max(1)),
            Op::LoseWord(n, answer) => self.lose_word(usize::from(*n) % self.workers.len().max(1), *answer),
            Op::Start(key) => self.ask_start(*key),
            Op::Split => self.ask_split(),
            Op::Stop(early) => {
                if *early {
                    self.kill_engine();
                    self.start_engine();
                }
                self.ask_stop(None);
            }
            Op::StopThis => {
                let written = self.written().first().copied();
                self.ask_stop(written);
            }
        }
    }

    /// Sessions that workers write now.
    pub fn written(&self) -> BTreeSet<SessionId> {
        self.workers.iter().filter_map(worker::SimWorker::session).collect()
    }

    /// Lets everything run, breaking nothing more, until `done`.
    fn settle(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        self.start_engine();
        let mut choice = 0u16;
        for _ in 0..SETTLES_WITHIN {
            let mut steps = 0;
            // Every choice in turn (the step is odd), so that nothing starves.
            while self.step(choice) {
                choice = choice.wrapping_add(40_503);
                steps += 1;
                assert!(steps < STEPS_PER_ROUND, "{what}: engine and workers never come to rest");
            }
            if done(self) {
                return;
            }
            self.pass(Duration::from_millis(TICK_MS.into()));
        }
        panic!("{what}: not within {SETTLES_WITHIN} rounds");
    }
}

/// Every fact of every worker stands exactly once in the journal of its session, and no number twice in its file.
/// Returns how often it was gone on with, and how many parts it has.
fn check_session(dir: &Path) -> [usize; 2] {
    let (lines, torn) = journal::read::<Line<JournalKind>>(&dir.join(layout::JOURNAL)).expect("a journal");
    assert_eq!(torn, 0);
    let closed = lines.iter().filter(|line| matches!(line.kind, JournalKind::Closed { .. })).count();
    assert_eq!(closed, 1, "{}: closed {closed} times", dir.display());
    let mut folded = BTreeMap::new();
    for line in &lines {
        if let JournalKind::Fact { input, fact } = &line.kind {
            *folded.entry((input.clone(), fact.n)).or_insert(0) += 1;
        }
    }
    for input in INPUTS {
        let input = input.parse().expect("an id");
        let Ok((facts, torn)) = journal::read::<Line<Fact>>(&dir.join(layout::facts_file(&input))) else { continue };
        assert_eq!(torn, 0);
        let numbers: BTreeSet<u64> = facts.iter().map(|line| line.kind.n).collect();
        assert_eq!(numbers.len(), facts.len(), "{}: a number twice in the facts of {input}", dir.display());
        for n in numbers {
            assert_eq!(folded.get(&(input.clone(), n)), Some(&1), "{}: fact {n} of {input}", dir.display());
        }
    }
    let manifest = recovery::read_manifest(dir).expect("a manifest");
    let named: BTreeSet<&str> =
        manifest.inputs.iter().flat_map(|input| &input.parts).map(|part| part.file.as_str()).collect();
    for entry in std::fs::read_dir(dir).expect("a folder").flatten() {
        let name = entry.file_name().into_string().expect("a name of ours");
        if layout::parse_part_file(&name).is_some() {
            assert!(named.contains(name.as_str()), "{}: {name} is not in the manifest", dir.display());
        }
    }
    let adopted = lines.iter().filter(|line| matches!(line.kind, JournalKind::Adopted { .. })).count();
    [adopted, named.len()]
}

/// What a history came to: sessions, sessions gone on with, parts, Stops that were carried out, and those among them
/// that came before it was known what ran.
type Reached = [usize; 5];

fn run(ops: &[Op]) -> Reached {
    let mut world = World::new(&INPUTS);
    world.settle("all inputs are served", |world| world.workers.iter().filter(|worker| worker.is_live()).count() == 2);
    // The session that must go on: somebody writes it, and nobody was told that it is stopped.
    let mut going: Option<SessionId> = None;
    let mut asked = false;
    for op in ops {
        world.apply(op);
        asked |= matches!(op, Op::Stop(_) | Op::StopThis);
        let written = world.written();
        let wanted: Vec<_> = written.iter().filter(|id| !world.promises.is_stopped(**id)).collect();
        assert!(wanted.len() <= 1, "two sessions at once: {wanted:?}");
        // With nobody left to write it, it is recovered, not continued.
        going = wanted.first().map(|id| **id);
    }
    if let (Some(id), false) = (going, asked) {
        world.settle("the session goes on", |world| {
            let clock = world.clock;
            let known = world.engine().and_then(|engine| engine.session(clock));
            known.is_some_and(|known| {
                assert_eq!(known, id, "another session took the place of the one being recorded");
                INPUTS.iter().all(|input| world.records(input, id) || world.is_given_up(input))
            })
        });
    }
    world.settle("what was promised to end ends without being asked again", |world| {
        let written = world.written();
        let answered = world.engine().is_some_and(|engine| engine.chores().is_empty() && engine.state.is_settled());
        answered && written.iter().all(|id| !world.promises.is_stopped(*id))
    });
    // Only now, so that no Stop makes good for an earlier one.
    let mut rounds = 0;
    world.settle("nothing runs", |world| {
        let clock = world.clock;
        rounds += 1;
        if rounds % 50 == 1 {
            world.ask_stop(None);
        }
        let idle = world.engine().is_some_and(|engine| engine.chores().is_empty() && engine.session(clock).is_none());
        idle && world.written().is_empty() && every_session_is_closed(&world.library())
    });
    let [stops, early] = world.promises.stops;
    let mut reached = [0, 0, 0, stops, early];
    for name in recovery::session_dirs(&world.library()).expect("a library") {
        let [adopted, parts] = check_session(&world.library().join(name));
        reached = [reached[0] + 1, reached[1] + adopted.min(1), reached[2] + parts, stops, early];
    }
    reached
}

fn every_session_is_closed(library: &Path) -> bool {
    let interrupted = search::search(library).expect("a library").interrupted;
    interrupted.is_empty()
}

/// In every check as many as proptest is told (256), 10 000 in `make torture`.
fn histories() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: rounds(usual.cases, 10_000), failure_persistence: None, ..usual }
}

#[test]
fn whatever_dies_one_session_one_writer_no_fact_lost() {
    let config = histories();
    let (cases, mut reached) = (config.cases as usize, Cell::new([0; 5]));
    let mut runner = TestRunner::new(config);
    let result = runner.run(&prop::collection::vec(op(), 1..60), |ops| {
        let one = run(&ops);
        let sum = reached.get();
        reached.set(std::array::from_fn(|place| sum[place] + one[place]));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    let [sessions, adopted, parts, stops, early] = *reached.get_mut();
    println!(
        "{cases} histories: {sessions} sessions, {adopted} of them gone on with, {parts} parts, {stops} stops, {early} early"
    );
    // A test that reaches nothing proves nothing.
    assert!(
        sessions > cases / 4
            && adopted > cases / 10
            && parts > sessions + sessions / 2
            && stops > cases / 4
            && early > cases / 50,
        "these histories are too tame"
    );
}

//! Proofs: one at a time, newest first, tried again, never in the way of a start.

use super::*;
use crate::engine::event::ProofEvent;
use crate::model::incident::IncidentCode;
use crate::model::proof::{Finding, FindingCode, PartFinding, ProofLine};
use crate::model::session::{Manifest, ManifestInput, Verdict};
use crate::storage::proof::Unproved;
use proptest::prelude::*;

fn unproved(n: u128, bytes: u64) -> Unproved {
    let id = SessionId(uuid::Uuid::from_u128(n));
    Unproved { id, dir: format!("/library/{n}").into(), bytes }
}

fn manifest(n: u128, verdict: Verdict) -> Manifest {
    let mut manifest = closed_session(SessionId(uuid::Uuid::from_u128(n)), Closed::Completed).manifest;
    manifest.inputs = vec![ManifestInput { verdict, lost: None, ..lost_input() }];
    manifest
}

fn proofs(effects: &[Effect]) -> Vec<(u64, String)> {
    let started = effects.iter().filter_map(|effect| match effect {
        Effect::Prove { number, dir } => Some((*number, dir.display().to_string())),
        _ => None,
    });
    started.collect()
}

impl Bench {
    fn proof(&mut self, number: u64, event: ProofEvent) -> Vec<Effect> {
        self.feed(Event::Proof { number, event })
    }

    fn ended(&mut self, number: u64, reason: Option<&str>) -> Vec<Effect> {
        self.proof(number, ProofEvent::Ended { reason: reason.map(str::to_owned) })
    }

    fn percent(&self) -> Option<u8> {
        self.view().last_session.and_then(|last| last.proof_percent)
    }
}

#[test]
fn a_session_is_proved_after_it_was_closed_and_its_tile_shows_the_verdict() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    bench.stop();
    bench.done_fact("a", session);
    let dir = bench.state.session.as_ref().expect("closing").dir.clone();
    let mut closed = closed_session(session, Closed::Completed);
    closed.manifest.inputs = manifest(0, Verdict::Unverified).inputs;
    let effects = bench.feed(Event::Closed { session, dir: dir.clone(), result: Ok(Box::new(closed)) });
    assert_eq!(proofs(&effects), [(1, dir.display().to_string())]);
    bench.proof(1, ProofEvent::Line(ProofLine::Progress { done_bytes: 41, total_bytes: 100 }));
    assert_eq!(bench.percent(), Some(41));
    assert!(bench.view().session.is_none(), "a start needs not wait");
    let effects = bench.ended(1, None);
    assert!(matches!(effects.as_slice(), [Effect::KeepProof { number: 1, .. }]), "{effects:?}");
    let mut kept = manifest(0, Verdict::Warning);
    kept.id = session;
    bench.proof(1, ProofEvent::Kept(Ok(Box::new(kept))));
    let view = bench.view();
    assert_eq!(view.last_session.map(|last| (last.verdict, last.proof_percent)), Some((Verdict::Warning, None)));
    assert_eq!(view.inputs[0].recording.as_ref().and_then(|recording| recording.verdict), Some(Verdict::Warning));
}

#[test]
fn the_newest_waits_least_and_a_recording_does_not_keep_the_others_from_being_read() {
    let mut bench = Bench::ready(&["a"]);
    let effects = bench.feed(Event::Unproved(vec![unproved(3, 1), unproved(9, 1), unproved(5, 1)]));
    assert_eq!(proofs(&effects), [(1, "/library/9".to_owned())]);
    bench.record("k");
    bench.ended(1, None);
    let effects = bench.proof(1, ProofEvent::Kept(Ok(Box::new(manifest(9, Verdict::Ok)))));
    assert_eq!(proofs(&effects), [(2, "/library/5".to_owned())]);
    assert!(proofs(&bench.feed(Event::Unproved(vec![unproved(5, 1)]))).is_empty());
}

#[test]
fn a_proof_that_dies_is_tried_three_times_and_then_named() {
    let mut bench = Bench::ready(&["a"]);
    bench.feed(Event::Unproved(vec![unproved(1, 1)]));
    for number in 1..=3 {
        assert!(!bench.state.alerts.is_active("engine", IncidentCode::ProofAbandoned.as_str()));
        bench.ended(number, Some("signal: 9"));
        assert!(proofs(&bench.feed(Event::Tick)).is_empty(), "it is tried again after a pause");
        bench.tick_for(5200);
    }
    assert!(bench.state.alerts.is_active("engine", IncidentCode::ProofAbandoned.as_str()));
    assert_eq!(proofs(&bench.done).len(), 3);
}

#[test]
fn a_proof_that_hangs_is_ended_and_one_that_somebody_else_runs_is_waited_for() {
    let mut bench = Bench::ready(&["a"]);
    bench.feed(Event::Unproved(vec![unproved(1, 40_000_000)]));
    bench.tick_for(120_000);
    assert!(!bench.done.iter().any(|effect| matches!(effect, Effect::EndProof { .. })));
    bench.tick_for(5_000);
    let ends = bench.done.iter().filter(|effect| matches!(effect, Effect::EndProof { number: 1 })).count();
    assert_eq!(ends, 1);
    bench.ended(1, Some("signal: 9"));
    for number in 2..10 {
        bench.tick_for(5_200);
        bench.proof(number, ProofEvent::Line(ProofLine::Busy { dir: "/library/1".into() }));
        bench.ended(number, Some("exit status: 1"));
    }
    assert!(!bench.state.alerts.is_active("engine", IncidentCode::ProofAbandoned.as_str()));
    bench.tick_for(5_200);
    assert_eq!(proofs(&bench.done).last().map(|(number, _)| *number), Some(10));
}

#[test]
fn what_was_found_damaged_is_an_alert_of_its_input() {
    let mut bench = Bench::ready(&["a"]);
    bench.feed(Event::Unproved(vec![unproved(1, 1)]));
    bench.ended(1, None);
    let mut found = manifest(1, Verdict::Failed);
    let incident = Incident::new(IncidentCode::ProofFailed).with("file", "a.mp4").with("reason", "x");
    found.incidents.push(crate::model::session::ManifestIncident { t_ns: 0, input: Some(id("a")), incident });
    bench.proof(1, ProofEvent::Kept(Ok(Box::new(found))));
    assert!(bench.state.alerts.is_active("a", IncidentCode::ProofFailed.as_str()));
    assert_eq!(bench.state.alerts.list()[0].params["session"], "1", "the same file of another session is another one");
}

#[test]
fn a_file_that_cannot_be_read_now_is_read_again_and_never_called_damaged() {
    let mut bench = Bench::ready(&["a"]);
    bench.feed(Event::Unproved(vec![unproved(1, 1), unproved(2, 1)]));
    let mut found = manifest(2, Verdict::Unverified);
    let finding = Finding::new(FindingCode::Unreadable).with("reason", "I/O error");
    found.inputs[0].findings.push(PartFinding { file: "a.mp4".into(), finding });
    // The other session is read in the pauses.
    for number in [1, 3, 4] {
        assert!(!bench.state.alerts.is_active("engine", IncidentCode::ProofAbandoned.as_str()));
        bench.ended(number, None);
        bench.proof(number, ProofEvent::Kept(Ok(Box::new(found.clone()))));
        if number == 1 {
            bench.ended(2, None);
            bench.proof(2, ProofEvent::Kept(Ok(Box::new(manifest(1, Verdict::Ok)))));
        }
        bench.tick_for(5_200);
    }
    let alert = bench.state.alerts.list().iter().find(|alert| alert.code == "proof_abandoned");
    let message = alert.expect("it is said").message.clone();
    assert!(message.contains("a.mp4: the file cannot be read now: I/O error"), "{message}");
    assert!(!bench.state.alerts.is_active("a", IncidentCode::ProofFailed.as_str()));
    assert!(!bench.state.proofs.is_running(), "the next engine reads it again");
}

#[test]
fn a_proof_that_outlives_its_kill_is_left_behind_and_the_next_runs() {
    let mut bench = Bench::ready(&["a"]);
    bench.feed(Event::Unproved(vec![unproved(1, 1), unproved(2, 1)]));
    bench.tick_for(121_000);
    assert!(bench.done.contains(&Effect::EndProof { number: 1 }));
    assert_eq!(proofs(&bench.done).len(), 1);
    bench.tick_for(10_400);
    assert!(bench.state.alerts.is_active("engine", IncidentCode::ProofAbandoned.as_str()));
    assert_eq!(proofs(&bench.done).last(), Some(&(2, "/library/1".to_owned())));
    // Its late end is nobody's any more.
    bench.ended(1, Some("signal: 9"));
    assert!(bench.state.proofs.is_running());
}

#[test]
fn an_engine_that_leaves_ends_its_proof_and_begins_none() {
    let mut bench = Bench::ready(&["a"]);
    bench.feed(Event::Unproved(vec![unproved(1, 1), unproved(2, 1)]));
    let effects = bench.feed(Event::Leave);
    assert!(effects.contains(&Effect::EndProof { number: 1 }), "{effects:?}");
    assert!(proofs(&bench.ended(1, Some("signal: 9"))).is_empty());
    bench.tick_for(2_000);
    assert_eq!(proofs(&bench.done).len(), 1);
}

#[derive(Debug, Clone)]
enum Op {
    Found(u8),
    Line(u8),
    Busy,
    Ended(bool),
    Kept(bool),
    Stray(u8),
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (1u8..6).prop_map(Op::Found),
        any::<u8>().prop_map(Op::Line),
        Just(Op::Busy),
        any::<bool>().prop_map(Op::Ended),
        any::<bool>().prop_map(Op::Kept),
        any::<u8>().prop_map(Op::Stray),
        (200u64..130_000).prop_map(Op::Pass),
    ]
}

proptest! {
    #[test]
    fn never_two_proofs_at_once_and_whatever_ends_makes_way(ops in prop::collection::vec(op(), 0..80)) {
        let mut bench = Bench::ready(&["a"]);
        // The proof that runs by what the effects say, and whether its manifest is being written.
        let mut running: Option<(u64, String, bool)> = None;
        for op in ops {
            let before = bench.done.len();
            let number = running.as_ref().map_or(0, |(number, ..)| *number);
            let keeping = running.as_ref().is_some_and(|(.., keeping)| *keeping);
            match op {
                Op::Found(n) => drop(bench.feed(Event::Unproved(vec![unproved(u128::from(n), 1)]))),
                Op::Line(percent) => {
                    let line = ProofLine::Progress { done_bytes: u64::from(percent), total_bytes: 100 };
                    bench.proof(number, ProofEvent::Line(line));
                }
                Op::Busy if !keeping => drop(bench.proof(number, ProofEvent::Line(ProofLine::Busy { dir: "x".into() }))),
                Op::Ended(fine) if !keeping => {
                    let effects = bench.ended(number, (!fine).then_some("no"));
                    let keeps = effects.iter().any(|effect| matches!(effect, Effect::KeepProof { .. }));
                    running = running.filter(|_| keeps).map(|(number, dir, _)| (number, dir, true));
                }
                Op::Kept(fine) if keeping => {
                    let kept = if fine { Ok(Box::new(manifest(1, Verdict::Ok))) } else { Err("no".to_owned()) };
                    bench.proof(number, ProofEvent::Kept(kept));
                    running = None;
                }
                Op::Stray(other) if u64::from(other) != number => drop(bench.ended(u64::from(other), None)),
                Op::Pass(ms) => bench.tick_for(ms),
                Op::Busy | Op::Ended(_) | Op::Kept(_) | Op::Stray(_) => {}
            }
            // One that outlived its kill is left behind.
            let ends = |number: u64| bench.done.contains(&Effect::EndProof { number });
            for (number, dir) in proofs(&bench.done[before..]) {
                let way = running.as_ref().is_none_or(|(number, ..)| ends(*number));
                prop_assert!(way, "{dir} is begun while {running:?} runs");
                running = Some((number, dir, false));
            }
            let is_running = bench.state.proofs.is_running();
            running = running.filter(|(number, ..)| is_running || !ends(*number));
            prop_assert_eq!(running.is_some(), bench.state.proofs.is_running());
        }
    }
}

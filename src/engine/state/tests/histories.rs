//! Random histories against the invariants.

use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Op {
    Start(u8),
    Stop,
    Persisted(bool),
    Kill(u8),
    Spawned(u8),
    Status(u8, bool),
    Done(u8),
    Closed(bool),
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0u8..3).prop_map(Op::Start),
        Just(Op::Stop),
        any::<bool>().prop_map(Op::Persisted),
        (0u8..2).prop_map(Op::Kill),
        (0u8..2).prop_map(Op::Spawned),
        (0u8..2, any::<bool>()).prop_map(|(input, media)| Op::Status(input, media)),
        (0u8..2).prop_map(Op::Done),
        any::<bool>().prop_map(Op::Closed),
        (200u64..3000).prop_map(Op::Pass),
    ]
}

proptest! {
    #[test]
    fn no_history_leaves_a_request_unanswered_or_shows_recording_without_evidence(ops in prop::collection::vec(op(), 0..60)) {
        let mut bench = Bench::ready(&["a", "b"]);
        let names = ["a", "b"];
        let (mut pid, mut told) = (10, [None::<u64>; 2]);
        let mut pids = [Some(1u32), Some(2u32)];
        for op in ops {
            let session = bench.state.session.as_ref().map(|session| session.plan.id);
            match op {
                Op::Start(key) => drop(bench.start(&key.to_string(), None)),
                Op::Stop => drop(bench.stop()),
                Op::Persisted(ok) => {
                    if let Some(session) = session {
                        bench.feed(Event::Persisted { session, result: if ok { Ok(()) } else { Err("no".into()) } });
                    }
                }
                Op::Kill(n) => {
                    if let Some(pid) = pids[usize::from(n)].take() {
                        bench.worker(names[usize::from(n)], WorkerEvent::Exited { pid, how: "9".into() });
                        told[usize::from(n)] = None;
                    }
                }
                Op::Spawned(n) => {
                    if pids[usize::from(n)].is_none() {
                        pid += 1;
                        bench.spawned(names[usize::from(n)], pid);
                        pids[usize::from(n)] = bench.state.inputs[usize::from(n)].worker.pid();
                    }
                }
                Op::Status(n, media) => {
                    let state = if media { RecordingState::Recording } else { RecordingState::Stalled };
                    bench.status(names[usize::from(n)], session, state, 100);
                    told[usize::from(n)] = (media && session.is_some()).then_some(bench.ms);
                }
                Op::Done(n) => {
                    if let Some(session) = session {
                        bench.done_fact(names[usize::from(n)], session);
                    }
                }
                Op::Closed(ok) => {
                    let closing = bench.state.session.as_ref().filter(|session| matches!(session.phase, Phase::Closing { .. }));
                    if let Some((session, dir)) = closing.map(|session| (session.plan.id, session.dir.clone())) {
                        let closed = || Ok(Box::new(closed_session(session, Closed::Completed)));
                        let result = if ok { closed() } else { Err(CloseFault::Failed("no".into())) };
                        bench.feed(Event::Closed { session, dir, result });
                    }
                }
                Op::Pass(ms) => bench.tick_for(ms),
            }
            for (place, told) in told.iter().enumerate() {
                if bench.recording(place) == Some(RecordingState::Recording) {
                    prop_assert!(told.is_some_and(|at| bench.ms - at < 2000), "recording without evidence");
                }
            }
        }
        bench.tick_for(10_000);
        let answered = bench.done.iter().filter(|effect| matches!(effect, Effect::Reply(..))).count();
        prop_assert_eq!(answered as u64, bench.token, "every request is answered once");
    }
}

//! The engine itself was stopped for a while, and reads late what was said meanwhile.

use super::*;

/// Inputs "a" and "b" record; "b" says nothing any more, and both are shown as what they are.
fn one_stalled() -> (Bench, SessionId) {
    let mut bench = Bench::ready(&["a", "b"]);
    let session = bench.record("k");
    bench.status("a", Some(session), RecordingState::Recording, 500);
    bench.status("b", Some(session), RecordingState::Recording, 500);
    for _ in 0..5 {
        bench.tick_for(400);
        bench.status("a", Some(session), RecordingState::Recording, 500);
    }
    assert_eq!(shown(&bench), [RECORDS, STALLED]);
    (bench, session)
}

type Shown = (InputState, Option<RecordingState>);
const RECORDS: Shown = (InputState::Live, Some(RecordingState::Recording));
const STALLED: Shown = (InputState::Stalled, Some(RecordingState::Stalled));

fn shown(bench: &Bench) -> Vec<Shown> {
    bench.view().inputs.iter().map(|input| (input.state, input.recording.as_ref().map(|of| of.state))).collect()
}

#[test]
fn nobody_is_called_stalled_because_the_engine_itself_did_not_listen() {
    // A tick may be the first that is read behind the pause, or a command.
    for first in [true, false] {
        let (mut bench, session) = one_stalled();
        bench.ms += 5000;
        if first {
            bench.feed(Event::Tick);
        } else {
            bench.start("other", None);
        }
        assert_eq!(shown(&bench), [RECORDS, STALLED], "what was known, and what was in doubt");
        assert_eq!(bench.view().session.map(|session| session.state), Some(SessionState::Recording));
        bench.tick_for(1000);
        assert_eq!(shown(&bench), [RECORDS, STALLED]);
        // From here on its silence is its own.
        bench.tick_for(1000);
        assert_eq!(shown(&bench), [STALLED, STALLED]);
        bench.status("b", Some(session), RecordingState::Recording, 500);
        assert_eq!(shown(&bench), [STALLED, RECORDS]);
    }
}

#[test]
fn where_every_tick_is_late_nothing_is_believed_without_end() {
    let (mut bench, _) = one_stalled();
    for _ in 0..2 {
        bench.ms += 3000;
        bench.feed(Event::Tick);
    }
    assert_eq!(shown(&bench), [STALLED, STALLED]);
}

#[test]
fn a_start_is_not_called_partial_nor_a_stop_cut_before_what_was_said_meanwhile_is_read() {
    let mut bench = Bench::ready(&["a"]);
    let session = bench.record("k");
    bench.tick_for(400);
    bench.ms += 6000;
    bench.feed(Event::Tick);
    bench.status("a", Some(session), RecordingState::Recording, 500);
    bench.tick_for(6000);
    bench.stop();
    bench.ms += 60_000;
    bench.feed(Event::Tick);
    let wrong = |effect: &Effect| match effect {
        Effect::Log { incident, .. } => matches!(incident.code, IncidentCode::PartialStart | IncidentCode::StopCut),
        Effect::Worker(_, act) => matches!(act, Act::Terminate | Act::Kill),
        _ => false,
    };
    assert!(!bench.done.iter().any(wrong), "{:?}", bench.done.iter().find(|effect| wrong(effect)));
    assert_eq!(closes(&bench.done_fact("a", session)), Some(Closed::Completed));
}

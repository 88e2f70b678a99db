//! Every kind of incident, told by a worker and by the engine itself, while something is recorded (R-TRU-7, PEERS 3).

use super::*;
use crate::model::incident::Incident;
use crate::model::snapshot::AlertState;

/// What would end a recording, or a session.
fn is_an_end(effect: &Effect) -> bool {
    match effect {
        Effect::Worker(_, act) => matches!(act, Act::Terminate | Act::Kill | Act::Dismiss),
        Effect::Send(_, command) => matches!(**command, Command::Stop { .. }),
        Effect::Close { .. } | Effect::WriteStop { .. } | Effect::Exit => true,
        _ => false,
    }
}

#[test]
fn every_kind_of_alert_is_raised_while_recording_and_the_recording_goes_on() {
    let mut bench = Bench::ready(&["a", "b"]);
    let session = bench.record("k");
    for kind in IncidentCode::ALL {
        let mut media = bench.ms;
        for round in [true, false] {
            bench.ms += 400;
            media += 400;
            let before = bench.done.len();
            let link = bench.last_link("a");
            let active = if round { vec![Incident::new(kind)] } else { Vec::new() };
            let told = WorkerStatus { active, ..status(Some(session), RecordingState::Recording, media) };
            bench.feed(Event::Status { input: id("a"), link, status: Box::new(told) });
            bench.status("b", Some(session), RecordingState::Recording, media);
            let (now, mut out) = (bench.now(), Vec::new());
            for source in [ENGINE, super::super::storage::STORAGE, "b"] {
                if round {
                    bench.state.raise(now, source, Incident::new(kind), &mut out);
                } else {
                    bench.state.alerts.resolve(now, source, kind.as_str());
                }
            }
            out.extend(bench.feed(Event::Tick));
            let ends: Vec<_> = bench.done[before..].iter().chain(&out).filter(|effect| is_an_end(effect)).collect();
            assert!(ends.is_empty(), "{kind:?}: {ends:?}");
            let state = bench.view().session.map(|session| session.state);
            assert_eq!(state, Some(SessionState::Recording), "{kind:?}");
            assert_eq!([0, 1].map(|input| bench.recording(input)), [Some(RecordingState::Recording); 2], "{kind:?}");
            let shown = bench.state.alerts.list().iter().find(|a| a.source == "a" && a.code == kind.as_str());
            let shown = shown.unwrap_or_else(|| panic!("{kind:?} is not told"));
            // So many errors within a moment are too many indeed.
            let goes_on = round || kind == IncidentCode::ErrorRate;
            assert!(goes_on || shown.state == AlertState::Resolved, "{kind:?} is not over");
        }
    }
    assert!(bench.state.alerts.list().len() >= IncidentCode::ALL.len());
}

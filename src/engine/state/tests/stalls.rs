//! Parts that stall spend the attempts of their input, however they are told (R-SUP-5, R-FM-2).

use super::adoption::{linked, running, searched};
use super::*;
use crate::model::encoding::Container;
use crate::model::policy::StallAction;
use crate::model::session::{PartEnd, PartRecord};
use crate::storage::history::History;

/// `part` was closed; it had stalled before there was anything in it, where it is `empty`.
fn closed(part: u32, stalled: bool, end: PartEnd) -> Fact {
    let record = PartRecord { stalled, ..PartRecord::new(part, format!("a.part{part}.mp4"), Container::Mp4, end) };
    Fact { n: u64::from(part), kind: FactKind::PartClosed(record) }
}

impl Bench {
    fn close(&mut self, input: &str, session: SessionId, part: u32, stalled: bool) -> Vec<Effect> {
        let end = if stalled && part.is_multiple_of(2) { PartEnd::Empty } else { PartEnd::Stalled };
        let fact = closed(part, stalled, if stalled { end } else { PartEnd::SignalLost });
        self.feed(Event::Fact { input: id(input), session, t_ns: 0, fact })
    }

    fn attempts(&self) -> u32 {
        self.state.inputs[0].worker.attempts()
    }

    /// "a" is sent SIGTERM.
    fn is_ended(&self) -> bool {
        self.done.iter().any(|effect| *effect == Effect::Worker(id("a"), Act::Terminate))
    }
}

fn recording(inputs: &[&str]) -> (Bench, SessionId) {
    let mut bench = Bench::ready(inputs);
    let session = bench.record("k");
    for input in inputs {
        bench.status(input, Some(session), RecordingState::Recording, 100);
    }
    (bench, session)
}

#[test]
fn the_fourth_stall_without_a_minute_of_media_ends_this_input_and_no_other() {
    let (mut bench, session) = recording(&["a", "b"]);
    for part in 1..=3 {
        bench.tick_for(5000);
        bench.close("a", session, part, true);
        bench.close("a", session, part, true);
        assert_eq!(bench.attempts(), part, "a fact told twice counts once");
        // An end of another kind is none of this.
        bench.close("b", session, part, false);
        for input in ["a", "b"] {
            bench.status(input, Some(session), RecordingState::Recording, 1000 * u64::from(part));
        }
    }
    assert!(!bench.is_ended());
    bench.close("a", session, 4, true);
    assert!(bench.is_ended(), "{:?}", bench.attempts());
    let effects = bench.worker("a", WorkerEvent::Exited { pid: 1, how: "0".into() });
    let told = |effects: &[Effect]| {
        effects.iter().any(|effect| match effect {
            Effect::Journal { kind, .. } => {
                matches!(&**kind, JournalKind::Incident { incident, .. } if incident.code == IncidentCode::WorkerGaveUp)
            }
            _ => false,
        })
    };
    assert!(told(&effects) && bench.state.alerts.is_active("a", "worker_gave_up"), "{effects:?}");
    assert_eq!(bench.view().inputs[0].state, InputState::Quarantined);
    assert_eq!(bench.recording(1), Some(RecordingState::Recording));
    assert!(bench.state.session.as_ref().is_some_and(|session| session.runs()));

    // Somebody presses Retry: everything is forgiven, and the recording goes on as the next part.
    let before = bench.done.len();
    bench.feed(Event::Retry { token: 90, input: "a".into() });
    assert!(bench.done[before..].contains(&Effect::Worker(id("a"), Act::Spawn)));
    bench.spawned("a", 8);
    let link = bench.last_link("a");
    let effects = bench.feed(Event::Numbered { input: id("a"), link, session, result: Ok((5, 9)) });
    assert_eq!((starts(&effects), bench.attempts()), (1, 0));
    bench.close("a", session, 5, true);
    assert_eq!(bench.attempts(), 1);
}

#[test]
fn only_media_behind_the_last_stall_is_new() {
    let (mut bench, session) = recording(&["a"]);
    bench.status("a", Some(session), RecordingState::Recording, 600_000);
    for part in 1..=3 {
        bench.close("a", session, part, true);
        bench.status("a", Some(session), RecordingState::Recording, 600_000 + 59_000);
        assert_eq!(bench.attempts(), part);
    }
    bench.status("a", Some(session), RecordingState::Recording, 600_000 + 59_000 + 59_000);
    assert_eq!(bench.attempts(), 3);
    bench.status("a", Some(session), RecordingState::Recording, 600_000 + 59_000 + 60_000);
    assert_eq!((bench.attempts(), bench.is_ended()), (0, false));
}

#[test]
fn ten_stalls_in_an_hour_are_enough_however_much_media_lies_between_them() {
    let (mut bench, session) = recording(&["a"]);
    for part in 1..=10 {
        bench.tick_for(100_000);
        bench.close("a", session, part, true);
        for media in [0, 61_000] {
            let media = 70_000 * u64::from(part) + media;
            bench.status("a", Some(session), RecordingState::Recording, media);
        }
        assert_eq!((bench.attempts(), bench.is_ended()), (0, false), "part {part}");
    }
    bench.close("a", session, 11, true);
    assert!(bench.is_ended());
}

#[test]
fn a_stall_that_ends_the_recording_spends_nothing() {
    let mut setup = setup(&["a"]);
    setup.policy.stall_action = StallAction::Stop;
    let mut bench = Bench::with(setup);
    bench.feed(Event::Searched { interrupted: Vec::new(), last: None });
    bench.feed(Event::Space(Some(Space { free: 100_000_000_000, total: 200_000_000_000 })));
    bench.link("a", 1);
    let session = bench.record("k");
    bench.close("a", session, 1, true);
    assert_eq!(bench.attempts(), 0);

    let (mut bench, session) = recording(&["a"]);
    bench.stop();
    bench.close("a", session, 1, true);
    assert_eq!(bench.attempts(), 0);
}

#[test]
fn stalls_nobody_lived_to_hear_of_count_and_end_nothing_by_themselves() {
    let mut bench = Bench::cold(&["a"]);
    bench.ms = 100_000;
    let mut old = running(&["a"]);
    let past = old.history.inputs.get_mut(&id("a")).expect("a");
    past.stalled = vec![(1, 60_000_000_000), (2, 90_000_000_000)];
    let session = old.plan.id;
    // Its report comes first, with all its media.
    bench.worker("a", linked(1, Some(session)));
    bench.ack_configure("a", None);
    bench.status("a", Some(session), RecordingState::Recording, 90_000);
    searched(&mut bench, old.clone());
    bench.status("a", Some(session), RecordingState::Recording, 90_000);
    assert_eq!(bench.attempts(), 2);
    // The journal is read once more; meanwhile two more were folded into it, and the worker tells them as well.
    let past = old.history.inputs.get_mut(&id("a")).expect("a");
    past.stalled.extend([(3, 95_000_000_000), (4, 99_000_000_000)]);
    let history = History { inputs: old.history.inputs, ..History::default() };
    bench.feed(Event::Adopted { session, result: Ok(Box::new(history)) });
    for part in 1..=4 {
        bench.close("a", session, part, true);
    }
    assert_eq!((bench.attempts(), bench.is_ended()), (4, false));
    bench.close("a", session, 5, true);
    assert!(bench.is_ended());
}

#[test]
fn stalls_that_hours_of_media_have_made_good_do_not_come_back_with_another_engine() {
    let mut bench = Bench::cold(&["a"]);
    bench.ms = 18_000_000;
    let mut old = running(&["a"]);
    let past = old.history.inputs.get_mut(&id("a")).expect("a");
    past.stalled = (1..=3).map(|part| (part, 30_000_000_000 * i64::from(part))).collect();
    let session = old.plan.id;
    bench.worker("a", linked(1, Some(session)));
    bench.ack_configure("a", None);
    bench.status("a", Some(session), RecordingState::Recording, 17_000_000);
    searched(&mut bench, old);
    assert_eq!(bench.attempts(), 0);
    bench.close("a", session, 4, true);
    assert_eq!((bench.attempts(), bench.is_ended()), (1, false), "its first fault in five hours");
}

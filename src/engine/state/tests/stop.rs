//! A stop that takes too long is hurried for all inputs at once (R-SUP-8); the machine is kept awake until nothing is
//! recorded, and a shutdown is a stop (R-SUP-12).

use super::super::super::event::InhibitEvent;
use super::*;

/// When, in ms, each input's worker was done this to.
fn when(bench: &mut Bench, ms: u64, wanted: &Act) -> Vec<(u64, String)> {
    let mut found = Vec::new();
    let until = bench.ms + ms;
    while bench.ms < until {
        bench.ms += 200;
        for effect in bench.feed(Event::Tick) {
            if let Effect::Worker(input, act) = &effect
                && act == wanted
            {
                found.push((bench.ms, input.to_string()));
            }
        }
    }
    found
}

#[test]
fn workers_that_do_not_close_are_signalled_together_and_killed_together() {
    let mut bench = Bench::ready(&["a", "b", "c"]);
    let session = bench.record("k");
    for input in ["a", "b", "c"] {
        bench.status(input, Some(session), RecordingState::Recording, 500);
    }
    bench.stop();
    let asked = bench.ms;
    // One closes in time.
    bench.done_fact("c", session);
    let terminated = when(&mut bench, 17_000, &Act::Terminate);
    let [(first, one), (second, other)] = &terminated[..] else { panic!("{terminated:?}") };
    assert_eq!((one.as_str(), other.as_str(), first), ("a", "b", second), "one behind the other");
    assert!((15_000..=16_200).contains(&(first - asked)), "{terminated:?}");
    let killed = when(&mut bench, 3_000, &Act::Kill);
    let [(third, _), (fourth, _)] = &killed[..] else { panic!("{killed:?}") };
    assert_eq!(third, fourth, "one behind the other");
    assert!((2_000..=2_400).contains(&(third - first)), "{killed:?}");
}

fn inhibits(effects: &[Effect]) -> Vec<bool> {
    effects.iter().filter_map(|effect| if let Effect::Inhibit(on) = effect { Some(*on) } else { None }).collect()
}

#[test]
fn a_shutdown_is_a_stop_and_the_hold_is_let_go_behind_the_close() {
    let mut bench = Bench::ready(&["a"]);
    assert!(inhibits(&bench.done).is_empty());
    let effects = bench.start("k", None);
    assert_eq!(inhibits(&effects), [true]);
    let persist = effects.iter().position(|effect| matches!(effect, Effect::Persist { .. }));
    let hold = effects.iter().position(|effect| matches!(effect, Effect::Inhibit(_)));
    assert!(persist < hold, "nothing of the start waits for it");
    let session = bench.session_id();
    bench.feed(Event::Persisted { session, result: Ok(()) });
    bench.status("a", Some(session), RecordingState::Recording, 500);
    let refused = InhibitEvent::Asked { reason: Some("no system bus".into()) };
    bench.feed(Event::Inhibit(refused.clone()));
    bench.feed(Event::Inhibit(refused.clone()));
    assert_eq!((bench.view().alerts.info, bench.state.alerts.list()[0].count), (1, 1), "told once");
    let effects = bench.feed(Event::Inhibit(InhibitEvent::GoesDown));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::WriteStop { .. })), "{effects:?}");
    bench.feed(Event::StopWritten { session });
    let closing = bench.done_fact("a", session);
    assert!(closes(&closing) == Some(Closed::Completed) && inhibits(&closing).is_empty());
    let result = Ok(Box::new(closed_session(session, Closed::Completed)));
    let closed = bench.feed(Event::Closed { session, dir: "/library/x".into(), result });
    assert_eq!(inhibits(&closed), [false]);
    assert_eq!(bench.view().alerts.info, 0);
    // Nothing runs: nothing is stopped, and a late answer tells nobody anything.
    assert!(bench.feed(Event::Inhibit(InhibitEvent::GoesDown)).is_empty());
    bench.feed(Event::Inhibit(refused));
    assert_eq!(bench.view().alerts.info, 0);
}

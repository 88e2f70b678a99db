//! What a start and a stop took, from the click on.

use super::*;
use crate::protocol::api::Latency;

fn measured(effects: &[Effect]) -> Vec<(Latency, u128, String)> {
    let of = |effect: &Effect| match effect {
        Effect::Measured { kind, took, trace } => Some((*kind, took.as_millis(), trace.clone())),
        _ => None,
    };
    effects.iter().filter_map(of).collect()
}

impl Bench {
    /// Somebody presses for the next request.
    fn press(&mut self, trace: &str) {
        let (token, at) = (self.token + 1, MonoNs(self.ms * 1_000_000));
        self.feed(Event::Pressed { token, at, trace: trace.to_owned() });
    }

    fn tell(&mut self, input: &str, session: SessionId, state: RecordingState) -> Vec<(Latency, u128, String)> {
        let before = self.done.len();
        self.status(input, Some(session), state, 100);
        measured(&self.done[before..])
    }
}

#[test]
fn a_start_takes_until_the_last_input_shows_evidence_and_a_stop_until_all_is_closed() {
    let mut bench = Bench::ready(&["a", "b"]);
    bench.ms = 1000;
    bench.press("click");
    bench.ms += 50;
    let session = bench.record("k");
    bench.ms += 400;
    assert_eq!(bench.tell("a", session, RecordingState::Recording), []);
    assert_eq!(bench.tell("b", session, RecordingState::Starting), []);
    bench.ms += 300;
    assert_eq!(bench.tell("b", session, RecordingState::Recording), [(Latency::Start, 750, "click".into())]);
    assert_eq!(bench.tell("b", session, RecordingState::Recording), [], "once");

    bench.press("stop");
    let began = bench.ms;
    bench.stop();
    bench.ms += 600;
    bench.done_fact("a", session);
    bench.done_fact("b", session);
    bench.ms += 200;
    let result = Ok(Box::new(closed_session(session, Closed::Completed)));
    let closed = bench.feed(Event::Closed { session, dir: "/library".into(), result });
    assert_eq!(measured(&closed), [(Latency::Stop, u128::from(bench.ms - began), "stop".into())]);
}

#[test]
fn an_input_that_never_records_is_not_waited_for_and_what_was_refused_is_no_latency() {
    let mut bench = Bench::ready(&["a", "b"]);
    bench.ms = 1000;
    bench.press("click");
    let session = bench.record("k");
    bench.ms += 500;
    bench.status("a", Some(session), RecordingState::Recording, 100);
    let before = bench.done.len();
    for _ in 0..12 {
        bench.tick_for(1000);
        let media = bench.ms;
        bench.status("a", Some(session), RecordingState::Recording, media);
        bench.status("b", Some(session), RecordingState::Starting, 0);
    }
    assert_eq!(measured(&bench.done[before..]), [(Latency::Start, 500, "click".into())]);
    // Another start is refused; the session goes on unmeasured.
    bench.press("again");
    bench.start("other", None);
    bench.tick_for(12_000);
    assert_eq!(measured(&bench.done[before..]).len(), 1);
    // A session that nobody stopped says nothing of how long a stop takes.
    bench.done_fact("a", session);
    bench.done_fact("b", session);
    assert_eq!(measured(&bench.done[before..]).len(), 1);
}

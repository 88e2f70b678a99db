//! Starts that come while an earlier session is being closed, or before it is known what an earlier engine left.

use super::*;
use crate::storage::history::History;

fn closed(bench: &mut Bench, session: SessionId) -> Vec<Effect> {
    let dir = bench.state.session.as_ref().expect("closing").dir.clone();
    bench.feed(Event::Closed { session, dir, result: Ok(Box::new(closed_session(session, Closed::Completed))) })
}

fn answered(bench: &Bench) -> Vec<(u64, u16)> {
    let status = |reply: &Reply| match reply {
        Reply::Started { new, .. } => 200 + u16::from(*new),
        Reply::Refused(refused) => refused.status,
        _ => 202,
    };
    let replies = bench.done.iter().filter_map(|effect| match effect {
        Effect::Reply(token, reply) => Some((*token, status(reply))),
        _ => None,
    });
    replies.collect()
}

#[test]
fn a_start_waits_for_the_session_that_is_being_closed_and_then_begins() {
    let mut bench = Bench::ready(&["a"]);
    let first = bench.record("k1");
    bench.stop();
    assert!(reply(&bench.start("k2", None)).is_none(), "it waits");
    assert!(reply(&bench.start("k2", None)).is_none(), "so does its repetition");
    assert!(reply(&bench.start("k3", None)).is_none(), "and another one");
    assert_eq!(refusal(&bench.start("k1", Some("other"))).status, 422);
    assert_eq!(refusal(&bench.start("k4", Some("../x"))).status, 422);
    assert!(matches!(reply(&bench.start("k1", None)), Some(Reply::Started { new: false, .. })));
    bench.done_fact("a", first);
    closed(&mut bench, first);
    assert!(bench.view().session.is_none(), "that the first is over can be seen");
    bench.tick_for(200);
    let second = bench.session_id();
    assert_ne!(first, second);
    bench.feed(Event::Persisted { session: second, result: Ok(()) });
    let answered = answered(&bench);
    assert_eq!(answered[answered.len() - 3..], [(5, 409), (3, 201), (4, 200)]);
}

#[test]
fn a_start_that_waits_too_long_is_told_to_come_back() {
    let mut bench = Bench::ready(&["a"]);
    bench.record("k1");
    bench.stop();
    bench.start("k2", None);
    bench.tick_for(6800);
    assert_eq!(answered(&bench).last(), Some(&(2, 202)));
    bench.tick_for(400);
    assert_eq!(answered(&bench).last(), Some(&(3, 503)));
}

#[test]
fn nobody_waits_for_an_engine_that_leaves() {
    let mut bench = Bench::ready(&["a"]);
    bench.record("k1");
    bench.stop();
    bench.start("k2", None);
    bench.feed(Event::Leave);
    assert_eq!(answered(&bench).last(), Some(&(3, 503)));
}

#[test]
fn no_more_wait_than_the_api_has_clients() {
    let mut bench = Bench::ready(&["a"]);
    bench.record("k");
    bench.stop();
    for n in 0..64 {
        assert!(reply(&bench.start(&format!("w{n}"), None)).is_none());
    }
    assert_eq!(refusal(&bench.start("one more", None)).code, "busy");
}

#[test]
fn a_repeated_start_is_not_called_finished_before_the_library_was_searched() {
    let mut first = Bench::ready(&["a"]);
    first.record("k");
    let plan = first.state.session.as_ref().expect("a session").plan.clone();
    let mut next = Bench::knowing(setup(&["a"]), std::slice::from_ref(&plan));
    assert!(reply(&next.start("k", None)).is_none(), "whether a worker still records it is not known");
    next.feed(Event::Space(Some(Space { free: 100_000_000_000, total: 200_000_000_000 })));
    let found = Interrupted { dir: "/library/x".into(), plan: plan.clone(), history: History::default() };
    next.feed(Event::Searched { interrupted: vec![found], last: None });
    assert!(answered(&next).is_empty(), "not all workers were looked at");
    let link = next.last_link("a");
    next.worker(
        "a",
        WorkerEvent::Linked { link, pid: Some(7), started: MonoNs(0), session: Some(plan.id), older: false },
    );
    next.tick_for(200);
    let reply =
        next.done.iter().find_map(|effect| if let Effect::Reply(_, reply) = effect { Some(reply) } else { None });
    assert!(
        matches!(reply, Some(Reply::Started { new: false, body }) if body.session_id == plan.id && body.status != "finished"),
        "{reply:?}"
    );
}

/// Everything is known but which starts may be repeated.
fn without_plans() -> Bench {
    let now = Now { mono: MonoNs(0), at: Timestamp::UNIX_EPOCH };
    let (state, done) = State::new(now, setup(&["a"]));
    let mut bench = Bench { state, ms: 0, token: 0, done };
    bench.feed(Event::Searched { interrupted: Vec::new(), last: None });
    bench.feed(Event::Space(Some(Space { free: 100_000_000_000, total: 200_000_000_000 })));
    bench.link("a", 1);
    bench
}

#[test]
fn a_start_waits_for_a_slow_library_and_makes_no_second_session_of_its_key() {
    let mut first = Bench::ready(&["a"]);
    let session = first.record("k");
    let plan = first.state.session.as_ref().expect("a session").plan.clone();
    let mut bench = without_plans();
    assert!(reply(&bench.start("k", None)).is_none(), "it is not known whether the key was used");
    bench.tick_for(3000);
    assert!(answered(&bench).is_empty());
    bench.feed(Event::Plans(vec![plan]));
    bench.tick_for(200);
    let replies = bench.done.iter().filter_map(|effect| match effect {
        Effect::Reply(_, Reply::Started { body, new }) => Some((body.session_id, *new)),
        _ => None,
    });
    assert_eq!(replies.collect::<Vec<_>>(), [(session, false)]);
    assert!(bench.state.session.is_none());
}

#[test]
fn a_start_whose_key_was_made_for_it_does_not_wait_for_the_plans_of_the_last_day() {
    let mut bench = without_plans();
    let command = StartCommand { fresh: true, ..bench.start_command("made here", None) };
    let effects = bench.feed(Event::Start(command));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Persist { .. })), "{effects:?}");
    let session = bench.session_id();
    bench.feed(Event::Plans(Vec::new()));
    assert!(bench.state.keys.knows(session), "it may be repeated like any other");
}

#[test]
fn a_library_that_says_nothing_has_a_start_refused_as_one_that_may_be_repeated() {
    let mut bench = without_plans();
    bench.start("k", None);
    bench.tick_for(7200);
    let refused = bench.done.iter().find_map(|effect| match effect {
        Effect::Reply(_, Reply::Refused(refused)) => Some(refused.clone()),
        _ => None,
    });
    assert!(refused.is_some_and(|refused| refused.retryable && refused.message.contains("library")));
    // Nobody is called unknown while it may have ended.
    let asked = SessionId(uuid::Uuid::from_u128(99));
    assert!(reply(&bench.feed(Event::Stop { token: 7, session: Some(asked) })).is_none());
    bench.feed(Event::Plans(Vec::new()));
    bench.tick_for(200);
    assert_eq!(answered(&bench).last(), Some(&(7, 404)));
}

#[test]
fn the_life_of_a_key_is_told_by_the_monotonic_clock() {
    let mut first = Bench::ready(&["a"]);
    first.record("k");
    let plan = first.state.session.as_ref().expect("a session").plan.clone();
    let hours = |hours: u64| hours * 3_600_000;
    let mut bench = without_plans();
    bench.ms = hours(23);
    // Whatever the calendar says of it.
    bench.feed(Event::Plans(vec![Plan { started_at: Timestamp::MAX, ..plan }]));
    assert!(matches!(reply(&bench.start("k", None)), Some(Reply::Started { new: false, .. })));
    bench.ms = hours(25);
    bench.feed(Event::Space(Some(Space { free: 100_000_000_000, total: 200_000_000_000 })));
    let effects = bench.start("k", None);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Persist { .. })), "{effects:?}");
}

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
    next.worker("a", WorkerEvent::Linked { link, pid: 7, started: MonoNs(0), session: Some(plan.id), older: false });
    next.tick_for(200);
    let reply =
        next.done.iter().find_map(|effect| if let Effect::Reply(_, reply) = effect { Some(reply) } else { None });
    assert!(
        matches!(reply, Some(Reply::Started { new: false, body }) if body.session_id == plan.id && body.status != "finished"),
        "{reply:?}"
    );
}

//! Commands that come before it is known what runs, sessions that cannot be read, and starts that were refused.

use super::adoption::{adopted, is_stop, linked, running, searched, told};
use super::start_up::interrupted;
use super::*;
use crate::storage::search::Unread;

impl Bench {
    pub(super) fn ask(&mut self, event: impl FnOnce(Token) -> Event) -> Vec<Effect> {
        self.token += 1;
        let token = self.token;
        self.feed(event(token))
    }

    fn ask_stop(&mut self, session: Option<SessionId>) -> Vec<Effect> {
        self.ask(|token| Event::Stop { token, session })
    }

    fn unread(&mut self) {
        let unread = Unread { dir: "/library/broken".into(), reason: "input/output error".into() };
        self.feed(Event::Unread(vec![unread]));
    }
}

fn status_word(effects: &[Effect]) -> &str {
    match reply(effects) {
        Some(Reply::Stopped(body)) => &body.status,
        other => panic!("not stopped: {other:?}"),
    }
}

#[test]
fn a_stop_waits_until_it_is_known_what_runs_and_is_carried_out_then() {
    let old = running(&["a", "b"]);
    let session = old.plan.id;
    // The plan is known: its key must not be taken for a session that is over.
    let mut bench = Bench::knowing(setup(&["a", "b"]), std::slice::from_ref(&old.plan));
    assert!(reply(&bench.ask_stop(Some(session))).is_none() && reply(&bench.ask_stop(None)).is_none());
    bench.worker("a", linked(1, Some(session)));
    searched(&mut bench, old);
    let effects = bench.ask_stop(None);
    let effects = [bench.done.clone(), effects].concat();
    assert!(effects.iter().any(|effect| matches!(effect, Effect::WriteStop { .. })), "{effects:?}");
    let effects = bench.feed(Event::StopWritten { session });
    assert!(told(&effects, "a", is_stop));
    let replies = effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Reply(_, Reply::Stopped(body)) if body.status == "stopping"));
    assert_eq!(replies.count(), 3, "each who asked is answered");
}

#[test]
fn a_split_and_a_retry_wait_too_and_nobody_waits_for_ever() {
    let mut bench = Bench::cold(&["a"]);
    assert!(reply(&bench.ask(|token| Event::Split { token, session: None })).is_none());
    assert!(reply(&bench.ask(|token| Event::Retry { token, input: "a".into() })).is_none());
    assert!(reply(&bench.ask_stop(None)).is_none());
    assert_eq!(refusal(&bench.ask(|token| Event::Retry { token, input: "x".into() })).status, 404);
    let before = bench.done.len();
    bench.tick_for(7000);
    let late: Vec<_> = bench.done[before..]
        .iter()
        .filter_map(|effect| match effect {
            Effect::Reply(_, Reply::Refused(refused)) => Some((refused.status, refused.code, refused.retryable)),
            _ => None,
        })
        .collect();
    assert_eq!(late, [(503, "busy", true); 3]);
}

#[test]
fn the_newest_folders_are_enough_to_go_on_with_a_session_or_to_begin_one() {
    let mut bench = Bench::cold(&["a"]);
    let old = running(&["a"]);
    let session = old.plan.id;
    bench.worker("a", linked(1, Some(session)));
    bench.feed(Event::Found { interrupted: vec![old], last: None });
    assert_eq!((adopted(&bench.done), bench.session_id()), (1, session));

    let mut bench = Bench::cold(&["a"]);
    bench.feed(Event::Space(Some(Space { free: 100_000_000_000, total: 200_000_000_000 })));
    bench.feed(Event::Found { interrupted: Vec::new(), last: None });
    bench.link("a", 1);
    bench.record("k");

    // A session that is recorded and was not found yet is waited for.
    let mut bench = Bench::cold(&["a"]);
    bench.feed(Event::Found { interrupted: Vec::new(), last: None });
    bench.worker("a", linked(1, Some(session)));
    bench.status("a", Some(session), RecordingState::Recording, 100);
    assert!(!bench.state.is_settled() && !told(&bench.done, "a", is_stop));
    bench.feed(Event::Found { interrupted: vec![running(&["a"])], last: None });
    assert_eq!(bench.session_id(), session);
}

#[test]
fn a_worker_is_left_alone_while_a_journal_cannot_be_read_and_gone_on_with_once_it_can() {
    let mut bench = Bench::cold(&["a"]);
    let old = running(&["a"]);
    let session = old.plan.id;
    bench.unread();
    bench.feed(Event::Searched { interrupted: Vec::new(), last: None });
    bench.worker("a", linked(1, Some(session)));
    for _ in 0..20 {
        bench.status("a", Some(session), RecordingState::Recording, 100);
        bench.tick_for(1000);
    }
    assert!(!told(&bench.done, "a", is_stop));
    let alert = bench.state.alerts.list().iter().find(|alert| alert.code == "disk_error").expect("an alert");
    assert!(alert.message.contains("/library/broken"), "{}", alert.message);
    bench.feed(Event::Found { interrupted: vec![old], last: None });
    bench.feed(Event::Unread(Vec::new()));
    assert_eq!(bench.session_id(), session);
    assert!(!told(&bench.done, "a", is_stop) && !bench.state.alerts.is_active("engine", "disk_error"));
}

#[test]
fn somebody_who_asks_can_stop_a_session_that_cannot_be_read() {
    let mut bench = Bench::cold(&["a"]);
    let old = running(&["a"]);
    let session = old.plan.id;
    bench.unread();
    bench.feed(Event::Searched { interrupted: Vec::new(), last: None });
    bench.worker("a", linked(1, Some(session)));
    let effects = bench.ask_stop(None);
    assert_eq!(status_word(&effects), "stopping");
    assert!(told(&effects, "a", is_stop));
    // Found later, it is closed and not gone on with.
    bench.feed(Event::Found { interrupted: vec![old], last: None });
    assert!(bench.state.session.is_none());
    let before = bench.done.len();
    bench.tick_for(2000);
    bench.status("a", Some(session), RecordingState::Recording, 100);
    assert!(told(&bench.done[before..], "a", is_stop));
}

#[test]
fn a_worker_of_a_session_that_is_closed_is_stopped_although_another_journal_cannot_be_read() {
    let mut bench = Bench::ready(&["a"]);
    bench.unread();
    let session = bench.record("k");
    bench.stop();
    bench.done_fact("a", session);
    let dir = bench.state.session.as_ref().expect("closing").dir.clone();
    bench.feed(Event::Closed { session, dir, result: Ok(Box::new(closed_session(session, Closed::Completed))) });
    let before = bench.done.len();
    bench.tick_for(2000);
    bench.status("a", Some(session), RecordingState::Recording, 100);
    assert!(told(&bench.done[before..], "a", is_stop));
}

#[test]
fn a_start_that_may_have_been_refused_is_never_begun_later() {
    let blank = interrupted(77, &["a"]);
    for (age_ms, begins) in [(6_800, 1), (6_900, 0), (9_000, 0)] {
        let mut bench = Bench::cold(&["a"]);
        let mut found = blank.clone();
        // The engine that made it would have refused it 7 s after it was asked, 6.9 s after its origin.
        found.plan.start_at_ns = MonoNs(100_000_000);
        bench.ms = 100 + age_ms;
        bench.worker("a", linked(1, None));
        assert_eq!(adopted(&searched(&mut bench, found)), begins, "{age_ms} ms");
    }
}

#[test]
fn every_late_plan_of_a_refused_start_is_closed() {
    let mut bench = Bench::ready(&["a"]);
    let sessions: Vec<SessionId> = (0..3)
        .map(|n| {
            bench.feed(Event::Space(Some(Space { free: 100_000_000_000, total: 200_000_000_000 })));
            bench.start(&format!("k{n}"), None);
            let session = bench.session_id();
            bench.tick_for(7000);
            assert_eq!(refusal(&bench.done[bench.done.len() - 2..]).code, "storage_frozen");
            session
        })
        .collect();
    for session in sessions {
        assert_eq!(closes(&bench.feed(Event::Persisted { session, result: Ok(()) })), Some(Closed::Failed));
        assert_eq!(starts(&bench.done), 0);
    }
}

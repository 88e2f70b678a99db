//! One press of Record, cut wherever you like, makes one session (R-CMD-3, R-FM-7).

use crate::record::LIVE_WITHIN;
use crate::support::api;
use crate::support::dice::Dice;
use crate::support::evidence::{assert_sound, manifest, parts, plan};
use crate::support::proc::{Holdfast, rounds, test_inputs};
use crate::support::process::Deadline;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A start repeats itself until it is answered; the engine that is started again needs a moment.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);
/// From a request to its plan on disk: a few milliseconds on an idle machine, and as much after it.
const CUT_WITHIN_MS: usize = 60;

/// Repeats a start as a client does; its session.
fn repeat(holdfast: &Holdfast, key: &str) -> (String, Value) {
    let deadline = Deadline::after(ANSWERED_WITHIN);
    loop {
        let headers = [("X-Idempotency-Key", key)];
        let reply =
            api::request(&holdfast.socket(), "POST", "/api/v1/recorder/start", &headers, Some(&json!({"name": key})));
        match reply {
            Ok(reply) if matches!(reply.status, 200 | 201) => {
                return (reply.body["session_id"].as_str().expect("an id").to_owned(), reply.body["status"].clone());
            }
            other => {
                let again = other.as_ref().map_or(true, |reply| reply.body["retryable"] == true);
                assert!(again && deadline.left().is_some(), "{other:?}");
            }
        }
    }
}

#[test]
fn a_start_cut_at_any_point_makes_one_session() {
    let mut dice = Dice::for_test("cut a start");
    let mut holdfast = Holdfast::new(&test_inputs(1, "auto"));
    let mut made = 0;
    for round in 1..=rounds(4, 60) {
        let engine = holdfast.spawn_engine();
        holdfast.wait_live(LIVE_WITHIN);
        let key = format!("cut{round}");
        let body = json!({"name": key}).to_string();
        let request = format!(
            "POST /api/v1/recorder/start HTTP/1.1\r\nHost: x\r\nX-Idempotency-Key: {key}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = UnixStream::connect(holdfast.socket()).expect("the socket listens");
        std::io::Write::write_all(&mut stream, request.as_bytes()).expect("written");
        // The engine is ended before, while or after it writes the plan; the client hears nothing of it.
        let pause = Duration::from_millis(dice.below(CUT_WITHIN_MS) as u64);
        assert!(!holdfast.ended(engine, pause));
        holdfast.signal(engine, Signal::KILL);
        assert!(holdfast.engine().wait(ANSWERED_WITHIN).is_some());
        drop(stream);
        let written = plans(&holdfast, &key).len();

        holdfast.spawn_engine();
        let (session, status) = repeat(&holdfast, &key);
        assert_ne!(status, "finished", "round {round}: the plan was written {pause:?} after the request");
        let (again, _) = repeat(&holdfast, &key);
        assert_eq!(again, session);
        let stopped = holdfast.cli_ok(&["record", "stop"]);
        assert!(stopped.stdout.contains(&session), "{stopped:?}");
        let found = plans(&holdfast, &key);
        assert_eq!(found.len(), 1, "one key made {found:?}");
        assert_eq!(found[0].1["id"], json!(session));
        made += written;
        let manifest = manifest(&found[0].0);
        for part in parts(&manifest, "cam1") {
            if part["end"] != "empty" {
                assert_sound(&found[0].0.join(part["file"].as_str().expect("a name")));
            }
        }
        // Stopped long ago, and asked to stop once more after yet another restart.
        let engine = holdfast.engine().pid();
        holdfast.signal(engine, Signal::KILL);
        assert!(holdfast.engine().wait(ANSWERED_WITHIN).is_some());
        holdfast.spawn_engine();
        let stop = holdfast.api("POST", "/api/v1/recorder/stop", &[], Some(&json!({"session_id": session})));
        let stop = stop.expect("an answer");
        assert_eq!((stop.status, &stop.body["status"]), (200, &json!("finished")), "{stop:?}");
        let (again, status) = repeat(&holdfast, &key);
        assert_eq!((again, status), (session, json!("finished")));
        let engine = holdfast.engine().pid();
        holdfast.signal(engine, Signal::TERM);
        assert!(holdfast.engine().wait(ANSWERED_WITHIN).is_some(), "the engine does not leave");
    }
    println!("of all plans {made} were written before the engine was killed");
}

/// The sessions `key` made, with their plans.
fn plans(holdfast: &Holdfast, key: &str) -> Vec<(std::path::PathBuf, Value)> {
    let whole = |session: &std::path::PathBuf| {
        let journal = std::fs::read_to_string(session.join("journal.jsonl")).unwrap_or_default();
        journal.lines().next().is_some_and(|line| serde_json::from_str::<Value>(line).is_ok())
    };
    let sessions = holdfast.sessions().into_iter().filter(whole);
    sessions.map(|session| (session.clone(), plan(&session))).filter(|(_, plan)| plan["key"] == key).collect()
}

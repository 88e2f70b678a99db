//! The engine's API as a stranger sees it: forms, limits, keys, the event stream, and how an engine leaves.

use crate::record::{LIVE_WITHIN, start};
use crate::support::proc::{Holdfast, find_input, test_inputs};
use crate::support::process::Deadline;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// R-SUP-13: after this nothing of an idle recorder is left.
const LEFT_WITHIN: Duration = Duration::from_secs(5);
/// R-CMD-7: connections at a time.
const CLIENTS: usize = 64;
/// An engine with room for a client answers a hundred times faster.
const NO_ANSWER_FOR: Duration = Duration::from_millis(500);

#[test]
fn every_answer_is_traced_and_every_error_has_one_form() {
    let mut holdfast = Holdfast::new("");
    holdfast.spawn_engine();
    let mode = std::fs::metadata(holdfast.socket()).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let health = holdfast.api("GET", "/api/v1/health", &[("X-Trace-ID", "my-trace")], None).expect("an answer");
    assert_eq!((health.status, health.headers["x-trace-id"].as_str()), (200, "my-trace"));
    assert!(health.headers["x-response-time-ms"].parse::<f64>().is_ok());
    let table = [
        ("POST", "/api/v1/recorder/start", json!({}), 503, "nothing_to_record"),
        ("POST", "/api/v1/recorder/start", json!({"nonsense": 1}), 422, "bad_body"),
        ("POST", "/api/v1/recorder/stop", json!({}), 400, "not_recording"),
        (
            "POST",
            "/api/v1/recorder/stop",
            json!({"session_id": "0193a000-0000-7000-8000-000000000000"}),
            404,
            "unknown_session",
        ),
        ("POST", "/api/v1/inputs/cam9/retry", Value::Null, 404, "unknown_input"),
        ("POST", "/api/v1/recorder/start", json!({"name": "x".repeat(70_000)}), 413, "too_large"),
        ("GET", "/api/v1/nothing", Value::Null, 404, "not_found"),
        ("DELETE", "/api/v1/status", Value::Null, 405, "method_not_allowed"),
        ("GET", "/api/v1/sessions?nonsense=1", Value::Null, 422, "bad_query"),
    ];
    for (method, path, body, status, code) in table {
        let body = Some(&body).filter(|body| !body.is_null());
        let reply = holdfast.api(method, path, &[], body).expect("an answer");
        assert_eq!((reply.status, reply.body["code"].as_str()), (status, Some(code)), "{method} {path}: {reply:?}");
        assert_eq!(reply.body["trace_id"].as_str(), reply.headers.get("x-trace-id").map(String::as_str));
        assert!(reply.body["message"].as_str().is_some_and(|message| !message.is_empty()));
        assert!(reply.body["retryable"].is_boolean());
    }
}

#[test]
fn a_key_means_one_session_also_after_stop_and_after_a_restart() {
    let mut holdfast = Holdfast::new(&test_inputs(1, "auto"));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    let ask = |holdfast: &Holdfast, key: &str, body: Value| {
        let headers = [("X-Idempotency-Key", key)];
        holdfast.api("POST", "/api/v1/recorder/start", &headers, Some(&body)).expect("an answer")
    };
    let first = ask(&holdfast, "k1", json!({"name": "once"}));
    assert_eq!(first.status, 201, "{first:?}");
    let again = ask(&holdfast, "k1", json!({"name": "once"}));
    assert_eq!((again.status, &again.body["session_id"]), (200, &first.body["session_id"]));
    assert_eq!(ask(&holdfast, "k1", json!({"name": "other"})).status, 422);
    assert_eq!(ask(&holdfast, "k2", json!({"name": "once"})).status, 409);
    holdfast.cli_ok(&["record", "stop"]);
    let pid = holdfast.engine().pid();
    holdfast.signal(pid, Signal::TERM);
    assert!(holdfast.ended(pid, LEFT_WITHIN));
    holdfast.spawn_engine();
    let after = ask(&holdfast, "k1", json!({"name": "once"}));
    assert_eq!((after.status, &after.body["session_id"]), (200, &first.body["session_id"]));
    assert_eq!(after.body["status"], "finished");
    assert_eq!(ask(&holdfast, "k1", json!({})).status, 422);
    let stopped =
        holdfast.api("POST", "/api/v1/recorder/stop", &[], Some(&json!({"session_id": first.body["session_id"]})));
    assert_eq!(stopped.expect("an answer").status, 200);
    assert_eq!(holdfast.sessions().len(), 1);
}

#[test]
fn the_stream_begins_with_everything_then_numbers_every_change_and_beats() {
    let mut holdfast = Holdfast::new(&test_inputs(1, "auto"));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    let mut events = holdfast.events().expect("a stream");
    let sync = events.next(Duration::from_secs(2)).expect("a stream").expect("a message");
    assert_eq!(sync["kind"], "sync");
    assert_eq!(sync["data"]["inputs"][0]["id"], "cam1");
    let mut seq = sync["seq"].as_u64().expect("a number");
    start(&holdfast, &["cam1"]);
    holdfast.cli_ok(&["record", "stop"]);
    let (mut kinds, mut states) = (BTreeSet::new(), Vec::new());
    let deadline = Deadline::after(Duration::from_secs(10));
    while !kinds.contains("last_session") || !kinds.contains("heartbeat") || states.last() != Some(&Value::Null) {
        let left = deadline.left().unwrap_or_else(|| panic!("only {kinds:?} {states:?} came"));
        let Some(event) = events.next(left).expect("a stream") else { continue };
        if let Some(next) = event["seq"].as_u64() {
            assert_eq!(next, seq + 1, "{event}");
            seq = next;
        }
        if event["kind"] == "session" {
            states.push(event["data"]["state"].clone());
        }
        kinds.insert(event["kind"].as_str().expect("a kind").to_owned());
    }
    assert_eq!(states, [json!("starting"), json!("recording"), json!("stopping"), Value::Null]);
    assert!(kinds.contains("sample") && kinds.contains("input"), "{kinds:?}");
}

#[test]
fn event_streams_count_among_the_clients_and_give_their_place_back() {
    let mut holdfast = Holdfast::new("");
    holdfast.spawn_engine();
    let mut streams: Vec<_> = (0..CLIENTS).map(|_| holdfast.events().expect("a stream")).collect();
    let ask = |patience: Duration| {
        let mut client = UnixStream::connect(holdfast.socket()).expect("the socket listens");
        client.write_all(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n").expect("written");
        client.set_read_timeout(Some(patience)).expect("set");
        let mut status = [0; 12];
        client.read_exact(&mut status).map(|()| String::from_utf8_lossy(&status).into_owned())
    };
    // A client waits for a place for a second, and is then told that there is none.
    match ask(NO_ANSWER_FOR) {
        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        Ok(status) => assert_eq!(status, "HTTP/1.1 503"),
    }
    drop(streams.pop());
    let left = Deadline::after(LEFT_WITHIN);
    while ask(LEFT_WITHIN).expect("an answer") != "HTTP/1.1 200" {
        assert!(left.left().is_some(), "the place of a client that has left is not given away");
    }
}

/// Kills the engine and starts another one that knows one input less; the worker of that is still there.
fn replace_engine_without_cam2(holdfast: &mut Holdfast, engine: u32) {
    holdfast.signal(engine, Signal::KILL);
    assert!(holdfast.ended(engine, LEFT_WITHIN));
    let config = std::fs::read_to_string(holdfast.config()).expect("a configuration");
    let second = config.rfind("[[input]]").expect("two inputs");
    holdfast.write_config(&config[..second]);
    holdfast.spawn_engine();
}

#[test]
fn a_worker_whose_input_was_removed_records_on_until_stop_and_leaves_then() {
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    let engine = holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &["cam1", "cam2"]);
    let stray = holdfast.worker_pid("cam2");
    replace_engine_without_cam2(&mut holdfast, engine);
    let seen = holdfast.wait_until("the session goes on", LIVE_WITHIN, |snapshot| {
        find_input(snapshot, "cam1")["recording"]["state"] == "recording"
    });
    assert_eq!(seen["inputs"].as_array().map(Vec::len), Some(1));
    assert!(!holdfast.ended(stray, Duration::ZERO), "the worker of the removed input was ended");
    holdfast.cli_ok(&["record", "stop"]);
    assert!(holdfast.ended(stray, LEFT_WITHIN), "the worker of the removed input goes on");
    let manifest = crate::support::evidence::manifest(&holdfast.session());
    for input in ["cam1", "cam2"] {
        let parts = crate::support::evidence::parts(&manifest, input);
        assert_eq!((parts.len(), &parts[0]["end"]), (1, &json!("completed")), "{manifest:#}");
    }
}

#[test]
fn a_session_that_only_a_removed_input_records_is_shown_and_stopped_like_any_other() {
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    let engine = holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    holdfast.cli_ok(&["record", "start", "--input", "cam2"]);
    replace_engine_without_cam2(&mut holdfast, engine);
    let seen = holdfast.wait_until("the session goes on", LIVE_WITHIN, |snapshot| {
        snapshot["session"]["state"] == "recording" && snapshot["session"]["safe_ms"].as_u64() > Some(0)
    });
    assert_eq!(seen["session"]["open"], true, "{seen:#}");
    holdfast.cli_ok(&["record", "stop"]);
    assert_eq!(holdfast.status()["session"], json!(null));
}

#[test]
fn a_second_engine_is_refused_and_names_what_it_collides_with() {
    let mut holdfast = Holdfast::new("");
    holdfast.spawn_engine();
    let second = holdfast.cli(&["engine"]);
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.stderr.contains(&holdfast.runtime().display().to_string()), "{}", second.stderr);
}

#[test]
fn an_idle_engine_that_leaves_takes_its_workers_and_sockets_along() {
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    let pid = holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    holdfast.signal(pid, Signal::TERM);
    assert!(holdfast.ended(pid, LEFT_WITHIN));
    assert_eq!(holdfast.processes(), Vec::<u32>::new());
    for folder in [holdfast.runtime(), holdfast.runtime().join("workers")] {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let name = entry.expect("an entry").file_name();
            let name = name.to_string_lossy();
            // Locks are held, not there; the counter of engines counts on.
            let kept = ["workers", "engine.epoch"].contains(&&*name) || name.ends_with(".lock");
            assert!(kept, "{name} was left behind");
        }
    }
}

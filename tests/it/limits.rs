//! What a client may not do to the engine (R-CMD-7): send slowly, send too much, never read, hold every place.

use crate::support::api;
use crate::support::proc::Holdfast;
use crate::support::process::{Deadline, readable};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Header and body must be there by then (R-CMD-7).
const READ_DEADLINE: Duration = Duration::from_secs(10);
/// A busy machine, and the engine's own ticks.
const SLACK: Duration = Duration::from_secs(5);
/// A client that does not answer pings is dropped after 15 s (R-FM-3).
const SILENT_FOR: Duration = Duration::from_secs(15);
/// Places for connections.
const CLIENTS: usize = 64;
/// Clients that may wait for one, and how long.
const WAITING: usize = 64;
const PLACE_WITHIN: Duration = Duration::from_secs(1);
/// One that is turned away at once is heard, if it asks so soon.
const ASKS_WITHIN: Duration = Duration::from_millis(100);

fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).expect("the socket listens");
    stream.set_read_timeout(Some(READ_DEADLINE + SLACK)).expect("set");
    stream.set_write_timeout(Some(READ_DEADLINE + SLACK)).expect("set");
    stream
}

/// Sends `text` and reads until the engine closes the connection: how long that took and what it said.
fn say(socket: &Path, text: &str) -> (Duration, String) {
    say_on(connect(socket), text)
}

/// The same on a connection that has its place already.
fn say_on(mut stream: UnixStream, text: &str) -> (Duration, String) {
    let began = Deadline::after(READ_DEADLINE);
    stream.write_all(text.as_bytes()).expect("written");
    let mut said = Vec::new();
    // A reset is an end, too; being still connected is not.
    if let Err(error) = stream.read_to_end(&mut said) {
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "{text:?} keeps its place for ever");
    }
    (began.elapsed(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn clients_that_are_slow_or_greedy_lose_their_place_and_nobody_else_notices() {
    let mut holdfast = Holdfast::new("");
    holdfast.spawn_engine();
    let socket = holdfast.socket();
    let mut events = holdfast.events().expect("a stream");
    assert_eq!(events.next(SLACK).expect("a stream").expect("a state")["kind"], "sync");
    let deaf = holdfast.events().expect("a stream");

    let slow = |text: &'static str| {
        // Before everybody else, who will take all places.
        let stream = connect(&socket);
        std::thread::spawn(move || say_on(stream, text))
    };
    let head = slow("GET /api/v1/health HTTP/1.1\r\nHost: x\r\nX-Slow: ");
    let idle = slow("GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n");
    let body =
        slow("POST /api/v1/recorder/start HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\n{");
    // A body that does not say how long it is.
    let chunk = "x".repeat(66_000);
    let endless = format!(
        "POST /api/v1/recorder/start HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{chunk}\r\n0\r\n\r\n",
        chunk.len()
    );
    let (_, said) = say(&socket, &endless);
    assert!(said.starts_with("HTTP/1.1 413"), "{said}");
    assert!(said.contains("too_large") && said.contains("x-trace-id") && said.contains("x-response-time-ms"), "{said}");
    let (_, said) = say(&socket, "nonsense\r\n\r\n");
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 400"), "{said}");

    // Every other place is taken by somebody who says nothing.
    let lorises: Vec<UnixStream> = (0..CLIENTS).map(|_| connect(&socket)).collect();
    let waited = Deadline::after(READ_DEADLINE + SLACK);
    loop {
        let health = holdfast.api("GET", "/api/v1/health", &[("X-Trace-ID", "me")], None).expect("an answer");
        assert_eq!(health.headers["x-trace-id"], "me");
        if health.status == 200 {
            break;
        }
        // It is told to come again, in the form of every error.
        assert_eq!((health.status, &health.body["code"]), (503, &json!("busy")), "{health:?}");
        assert_eq!((&health.body["retryable"], &health.body["trace_id"]), (&json!(true), &json!("me")), "{health:?}");
        assert!(waited.left().is_some(), "there is no place although nobody says anything");
    }
    println!("with every place taken an answer took {:?}", waited.elapsed());
    drop(lorises);

    let (after, said) = head.join().expect("a connection");
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
    assert!(after < READ_DEADLINE + SLACK, "half a header was waited for {after:?}");
    let (after, said) = idle.join().expect("a connection");
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    assert!(after < READ_DEADLINE + SLACK, "an idle connection kept its place {after:?}");
    let (after, said) = body.join().expect("a connection");
    assert!(said.starts_with("HTTP/1.1 408") && said.contains("slow_body") && said.contains("x-trace-id"), "{said}");
    assert!(after < READ_DEADLINE + SLACK, "half a body was waited for {after:?}");

    // The stream that is never read is dropped; the one that is read went on all the while.
    let deadline = Deadline::after(SILENT_FOR + SLACK);
    loop {
        let health = holdfast.api("GET", "/api/v1/health", &[], None).expect("an answer").body;
        if health["clients"] == 1 {
            break;
        }
        let left = deadline.left().unwrap_or_else(|| panic!("a deaf client is kept: {health}"));
        events.next(left.min(Duration::from_secs(1))).expect("the stream goes on");
    }
    drop(deaf);
}

#[test]
fn a_client_that_finds_no_place_and_nowhere_to_wait_is_told_why() {
    let mut holdfast = Holdfast::new("");
    holdfast.spawn_engine();
    let socket = holdfast.socket();
    let deadline = Deadline::after(READ_DEADLINE + SLACK);
    loop {
        // They say nothing; the first hold every place, the others wait for one.
        let lorises = [CLIENTS, WAITING].map(|many| {
            let lorises: Vec<UnixStream> = (0..many).map(|_| connect(&socket)).collect();
            // The engine gets the time to look at them.
            readable(&lorises[0], PLACE_WITHIN / 10);
            lorises
        });
        let asked = Deadline::after(ASKS_WITHIN);
        let mut stream = connect(&socket);
        // It takes its time: whoever answers now has not heard it.
        let answered = readable(&stream, ASKS_WITHIN / 3);
        let written = stream.write_all(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nx-trace-id: me\r\n\r\n");
        let in_time = asked.left().is_some();
        let (took, said) = say_on(stream, "");
        if in_time {
            assert!(!answered && written.is_ok(), "told before it was heard: {written:?}, {said:?}");
            assert!(said.starts_with("HTTP/1.1 503") && said.contains("\"trace_id\":\"me\""), "{said:?}");
            if took < PLACE_WITHIN / 2 {
                return;
            }
        }
        // On a slow machine the first have given up waiting before the last had come.
        assert!(deadline.left().is_some(), "nobody is told at once");
        drop(lorises);
    }
}

#[test]
fn a_client_of_events_that_says_too_much_is_dropped() {
    let mut holdfast = Holdfast::new("");
    holdfast.spawn_engine();
    let mut events = holdfast.events().expect("a stream");
    events.say("short".to_owned()).expect("said");
    let kept = Deadline::after(Duration::from_secs(3));
    while let Some(left) = kept.left() {
        events.next(left).expect("the stream goes on");
    }
    events.say("x".repeat(64 * 1024)).expect("said");
    let dropped = Deadline::after(SLACK);
    while let Some(left) = dropped.left() {
        if events.next(left).is_err() {
            return;
        }
    }
    panic!("a message of 64 KiB is taken");
}

/// A manifest that never comes, as on a disk that hangs: listing it costs two threads, however often it is asked for.
#[test]
fn a_library_that_hangs_collects_no_threads() {
    const ASKED: usize = 8;
    /// Two for listings, and what the engine itself looks at meanwhile.
    const MORE: usize = 4;
    let mut holdfast = Holdfast::new("");
    let pid = holdfast.spawn_engine();
    assert_eq!(holdfast.api("GET", "/api/v1/sessions", &[], None).expect("an answer").status, 200);
    let session = holdfast.library().join("2026-01-01_00-00-00_x_00000000");
    std::fs::create_dir(&session).expect("made");
    let made = std::process::Command::new("mkfifo").arg(session.join("session.json")).status();
    assert!(made.expect("mkfifo runs").success());
    let threads = || std::fs::read_dir(format!("/proc/{pid}/task")).expect("the engine runs").count();
    let before = threads();
    let socket = holdfast.socket();
    let ask = |_| {
        let socket = socket.clone();
        std::thread::spawn(move || api::request(&socket, "GET", "/api/v1/sessions", &[], None))
    };
    let asked: Vec<_> = (0..ASKED).map(ask).collect();
    for one in asked {
        let reply = one.join().expect("asked").expect("an answer");
        assert_eq!((reply.status, reply.body["code"].as_str()), (503, Some("storage_frozen")), "{reply:?}");
    }
    let after = threads();
    println!("{before} threads before, {after} with {ASKED} listings that hang");
    assert!(after <= before + MORE, "{before} threads, then {after}");
    assert_eq!(holdfast.api("GET", "/api/v1/health", &[], None).expect("an answer").status, 200);
}

#[test]
fn a_trace_id_is_taken_when_it_is_plain_and_made_when_it_is_not() {
    let mut holdfast = Holdfast::new("");
    holdfast.spawn_engine();
    let ask = |trace: &str| holdfast.api("GET", "/api/v1/status", &[("X-Trace-ID", trace)], None).expect("an answer");
    assert_eq!(ask("click-7").headers["x-trace-id"], "click-7");
    for odd in ["", "two words", &"x".repeat(129), "\u{e4}"] {
        let made = ask(odd).headers["x-trace-id"].clone();
        assert!(
            made != odd && made.len() == 32 && made.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{odd:?}: {made}"
        );
    }
    // Errors nobody worded have the one form, too.
    let table = [
        ("GET", "/api/v1/events", 426, "upgrade_required"),
        ("GET", "/api/v1/events?since=x", 422, "bad_query"),
        ("GET", "/api/v1/config", 404, "not_found"),
        ("POST", "/api/v1/alerts/7/ack", 404, "unknown_alert"),
        ("POST", "/api/v1/alerts/x/ack", 404, "unknown_alert"),
        ("GET", "/api/v1/alerts?limit=x", 422, "bad_query"),
        ("POST", "/api/v1/operations/7/cleanup", 404, "unknown_operation"),
        ("GET", "/metrics", 404, "not_found"),
        ("PUT", "/api/v1/recorder/start", 405, "method_not_allowed"),
        ("GET", "/api/v1/inputs/cam1/retry", 405, "method_not_allowed"),
    ];
    for (method, path, status, code) in table {
        let reply = holdfast.api(method, path, &[("X-Trace-ID", "t")], None).expect("an answer");
        assert_eq!((reply.status, reply.body["code"].as_str()), (status, Some(code)), "{method} {path}: {reply:?}");
        assert_eq!(reply.body["trace_id"], "t");
    }
    let log = std::fs::read_to_string(holdfast.log()).expect("a log");
    assert!(log.contains("\"trace_id\":\"t\""), "refusals are not in the log");
}

#[test]
fn every_route_is_described_and_every_description_is_a_route() {
    let mut holdfast = Holdfast::new("");
    holdfast.spawn_engine();
    let description = crate::support::schema::Description::of(&holdfast.socket()).expect("a description");
    let routes = description.routes();
    for wanted in [
        ("GET", "/api/v1/status"),
        ("GET", "/api/v1/events"),
        ("POST", "/api/v1/recorder/start"),
        ("POST", "/api/v1/recorder/stop"),
        ("POST", "/api/v1/recorder/split"),
        ("GET", "/api/v1/health"),
        ("GET", "/api/v1/health/live"),
        ("GET", "/api/v1/alerts"),
        ("POST", "/api/v1/alerts/{id}/ack"),
        ("GET", "/api/v1/operations"),
        ("POST", "/api/v1/operations/{id}/cleanup"),
        ("POST", "/api/v1/inputs/{id}/retry"),
        ("GET", "/api/v1/sessions"),
        ("GET", "/api/v1/openapi.json"),
    ] {
        assert!(
            routes.iter().any(|(method, path)| (method.as_str(), path.as_str()) == wanted),
            "{wanted:?}: {routes:?}"
        );
    }
    for (method, path) in routes {
        let path = path.replace("{id}", "cam1");
        let reply =
            api::request(&holdfast.socket(), &method, &path, &[], Some(&Value::Null).filter(|_| method == "POST"));
        let reply = reply.expect("an answer");
        assert!(reply.body["code"] != json!("not_found") && reply.status != 405, "{method} {path}: {reply:?}");
        description.check_reply(&method, &path, &reply).unwrap_or_else(|wrong| panic!("{wrong}"));
    }
}

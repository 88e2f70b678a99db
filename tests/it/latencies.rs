//! How long things take, as the recorder itself measures and exports it (R-CMD-5), and what it has gone through.

use crate::record::{LIVE_WITHIN, RECORDS_WITHIN, REPLACED_WITHIN, wait_media};
use crate::support::proc::{Holdfast, find_input, test_inputs};
use holdfast::sys::clock::mono_now;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::Duration;

/// The click lies this long before its request.
const CLICKED_BEFORE: Duration = Duration::from_millis(700);
/// Rates need two looks at a process, ten seconds apart while something is recorded (R-SUP-9); workers two.
const KNOWN_WITHIN: Duration = Duration::from_secs(15);
/// A session is closed within this.
const CLOSED_WITHIN: Duration = Duration::from_secs(30);

fn health(holdfast: &Holdfast) -> Value {
    holdfast.api("GET", "/api/v1/health", &[], None).expect("an answer").body
}

fn latency(holdfast: &Holdfast, kind: &str) -> Value {
    let health = health(holdfast);
    let latencies = health["latencies"].as_array().expect("latencies").clone();
    latencies.into_iter().find(|latency| latency["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

/// A command for which somebody clicked a while ago.
fn press(holdfast: &Holdfast, path: &str) -> Value {
    let clicked = (mono_now().0 - CLICKED_BEFORE.as_nanos() as u64).to_string();
    let headers = [("X-Clicked-At-Ns", clicked.as_str()), ("X-Trace-ID", "the-click")];
    let reply = holdfast.api("POST", path, &headers, Some(&json!({}))).expect("an answer");
    assert!(reply.status < 300, "{reply:?}");
    reply.body
}

fn report(holdfast: &Holdfast, kind: &str, took_ms: f64, trace: &str) -> (u16, Value) {
    let body = json!({"kind": kind, "took_ms": took_ms});
    let reply = holdfast.api("POST", "/api/v1/latencies", &[("X-Trace-ID", trace)], Some(&body)).expect("an answer");
    (reply.status, reply.body)
}

/// Held against what was clicked: a measured time in milliseconds.
fn assert_measured(latency: &Value, at_least: Duration) {
    let ms = latency["last_ms"].as_f64().unwrap_or_else(|| panic!("not measured: {latency}"));
    println!("{latency}");
    assert!(ms >= at_least.as_secs_f64() * 1000.0, "the click was earlier: {latency}");
    assert_eq!((&latency["count"], &latency["p95_ms"]), (&json!(1), &latency["last_ms"]), "{latency}");
}

#[test]
fn what_somebody_waits_for_is_measured_from_the_click_and_told_when_it_takes_too_long() {
    let mut holdfast = Holdfast::new(&test_inputs(1, "auto"));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    let mut events = holdfast.events().expect("a stream");
    assert_eq!(latency(&holdfast, "start")["p95_ms"], Value::Null);

    press(&holdfast, "/api/v1/recorder/start");
    holdfast.wait_until("it records", RECORDS_WITHIN, |snapshot| {
        find_input(snapshot, "cam1")["recording"]["state"] == "recording"
    });
    let start = latency(&holdfast, "start");
    assert_measured(&start, CLICKED_BEFORE);
    assert_eq!((&start["target_ms"], &start["acceptable_ms"]), (&json!(1000), &json!(3000)));

    // A process that died and was replaced is counted; what one writes to the disk is known.
    wait_media(&holdfast, "cam1", Duration::from_secs(1));
    holdfast.signal(holdfast.worker_pid("cam1"), Signal::KILL);
    holdfast.wait_until("the next part records", REPLACED_WITHIN, |snapshot| {
        let recording = &find_input(snapshot, "cam1")["recording"];
        recording["part"] == 2 && recording["state"] == "recording"
    });
    holdfast.wait_until("what is written", KNOWN_WITHIN, |_| {
        let health = health(&holdfast);
        let resources = health["resources"].as_array().expect("processes");
        resources.iter().any(|process| process["name"] == "cam1" && process["disk_bytes_per_s"].as_u64() > Some(0))
    });
    let recovery = health(&holdfast)["recovery"][0].clone();
    assert_eq!(
        (&recovery["input"], &recovery["restarts_hour"], &recovery["quarantined"]),
        (&json!("cam1"), &json!(1), &json!(false)),
        "{recovery}"
    );

    press(&holdfast, "/api/v1/recorder/stop");
    holdfast.wait_until("the session is closed", CLOSED_WITHIN, |snapshot| snapshot["session"].is_null());
    assert_measured(&latency(&holdfast, "stop"), CLICKED_BEFORE);
    holdfast.wait_until("what the dead process had not written", KNOWN_WITHIN, |_| {
        health(&holdfast)["recovery"][0]["lost_ms"].as_u64() > Some(0)
    });

    // What only the window sees, it tells; the engine measures the rest itself.
    let (status, view) = report(&holdfast, "preview", 180.5, "quick");
    assert_eq!(
        (status, &view["last_ms"], &view["over"], &view["verdict"]),
        (200, &json!(180.5), &json!(0), &json!("healthy"))
    );
    for (kind, took_ms) in [("start", 1.0), ("preview", -1.0), ("preview", 1e9)] {
        let (status, body) = report(&holdfast, kind, took_ms, "wrong");
        assert_eq!((status, body["code"].as_str()), (422, Some("bad_latency")), "{kind} {took_ms}");
    }
    for trace in ["slow-1", "slow-2", "slow-3"] {
        report(&holdfast, "preview", 900.0, trace);
    }
    assert_eq!(latency(&holdfast, "preview")["over"], 3);
    // Lines are written one behind the other, some time later.
    report(&holdfast, "stop", 1.0, "the-last");
    let log = || std::fs::read_to_string(holdfast.log()).expect("a log");
    holdfast.wait_until("what was told", KNOWN_WITHIN, |_| log().contains("the-last"));
    let log = log();
    let told: Vec<&str> =
        log.lines().filter(|line| line.contains("longer than is acceptable") && line.contains("preview")).collect();
    assert!(told.len() == 1 && told[0].contains("slow-1"), "once, with its trace: {told:?}");

    for kind in ["read", "write", "event"] {
        let latency = latency(&holdfast, kind);
        println!("{latency}");
        assert!(latency["count"].as_u64() > Some(0) && latency["p95_ms"].as_f64() >= Some(0.0), "{latency}");
    }
    assert!(events.next(Duration::from_secs(2)).is_ok_and(|event| event.is_some()), "somebody listened");
}

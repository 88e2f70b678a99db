//! The clock of the machine is moved while two inputs record, and the machine sleeps (R-FM-6).
//!
//! libfaketime moves the wall clock of one recorder and leaves CLOCK_MONOTONIC alone, as setting the clock does. A
//! sleep is a time namespace in which CLOCK_BOOTTIME is ahead: an engine can only come into one by being started there.

use crate::adopt::{CLOSED_WITHIN, lines};
use crate::counters::wait_kept;
use crate::record::{LIVE_WITHIN, start, wait_media};
use crate::support::evidence::{assert_no_frame_missing, manifest, parts, plan};
use crate::support::loss::monotonic;
use crate::support::proc::{Holdfast, test_inputs, wait_for_change};
use crate::support::process::{self, Deadline};
use crate::support::skip::skip;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const INPUTS: [&str; 2] = ["cam1", "cam2"];
const HOUR_NS: i64 = 3_600_000_000_000;
/// R-FM-6.
const SHOWN_WITHIN: Duration = Duration::from_secs(2);
/// Until another process has seen it, on a busy machine. When it was noticed stands in the journal.
const SEEN_WITHIN: Duration = Duration::from_secs(15);
const ASK_AGAIN: Duration = Duration::from_millis(50);
const SLEEPS: [&str; 4] = ["--time", "--boottime", "7200", "--kill-child"];

/// A recorder whose wall clock the test moves; `None` = libfaketime is not installed.
fn recorder_with_a_clock() -> Option<Holdfast> {
    let library = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    let library = library.map(|folder| Path::new(folder).join("faketime/libfaketime.so.1"));
    let library = library.into_iter().find(|path| path.exists())?;
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    let file = clock_file(&holdfast);
    for (name, value) in [
        ("LD_PRELOAD", library),
        ("FAKETIME_TIMESTAMP_FILE", file),
        ("FAKETIME_NO_CACHE", PathBuf::from("1")),
        ("FAKETIME_DONT_FAKE_MONOTONIC", PathBuf::from("1")),
    ] {
        holdfast.set_env(name, value);
    }
    move_clock(&holdfast, 0);
    Some(holdfast)
}

fn clock_file(holdfast: &Holdfast) -> PathBuf {
    holdfast.root().join("clock")
}

/// Puts the wall clock so many hours beside the true one.
fn move_clock(holdfast: &Holdfast, hours: i32) {
    let (file, new) = (clock_file(holdfast), holdfast.root().join("clock.new"));
    std::fs::write(&new, format!("{:+}\n", hours * 3600)).expect("the folder is ours");
    // Nobody reads half a line.
    std::fs::rename(new, file).expect("the folder is ours");
}

/// Waits until the step has been told `times` times; what it says.
fn wait_told(holdfast: &Holdfast, code: &str, times: u64) -> Value {
    let deadline = Deadline::after(SEEN_WITHIN);
    loop {
        let reply = holdfast.api("GET", "/api/v1/alerts", &[], None).expect("an answer");
        let alerts = reply.body["alerts"].as_array().cloned().unwrap_or_default();
        let told = alerts.into_iter().find(|alert| alert["code"] == code && alert["count"].as_u64() >= Some(times));
        if let Some(alert) = told {
            println!("{code} was shown after {:?}: {}", deadline.elapsed(), alert["message"]);
            return alert;
        }
        assert!(deadline.left().is_some(), "{code} was not told within {SEEN_WITHIN:?}: {}", reply.body);
        wait_for_change(&holdfast.library(), ASK_AGAIN);
    }
}

/// `unshare`, and that it makes a namespace in which two hours were slept; else why it does not.
fn may_sleep(holdfast: &Holdfast) -> Result<PathBuf, String> {
    let unshare = process::program("unshare").ok_or("unshare is not installed")?;
    let mut probe = Command::new(&unshare);
    let said = process::try_run("unshare", probe.args(SLEEPS).arg("true"), holdfast.root(), SEEN_WITHIN)?;
    if said.code == Some(0) { Ok(unshare) } else { Err(said.stderr.trim().to_owned()) }
}

fn workers(holdfast: &Holdfast) -> [u32; 2] {
    INPUTS.map(|input| holdfast.worker_pid(input))
}

fn wait_closed(holdfast: &Holdfast) {
    holdfast.wait_until("the session is closed", CLOSED_WITHIN, |snapshot| snapshot["session"].is_null());
}

fn kinds(session: &Path, kind: &str) -> Vec<Value> {
    lines(&session.join("journal.jsonl")).into_iter().filter(|line| line["kind"] == kind).collect()
}

fn begin(holdfast: &Holdfast, key: &str) -> Value {
    let headers = [("X-Idempotency-Key", key)];
    let reply =
        holdfast.api("POST", "/api/v1/recorder/start", &headers, Some(&json!({"name": key}))).expect("an answer");
    assert!(matches!(reply.status, 200 | 201), "{reply:?}");
    reply.body
}

/// The sessions by the API, oldest first.
fn listed(holdfast: &Holdfast) -> Vec<Value> {
    let body = holdfast.api("GET", "/api/v1/sessions", &[], None).expect("an answer").body;
    let rows = body["sessions"].as_array().cloned().unwrap_or_default();
    rows.into_iter().rev().map(|row| row["manifest"]["id"].clone()).collect()
}

#[test]
fn an_hour_forwards_and_back_costs_nothing_while_two_inputs_record() {
    let Some(mut holdfast) = recorder_with_a_clock() else { return skip("libfaketime is not installed") };
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    let first = begin(&holdfast, "first")["session_id"].clone();
    wait_media(&holdfast, "cam1", Duration::from_millis(1000));
    let before = workers(&holdfast);
    let began = Deadline::after(CLOSED_WITHIN);
    let mut media = 1000;
    let mut moved = Vec::new();
    for (times, hours) in [(1, 1), (2, 0)] {
        moved.push(monotonic());
        move_clock(&holdfast, hours);
        let alert = wait_told(&holdfast, "clock_stepped", times);
        assert_eq!(alert["severity"], "info");
        media += 1000;
        INPUTS.iter().for_each(|input| wait_media(&holdfast, input, Duration::from_millis(media)));
    }
    let recorded = began.elapsed() + Duration::from_millis(1000);
    assert_eq!(workers(&holdfast), before, "a worker was restarted");
    holdfast.cli_ok(&["record", "stop"]);
    wait_closed(&holdfast);
    let session = holdfast.session();
    let manifest = manifest(&session);
    for steps in [kinds(&session, "clock_step"), manifest["clock_steps"].as_array().cloned().expect("steps")] {
        let by: Vec<i64> = steps.iter().filter_map(|step| step["step_ns"].as_i64()).collect();
        let hour = |step: i64, sign: i64| (step - sign * HOUR_NS).abs() < 500_000_000;
        assert!(matches!(by[..], [on, back] if hour(on, 1) && hour(back, -1)), "{steps:#?}");
        // Shown as soon as it was noticed, on the engine's own clock.
        let began = Duration::from_nanos(plan(&session)["start_at_ns"].as_u64().expect("a time"));
        for (moved, step) in moved.iter().zip(&steps) {
            let noticed = began + Duration::from_nanos(step["t_ns"].as_u64().expect("a time"));
            let late = noticed.saturating_sub(*moved);
            println!("noticed after {late:?}");
            assert!(noticed > *moved && late <= SHOWN_WITHIN, "{moved:?}: noticed at {noticed:?}: {steps:#?}");
        }
    }
    for input in INPUTS {
        let parts = parts(&manifest, input);
        assert_eq!(parts.len(), 1, "{manifest:#}");
        assert_no_frame_missing(&session.join(parts[0]["file"].as_str().expect("a name")));
        assert_eq!(
            parts[0]["gaps"].as_array().map(|gaps| gaps.iter().all(|gap| gap["cause"] == "late_start")),
            Some(true)
        );
        let duration = Duration::from_nanos(parts[0]["duration_ns"].as_u64().expect("a duration"));
        assert!(
            duration < recorded + Duration::from_secs(5) && duration > Duration::from_millis(media),
            "{duration:?}"
        );
    }

    // Three sessions within the same minutes of the calendar: the second an hour ahead, the third an hour back.
    move_clock(&holdfast, 1);
    wait_told(&holdfast, "clock_stepped", 3);
    let mut ids = vec![first.clone()];
    for (key, hours) in [("second", 1), ("third", 0)] {
        move_clock(&holdfast, hours);
        ids.push(begin(&holdfast, key)["session_id"].clone());
        wait_media(&holdfast, "cam1", Duration::from_millis(500));
        holdfast.cli_ok(&["record", "stop"]);
        wait_closed(&holdfast);
    }
    assert_eq!(holdfast.sessions().len(), 3, "a name was used twice");
    assert_eq!(listed(&holdfast), ids, "the calendar decides the order of sessions");
    // Keys live on, whatever the calendar says, also behind a restart in which it was moved by days.
    assert_eq!(begin(&holdfast, "first")["session_id"], first);
    let engine = holdfast.engine().pid();
    holdfast.signal(engine, Signal::KILL);
    move_clock(&holdfast, 24 * 30);
    holdfast.spawn_engine();
    wait_told(&holdfast, "clock_stepped", 1);
    assert_eq!(begin(&holdfast, "third")["session_id"], ids[2]);
    assert_eq!((listed(&holdfast), holdfast.sessions().len()), (ids.clone(), 3));
    assert_eq!(holdfast.status()["last_session"]["id"], ids[2], "the last session is the one that was begun last");
}

/// No engine lives while the clock is moved, and the next one goes on with the session.
#[test]
fn a_step_and_a_sleep_that_nobody_lived_to_see_are_told_by_the_next_engine() {
    let Some(mut holdfast) = recorder_with_a_clock() else { return skip("libfaketime is not installed") };
    let sleeper = may_sleep(&holdfast);
    let slept = sleeper.is_ok();
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &INPUTS);
    let before = workers(&holdfast);
    // The next engine compares with what this one has left on the disk.
    wait_kept(&holdfast, |kept| kept["clocks"].is_object());
    let engine = holdfast.engine().pid();
    holdfast.signal(engine, Signal::KILL);
    move_clock(&holdfast, -1);
    match sleeper {
        Ok(unshare) => drop(holdfast.spawn_engine_by(&unshare, &SLEEPS)),
        Err(why) => {
            skip(&format!("no time namespace, so nothing slept: {why}"));
            holdfast.spawn_engine();
        }
    }
    wait_told(&holdfast, "clock_stepped", 1);
    if slept {
        assert_eq!(wait_told(&holdfast, "suspended", 1)["severity"], "warning");
    }
    assert_eq!(workers(&holdfast), before, "a worker was restarted");
    holdfast.cli_ok(&["record", "stop"]);
    wait_closed(&holdfast);
    let session = holdfast.session();
    let last = holdfast.wait_until("the session is proved", CLOSED_WITHIN, |snapshot| {
        snapshot["last_session"]["verdict"] != "unverified"
    });
    let manifest = manifest(&session);
    // The wall clock of the kernel did not sleep with CLOCK_BOOTTIME here: it lags two hours more.
    let step = manifest["clock_steps"][0]["step_ns"].as_i64().expect("a step");
    let expected = if slept { -3 * HOUR_NS } else { -HOUR_NS };
    assert!((step - expected).abs() < 1_000_000_000, "{manifest:#}");
    for input in INPUTS {
        let parts = parts(&manifest, input);
        assert_eq!(parts.len(), 1, "{manifest:#}");
        assert_no_frame_missing(&session.join(parts[0]["file"].as_str().expect("a name")));
        let gaps = parts[0]["gaps"].as_array().expect("gaps");
        let sleeps: Vec<_> = gaps.iter().filter(|gap| gap["cause"] == "suspended").collect();
        assert_eq!(sleeps.len(), usize::from(slept), "{gaps:#?}");
        assert!(sleeps.iter().all(|gap| gap["from_ns"] == gap["to_ns"]), "no file has a hole: {gaps:#?}");
    }
    if slept {
        let suspend = &manifest["suspends"][0];
        // Two clocks are read one after the other: a little more or less.
        let slept = suspend["slept_ns"].as_i64().expect("how long");
        assert!((slept - 2 * HOUR_NS).abs() < 1_000_000_000, "{manifest:#}");
        assert_eq!(kinds(&session, "suspend").len(), 1);
        assert_eq!(last["last_session"]["verdict"], "warning");
    }
    assert_eq!(plan(&session)["id"], manifest["id"]);
}

//! Alerts of the real recorder: raised by memory and limits that are really near, acknowledged, kept, told to the
//! operator's command; and a recording that none of them touches (R-SUP-4, R-ALR-1, -3, -5, -7, R-TRU-7).

use crate::counters::wait_kept;
use crate::record::{LIVE_WITHIN, start, wait_media};
use crate::support::evidence::{assert_no_frame_missing, manifest, parts};
use crate::support::proc::{Holdfast, find_input, test_inputs, wait_for_change};
use crate::support::process::Deadline;
use crate::support::viewer::Viewer;
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use serde_json::{Value, json};
use std::time::Duration;

/// Processes are looked at every two seconds, every ten while something is recorded; and a busy machine.
const SEEN_WITHIN: Duration = Duration::from_secs(20);
/// Of a recorder that serves 64.
const CLIENTS: u64 = 30;
/// An alert that nothing else announces is asked for again.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Every alert that is kept.
fn alerts(holdfast: &Holdfast) -> Vec<Value> {
    let reply = holdfast.api("GET", "/api/v1/alerts?limit=1000", &[], None).expect("an answer").body;
    reply["alerts"].as_array().expect("a list").clone()
}

fn find(holdfast: &Holdfast, source: &str, code: &str) -> Option<Value> {
    alerts(holdfast).into_iter().find(|alert| alert["source"] == source && alert["code"] == code)
}

/// Waits until the alert `code` of `source` is in `state`.
pub fn wait_alert(holdfast: &Holdfast, source: &str, code: &str, state: &str) -> Value {
    let deadline = Deadline::after(SEEN_WITHIN);
    loop {
        let found = find(holdfast, source, code);
        if let Some(alert) = found.clone().filter(|alert| alert["state"] == state) {
            return alert;
        }
        assert!(deadline.left().is_some(), "{code} of {source} is not {state} but {found:?}: {:#?}", alerts(holdfast));
        wait_for_change(&holdfast.library(), ASK_AGAIN);
    }
}

/// Lines of the engine's log about one incident, as far as it is written: a thread of its own does that.
fn lines(holdfast: &Holdfast, code: &str) -> usize {
    let log = std::fs::read_to_string(holdfast.log()).expect("a log");
    let wanted = format!("\"code\":\"{code}\"");
    log.lines().filter(|line| line.contains(&wanted) && line.contains("\"incident\"")).count()
}

#[test]
fn a_worker_that_uses_more_than_it_needed_is_told_and_records_on() {
    let supervision = "[supervision]\nmemory_baseline_ms = 1000\nmemory_margin = \"500KB\"\nmemory_floor = \"1MB\"\n";
    let mut holdfast = Holdfast::new(&format!("{supervision}{}", test_inputs(1, "auto")));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &["cam1"]);
    let worker = holdfast.worker_pid("cam1");
    // What it needs is measured after a second; then somebody watches, and it needs a ring of pictures as well.
    wait_media(&holdfast, "cam1", Duration::from_secs(2));
    wait_kept(&holdfast, |kept| kept["measured"]["cam1"]["busy"].is_u64());
    let mut viewer = Viewer::watch(&holdfast, "cam1");
    viewer.pictures(3, LIVE_WITHIN);
    let alert = wait_alert(&holdfast, "cam1", "worker_memory", "active");
    println!("{}", alert["message"]);
    assert_eq!((alert["severity"].as_str(), alert["actions"].clone()), (Some("warning"), json!(["acknowledge"])));
    let health = holdfast.api("GET", "/api/v1/health", &[], None).expect("an answer").body;
    let resources = health["resources"].as_array().expect("a list");
    let row = resources.iter().find(|row| row["name"] == "cam1").expect("a row");
    assert!(row["memory_bytes"].is_u64() && row["memory_budget_bytes"].is_u64(), "{row}");
    wait_media(&holdfast, "cam1", Duration::from_secs(6));
    assert_eq!(holdfast.worker_pid("cam1"), worker, "a recording worker was replaced for memory");
    holdfast.cli_ok(&["record", "stop"]);
    let session = holdfast.session();
    assert_eq!(parts(&manifest(&session), "cam1").len(), 1);
    assert_no_frame_missing(&session.join("cam1.mp4"));
}

/// Lets process `pid` open at most so many files; the hard limit stays.
fn limit_files(pid: u32, soft: u64) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("it runs");
    let row = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("a row");
    let maximum = row.split_whitespace().nth(1).and_then(|hard| hard.parse().ok());
    let wanted = Rlimit { current: Some(soft), maximum };
    prlimit(Pid::from_raw(pid.cast_signed()), Resource::Nofile, wanted).expect("a lower limit is taken");
}

#[test]
fn files_that_run_out_are_told_before_they_do_and_health_says_what_is_in_use() {
    let mut holdfast = Holdfast::new(&test_inputs(1, "auto"));
    let engine = holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    let live = holdfast.api("GET", "/api/v1/health/live", &[], None).expect("an answer");
    assert_eq!((live.status, &live.body["pid"]), (200, &json!(engine)), "{live:?}");
    let health = || holdfast.api("GET", "/api/v1/health", &[], None).expect("an answer").body;
    let with = |files: u64| {
        let deadline = Deadline::after(SEEN_WITHIN);
        loop {
            let seen = health();
            let all = |rows: &Vec<Value>| rows.len() == 2 && rows[1]["threads"].is_u64();
            let enough = seen["resources"][0]["open_files"].as_u64() >= Some(files);
            if enough && seen["resources"].as_array().is_some_and(all) {
                return seen;
            }
            assert!(deadline.left().is_some(), "processes are not looked at: {seen:#}");
            wait_for_change(&holdfast.library(), ASK_AGAIN);
        }
    };
    let alone = with(1)["resources"][0]["open_files"].as_u64().expect("it is known");
    // So many that one more or less is no matter: there is to be room for whoever asks, though little of it.
    let _clients: Vec<_> = (0..CLIENTS).map(|_| holdfast.events().expect("a stream")).collect();
    // The one that asked before may be among those alone.
    let seen = with(alone + CLIENTS - 1);
    let services: Vec<_> = seen["services"].as_array().expect("a list").iter().map(|one| one["name"].clone()).collect();
    assert_eq!(services, [json!("engine"), json!("cam1"), json!("storage")]);
    let files = seen["resources"][0]["open_files"].as_u64().expect("it is known");
    println!("the engine has {files} open files: {}", seen["resources"][0]);
    assert_eq!(seen["breakers"][0], json!({"name": "cam1", "status": "closed", "open_count": null}));
    assert!(seen["memory"]["available_bytes"].as_u64() > Some(0));
    // Some above the 80 % that are worth a word.
    limit_files(engine, files * 100 / 85);
    let alert = wait_alert(&holdfast, "engine", "limit_near", "active");
    assert_eq!(alert["params"]["what"], "open files", "{alert}");
    let deadline = Deadline::after(SEEN_WITHIN);
    while health()["overall"] != "degraded" {
        assert!(deadline.left().is_some(), "{:#}", health());
        wait_for_change(&holdfast.library(), ASK_AGAIN);
    }
    limit_files(engine, 1024);
    wait_alert(&holdfast, "engine", "limit_near", "resolved");
}

#[test]
fn a_critical_alert_reaches_the_operators_command_one_log_line_and_the_next_engine() {
    // The script hangs: that is its own business.
    let script = "echo \\\"$HOLDFAST_ALERT_CODE|$HOLDFAST_ALERT_SOURCE|$HOLDFAST_ALERT_SEVERITY|$HOLDFAST_ALERT_MESSAGE\\\" \
                  >> \\\"$HOME/told\\\"; exec tail -f /dev/null";
    let supervision =
        format!("[supervision]\nalert_command = [\"sh\", \"-c\", \"{script}\"]\nalert_command_limit_ms = 500\n");
    let mut holdfast = Holdfast::new(&format!("{supervision}{}", test_inputs(1, "auto")));
    let engine = holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    let worker = holdfast.worker_pid("cam1");
    holdfast.signal(worker, Signal::KILL);
    let told = holdfast.root().join("home/told");
    let deadline = Deadline::after(SEEN_WITHIN);
    while !std::fs::read_to_string(&told).is_ok_and(|text| text.ends_with('\n')) {
        assert!(deadline.left().is_some(), "the command is not told");
        wait_for_change(&holdfast.root().join("home"), ASK_AGAIN);
    }
    let told = std::fs::read_to_string(&told).expect("it was told");
    let words: Vec<&str> = told.trim().split('|').collect();
    assert_eq!(words[..3], ["worker_died", "cam1", "critical"], "{told}");
    let alert = find(&holdfast, "cam1", "worker_died").expect("it is told");
    assert_eq!(alert["message"], words[3]);
    assert_eq!(alert["acknowledged"], json!(false));
    holdfast.wait_live(LIVE_WITHIN);

    let mut events = holdfast.events().expect("a stream");
    let ack = |holdfast: &Holdfast, id: &Value| {
        holdfast.api("POST", &format!("/api/v1/alerts/{id}/ack"), &[], None).expect("an answer")
    };
    let unseen = holdfast.status()["alerts"]["unacknowledged"].as_u64().expect("a number");
    for _ in 0..2 {
        let reply = ack(&holdfast, &alert["id"]);
        assert_eq!((reply.status, &reply.body["alert"]["acknowledged"]), (200, &json!(true)), "{reply:?}");
    }
    assert_eq!(ack(&holdfast, &json!(4711)).body["code"], "unknown_alert");
    let deadline = Deadline::after(SEEN_WITHIN);
    let mut heard = 0;
    while heard == 0 {
        let left = deadline.left().expect("every client learns it");
        if let Some(event) = events.next(left).expect("a stream") {
            heard += usize::from(event["kind"] == "alert" && event["data"]["acknowledged"] == true);
        }
    }
    holdfast.wait_until("it counts as seen", SEEN_WITHIN, |snapshot| {
        snapshot["alerts"]["unacknowledged"].as_u64() < Some(unseen)
    });
    while std::fs::read_to_string(holdfast.log()).is_ok_and(|log| !log.contains("the command for alerts failed")) {
        assert!(deadline.left().is_some(), "the command hangs for ever");
        wait_for_change(&holdfast.root().join("home"), ASK_AGAIN);
    }
    // Whatever was said before that is in the log by now.
    assert_eq!(lines(&holdfast, "worker_died"), 1);
    assert_eq!(holdfast.processes().len(), 2, "the command was left behind");

    // Kept within a second; and who leaves, keeps it at once.
    holdfast.signal(engine, Signal::TERM);
    assert!(holdfast.ended(engine, SEEN_WITHIN));
    holdfast.spawn_engine();
    let kept = find(&holdfast, "cam1", "worker_died").expect("it is kept");
    assert_eq!((&kept["acknowledged"], kept["actions"].clone()), (&json!(true), json!([])), "{kept}");
    let few = holdfast.api("GET", "/api/v1/alerts?limit=0", &[], None).expect("an answer").body;
    assert_eq!(few["alerts"], json!([]));
    assert!(few["kept"].as_u64() >= Some(1), "{few}");
}

/// Without an engine nobody ends it after its time, and the next one would tell it again, beside the old one.
#[test]
fn the_operators_command_does_not_outlive_an_engine_that_is_killed() {
    let script = "echo $$ > \\\"$HOME/told\\\"; exec tail -f /dev/null";
    let supervision =
        format!("[supervision]\nalert_command = [\"sh\", \"-c\", \"{script}\"]\nalert_command_limit_ms = 60000\n");
    let mut holdfast = Holdfast::new(&format!("{supervision}{}", test_inputs(1, "auto")));
    let engine = holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    holdfast.signal(holdfast.worker_pid("cam1"), Signal::KILL);
    let told = holdfast.root().join("home/told");
    let deadline = Deadline::after(SEEN_WITHIN);
    let command: u32 = loop {
        if let Some(pid) = std::fs::read_to_string(&told).ok().and_then(|text| text.strip_suffix('\n')?.parse().ok()) {
            break pid;
        }
        assert!(deadline.left().is_some(), "the command is not told");
        wait_for_change(&holdfast.root().join("home"), ASK_AGAIN);
    };
    assert!(!holdfast.ended(command, Duration::from_secs(1)), "it ends while its engine lives");
    holdfast.signal(engine, Signal::KILL);
    assert!(holdfast.ended(command, SEEN_WITHIN), "it goes on without an engine");
}

/// PEERS 3: whatever is told, and however often, is told beside the recording.
#[test]
fn a_flood_of_alerts_costs_the_recording_no_frame() {
    let mut config =
        String::from("[supervision]\nalert_command = [\"false\"]\n[retry]\nfirst_ms = 100\ncap_ms = 100\n")
            + &test_inputs(1, "auto");
    for n in 0..6 {
        config += &format!("[[input]]\nid = \"far{n}\"\nkind = \"rtsp\"\nurl = \"rtsp://127.0.0.1:9/{n}\"\n");
    }
    let mut holdfast = Holdfast::new(&config);
    holdfast.spawn_engine();
    holdfast.wait_until("one input is live", LIVE_WITHIN, |snapshot| find_input(snapshot, "cam1")["state"] == "live");
    start(&holdfast, &["cam1"]);
    let worker = holdfast.worker_pid("cam1");
    wait_media(&holdfast, "cam1", Duration::from_secs(1));
    // Six inputs that cannot be opened ten times a second; a session that began with one of seven; processes that die.
    for n in 0..3 {
        let far = holdfast.worker_pid(&format!("far{n}"));
        holdfast.signal(far, Signal::KILL);
    }
    wait_alert(&holdfast, "engine", "partial_start", "active");
    wait_alert(&holdfast, "far5", "error_rate", "active");
    wait_media(&holdfast, "cam1", Duration::from_secs(6));
    let told = holdfast.status()["alerts"].clone();
    println!("{told}");
    assert!(told["critical"].as_u64() >= Some(1) && told["warning"].as_u64() >= Some(6), "{told}");
    assert_eq!(holdfast.worker_pid("cam1"), worker);
    holdfast.cli_ok(&["record", "stop"]);
    let session = holdfast.session();
    assert_eq!(parts(&manifest(&session), "cam1").len(), 1);
    assert_no_frame_missing(&session.join("cam1.mp4"));
}

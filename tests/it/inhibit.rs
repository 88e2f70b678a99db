//! The machine does not sleep while it records, and when it is shut down all the same, files are closed first
//! (R-SUP-12): against a stand-in for logind on a bus of its own.

use crate::adopt::{CLOSED_WITHIN, lines};
use crate::record::{LIVE_WITHIN, start, wait_media};
use crate::support::evidence::{assert_no_frame_missing, manifest, parts};
use crate::support::proc::{Holdfast, find_input, rounds, test_inputs, wait_for_change};
use crate::support::process::{self, Deadline, Running};
use crate::support::rtsp::PYTHON;
use crate::support::skip::skip;
use rustix::process::Signal;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

const LOGIND: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/logind.py");
/// Python and its bindings come up within a second; this is for a machine under full load.
const UP_WITHIN: Duration = Duration::from_secs(30);
/// A lock is taken and let go of within a second; this is for a machine under full load.
const SOON: Duration = Duration::from_secs(15);
/// What a start may take (R-CMD-2).
const ANSWERED_WITHIN: Duration = Duration::from_secs(8);
/// A bus that does not answer is given up after 2 s: who begins so much before that has not waited for it.
const BEFORE_THE_BUS: jiff::SignedDuration = jiff::SignedDuration::from_secs(1);
/// That is 30 s after it did not answer.
const ASKED_AGAIN_WITHIN: Duration = Duration::from_secs(90);
const BLOCK: &str = "take sleep:shutdown:idle block";
const DELAY: &str = "take shutdown delay";

/// A bus, and who answers on it.
struct Logind {
    log: PathBuf,
    stand_in: Running,
    _bus: Running,
}

impl Logind {
    /// For the processes of `holdfast`: as system bus, and as session bus where `session` is among `args`.
    fn start(holdfast: &mut Holdfast, args: &[&str]) -> Self {
        Self::start_at(holdfast, "logind", args)
    }

    /// The same for one of several buses.
    fn start_at(holdfast: &mut Holdfast, name: &str, args: &[&str]) -> Self {
        let path = |extension: &str| holdfast.root().join(name).with_extension(extension);
        let (config, log) = (path("conf"), path("log"));
        let policy = "<policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/>\
                      <allow eavesdrop=\"true\"/><allow own=\"*\"/></policy>";
        let address = format!("unix:path={}", path("bus").display());
        let text = format!(
            "<busconfig><type>session</type><listen>{address}</listen><auth>EXTERNAL</auth>{policy}</busconfig>"
        );
        std::fs::write(&config, text).expect("the folder is ours");
        let mut bus = holdfast.command("dbus-daemon");
        bus.args(["--nofork", "--nopidfile", "--print-address=1", "--config-file"]).arg(config);
        let (bus, _) = Running::start_and_hear("dbus-daemon", &mut bus, UP_WITHIN);
        holdfast.set_env("DBUS_SYSTEM_BUS_ADDRESS", PathBuf::from(&address));
        if args.contains(&"session") {
            holdfast.set_env("DBUS_SESSION_BUS_ADDRESS", PathBuf::from(address));
        }
        let stand_in = stand_in(holdfast, args, &log);
        let logind = Self { log, stand_in, _bus: bus };
        logind.wait_for(&["ready"], UP_WITHIN);
        logind
    }

    /// It ends, as in an update of the system; the bus lives.
    fn leave(&mut self) {
        self.stand_in.kill();
    }

    /// Another one comes to the same bus; what is said from here on it has said.
    fn come_back(&mut self, holdfast: &Holdfast, args: &[&str]) {
        self.log = holdfast.root().join("logind2.log");
        self.stand_in = stand_in(holdfast, args, &self.log);
        self.wait_for(&["ready"], UP_WITHIN);
    }

    fn said(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn wait_for(&self, wanted: &[&str], time: Duration) {
        let deadline = Deadline::after(time);
        let folder = self.log.parent().expect("a folder");
        while !wanted.iter().all(|line| self.said().iter().any(|said| said == line)) {
            let complaints = || process::tail(&self.log.with_extension("stderr"), 20);
            let left = deadline.left();
            let left = left.unwrap_or_else(|| panic!("no {wanted:?} in {time:?}: {:?}; {}", self.said(), complaints()));
            wait_for_change(folder, left.min(Duration::from_millis(100)));
        }
    }
}

fn stand_in(holdfast: &Holdfast, args: &[&str], log: &Path) -> Running {
    let mut python = holdfast.command(PYTHON);
    // What its libraries complain of is not what it says.
    let complaints = process::log_file(&log.with_extension("stderr"));
    python.arg(LOGIND).args(args).stdout(process::log_file(log)).stderr(complaints);
    Running::start("the stand-in for logind", &mut python)
}

/// The alert that the machine may sleep.
fn told(holdfast: &Holdfast) -> Option<Value> {
    let body = holdfast.api("GET", "/api/v1/alerts", &[], None).expect("an answer").body;
    let alerts = body["alerts"].as_array().cloned().unwrap_or_default();
    alerts.into_iter().find(|alert| alert["code"] == "sleep_not_inhibited" && alert["state"] == "active")
}

fn wait_told(holdfast: &Holdfast, time: Duration) -> String {
    holdfast.wait_until("it is told", time, |_| told(holdfast).is_some());
    told(holdfast).expect("still").get("message").and_then(Value::as_str).expect("words").to_owned()
}

fn recorder() -> Holdfast {
    Holdfast::new(&test_inputs(1, "auto"))
}

#[test]
fn locks_are_held_while_something_records_and_a_shutdown_waits_for_the_files() {
    let mut holdfast = recorder();
    let logind = Logind::start(&mut holdfast, &["allow", "session"]);
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    assert_eq!(logind.said(), ["ready"], "nothing is held while nothing records");
    start(&holdfast, &["cam1"]);
    logind.wait_for(&[BLOCK, DELAY, "session take 13"], SOON);
    assert!(told(&holdfast).is_none());
    wait_media(&holdfast, "cam1", Duration::from_millis(1000));
    assert!(!logind.said().iter().any(|said| said.contains("release")), "{:?}", logind.said());
    let stopped = Deadline::after(CLOSED_WITHIN);
    logind.stand_in.signal(Signal::USR1);
    logind.wait_for(&["release shutdown delay", "release sleep:shutdown:idle block", "session release"], CLOSED_WITHIN);
    println!("the system waited {:?}", stopped.elapsed());
    // Whoever waited for the lock finds everything closed.
    let session = holdfast.session();
    let journal = lines(&session.join("journal.jsonl"));
    assert_eq!(journal.last().map(|line| line["kind"].clone()), Some("closed".into()), "{journal:#?}");
    let manifest = manifest(&session);
    assert_eq!(manifest["state"], "completed");
    assert_no_frame_missing(&session.join(parts(&manifest, "cam1")[0]["file"].as_str().expect("a name")));
    assert!(holdfast.engine().runs(), "only the recording is over");
}

/// Its bus lives, so nothing was noticed: the machine could go to sleep under the recording.
#[test]
fn a_service_that_is_restarted_on_a_living_bus_is_asked_again() {
    let mut holdfast = recorder();
    let mut logind = Logind::start(&mut holdfast, &["allow", "session"]);
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &["cam1"]);
    logind.wait_for(&[BLOCK, DELAY, "session take 13"], SOON);
    logind.leave();
    let message = wait_told(&holdfast, SOON);
    assert!(message.contains("login1"), "{message}");
    logind.come_back(&holdfast, &["allow", "session"]);
    logind.wait_for(&[BLOCK, DELAY, "session take 13"], SOON);
    holdfast.wait_until("it is over", SOON, |_| told(&holdfast).is_none());
    // And what is taken then is let go of like everything else.
    holdfast.cli_ok(&["record", "stop"]);
    logind.wait_for(&["release shutdown delay", "release sleep:shutdown:idle block", "session release"], SOON);
}

#[test]
fn a_refusal_and_a_bus_that_is_mute_are_told_and_hold_nothing_up() {
    for (answer, words) in [("refuse", "Permission denied"), ("mute", "no answer")] {
        let mut holdfast = recorder();
        let logind = Logind::start(&mut holdfast, &[answer]);
        holdfast.spawn_engine();
        holdfast.wait_live(LIVE_WITHIN);
        let asked = Deadline::after(ANSWERED_WITHIN);
        holdfast.cli_ok(&["record", "start", "--no-wait", "--name", "test"]);
        assert!(asked.left().is_some(), "{answer}: the start took {:?}", asked.elapsed());
        let message = wait_told(&holdfast, SOON);
        if answer == "mute" {
            // By the engine's own times: it began, and then the bus was given up.
            let time = |value: &Value| value.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
            let began = time(&holdfast.status()["session"]["started_at"]).expect("it runs");
            let given_up = told(&holdfast).and_then(|alert| time(&alert["at"])).expect("it is told");
            assert!(given_up.duration_since(began) >= BEFORE_THE_BUS, "the start waited: {began}, {given_up}");
        }
        assert!(message.contains(words), "{answer}: {message}");
        if answer == "refuse" {
            // What may be had is had, and a shutdown is waited for all the same.
            logind.wait_for(&["take shutdown block", "take idle block", DELAY], SOON);
        }
        wait_media(&holdfast, "cam1", Duration::from_millis(500));
        holdfast.cli_ok(&["record", "stop"]);
        holdfast.wait_until("resolved", SOON, |_| told(&holdfast).is_none());
    }
}

/// What logind did not answer in time is asked for again, and nothing is let go of for that, neither before nor behind the
/// answer; and what it says meanwhile is heard.
#[test]
fn what_is_held_is_held_while_somebody_else_is_asked_again() {
    if rounds(0, 1) == 0 {
        return skip("it takes half a minute: part of make torture");
    }
    let mut holdfast = recorder();
    let logind = Logind::start(&mut holdfast, &["half", "session"]);
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &["cam1"]);
    logind.wait_for(&[BLOCK, "asked shutdown delay", "session take 13"], SOON);
    let again = Deadline::after(ASKED_AGAIN_WITHIN);
    for round in 2..4 {
        let asked = |said: &&String| *said == "asked sleep:shutdown:idle block";
        while logind.said().iter().filter(asked).count() < round {
            assert!(again.left().is_some(), "{:?}", logind.said());
            wait_for_change(holdfast.root(), Duration::from_millis(100));
        }
    }
    let said: Vec<String> = logind.said().into_iter().filter(|said| !said.starts_with("asked")).collect();
    assert_eq!(said, ["ready", BLOCK, "session take 13"], "{:?}", logind.said());
    // It has been asked the third time, and does not answer.
    logind.stand_in.signal(Signal::USR1);
    logind.wait_for(&["release sleep:shutdown:idle block", "session release"], CLOSED_WITHIN);
    let journal = lines(&holdfast.session().join("journal.jsonl"));
    assert_eq!(journal.last().map(|line| line["kind"].clone()), Some("closed".into()), "{journal:#?}");
}

/// It is gone for two seconds, and nobody tells that it has come back.
#[test]
fn a_system_bus_that_is_restarted_is_asked_again_while_the_session_holds() {
    if rounds(0, 1) == 0 {
        return skip("it takes half a minute: part of make torture");
    }
    let mut holdfast = recorder();
    let desktop = Logind::start_at(&mut holdfast, "session", &["none", "session"]);
    let system = Logind::start_at(&mut holdfast, "system", &["allow"]);
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &["cam1"]);
    system.wait_for(&[BLOCK, DELAY], SOON);
    desktop.wait_for(&["session take 13"], SOON);
    drop(system);
    std::fs::remove_file(holdfast.root().join("system.log")).expect("what it said");
    let media = find_input(&holdfast.status(), "cam1")["recording"]["media_ms"].as_u64().expect("media");
    wait_media(&holdfast, "cam1", Duration::from_millis(media + 2000));
    let system = Logind::start_at(&mut holdfast, "system", &["allow"]);
    system.wait_for(&[BLOCK, DELAY], ASKED_AGAIN_WITHIN);
    assert_eq!(desktop.said(), ["ready", "session take 13"], "what is held there is not asked for again");
    holdfast.cli_ok(&["record", "stop"]);
}

#[test]
fn without_any_bus_recording_begins_as_quickly_and_that_is_told() {
    let mut holdfast = recorder();
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    let asked = Deadline::after(ANSWERED_WITHIN);
    holdfast.cli_ok(&["record", "start", "--no-wait", "--name", "test"]);
    assert!(asked.left().is_some(), "the start took {:?}", asked.elapsed());
    let message = wait_told(&holdfast, SOON);
    assert!(message.contains("no system bus; no session bus"), "{message}");
    assert_eq!(told(&holdfast).map(|alert| alert["severity"].clone()), Some("info".into()));
    wait_media(&holdfast, "cam1", Duration::from_millis(500));
    holdfast.cli_ok(&["record", "stop"]);
}

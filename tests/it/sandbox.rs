//! A process namespace between the recorder's own processes (R-SUP-7, R-TRU-3, R-PKG-2): a number means nothing in another
//! one, or somebody else.

use crate::adopt::assert_one_session;
use crate::priority::{TOLD_WITHIN, own_nice, rung};
use crate::record::{LIVE_WITHIN, RECORDS_WITHIN, start, wait_media};
use crate::support::display::Display;
use crate::support::guest::Guest;
use crate::support::proc::{BINARY, Holdfast, find_input, test_inputs};
use crate::support::process::{self, Running};
use crate::support::skip::skip;
use rustix::process::{Pid, Signal, getpriority_process};
use serde_json::Value;
use std::time::Duration;

/// Usage is read every 2 s, threads are looked at every second: each twice.
const LOOKED_TWICE: Duration = Duration::from_millis(4500);

/// The process of `holdfast` that is called `number` in a namespace within ours.
fn called(holdfast: &Holdfast, number: u32) -> Option<Pid> {
    let is = |pid: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        numbers.split_ascii_whitespace().nth(1) == Some(&number.to_string())
    };
    Pid::from_raw(holdfast.processes().into_iter().find(is)?.cast_signed())
}

/// The beginning of a command in a process namespace of its own, with a `/proc` of it; `None` = not allowed here.
fn sandbox(holdfast: &Holdfast) -> Option<std::process::Command> {
    let args = ["--pid", "--fork", "--kill-child", "--mount-proc"];
    let made = std::process::Command::new("unshare").args(args).arg("true").status();
    let mut command = holdfast.command("unshare");
    command.args(args);
    made.is_ok_and(|status| status.success()).then_some(command)
}

const NO_SANDBOX: &str = "it needs root, and a kernel that makes PID namespaces and gives away numbers";

#[test]
fn workers_outside_a_sandbox_are_gone_on_with_and_nobody_in_it_is_taken_for_one() {
    let mut holdfast = Holdfast::new(&test_inputs(1, "auto"));
    let Some(mut command) = sandbox(&holdfast) else { return skip(NO_SANDBOX) };
    let engine = holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &["cam1"]);
    wait_media(&holdfast, "cam1", Duration::from_secs(1));
    let (worker, id) = (holdfast.worker_pid("cam1"), holdfast.status()["session"]["id"].clone());
    holdfast.signal(engine, Signal::KILL);
    assert!(holdfast.ended(engine, RECORDS_WITHIN));
    // Somebody in the sandbox has the worker's number.
    let script = format!(
        "echo {} > /proc/sys/kernel/ns_last_pid; tail -f /dev/null > /dev/null & echo $!; {BINARY} engine & wait",
        worker - 1
    );
    command.args(["sh", "-c", &script]).stderr(process::log_file(&holdfast.log()));
    let (sandbox, decoy) = Running::start_and_hear("a sandbox", &mut command, LIVE_WITHIN);
    if decoy.trim() != worker.to_string() {
        return skip(NO_SANDBOX);
    }
    let decoy = called(&holdfast, worker).expect("it was heard of");
    let nice = getpriority_process(Some(decoy)).expect("it runs");
    let seen = holdfast.wait_until("the session goes on", RECORDS_WITHIN, |snapshot| {
        find_input(snapshot, "cam1")["recording"]["state"] == "recording"
    });
    assert_eq!(seen["session"]["id"], id);
    let media = find_input(&seen, "cam1")["recording"]["media_ms"].as_u64().expect("media");
    wait_media(&holdfast, "cam1", Duration::from_millis(media) + LOOKED_TWICE);
    let now = holdfast.status();
    let view = &find_input(&now, "cam1")["worker"];
    assert!(view["uptime_ms"].as_u64() > Some(1000), "{view}");
    for what in ["pid", "rss_bytes", "cpu_percent", "nice"] {
        assert_eq!(view[what], Value::Null, "{view}");
    }
    assert_eq!(
        getpriority_process(Some(decoy)).expect("it runs"),
        nice,
        "a stranger was given the recorder's priority"
    );
    holdfast.cli_ok(&["record", "stop"]);
    assert_one_session(&holdfast.session(), &[("cam1", 1)]);
    assert!(sandbox.runs());
}

/// Its session was begun outside, as that of CI or of a Flatpak is: the kernel has no number for it.
#[test]
fn a_window_in_a_sandbox_steps_back_and_lives() {
    let Some(guest) = Guest::root_without(&test_inputs(1, "auto"), "sys_nice") else { return };
    let Some(command) = sandbox(&guest.holdfast) else { return skip(NO_SANDBOX) };
    let display = Display::start(&guest.holdfast, 1000, 700);
    let log = guest.holdfast.root().join("window.log");
    let mut command = guest.command_through(command);
    display.attach(&mut command).stdout(process::log_file(&log)).stderr(process::log_file(&log));
    let window = Running::start("the window", &mut command);
    let snapshot = guest.wait_until("the window steps back", LIVE_WITHIN + TOLD_WITHIN, |snapshot| {
        assert!(window.runs(), "the window is gone:\n{}", process::tail(&log, 30));
        rung(snapshot, "ui_lowered").0 == "granted" && find_input(snapshot, "cam1")["state"] == "live"
    });
    assert_eq!(rung(&snapshot, "ui_lowered").1, format!("the window runs at nice {}", own_nice().max(10)));
    assert!(window.runs(), "the window is gone:\n{}", process::tail(&log, 30));
}

//! An engine that is stopped for 20 s and woken: one engine goes on, and nothing is written twice (DESIGN §1, R-SUP-3).
//!
//! The engine is stopped in the middle of a split, so that the facts of both inputs lie unread in its sockets: what it
//! would write when it is woken is what another engine may have written meanwhile.

use crate::adopt::{CLOSED_WITHIN, INPUTS, assert_one_session, lines};
use crate::record::{LIVE_WITHIN, RECORDS_WITHIN, start, wait_media};
use crate::support::demux;
use crate::support::proc::{BINARY, Holdfast, find_input, rounds, test_inputs, wait_for_change};
use crate::support::process::{self, Deadline, Running};
use crate::support::skip::skip;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::{Value, json};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

/// How long the engine is stopped.
const STOPPED: Duration = Duration::from_secs(20);
/// A line of a log, or a fragment of a file, comes within this on a busy machine.
const NEWS_WITHIN: Duration = Duration::from_secs(1);

/// Enough to see what happens; the whole 20 s are waited for in `make torture`, and once in every check.
fn briefly() -> Duration {
    Duration::from_secs(rounds(5, 20).into())
}

/// Media of `input` in the files of `session`, read from the files themselves: they grow whatever engine runs.
fn media(session: &Path, input: &str) -> f64 {
    let files = std::fs::read_dir(session).expect("a session").flatten().map(|entry| entry.path());
    let ours = files.filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.ends_with(".mp4") && name.split('.').next() == Some(input)
    });
    ours.map(|path| demux::ffprobe(&path).video.duration()).sum()
}

/// Waits until `input` has recorded `more` than it had; the recording is the clock.
fn record_on(session: &Path, input: &str, had: f64, more: Duration) {
    let deadline = Deadline::after(more + RECORDS_WITHIN);
    while media(session, input) < had + more.as_secs_f64() {
        assert!(deadline.left().is_some(), "{input} does not record on");
        wait_for_change(session, NEWS_WITHIN);
    }
}

/// A recorder whose engine was stopped while both inputs went on to their second part.
struct Stopped {
    holdfast: Holdfast,
    /// Opened while the engine ran: whatever has its number later is not hit.
    pidfd: OwnedFd,
    id: String,
    workers: Vec<u32>,
    had: f64,
}

/// Whether this machine lets us make PID namespaces.
fn makes_namespaces() -> bool {
    let made = std::process::Command::new("unshare").args(["--pid", "--fork", "true"]).status();
    made.is_ok_and(|status| status.success())
}

const NO_NAMESPACES: &str = "it needs root, and a kernel that makes PID namespaces";

fn workers(holdfast: &Holdfast) -> Vec<u32> {
    INPUTS.iter().map(|input| holdfast.worker_pid(input)).collect()
}

fn stop_engine_in_a_split() -> Stopped {
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    let engine = holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &INPUTS);
    for input in INPUTS {
        wait_media(&holdfast, input, Duration::from_millis(1500));
    }
    let id = holdfast.status()["session"]["id"].as_str().expect("a session").to_owned();
    let workers = workers(&holdfast);
    let pid = Pid::from_raw(engine.cast_signed()).expect("a process");
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("it runs");
    let split = holdfast.api("POST", "/api/v1/recorder/split", &[], Some(&json!({}))).expect("an answer");
    assert_eq!(split.status, 202, "{split:?}");
    holdfast.signal(engine, Signal::STOP);
    let had = media(&holdfast.session(), INPUTS[0]);
    Stopped { holdfast, pidfd, id, workers, had }
}

impl Stopped {
    fn wait(&self, time: Duration) {
        record_on(&self.holdfast.session(), INPUTS[0], self.had, time);
    }

    fn wake(&self) -> Result<(), Errno> {
        pidfd_send_signal(&self.pidfd, Signal::CONT)
    }

    fn await_recording(&self) -> Value {
        self.holdfast.wait_until("the session goes on", RECORDS_WITHIN, |snapshot| {
            snapshot["session"]["id"] == self.id.as_str()
                && INPUTS.iter().all(|input| find_input(snapshot, input)["recording"]["state"] == "recording")
        })
    }

    /// Records on, stops, and looks at every line and every frame.
    fn finish(self, adopted: usize) {
        let seen = self.await_recording();
        assert_eq!(workers(&self.holdfast), self.workers, "a worker was replaced");
        let media = find_input(&seen, INPUTS[1])["recording"]["media_ms"].as_u64().expect("media");
        wait_media(&self.holdfast, INPUTS[1], Duration::from_millis(media + 1000));
        self.holdfast.cli_ok(&["record", "stop"]);
        self.holdfast.wait_until("the session is closed", CLOSED_WITHIN, |now| {
            now["session"].is_null() && now["last_session"]["id"] == self.id.as_str()
        });
        assert_eq!(self.holdfast.sessions().len(), 1);
        let session = self.holdfast.session();
        let manifest = assert_one_session(&session, &INPUTS.map(|input| (input, 2)));
        assert_eq!(manifest["state"], "completed", "{manifest:#}");
        let lines = lines(&session.join("journal.jsonl"));
        let of_kind = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).count();
        assert_eq!(
            (of_kind("adopted"), of_kind("stop_requested"), of_kind("worker_lost")),
            (adopted, 1, 0),
            "{lines:#?}"
        );
    }
}

#[test]
fn an_engine_that_is_killed_after_20_s_of_silence_cannot_be_woken() {
    let mut stopped = stop_engine_in_a_split();
    let mut old = stopped.holdfast.release_engine();
    // It finds out by itself that the first one hangs, and kills it through a pidfd.
    stopped.holdfast.spawn_engine();
    let status = old.wait(RECORDS_WITHIN).expect("two engines run: what hangs would write again once it is woken");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(Signal::KILL.as_raw()));
    stopped.await_recording();
    stopped.wait(briefly());
    assert_eq!(stopped.wake(), Err(Errno::SRCH), "whoever was stopped is gone");
    stopped.finish(1);
}

#[test]
fn an_engine_that_was_overtaken_for_20_s_is_woken_and_writes_nothing() {
    let mut stopped = stop_engine_in_a_split();
    // Nobody can see its locks any more; whoever comes takes over beside it.
    for lock in [stopped.holdfast.runtime().join("engine.lock"), stopped.holdfast.library().join(".holdfast.lock")] {
        std::fs::remove_file(lock).expect("a lock");
    }
    let mut old = stopped.holdfast.release_engine();
    stopped.holdfast.spawn_engine();
    stopped.await_recording();
    stopped.wait(STOPPED);
    assert!(old.runs(), "it is stopped, and was not seen");
    assert_eq!(stopped.wake(), Ok(()));
    let status = old.wait(RECORDS_WITHIN).expect("the engine that was overtaken leaves");
    assert_eq!(status.code(), Some(1));
    assert!(process::tail(&stopped.holdfast.log(), 60).contains("has taken over"));
    stopped.finish(1);
}

#[test]
fn an_engine_that_cannot_be_killed_is_waited_for_and_goes_on_when_it_is_woken() {
    if !makes_namespaces() {
        return skip(NO_NAMESPACES);
    }
    let mut stopped = stop_engine_in_a_split();
    let log = stopped.holdfast.root().join("second.log");
    // In a namespace that does not contain the first engine: as in a sandbox, nobody there can end it.
    let mut command = stopped.holdfast.command("unshare");
    command.args(["--pid", "--fork", "--kill-child", BINARY, "engine"]);
    command.stdout(process::log_file(&log)).stderr(process::log_file(&log));
    let mut second = Running::start("an engine in a sandbox", &mut command);
    let deadline = Deadline::after(RECORDS_WITHIN);
    while !process::tail(&log, 20).contains("cannot be ended from here") {
        assert!(second.runs() && deadline.left().is_some(), "it does not say so: {}", process::tail(&log, 20));
        wait_for_change(stopped.holdfast.root(), NEWS_WITHIN);
    }
    stopped.wait(briefly());
    assert!(second.runs(), "it waits: {}", process::tail(&log, 20));
    assert!(stopped.holdfast.engine().runs(), "the first is only stopped");
    assert_eq!(stopped.wake(), Ok(()));
    let status = second.wait(RECORDS_WITHIN).expect("two engines run");
    let said = process::tail(&log, 20);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("an engine is running already"), "{said}");
    stopped.finish(0);
}

#[test]
fn workers_of_a_sandbox_are_gone_on_with_by_an_engine_outside() {
    if !makes_namespaces() {
        return skip(NO_NAMESPACES);
    }
    let mut holdfast = Holdfast::new(&test_inputs(1, "auto"));
    // The shell is the first process of the namespace: the kernel ends all others with it.
    let mut command = holdfast.command("unshare");
    let script = format!("{BINARY} engine & echo started; wait; exec tail -f /dev/null > /dev/null");
    command.args(["--pid", "--fork", "--kill-child", "sh", "-c", &script]).stderr(process::log_file(&holdfast.log()));
    let (_sandbox, _) = Running::start_and_hear("a sandbox", &mut command, LIVE_WITHIN);
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &["cam1"]);
    wait_media(&holdfast, "cam1", Duration::from_secs(1));
    let id = holdfast.status()["session"]["id"].as_str().expect("a session").to_owned();
    let is_engine = |pid: &u32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.starts_with(BINARY.as_bytes()) && words.ends_with(b"engine\0")
    };
    let engine = holdfast.processes().into_iter().find(is_engine).expect("an engine");
    holdfast.signal(engine, Signal::KILL);
    assert!(holdfast.ended(engine, RECORDS_WITHIN));
    // To the worker this one has the number 0.
    holdfast.spawn_engine();
    let seen = holdfast.wait_until("the session goes on", RECORDS_WITHIN, |snapshot| {
        find_input(snapshot, "cam1")["recording"]["state"] == "recording"
    });
    assert_eq!(seen["session"]["id"], id.as_str());
    let media = find_input(&seen, "cam1")["recording"]["media_ms"].as_u64().expect("media");
    wait_media(&holdfast, "cam1", Duration::from_millis(media + 1000));
    holdfast.cli_ok(&["record", "stop"]);
    assert_one_session(&holdfast.session(), &[("cam1", 1)]);
}

//! The engine as a service: what systemd hears of it, and the unit that is installed (R-SUP-11).

use crate::adopt::CLOSED_WITHIN;
use crate::record::{LIVE_WITHIN, start, wait_media};
use crate::support::evidence::{assert_no_frame_missing, manifest, parts};
use crate::support::proc::{BINARY, Holdfast, test_inputs};
use crate::support::process::{self, Deadline, readable};
use crate::support::skip::skip;
use rustix::process::Signal;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// What the test's service manager waits for a sign of life.
const WATCHDOG: Duration = Duration::from_secs(3);
/// Beyond what was promised, on a machine under full load.
const BUSY: Duration = Duration::from_secs(5);
/// An engine leaves within 5 s (R-SUP-13).
const LEAVES_WITHIN: Duration = Duration::from_secs(10);
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// A service manager that only listens.
struct Manager(UnixDatagram);

impl Manager {
    fn new(holdfast: &mut Holdfast) -> Self {
        let path = holdfast.root().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        holdfast.set_env("NOTIFY_SOCKET", path);
        holdfast.set_env("WATCHDOG_USEC", PathBuf::from(WATCHDOG.as_micros().to_string()));
        Self(socket)
    }

    /// The next words, `None` = none within `time`.
    fn hear(&self, time: Duration) -> Option<String> {
        let mut words = [0; 1024];
        readable(&self.0, time).then(|| {
            let count = self.0.recv(&mut words).expect("it is readable");
            String::from_utf8_lossy(&words[..count]).into_owned()
        })
    }

    /// Waits for words with `wanted` in them; those heard until then, too.
    fn wait_for(&self, wanted: &str, time: Duration) -> String {
        let deadline = Deadline::after(time);
        let mut heard = String::new();
        while !heard.contains(wanted) {
            let left = deadline.left().unwrap_or_else(|| panic!("no {wanted:?} within {time:?}: {heard:?}"));
            heard += &self.hear(left).unwrap_or_default();
        }
        heard
    }
}

#[test]
fn systemd_hears_that_the_engine_serves_lives_and_leaves() {
    let mut holdfast = Holdfast::new(&test_inputs(1, "auto"));
    let manager = Manager::new(&mut holdfast);
    let engine = holdfast.spawn_engine();
    let first = manager.wait_for("READY=1", BUSY);
    assert!(first.contains("STATUS=idle, 1 inputs"), "{first}");
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &["cam1"]);
    let heard = manager.wait_for("STATUS=recording test: 1 of 1 inputs", BUSY);
    assert!(!heard.contains("READY=1"), "said once: {heard}");
    // Whoever gives none for so long is killed.
    for _ in 0..3 {
        manager.wait_for("WATCHDOG=1", WATCHDOG);
    }
    // A loop that stands still gives no sign of life. The signal is only on its way when it was sent.
    holdfast.signal(engine, Signal::STOP);
    wait_stopped(engine);
    while manager.hear(Duration::ZERO).is_some() {}
    let silent = manager.hear(WATCHDOG / 3 + Duration::from_millis(500));
    assert_eq!(silent, None, "who stands still says nothing");
    holdfast.signal(engine, Signal::CONT);
    manager.wait_for("WATCHDOG=1", BUSY);
    holdfast.signal(engine, Signal::TERM);
    let last = manager.wait_for("STOPPING=1", BUSY);
    assert!(last.contains("STATUS=leaving; recordings go on"), "{last}");
    assert!(holdfast.engine().wait(LEAVES_WITHIN).is_some_and(|status| status.success()));
    assert_eq!(holdfast.processes().len(), 1, "its worker records on");
    // The manager is gone, and the next engine lives all the same.
    drop(manager);
    holdfast.spawn_engine();
    wait_media(&holdfast, "cam1", Duration::from_millis(2000));
    holdfast.cli_ok(&["record", "stop"]);
    holdfast.wait_until("closed", CLOSED_WITHIN, |snapshot| snapshot["session"].is_null());
    let session = holdfast.session();
    let manifest = manifest(&session);
    let parts = parts(&manifest, "cam1");
    assert_eq!(parts.len(), 1, "{manifest:#}");
    assert_no_frame_missing(&session.join(parts[0]["file"].as_str().expect("a name")));
}

/// Waits until every thread of `pid` stands still.
fn wait_stopped(pid: u32) {
    let deadline = Deadline::after(BUSY);
    let state = |stat: &str| stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    let runs = |task: std::fs::DirEntry| {
        std::fs::read_to_string(task.path().join("stat")).is_ok_and(|stat| state(&stat) != Some('T'))
    };
    while std::fs::read_dir(format!("/proc/{pid}/task")).expect("it lives").flatten().any(runs) {
        assert!(deadline.left().is_some(), "it does not stop");
        std::thread::yield_now();
    }
}

/// Installs into a folder and lets systemd read the unit; its complaints about it. What it has to say about other units
/// that it loads on the way is the machine's business.
fn verify(change: impl Fn(&str) -> String) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let mut install = Command::new(Path::new(ROOT).join("scripts/install"));
    install.arg(BINARY).arg(folder.path().join("usr"));
    let installed = process::run("scripts/install", &mut install, folder.path(), ENDS_WITHIN);
    assert_eq!(installed.code, Some(0), "{installed:?}");
    let unit = folder.path().join("usr/lib/systemd/user/holdfast-engine.service");
    let text = std::fs::read_to_string(&unit).expect("installed");
    std::fs::write(&unit, change(&text)).expect("ours");
    let mut analyze = Command::new("systemd-analyze");
    analyze.args(["verify", "--user"]).arg(&unit).env("XDG_RUNTIME_DIR", folder.path()).env("HOME", folder.path());
    let verified = process::run("systemd-analyze", &mut analyze, folder.path(), ENDS_WITHIN);
    let said = verified.stdout + &verified.stderr;
    said.lines().filter(|line| line.contains("holdfast")).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_unit_is_installed_and_systemd_has_nothing_to_say_about_it() {
    if process::program("systemd-analyze").is_none() {
        return skip("systemd is not installed");
    }
    assert_eq!(verify(str::to_owned), "");
    // Its exit code is 0 all the same.
    assert!(verify(|unit| unit.replace("KillMode", "KilMode")).contains("KilMode"));
    let unit = std::fs::read_to_string(Path::new(ROOT).join("data/systemd/holdfast-engine.service")).expect("ours");
    for promised in
        ["Type=notify", "Restart=always", "RestartSec=5", "WatchdogSec=30", "KillMode=process", "OOMPolicy=continue"]
    {
        assert!(unit.lines().any(|line| line == promised), "{promised} (R-SUP-11)");
    }
}

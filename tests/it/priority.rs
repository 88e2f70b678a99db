//! The priority of a recording, read back from every thread, as whoever runs it may have it (R-SUP-7): root, an ordinary
//! user, one with the capability, one whom the portal or RealtimeKit helps. Whatever is refused is told, and it records.

use crate::record::{LIVE_WITHIN, RECORDS_WITHIN, start, wait_media};
use crate::support::bus::Bus;
use crate::support::demux;
use crate::support::display::Display;
use crate::support::guest::Guest;
use crate::support::proc::{Holdfast, find_input, rounds, test_inputs};
use crate::support::process::{self, Deadline};
use crate::support::skip::skip;
use serde_json::Value;
use std::collections::BTreeSet;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::Duration;

const NICE: i32 = -10;
const MEDIA: Duration = Duration::from_secs(1);
/// Everything is looked at every second; a bus that hangs is given up after 2 s, twice.
pub const TOLD_WITHIN: Duration = Duration::from_secs(15);
/// One that has lent all it has for now is asked again after 20 s.
const LENT_WITHIN: Duration = Duration::from_secs(20 + TOLD_WITHIN.as_secs());
/// H.265 with x265's pool of helpers, which lower themselves: too many pixels for one thread, at few pictures per second.
const BIG_H265: &str = "[[input]]\nid = \"big\"\nkind = \"test\"\nwidth = 1920\nheight = 1080\nfps = 15\n\
                        audio = \"silence\"\ncodec = \"h265\"\n";

/// Name, nice value and processors of every thread of a process.
fn threads(pid: u32) -> Vec<(String, i32, String)> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let thread = |task: std::fs::DirEntry| {
        let read = |name| std::fs::read_to_string(task.path().join(name)).ok();
        let stat = read("stat")?;
        let nice = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(16)?.parse().ok()?;
        let status = read("status")?;
        let cpus = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?.trim().to_owned();
        Some((read("comm")?.trim().to_owned(), nice, cpus))
    };
    tasks.filter_map(thread).collect()
}

fn worst_nice(pid: u32) -> Option<i32> {
    threads(pid).into_iter().map(|(_, nice, _)| nice).max()
}

/// What `ionice` says of every thread of a process.
fn io_classes(pid: u32) -> BTreeSet<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let tids: Vec<String> = tasks.map(|task| task.file_name().to_string_lossy().into_owned()).collect();
    let said = tids.iter().map(|tid| Command::new("ionice").args(["-p", tid]).output().expect("ionice"));
    let said = said.filter(|said| said.status.success());
    said.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned()).collect()
}

fn oom(pid: u32) -> i32 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).expect("the process runs");
    text.trim().parse().expect("a number")
}

/// Result and detail of a rung.
pub fn rung<'a>(snapshot: &'a Value, name: &str) -> (&'a str, &'a str) {
    let rungs = snapshot["priority"]["rungs"].as_array().into_iter().flatten();
    let found = rungs.into_iter().find(|rung| rung["rung"] == name);
    found.map_or(("", ""), |rung| {
        (rung["result"].as_str().unwrap_or_default(), rung["detail"].as_str().unwrap_or_default())
    })
}

/// What this process has, and whatever it starts begins with: a machine may run its tests at any priority.
pub fn own_nice() -> i32 {
    rustix::process::getpriority_process(None).expect("this process runs")
}

fn own_oom() -> i32 {
    oom(std::process::id())
}

fn worker(snapshot: &Value, input: &str) -> u32 {
    let pid = find_input(snapshot, input)["worker"]["pid"].as_u64();
    pid.and_then(|pid| u32::try_from(pid).ok()).unwrap_or_else(|| panic!("{input} has no worker: {snapshot:#}"))
}

/// Whether this process may give itself a higher priority.
fn may_raise() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let caps = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_default().trim();
    u64::from_str_radix(caps, 16).is_ok_and(|caps| caps & (1 << 23) != 0)
}

/// What only time can change is waited for: threads that have just begun are looked at within a second.
fn eventually(what: &str, within: Duration, holds: impl Fn() -> bool, seen: impl Fn() -> String) {
    let deadline = Deadline::after(within);
    while !holds() {
        assert!(deadline.left().is_some(), "{what}: {}", seen());
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

fn assert_protected(pid: u32, within: Duration) {
    eventually(
        "every thread at nice -10",
        within,
        || worst_nice(pid).is_some_and(|nice| nice <= NICE),
        || format!("{:?}", threads(pid)),
    );
    assert_eq!(io_classes(pid), BTreeSet::from(["best-effort: prio 0".to_owned()]), "{:?}", threads(pid));
}

/// Lines of the log with `words`.
fn logged(holdfast: &Holdfast, words: &str) -> Vec<String> {
    let log = std::fs::read_to_string(holdfast.log()).expect("a log");
    log.lines().filter(|line| line.contains(words)).map(str::to_owned).collect()
}

/// Waits for such a line: a thread of its own writes them.
fn wait_logged(holdfast: &Holdfast, words: &str) {
    let seen = || process::tail(&holdfast.log(), 60);
    eventually("the log says it", RECORDS_WITHIN, || !logged(holdfast, words).is_empty(), seen);
}

/// The log has a line for each alert (R-ALR-7).
const REFUSAL: &str = "\"code\":\"priority_refused\"";

#[test]
fn as_root_every_thread_has_it_also_those_that_lower_themselves() {
    if !may_raise() {
        return skip("a higher priority needs CAP_SYS_NICE");
    }
    let mut holdfast = Holdfast::new(&(test_inputs(1, "auto") + BIG_H265));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &["cam1", "big"]);
    wait_media(&holdfast, "big", MEDIA);
    for input in ["cam1", "big"] {
        assert_protected(holdfast.worker_pid(input), RECORDS_WITHIN);
    }
    let snapshot = holdfast.wait_until("the priority is told", TOLD_WITHIN, |snapshot| {
        snapshot["priority"]["nice"] == NICE
            && rung(snapshot, "setpriority").0 == "granted"
            && ["granted", "absent"].contains(&rung(snapshot, "group").0)
    });
    let priority = &snapshot["priority"];
    assert_eq!((&priority["via"], &priority["io"]), (&"setpriority".into(), &"be0".into()), "{priority:#}");
    assert_eq!((rung(&snapshot, "inherited").0, rung(&snapshot, "rtkit").0), ("absent", "not_needed"));
    assert_eq!(rung(&snapshot, "io").0, "granted");
    let spared = worker(&snapshot, "cam1");
    let told = if oom(spared) <= -500 { "granted" } else { "refused" };
    assert_eq!(rung(&snapshot, "oom").0, told, "{priority:#}");
    holdfast.cli_ok(&["record", "stop"]);
    // Whatever was said before is in the log by then.
    wait_logged(&holdfast, "/api/v1/recorder/stop");
    assert_eq!(logged(&holdfast, REFUSAL).len(), 0, "{snapshot:#}");
    let told = logged(&holdfast, "the recording is protected");
    let achieved = |line: &String| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        (line["nice"].clone(), line["rungs"].clone())
    };
    let told: Vec<_> = told.iter().map(achieved).collect();
    assert!(
        !told.is_empty() && told.windows(2).all(|two| two[0] != two[1]),
        "what was achieved is said once: {told:#?}"
    );
}

#[test]
fn an_ordinary_user_is_refused_and_told_and_records() {
    // Small pictures of x265, none of whose threads may lower itself: nobody here could take that back.
    let config = test_inputs(1, "auto") + "codec = \"h265\"\n";
    let Some(mut guest) = Guest::new(&config, &[]) else { return };
    // Connects, and never hears a word.
    let mute = guest.holdfast.root().join("mute");
    let _mute = UnixListener::bind(&mute).expect("a socket");
    std::fs::set_permissions(&mute, std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("ours");
    guest.set("DBUS_SYSTEM_BUS_ADDRESS", &format!("unix:path={}", mute.display()));
    guest.spawn_engine();
    guest.wait_until("live", LIVE_WITHIN, |snapshot| find_input(snapshot, "cam1")["state"] == "live");
    // While the bus is still being waited for.
    guest.cli_ok(&["record", "start"]);
    let snapshot =
        guest.wait_until("everything was tried", TOLD_WITHIN, |snapshot| rung(snapshot, "rtkit").0 == "absent");
    assert_eq!(rung(&snapshot, "rtkit").1, "it does not answer");
    wait_logged(&guest.holdfast, REFUSAL);
    let (result, why) = rung(&snapshot, "setpriority");
    assert!(result == "refused" && why.contains("os error 13"), "EACCES is no {why}");
    assert_eq!((rung(&snapshot, "portal").0, rung(&snapshot, "ui_lowered").0), ("absent", "absent"));
    let priority = &snapshot["priority"];
    let nice = own_nice();
    assert_eq!((&priority["nice"], &priority["via"], &priority["io"]), (&nice.into(), &"none".into(), &"be0".into()));
    assert_eq!(worst_nice(worker(&snapshot, "cam1")), Some(nice));
    assert!(["refused", "absent"].contains(&rung(&snapshot, "group").0), "{priority:#}");
    assert_eq!(oom(worker(&snapshot, "cam1")), own_oom());
    guest.wait_until("media", RECORDS_WITHIN, |snapshot| snapshot["session"]["safe_ms"].as_u64() >= Some(2000));
    guest.cli_ok(&["record", "stop"]);
    let file = &guest.holdfast.media(&guest.holdfast.session())[0];
    assert!(demux::ffprobe(file).video.samples() > 50);
}

#[test]
fn with_the_capability_an_ordinary_user_is_granted_it() {
    if !may_raise() {
        return skip("a capability to hand down is needed");
    }
    let granted = ["--inh-caps=+sys_nice", "--ambient-caps=+sys_nice"];
    // Started within milliseconds: the kernel lets the scheduling group of one of them be raised per 100 ms.
    let Some(mut guest) = Guest::new(&test_inputs(3, "auto"), &granted) else { return };
    guest.spawn_engine();
    let inputs = ["cam1", "cam2", "cam3"];
    guest.wait_until("live", LIVE_WITHIN, |snapshot| {
        inputs.iter().all(|input| find_input(snapshot, input)["state"] == "live")
    });
    guest.cli_ok(&["record", "start"]);
    let snapshot = guest.wait_until("the priority is told", TOLD_WITHIN, |snapshot| {
        rung(snapshot, "setpriority").0 == "granted"
            && ["granted", "absent"].contains(&rung(snapshot, "group").0)
            && snapshot["session"]["state"] == "recording"
    });
    assert_eq!((&snapshot["priority"]["nice"], &snapshot["priority"]["via"]), (&NICE.into(), &"setpriority".into()));
    assert_protected(worker(&snapshot, "cam1"), RECORDS_WITHIN);
    guest.cli_ok(&["record", "stop"]);
}

/// Records as an ordinary user whom `name` helps; every thread is read back.
fn helped(name: &str, variable: &'static str, prepare: impl FnOnce(&mut Bus, &Holdfast) -> bool) {
    let Some(mut guest) = Guest::new(&test_inputs(1, "auto"), &[]) else { return };
    let mut bus = Bus::start(&guest.holdfast);
    if !prepare(&mut bus, &guest.holdfast) {
        return skip("RealtimeKit is not installed");
    }
    guest.set(variable, &bus.address);
    guest.spawn_engine();
    let idle = guest.wait_until("it is there", TOLD_WITHIN, |snapshot| {
        find_input(snapshot, "cam1")["state"] == "live" && rung(snapshot, name).0 == "not_needed"
    });
    assert_eq!(idle["alerts"]["info"], 0, "nothing was refused that was asked for: {idle:#}");
    guest.cli_ok(&["record", "start"]);
    let snapshot = guest.wait_until("the priority is told", LENT_WITHIN, |snapshot| {
        let granted = ["granted", "partly"].contains(&rung(snapshot, name).0);
        granted && snapshot["session"]["media_ms"].as_u64() >= Some(1000)
    });
    assert_eq!((rung(&snapshot, "setpriority").0, &snapshot["priority"]["via"]), ("refused", &name.into()));
    let pid = worker(&snapshot, "cam1");
    // An encoder has a thread per processor: with many of them there are more than are lent to.
    if threads(pid).len() <= 25 {
        assert_protected(pid, LENT_WITHIN);
        guest.wait_until("all of it is told", LENT_WITHIN, |snapshot| {
            snapshot["priority"]["nice"] == NICE && rung(snapshot, name).0 == "granted"
        });
    } else {
        let working = |(name, nice, _): &(String, i32, String)| name.contains("source") && *nice <= NICE;
        let is_lent = || threads(pid).iter().any(working);
        eventually("it is lent to who works", LENT_WITHIN, is_lent, || format!("{:?}", threads(pid)));
    }
    guest.cli_ok(&["record", "stop"]);
    if name == "portal" {
        // New threads, and nothing to count questions but the real one.
        guest.cli_ok(&["record", "start"]);
        assert_protected(pid, LENT_WITHIN);
        guest.cli_ok(&["record", "stop"]);
    }
}

#[test]
fn realtime_kit_lends_it_to_every_thread() {
    helped("rtkit", "DBUS_SYSTEM_BUS_ADDRESS", |bus, holdfast| bus.add_realtime_kit(holdfast));
}

#[test]
fn the_portal_lends_it_to_every_thread() {
    helped("portal", "DBUS_SESSION_BUS_ADDRESS", |bus, holdfast| {
        bus.add(holdfast, "portal");
        true
    });
}

#[test]
fn a_window_steps_back_and_the_engine_it_starts_does_not() {
    let Some(guest) = Guest::root_without(&test_inputs(1, "auto"), "sys_nice") else { return };
    steps_back(&guest, &[]);
}

/// A display of one user with the window of another one: what that needs beside the recorder no machine promises.
#[test]
fn so_does_the_window_of_an_ordinary_user() {
    if rounds(0, 1) == 0 {
        return skip("part of make torture");
    }
    let Some(guest) = Guest::new(&test_inputs(1, "auto"), &[]) else { return };
    // The buses of the display belong to root, and turn everybody else away.
    steps_back(&guest, &[("GTK_A11Y", "none")]);
}

fn steps_back(guest: &Guest, env: &[(&str, &str)]) {
    let display = Display::start(&guest.holdfast, 1000, 700);
    let log = guest.holdfast.root().join("window.log");
    let mut command = guest.command();
    display.attach(&mut command).stdout(process::log_file(&log)).stderr(process::log_file(&log));
    command.envs(guest.env()).envs(env.iter().copied());
    let window = process::Running::start("the window", &mut command);
    let snapshot = guest.wait_until("the window steps back", LIVE_WITHIN + TOLD_WITHIN, |snapshot| {
        assert!(window.runs(), "the window is gone:\n{}", process::tail(&log, 30));
        rung(snapshot, "ui_lowered").0 == "granted" && find_input(snapshot, "cam1")["state"] == "live"
    });
    let priority = &snapshot["priority"];
    // Who began even further back may not come forward.
    let (nice, score) = (own_nice().max(10), oom(window.pid()));
    assert!(score == 300 || score == own_oom() && score > 300, "{score}");
    assert_eq!(
        (&priority["via"], &priority["oom_score_adj_ui"]),
        (&"ui_lowered".into(), &score.into()),
        "{priority:#}"
    );
    assert_eq!(rung(&snapshot, "ui_lowered").1, format!("the window runs at nice {nice}"));
    let of_window = || threads(window.pid()).into_iter().filter(|(name, ..)| name != "engine-starter");
    // A library may have a thread at an even higher value (Mesa's that writes its cache).
    assert!(of_window().all(|(_, of_thread, _)| of_thread >= nice), "{:?}", threads(window.pid()));

    let all = of_window().next().expect("a thread").2;
    let several = all != "0" && (all.contains('-') || all.contains(','));
    guest.cli_ok(&["record", "start"]);
    if several {
        let left = |cpus: &str| cpus != all;
        eventually(
            "the window keeps off a processor",
            RECORDS_WITHIN,
            || of_window().all(|(_, _, cpus)| left(&cpus)),
            || format!("{:?}", threads(window.pid())),
        );
    }
    // The engine goes, and the window starts another; it records on.
    let engine = guest.holdfast.processes().into_iter().find(|pid| threads(*pid)[0].0 == "holdfast-engine");
    guest.holdfast.signal(engine.expect("an engine"), rustix::process::Signal::KILL);
    assert!(guest.holdfast.ended(engine.expect("an engine"), RECORDS_WITHIN));
    guest.wait_until("another engine", LIVE_WITHIN, |snapshot| snapshot["session"]["state"] == "recording");
    for pid in guest.holdfast.processes() {
        let threads = threads(pid);
        if threads.first().is_some_and(|(name, ..)| ["holdfast-engine", "holdfast-worker"].contains(&name.as_str())) {
            assert!(threads.iter().all(|(_, nice, cpus)| *nice == own_nice() && *cpus == all), "{threads:?}");
            assert_eq!(oom(pid), own_oom(), "{threads:?}");
        }
    }
    guest.cli_ok(&["record", "stop"]);
    eventually(
        "the window runs everywhere again",
        RECORDS_WITHIN,
        || of_window().all(|(_, _, cpus)| cpus == all),
        || format!("{:?}", threads(window.pid())),
    );
}

/// Processors that differ are put on by binding a file over what the kernel says of the first.
#[test]
fn where_processors_differ_the_recording_gets_the_fast_ones() {
    const CAPACITY: &str = "/sys/devices/system/cpu/cpu0/cpu_capacity";
    let cpus: usize = std::thread::available_parallelism().map_or(1, usize::from);
    if !rustix::process::getuid().is_root() || !std::path::Path::new(CAPACITY).exists() || cpus < 2 {
        return skip("a mount namespace (root) and two processors whose capacity the kernel names are needed");
    }
    let mut holdfast = Holdfast::new(&test_inputs(1, "auto"));
    let wrapper = holdfast.root().join("uneven");
    let slow = holdfast.root().join("slow");
    std::fs::write(&slow, "512\n").expect("ours");
    let slow_path = slow.to_string_lossy();
    let mut probe = Command::new("unshare");
    probe.args(["-m", "mount", "--bind", &slow_path, CAPACITY]);
    let may = process::try_run("unshare", &mut probe, holdfast.root(), TOLD_WITHIN);
    if let Some(why) = may.map_or_else(Some, |said| (said.code != Some(0)).then_some(said.stderr)) {
        return skip(&format!("a mount namespace is needed: {}", why.trim()));
    }
    let binary = crate::support::proc::BINARY;
    let text = format!(
        "#!/bin/sh\nexec unshare -m sh -c 'mount --bind {} {CAPACITY} && exec {binary} \"$@\"' holdfast \"$@\"\n",
        slow.display()
    );
    std::fs::write(&wrapper, text).expect("ours");
    std::fs::set_permissions(&wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
    holdfast.spawn_engine_of(&wrapper);
    let snapshot = holdfast.wait_until("the processors are told", TOLD_WITHIN, |snapshot| {
        rung(snapshot, "affinity").0 == "granted" && find_input(snapshot, "cam1")["state"] == "live"
    });
    let told = snapshot["priority"]["cpus"].as_array().expect("a list");
    assert!(!told.contains(&0.into()) && told.len() < cpus, "{told:?}");
    let threads = threads(worker(&snapshot, "cam1"));
    assert!(threads.iter().all(|(_, _, cpus)| !cpus.starts_with('0')), "{threads:?}");
}

//! What recording costs, and how fast it starts and stops, at reference load (4 × 640×360 at 30, x264 ultrafast).
//!
//! Contract: everything is measured from outside, on the files and in `/proc`, not by what the recorder says of
//! itself. Prints one line per number with its target; the exit code is 1 when a target is missed.
#![allow(
    clippy::disallowed_methods,
    reason = "a bench starts programs, plants files and reads clocks of its own; src/ may not"
)]

#[path = "../tests/it/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "a tool box shared with the tests, which brings its own")]
mod support;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use support::demux;
use support::display::Display;
use support::media_file;
use support::proc::{Holdfast, test_inputs};
use support::process::{self, Running};

/// Starts and stops (issue 2).
const ROUNDS: usize = 20;
/// Runs of each side of the comparison; the median counts.
const RUNS: usize = 5;
/// Length of a round's recording: some fragments, so that closing has something to close.
const ROUND: Duration = Duration::from_secs(2);
/// CPU is counted over this time: at 10 ms per tick it is true to about 1 %.
const COUNTED: Duration = Duration::from_secs(10);
/// A pipeline has found its pace after this.
const SETTLED: Duration = Duration::from_secs(2);
/// Anything later than this is no number but a fault.
const NEVER: Duration = Duration::from_secs(30);
/// Ticks per second of `/proc/<pid>/stat` on Linux (USER_HZ).
const TICKS: f64 = 100.0;

fn main() -> ExitCode {
    // `cargo bench` passes flags of the standard harness.
    let mut report = Report::default();
    latency(&mut report);
    cpu(&mut report);
    memory(&mut report);
    if report.missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints numbers and counts missed targets.
#[derive(Debug, Default)]
struct Report {
    missed: u32,
}

impl Report {
    fn line(&mut self, what: &str, value: f64, unit: &str, target: Option<f64>) {
        let missed = target.is_some_and(|target| value > target);
        self.missed += u32::from(missed);
        let target = target.map_or(String::new(), |target| format!("target {target} {unit}"));
        println!("{what:<52} {value:>9.3} {unit:<3} {target}{}", if missed { "  MISSED" } else { "" });
    }
}

/// The value below which `percent` of `values` lie (nearest rank).
fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied().unwrap_or(f64::NAN)
}

fn latency(report: &mut Report) {
    let mut holdfast = Holdfast::new(&test_inputs(4, "auto"));
    holdfast.spawn_engine();
    holdfast.wait_live(NEVER);
    let (mut starts, mut stops) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let begin = Instant::now();
        let body = serde_json::json!({ "name": format!("round {round}") });
        let reply = holdfast.api("POST", "/api/v1/recorder/start", &[], Some(&body)).expect("the engine answers");
        assert_eq!(reply.status, 201, "{}", reply.body);
        let session = holdfast.session();
        let first =
            |files: &[Vec<String>]| files.len() == 4 && files.iter().all(|boxes| boxes.iter().any(|b| b == "moof"));
        starts.push(until(&holdfast, &session, begin, first));
        holdfast.wait_until("some media", NEVER, |snapshot| {
            snapshot["session"]["safe_ms"].as_u64().is_some_and(|ms| u128::from(ms) >= ROUND.as_millis())
        });
        let begin = Instant::now();
        let reply =
            holdfast.api("POST", "/api/v1/recorder/stop", &[], Some(&serde_json::json!({}))).expect("an answer");
        assert_eq!(reply.status, 202, "{}", reply.body);
        let closed =
            |files: &[Vec<String>]| files.len() == 4 && files.iter().all(|boxes| boxes == &["ftyp", "mdat", "moov"]);
        stops.push(until(&holdfast, &session, begin, closed));
        holdfast.wait_until("the session closed", NEVER, |snapshot| snapshot["session"].is_null());
    }
    for (what, values, target) in [
        ("start → first fragment in all 4 files", &mut starts, 1.0),
        ("stop → all 4 files ordinary MP4", &mut stops, 2.0),
    ] {
        report.line(&format!("{what}, p50"), percentile(values, 50), "s", Some(target));
        report.line(&format!("{what}, p99"), percentile(values, 99), "s", Some(target));
    }
}

/// Seconds from `begin` until the top-level boxes of the session's files satisfy `done`.
fn until(holdfast: &Holdfast, session: &Path, begin: Instant, done: impl Fn(&[Vec<String>]) -> bool) -> f64 {
    let mut seen = Vec::new();
    while begin.elapsed() < NEVER {
        let read = |path: &std::path::PathBuf| demux::top_level_boxes(&std::fs::read(path).unwrap_or_default());
        seen = holdfast.media(session).iter().map(read).collect();
        if done(&seen) {
            return begin.elapsed().as_secs_f64();
        }
        support::proc::wait_for_change(session, Duration::from_millis(20));
    }
    let boxes: Vec<usize> = seen.iter().map(Vec::len).collect();
    panic!("{}: not within {NEVER:?}; top-level boxes per file: {boxes:?}", session.display());
}

/// A worker against `gst-launch-1.0` with the same elements: decode, rate, scale, convert, x264, AAC, fragmented MP4.
fn cpu(report: &mut Report) {
    let folder = tempfile::tempdir().expect("a folder");
    let film = folder.path().join("film.mp4");
    media_file::camera_of_size(&film, 60, "640x360");
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        ours.push(worker_cpu(&film));
        bare.push(bare_cpu(&film));
    }
    let (ours, bare) = (percentile(&mut ours, 50), percentile(&mut bare, 50));
    report.line("CPU per frame, worker (640×360 file with sound)", ours * 1e3, "ms", None);
    report.line("CPU per frame, gst-launch-1.0", bare * 1e3, "ms", None);
    report.line("worker / gst-launch-1.0", ours / bare, "", Some(1.05));
}

/// CPU seconds per frame of a worker that records `film` while nobody watches.
fn worker_cpu(film: &Path) -> f64 {
    let input = "[[input]]\nid = \"cam1\"\nkind = \"file\"\nrepeat = true\n";
    let mut holdfast = Holdfast::new(&format!("{input}path = \"{}\"\n", film.display()));
    holdfast.spawn_engine();
    holdfast.wait_live(NEVER);
    holdfast.cli_ok(&["record", "start"]);
    let pid = holdfast.worker_pid("cam1");
    let settled = holdfast.ended(pid, SETTLED);
    let (before, begin) = (cpu_seconds(pid), Instant::now());
    let ended = settled || holdfast.ended(pid, COUNTED);
    let (spent, frames) = (cpu_seconds(pid) - before, begin.elapsed().as_secs_f64() * f64::from(media_file::FPS));
    assert!(!ended, "the worker ended: {}", process::tail(&holdfast.log(), 20));
    holdfast.cli_ok(&["record", "stop"]);
    spent / frames
}

/// CPU seconds per frame of the bare pipeline.
fn bare_cpu(film: &Path) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let pipeline = format!(
        "filesrc location={film} ! decodebin name=d \
         d. ! video/x-raw ! identity sync=true ! queue ! videorate ! videoscale ! videoconvert \
         ! video/x-raw,format=I420,framerate=30/1 ! queue ! videoconvert \
         ! x264enc bitrate=4000 key-int-max=30 speed-preset=ultrafast tune=zerolatency bframes=0 ! h264parse ! queue ! m. \
         d. ! audio/x-raw ! identity sync=true ! queue ! audioconvert ! audioresample ! mix. \
         audiotestsrc is-live=true wave=silence ! mix. \
         audiomixer name=mix latency=100000000 ! audio/x-raw,format=S16LE,rate=48000,channels=2 ! level \
         ! queue ! audioconvert ! avenc_aac bitrate=160000 ! queue ! m. \
         mp4mux name=m fragment-duration=500 ! filesink location={out}",
        film = film.display(),
        out = folder.path().join("bare.mp4").display()
    );
    let mut command = Command::new("gst-launch-1.0");
    command.arg("-q").args(pipeline.split_whitespace());
    let mut running = Running::start("gst-launch-1.0", command.stdin(std::process::Stdio::null()));
    let settled = running.wait(SETTLED);
    let (before, begin) = (cpu_seconds(running.pid()), Instant::now());
    let ended = settled.or_else(|| running.wait(COUNTED));
    assert!(ended.is_none(), "gst-launch-1.0 ended: {ended:?}");
    (cpu_seconds(running.pid()) - before) / (begin.elapsed().as_secs_f64() * f64::from(media_file::FPS))
}

/// CPU seconds a process has used (user and system, all threads).
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name may hold anything, so fields are counted from its closing parenthesis: state is the first.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(f64::NAN);
    (ticks(11) + ticks(12)) / TICKS
}

/// Memory of each process while four inputs record and a window shows them.
fn memory(report: &mut Report) {
    let mut holdfast = Holdfast::new(&test_inputs(4, "auto"));
    let display = Display::start(&holdfast, 1280, 800);
    let engine = holdfast.spawn_engine();
    holdfast.wait_live(NEVER);
    let mut window = display.window(&holdfast, &[]);
    holdfast.wait_until("four previews", NEVER, |snapshot| {
        let inputs = snapshot["inputs"].as_array().into_iter().flatten();
        inputs.filter(|input| input["preview"]["state"] == "live").count() == 4
    });
    holdfast.cli_ok(&["record", "start"]);
    assert!(
        window.wait(COUNTED).is_none(),
        "the window ended: {}",
        process::tail(&holdfast.root().join("window.log"), 20)
    );
    report.line("engine, PSS", pss_megabytes(engine), "MB", Some(40.0));
    for input in ["cam1", "cam2", "cam3", "cam4"] {
        report.line(&format!("worker {input}, PSS"), pss_megabytes(holdfast.worker_pid(input)), "MB", Some(200.0));
    }
    report.line("window with four previews, PSS", pss_megabytes(window.pid()), "MB", Some(250.0));
    holdfast.cli_ok(&["record", "stop"]);
}

/// Memory of a process in MB, shared pages counted by their share.
fn pss_megabytes(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.map_or(f64::NAN, |kilobytes| kilobytes / 1024.0)
}

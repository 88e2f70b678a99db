//! What recording costs, and how fast it starts and stops, at reference load (4 × 640×360 at 30, x264 ultrafast).
//!
//! Contract: everything is measured from outside, on the files and in `/proc`, not by what the recorder says of
//! itself. Prints one line per number with its target; the exit code is 1 when a target is missed. Names of chapters
//! (`latency`, `cpu`, `memory`, `supervision`, `overload`, `window`) as arguments restrict it to those.
//!
//! # What a worker's CPU time is compared with
//!
//! `gst-launch-1.0` with the elements of a worker, the settings of a worker and nothing else. The test source exists
//! in our program only, so both sides play the same film in real time: its decoding costs both the same. `isofmp4mux`
//! is linked into our program and cannot be named to `gst-launch-1.0`; `mp4mux fragment-duration=500 ! filesink` takes
//! its place, so what stands against it is all a worker adds: joints between the pipelines, the clip, tallies, syncs,
//! status, facts. Both sides of a pair run at the same nice level and *at the same time*, because the CPU time of one
//! and the same work depends on what else the machine does (caches, clock rate, sibling threads): a pair shares that,
//! two runs one after the other do not. The ratio is the median of the ratios of the pairs.
#![allow(
    clippy::disallowed_methods,
    reason = "a bench starts programs, plants files and reads clocks of its own; src/ may not"
)]

#[path = "recorder/overload.rs"]
mod overload;
#[path = "recorder/supervision.rs"]
mod supervision;
#[path = "../tests/it/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "a tool box shared with the tests, which brings its own")]
mod support;
#[path = "recorder/window.rs"]
mod window;

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
/// Pairs compared; the median counts.
const PAIRS: usize = 5;
/// Length of a round's recording: some fragments, so that closing has something to close.
const ROUND: Duration = Duration::from_secs(2);
/// CPU is counted over this time: at 10 ms per tick it is true to about 0.5 %.
const COUNTED: Duration = Duration::from_secs(20);
/// Memory is read this long after the recording began.
const SHOWN: Duration = Duration::from_secs(10);
/// A side that recorded fewer of the frames it should have did less work: no comparison.
const PACE: f64 = 0.98;
/// A pipeline has found its pace after this.
const SETTLED: Duration = Duration::from_secs(2);
/// Anything later than this is no number but a fault.
const NEVER: Duration = Duration::from_secs(30);
/// Ticks per second of `/proc/<pid>/stat` on Linux (USER_HZ).
const TICKS: f64 = 100.0;

fn main() -> ExitCode {
    // `cargo bench` passes flags of the standard harness; they are no chapters.
    let named: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    if let Some(tiles) = named.strip_prefix(&[window::BARE.to_owned()]) {
        return window::bare(tiles);
    }
    type Chapter = (&'static str, fn(&mut Report));
    let chapters: [Chapter; 6] = [
        ("latency", latency),
        ("cpu", cpu),
        ("memory", memory),
        ("supervision", supervision::measure),
        ("overload", overload::measure),
        ("window", window::measure),
    ];
    let mut report = Report::default();
    for (name, chapter) in chapters {
        if named.is_empty() || named.iter().any(|wanted| wanted == name) {
            chapter(&mut report);
        }
    }
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

/// A worker against `gst-launch-1.0`; see the module.
fn cpu(report: &mut Report) {
    let folder = tempfile::tempdir().expect("a folder");
    let film = folder.path().join("film.mp4");
    media_file::camera_of_size(&film, 60, "640x360");
    let pairs: Vec<Pair> = (0..PAIRS).map(|_| pair(&film)).collect();
    let of = |take: fn(&Pair) -> f64| -> Vec<f64> { pairs.iter().map(take).collect() };
    let (mut ours, mut bare, mut ratios) = (of(|p| p.cpu[0]), of(|p| p.cpu[1]), of(|p| p.cpu[0] / p.cpu[1]));
    report.line("CPU per frame, worker (640×360 file with sound)", percentile(&mut ours, 50) * 1e3, "ms", None);
    report.line("CPU per frame, gst-launch-1.0", percentile(&mut bare, 50) * 1e3, "ms", None);
    report.line("worker / gst-launch-1.0", percentile(&mut ratios, 50), "", Some(1.05));
    println!("  of the pairs: {ratios:.3?}");
    // All a worker adds, of which supervision is a part: the preview's frames and the written fragment are in it too.
    report.line("worker, PSS", percentile(&mut of(|p| p.memory[0]), 50), "MB", None);
    report.line("gst-launch-1.0, PSS", percentile(&mut of(|p| p.memory[1]), 50), "MB", None);
    report.line("worker - gst-launch-1.0", percentile(&mut of(|p| p.memory[0] - p.memory[1]), 50), "MB", Some(10.0));
}

/// What a worker nobody watches and the bare pipeline cost, in this order.
#[derive(Debug)]
struct Pair {
    /// CPU seconds per frame.
    cpu: [f64; 2],
    /// Megabytes (PSS) at the end.
    memory: [f64; 2],
}

/// Records `film` with both, side by side.
fn pair(film: &Path) -> Pair {
    let input = "[[input]]\nid = \"cam1\"\nkind = \"file\"\nrepeat = true\n";
    let mut holdfast = Holdfast::new(&format!("{input}path = \"{}\"\n", film.display()));
    holdfast.spawn_engine();
    holdfast.wait_live(NEVER);
    let worker = holdfast.worker_pid("cam1");
    let file = holdfast.root().join("bare.mp4");
    let mut bare = bare(film, &file, nice(worker));
    holdfast.cli_ok(&["record", "start"]);
    let pids = [worker, bare.pid()];
    let mut ended = holdfast.ended(worker, SETTLED);
    let (before, begin) = (pids.map(cpu_seconds), Instant::now());
    ended |= holdfast.ended(worker, COUNTED);
    let (after, frames) = (pids.map(cpu_seconds), begin.elapsed().as_secs_f64() * f64::from(media_file::FPS));
    let memory = pids.map(pss_megabytes);
    assert!(!ended, "the worker ended: {}", process::tail(&holdfast.log(), 20));
    assert!(bare.runs(), "gst-launch-1.0 ended");
    bare.kill();
    holdfast.cli_ok(&["record", "stop"]);
    for file in [&file, &holdfast.media(&holdfast.session())[0]] {
        let recorded = demux::ffprobe(file).video.samples() as f64;
        assert!(recorded >= frames * PACE, "{}: {recorded} of {frames:.0} frames", file.display());
    }
    Pair { cpu: [(after[0] - before[0]) / frames, (after[1] - before[1]) / frames], memory }
}

/// Starts the bare pipeline at `nice`: decode, rate, scale, convert, x264, mixer, meters, AAC, fragmented MP4.
fn bare(film: &Path, file: &Path, nice: i32) -> Running {
    // A keyframe per fragment, sound in steps of 20 ms, 2 readings of the meters per second: what a worker nobody watches has.
    let pipeline = format!(
        "filesrc location={film} ! decodebin name=d \
         d. ! video/x-raw ! identity sync=true ! queue ! videorate ! videoscale ! videoconvert \
         ! video/x-raw,format=I420,framerate=30/1 ! queue ! videoconvert \
         ! x264enc bitrate=4000 key-int-max=15 speed-preset=ultrafast tune=zerolatency bframes=0 ! h264parse ! queue ! m. \
         d. ! audio/x-raw ! identity sync=true ! queue ! audioconvert dithering=none ! audioresample \
         ! audio/x-raw,format=S16LE,rate=48000,channels=2 ! mix. \
         audiotestsrc is-live=true wave=silence samplesperbuffer=960 ! audio/x-raw,format=S16LE,rate=48000,channels=2 ! mix. \
         audiomixer name=mix latency=100000000 output-buffer-duration=20000000 \
         ! audio/x-raw,format=S16LE,rate=48000,channels=2 ! level interval=500000000 \
         ! queue ! audioconvert ! avenc_aac bitrate=160000 ! queue ! m. \
         mp4mux name=m fragment-duration=500 ! filesink location={file}",
        film = film.display(),
        file = file.display()
    );
    let mut command = Command::new("nice");
    command.args(["-n", &nice.to_string(), "gst-launch-1.0", "-q"]).args(pipeline.split_whitespace());
    Running::start("gst-launch-1.0", command.stdin(std::process::Stdio::null()))
}

/// The nice level of a process.
fn nice(pid: u32) -> i32 {
    nice_of(&stat_text(pid)).expect("the process runs")
}

/// The nice level in a `stat` file.
fn nice_of(stat: &str) -> Option<i32> {
    fields(stat).get(16)?.parse().ok()
}

/// CPU seconds a process has used (user and system, all threads).
fn cpu_seconds(pid: u32) -> f64 {
    let text = stat_text(pid);
    let fields = fields(&text);
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(f64::NAN);
    (ticks(11) + ticks(12)) / TICKS
}

fn stat_text(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default()
}

/// The fields of a `stat` file from the state on.
fn fields(stat: &str) -> Vec<&str> {
    // The name may hold anything, so fields are counted from its closing parenthesis.
    stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect()
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
        window.wait(SHOWN).is_none(),
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

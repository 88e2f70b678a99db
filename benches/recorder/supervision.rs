//! What supervision costs at reference load (R-SUP-10): the engine, and in each worker what a bare pipeline has not; and
//! how soon a recording is protected.
//!
//! Contract: counted by the kernel's scheduler (`schedstat`, nanoseconds), per thread, over [`COUNTED`]. In a worker the
//! pulse, the facts and the space thread do nothing else; on its main thread supervision (ticks, status, the socket) stands
//! beside what GStreamer needs there, so that is shown without a target.

use super::{NEVER, Report, pss_megabytes};
use crate::support::proc::{Holdfast, test_inputs};
use crate::support::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// R-SUP-10: a mean over a minute.
const COUNTED: Duration = Duration::from_secs(60);
/// What is left of starting has passed by then.
const SETTLED: Duration = Duration::from_secs(5);
/// The nice value every recording thread has (R-SUP-7); as root nobody refuses it.
const PROTECTED: i32 = -10;
/// Threads of a worker that only supervise.
const SUPERVISING: [&str; 3] = ["pulse", "facts", "space"];

/// Name and time on a processor of every thread.
fn ran(pid: u32) -> Vec<(String, Duration)> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let thread = |task: std::fs::DirEntry| {
        let read = |name| std::fs::read_to_string(task.path().join(name)).ok();
        let nanos = read("schedstat")?.split_ascii_whitespace().next()?.parse().ok()?;
        Some((read("comm")?.trim().to_owned(), Duration::from_nanos(nanos)))
    };
    tasks.filter_map(thread).collect()
}

fn sum(threads: &[(String, Duration)], counts: impl Fn(&str) -> bool) -> f64 {
    threads.iter().filter(|(name, _)| counts(name)).map(|(_, ran)| ran.as_secs_f64()).sum()
}

/// Starts, and says how long after the answer a thread of a worker was seen below the priority it should have.
fn unprotected_after_start(holdfast: &Holdfast, workers: [u32; 4]) -> Duration {
    let over = AtomicBool::new(false);
    let watch = || {
        let mut last = None;
        while !over.load(Ordering::Relaxed) {
            if workers.iter().any(|pid| threads_nice(*pid).any(|nice| nice > PROTECTED)) {
                last = Some(Instant::now());
            }
        }
        last
    };
    std::thread::scope(|scope| {
        let watcher = scope.spawn(watch);
        let reply = holdfast.api("POST", "/api/v1/recorder/start", &[], Some(&serde_json::json!({})));
        let accepted = Instant::now();
        assert_eq!(reply.expect("the engine answers").status, 201);
        holdfast.wait_until("it records", NEVER, |snapshot| snapshot["session"]["safe_ms"].as_u64() >= Some(1000));
        over.store(true, Ordering::Relaxed);
        let last = watcher.join().expect("the watcher");
        last.map_or(Duration::ZERO, |last| last.saturating_duration_since(accepted))
    })
}

/// The nice values of the threads of a process.
fn threads_nice(pid: u32) -> impl Iterator<Item = i32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.filter_map(|task| super::nice_of(&std::fs::read_to_string(task.path().join("stat")).ok()?))
}

/// The chapter.
pub fn measure(report: &mut Report) {
    let mut holdfast = Holdfast::new(&test_inputs(4, "auto"));
    let engine = holdfast.spawn_engine();
    holdfast.wait_live(NEVER);
    let workers = ["cam1", "cam2", "cam3", "cam4"].map(|input| holdfast.worker_pid(input));
    let unprotected = unprotected_after_start(&holdfast, workers);
    report.line("start accepted → every thread at nice −10", unprotected.as_secs_f64() * 1e3, "ms", Some(50.0));
    assert!(!holdfast.ended(engine, SETTLED), "the engine ended: {}", process::tail(&holdfast.log(), 20));
    let look = || (ran(engine), workers.map(ran));
    let (before, begin) = (look(), Instant::now());
    assert!(!holdfast.ended(engine, COUNTED), "the engine ended: {}", process::tail(&holdfast.log(), 20));
    let (after, time) = (look(), begin.elapsed().as_secs_f64());
    let percent = |before: f64, after: f64| (after - before) / time * 100.0;
    report.line("engine, of one core", percent(sum(&before.0, |_| true), sum(&after.0, |_| true)), "%", Some(1.0));
    report.line("engine, PSS", pss_megabytes(engine), "MB", Some(40.0));
    for (place, (before, after)) in before.1.iter().zip(&after.1).enumerate() {
        let input = place + 1;
        let of = |counts: fn(&str) -> bool| percent(sum(before, counts), sum(after, counts));
        let supervising = of(|name| SUPERVISING.contains(&name));
        report.line(&format!("cam{input}: threads that only supervise, of one core"), supervising, "%", Some(0.1));
        report.line(&format!("cam{input}: main thread, of one core"), of(|name| name == "holdfast-worker"), "%", None);
        report.line(&format!("cam{input}: whole worker, of one core"), of(|_| true), "%", None);
    }
    holdfast.cli_ok(&["record", "stop"]);
}

//! What supervision costs at reference load (R-SUP-10): the engine, and in each worker what a bare pipeline has not.
//!
//! Contract: counted by the kernel's scheduler (`schedstat`, nanoseconds), per thread, over [`COUNTED`]. In a worker the
//! pulse, the facts and the space thread do nothing else; on its main thread supervision (ticks, status, the socket) stands
//! beside what GStreamer needs there, so that is shown without a target.

use super::{NEVER, Report, pss_megabytes};
use crate::support::proc::{Holdfast, test_inputs};
use crate::support::process;
use std::time::{Duration, Instant};

/// R-SUP-10: a mean over a minute.
const COUNTED: Duration = Duration::from_secs(60);
/// What is left of starting has passed by then.
const SETTLED: Duration = Duration::from_secs(5);
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

/// The chapter.
pub fn measure(report: &mut Report) {
    let mut holdfast = Holdfast::new(&test_inputs(4, "auto"));
    let engine = holdfast.spawn_engine();
    holdfast.wait_live(NEVER);
    holdfast.cli_ok(&["record", "start"]);
    let workers = ["cam1", "cam2", "cam3", "cam4"].map(|input| holdfast.worker_pid(input));
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

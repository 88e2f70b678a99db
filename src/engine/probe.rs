//! Looks at the machine every two seconds: the library's file system and the worker processes.
//!
//! Contract: nothing here runs on the loop; a file system that does not answer is reported as unknown and asked
//! again only when the question in flight has come back.

use super::event::{Event, Space, WorkerUsage};
use crate::model::{InputId, MonoNs};
use crate::storage::space;
use crate::sys::priority::nice;
use crate::sys::{clock, process};
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How often (R-SUP-4).
const EVERY: Duration = Duration::from_secs(2);
/// A healthy file system answers statvfs in microseconds.
const SPACE_DEADLINE: Duration = Duration::from_secs(5);

/// Asks the file system of `library` until the loop is gone.
pub async fn watch_space(library: PathBuf, events: Sender<Event>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let library = library.clone();
        let mut question = tokio::task::spawn_blocking(move || space::measure(&library));
        let answer = match timeout(SPACE_DEADLINE, &mut question).await {
            Ok(answer) => answer,
            Err(_) => {
                if events.send(Event::Space(None)).await.is_err() {
                    return;
                }
                question.await
            }
        };
        let space = match answer {
            Ok(Ok((free, total))) => Some(Space { free, total }),
            _ => None,
        };
        if events.send(Event::Space(space)).await.is_err() {
            return;
        }
    }
}

/// Reads what the workers use until the loop is gone.
pub async fn watch_usage(pids: watch::Receiver<Vec<(InputId, u32)>>, events: Sender<Event>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = HashMap::<u32, (MonoNs, Duration)>::new();
    loop {
        ticks.tick().await;
        let pids = pids.borrow().clone();
        if pids.is_empty() {
            before.clear();
        }
        let known = std::mem::take(&mut before);
        let looked = tokio::task::spawn_blocking(move || look(&pids, &known)).await;
        let Ok((usage, now)) = looked else { continue };
        before = now;
        if events.send(Event::Usage(usage)).await.is_err() {
            return;
        }
    }
}

type CpuTimes = HashMap<u32, (MonoNs, Duration)>;

fn look(pids: &[(InputId, u32)], before: &CpuTimes) -> (Vec<(InputId, WorkerUsage)>, CpuTimes) {
    let mut times = CpuTimes::new();
    let mut usages = Vec::new();
    for (input, pid) in pids {
        let Some(usage) = process::usage_of(*pid) else { continue };
        let now = clock::mono_now();
        times.insert(*pid, (now, usage.cpu));
        let cpu_percent = before.get(pid).map(|(at, cpu)| percent(usage.cpu.saturating_sub(*cpu), now.since(*at)));
        usages.push((
            input.clone(),
            WorkerUsage { rss_bytes: Some(usage.rss_bytes), cpu_percent, nice: nice::worst_of(*pid) },
        ));
    }
    (usages, times)
}

/// Of the whole machine.
fn percent(cpu: Duration, wall: Duration) -> f64 {
    let machine = wall.as_secs_f64() * process::processors() as f64;
    if machine > 0.0 { (cpu.as_secs_f64() / machine * 1000.0).round() / 10.0 } else { 0.0 }
}

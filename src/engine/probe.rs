//! Looks at the machine: the file system that is written, every second, and the worker processes, every two.
//!
//! Contract: nothing here runs on the loop; a file system that does not answer is reported as frozen and asked
//! again only when the question in flight has come back.

use super::event::{Event, Space, StorageEvent, WorkerUsage};
use super::rates::{Look, Looks};
use crate::model::InputId;
use crate::storage::fault;
use crate::storage::space::Home;
use crate::sys::priority::nice;
use crate::sys::{clock, process, usage};
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::SendError;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How often workers are looked at (R-SUP-4).
const EVERY: Duration = Duration::from_secs(2);
/// How often the file system is: at 100 MB/s the floor of 1 GB leaves ten looks.
const SPACE_EVERY: Duration = Duration::from_secs(1);
/// A healthy file system answers statvfs in microseconds.
const SPACE_DEADLINE: Duration = Duration::from_millis(1500);

/// After its deadline a question gets this long to answer all the same: this process may have stood still itself.
const SPACE_GRACE: Duration = Duration::from_millis(200);

/// Asks the file system of the folder that is written, until the loop is gone.
pub async fn watch_space(home: Home, written: watch::Receiver<PathBuf>, events: Sender<Event>) {
    let mut ticks = interval(SPACE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (home, dir) = (home.clone(), written.borrow().clone());
        let asked = dir.clone();
        let mut question = tokio::task::spawn_blocking(move || home.look(&asked));
        let in_time = match timeout(SPACE_DEADLINE, &mut question).await {
            Ok(answer) => Ok(answer),
            Err(_) => timeout(SPACE_GRACE, &mut question).await,
        };
        let answer = match in_time {
            Ok(answer) => answer,
            Err(_) => {
                if tell(&events, Err(io::ErrorKind::TimedOut.into())).await.is_err() {
                    return;
                }
                question.await
            }
        };
        // A folder that is no longer the one that is written says nothing: a session may have ended meanwhile.
        if *written.borrow() == dir && tell(&events, answer.unwrap_or_else(|error| Err(error.into()))).await.is_err() {
            return;
        }
    }
}

async fn tell(events: &Sender<Event>, answer: io::Result<(u64, u64)>) -> Result<(), SendError<Event>> {
    let (space, trouble) = match answer {
        Ok((free, total)) => (Some(Space { free, total }), None),
        Err(error) => (None, Some(fault::incident_of(&error))),
    };
    events.send(Event::Storage(StorageEvent::Looked(trouble))).await?;
    events.send(Event::Space(space)).await
}

/// Reads what the workers use until the loop is gone.
pub async fn watch_usage(pids: watch::Receiver<Vec<(InputId, u32)>>, events: Sender<Event>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = Looks::new();
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

fn look(pids: &[(InputId, u32)], before: &Looks) -> (Vec<(InputId, WorkerUsage)>, Looks) {
    let mut looks = Looks::new();
    let mut usages = Vec::new();
    for (input, pid) in pids {
        let Some(usage) = process::usage_of(*pid) else { continue };
        let look = Look { at: clock::mono_now(), cpu: Some(usage.cpu), written: usage::written(*pid) };
        looks.insert(*pid, look);
        let rates = look.since(before.get(pid));
        usages.push((
            input.clone(),
            WorkerUsage {
                process: Some((*pid, usage.started)),
                rss_bytes: Some(usage.rss_bytes),
                cpu_percent: rates.cpu_percent,
                disk_bytes_per_s: rates.disk_bytes_per_s,
                nice: nice::worst_of(*pid),
            },
        ));
    }
    (usages, looks)
}

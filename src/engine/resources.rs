//! Looks every two seconds at what the machine, the engine and the workers have left (R-ALR-5), and collects what its own
//! threads have counted.
//!
//! Contract: nothing here runs on the loop. While something is recorded the processes are looked at every ten seconds
//! only (R-SUP-9); memory of the machine and queues, which cost microseconds, as always.

use super::disk::{self, Disk};
use super::event::Event;
use super::rates::{Look, Looks, Rates};
use super::server::{Clients, Request};
use super::tally::{Counted, Tally};
use crate::model::InputId;
use crate::model::snapshot::Snapshot;
use crate::sys::clock;
use crate::sys::usage::{self, Memory, Usage};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// How often (R-SUP-4).
const EVERY: Duration = Duration::from_secs(2);
/// Looks from one at the processes to the next while something is recorded (R-SUP-9: 10 s).
const SELDOM: u32 = 5;

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resources {
    /// Memory of the machine.
    pub memory: Option<Memory>,
    /// How full queues and places are.
    pub gauges: Vec<Gauge>,
    /// What the disk thread has written, or not, since the last look.
    pub disk: Counted,
    /// What the API has answered, or not, since the last look.
    pub api: Counted,
    /// The processes, where they were looked at.
    pub processes: Option<Processes>,
}

/// The processes of the recorder.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Processes {
    /// Threads of the whole machine, and how many it can have.
    pub machine_threads: Option<(u64, u64)>,
    /// This process.
    pub engine: Usage,
    /// What it has used since the last look.
    pub engine_rates: Rates,
    /// Windows that follow the events, with their process ids.
    pub windows: Vec<(u32, Usage, Rates)>,
    /// The workers with their process ids.
    pub workers: Vec<(InputId, u32, Usage)>,
}

/// Something of the engine's that is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gauge {
    /// What, in English.
    pub what: &'static str,
    /// So much of it is in use.
    pub used: u64,
    /// So much there is.
    pub limit: u64,
}

/// What is looked at.
#[derive(Debug)]
pub struct Watched {
    /// Says which workers there are and whether something is recorded.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// The loop's queue.
    pub events: Sender<Event>,
    /// The commands' queue.
    pub requests: Sender<Request>,
    /// The disk thread's queue.
    pub disk: Disk,
    /// The API's places.
    pub clients: Clients,
    /// What the API answered.
    pub api: Tally,
}

/// Looks until the loop is gone.
pub async fn watch(watched: Watched) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut rested, mut before) = (SELDOM, Looks::new());
    loop {
        ticks.tick().await;
        let (running, workers) = {
            let snapshot = watched.snapshot.borrow();
            let worker =
                |input: &crate::model::snapshot::InputView| Some((input.id.clone(), input.worker.as_ref()?.pid?));
            (snapshot.is_running(), snapshot.inputs.iter().filter_map(worker).collect::<Vec<_>>())
        };
        rested += 1;
        let whole = !running || rested >= SELDOM;
        if whole {
            rested = 0;
        }
        let gauges = watched.gauges();
        let (disk, api) = (watched.disk.traffic().tally.take(), watched.api.take());
        // What cannot be seen has no figures.
        let windows: Vec<u32> = watched.clients.windows().into_iter().flatten().collect();
        let known = before.clone();
        let looked =
            tokio::task::spawn_blocking(move || (usage::memory(), whole.then(|| look(&workers, &windows, &known))));
        let Ok((memory, processes)) = looked.await else { continue };
        let processes = processes.map(|(processes, looks)| {
            before = looks;
            processes
        });
        let seen = Resources { memory, gauges, disk, api, processes };
        if watched.events.send(Event::Resources(Box::new(seen))).await.is_err() {
            return;
        }
    }
}

impl Watched {
    fn gauges(&self) -> Vec<Gauge> {
        let gauge = |what, used: usize, limit: usize| Gauge { what, used: used as u64, limit: limit as u64 };
        let full = |free: usize, limit: usize| limit.saturating_sub(free);
        let (events, requests) = (self.events.max_capacity(), self.requests.max_capacity());
        let (places, clients) = self.clients.places();
        vec![
            gauge("places for events", full(self.events.capacity(), events), events),
            gauge("places for commands", full(self.requests.capacity(), requests), requests),
            gauge("places for disk work", self.disk.traffic().waiting(), disk::QUEUE),
            gauge("places for clients", clients, places),
        ]
    }
}

fn look(workers: &[(InputId, u32)], windows: &[u32], before: &Looks) -> (Processes, Looks) {
    let mut looks = Looks::new();
    let mut rates = |pid: u32, usage: &Usage| {
        let look = Look::of(clock::mono_now(), usage);
        looks.insert(pid, look);
        look.since(before.get(&pid))
    };
    let ours = std::process::id();
    let engine = usage::of(ours).unwrap_or_default();
    let engine_rates = rates(ours, &engine);
    let window = |pid: &u32| {
        let usage = usage::of(*pid)?;
        Some((*pid, usage, rates(*pid, &usage)))
    };
    let windows = windows.iter().filter_map(window).collect();
    let workers = workers.iter().filter_map(|(id, pid)| Some((id.clone(), *pid, usage::of(*pid)?))).collect();
    let seen = Processes { machine_threads: usage::machine_threads(), engine, engine_rates, windows, workers };
    (seen, looks)
}

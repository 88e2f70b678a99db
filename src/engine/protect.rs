//! Looks at every thread of every worker, asks for what it lacks, and tells what it has (R-SUP-7, R-OBS-1).
//!
//! The engine does this, not each worker for itself: RealtimeKit lends to 25 threads of a *user*, so only who sees all
//! workers can give them to the threads that work; one connection per bus is enough; and whoever reads back should not be
//! who asked. A worker has what it needs before its program starts wherever the system grants it without being asked
//! again, engine or not.
//!
//! Contract: nothing here runs on the loop; a bus that is absent or hangs delays the next look and nothing else.

use super::event::Event;
use super::ladder::{Ask, Here, Ladder, Look, Protection, Seen, Thread, Window};
use super::server::Clients;
use crate::model::snapshot::{RungResult, Snapshot};
use crate::sys::priority::affinity::{self, Plan};
use crate::sys::priority::io::Class;
use crate::sys::priority::realtime::{Helper, Realtime, Refusal};
use crate::sys::priority::{io, nice, oom, threads};
use crate::sys::{clock, process};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// New threads appear with every part and every source; some lower themselves.
const EVERY: Duration = Duration::from_secs(1);

/// What each thread had run at the last look.
type Ran = HashMap<u32, Duration>;

/// Looks until the loop is gone.
pub async fn watch(snapshot: watch::Receiver<Arc<Snapshot>>, clients: Clients, events: Sender<Event>) {
    let here = || Here { nice: nice::own(), plan: Plan::here(), allowed: affinity::allowed() };
    let Ok(here) = tokio::task::spawn_blocking(here).await else { return };
    // Refused nearly everywhere; what was got is read back for the workers, and told.
    drop(oom::lower_own());
    let mut helpers = HashMap::<Helper, Realtime>::new();
    let mut ladder = Ladder::new(here);
    let mut ran = Ran::new();
    let mut logged = None;
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (pids, recording) = {
            let snapshot = snapshot.borrow();
            let workers = snapshot.inputs.iter().filter_map(|input| input.worker.as_ref()?.pid);
            (workers.collect::<Vec<u32>>(), snapshot.is_running())
        };
        let (known, windows) = (std::mem::take(&mut ran), clients.windows());
        let looked = tokio::task::spawn_blocking(move || look(&pids, &windows, recording, &known)).await;
        let Ok((seen, now_ran)) = looked else { continue };
        ran = now_ran;
        ladder.look(seen);
        while let Some(ask) = ladder.ask(clock::mono_now()) {
            let answer = put(ask, &mut helpers).await;
            ladder.answer(clock::mono_now(), ask, answer);
        }
        let report = ladder.report();
        log(&report, &mut logged);
        if events.send(Event::Protection(Box::new(report))).await.is_err() {
            return;
        }
    }
}

/// Asks a helper.
async fn put(ask: Ask, helpers: &mut HashMap<Helper, Realtime>) -> Result<i32, Refusal> {
    match ask {
        Ask::Call(helper) => {
            let realtime = helper.call().await?;
            let lowest = realtime.lowest();
            helpers.insert(helper, realtime);
            Ok(lowest)
        }
        Ask::Raise { helper, pid, tid, nice } => {
            let Some(realtime) = helpers.get(&helper) else {
                return Err(Refusal::Absent("it was not called".to_owned()));
            };
            let raised = realtime.raise(pid, tid, nice).await.map(|()| nice);
            match nice::of_thread(tid) {
                _ if raised.is_err() => raised,
                Some(really) if really > nice => Err(Refusal::Refused(format!("it said yes, and left {really}"))),
                Some(_) => raised,
                None => Err(Refusal::Gone),
            }
        }
    }
}

fn look(pids: &[u32], windows: &[Option<u32>], recording: bool, ran: &Ran) -> (Look, Ran) {
    let mut look = Look { recording, ..Look::default() };
    let mut now_ran = Ran::new();
    // One per look: the kernel takes no more (see there), and the next look is in a second.
    let lower = |pid: &&u32| nice::of_group(**pid).is_some_and(|group| group > nice::RECORDING);
    if let Some(pid) = pids.iter().find(lower) {
        // Refused nearly everywhere; what was got is read back below, and told.
        let _ = nice::raise_group_of(*pid);
    }
    for pid in pids {
        let mut seen = Seen { pid: *pid, oom: oom::of(*pid), group: nice::of_group(*pid), ..Seen::default() };
        for tid in threads(*pid) {
            look_at_thread(&mut look, &mut seen, tid);
        }
        seen.cpus = affinity::of_any(seen.threads.iter().map(|thread| thread.tid));
        if look.refused.is_some() {
            measure(&mut seen, ran, &mut now_ran);
        }
        if !seen.threads.is_empty() {
            look.workers.push(seen);
        }
    }
    let window = |pid: &u32| Some(Window { nice: nice::of_thread(*pid)?, oom: oom::of(*pid) });
    look.windows = windows.iter().flatten().filter_map(window).collect();
    look.unseen_window = windows.contains(&None);
    (look, now_ran)
}

/// Reads a thread, and gives it what it lacks where that costs no more than asking.
fn look_at_thread(look: &mut Look, seen: &mut Seen, tid: u32) {
    let Some(mut value) = nice::of_thread(tid) else { return };
    if value > nice::RECORDING && look.refused.is_none() {
        // x265 starts its helpers at 10 above its own; and an engine that may do more now than when it started this one.
        match nice::set_thread(tid, nice::RECORDING) {
            Ok(()) => value = nice::of_thread(tid).unwrap_or(value),
            Err(_) if nice::of_thread(tid).is_none() => return,
            Err(error) => look.refused = Some(error.to_string()),
        }
    }
    let mut class = io::of_thread(tid);
    if class.is_some_and(|class| class > Class::RECORDING) && look.io_refused.is_none() {
        match io::set_thread(tid, Class::RECORDING) {
            Ok(()) => class = io::of_thread(tid),
            Err(_) if nice::of_thread(tid).is_none() => return,
            Err(error) => look.io_refused = Some(error.to_string()),
        }
    }
    seen.io = seen.io.max(class);
    seen.threads.push(Thread { tid, nice: value, busy: 0 });
}

/// How much each thread ran since the last look; only asked where places are few.
fn measure(seen: &mut Seen, ran: &Ran, now_ran: &mut Ran) {
    for thread in &mut seen.threads {
        let Some(now) = process::thread_ran(seen.pid, thread.tid) else { continue };
        now_ran.insert(thread.tid, now);
        let since = now.saturating_sub(ran.get(&thread.tid).copied().unwrap_or_default());
        thread.busy = u32::try_from(since.as_millis() * 1000 / EVERY.as_millis()).unwrap_or(u32::MAX);
    }
}

/// Once, and again when something else was achieved (R-OBS-1).
fn log(report: &Protection, logged: &mut Option<(Option<i32>, Vec<RungResult>)>) {
    let results: Vec<RungResult> = report.rungs.iter().map(|rung| rung.result).collect();
    let achieved = Some((report.nice, results));
    if report.rungs.is_empty() || *logged == achieved {
        return;
    }
    *logged = achieved;
    let rungs: Vec<String> =
        report.rungs.iter().map(|view| format!("{:?} {:?}: {}", view.rung, view.result, view.detail)).collect();
    let (nice, via, io, cpus) = (report.nice, report.via, report.io.as_deref(), &report.cpus);
    tracing::info!(nice, via = ?via, io, cpus = ?cpus, rungs = rungs.join("; "), "the recording is protected");
}

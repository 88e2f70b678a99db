//! A recorder that is used all day: nothing is left behind by a session, and nothing grows while one runs (R-SUP-14,
//! PEERS #14).

use crate::record::{LIVE_WITHIN, RECORDS_WITHIN, start, wait_media};
use crate::support::evidence::{assert_sound, manifest, parts};
use crate::support::loss::monotonic;
use crate::support::proc::{Holdfast, find_input, rounds, test_inputs};
use crate::support::process::Deadline;
use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

const INPUTS: [&str; 2] = ["cam1", "cam2"];
/// Sessions before the first look: caches, thread pools and the allocator's arenas are filled by then.
const WARM_UP: u32 = 5;
/// A session is proved and everything of it is given back within this.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
/// What memory may grow by.
pub const GROWTH: f64 = 1.05;
/// Pages the allocator may take or give back at any time, in bytes: beside it 5 % of a small process are nothing.
pub const NOISE: u64 = 4 << 20;

/// What a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holds {
    /// Open files.
    pub descriptors: usize,
    /// Threads.
    pub threads: usize,
    /// Memory.
    pub rss_bytes: u64,
}

impl Holds {
    /// What `pid` holds now.
    pub fn of(pid: u32) -> Self {
        let count = |what: &str| std::fs::read_dir(format!("/proc/{pid}/{what}")).expect("it lives").count();
        let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).expect("it lives");
        let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
        let rss_bytes = pages * rustix::param::page_size() as u64;
        Self { descriptors: count("fd"), threads: count("task"), rss_bytes }
    }
}

/// The engine and the workers, by name.
fn processes(holdfast: &mut Holdfast) -> BTreeMap<String, u32> {
    let workers = INPUTS.map(|input| (input.to_owned(), holdfast.worker_pid(input)));
    workers.into_iter().chain([("engine".to_owned(), holdfast.engine().pid())]).collect()
}

/// What each holds once nothing of the last session is left: threads and descriptors do not get fewer any more.
fn settled(
    holdfast: &Holdfast,
    processes: &BTreeMap<String, u32>,
    wanted: Option<&BTreeMap<String, Holds>>,
) -> BTreeMap<String, Holds> {
    let deadline = Deadline::after(SETTLED_WITHIN);
    holdfast.wait_until("the session is proved", SETTLED_WITHIN, |snapshot| {
        let last = &snapshot["last_session"];
        snapshot["session"].is_null() && last["verdict"].is_string() && last["verdict"] != "unverified"
    });
    let look =
        || -> BTreeMap<String, Holds> { processes.iter().map(|(name, pid)| (name.clone(), Holds::of(*pid))).collect() };
    let same = |a: &BTreeMap<String, Holds>, b: &BTreeMap<String, Holds>| {
        a.iter().zip(b).all(|((_, a), (_, b))| b.descriptors <= a.descriptors && b.threads <= a.threads)
    };
    let mut before = look();
    loop {
        // Two seconds of events: what is being given back has been by then.
        let until = monotonic() + Duration::from_secs(2);
        holdfast.wait_until("time passes", SETTLED_WITHIN, |_| monotonic() >= until);
        let now = look();
        let over = deadline.left().is_none();
        if over || wanted.map_or_else(|| same(&before, &now), |wanted| same(wanted, &now)) {
            return now;
        }
        before = now;
    }
}

#[test]
fn sessions_leave_nothing_behind_in_any_process() {
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    let processes = processes(&mut holdfast);
    let cycle = |holdfast: &Holdfast| {
        start(holdfast, &INPUTS);
        holdfast.cli_ok(&["record", "stop"]);
        holdfast.wait_until("the session is over", RECORDS_WITHIN, |snapshot| snapshot["session"].is_null());
    };
    (0..WARM_UP).for_each(|_| cycle(&holdfast));
    let before = settled(&holdfast, &processes, None);
    let cycles = rounds(15, 195);
    for done in 1..=cycles {
        cycle(&holdfast);
        if done % 10 == 0 {
            let memory: Vec<_> = processes.iter().map(|(name, pid)| (name, Holds::of(*pid).rss_bytes >> 10)).collect();
            println!("{done} sessions: {memory:?} KiB");
        }
    }
    let after = settled(&holdfast, &processes, Some(&before));
    for (name, before) in &before {
        let after = after[name];
        println!("{name}: {before:?} before {cycles} sessions, {after:?} behind them");
        // Fewer is no leak: a thread of a pool that has nothing to do leaves after a while.
        assert!(
            after.descriptors <= before.descriptors && after.threads <= before.threads,
            "{name}: {before:?}, {after:?}"
        );
        let allowed = (before.rss_bytes as f64 * GROWTH) as u64 + NOISE;
        assert!(after.rss_bytes <= allowed, "{name} grew from {} to {} bytes", before.rss_bytes, after.rss_bytes);
    }
    assert_eq!(processes, self::processes(&mut holdfast), "a process was replaced");
}

/// For how long `make soak` records.
fn soak_minutes() -> Option<u64> {
    std::env::var("HOLDFAST_SOAK_MINUTES").ok()?.parse().ok()
}

/// An hour by `make soak`; nothing without it.
#[test]
fn nothing_grows_while_a_recording_runs() {
    let Some(minutes) = soak_minutes() else { return };
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &INPUTS);
    let (processes, began) = (processes(&mut holdfast), monotonic());
    let mut seen: BTreeMap<String, Vec<Holds>> = BTreeMap::new();
    for minute in 1..=minutes {
        wait_media(&holdfast, "cam1", Duration::from_secs(60 * minute));
        for (name, pid) in &processes {
            seen.entry(name.clone()).or_default().push(Holds::of(*pid));
        }
        let memory: Vec<_> =
            seen.iter().map(|(name, seen)| (name, seen.last().map(|now| now.rss_bytes >> 10))).collect();
        println!("{minute} min ({:?} of time): {memory:?} KiB", monotonic() - began);
    }
    let status = holdfast.status();
    holdfast.cli_ok(&["record", "stop"]);
    let (session, warm) = (holdfast.session(), (minutes / 10).max(1) as usize);
    for input in INPUTS {
        for part in parts(&manifest(&session), input) {
            assert_sound(&session.join(part["file"].as_str().expect("a name")));
        }
    }
    for (name, seen) in seen {
        let (first, last) = (seen[warm - 1], seen[seen.len() - 1]);
        println!("{name}: {first:?} after {warm} min, {last:?} after {minutes}");
        // Somebody may be answered, or a folder listed, at the moment of a look: what is always there counts.
        let least = |looks: &[Holds]| {
            (looks.iter().map(|look| look.descriptors).min(), looks.iter().map(|look| look.threads).min())
        };
        let (before, behind) = (least(&seen[..warm]), least(&seen[seen.len() - warm..]));
        assert_eq!(before, behind, "{name}: descriptors and threads");
        let allowed = (first.rss_bytes as f64 * GROWTH) as u64 + NOISE;
        assert!(last.rss_bytes <= allowed, "{name} grew from {} to {} bytes", first.rss_bytes, last.rss_bytes);
    }
    let dropped = |snapshot: &Value, input| find_input(snapshot, input)["recording"]["frames"]["dropped"].clone();
    for input in INPUTS {
        assert_eq!(dropped(&status, input), serde_json::json!({"source": 0, "queue": 0, "encoder": 0}), "{input}");
    }
    holdfast.engine().signal(Signal::TERM);
}

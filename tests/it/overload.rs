//! A machine that cannot keep up (R-DEG, R-FM-5): previews are shed in the stated order, recordings lose nothing, and
//! everything comes back.

use crate::record::{LIVE_WITHIN, start, wait_media};
use crate::support::evidence::{assert_no_frame_missing, manifest, parts};
use crate::support::load;
use crate::support::proc::{Holdfast, find_input, rounds, wait_for_change};
use crate::support::process::Deadline;
use crate::support::skip::skip;
use crate::support::viewer::Viewer;
use serde_json::Value;
use std::time::{Duration, Instant};

const INPUTS: [&str; 4] = ["cam1", "cam2", "cam3", "cam4"];
/// Tiles of a window of 1280×720.
const TILE: (u32, u32) = (640, 360);
/// How often the API is asked.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// The requirement: previews within 5 s (torture and bench measure it on a machine that does nothing else). Here other tests
/// run beside it.
const SHED_WITHIN: Duration = Duration::from_secs(15);
/// Everything is back within a minute; with the 5 s of calm that are asked for outside of torture within half of it.
const BACK_WITHIN: [u32; 2] = [30, 60];
/// Other tests may keep the machine busy for longer than the load of this one; what comes back then is for `policy_tests`.
const GIVES_UP: [u32; 2] = [40, 600];
/// What is done, in this order. The first changes nothing where tiles are small, and the pause nothing without a proof.
const ORDER: [&str; 5] = ["previews_720p", "previews_15fps", "two_previews_off", "jobs_paused", "previews_off"];
/// What is done about single inputs, in no order with that.
const OWN: [&str; 3] = ["late_preview_off", "bitrate_75", "bitrate_50"];
/// An input may use everything: what is done about the machine is what is looked at.
const NO_BUDGET: &str = "[budgets]\ncpu_percent = 100\n";

/// Four watched inputs of this size.
fn inputs(width: u32, height: u32) -> String {
    let input = |id| {
        format!(
            "[[input]]\nid = \"{id}\"\nkind = \"test\"\nwidth = {width}\nheight = {height}\nfps = 30\naudio = \"silence\"\n"
        )
    };
    INPUTS.map(input).concat()
}

fn words(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|word| Some(word.as_str()?.to_owned())).collect()
}

fn reduced(snapshot: &Value) -> Vec<&str> {
    INPUTS.iter().map(|input| find_input(snapshot, input)["preview"]["reduced"].as_str().unwrap_or("")).collect()
}

/// Every list of actions that was told, one after the other, each with its time.
#[derive(Debug, Default)]
struct Told(Vec<(Duration, Vec<String>)>);

impl Told {
    /// Asks until `done`, at most `time`; `false` = it never was.
    fn watch(&mut self, holdfast: &Holdfast, begin: Instant, time: Duration, done: impl Fn(&Value) -> bool) -> bool {
        let deadline = Deadline::after(time);
        while deadline.left().is_some() {
            let snapshot = holdfast.status();
            let actions = words(&snapshot["level"]["actions"]);
            if self.0.last().is_none_or(|(_, known)| *known != actions) {
                println!("{:6.1} s: {} {actions:?}", begin.elapsed().as_secs_f64(), snapshot["level"]["name"]);
                self.0.push((begin.elapsed(), actions));
            }
            if done(&snapshot) {
                return true;
            }
            wait_for_change(holdfast.root(), ASK_AGAIN);
        }
        false
    }

    /// When a list was told first that holds `action`.
    fn first(&self, action: &str) -> Option<Duration> {
        self.0.iter().find(|(_, actions)| actions.iter().any(|known| known == action)).map(|(at, _)| *at)
    }
}

fn alert_state(holdfast: &Holdfast, code: &str) -> Option<String> {
    let alerts = holdfast.api("GET", "/api/v1/alerts?limit=100", &[], None).expect("an answer").body;
    let found = alerts["alerts"].as_array().into_iter().flatten().find(|alert| alert["code"] == code)?.clone();
    Some(found["state"].as_str()?.to_owned())
}

/// Four watched inputs record, `stress-ng` begins beside them for `load`, and goes.
fn overload(size: (u32, u32), load: Duration, rules: &str, fits: bool) {
    let mut holdfast = Holdfast::new(&format!("{}{NO_BUDGET}[degradation]\n{rules}", inputs(size.0, size.1)));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    let mut viewers = INPUTS.map(|input| Viewer::watch_at(&holdfast, input, TILE));
    start(&holdfast, &INPUTS);
    for input in INPUTS {
        wait_media(&holdfast, input, Duration::from_secs(2));
    }
    let (mut told, begin) = (Told::default(), Instant::now());
    let mut stress = load::processors(8, load);
    let all_off = |snapshot: &Value| reduced(snapshot) == ["off"; 4];
    assert!(told.watch(&holdfast, begin, SHED_WITHIN, all_off), "{told:?} {:#}", holdfast.status());
    assert_eq!(alert_state(&holdfast, "previews_off").as_deref(), Some("active"));
    // Whoever watches keeps the last picture; what was on its way may still come.
    viewers[0].pictures(usize::MAX, Duration::from_millis(500));
    assert!(viewers[0].pictures(3, Duration::from_secs(1)).len() <= 1, "pictures of a preview that is off");
    let said = holdfast.cli_ok(&["status"]).stdout;
    assert!(said.contains("load: critical because of ") && said.contains(", preview off"), "{said}");
    let order = |actions: &[String]| {
        let of_all = actions.iter().filter(|action| !OWN.contains(&action.as_str()));
        ORDER.iter().zip(of_all).all(|(is, told)| is == told)
    };
    assert!(told.0.iter().all(|(_, actions)| order(actions)), "a prefix of {ORDER:?} at any time: {told:?}");
    told.watch(&holdfast, begin, load, |_| !stress.runs());
    stress.wait(Duration::from_secs(10)).expect("it ends by itself");
    if fits {
        let (gone, mut busy) = (Instant::now(), Instant::now());
        let back = |snapshot: &Value| words(&snapshot["level"]["actions"]).is_empty() && reduced(snapshot) == [""; 4];
        let seconds = |of: [u32; 2]| Duration::from_secs(rounds(of[0], of[1]).into());
        let (gives_up, back_within) = (seconds(GIVES_UP), seconds(BACK_WITHIN));
        let mut is_back = false;
        while !is_back && gone.elapsed() < gives_up {
            is_back = told.watch(&holdfast, begin, Duration::from_secs(1), back);
            // Others may load the machine meanwhile: then it is not over.
            let load = holdfast.api("GET", "/api/v1/health", &[], None).expect("an answer").body["load"].clone();
            if load["cpu_percent"].as_f64() > Some(60.0) {
                busy = Instant::now();
            }
        }
        let (behind_load, behind_all) = (gone.elapsed(), busy.elapsed());
        println!("back: {is_back}, {behind_load:.1?} behind the load, {behind_all:.1?} behind all load");
        let again = told.0.windows(2).filter(|pair| pair[0].1.is_empty() && !pair[1].1.is_empty()).count() > 1;
        assert!(is_back || behind_all < back_within, "nothing loads the machine: {told:?}");
        assert!(again || behind_all <= back_within + Duration::from_secs(2), "{told:?}");
        if is_back {
            assert_eq!(alert_state(&holdfast, "previews_off").as_deref(), Some("resolved"));
            assert_eq!(
                viewers[0].pictures(3, SHED_WITHIN).len(),
                3,
                "the ring that it had all the time has pictures again"
            );
        } else {
            skip("the machine stays busy with something else: whether everything comes back was not seen");
        }
    }
    drop(viewers);
    holdfast.cli_ok(&["record", "stop"]);
    let session = holdfast.session();
    let manifest = manifest(&session);
    let granted = holdfast.status()["priority"]["nice"].as_i64().is_some_and(|nice| nice <= -10);
    for input in INPUTS {
        let frames = &parts(&manifest, input)[0]["frames"];
        println!("{input}: {frames}, previews off after {:?}", told.first("previews_off"));
        if granted {
            assert_eq!(frames["dropped"], 0, "{frames:#}");
            assert_no_frame_missing(&session.join(format!("{input}.mp4")));
        }
    }
    if !granted {
        skip("0 lost frames under load need a higher priority, which needs CAP_SYS_NICE");
    }
}

#[test]
fn previews_go_in_order_recordings_lose_nothing_and_everything_comes_back() {
    if !load::is_here() {
        return skip("stress-ng is not installed");
    }
    let torture = rounds(0, 1) == 1;
    let (load, rules) = if torture { (60, "") } else { (20, "calm_ms = 5000\n") };
    overload((960, 540), Duration::from_secs(load), rules, true);
}

#[test]
fn at_the_limit_of_the_machine_recordings_lose_nothing_either() {
    if rounds(0, 1) == 0 {
        return;
    }
    if !load::is_here() {
        return skip("stress-ng is not installed");
    }
    overload((1280, 720), Duration::from_secs(60), "", false);
}

/// Memory of the machine: all, and in use in percent.
fn memory() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/meminfo").expect("Linux says");
    let kilobytes = |name: &str| {
        let row = text.lines().find_map(|line| line.strip_prefix(name)).expect("a row");
        row.split_whitespace().next().and_then(|value| value.parse::<u64>().ok()).expect("a number")
    };
    let (total, available) = (kilobytes("MemTotal:"), kilobytes("MemAvailable:"));
    (total * 1024, 100 - available * 100 / total)
}

#[test]
fn memory_that_runs_short_is_answered_in_order_and_undone() {
    if !load::is_here() {
        return skip("stress-ng is not installed");
    }
    let (total, used) = memory();
    if used > 75 {
        return skip("three quarters of the memory are in use already");
    }
    let critical = rounds(0, 1) == 1;
    // Others take some and give some back meanwhile.
    let limits = [used + 5, used + 5, if critical { used + 9 } else { 100 }];
    let keys = ["warn", "degrade", "critical"].iter().zip(limits);
    let memory: String = keys.map(|(key, percent)| format!("memory_{key}_percent = {percent}\n")).collect();
    let never = "cpu_warn_percent = 100\ncpu_degrade_percent = 100\ncpu_critical_percent = 100\npressure_percent = 100\n\
                 queue_percent = 100\nlate_ms = 60000\ncalm_ms = 5000\n";
    let mut holdfast = Holdfast::new(&format!("{}{NO_BUDGET}[degradation]\n{never}{memory}", inputs(640, 360)));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    let _viewers = INPUTS.map(|input| Viewer::watch_at(&holdfast, input, TILE));
    start(&holdfast, &INPUTS);
    let order: &[&str] = match critical {
        true => {
            &["caches_dropped", "previews_720p", "previews_15fps", "one_preview_off", "previews_off", "jobs_paused"]
        }
        false => &["caches_dropped", "previews_720p", "previews_15fps"],
    };
    let (mut told, begin) = (Told::default(), Instant::now());
    let _hog = load::memory(total / 100 * 18, Duration::from_secs(if critical { 40 } else { 10 }));
    let whole = |snapshot: &Value| words(&snapshot["level"]["actions"]) == order;
    assert!(told.watch(&holdfast, begin, Duration::from_secs(40), whole), "{told:?}");
    assert!(told.0.iter().all(|(_, actions)| actions.iter().zip(order).all(|(told, is)| told == is)), "{told:?}");
    let snapshot = holdfast.status();
    assert_eq!(words(&snapshot["level"]["causes"]), ["memory_high"], "{snapshot:#}");
    assert_eq!(alert_state(&holdfast, "memory_high").as_deref(), Some("active"));
    let back = |snapshot: &Value| snapshot["level"]["name"] == "normal" && reduced(snapshot) == [""; 4];
    assert!(told.watch(&holdfast, begin, Duration::from_secs(120), back), "{told:?}");
    assert_eq!(alert_state(&holdfast, "memory_high").as_deref(), Some("resolved"));
    holdfast.cli_ok(&["record", "stop"]);
    for input in INPUTS {
        assert_no_frame_missing(&holdfast.session().join(format!("{input}.mp4")));
    }
}

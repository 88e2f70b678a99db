//! A window that stands beside a recording all day, and is told of one trouble after another: nothing grows in it (issue 5).

use crate::endurance::{GROWTH, Holds, NOISE};
use crate::record::{LIVE_WITHIN, RECORDS_WITHIN};
use crate::support::display::Display;
use crate::support::evidence::{assert_sound, manifest, parts};
use crate::support::proc::{Holdfast, find_input, test_inputs};
use crate::support::process::{self, Deadline};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::Duration;

/// What is recorded, and is left alone.
const RECORDED: [&str; 2] = ["cam1", "cam2"];
/// Whose workers die all the time: each death, each replacement and each giving up is told.
const DYING: [&str; 2] = ["cam3", "cam4"];
/// One of those is seen to, and the window is looked at, that often.
const TURN: Duration = Duration::from_secs(3);
/// Looks within a minute.
const LOOKS: usize = 20;
/// Every kind of card is there by then, and what GTK keeps is filled.
const WARM_MINUTES: usize = 2;
/// Fewer alerts a minute are no trouble at all; one that is told again counts.
const LEAST_PER_MINUTE: u32 = 20;

/// For how long `make soak` keeps a window open.
fn soak_minutes() -> Option<usize> {
    std::env::var("HOLDFAST_SOAK_WINDOW_MINUTES").ok()?.parse().ok()
}

/// Kills the worker of `input`, or has one tried again that was given up.
fn trouble(holdfast: &Holdfast, input: &str) {
    let status = holdfast.status();
    let view = find_input(&status, input);
    let pid = view["worker"]["pid"].as_u64().filter(|_| view["state"] == "live");
    match pid.and_then(|pid| u32::try_from(pid).ok()) {
        Some(pid) => holdfast.signal(pid, Signal::KILL),
        // One that is just being replaced refuses; its turn comes again.
        None => drop(holdfast.api("POST", &format!("/api/v1/inputs/{input}/retry"), &[], None)),
    }
}

/// The one in the middle.
fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

/// Ten minutes by `make soak`; nothing without it.
#[test]
fn nothing_grows_in_a_window_that_is_told_of_trouble_all_the_time() {
    let Some(minutes) = soak_minutes() else { return };
    assert!(minutes > WARM_MINUTES, "{minutes} minutes show nothing");
    let mut holdfast = Holdfast::new(&test_inputs(4, "auto"));
    let remembered = holdfast.root().join("home/.local/state/holdfast");
    std::fs::create_dir_all(&remembered).expect("the folder is ours");
    std::fs::write(remembered.join("window.toml"), "size = [1280, 800]\nalerts_open = true\n").expect("it is ours");
    let display = Display::start(&holdfast, 1280, 800);
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    let mut window = display.window(&holdfast, &[]);
    let body = json!({"name": "test", "inputs": RECORDED});
    let reply = holdfast.api("POST", "/api/v1/recorder/start", &[], Some(&body)).expect("an answer");
    assert_eq!(reply.status, 201, "{reply:?}");
    holdfast.wait_until("both record", RECORDS_WITHIN, |snapshot| {
        RECORDED.iter().all(|input| find_input(snapshot, input)["recording"]["state"] == "recording")
    });

    let (mut events, mut looks) = (holdfast.events().expect("a stream"), Vec::new());
    for minute in 1..=minutes {
        let mut told = 0;
        for turn in 0..LOOKS {
            trouble(&holdfast, DYING[turn % DYING.len()]);
            let next = Deadline::after(TURN);
            while let Some(left) = next.left() {
                let event = events.next(left).expect("the engine lives");
                told += u32::from(event.is_some_and(|event| event["kind"] == "alert"));
            }
            assert!(
                window.wait(Duration::ZERO).is_none(),
                "the window ended: {}",
                process::tail(&holdfast.root().join("window.log"), 20)
            );
            looks.push(Holds::of(window.pid()));
        }
        let last = &looks[looks.len() - LOOKS..];
        let rss = median(last.iter().map(|look| look.rss_bytes).collect());
        println!("{minute} min, {told} alerts told: {} KiB in the middle, {:?}", rss >> 10, last[LOOKS - 1]);
        assert!(told >= LEAST_PER_MINUTE, "{told} alerts in a minute");
    }
    let cards = display.atspi_ok(&holdfast, &["children", "list"]);
    println!("{cards} cards");
    assert!(cards.parse::<u32>().is_ok_and(|cards| cards > 0), "the sidebar shows {cards} cards");

    holdfast.cli_ok(&["record", "stop"]);
    let session = holdfast.session();
    for input in RECORDED {
        let manifest = manifest(&session);
        let parts: Vec<&Value> = parts(&manifest, input);
        assert_eq!(parts.len(), 1, "the trouble of others is none of {input}: {parts:#?}");
        assert_sound(&session.join(parts[0]["file"].as_str().expect("a name")));
    }
    let minute = |minute: usize| &looks[(minute - 1) * LOOKS..minute * LOOKS];
    let (first, last) = (minute(WARM_MINUTES), minute(minutes));
    // A picture more or less is painted at the moment of a look: what is there most of the time counts for memory, what
    // is always there for the rest.
    let rss = |looks: &[Holds]| median(looks.iter().map(|look| look.rss_bytes).collect());
    let least = |looks: &[Holds]| {
        (looks.iter().map(|look| look.descriptors).min(), looks.iter().map(|look| look.threads).min())
    };
    let (before, behind) = (rss(first), rss(last));
    println!("window: {before} bytes in minute {WARM_MINUTES}, {behind} in minute {minutes}");
    assert!(behind <= (before as f64 * GROWTH) as u64 + NOISE, "the window grew from {before} to {behind} bytes");
    let (before, behind) = (least(first), least(last));
    assert!(behind.0 <= before.0 && behind.1 <= before.1, "descriptors and threads: {before:?}, {behind:?}");
}

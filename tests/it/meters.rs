//! What moves beside a recording: meters twenty times a second, clips that stay, the last minutes of an input, and the time
//! that is left on the disk.

use crate::record::{LIVE_WITHIN, start};
use crate::support::media_file;
use crate::support::proc::{Holdfast, find_input, test_inputs};
use crate::support::viewer::Viewer;
use holdfast::model::snapshot::Meter;
use serde_json::{Value, json};
use std::time::Duration;

/// How long meters are counted.
const COUNTED: Duration = Duration::from_secs(2);
/// A rate is known 2 s behind the first media, and believed after six; on a busy machine it comes late.
const KNOWN_WITHIN: Duration = Duration::from_secs(25);
/// A clip is told with the next status; clearing it, too.
const TOLD_WITHIN: Duration = Duration::from_secs(10);
/// How long the time left is looked at once it is known.
const WATCHED: Duration = Duration::from_secs(2);

/// A film whose sound clips in its first second only, and ticks at −6 dBFS once a second behind that.
fn film(folder: &std::path::Path) -> String {
    let path = folder.join("loud.mp4");
    media_file::camera_with(&path, 40, &["-af", "volume=12dB:enable='lt(t,1)'"]);
    format!(
        "[[input]]\nid = \"film\"\nname = \"Film\"\nkind = \"file\"\npath = \"{}\"\nrepeat = false\naudio = \"auto\"\n",
        path.display()
    )
}

#[test]
fn meters_histories_and_the_time_left_tell_the_truth_while_it_is_recorded() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut holdfast = Holdfast::new(&(test_inputs(1, "auto") + &film(folder.path())));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);

    // 20 per second, a tone of -20 dBFS within half a decibel (R-UI-6).
    let mut viewer = Viewer::watch(&holdfast, "cam1");
    assert!(!viewer.pictures(1, LIVE_WITHIN).is_empty(), "no preview");
    let levels = viewer.levels(COUNTED);
    let rate = levels.len() as f64 / COUNTED.as_secs_f64();
    println!("{rate:.1} meters per second, {:?}", levels.last());
    assert!(rate >= 18.0, "{rate} per second");
    let right = |meter: &Meter| (meter.peak_dbfs + 20.0).abs() <= 0.5;
    assert!(levels.iter().all(|meters| !meters.is_empty() && meters.iter().all(right)), "{levels:?}");
    assert!(levels.iter().flatten().all(|meter| !meter.clip));

    start(&holdfast, &["cam1"]);
    let begun = holdfast.status();
    let early = begun["session"]["media_ms"].as_u64() < Some(6000);
    assert!(!early || begun["storage"]["seconds_left"].is_null(), "nothing is known in the first seconds: {begun:#}");

    // The clip of a second long ago is still shown, until somebody has seen it.
    let clips = |snapshot: &Value| find_input(snapshot, "film")["audio"][0]["clip"].clone();
    holdfast.wait_until("a clip", TOLD_WITHIN, |snapshot| clips(snapshot) == true);
    let quiet = |snapshot: &Value| find_input(snapshot, "film")["audio"][0]["peak_dbfs"].as_f64() < Some(-3.0);
    let seen = holdfast.wait_until("a quiet sound", TOLD_WITHIN, quiet);
    assert_eq!(clips(&seen), true);
    let cleared = holdfast.api("POST", "/api/v1/inputs/film/clip/clear", &[], None).expect("an answer");
    assert_eq!((cleared.status, &cleared.body), (202, &json!({"input": "film"})));
    holdfast.wait_until("no clip", TOLD_WITHIN, |snapshot| clips(snapshot) == false);
    let unknown = holdfast.api("POST", "/api/v1/inputs/cam9/clip/clear", &[], None).expect("an answer");
    assert_eq!((unknown.status, unknown.body["code"].as_str()), (404, Some("unknown_input")));

    // Once the time left is told it does not swing.
    let known = |snapshot: &Value| snapshot["storage"]["seconds_left"].as_u64();
    let first = holdfast.wait_until("the time left", KNOWN_WITHIN, |snapshot| known(snapshot).is_some());
    let first = known(&first).expect("it is known") as f64;
    let (mut lowest, mut highest) = (first, first);
    let watched = crate::support::process::Deadline::after(WATCHED);
    while watched.left().is_some() {
        let seen = holdfast.wait_until("a snapshot", TOLD_WITHIN, |snapshot| known(snapshot).is_some());
        let left = known(&seen).expect("it is known") as f64;
        (lowest, highest) = (lowest.min(left), highest.max(left));
    }
    println!("time left {first} s, then {lowest} to {highest} s");
    assert!(highest / lowest < 1.25, "it swings from {lowest} to {highest} s");

    let history = holdfast.api("GET", "/api/v1/inputs/cam1/history", &[], None).expect("an answer");
    let points = history.body["points"].as_array().expect("points");
    println!("{points:?}");
    let last = points.last().expect("two steps have passed");
    assert!(points.windows(2).all(|pair| pair[0]["t_ms"].as_u64() < pair[1]["t_ms"].as_u64()), "{points:?}");
    assert!(points.iter().any(|point| (point["fps"].as_f64().unwrap_or(0.0) - 30.0).abs() < 2.0), "{points:?}");
    assert!(last["queue_percent"].as_u64().is_some_and(|fill| fill <= 100), "{last}");
    assert!(last["dropped"].as_u64().is_some() && last["bytes_per_s"].as_u64() > Some(0), "{last}");
    let missing = holdfast.api("GET", "/api/v1/inputs/cam9/history", &[], None).expect("an answer");
    assert_eq!((missing.status, missing.body["code"].as_str()), (404, Some("unknown_input")));
    holdfast.cli_ok(&["record", "stop"]);
}

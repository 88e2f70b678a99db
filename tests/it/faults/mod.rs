//! Faults of disks and pipelines that really happen while the real program records: what is said of them, how soon, what
//! they cost, and that nothing of it stops a recording (R-FM-2, R-FM-4, R-FM-13, R-TRU-1).

mod displaced;
mod frozen;
mod full;
mod refused;
pub mod stall;

use crate::record::{LIVE_WITHIN, start, wait_media};
use crate::support::loss::monotonic;
use crate::support::proc::{Holdfast, find_input, wait_for_change};
use crate::support::process::Deadline;
use crate::support::truth::Seen;
use serde_json::Value;
use std::time::Duration;

/// Trouble is said within this; 2 s are promised, the rest is a busy machine.
const TOLD_WITHIN: Duration = Duration::from_secs(5);
/// A disk that answers again is told after this long without a slow call.
const CALM: Duration = Duration::from_secs(3);
/// Alerts are looked at again after this.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Nothing is called recording for longer without a byte (2 s are promised).
const LIE: Duration = Duration::from_millis(2600);

/// The recording of `input` in `snapshot`.
fn recording<'a>(snapshot: &'a Value, input: &str) -> &'a Value {
    &find_input(snapshot, input)["recording"]
}

/// A session of `inputs` that has been recorded for two seconds.
fn begin(holdfast: &mut Holdfast, inputs: &[&str]) {
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(holdfast, inputs);
    for input in inputs {
        wait_media(holdfast, input, Duration::from_secs(2));
    }
}

/// Waits until `input` is called `state`.
fn wait_state(holdfast: &Holdfast, input: &str, state: &str, within: Duration) -> Value {
    holdfast.wait_until(&format!("{input} is {state}"), within, |snapshot| recording(snapshot, input)["state"] == state)
}

/// Waits until half a second more of `input` is in its files than there is now.
fn wait_more(holdfast: &Holdfast, input: &str) {
    let media = recording(&holdfast.status(), input)["media_ms"].as_u64().unwrap_or(0);
    wait_media(holdfast, input, Duration::from_millis(media + 1200));
}

/// What is said about `input` as `code`.
fn alert(holdfast: &Holdfast, input: &str, code: &str) -> Option<Value> {
    let reply = holdfast.api("GET", "/api/v1/alerts", &[], None).expect("alerts");
    let alerts = reply.body["alerts"].as_array().or(reply.body.as_array()).expect("a list");
    alerts.iter().find(|alert| alert["source"] == input && alert["code"] == code).cloned()
}

/// Waits until `code` is said about `input`, since `from`; how long that took.
fn wait_alert(holdfast: &Holdfast, input: &str, code: &str, from: Duration) -> Duration {
    let deadline = Deadline::after(TOLD_WITHIN);
    while alert(holdfast, input, code).is_none() {
        assert!(deadline.left().is_some(), "{code} is not said of {input} within {TOLD_WITHIN:?}");
        wait_for_change(&holdfast.root().join("home"), LOOK_AGAIN);
    }
    monotonic().saturating_sub(from)
}

/// Waits until nothing is wrong with `input` any more as `code`.
fn wait_resolved(holdfast: &Holdfast, input: &str, code: &str) {
    let deadline = Deadline::after(TOLD_WITHIN + CALM);
    while alert(holdfast, input, code).is_none_or(|alert| alert["state"] != "resolved") {
        assert!(deadline.left().is_some(), "{code} of {input} goes on");
        wait_for_change(&holdfast.root().join("home"), LOOK_AGAIN);
    }
}

/// Nobody was lied to about `inputs`.
fn assert_true(seen: &Seen, inputs: &[&str]) {
    for input in inputs {
        let lie = seen.lie(input);
        println!("{input}: lie {lie:?}");
        assert!(lie <= LIE, "{input} was called recording {lie:?} without a byte");
    }
}

/// The parts of `input` that have media, and their files.
fn media_parts<'a>(manifest: &'a Value, input: &str) -> Vec<&'a Value> {
    let mut parts = crate::support::evidence::parts(manifest, input);
    parts.retain(|part| part["end"] != "empty");
    parts
}

/// The codes of the incidents of `input`.
fn incidents(manifest: &Value, input: &str) -> Vec<String> {
    let all = manifest["incidents"].as_array().into_iter().flatten();
    all.filter(|one| one["input"] == input).filter_map(|one| Some(one["code"].as_str()?.to_owned())).collect()
}

/// The causes of the gaps of `input`, without a late start.
fn gap_causes(manifest: &Value, input: &str) -> Vec<String> {
    let parts = crate::support::evidence::parts(manifest, input);
    let gaps = parts.iter().filter_map(|part| part["gaps"].as_array()).flatten();
    let causes = gaps.filter_map(|gap| Some(gap["cause"].as_str()?.to_owned()));
    causes.filter(|cause| cause != "late_start").collect()
}

/// Every frame that was captured is in the file of `part`.
fn assert_exact(part: &Value, samples: usize) {
    let frames = &part["frames"];
    assert_eq!(frames["written"], samples as u64, "{part:#}");
    assert_eq!(frames["captured"], frames["written"], "{part:#}");
    assert_eq!(frames["encoded"], frames["written"], "{part:#}");
    assert_eq!(frames["dropped"], 0, "{part:#}");
}

//! What the end of a recording cost: really, by the clock burnt into the pictures, and as the program states it.

use super::frames;
use super::proc::Holdfast;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// How true a stated loss must be.
pub const TRUE_TO: Duration = Duration::from_millis(100);
/// Pictures per second of every test input.
const FPS: f64 = 30.0;

/// CLOCK_MONOTONIC: what is burnt into the pictures.
pub fn monotonic() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// The moment the last picture of `file` ends, by the clock burnt into it.
pub fn end_of(file: &Path) -> Duration {
    let numbers = frames::numbers(file).unwrap_or_else(|error| panic!("{error}"));
    let last = numbers.last().copied().flatten().expect("a number in the last picture");
    Duration::from_secs_f64((f64::from(last) + 1.0) / FPS)
}

/// What is said of the recovery in the alerts of the engine.
pub fn alert(holdfast: &Holdfast) -> Value {
    let reply = holdfast.api("GET", "/api/v1/alerts", &[], None).expect("alerts");
    let alerts = reply.body["alerts"].as_array().or(reply.body.as_array()).expect("a list");
    let alert = alerts.iter().find(|alert| alert["code"] == "session_recovered");
    alert.unwrap_or_else(|| panic!("no alert: {:#}", reply.body)).clone()
}

/// What `alert` says was lost of `input`: more than a bound, and the same as `manifest` says.
pub fn stated(alert: &Value, manifest: &Value, input: &str) -> Duration {
    let loss = alert["params"]["loss"].as_str().unwrap_or_else(|| panic!("no loss in {alert:#}"));
    let of_input = loss.split(", ").find_map(|one| one.strip_prefix(&format!("{input} ")));
    let number =
        of_input.and_then(|text| text.strip_suffix(" ms")).map(|text| text.split(" ± ").next().unwrap_or(text));
    let millis = number.and_then(|text| text.parse().ok());
    let millis: u64 = millis.unwrap_or_else(|| panic!("nothing that is true to 100 ms of {input} in {loss:?}"));
    let inputs = manifest["inputs"].as_array().expect("inputs");
    let row = inputs.iter().find(|row| row["id"] == input).unwrap_or_else(|| panic!("no {input} in {manifest:#}"));
    assert_eq!(row["lost"]["ms"], millis, "{manifest:#}");
    assert!(row["lost"]["within_ms"].is_u64(), "{manifest:#}");
    Duration::from_millis(millis)
}

/// No pulse is left in the folder of a session.
pub fn assert_no_pulse(session: &Path) {
    let names = std::fs::read_dir(session).expect("a folder").flatten().map(|entry| entry.path());
    let left: Vec<_> = names.filter(|path| path.extension().is_some_and(|extension| extension == "pulse")).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

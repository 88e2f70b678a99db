//! Markers: they lie where the operator clicked, and stand whatever dies behind them.

use crate::record::{LIVE_WITHIN, start, wait_media};
use crate::support::api::Reply;
use crate::support::evidence::{manifest, plan};
use crate::support::proc::{Holdfast, test_inputs};
use holdfast::sys::clock::mono_now;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::Duration;

/// An engine that was killed is gone within this.
const ENDED_WITHIN: Duration = Duration::from_secs(10);

fn mark(holdfast: &Holdfast, key: &str, clicked: Option<u64>, body: Value) -> Reply {
    let clicked = clicked.map(|at| at.to_string());
    let mut headers = vec![("X-Idempotency-Key", key)];
    headers.extend(clicked.as_ref().map(|at| ("X-Clicked-At-Ns", at.as_str())));
    holdfast.api("POST", "/api/v1/recorder/marker", &headers, Some(&body)).expect("an answer")
}

fn n_of(reply: &Reply) -> (u16, Option<u64>) {
    (reply.status, reply.body["marker"]["n"].as_u64())
}

#[test]
fn a_marker_lies_where_it_was_clicked_and_survives_every_death() {
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    let engine = holdfast.spawn_engine();
    let idle = mark(&holdfast, "early", None, json!({}));
    assert_eq!((idle.status, idle.body["code"].as_str()), (400, Some("not_recording")), "{idle:?}");
    assert_eq!(holdfast.cli(&["record", "mark"]).code, Some(1));
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &["cam1", "cam2"]);
    wait_media(&holdfast, "cam1", Duration::from_secs(1));
    // The click lies some time before the request, as on a busy machine.
    let clicked = mono_now().0 - 400_000_000;
    let first = mark(&holdfast, "m1", Some(clicked), json!({"label": "goal / 1:0"}));
    assert_eq!(n_of(&first), (201, Some(1)), "{first:?}");
    let begin = plan(&holdfast.session())["start_at_ns"].as_u64().expect("a time");
    let t_ns = clicked - begin;
    assert_eq!(first.body["marker"]["t_ns"].as_u64(), Some(t_ns));
    assert_eq!(n_of(&mark(&holdfast, "m1", None, json!({"label": "goal / 1:0"}))), (200, Some(1)));
    assert_eq!(mark(&holdfast, "m1", None, json!({"label": "other"})).body["code"], "key_reused");
    assert_eq!(mark(&holdfast, "m2", None, json!({"label": "two\nlines"})).body["code"], "bad_label");
    assert_eq!(mark(&holdfast, "m2", None, json!({"label": "x".repeat(121)})).body["code"], "bad_label");
    let told = holdfast.cli_ok(&["record", "mark", "by hand"]).stdout;
    assert!(told.contains("marker 2"), "{told}");
    let view = holdfast.status()["session"]["markers"].clone();
    assert_eq!((&view["count"], &view["last"][1]["label"]), (&json!(2), &json!("goal / 1:0")), "{view:#}");
    wait_media(&holdfast, "cam1", Duration::from_secs(3));

    // Another engine goes on with the session, its markers and their keys.
    holdfast.signal(engine, Signal::KILL);
    assert!(holdfast.ended(engine, ENDED_WITHIN));
    let second = holdfast.spawn_engine();
    let again = holdfast.wait_until("the session goes on", LIVE_WITHIN, |snapshot| {
        snapshot["session"]["state"] == "recording" && snapshot["session"]["markers"]["count"] == 2
    });
    assert_eq!(again["session"]["markers"], view);
    assert_eq!(n_of(&mark(&holdfast, "m1", None, json!({"label": "goal / 1:0"}))), (200, Some(1)));
    assert_eq!(n_of(&mark(&holdfast, "m3", None, json!({}))), (201, Some(3)));

    // Everything dies; recovery puts them into the manifest, with their places in the files.
    let session = holdfast.session();
    for pid in [second, holdfast.worker_pid("cam1"), holdfast.worker_pid("cam2")] {
        holdfast.signal(pid, Signal::KILL);
        assert!(holdfast.ended(pid, ENDED_WITHIN));
    }
    holdfast.cli_ok(&["recover"]);
    let manifest = manifest(&session);
    let numbers: Vec<_> = manifest["markers"].as_array().expect("markers").iter().map(|marker| &marker["n"]).collect();
    assert_eq!(numbers, [&json!(1), &json!(2), &json!(3)], "{manifest:#}");
    let places = manifest["markers"][0]["places"].as_array().expect("places");
    assert_eq!(places.len(), 2, "{manifest:#}");
    for (place, input) in places.iter().zip(manifest["inputs"].as_array().expect("inputs")) {
        let part = &input["parts"][0];
        assert_eq!((&place["input"], &place["file"]), (&input["id"], &part["file"]));
        let media = t_ns - part["offset_ns"].as_u64().expect("an offset");
        assert_eq!(place["media_ns"].as_u64(), Some(media), "{manifest:#}");
    }
}

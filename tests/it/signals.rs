//! Signals: to a worker they close what it records in good order, to engine and window they mean to leave while
//! recordings go on (R-SUP-12). Whoever sends one to a worker has not asked to stop the session: the input goes on as its
//! next part, as behind any other exit (R-SUP-5).

use crate::adopt::CLOSED_WITHIN;
use crate::record::{LIVE_WITHIN, REPLACED_WITHIN, start, wait_media};
use crate::support::display::Display;
use crate::support::evidence::{assert_no_frame_missing, manifest, parts};
use crate::support::proc::{Holdfast, find_input, test_inputs};
use rustix::process::Signal;
use serde_json::Value;
use std::time::Duration;

/// An engine leaves within 5 s (R-SUP-13), a window at once; this is for a machine under full load.
const LEAVES_WITHIN: Duration = Duration::from_secs(10);

fn media_ms(holdfast: &Holdfast, input: &str) -> u64 {
    find_input(&holdfast.status(), input)["recording"]["media_ms"].as_u64().unwrap_or(0)
}

fn records_on(holdfast: &Holdfast, input: &str) {
    let media = Duration::from_millis(media_ms(holdfast, input) + 700);
    wait_media(holdfast, input, media);
}

/// Every part was closed by its own worker, and holds every frame of its time.
fn stop_and_check(holdfast: &Holdfast, inputs: &[(&str, usize)]) {
    holdfast.cli_ok(&["record", "stop"]);
    holdfast.wait_until("closed", CLOSED_WITHIN, |snapshot| snapshot["session"].is_null());
    let session = holdfast.session();
    let manifest = manifest(&session);
    for (input, count) in inputs {
        let parts = parts(&manifest, input);
        assert_eq!(parts.len(), *count, "{input}: {manifest:#}");
        for part in parts {
            assert_eq!((&part["end"], &part["lost"]), (&"completed".into(), &Value::Null), "{input}: {manifest:#}");
            assert_no_frame_missing(&session.join(part["file"].as_str().expect("a name")));
        }
    }
}

#[test]
fn a_worker_stops_in_good_order_or_ignores_it_and_the_engine_leaves_it_alone() {
    let mut holdfast = Holdfast::new(&test_inputs(3, "auto"));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &["cam1", "cam2", "cam3"]);
    wait_media(&holdfast, "cam1", Duration::from_millis(1000));
    let lasting = holdfast.worker_pid("cam3");
    holdfast.signal(lasting, Signal::HUP);
    for (input, signal) in [("cam1", Signal::TERM), ("cam2", Signal::INT)] {
        let worker = holdfast.worker_pid(input);
        holdfast.signal(worker, signal);
        assert!(holdfast.ended(worker, LEAVES_WITHIN), "{input} does not heed {signal:?}");
        holdfast.wait_until("the next part", REPLACED_WITHIN, |snapshot| {
            let recording = &find_input(snapshot, input)["recording"];
            recording["part"] == 2 && recording["state"] == "recording"
        });
    }
    records_on(&holdfast, "cam3");
    // Engines come and go.
    for signal in [Signal::INT, Signal::HUP] {
        let engine = holdfast.engine().pid();
        holdfast.signal(engine, signal);
        let ended = holdfast.engine().wait(LEAVES_WITHIN);
        assert!(ended.is_some_and(|status| status.success()), "{signal:?}: {ended:?}");
        holdfast.spawn_engine();
        records_on(&holdfast, "cam3");
    }
    assert_eq!(holdfast.worker_pid("cam3"), lasting, "SIGHUP is nothing to a worker");
    stop_and_check(&holdfast, &[("cam1", 2), ("cam2", 2), ("cam3", 1)]);
}

#[test]
fn a_window_leaves_and_its_recording_goes_on() {
    let holdfast = Holdfast::new(&test_inputs(1, "auto"));
    let display = Display::start(&holdfast, 640, 480);
    for signal in [Signal::TERM, Signal::HUP] {
        let mut window = display.window(&holdfast, &[]);
        display.atspi_ok(&holdfast, &["--within", "30", "wait", "Camera 1"]);
        holdfast.wait_live(LIVE_WITHIN);
        if signal == Signal::TERM {
            start(&holdfast, &["cam1"]);
        }
        window.signal(signal);
        let ended = window.wait(LEAVES_WITHIN);
        assert!(ended.is_some_and(|status| status.success()), "{signal:?}: {ended:?}");
        records_on(&holdfast, "cam1");
    }
    stop_and_check(&holdfast, &[("cam1", 1)]);
}

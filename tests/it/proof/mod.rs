//! The proof after Stop: clean sessions are called clean, and damage planted in real recordings is found by name.

mod damage;

use crate::record::{LIVE_WITHIN, start, wait_media};
use crate::support::evidence::{manifest, parts};
use crate::support::proc::{Holdfast, find_input, test_inputs};
use serde_json::Value;
use std::time::Duration;

/// Reading some seconds of small pictures twice at idle priority beside compilers.
const PROVED_WITHIN: Duration = Duration::from_secs(60);

/// Waits until the last session has a verdict.
fn wait_verdict(holdfast: &Holdfast) -> Value {
    let snapshot = holdfast.wait_until("a verdict", PROVED_WITHIN, |snapshot| {
        let last = &snapshot["last_session"];
        snapshot["session"].is_null() && last["proof_percent"].is_null() && last["verdict"] != "unverified"
    });
    snapshot["last_session"].clone()
}

#[test]
fn a_clean_session_is_proved_after_stop() {
    let mut holdfast = Holdfast::new(&test_inputs(2, "auto"));
    holdfast.spawn_engine();
    holdfast.wait_live(LIVE_WITHIN);
    start(&holdfast, &["cam1", "cam2"]);
    wait_media(&holdfast, "cam2", Duration::from_secs(3));
    holdfast.cli_ok(&["record", "stop"]);
    let last = wait_verdict(&holdfast);
    let manifest = manifest(&holdfast.session());
    assert_eq!(
        (&last["verdict"], &last["proved"], &last["parts"]),
        (&"ok".into(), &2.into(), &2.into()),
        "{manifest:#}"
    );
    let status = holdfast.status();
    for input in ["cam1", "cam2"] {
        let part = parts(&manifest, input)[0];
        assert_eq!(part["frames"]["readable"], part["frames"]["written"], "{part:#}");
        let bytes = std::fs::read(holdfast.session().join(part["file"].as_str().expect("a name"))).expect("a part");
        assert_eq!(part["blake3"], blake3::hash(&bytes).to_hex().as_str());
        assert_eq!(find_input(&status, input)["recording"]["verdict"], "ok");
    }
}

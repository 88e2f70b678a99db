//! A stand-in for the engine, so that a window can be shown whatever state and alerts a test wants (`desk_engine.py`).
//!
//! Contract: it lives where the window of one recorder looks for its engine, says what the real one says, and ends with
//! the test.

use super::api;
use super::proc::Holdfast;
use super::process::{self, Running};
use super::rtsp::PYTHON;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/desk_engine.py");
const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/snapshot.json");
/// It is up within a second; this is for a machine under full load.
const UP_WITHIN: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug)]
pub struct Stage {
    socket: PathBuf,
    _running: Running,
}

/// The state of an idle recorder with `n` live inputs, `cam1` to `cam<n>`, called `HDMI 1` to `HDMI <n>`.
pub fn idle(n: u32) -> Value {
    let text = std::fs::read_to_string(SNAPSHOT).expect("a golden file");
    let mut snapshot: Value = serde_json::from_str(&text).expect("a snapshot");
    let mut input = snapshot["inputs"][0].clone();
    for (field, value) in [
        ("state", json!("live")),
        ("detail", Value::Null),
        ("detail_code", Value::Null),
        ("recording", Value::Null),
        ("breaker", json!("closed")),
        ("health", json!({"verdict": "healthy", "reasons": []})),
        ("retry", json!({"state": "idle", "attempt": 0, "max": null, "next_in_ms": null, "error_class": null})),
    ] {
        input[field] = value;
    }
    let numbered = (1..=n).map(|n| {
        let mut input = input.clone();
        (input["id"], input["name"]) = (json!(format!("cam{n}")), json!(format!("HDMI {n}")));
        input
    });
    snapshot["inputs"] = numbered.collect();
    (snapshot["session"], snapshot["last_session"]) = (Value::Null, Value::Null);
    snapshot
}

impl Stage {
    /// Shows `snapshot` to whoever looks for the engine of `holdfast`.
    pub fn start(holdfast: &Holdfast, snapshot: &Value) -> Self {
        Self::start_at(holdfast, &holdfast.socket(), snapshot)
    }

    /// The same to whoever looks for it at `socket`.
    pub fn start_at(holdfast: &Holdfast, socket: &Path, snapshot: &Value) -> Self {
        let file = holdfast.root().join("snapshot.json");
        std::fs::write(&file, snapshot.to_string()).expect("the folder takes files");
        let mut python = holdfast.command(PYTHON);
        python.arg(SCRIPT).arg(socket).arg(file);
        python.stderr(process::log_file(&holdfast.root().join("stage.log")));
        let (running, _) = Running::start_and_hear("a stand-in for the engine", &mut python, UP_WITHIN);
        Self { socket: socket.to_owned(), _running: running }
    }

    fn post(&self, path: &str, body: &Value) {
        let reply = api::request(&self.socket, "POST", path, &[], Some(body)).expect("an answer");
        assert_eq!(reply.status, 200, "{reply:?}");
    }

    /// Raises or changes these alerts.
    pub fn alerts(&self, alerts: &[Value]) {
        self.post("/test/alerts", &json!(alerts));
    }

    /// Raises `count` alerts like `alert` within a second, with ids from its own on. Returns when they begin.
    pub fn flood(&self, alert: &Value, count: u32) {
        self.post("/test/flood", &json!({"alert": alert, "count": count, "seconds": 1.0}));
    }

    /// Tells every window this, without changing what it is shown at first.
    pub fn event(&self, kind: &str, data: &Value) {
        self.post("/test/event", &json!({"kind": kind, "data": data}));
    }

    /// How many follow the events.
    pub fn clients(&self) -> u64 {
        let reply = api::request(&self.socket, "GET", "/test/clients", &[], None).expect("an answer");
        reply.body.as_u64().expect("a number")
    }

    /// What windows have asked for so far: the paths of their POSTs, oldest first.
    pub fn asked(&self) -> Vec<String> {
        let reply = api::request(&self.socket, "GET", "/test/asked", &[], None).expect("an answer");
        serde_json::from_value(reply.body).expect("a list of paths")
    }
}

//! The public shapes, word for word, as files under `tests/golden`. A changed shape fails here with what changed.
//!
//! Contract: fields may be added, never renamed or taken away (DESIGN §4). `HOLDFAST_GOLDEN=write` writes the files
//! anew, and refuses to where a field of the old file is missing.

mod health;

use holdfast::model::calendar::{ClockStep, Suspend};
use holdfast::model::incident::Severity;
use holdfast::model::loss::Loss;
use holdfast::model::marker::{Marker, MarkerPlace, MarkersView};
use holdfast::model::proof::{Finding, FindingCode, PartFinding};
use holdfast::model::session::{
    AudioTrack, Closed, Gap, Manifest, ManifestIncident, ManifestInput, PartEnd, PartFrames, PartRecord, Verdict,
    VideoTrack,
};
use holdfast::model::snapshot::*;
use holdfast::model::{InputId, SessionId};
use holdfast::protocol::api::*;
use holdfast::protocol::event::{Event, Sample};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Debug;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Compares `value` with the file `name`, and what the file says with `value`.
fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, value: &T) {
    let path = folder().join(format!("{name}.json"));
    let now = serde_json::to_string_pretty(value).expect("JSON") + "\n";
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    if std::env::var("HOLDFAST_GOLDEN").as_deref() == Ok("write") {
        let before = serde_json::from_str(&old).unwrap_or_default();
        let gone = missing(&before, &serde_json::from_str(&now).expect("JSON"), name);
        assert!(gone.is_empty(), "fields may be added, never taken away: {gone:?}");
        std::fs::write(&path, now).expect("the folder is ours");
        return;
    }
    assert!(now == old, "{} changed (HOLDFAST_GOLDEN=write accepts it):\n{}", path.display(), difference(&old, &now));
    let read: T = serde_json::from_str(&old).unwrap_or_else(|error| panic!("{name}.json is not understood: {error}"));
    assert_eq!(&read, value, "{name}.json means something else");
}

/// Fields of `old` that `new` lacks.
fn missing(old: &Value, new: &Value, path: &str) -> Vec<String> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let each = old.iter().map(|(key, value)| (format!("{path}.{key}"), value, new.get(key)));
            each.flat_map(|(path, value, new)| new.map_or(vec![path.clone()], |new| missing(value, new, &path)))
                .collect()
        }
        (Value::Array(old), Value::Array(new)) => old
            .iter()
            .zip(new)
            .enumerate()
            .flat_map(|(n, (old, new))| missing(old, new, &format!("{path}[{n}]")))
            .collect(),
        _ => Vec::new(),
    }
}

/// The lines that differ, with their numbers.
fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let tail = old[same..].iter().rev().zip(new[same..].iter().rev()).take_while(|(old, new)| old == new).count();
    let marked = |mark: char, lines: &[&str]| {
        let lines = &lines[same..lines.len() - tail];
        lines.iter().enumerate().map(|(n, line)| format!("{mark} {:>4} {line}\n", same + n + 1)).collect::<String>()
    };
    marked('-', &old) + &marked('+', &new)
}

fn at() -> Timestamp {
    "2026-11-21T20:30:15.123Z".parse().expect("a time")
}

fn id() -> SessionId {
    SessionId(uuid::uuid!("01934f5e-0000-7000-8000-000000007f3a"))
}

fn cam1() -> InputId {
    "cam1".parse().expect("an id")
}

fn input() -> InputView {
    InputView {
        id: cam1(),
        name: "HDMI 1".into(),
        kind: "v4l2".into(),
        state: InputState::NoSignal,
        since: Some(at()),
        recording_since: None,
        detail: Some("No signal arrives.".into()),
        detail_code: Some("no_signal".into()),
        detail_params: [("reason".to_owned(), "unplugged".to_owned())].into(),
        armed: true,
        importance: 0,
        health: Health { verdict: HealthVerdict::Degraded, reasons: vec!["fps_low".into()] },
        retry: RetryView {
            state: RetryState::Retrying,
            attempt: 1,
            max: Some(3),
            next_in_ms: Some(1500),
            error_class: Some("device".into()),
        },
        signal: Some(Signal { width: 1920, height: 1080, fps: Some(29.97) }),
        breaker: BreakerState::HalfOpen,
        worker: Some(WorkerView {
            pid: Some(123),
            uptime_ms: 1,
            rss_bytes: Some(1),
            cpu_percent: Some(7.5),
            nice: Some(-10),
        }),
        preview: PreviewView {
            state: PreviewState::Reduced,
            width: Some(640),
            height: Some(360),
            fps: Some(15.0),
            reduced: Some(PreviewReduction::Rate),
        },
        audio: vec![Meter { peak_dbfs: -12.0, rms_dbfs: -20.0, clip: false }],
        recording: Some(RecordingView {
            state: RecordingState::Recording,
            verdict: None,
            part: 1,
            file: Some("cam1.mp4".into()),
            media_ms: Some(12345),
            safe_ms: Some(11800),
            bytes: Some(1),
            bytes_per_s: Some(1),
            frames: Frames {
                captured: Some(370),
                encoded: Some(370),
                written: Some(369),
                duplicated: Some(0),
                dropped: Dropped { source: Some(0), queue: Some(0), encoder: None },
            },
        }),
    }
}

fn session() -> SessionView {
    SessionView {
        id: id(),
        name: "keynote".parse().expect("a name"),
        state: SessionState::Recording,
        started_at: at(),
        dir: "/library/2026-11-21_20-30-15_keynote_7f3a".into(),
        media_ms: Some(12345),
        safe_ms: Some(11800),
        open: true,
        markers: MarkersView { count: 1, last: vec![marker(Vec::new())] },
    }
}

fn marker(places: Vec<MarkerPlace>) -> Marker {
    let label = Some("goal".parse().expect("a label"));
    Marker { n: 1, t_ns: 6_000_000_000, media_ms: Some(5400), at: at(), label, places }
}

fn last_session() -> LastSession {
    LastSession {
        id: id(),
        name: "keynote".parse().expect("a name"),
        dir: "/library/2026-11-21_20-30-15_keynote_7f3a".into(),
        state: Closed::Completed,
        verdict: Verdict::Unverified,
        proved: 3,
        parts: 4,
        proof_percent: Some(75),
    }
}

fn storage() -> StorageView {
    StorageView { path: "/library".into(), free_bytes: Some(1), total_bytes: Some(2), seconds_left: Some(8040) }
}

fn level() -> LevelView {
    LevelView {
        name: LevelName::Degrade,
        causes: vec!["cpu".into()],
        actions: vec!["previews_720p".into()],
        cpu_percent: Some(91),
    }
}

fn service() -> ServiceView {
    ServiceView { name: "mediamtx".into(), state: ServiceState::Disabled, version: None, detail: String::new() }
}

fn priority() -> PriorityView {
    let detail = "the recorder was started at nice -10".into();
    let rungs = vec![RungView { rung: Rung::Inherited, result: RungResult::Granted, detail }];
    let (nice, io, oom_score_adj_ui) = (Some(-10), Some("be0".into()), Some(300));
    PriorityView { nice, via: PriorityVia::Inherited, cpus: Some(vec![4, 5, 6, 7]), io, oom_score_adj_ui, rungs }
}

fn alert() -> Alert {
    Alert {
        id: 7,
        seq: 42,
        at: at(),
        last_at: Some(at()),
        severity: Severity::Warning,
        source: "cam1".into(),
        code: "no_signal".into(),
        params: [("reason".to_owned(), "unplugged".to_owned())].into(),
        message: "No signal arrives.".into(),
        count: 2,
        more: 0,
        state: AlertState::Resolved,
        resolved_at: Some(at()),
        acknowledged: false,
        actions: vec!["retry".into()],
    }
}

fn counts() -> AlertCounts {
    AlertCounts { critical: 0, warning: 1, info: 0, unacknowledged: 1 }
}

fn snapshot() -> Snapshot {
    Snapshot {
        version: SNAPSHOT_VERSION,
        seq: 42,
        session: Some(session()),
        last_session: Some(last_session()),
        inputs: vec![input()],
        storage: storage(),
        level: level(),
        alerts: counts(),
        services: vec![service()],
        priority: priority(),
    }
}

fn manifest() -> Manifest {
    let frames = PartFrames {
        captured: Some(370),
        encoded: Some(370),
        written: Some(370),
        readable: Some(370),
        duplicated: Some(0),
        dropped: Some(0),
    };
    let part = PartRecord {
        part: 1,
        file: "cam1.mp4".into(),
        offset_ns: Some(12_000_000),
        duration_ns: 12_345_000_000,
        bytes: 1,
        container: holdfast::model::encoding::Container::Mp4,
        video: Some(VideoTrack {
            codec: holdfast::model::encoding::VideoCodec::H264,
            width: 1920,
            height: 1080,
            fps: Some(29.97),
        }),
        audio: Some(AudioTrack { codec: holdfast::model::encoding::AudioCodec::Aac, rate: 48_000, channels: 2 }),
        frames,
        gaps: vec![Gap { from_ns: 1, to_ns: 2, cause: "no_signal".into() }],
        blake3: Some("00".into()),
        payload_blake3: Some("11".into()),
        lost: Some(Loss { ms: 250, within_ms: Some(84) }),
        stalled: false,
        end: PartEnd::Completed,
    };
    let incident = holdfast::model::incident::Incident::new(holdfast::model::incident::IncidentCode::NoSignal);
    Manifest {
        version: 1,
        id: id(),
        name: "keynote".parse().expect("a name"),
        started_at: at(),
        ended_at: at(),
        state: Closed::Completed,
        library_path: "/library".into(),
        inputs: vec![ManifestInput {
            id: cam1(),
            name: "HDMI 1".into(),
            kind: "v4l2".into(),
            verdict: Verdict::Warning,
            parts: vec![part],
            findings: vec![PartFinding { file: "cam1.mp4".into(), finding: Finding::new(FindingCode::Gap) }],
            lost: Some(Loss::at_most(600)),
        }],
        markers: vec![marker(vec![MarkerPlace {
            input: cam1(),
            part: 1,
            file: "cam1.mp4".into(),
            media_ns: 5_988_000_000,
        }])],
        clock_steps: vec![ClockStep { t_ns: 4, step_ns: -3_600_000_000_000, at: at() }],
        suspends: vec![Suspend { t_ns: 3, slept_ns: 8_000_000_000, at: at() }],
        incidents: vec![ManifestIncident { t_ns: 5, input: Some(cam1()), incident }],
    }
}

#[test]
fn the_snapshot_and_every_event_have_the_shape_that_was_promised() {
    check("snapshot", &snapshot());
    let (seq, at) = (42, at());
    let sample =
        Sample { session: Some(session()), inputs: vec![input()], storage: Some(storage()), level: Some(level()) };
    let events = [
        ("sync", Event::Sync { seq, at, data: Box::new(snapshot()) }),
        ("input", Event::Input { seq, at, data: Box::new(input()) }),
        ("session", Event::Session { seq, at, data: Some(session()) }),
        ("session_over", Event::Session { seq, at, data: None }),
        ("last_session", Event::LastSession { seq, at, data: Some(last_session()) }),
        ("storage", Event::Storage { seq, at, data: storage() }),
        ("level", Event::Level { seq, at, data: level() }),
        ("service", Event::Service { seq, at, data: service() }),
        ("priority", Event::Priority { seq, at, data: priority() }),
        ("alert", Event::Alert { seq, at, data: Box::new(alert()) }),
        ("alerts", Event::Alerts { seq, at, data: counts() }),
        ("sample", Event::Sample { at, data: Box::new(sample) }),
        ("heartbeat", Event::Heartbeat { at }),
    ];
    for (name, event) in events {
        check(&format!("event_{name}"), &event);
    }
}

#[test]
fn every_request_reply_and_error_has_the_shape_that_was_promised() {
    check("request_start", &StartRequest { name: Some("keynote".into()), inputs: Some(vec!["cam1".into()]) });
    check("request_stop", &StopRequest { session_id: Some(id()) });
    check(
        "reply_start",
        &StartReply {
            session_id: id(),
            name: "keynote".parse().expect("a name"),
            started_at: at(),
            inputs: vec![cam1()],
            status: "starting".into(),
        },
    );
    check("reply_stop", &StopReply { session_id: id(), status: "stopping".into() });
    check("request_split", &SplitRequest { session_id: Some(id()) });
    check("reply_split", &SplitReply { session_id: id(), inputs: vec![cam1()] });
    check("request_marker", &MarkerRequest { session_id: Some(id()), label: Some("goal".into()) });
    check("reply_marker", &MarkerReply { session_id: id(), marker: marker(Vec::new()) });
    let point = HistoryPoint {
        t_ms: 4000,
        fps: Some(29.9),
        dropped: Some(0),
        bytes_per_s: Some(750_000),
        received_bytes_per_s: None,
        queue_percent: Some(3),
    };
    check("reply_history", &HistoryReply { input: cam1(), step_ms: 2000, points: vec![point] });
    check("reply_clip", &ClipReply { input: cam1() });
    check("request_order", &OrderRequest { inputs: vec!["cam2".into(), "cam1".into()] });
    check("reply_order", &OrderReply { inputs: vec![cam1()] });
    let folder = "2026-11-21_20-30-15_take-3_…".to_owned();
    let name = "take 3".parse().expect("a name");
    check("reply_name", &NameReply { name, folder, number: Some(3), taken: Some(0) });
    check("request_latency", &LatencyReport { kind: Latency::Preview, took_ms: 180.5 });
    check("reply_latency", &health::latency());
    check("reply_retry", &RetryReply { input: cam1() });
    check("reply_alerts", &AlertsReply { alerts: vec![alert()], counts: counts(), kept: 1 });
    check("reply_ack", &AckReply { alert: alert() });
    check("reply_operations", &health::operations());
    let source = "cam1".to_owned();
    check("reply_cleanup", &CleanupReply { id: 7, kind: OperationKind::Stop, source, status: "cleaned".into() });
    check("reply_live", &LiveReply { status: "live".into(), pid: 1, uptime_ms: 1 });
    check("reply_health", &health::health(counts()));
    let dir = "2026-11-21_20-30-15_keynote_7f3a".to_owned();
    let row = |manifest| SessionRow { dir: dir.clone(), manifest, shortened: false };
    let rows = vec![row(Some(manifest())), row(None)];
    check("reply_sessions", &SessionsReply { sessions: rows, next_cursor: Some("2026".into()) });
    let message = "session \"keynote\" is running; stop it first".to_owned();
    check("error", &ApiError { code: "session_running".into(), message, retryable: false, trace_id: "0193".into() });
}

#[test]
fn the_example_of_the_design_is_a_snapshot() {
    let text = std::fs::read_to_string(folder().join("design_snapshot.json")).expect("a file");
    let example: Value = serde_json::from_str(&text).expect("JSON");
    let snapshot: Snapshot = serde_json::from_value(example.clone()).expect("a snapshot");
    let ours = serde_json::to_value(&snapshot).expect("JSON");
    assert_eq!(missing(&example, &ours, "snapshot"), Vec::<String>::new(), "fields of the design that are not ours");
}

#[test]
fn a_field_that_was_taken_away_is_named() {
    let old = serde_json::json!({"a": [{"b": 1, "c": null}], "d": 1});
    let new = serde_json::json!({"a": [{"b": 2, "x": 1}], "e": 1});
    assert_eq!(missing(&old, &new, "x"), ["x.a[0].c", "x.d"]);
    assert_eq!(difference("1\n2\n3\n", "1\nx\n3\n"), "-    2 2\n+    2 x\n");
}

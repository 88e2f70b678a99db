//! `holdfast status`: the snapshot in words.

use super::{Outcome, clock_time, print_json, word};
use crate::model::snapshot::{InputView, LevelName, LevelView, PreviewReduction, Snapshot};
use crate::protocol::client::{Client, ClientError};

pub(super) async fn run(client: Client, json: bool) -> Result<Outcome, ClientError> {
    let snapshot = client.status().await?;
    if json {
        return Ok(print_json(&snapshot));
    }
    print!("{}", text(&snapshot));
    Ok(Outcome::Done)
}

fn text(snapshot: &Snapshot) -> String {
    let mut out = match &snapshot.session {
        Some(session) => format!(
            "{} \"{}\": {} written, {} safe on disk, in {}\n",
            word(&session.state),
            session.name,
            clock_time(session.media_ms),
            clock_time(session.safe_ms),
            session.dir
        ),
        None => "idle\n".to_owned(),
    };
    if snapshot.inputs.is_empty() {
        out.push_str("no inputs are configured\n");
    }
    for input in &snapshot.inputs {
        out.push_str(&input_line(input));
    }
    let free = snapshot.storage.free_bytes.map_or("unknown".to_owned(), crate::config::size::format);
    out.push_str(&format!("storage: {free} free, {} left, in {}\n", time_left(snapshot), snapshot.storage.path));
    out.push_str(&level_line(&snapshot.level));
    let alerts = &snapshot.alerts;
    out.push_str(&format!("alerts: {} critical, {} warning, {} info\n", alerts.critical, alerts.warning, alerts.info));
    out
}

/// Nothing where nothing is wrong.
fn level_line(level: &LevelView) -> String {
    if level.name == LevelName::Normal {
        return String::new();
    }
    let list = |words: &[String]| if words.is_empty() { "–".to_owned() } else { words.join(", ") };
    format!("load: {} because of {}; done: {}\n", word(&level.name), list(&level.causes), list(&level.actions))
}

fn time_left(snapshot: &Snapshot) -> String {
    clock_time(snapshot.storage.seconds_left.map(|seconds| seconds.saturating_mul(1000)))
}

fn input_line(input: &InputView) -> String {
    let mut line = format!("  {:<12} {}", input.id.to_string(), word(&input.state));
    if let Some(signal) = &input.signal {
        line.push_str(&format!(" {}x{}", signal.width, signal.height));
        if let Some(fps) = signal.fps {
            line.push_str(format!("@{fps:.4}").trim_end_matches('0').trim_end_matches('.'));
        }
    }
    if let Some(recording) = &input.recording {
        let file = recording.file.as_deref().unwrap_or("–");
        let times = format!("{} written, {} safe", clock_time(recording.media_ms), clock_time(recording.safe_ms));
        line.push_str(&format!(", {} {file} ({times})", word(&recording.state)));
    }
    match input.preview.reduced {
        Some(PreviewReduction::Off) => line.push_str(", preview off"),
        Some(PreviewReduction::Height | PreviewReduction::Rate) => line.push_str(", preview reduced"),
        None => {}
    }
    if let Some(detail) = &input.detail {
        line.push_str(&format!(": {detail}"));
    }
    line.push('\n');
    line
}

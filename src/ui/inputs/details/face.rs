//! What is said of one input beside its large picture. Pure.
//!
//! Contract: a number that is not known is a dash, never 0 (R-TRU-3); without contact none is said at all (R-TRU-8).

use crate::model::snapshot::{InputView, PreviewState, RecordingView, WorkerView};
use crate::ui::format::{self, UNKNOWN, bytes, fill};
use crate::ui::inputs::tile::TileView;
use crate::ui::l10n::{gettext, number};
use crate::ui::table::Cell;

/// The rows for an input, most important first.
pub fn rows(view: &TileView) -> Vec<Vec<Cell>> {
    let input = &view.input;
    if !view.contact {
        return Vec::new();
    }
    let recording = input.recording.as_ref();
    let mut rows = vec![
        row(gettext("Source"), source(input)),
        row(gettext("Picture"), input.signal.as_ref().map_or_else(|| UNKNOWN.to_owned(), format::signal)),
        row(gettext("Preview"), preview(input)),
    ];
    rows.extend(recording.into_iter().flat_map(recorded));
    rows.extend(input.worker.iter().flat_map(process));
    rows
}

fn row(name: String, value: String) -> Vec<Cell> {
    vec![Cell::name(name), Cell::new(value)]
}

fn source(input: &InputView) -> String {
    match input.kind.as_str() {
        "test" => gettext("test picture"),
        "file" => gettext("a file, played as a camera"),
        "rtsp" => gettext("network camera (RTSP)"),
        "v4l2" => gettext("HDMI or capture card"),
        other => other.to_owned(),
    }
}

fn preview(input: &InputView) -> String {
    let preview = &input.preview;
    let size = preview.width.zip(preview.height).map(|(width, height)| format!("{width}×{height}"));
    let rate = preview.fps.map(|fps| format!("{} fps", number(fps, 0)));
    let word = match preview.state {
        PreviewState::Off => Some(gettext("nobody watches")),
        PreviewState::Live => None,
        PreviewState::Reduced => Some(gettext("reduced to protect the recording")),
        PreviewState::Shed => Some(gettext("off to protect the recording")),
        PreviewState::Lost => Some(gettext("lost")),
    };
    [size, rate, word].into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn recorded(recording: &RecordingView) -> Vec<Vec<Cell>> {
    let count = |n: Option<u64>| n.map_or_else(|| UNKNOWN.to_owned(), |n| n.to_string());
    let part = fill(
        &gettext("{file}, part {n}"),
        &[("file", recording.file.as_deref().unwrap_or(UNKNOWN)), ("n", &recording.part.to_string())],
    );
    let written = [recording.bytes.map(bytes), recording.bytes_per_s.map(|rate| format!("{}/s", bytes(rate)))];
    let written = written.into_iter().flatten().collect::<Vec<_>>().join(" · ");
    let dropped = recording.frames.dropped;
    vec![
        row(gettext("File"), part),
        row(gettext("Size"), if written.is_empty() { UNKNOWN.to_owned() } else { written }),
        row(gettext("Safe on disk"), format::media_time_or_unknown(recording.safe_ms)),
        row(gettext("Frames captured"), count(recording.frames.captured)),
        row(gettext("Frames written"), count(recording.frames.written)),
        row(gettext("Frames repeated"), count(recording.frames.duplicated)),
        row(gettext("Lost in the source"), count(dropped.source)),
        row(gettext("Lost in a full queue"), count(dropped.queue)),
        row(gettext("Lost in the encoder"), count(dropped.encoder)),
    ]
}

fn process(worker: &WorkerView) -> Vec<Vec<Cell>> {
    let cpu = worker.cpu_percent.map(|percent| format!("{} %", number(percent, 1)));
    let parts = [cpu, worker.rss_bytes.map(bytes)].into_iter().flatten().collect::<Vec<_>>();
    let nice = worker.nice.map_or_else(|| UNKNOWN.to_owned(), |nice| nice.to_string().replace('-', "−"));
    vec![
        row(gettext("Process"), worker.pid.map_or_else(|| UNKNOWN.to_owned(), |pid| pid.to_string())),
        row(gettext("CPU and memory"), if parts.is_empty() { UNKNOWN.to_owned() } else { parts.join(" · ") }),
        row(gettext("Priority (nice)"), nice),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::snapshot::{InputState, RecordingState};
    use crate::ui::desk::tests::{input, recording};

    #[test]
    fn what_is_not_known_is_a_dash_and_without_contact_nothing_is_said() {
        let mut view = input("cam1", InputState::Live);
        view.recording = Some(recording(RecordingState::Recording));
        let mut view = TileView { input: view, session: None, contact: true, proof: None };
        let said = rows(&view);
        let of = |name: &str| said.iter().find(|row| row[0].text == name).map(|row| row[1].text.as_str());
        assert_eq!(of("Lost in a full queue"), Some(UNKNOWN));
        assert_eq!(of("File"), Some("cam1.mp4, part 1"));
        view.contact = false;
        assert!(rows(&view).is_empty());
    }
}

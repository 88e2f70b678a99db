//! The quiet line at the bottom: what is lost, what priority was really got, what the previews do. Pure words.

use super::desk::Desk;
use super::format;
use crate::model::snapshot::{InputView, PreviewState, RecordingState, RecordingView, SessionState, Snapshot};
use crate::ui::l10n::{gettext, ngettext};

/// Left and right end of the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusLine {
    /// Numbers.
    pub left: String,
    /// The verdict.
    pub right: String,
}

impl StatusLine {
    /// The line for what is known.
    pub fn new(desk: &Desk) -> Self {
        match desk.snapshot.as_ref().filter(|_| desk.is_current()) {
            None => Self { left: gettext("no contact with the recorder"), right: String::new() },
            Some(snapshot) => Self { left: numbers(snapshot), right: verdict(snapshot) },
        }
    }
}

fn numbers(snapshot: &Snapshot) -> String {
    let count = snapshot.inputs.len();
    let inputs = ngettext("{n} input", "{n} inputs", u32::try_from(count).unwrap_or(u32::MAX));
    let mut parts = vec![format::fill(&inputs, &[("n", &count.to_string())])];
    parts.extend(dropped(snapshot));
    if let Some(nice) = snapshot.priority.nice {
        // A true minus sign: it is read from two metres.
        let nice = nice.to_string().replace('-', "−");
        parts.push(format::fill(&gettext("recorder nice {nice}"), &[("nice", &nice)]));
    }
    parts.push(previews(&snapshot.inputs));
    parts.join(" · ")
}

/// Frames lost in the running or last session; nothing is said of what is not known (R-TRU-3).
fn dropped(snapshot: &Snapshot) -> Option<String> {
    let recordings: Vec<_> = snapshot.inputs.iter().filter_map(|input| input.recording.as_ref()).collect();
    if recordings.is_empty() {
        return None;
    }
    let lost = |d: crate::model::snapshot::Dropped| Some(d.source? + d.queue? + d.encoder?);
    let Some(sum) = recordings.iter().map(|r| lost(r.frames.dropped)).sum::<Option<u64>>() else {
        return Some(gettext("dropped frames not known"));
    };
    let words = ngettext("{n} frame dropped", "{n} frames dropped", u32::try_from(sum).unwrap_or(u32::MAX));
    Some(format::fill(&words, &[("n", &sum.to_string())]))
}

fn previews(inputs: &[InputView]) -> String {
    let any = |state| inputs.iter().any(|input| input.preview.state == state);
    if any(PreviewState::Lost) {
        gettext("some previews lost")
    } else if any(PreviewState::Shed) {
        gettext("some previews off")
    } else if any(PreviewState::Reduced) {
        gettext("previews reduced")
    } else {
        gettext("previews full")
    }
}

fn verdict(snapshot: &Snapshot) -> String {
    let Some(session) = &snapshot.session else { return snapshot.storage.path.clone() };
    let wanted: Vec<_> = snapshot.inputs.iter().filter_map(|input| input.recording.as_ref()).collect();
    let recording = wanted.iter().filter(|recording| recording.state == RecordingState::Recording).count();
    let wants = matches!(session.state, SessionState::Recording | SessionState::Failed) && snapshot.is_running();
    if wants && recording < wanted.len() {
        let (n, all) = (recording.to_string(), wanted.len().to_string());
        return format::fill(&gettext("{n} of {all} inputs record"), &[("n", &n), ("all", &all)]);
    }
    // Each input against itself: one that lost a minute is not a minute behind its disk.
    let behind = |recording: &&RecordingView| Some(recording.media_ms?.saturating_sub(recording.safe_ms?));
    match (session.state, wanted.iter().filter_map(behind).max()) {
        (SessionState::Recording, Some(behind)) => {
            // Two fragments and a sync are on their way at any time; more means that the disk does not keep up.
            if behind <= SAFE_WITHIN_MS {
                gettext("all safe ✓")
            } else {
                let seconds = behind.div_ceil(1000).to_string();
                format::fill(&gettext("{s} s not yet safe on disk"), &[("s", &seconds)])
            }
        }
        _ => String::new(),
    }
}

/// Media time that may be on its way to the disk while all is well (two fragments of 500 ms and one sync of 1 s).
const SAFE_WITHIN_MS: u64 = 2000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::snapshot::InputState;
    use crate::ui::desk::tests::{input, recording, session, snapshot};

    #[test]
    fn an_input_that_lost_a_minute_is_not_behind_its_disk() {
        let of = |media, safe| {
            let mut view = input("cam1", InputState::Live);
            view.recording = Some(RecordingView {
                media_ms: Some(media),
                safe_ms: Some(safe),
                ..recording(RecordingState::Recording)
            });
            view
        };
        let say = |inputs| {
            let mut snapshot = snapshot(inputs);
            snapshot.session = Some(session(SessionState::Recording));
            verdict(&snapshot)
        };
        assert_eq!(say(vec![of(90_000, 89_500), of(30_000, 29_000)]), "all safe ✓");
        assert_eq!(say(vec![of(90_000, 89_500), of(30_000, 26_500)]), "4 s not yet safe on disk");
    }
}

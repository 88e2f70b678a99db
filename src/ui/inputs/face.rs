//! What a tile says, worked out from the snapshot and from what this window sees itself. Pure; DESK "Tile".
//!
//! Contract: REC is said only of [`RecordingState::Recording`], which the engine sets from evidence (R-TRU-1), and
//! only with contact (R-TRU-8); a picture is shown as live only while the input is live and frames arrive (R-TRU-6).

use super::check::Check;
use crate::model::InputId;
use crate::model::snapshot::{InputState, InputView, PreviewState, RecordingState, RetryView, SessionState};
use crate::ui::l10n::gettext;
use crate::ui::{format, words};

/// What this window sees of a preview.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sight {
    /// No frame yet.
    #[default]
    Nothing,
    /// Frames arrive.
    Moving,
    /// Frames arrived, then none for two seconds.
    Frozen,
}

/// The line around a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outline {
    /// None: quiet.
    None,
    /// Recording with evidence.
    Tally,
    /// Being closed.
    Fading,
    /// Look here.
    Amber,
    /// Look here: no picture is recorded for now.
    AmberDashed,
    /// Look here at once: pictures arrive and are not written.
    AmberPulse,
    /// Out of service.
    Grey,
}

impl Outline {
    /// Its style class, if any.
    pub fn class(self) -> Option<&'static str> {
        match self {
            Outline::None => None,
            Outline::Tally => Some("tally"),
            Outline::Fading => Some("fading"),
            Outline::Amber => Some("amber"),
            Outline::AmberDashed => Some("amber-dashed"),
            Outline::AmberPulse => Some("amber-pulse"),
            Outline::Grey => Some("grey"),
        }
    }
}

/// How much the tile vouches for the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picture {
    /// It is what the input shows now.
    Live,
    /// It is old.
    Dimmed,
    /// There is none; the icon says why.
    Icon(&'static str),
}

/// Everything a tile shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileFace {
    /// The input.
    pub id: InputId,
    /// Its name.
    pub name: String,
    /// The format that arrives.
    pub format: Option<String>,
    /// The line around it.
    pub outline: Outline,
    /// What it cannot vouch for, or what is being done.
    pub words: Option<String>,
    /// What is known of its last files, while nothing runs.
    pub check: Option<Check>,
    /// Whether new media reaches its file.
    pub rec: bool,
    /// Media time written; `None` = nothing is being recorded.
    pub media: Option<String>,
    /// Media time safe on disk.
    pub safe: Option<String>,
    /// Its sound was too loud, and nobody has said that they know.
    pub clipped: bool,
    /// The picture.
    pub picture: Picture,
    /// Whether it offers "Retry now".
    pub retry: bool,
}

impl TileFace {
    /// The face of `input` while a session is in `session` (`None` = none runs).
    pub fn new(input: &InputView, session: Option<SessionState>, contact: bool, sight: Sight) -> Self {
        let live = input.state == InputState::Live;
        let (outline, said) = outline_and_words(input, session, contact);
        let lost = live && sight == Sight::Frozen;
        let words = if contact && lost { Some(preview_words(input, said)) } else { said };
        let recording = input.recording.as_ref().filter(|_| session.is_some());
        let rec = contact && recording.is_some_and(|r| r.state == RecordingState::Recording);
        let current = |ms: Option<u64>| format::media_time_or_unknown(ms.filter(|_| contact));
        let runs = recording.filter(|r| r.state != RecordingState::Failed);
        let given_up = recording.is_some() && runs.is_none();
        Self {
            id: input.id.clone(),
            name: input.name.clone(),
            format: input.signal.as_ref().filter(|_| live).map(format::signal),
            outline,
            words,
            check: None,
            rec,
            media: runs.map(|r| current(r.media_ms)),
            safe: runs.map(|r| current(r.safe_ms)),
            clipped: contact && input.audio.iter().any(|meter| meter.clip),
            picture: match (picture(input.state, sight), recording.map(|r| r.state)) {
                // It is live, but what is live is not in the file.
                (Picture::Live, Some(RecordingState::Stalled)) => Picture::Dimmed,
                (picture, _) => picture,
            },
            retry: contact
                && (matches!(input.state, InputState::Reconnecting | InputState::Quarantined | InputState::Failed)
                    || (given_up && matches!(session, Some(SessionState::Starting | SessionState::Recording)))),
        }
    }

    /// Whether there are words at its bottom: about its last files, or about trouble.
    pub fn has_words(&self) -> bool {
        self.words.is_some() || self.check.is_some()
    }

    /// The face as one sentence, for those who do not see it. Without the running time: who has the focus here would hear it
    /// every second.
    pub fn spoken(&self) -> String {
        let rec = self.rec.then(|| gettext("recording"));
        let check = self.check.as_ref().map(|check| check.words.clone());
        let clipped = self.clipped.then(|| gettext("The sound was too loud and has clipped."));
        let parts = [Some(self.name.clone()), rec, clipped, self.words.clone(), check, self.format.clone()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

fn outline_and_words(input: &InputView, session: Option<SessionState>, contact: bool) -> (Outline, Option<String>) {
    if !contact {
        return (Outline::Grey, Some(gettext("no contact with the recorder")));
    }
    let recording = input.recording.as_ref().filter(|_| session.is_some()).map(|r| r.state);
    let live = input.state == InputState::Live;
    let trouble = input_words(input);
    match recording {
        Some(RecordingState::Recording) => (Outline::Tally, trouble),
        Some(RecordingState::Starting) if live => (Outline::None, Some(gettext("starting to record"))),
        Some(RecordingState::Stalled) if live => {
            let words = match input.recording_since {
                Some(since) => format::fill(&gettext("not writing since {time}"), &[("time", &format::clock(since))]),
                None => gettext("not writing"),
            };
            (Outline::AmberPulse, Some(words))
        }
        Some(RecordingState::Starting | RecordingState::Stalled) => {
            let next = gettext("a new part starts when it returns");
            (Outline::AmberDashed, Some(join(trouble, next)))
        }
        Some(RecordingState::Stopping) => (Outline::Fading, Some(gettext("finalising"))),
        // Nobody asked to stop: an input that is done is one that should still record.
        Some(RecordingState::Done) if session == Some(SessionState::Failed) => {
            (Outline::Amber, Some(join(Some(gettext("not recording")), trouble.unwrap_or_default())))
        }
        Some(RecordingState::Failed) => {
            (Outline::Amber, Some(join(Some(gettext("not recording")), trouble.unwrap_or_default())))
        }
        Some(RecordingState::Done) | None => match input.state {
            // What is done to its preview is said of an idle one, too.
            InputState::Live => (Outline::None, trouble),
            InputState::Starting => (Outline::None, trouble),
            InputState::NoSignal | InputState::Stalled | InputState::Reconnecting => (Outline::Amber, trouble),
            InputState::Quarantined | InputState::Failed => (Outline::Grey, trouble),
        },
    }
}

fn join(first: Option<String>, second: String) -> String {
    [first.unwrap_or_default(), second].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
}

/// Why the input is not live, `None` when it is.
fn input_words(input: &InputView) -> Option<String> {
    let cause = || words::happened(input.detail_code.as_deref(), &input.detail_params).or_else(|| input.detail.clone());
    match input.state {
        InputState::Live if input.preview.state == PreviewState::Shed => {
            Some(gettext("preview off to protect the recording"))
        }
        InputState::Live if input.preview.state == PreviewState::Reduced => Some(gettext("preview reduced")),
        InputState::Live => None,
        InputState::Starting => Some(gettext("starting")),
        InputState::NoSignal => Some(match input.since {
            Some(since) => format::fill(&gettext("no signal since {time}"), &[("time", &format::clock(since))]),
            None => gettext("no signal"),
        }),
        InputState::Stalled => Some(gettext("the picture has stopped")),
        InputState::Reconnecting => Some(join(Some(retry_words(&input.retry)), cause().unwrap_or_default())),
        InputState::Quarantined => Some(cause().unwrap_or_else(|| gettext("out of service"))),
        InputState::Failed => Some(cause().unwrap_or_else(|| gettext("cannot work as configured"))),
    }
}

fn retry_words(retry: &RetryView) -> String {
    let Some(seconds) = retry.next_in_ms.map(|ms| ms.div_ceil(1000).to_string()) else {
        return gettext("reconnecting");
    };
    match retry.max {
        Some(max) => {
            let values = [("s", &*seconds), ("n", &*retry.attempt.to_string()), ("max", &*max.to_string())];
            format::fill(&gettext("retry in {s} s ({n} of {max})"), &values)
        }
        None => format::fill(&gettext("retry in {s} s"), &[("s", &seconds)]),
    }
}

/// A picture that is missing is worse news than one that was made smaller; anything else that is said is worse still, or
/// explains it.
fn preview_words(input: &InputView, said: Option<String>) -> String {
    let said = said.filter(|said| *said != gettext("preview reduced"));
    let recording = input.recording.as_ref().is_some_and(|r| r.state == RecordingState::Recording);
    let lost = if recording { gettext("preview lost, recording goes on") } else { gettext("preview lost") };
    said.unwrap_or(lost)
}

fn picture(state: InputState, sight: Sight) -> Picture {
    match (state, sight) {
        (InputState::Live, Sight::Moving) => Picture::Live,
        (InputState::Live | InputState::Stalled, Sight::Frozen) | (InputState::Stalled, Sight::Moving) => {
            Picture::Dimmed
        }
        (InputState::Live | InputState::Starting, _) => Picture::Icon("content-loading-symbolic"),
        (InputState::NoSignal, _) => Picture::Icon("video-display-symbolic"),
        (InputState::Reconnecting, Sight::Nothing) => Picture::Icon("network-offline-symbolic"),
        (InputState::Reconnecting, _) => Picture::Dimmed,
        (InputState::Stalled, Sight::Nothing) => Picture::Icon("media-playback-pause-symbolic"),
        (InputState::Quarantined | InputState::Failed, _) => Picture::Icon("action-unavailable-symbolic"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::desk::tests::{input, recording};

    fn face(input: &InputView, contact: bool, sight: Sight) -> TileFace {
        TileFace::new(input, Some(SessionState::Recording), contact, sight)
    }

    #[test]
    fn rec_is_said_only_with_evidence_and_contact() {
        let mut view = input("cam1", InputState::Live);
        for state in
            [RecordingState::Starting, RecordingState::Stalled, RecordingState::Stopping, RecordingState::Failed]
        {
            view.recording = Some(recording(state));
            assert!(!face(&view, true, Sight::Moving).rec, "{state:?}");
            assert_ne!(face(&view, true, Sight::Moving).outline, Outline::Tally, "{state:?}");
        }
        view.recording = Some(recording(RecordingState::Recording));
        let shown = face(&view, true, Sight::Moving);
        assert_eq!((shown.rec, shown.outline, shown.media.as_deref()), (true, Outline::Tally, Some("00:00:12")));
        let cut_off = face(&view, false, Sight::Moving);
        assert_eq!((cut_off.rec, cut_off.outline, cut_off.media.as_deref()), (false, Outline::Grey, Some("--:--:--")));
        assert!(!TileFace::new(&view, None, true, Sight::Moving).rec, "a session that is over records nothing");
    }

    #[test]
    fn no_tile_is_quiet_about_a_picture_it_cannot_vouch_for() {
        let states = [
            InputState::Starting,
            InputState::NoSignal,
            InputState::Stalled,
            InputState::Reconnecting,
            InputState::Quarantined,
            InputState::Failed,
        ];
        for state in states {
            for sight in [Sight::Nothing, Sight::Moving, Sight::Frozen] {
                let shown = face(&input("cam1", state), true, sight);
                assert!(shown.picture != Picture::Live && shown.words.is_some(), "{state:?} {sight:?}: {shown:?}");
            }
        }
        let frozen = face(&input("cam1", InputState::Live), true, Sight::Frozen);
        assert_eq!((frozen.picture, frozen.words.as_deref()), (Picture::Dimmed, Some("preview lost")));
    }

    #[test]
    fn a_lost_preview_is_not_called_reduced_and_a_picture_that_is_not_written_is_dimmed() {
        let mut view = input("cam1", InputState::Live);
        view.recording = Some(recording(RecordingState::Recording));
        view.preview.state = PreviewState::Reduced;
        assert_eq!(face(&view, true, Sight::Moving).words.as_deref(), Some("preview reduced"));
        assert_eq!(face(&view, true, Sight::Frozen).words.as_deref(), Some("preview lost, recording goes on"));
        view.preview.state = PreviewState::Shed;
        assert_eq!(face(&view, true, Sight::Frozen).words.as_deref(), Some("preview off to protect the recording"));
        view.recording = Some(recording(RecordingState::Stalled));
        assert_eq!(face(&view, true, Sight::Moving).picture, Picture::Dimmed);
        view.recording = None;
        let idle = TileFace::new(&view, None, true, Sight::Frozen);
        assert_eq!(idle.words.as_deref(), Some("preview off to protect the recording"), "it is not lost");
    }

    #[test]
    fn a_recording_that_was_given_up_can_be_tried_again_while_its_session_runs() {
        let mut view = input("cam1", InputState::Live);
        view.recording = Some(recording(RecordingState::Failed));
        let offered = |session| TileFace::new(&view, session, true, Sight::Moving).retry;
        assert!(offered(Some(SessionState::Recording)) && offered(Some(SessionState::Starting)));
        assert!(!offered(Some(SessionState::Stopping)) && !offered(None));
        assert!(!face(&view, false, Sight::Moving).retry);
        view.recording = Some(recording(RecordingState::Stalled));
        assert!(!face(&view, true, Sight::Moving).retry, "the recorder is at it");
    }

    #[test]
    fn a_recorded_input_without_signal_promises_a_new_part() {
        let mut view = input("cam1", InputState::NoSignal);
        view.recording = Some(recording(RecordingState::Stalled));
        let shown = face(&view, true, Sight::Nothing);
        assert_eq!(shown.words.as_deref(), Some("no signal · a new part starts when it returns"));
        assert_eq!((shown.outline, shown.rec), (Outline::AmberDashed, false));
    }
}

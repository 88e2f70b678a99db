//! What the header says, worked out from what the window knows. Pure; DESK "Record button".

use super::level::{self, Level};
use crate::model::snapshot::{RecordingState, SessionState, Snapshot};
use crate::ui::desk::{Contact, Desk};
use crate::ui::format;
use crate::ui::l10n::gettext;

/// Below this the time left is shown in amber.
const LITTLE_TIME_LEFT_S: u64 = 15 * 60;

/// What the one big button is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Button {
    /// Record; with a reason it cannot be pressed.
    Record {
        /// Why not.
        refused: Option<String>,
    },
    /// Record was pressed and the engine has not answered yet.
    Asked,
    /// Files are being opened; can be stopped.
    Starting(String),
    /// Hold to stop.
    Stop,
    /// Files are being closed.
    Stopping(String),
}

impl Button {
    /// It records when pressed.
    pub fn is_record(&self) -> bool {
        matches!(self, Button::Record { .. })
    }

    /// It stops when held.
    pub fn is_stop(&self) -> bool {
        matches!(self, Button::Starting(_) | Button::Stop)
    }

    /// Files are being opened.
    pub fn is_starting(&self) -> bool {
        matches!(self, Button::Starting(_))
    }

    /// It only says what is being done.
    pub fn is_busy(&self) -> bool {
        matches!(self, Button::Asked | Button::Stopping(_))
    }
}

/// Everything the header shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportFace {
    /// The state word.
    pub word: String,
    /// Its style class.
    pub word_class: &'static str,
    /// The big button.
    pub button: Button,
    /// Elapsed media time.
    pub time: String,
    /// Media time safe on disk, while a session runs.
    pub safe: Option<String>,
    /// Recording time left on the disk.
    pub headroom: String,
    /// Whether it is little.
    pub headroom_low: bool,
    /// Name of the running session.
    pub session: Option<String>,
    /// Markers of the running session, while one can be set.
    pub markers: Option<u32>,
    /// How loaded the machine is, `None` without contact.
    pub level: Option<Level>,
    /// Busy processors in percent, oldest first; `None` = not known.
    pub cpu: Vec<Option<u8>>,
}

impl TransportFace {
    /// The header's face.
    pub fn new(desk: &Desk) -> Self {
        let known = desk.snapshot.as_ref();
        let session = known.and_then(|snapshot| snapshot.session.as_ref());
        let current = |ms: Option<u64>| format::media_time_or_unknown(ms.filter(|_| desk.is_current()));
        let (word, word_class) = word(desk);
        let seconds_left = known.and_then(|s| s.storage.seconds_left).filter(|_| desk.is_current());
        Self {
            word,
            word_class,
            button: button(desk),
            time: session.map_or_else(|| current(Some(0)), |s| current(s.media_ms)),
            safe: session.map(|s| current(s.safe_ms)),
            headroom: seconds_left.map_or_else(|| format::UNKNOWN.to_owned(), format::time_left),
            headroom_low: seconds_left.is_some_and(|s| s < LITTLE_TIME_LEFT_S),
            session: session.map(|s| s.name.to_string()),
            markers: session.filter(|_| desk.is_current() && desk.is_recording()).map(|s| s.markers.count),
            level: known.filter(|_| desk.is_current()).map(|s| Level::of(&s.level, desk.is_recording())),
            cpu: desk.cpu.iter().copied().collect(),
        }
    }
}

fn word(desk: &Desk) -> (String, &'static str) {
    if !desk.is_current() {
        return match desk.contact {
            Contact::Lost => (gettext("No contact"), "word-amber"),
            Contact::Seeking | Contact::Here => (gettext("Connecting"), "word-quiet"),
        };
    }
    match desk.session_state() {
        None => match desk.proof_percent() {
            Some(percent) => (format::fill(&gettext("Checking {n} %"), &[("n", &percent.to_string())]), "word-quiet"),
            None => (gettext("Ready"), "word-quiet"),
        },
        Some(SessionState::Starting) => (gettext("Starting"), "word-amber"),
        Some(SessionState::Recording) => (gettext("Recording"), "word-tally"),
        Some(SessionState::Stopping) => (gettext("Stopping"), "word-amber"),
        Some(SessionState::Failed) if desk.snapshot.as_ref().is_some_and(Snapshot::is_running) => {
            (gettext("Not recording"), "word-amber")
        }
        Some(SessionState::Failed) => (gettext("Failed"), "word-tally"),
    }
}

fn button(desk: &Desk) -> Button {
    let Some(snapshot) = desk.snapshot.as_ref().filter(|_| desk.is_current()) else {
        // Without contact nothing can be started or stopped from here.
        return Button::Record { refused: Some(gettext("no contact with the recorder")) };
    };
    match desk.session_state() {
        Some(SessionState::Starting) => {
            let (recording, all) = count(snapshot, RecordingState::Recording);
            Button::Starting(progress(&gettext("Starting {n} of {all}"), recording, all))
        }
        Some(SessionState::Recording) => Button::Stop,
        // Nothing is being written, and yet it goes on as soon as a picture comes: whoever wants it ended must be able to.
        Some(SessionState::Failed) if snapshot.is_running() => Button::Stop,
        Some(SessionState::Stopping) => {
            let (done, all) = count(snapshot, RecordingState::Done);
            Button::Stopping(progress(&gettext("Finalising {n} of {all}"), done, all))
        }
        Some(SessionState::Failed) | None if desk.starting => Button::Asked,
        Some(SessionState::Failed) | None => {
            let refused = match desk.armed_and_live() {
                (0, _) => Some(gettext("no input is armed")),
                (_, 0) => Some(gettext("no input has a signal")),
                _ => level::refusal(&snapshot.level),
            };
            Button::Record { refused }
        }
    }
}

/// Recordings in `state`, and all of the session.
fn count(snapshot: &Snapshot, state: RecordingState) -> (usize, usize) {
    let states: Vec<_> = snapshot.inputs.iter().filter_map(|i| i.recording.as_ref()).map(|r| r.state).collect();
    (states.iter().filter(|&&s| s == state).count(), states.len())
}

fn progress(template: &str, n: usize, all: usize) -> String {
    format::fill(template, &[("n", &n.to_string()), ("all", &all.to_string())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::snapshot::InputState;
    use crate::ui::desk::tests::{input, recording, session, snapshot};

    fn desk(session: Option<SessionState>) -> Desk {
        let mut cam = input("cam1", InputState::Live);
        cam.recording = session.map(|_| recording(RecordingState::Recording));
        let mut snapshot = snapshot(vec![cam]);
        snapshot.session = session.map(self::session);
        Desk { snapshot: Some(snapshot), contact: Contact::Here, ..Desk::default() }
    }

    #[test]
    fn a_frozen_engine_is_never_shown_as_recording() {
        let mut desk = desk(Some(SessionState::Recording));
        let face = TransportFace::new(&desk);
        assert_eq!((face.word.as_str(), face.time.as_str(), face.button), ("Recording", "00:12:31", Button::Stop));
        desk.contact = Contact::Lost;
        let face = TransportFace::new(&desk);
        assert_eq!((face.word.as_str(), face.time.as_str()), ("No contact", "--:--:--"));
        assert!(matches!(face.button, Button::Record { refused: Some(_) }));
    }

    #[test]
    fn the_button_says_why_it_cannot_be_pressed() {
        let mut desk = desk(None);
        assert_eq!(TransportFace::new(&desk).button, Button::Record { refused: None });
        for (state, armed) in [(InputState::NoSignal, true), (InputState::Live, false)] {
            let inputs = &mut desk.snapshot.as_mut().expect("a snapshot").inputs;
            inputs[0].state = state;
            inputs[0].armed = armed;
            assert!(
                matches!(TransportFace::new(&desk).button, Button::Record { refused: Some(_) }),
                "{state:?} {armed}"
            );
        }
    }

    #[test]
    fn a_session_that_writes_nothing_for_now_can_be_stopped_and_one_that_has_ended_cannot() {
        let mut desk = desk(Some(SessionState::Failed));
        let mut show = |state| {
            let inputs = &mut desk.snapshot.as_mut().expect("a snapshot").inputs;
            inputs[0].state = InputState::NoSignal;
            inputs[0].recording = Some(recording(state));
            (TransportFace::new(&desk).button, desk.is_recording())
        };
        for state in [RecordingState::Stalled, RecordingState::Starting] {
            assert_eq!(show(state), (Button::Stop, true), "{state:?}");
        }
        for state in [RecordingState::Failed, RecordingState::Done] {
            let (button, recording) = show(state);
            assert!(button.is_record() && !recording, "{state:?}");
        }
    }

    /// Only the worker of an input that was removed from the configuration still records it, or nobody does for now.
    #[test]
    fn an_open_session_can_be_stopped_although_no_configured_input_records_it() {
        let mut desk = desk(Some(SessionState::Failed));
        let snapshot = desk.snapshot.as_mut().expect("a snapshot");
        snapshot.inputs[0].recording = None;
        snapshot.session.as_mut().expect("a session").open = true;
        assert_eq!((TransportFace::new(&desk).button, desk.is_recording()), (Button::Stop, true));
    }

    #[test]
    fn progress_is_counted_in_files() {
        assert_eq!(
            TransportFace::new(&desk(Some(SessionState::Starting))).button,
            Button::Starting("Starting 1 of 1".to_owned())
        );
        assert_eq!(
            TransportFace::new(&desk(Some(SessionState::Stopping))).button,
            Button::Stopping("Finalising 0 of 1".to_owned())
        );
        let mut desk = desk(Some(SessionState::Stopping));
        let states = [RecordingState::Done, RecordingState::Stopping, RecordingState::Done, RecordingState::Stopping];
        let inputs = states.map(|state| {
            let recording = Some(recording(state));
            crate::model::snapshot::InputView { recording, ..input("cam1", InputState::Live) }
        });
        desk.snapshot.as_mut().expect("a snapshot").inputs = inputs.into();
        assert_eq!(TransportFace::new(&desk).button, Button::Stopping("Finalising 2 of 4".to_owned()));
    }
}

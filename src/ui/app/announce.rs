//! What the window says aloud when the recorder does something else: that it records, that it has stopped, that there is no
//! contact with it (R-UI-2).

use super::App;
use crate::model::snapshot::{SessionState, Snapshot};
use crate::ui::desk::{Contact, Desk};
use crate::ui::l10n::gettext;

/// What an operator has to know wherever they look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    NoContact,
    Ready,
    Starting,
    Recording,
    NotRecording,
    Stopping,
    Failed,
}

impl Moment {
    /// `None` while nothing is known yet.
    fn of(desk: &Desk) -> Option<Self> {
        if !desk.is_current() {
            return (desk.contact == Contact::Lost).then_some(Self::NoContact);
        }
        Some(match desk.session_state() {
            None => Self::Ready,
            Some(SessionState::Starting) => Self::Starting,
            Some(SessionState::Recording) => Self::Recording,
            Some(SessionState::Stopping) => Self::Stopping,
            Some(SessionState::Failed) if desk.snapshot.as_ref().is_some_and(Snapshot::is_running) => {
                Self::NotRecording
            }
            Some(SessionState::Failed) => Self::Failed,
        })
    }

    /// The words for it behind `before`; that nothing has happened yet is not worth a word.
    fn words(self, before: Option<Self>) -> Option<String> {
        Some(match (self, before) {
            (Self::Ready, None) => return None,
            (Self::Ready, Some(Self::NoContact)) => gettext("Ready"),
            (Self::Ready, Some(_)) => gettext("Stopped"),
            (Self::NoContact, _) => gettext("No contact"),
            (Self::Starting, _) => gettext("Starting"),
            (Self::Recording, _) => gettext("Recording"),
            (Self::NotRecording, _) => gettext("Not recording"),
            (Self::Stopping, _) => gettext("Stopping"),
            (Self::Failed, _) => gettext("Failed"),
        })
    }
}

impl App {
    /// Says what has changed, if anything has.
    pub(super) fn announce(&mut self) {
        let Some(now) = Moment::of(&self.desk) else { return };
        let before = self.announced.replace(now);
        if let Some(words) = now.words(before).filter(|_| before != Some(now)) {
            self.announcer.say(&words);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::desk::tests::{session, snapshot};

    #[test]
    fn what_changes_is_said_and_what_stays_is_not() {
        let mut desk = Desk::default();
        assert_eq!(Moment::of(&desk), None, "nothing is known yet");
        (desk.contact, desk.snapshot) = (Contact::Here, Some(snapshot(Vec::new())));
        let mut before = None;
        let mut said = Vec::new();
        let states = [None, Some(SessionState::Starting), Some(SessionState::Recording), Some(SessionState::Recording)];
        for state in states.into_iter().chain([Some(SessionState::Stopping), None]) {
            desk.snapshot.as_mut().expect("a snapshot").session = state.map(session);
            let now = Moment::of(&desk).expect("contact");
            said.extend(now.words(before).filter(|_| before != Some(now)));
            before = Some(now);
        }
        assert_eq!(said, ["Starting", "Recording", "Stopping", "Stopped"]);
        desk.contact = Contact::Lost;
        let lost = Moment::of(&desk).expect("it is known that there is none");
        assert_eq!(lost.words(before).as_deref(), Some("No contact"));
        assert_eq!(Moment::Ready.words(Some(lost)).as_deref(), Some("Ready"));
    }
}

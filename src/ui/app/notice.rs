//! A line under the header that says what the operator should know now. Never a dialog (R-ALR-6).

use crate::ui::format;
use crate::ui::l10n::gettext;

/// What is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Something was refused.
    Refused {
        /// What.
        asked: Asked,
        /// Why, in words of the operator's language.
        words: String,
        /// Nobody was there to do it; with contact that is over.
        until_contact: bool,
    },
    /// No engine runs and none can be started.
    NoEngine,
    /// Nothing on this machine shows this folder.
    NotOpened(String),
    /// The window shall be closed while a recording goes on.
    Closing,
}

/// What the operator has asked the engine for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A session.
    Record,
    /// Its end.
    Stop,
    /// Another attempt at an input.
    Retry,
    /// Another order of the inputs.
    Order,
    /// A marker.
    Mark,
    /// What a button of an alert says.
    Attend,
}

impl Notice {
    /// Whether it is over once `asked` is done: what goes well elsewhere takes no refusal away that nobody has read, except
    /// that a session begins or ends.
    pub fn ends_with(&self, asked: Asked) -> bool {
        let session = matches!(asked, Asked::Record | Asked::Stop);
        matches!(self, Notice::Refused { asked: refused, .. } if *refused == asked || session)
    }

    /// Whether it is over once the engine is heard.
    pub fn ends_with_contact(&self) -> bool {
        matches!(self, Notice::NoEngine | Notice::Refused { until_contact: true, .. })
    }

    /// The words.
    pub fn words(&self) -> String {
        match self {
            Notice::Refused { words, .. } => words.clone(),
            Notice::NoEngine => gettext(
                "The recorder does not start. It is tried again by itself; “holdfast engine” in a terminal says more.",
            ),
            Notice::NotOpened(folder) => {
                let words = gettext("Nothing on this machine can show a folder. The files are in {folder}");
                format::fill(&words, &[("folder", folder)])
            }
            Notice::Closing => {
                gettext("The recording goes on without this window. Open Holdfast again to watch or stop it.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_stays_until_what_it_is_about_is_over() {
        let refused = |asked, until_contact| Notice::Refused { asked, words: String::new(), until_contact };
        assert!(!refused(Asked::Record, false).ends_with(Asked::Attend), "an acknowledged alert is no recording");
        assert!(refused(Asked::Record, false).ends_with(Asked::Record));
        assert!(refused(Asked::Mark, false).ends_with(Asked::Stop));
        assert!(!Notice::Closing.ends_with(Asked::Order));
        assert!(refused(Asked::Mark, true).ends_with_contact() && Notice::NoEngine.ends_with_contact());
        assert!(!refused(Asked::Mark, false).ends_with_contact());
    }
}

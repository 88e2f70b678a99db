//! A line under the header that says what the operator should know now. Never a dialog (R-ALR-6).

use crate::ui::format;
use crate::ui::l10n::gettext;

/// What is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Something was refused, in words of the operator's language.
    Refused(String),
    /// No engine runs and none can be started.
    NoEngine,
    /// Nothing on this machine shows this folder.
    NotOpened(String),
    /// The window shall be closed while a recording goes on.
    Closing,
}

impl Notice {
    /// The words.
    pub fn words(&self) -> String {
        match self {
            Notice::Refused(why) => why.clone(),
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

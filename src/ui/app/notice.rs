//! A line under the header that says what the operator should know now. Never a dialog (R-ALR-6).

use crate::ui::format;
use crate::ui::l10n::gettext;

/// What is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The engine refused, in its own words.
    Refused(String),
    /// No engine runs and none can be started.
    NoEngine(String),
    /// The window shall be closed while a recording goes on.
    Closing,
}

impl Notice {
    /// The words.
    pub fn words(&self) -> String {
        match self {
            Notice::Refused(why) => why.clone(),
            Notice::NoEngine(why) => {
                let words = gettext(
                    "The recorder does not start ({why}). It is tried again by itself; “holdfast engine” in a terminal says more.",
                );
                format::fill(&words, &[("why", why)])
            }
            Notice::Closing => {
                gettext("The recording goes on without this window. Open Holdfast again to watch or stop it.")
            }
        }
    }
}

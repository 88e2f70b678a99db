//! What can go wrong in a pipeline, in the words of an operator.
//!
//! Contract: no text made here contains credentials ([`crate::model::redact`]); a reason names the thing and, in brackets,
//! nothing that only a developer understands.

use crate::model::redact::redact;
use gst::glib;
use gst::prelude::*;

/// A pipeline could not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A GStreamer element is not installed.
    #[error("the GStreamer element {0} is missing: install the plugin package that contains it")]
    Missing(String),
    /// No element of a ranked list works.
    #[error("encoder missing: no {what} works on this machine (tried {tried}); {remedy}")]
    NoneWorks {
        /// What was looked for.
        what: &'static str,
        /// The elements tried, in order.
        tried: String,
        /// What can be done about it.
        remedy: &'static str,
    },
    /// Elements do not fit together, or refuse to start.
    #[error("a pipeline could not be built: {0}")]
    Refused(String),
    /// The input is configured in a way that cannot work; trying again is pointless.
    #[error("{0}")]
    Misconfigured(String),
    /// The thing behind the input is not there (yet); trying again may help.
    #[error("{0}")]
    Unreachable(String),
}

impl From<glib::BoolError> for BuildError {
    fn from(error: glib::BoolError) -> Self {
        BuildError::Refused(error.message.to_string())
    }
}

impl From<gst::PadLinkError> for BuildError {
    fn from(error: gst::PadLinkError) -> Self {
        BuildError::Refused(error.to_string())
    }
}

impl From<gst::StateChangeError> for BuildError {
    fn from(error: gst::StateChangeError) -> Self {
        BuildError::Refused(error.to_string())
    }
}

/// An error message of a running pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Name of the element that failed.
    pub element: String,
    /// What happened, redacted.
    pub reason: String,
}

impl Failure {
    /// The failure in an error message of a bus.
    pub fn from_message(message: &gst::message::Error) -> Self {
        let element = message.src().map(|source| source.name().to_string()).unwrap_or_default();
        let text = message.error().message().trim_end_matches('.').to_owned();
        let detail =
            message.debug().and_then(|debug| last_line(&debug)).filter(|detail| !text.contains(detail.as_str()));
        let reason = detail.map_or_else(|| text.clone(), |detail| format!("{text} ({detail})"));
        Self { element, reason: redact(&reason) }
    }
}

/// The human part of GStreamer's debug text: what stands behind `file(line): function (): /path:` on its own line.
fn last_line(debug: &str) -> Option<String> {
    let line = debug.lines().nth(1)?.trim().trim_end_matches('.');
    (!line.is_empty()).then(|| line.to_owned())
}

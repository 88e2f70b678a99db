//! Markers: what the operator noted while a session ran, and where that lies in its files.
//!
//! Contract: a marker lies at `t_ns` on the timeline of its session, the one on which parts have their `offset_ns`; its
//! place in a file follows from that, however many parts there are. A label is one line of text.

use super::id::InputId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Longest label in characters, as of a session's name.
pub const MARKER_LABEL_MAX_CHARS: usize = 120;
/// Most markers of a session: one every half minute for eight hours.
pub const MARKERS_MAX: u32 = 1000;
/// Markers that the snapshot shows, the newest.
pub const MARKERS_SHOWN: usize = 8;

/// Why a label was refused; the text says what is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MarkerLabelError {
    /// More characters than that.
    #[error("a label has at most 120 characters, this one has {0}")]
    TooLong(usize),
    /// It holds a control character or a line break.
    #[error("a label is one line of text without control characters")]
    Control,
}

/// What the operator calls a marker: one line of at most 120 characters, never blank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
pub struct MarkerLabel(String);

impl MarkerLabel {
    /// What somebody wrote; nothing but blanks is no label.
    pub fn read(text: &str) -> Result<Option<Self>, MarkerLabelError> {
        if text.trim().is_empty() && !text.chars().any(breaks_a_line) {
            return Ok(None);
        }
        text.parse().map(Some)
    }

    /// The label as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Control characters, and the line breaks that Unicode does not call so.
fn breaks_a_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

impl FromStr for MarkerLabel {
    type Err = MarkerLabelError;

    fn from_str(text: &str) -> Result<Self, MarkerLabelError> {
        let text = text.trim_matches(' ');
        let count = text.chars().count();
        if text.chars().any(breaks_a_line) {
            return Err(MarkerLabelError::Control);
        }
        if count > MARKER_LABEL_MAX_CHARS {
            return Err(MarkerLabelError::TooLong(count));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for MarkerLabel {
    type Error = MarkerLabelError;

    fn try_from(text: String) -> Result<Self, MarkerLabelError> {
        text.parse()
    }
}

impl From<MarkerLabel> for String {
    fn from(label: MarkerLabel) -> Self {
        label.0
    }
}

impl fmt::Display for MarkerLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A marker as the journal keeps it; its time is that of its line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkerLine {
    /// Number within the session, from 1, rising, never given twice; one that the disk refused may be missing.
    pub n: u32,
    /// What the timer of the session showed, in ms of media.
    pub media_ms: Option<u64>,
    /// Its label.
    pub label: Option<MarkerLabel>,
    /// Idempotency key of the request.
    pub key: String,
}

/// A marker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Marker {
    /// Number within the session, from 1.
    pub n: u32,
    /// Time since `start_at_ns`, when the operator asked for it.
    pub t_ns: i64,
    /// What the timer of the session showed (its `media_ms`), which stands still while nothing is recorded.
    pub media_ms: Option<u64>,
    /// Wall clock.
    pub at: Timestamp,
    /// What the operator called it.
    pub label: Option<MarkerLabel>,
    /// Where it lies in the files, one place of each input that recorded then; in the manifest only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<MarkerPlace>,
}

impl Marker {
    /// From its line in the journal.
    pub fn of(t_ns: i64, at: Timestamp, line: &MarkerLine) -> Self {
        Self { n: line.n, t_ns, media_ms: line.media_ms, at, label: line.label.clone(), places: Vec::new() }
    }
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MarkerPlace {
    /// The input.
    pub input: InputId,
    /// Number of the part.
    pub part: u32,
    /// Its file.
    pub file: String,
    /// Media time from the beginning of that file.
    pub media_ns: u64,
}

/// The markers of the running session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MarkersView {
    /// How many there are.
    pub count: u32,
    /// The newest of them, newest first, at most 8.
    pub last: Vec<Marker>,
}

impl MarkersView {
    /// Of `markers`, oldest first.
    pub fn of(markers: &[Marker]) -> Self {
        let last = markers.iter().rev().take(MARKERS_SHOWN).cloned().collect();
        Self { count: u32::try_from(markers.len()).unwrap_or(u32::MAX), last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_one_line_of_bounded_length_or_none() {
        assert_eq!(MarkerLabel::read("   "), Ok(None));
        assert_eq!(MarkerLabel::read(" goal / 2:1 ").expect("a label").expect("not blank").as_str(), "goal / 2:1");
        let longest = "ä".repeat(MARKER_LABEL_MAX_CHARS);
        assert!(MarkerLabel::read(&longest).is_ok_and(|label| label.is_some()));
        assert_eq!(MarkerLabel::read(&format!("{longest}x")), Err(MarkerLabelError::TooLong(121)));
        for bad in ["a\nb", "a\0", "\u{7f}", "\t", "a\u{2028}b", "\n"] {
            assert_eq!(MarkerLabel::read(bad), Err(MarkerLabelError::Control), "{bad:?}");
        }
    }

    #[test]
    fn the_newest_come_first_and_all_are_counted() {
        let marker = |n| Marker { n, t_ns: 0, media_ms: None, at: Timestamp::UNIX_EPOCH, label: None, places: vec![] };
        let view = MarkersView::of(&(1..=20).map(marker).collect::<Vec<_>>());
        assert_eq!((view.count, view.last.len(), view.last[0].n, view.last[7].n), (20, 8, 20, 13));
    }
}

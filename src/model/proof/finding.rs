//! What a proof can find: a closed list of codes, and the one table of what each means and what to do about it.

use crate::model::incident::fill;
use crate::model::session::Verdict;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything a proof can find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingCode {
    /// The file is not there.
    Missing,
    /// The system did not let it be read this time (`reason`): nothing is known of it.
    Unreadable,
    /// A link, a folder or something else stands under its name.
    NotAFile,
    /// It does not begin like a recording of ours.
    Foreign,
    /// It holds no media; `recorded` bytes were recorded.
    Emptied,
    /// It ends before its end (`bytes` of `wanted`).
    Truncated,
    /// Something follows its end (`bytes`).
    Trailing,
    /// The chain of fragments stops at `at`.
    ChainBroken,
    /// Fragment `expected` is not there; `found` stands in its place.
    FragmentMissing,
    /// The checksum of `fragments` fragments does not fit.
    FragmentsBroken,
    /// The sample tables cannot be read (`reason`).
    TablesUnreadable,
    /// The sample tables do not say what the fragments say (`where`).
    TablesDiffer,
    /// The header of the index differs from what this version writes; every sample is where it belongs.
    HeaderDiffers,
    /// The inside of `frames` pictures is broken, the first at `at_ms`.
    PicturesBroken,
    /// A demuxer cannot read it to the end (`reason`).
    DemuxerRefused,
    /// `written` frames are in it, `readable` could be read.
    FramesUnreadable,
    /// Its media is not what was written.
    ContentChanged,
    /// It is not the file that was proved before.
    FileChanged,
    /// Its size is `found`, not `recorded` bytes.
    SizeDiffers,
    /// It holds `found` frames, not `recorded`.
    FramesDiffer,
    /// It lasts `found_ms`, not `recorded_ms`.
    DurationDiffers,
    /// Its tracks are not those that were recorded (`recorded`, `found`).
    TracksDiffer,
    /// Nothing was recorded between two times (`from_ms`, `to_ms`, `cause`).
    Gap,
    /// Its pictures pause without a recorded cause (`at_ms`, `length_ms`).
    Pause,
    /// `frames` frames were lost on the way into it.
    FramesDropped,
    /// `lost` encoded frames did not reach it.
    FramesUnwritten,
    /// `more` frames are in it than were encoded: some stand in it twice.
    FramesDoubled,
    /// The counters do not agree: of `captured` frames and copies `encoded` were encoded and `dropped` lost.
    CountersDiffer,
    /// Its recorder died; its end may be missing.
    Recovered,
    /// It was closed by a fault (`end`).
    Cut,
    /// Whether frames were lost is not known.
    CountersUnknown,
    /// The bytes behind its last whole fragment are not part of it (`bytes`).
    TailIgnored,
    /// It has no final index.
    Unfinalised,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
pub struct Finding {
    /// What kind.
    pub code: FindingCode,
    /// Values for the words.
    pub params: BTreeMap<String, String>,
}

/// A finding with its words, for readers that do not know the codes.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
struct Wire {
    code: FindingCode,
    #[serde(default)]
    params: BTreeMap<String, String>,
    #[serde(default)]
    message: String,
}

/// What is described is what is sent.
impl utoipa::PartialSchema for Finding {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        Wire::schema()
    }
}

impl utoipa::ToSchema for Finding {
    fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
        Wire::schemas(schemas);
    }
}

impl From<Wire> for Finding {
    fn from(wire: Wire) -> Self {
        Self { code: wire.code, params: wire.params }
    }
}

impl From<Finding> for Wire {
    fn from(finding: Finding) -> Self {
        let message = finding.message();
        Self { code: finding.code, params: finding.params, message }
    }
}

impl Finding {
    /// A finding without parameters.
    pub fn new(code: FindingCode) -> Self {
        Self { code, params: BTreeMap::new() }
    }

    /// The same with one more parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.params.insert(name.to_owned(), value.to_string());
        self
    }

    /// What is wrong, what it means, what you can do, in English.
    pub fn message(&self) -> String {
        let (wrong, means, remedy) = self.code.words();
        fill(&[wrong, means, remedy].join(" "), &self.params)
    }

    /// What is wrong, in English, as a part of another sentence: no capital, no full stop.
    pub fn summary(&self) -> String {
        let (first, rest) = self.code.words().0.trim_end_matches('.').split_at(1);
        fill(&format!("{}{rest}", first.to_lowercase()), &self.params)
    }
}

/// What to do about a file whose bytes are not those that were written.
const KEEP: &str = "Do not delete it; check the disk, and look for another copy.";
/// What to do about a loss that is over.
const LOOK: &str = "Look at this place before you rely on it.";

impl FindingCode {
    /// Every code, for tests and tables.
    pub const ALL: [FindingCode; 33] = [
        FindingCode::Missing,
        FindingCode::Unreadable,
        FindingCode::NotAFile,
        FindingCode::Foreign,
        FindingCode::Emptied,
        FindingCode::Truncated,
        FindingCode::Trailing,
        FindingCode::ChainBroken,
        FindingCode::FragmentMissing,
        FindingCode::FragmentsBroken,
        FindingCode::TablesUnreadable,
        FindingCode::TablesDiffer,
        FindingCode::HeaderDiffers,
        FindingCode::PicturesBroken,
        FindingCode::DemuxerRefused,
        FindingCode::FramesUnreadable,
        FindingCode::ContentChanged,
        FindingCode::FileChanged,
        FindingCode::SizeDiffers,
        FindingCode::FramesDiffer,
        FindingCode::DurationDiffers,
        FindingCode::TracksDiffer,
        FindingCode::Gap,
        FindingCode::Pause,
        FindingCode::FramesDropped,
        FindingCode::FramesUnwritten,
        FindingCode::FramesDoubled,
        FindingCode::CountersDiffer,
        FindingCode::Recovered,
        FindingCode::Cut,
        FindingCode::CountersUnknown,
        FindingCode::TailIgnored,
        FindingCode::Unfinalised,
    ];

    /// Warning = all that was written is readable. Failed = something that was written cannot be read. Unverified =
    /// a passing fault of the disk says nothing about what was written: it is to be read again.
    pub fn verdict(self) -> Verdict {
        match self {
            FindingCode::Unreadable => Verdict::Unverified,
            FindingCode::HeaderDiffers
            | FindingCode::Gap
            | FindingCode::Pause
            | FindingCode::FramesDropped
            | FindingCode::FramesUnwritten
            | FindingCode::FramesDoubled
            | FindingCode::CountersDiffer
            | FindingCode::Recovered
            | FindingCode::Cut
            | FindingCode::CountersUnknown
            | FindingCode::TailIgnored
            | FindingCode::Unfinalised => Verdict::Warning,
            FindingCode::Missing
            | FindingCode::NotAFile
            | FindingCode::Foreign
            | FindingCode::Emptied
            | FindingCode::Truncated
            | FindingCode::Trailing
            | FindingCode::ChainBroken
            | FindingCode::FragmentMissing
            | FindingCode::FragmentsBroken
            | FindingCode::TablesUnreadable
            | FindingCode::TablesDiffer
            | FindingCode::PicturesBroken
            | FindingCode::DemuxerRefused
            | FindingCode::FramesUnreadable
            | FindingCode::ContentChanged
            | FindingCode::FileChanged
            | FindingCode::SizeDiffers
            | FindingCode::FramesDiffer
            | FindingCode::DurationDiffers
            | FindingCode::TracksDiffer => Verdict::Failed,
        }
    }

    /// What is wrong, what it means, what you can do; `{name}` stands for a parameter.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            FindingCode::Missing => (
                "The file is not there.",
                "It was recorded and has been moved, renamed or deleted since.",
                "Put it back under its name, or look for a copy.",
            ),
            FindingCode::Unreadable => (
                "The file cannot be read now: {reason}.",
                "Nothing is known of what is in it.",
                "Check its permissions and the disk; then run `holdfast verify` on it.",
            ),
            FindingCode::NotAFile => (
                "What stands under its name is not a file.",
                "The recording itself is not there; links are not followed.",
                "Put the file back under its name.",
            ),
            FindingCode::Foreign => (
                "The file does not begin like a recording of Holdfast.",
                "It was replaced, or its beginning was overwritten.",
                KEEP,
            ),
            FindingCode::Emptied => {
                ("The file holds no media; {recorded} bytes were recorded.", "It was emptied or replaced.", KEEP)
            }
            FindingCode::Truncated => (
                "The file ends after {bytes} of {wanted} bytes.",
                "Its end, with the index, was cut off; players may refuse the rest.",
                KEEP,
            ),
            FindingCode::Trailing => {
                ("{bytes} bytes follow the end of the file.", "Something was written to it after it was closed.", KEEP)
            }
            FindingCode::ChainBroken => (
                "The fragments of the file break off at byte {at}.",
                "What lies behind is damaged; players may show errors there.",
                KEEP,
            ),
            FindingCode::FragmentMissing => (
                "Fragment {expected} is missing; {found} follows in its place.",
                "A piece was taken out of the file.",
                KEEP,
            ),
            FindingCode::FragmentsBroken => (
                "{fragments} fragments are damaged: their checksums do not fit.",
                "Bytes have changed since they were written; players may show errors there.",
                KEEP,
            ),
            FindingCode::TablesUnreadable => (
                "The index of the file cannot be read: {reason}.",
                "Players cannot open it as it is; the media before the index is still there.",
                KEEP,
            ),
            FindingCode::TablesDiffer => (
                "The index of the file is wrong ({where}).",
                "Players would read the wrong bytes or show them at the wrong time.",
                KEEP,
            ),
            FindingCode::HeaderDiffers => (
                "Descriptive fields of the index are not as this version writes them.",
                "Every frame is where it belongs; another version may have written it.",
                "Nothing.",
            ),
            FindingCode::PicturesBroken => (
                "{frames} pictures are damaged, the first at {at_ms} ms.",
                "Players will show errors or stop there.",
                KEEP,
            ),
            FindingCode::DemuxerRefused => {
                ("The file cannot be read to its end: {reason}.", "Players may refuse it or stop there.", KEEP)
            }
            FindingCode::FramesUnreadable => {
                ("{readable} of {written} frames can be read.", "The others are damaged or gone.", KEEP)
            }
            FindingCode::ContentChanged => (
                "The media in the file is not what was written.",
                "Bytes have changed since, or it is another recording.",
                KEEP,
            ),
            FindingCode::FileChanged => {
                ("The file is not the one that was checked before.", "It was changed or replaced since.", KEEP)
            }
            FindingCode::SizeDiffers => (
                "The file has {found} bytes; {recorded} were recorded.",
                "It was changed since, or it is another recording.",
                KEEP,
            ),
            FindingCode::FramesDiffer => (
                "The file holds {found} frames; {recorded} were recorded.",
                "Something is missing, or it is another recording.",
                KEEP,
            ),
            FindingCode::DurationDiffers => (
                "The file lasts {found_ms} ms; {recorded_ms} ms were recorded.",
                "Something is missing, or it is another recording.",
                KEEP,
            ),
            FindingCode::TracksDiffer => (
                "The file holds {found}; {recorded} was recorded.",
                "It is another recording, or its header was changed.",
                KEEP,
            ),
            FindingCode::Gap => (
                "Nothing was recorded from {from_ms} to {to_ms} ms ({cause}).",
                "All that was written is readable; this stretch is missing.",
                LOOK,
            ),
            FindingCode::Pause => (
                "The picture stands still for {length_ms} ms at {at_ms} ms.",
                "All that was written is readable; the source paused there.",
                LOOK,
            ),
            FindingCode::FramesDropped => (
                "{frames} frames were lost before they reached the file.",
                "All that was written is readable; the picture jumps there.",
                "Close other programs while you record, or check the disk.",
            ),
            FindingCode::FramesUnwritten => (
                "{lost} encoded frames did not reach the file.",
                "All that was written is readable; they are missing at its end.",
                LOOK,
            ),
            FindingCode::FramesDoubled => (
                "The file holds {more} frames more than were encoded.",
                "All that was written is readable; some pictures stand in it twice, most likely where a part begins.",
                LOOK,
            ),
            FindingCode::CountersDiffer => (
                "Of {captured} frames {encoded} were encoded and {dropped} lost: that does not add up.",
                "All that was written is readable; frames were lost or doubled without being counted.",
                LOOK,
            ),
            FindingCode::Recovered => (
                "The recording process died while it wrote this file.",
                "The file was repaired and is readable; its last moments may be missing.",
                LOOK,
            ),
            FindingCode::Cut => {
                ("The file was closed by a fault ({end}).", "All that was written is readable; it may end early.", LOOK)
            }
            FindingCode::CountersUnknown => (
                "Whether frames were lost on the way is not known.",
                "All that was written is readable; the source cannot tell, or the counters went with the recording process.",
                LOOK,
            ),
            FindingCode::TailIgnored => (
                "{bytes} bytes at the end of the file are not a whole fragment.",
                "They were being written when the end came; players pass over them.",
                "Nothing.",
            ),
            FindingCode::Unfinalised => (
                "The file has no final index.",
                "All that was written is readable; some players cannot seek in it.",
                "Run `holdfast recover`, or let the recorder run: it finishes what was interrupted.",
            ),
        }
    }
}

#[cfg(test)]
#[path = "finding_tests.rs"]
mod tests;

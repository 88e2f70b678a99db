//! What a tile says of the files of the last session: being checked, and then the verdict. Pure; DESK "Tile".

use crate::model::session::Verdict;
use crate::model::snapshot::RecordingView;
use crate::ui::format;
use crate::ui::l10n::gettext;

/// An icon and a word; the meaning is never in the colour alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Name of the icon.
    pub icon: &'static str,
    /// Style class.
    pub class: &'static str,
    /// The word.
    pub words: String,
}

impl Check {
    /// What is known of the files of `recording`; `percent` = how far the proof of the last session is.
    pub fn of(recording: &RecordingView, percent: Option<u8>) -> Option<Self> {
        let (icon, class, words) = match (recording.verdict?, percent) {
            (Verdict::Unverified, Some(percent)) => {
                let words = format::fill(&gettext("checking the file · {n} %"), &[("n", &percent.to_string())]);
                ("content-loading-symbolic", "check-quiet", words)
            }
            (Verdict::Unverified, None) => ("dialog-question-symbolic", "check-quiet", gettext("file not checked")),
            (Verdict::Ok, _) => ("emblem-ok-symbolic", "check-ok", gettext("file proved")),
            (Verdict::Warning, _) => ("dialog-warning-symbolic", "check-warning", gettext("readable, with gaps")),
            (Verdict::Failed, _) => ("dialog-error-symbolic", "check-failed", gettext("file damaged or missing")),
        };
        Some(Self { icon, class, words })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::snapshot::RecordingState;
    use crate::ui::desk::tests::recording;

    #[test]
    fn every_verdict_has_an_icon_and_words_of_its_own() {
        let of = |verdict, percent| {
            let view = RecordingView { verdict: Some(verdict), ..recording(RecordingState::Done) };
            Check::of(&view, percent).expect("a check")
        };
        let all = [
            of(Verdict::Unverified, Some(41)),
            of(Verdict::Unverified, None),
            of(Verdict::Ok, None),
            of(Verdict::Warning, None),
            of(Verdict::Failed, None),
        ];
        assert_eq!(all[0].words, "checking the file · 41 %");
        for (place, one) in all.iter().enumerate() {
            for other in &all[..place] {
                assert!(one.icon != other.icon && one.words != other.words, "{one:?} {other:?}");
            }
        }
        assert_eq!(Check::of(&recording(RecordingState::Done), Some(1)), None);
    }
}

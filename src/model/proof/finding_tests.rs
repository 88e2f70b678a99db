//! Every code has words, and the words take their parameters.

use super::*;

#[test]
fn every_code_has_words_and_no_verdict_of_ok() {
    for code in FindingCode::ALL {
        let (wrong, means, remedy) = code.words();
        assert!(wrong.is_ascii() && wrong.ends_with('.') && means.ends_with('.') && remedy.ends_with('.'), "{code:?}");
        let passing = code == FindingCode::Unreadable;
        assert_eq!(code.verdict() == Verdict::Unverified, passing, "{code:?}");
        assert_ne!(code.verdict(), Verdict::Ok, "{code:?}");
    }
}

#[test]
fn words_take_their_parameters() {
    let finding = Finding::new(FindingCode::SizeDiffers).with("found", 7).with("recorded", 9);
    assert!(finding.message().starts_with("The file has 7 bytes; 9 were recorded. "));
    assert_eq!(finding.summary(), "the file has 7 bytes; 9 were recorded");
}

//! Where a long name may be broken. Pure.
//!
//! A label that may break anywhere is set in type letter by letter to find out how narrow it can be, which takes longer
//! than everything else about a card. One that breaks between words is wider than the sidebar where a name of a file is one
//! long word. So names get places at which they may be broken, behind a sign if there is one.

/// Longest run that fits the narrowest sidebar in bold.
const LONGEST: usize = 20;
/// Takes no room, and a line may end behind it.
const BREAK: char = '\u{200b}';

/// `words` with places to break in runs that are too long.
pub fn breakable(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for run in words.split_inclusive(char::is_whitespace) {
        if run.chars().count() <= LONGEST {
            out.push_str(run);
            continue;
        }
        let mut since = 0;
        for letter in run.chars() {
            out.push(letter);
            since += 1;
            if since >= LONGEST || (since > 1 && matches!(letter, '/' | '_' | '-' | '.' | '&' | '?' | '=')) {
                out.push(BREAK);
                since = 0;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_as_they_are_and_names_get_places_to_break() {
        assert_eq!(breakable("No signal. Überwachungsvorgang"), "No signal. Überwachungsvorgang");
        assert_eq!(breakable("a_b.mp4 cannot be read."), "a_b.mp4 cannot be read.");
        let long = breakable("/library/2026-11-21_keynote_of_the_assembly/cam1.mp4 is gone");
        assert_eq!(long.replace(BREAK, ""), "/library/2026-11-21_keynote_of_the_assembly/cam1.mp4 is gone");
        assert!(long.contains("/\u{200b}2026-\u{200b}11") && long.ends_with("mp4 is gone"), "{long:?}");
        let runs = |text: &str| breakable(text).split([BREAK, ' ']).map(|run| run.chars().count()).max();
        assert_eq!(runs(&"x".repeat(300)), Some(LONGEST));
    }
}

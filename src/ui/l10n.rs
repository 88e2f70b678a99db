//! The language of the window: which one, its words, the direction it is read in, how it writes numbers.
//!
//! Contract: the translations are part of the program (`build.rs`), so a language needs no locale of the system. Chosen
//! before the first word is said; whoever chooses another one later builds the window anew, because nothing that was said
//! changes. Until then, and for words without a translation, it speaks English.

use gettext::Catalog;
use std::sync::{Arc, PoisonError, RwLock};

/// Language codes and their compiled catalogs.
const CATALOGS: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/catalogs.rs"));

/// The languages offered, each by the name its speakers give it. English is in the sources.
pub const OFFERED: [(&str, &str); 5] =
    [("en", "English"), ("da", "Dansk"), ("de", "Deutsch"), ("es", "Español"), ("fr", "Français")];

/// Pseudo-locales, named as everywhere (CLDR): accented and longer words, and the same read from right to left. They are
/// not offered; `LANGUAGE=en-XA` shows words nobody can translate and rooms that are too small for German.
const ACCENTED: &str = "en-XA";
const MIRRORED: &str = "ar-XB";

/// Primary tags of languages that are read from right to left.
const RIGHT_TO_LEFT: [&str; 5] = ["ar", "fa", "he", "ur", "yi"];
/// Primary tags of languages that write a decimal point; most write a comma.
const POINT: [&str; 2] = ["en", "he"];

/// How much longer than English a translation may become, as a share of its letters.
const LONGER: usize = 3;

static SPEECH: RwLock<Option<Arc<Speech>>> = RwLock::new(None);

/// A language that is spoken.
struct Speech {
    code: String,
    catalog: Option<Catalog>,
}

/// Chooses the language: `wanted` (as the operator chose it), else what the environment names (`LANGUAGE`, `LC_ALL`,
/// `LC_MESSAGES`, `LANG`; the first that is set counts, as in gettext).
pub fn choose(wanted: Option<&str>) {
    let named = wanted.map(str::to_owned).or_else(from_environment).unwrap_or_default();
    let speech = Arc::new(Speech::of(&named));
    SPEECH.write().unwrap_or_else(PoisonError::into_inner).replace(speech);
}

fn spoken() -> Option<Arc<Speech>> {
    #[cfg(test)]
    if let Some(spoken) = SPEAKING.with_borrow(Clone::clone) {
        return Some(spoken);
    }
    SPEECH.read().unwrap_or_else(PoisonError::into_inner).clone()
}

#[cfg(test)]
thread_local! {
    static SPEAKING: std::cell::RefCell<Option<Arc<Speech>>> = const { std::cell::RefCell::new(None) };
}

/// What `say` gives back in another language; other tests go on in theirs.
#[cfg(test)]
pub fn speaking<T>(language: &str, say: impl FnOnce() -> T) -> T {
    SPEAKING.set(Some(Arc::new(Speech::of(language))));
    let said = say();
    SPEAKING.set(None);
    said
}

/// The code of the language that is spoken, one of [`OFFERED`] unless the environment names another one.
pub fn code() -> String {
    spoken().map_or_else(|| "en".to_owned(), |speech| speech.code.clone())
}

/// Whether it is read from right to left.
pub fn is_right_to_left() -> bool {
    RIGHT_TO_LEFT.contains(&primary(&code()))
}

/// A value that stays together, and as it is, within a sentence that is read from right to left: numbers and their units
/// would change places there (Unicode Bidirectional Algorithm, UAX #9: first strong isolate).
pub fn isolated(value: &str) -> String {
    if is_right_to_left() { format!("\u{2068}{value}\u{2069}") } else { value.to_owned() }
}

/// The translation of a sentence.
pub fn gettext(sentence: &str) -> String {
    match spoken() {
        None => sentence.to_owned(),
        Some(speech) => speech.say(sentence, |catalog| catalog.gettext(sentence)),
    }
}

/// The translation of a word that English uses for several things; `context` says which one this is.
pub fn pgettext(context: &str, word: &str) -> String {
    match spoken() {
        None => word.to_owned(),
        Some(speech) => speech.say(word, |catalog| catalog.pgettext(context, word)),
    }
}

/// The translation of a sentence about `n` things.
pub fn ngettext(one: &str, many: &str, n: u32) -> String {
    let english = if n == 1 { one } else { many };
    match spoken() {
        None => english.to_owned(),
        Some(speech) => speech.say(english, |catalog| catalog.ngettext(one, many, u64::from(n))),
    }
}

/// A number as the language writes it; `decimals` digits at most, none that say nothing.
pub fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if POINT.contains(&primary(&code())) || code() == MIRRORED { text.to_owned() } else { text.replace('.', ",") }
}

impl Speech {
    /// The best there is for what was named: `de_AT.UTF-8:fr` is German.
    fn of(named: &str) -> Self {
        for name in named.split(':') {
            let tag = name.split(['.', '@']).next().unwrap_or_default().replace('_', "-");
            let by_code = |code: &str| CATALOGS.iter().find(|(known, _)| known.replace('_', "-") == code);
            if [ACCENTED, MIRRORED].contains(&tag.as_str()) || RIGHT_TO_LEFT.contains(&primary(&tag)) {
                return Self { code: tag, catalog: None };
            }
            if let Some((code, bytes)) = by_code(&tag).or_else(|| by_code(primary(&tag))) {
                let catalog = Catalog::parse(*bytes);
                let catalog =
                    catalog.inspect_err(|error| tracing::error!("the words of {code} cannot be read: {error}"));
                return Self { code: (*code).to_owned(), catalog: catalog.ok() };
            }
            if primary(&tag) == "en" {
                break;
            }
        }
        Self { code: "en".to_owned(), catalog: None }
    }

    fn say<'a>(&'a self, english: &'a str, translated: impl FnOnce(&'a Catalog) -> &'a str) -> String {
        match &self.catalog {
            Some(catalog) => translated(catalog).to_owned(),
            None if [ACCENTED, MIRRORED].contains(&self.code.as_str()) => accented(english),
            None => english.to_owned(),
        }
    }
}

fn primary(tag: &str) -> &str {
    tag.split(['-', '_']).next().unwrap_or_default()
}

fn from_environment() -> Option<String> {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    ["LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(set)
}

/// The sentence as no language writes it, in brackets and a third longer; values (`{n}`) stay.
fn accented(sentence: &str) -> String {
    let mut inside = false;
    let letter = |c: char| {
        inside = (inside || c == '{') && c != '}';
        let accent = "aàeéiîoöuücçnñyýAÀEÉIÎOÖUÜCÇNÑYÝ".chars().collect::<Vec<_>>();
        let place = accent.iter().step_by(2).position(|&plain| plain == c).filter(|_| !inside);
        place.map_or(c, |place| accent[2 * place + 1])
    };
    let text: String = sentence.chars().map(letter).collect();
    format!("[{text}{}]", "~".repeat(sentence.chars().count() / LONGER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_language_there_is_is_spoken() {
        for (named, code) in [
            ("", "en"),
            ("C.UTF-8", "en"),
            ("tlh:en_GB.UTF-8", "en"),
            ("en_US:de", "en"),
            ("ar-XB", "ar-XB"),
            ("en_XA", "en-XA"),
        ] {
            assert_eq!(Speech::of(named).code, code, "{named}");
        }
        for (known, _) in CATALOGS {
            assert_eq!(Speech::of(&format!("{known}_XX.UTF-8")).code, *known);
            assert!(Speech::of(known).catalog.is_some(), "{known} can be read");
        }
    }

    #[test]
    fn every_language_that_is_offered_has_its_words() {
        for (code, name) in OFFERED {
            assert!(code == "en" || CATALOGS.iter().any(|(known, _)| *known == code), "{name} has no po/{code}.po");
        }
        assert_eq!(CATALOGS.len() + 1, OFFERED.len(), "a translation is offered to nobody");
    }

    #[test]
    fn one_and_many_are_said_as_each_language_counts() {
        // Not written into the calls: xgettext would take this for a place where they are said.
        let (one, many) = ("{n} input", "{n} inputs");
        for (code, _) in CATALOGS {
            let speech = Speech::of(code);
            let catalog = speech.catalog.as_ref().expect("it can be read");
            let of = |n| catalog.ngettext(one, many, n);
            assert!(of(1) != of(2) && of(2) == of(100), "{code}");
            // Nothing is one in French, and many in the others.
            assert_eq!(of(0), if *code == "fr" { of(1) } else { of(2) }, "{code}");
        }
    }

    #[test]
    fn a_word_for_several_things_is_translated_as_the_one_that_is_meant() {
        let (german, context, word) = (Speech::of("de"), "shortcuts", "Recording");
        let catalog = german.catalog.as_ref().expect("it can be read");
        assert_eq!((catalog.pgettext(context, word), catalog.gettext(word)), ("Aufnahme", "Nimmt auf"));
    }

    #[test]
    fn a_pseudo_locale_changes_words_and_leaves_values() {
        assert_eq!(accented("Finalising {name} of {all}"), "[Fîñàlîsîñg {name} öf {all}~~~~~~~~]");
        assert_eq!(Speech::of("en-XA").say("Record", |_| ""), "[Réçörd~~]");
    }

    #[test]
    fn numbers_have_no_digits_that_say_nothing() {
        assert_eq!((number(59.94, 2), number(30.0, 2), number(100.0, 0)), ("59.94".into(), "30".into(), "100".into()));
    }
}

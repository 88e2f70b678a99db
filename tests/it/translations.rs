//! Translations: complete, of the words the window says, with the same placeholders, and as their language is written.
//!
//! Contract: nothing is started but gettext's own tools; what a sentence means is left to people (`po/GLOSSARY.md`).

use crate::support::process;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// The tools read some hundred kilobytes; this is for a machine under full load.
const TOOL_ENDS_WITHIN: Duration = Duration::from_secs(60);
/// A sentence longer than this has words that differ in every language.
const A_SENTENCE: usize = 20;

/// Which message: context, singular, plural.
type Key = (String, String, String);
/// The messages of one file, each with its forms.
type Messages = BTreeMap<Key, Vec<String>>;

/// What a tool says about a file of `po/`, in English.
fn tool(program: &str, args: &[&str], file: &Path) -> process::Output {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(program);
    command.args(args).arg(file).env("LC_ALL", "C").env_remove("LANGUAGE");
    let output = process::run(program, &mut command, folder.path(), TOOL_ENDS_WITHIN);
    assert_eq!(output.code, Some(0), "{program} {}: {}", file.display(), output.stderr);
    output
}

fn translations() -> Vec<(String, PathBuf)> {
    let files = std::fs::read_dir(Path::new(ROOT).join("po")).expect("there are translations").flatten();
    let named = |path: PathBuf| Some((path.file_stem()?.to_str()?.to_owned(), path));
    let mut all: Vec<_> =
        files.map(|file| file.path()).filter(|path| path.extension() == Some("po".as_ref())).collect();
    all.sort();
    all.into_iter().filter_map(named).collect()
}

/// What is said in a file; its header and what is kept of earlier words (`#~`) left out.
fn messages(file: &Path) -> Messages {
    let output = tool("msgattrib", &["--no-obsolete", "--no-wrap", "--no-location"], file);
    parse(&output.stdout)
}

/// The same of text in which each string is on a line of its own.
fn parse(text: &str) -> Messages {
    let quoted = |line: &str| line.trim().trim_start_matches('"').trim_end_matches('"').to_owned();
    let mut all = Messages::new();
    for block in text.split("\n\n") {
        let (mut key, mut forms) = (Key::default(), Vec::new());
        for line in block.lines() {
            match line.split_once(' ') {
                Some(("msgctxt", context)) => key.0 = quoted(context),
                Some(("msgid", one)) => key.1 = quoted(one),
                Some(("msgid_plural", many)) => key.2 = quoted(many),
                Some((word, form)) if word.starts_with("msgstr") => forms.push(quoted(form)),
                _ => {}
            }
        }
        if !key.1.is_empty() {
            all.insert(key, forms);
        }
    }
    all
}

fn placeholders(text: &str) -> BTreeSet<&str> {
    text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
}

/// What is wrong with one form of a translation, whatever its language.
fn faults(english: &str, form: &str) -> Vec<&'static str> {
    let blanks =
        |text: &str| text.chars().zip(text.chars().skip(1)).any(|(a, b)| a.is_whitespace() && b.is_whitespace());
    let sentence = english.chars().count() > A_SENTENCE;
    // Short words stand on buttons and tiles; what is much longer is cut off there.
    let room = english.chars().count() * 7 / 5 + 5;
    [
        (form.trim().is_empty(), "is empty"),
        (form.trim() != form, "has a blank at an end"),
        (blanks(form), "has two blanks in a row"),
        (sentence && form == english, "is English"),
        (placeholders(english) != placeholders(form), "has other placeholders"),
        (english.ends_with('.') != form.ends_with('.'), "ends another way"),
        (!sentence && form.chars().count() > room, "is too long for a button"),
        (form.contains(['"', '\'', '\\']), "has typewriter quotes"),
    ]
    .into_iter()
    .filter_map(|(wrong, what)| wrong.then_some(what))
    .collect()
}

/// What is wrong with how one language is written.
fn typography(language: &str, form: &str) -> Option<&'static str> {
    let letters: Vec<char> = form.chars().collect();
    let before = |at: usize| at.checked_sub(1).map(|at| letters[at]);
    let after = |mark: char, wanted: fn(Option<char>) -> bool| {
        letters.iter().enumerate().all(|(at, &c)| c != mark || wanted(before(at)))
    };
    match language {
        "fr" if !";:!?%»".chars().all(|mark| after(mark, |c| c == Some('\u{202f}'))) => {
            Some("needs a narrow no-break space before ; : ! ? % »")
        }
        "de" if form.contains(['”', '«', '»']) => Some("quotes „so“"),
        "es" if form.contains('?') != form.contains('¿') || form.contains('!') != form.contains('¡') => {
            Some("opens what it asks")
        }
        "es" | "fr" if form.contains(['„', '“', '”']) => Some("quotes « so »"),
        "da" if form.contains(['„', '“']) => Some("quotes »so«"),
        _ => None,
    }
}

#[test]
fn every_translation_is_complete_and_of_the_words_of_the_window() {
    let wanted: BTreeSet<Key> = messages(&Path::new(ROOT).join("po/holdfast.pot")).into_keys().collect();
    assert!(wanted.len() > 100, "the collected words are read: {}", wanted.len());
    for (language, file) in translations() {
        let said = tool("msgfmt", &["--check", "--statistics", "--output-file=/dev/null"], &file).stderr;
        assert_eq!(said.trim(), format!("{} translated messages.", wanted.len()), "run `make po`: {language}");
        let there: BTreeSet<Key> = messages(&file).into_keys().collect();
        let missing: Vec<_> = wanted.difference(&there).collect();
        let gone: Vec<_> = there.difference(&wanted).collect();
        assert!(missing.is_empty() && gone.is_empty(), "run `make po`: {language} {missing:#?}, gone {gone:#?}");
    }
}

#[test]
fn translations_keep_the_values_and_are_written_as_their_language_is() {
    let mut wrong = Vec::new();
    for (language, file) in translations() {
        for ((_, one, many), forms) in messages(&file) {
            for (at, form) in forms.iter().enumerate() {
                let english = if at == 0 || many.is_empty() { &one } else { &many };
                let found = faults(english, form).into_iter().chain(typography(&language, form));
                wrong.extend(found.map(|what| format!("{language}: {form:?} ({english:?}) {what}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_bad_translation_is_found() {
    for (english, form, what) in [
        ("Open", "", "is empty"),
        ("Open", "Åbn ", "has a blank at an end"),
        ("Free some space now.", "Frigør \u{a0}plads nu.", "has two blanks in a row"),
        ("The disk does not answer.", "The disk does not answer.", "is English"),
        ("retry in {s} s", "nyt forsøg om {n} s", "has other placeholders"),
        ("No signal.", "Kein Signal", "ends another way"),
        ("Stop", "Die Aufnahme stoppen", "is too long for a button"),
        ("The disk is gone.", "Le disque n'est plus là.", "has typewriter quotes"),
    ] {
        assert_eq!(faults(english, form), [what], "{form:?}");
    }
    assert_eq!(faults("{n} input", "{n} Eingang"), [""; 0]);
    assert!(typography("fr", "Alertes : 3").is_some() && typography("fr", "Alertes\u{202f}: 3").is_none());
    assert!(typography("de", "«so»").is_some() && typography("es", "Seguro?").is_some());
    let text = "msgid \"\"\nmsgstr \"\"\n\"Head\\n\"\n\nmsgctxt \"c\"\nmsgid \"One\"\nmsgid_plural \"Many\"\n\
                msgstr[0] \"Eins\"\nmsgstr[1] \"Viele\"\n";
    let read = Messages::from([(("c".into(), "One".into(), "Many".into()), vec!["Eins".into(), "Viele".into()])]);
    assert_eq!(parse(text), read);
}

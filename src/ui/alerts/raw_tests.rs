//! No card has a raw string, whatever the code, the source and the values the recorder puts in (R-UI-4).
//!
//! The pseudo-locale puts an accent on every vowel of what is translated, and values that stay as they are have none here:
//! a plain vowel is a word nobody can translate.

use super::*;
use crate::model::incident::IncidentCode;
use crate::ui::desk::tests::alert;
use crate::ui::l10n::speaking;
use std::collections::BTreeMap;

/// What the recorder calls its own resources, operations and commands; each of them stands on a card.
const NAMES: [(&str, &[&str]); 3] = [
    (
        "what",
        &[
            "memory",
            "threads",
            "open files",
            "places for events",
            "places for commands",
            "places for disk work",
            "places for clients",
        ],
    ),
    ("operation", &["Starting to record", "Stopping", "Closing a session", "Checking the files of a session"]),
    ("command", &["start", "stop", "split", "configure", "retry", "clear_clip", "shed", "leave", "watch", "hello"]),
];

fn is_raw(text: &str) -> bool {
    text.contains(['a', 'e', 'i', 'o', 'u', 'A', 'E', 'I', 'O', 'U'])
}

/// Values as the engine sends them; `turn` chooses among what it calls things.
fn params(turn: usize) -> BTreeMap<String, String> {
    let plain = [
        ("reason", "§"),
        ("file", "x.mp4"),
        ("session", "§"),
        ("free", "4.9 GB"),
        ("floor", "1.5 GB"),
        ("used", "850 MB"),
        ("budget", "512 KB"),
        ("limit", "1024"),
        ("seconds", "+25.5"),
        ("percent", "93"),
        ("late", "120"),
        ("queue", "80"),
        ("frames", "1"),
        ("errors", "12"),
        ("started", "1"),
        ("armed", "4"),
        ("loss", if turn == 0 { "nothing" } else { "x1 250 ms, x2 at most 600 ms" }),
        ("id", "7"),
    ];
    let named = NAMES.map(|(name, values)| (name, values[turn % values.len()]));
    // One without: what is missing is said in words as well.
    let all = plain.into_iter().chain(named).skip(usize::from(turn == 1));
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn no_card_of_any_code_has_a_raw_string() {
    let (turns, now) = (10, Zoned::new(jiff::Timestamp::UNIX_EPOCH, TimeZone::UTC));
    let inputs = [("x1".parse().expect("an id"), "x1".to_owned())];
    for code in IncidentCode::ALL {
        for (turn, source) in (0..turns).zip(["x1", "storage", "engine", "api", "machine"].into_iter().cycle()) {
            let said = Alert {
                code: code.as_str().to_owned(),
                source: source.to_owned(),
                params: params(turn),
                actions: Action::ALL.iter().map(|action| action.as_str().to_owned()).collect(),
                resolved_at: Some(jiff::Timestamp::UNIX_EPOCH),
                acknowledged: turn % 2 == 0,
                count: 3,
                more: u32::try_from(turn).expect("a few"),
                ..alert(1, code.severity(), AlertState::Resolved)
            };
            let card = speaking("en-XA", || CardFace::new(&said, &inputs, &now));
            let labels = speaking("en-XA", || card.buttons.iter().map(Ask::label).collect::<Vec<_>>());
            let spoken = speaking("en-XA", || card.spoken());
            for text in labels.iter().chain([&spoken, &card.source]) {
                assert!(!is_raw(text), "{code:?} of {source}: {text}");
            }
        }
    }
}

#[test]
fn a_raw_string_is_found() {
    assert!(is_raw("machine") && is_raw("[Ônly {stàrtêd}] of 4") && !is_raw("[Thé dîsk ìs fúll.~~] 4,9 GB"));
}

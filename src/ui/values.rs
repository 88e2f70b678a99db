//! The values of an incident as the operator's language says them: what the recorder calls something, amounts, what was
//! lost. What drivers and the system say of themselves (`reason`) and names stay as they are.

use crate::ui::format;
use crate::ui::l10n::{gettext, number, pgettext};
use std::collections::BTreeMap;

/// Amounts, with or without a unit.
const AMOUNTS: [&str; 13] = [
    "free", "used", "floor", "budget", "limit", "seconds", "percent", "late", "queue", "frames", "errors", "started",
    "armed",
];
/// Units of sizes as they come over the wire, and as they are written.
const SIZES: [(&str, &str); 5] = [("B", "B"), ("KB", "kB"), ("MB", "MB"), ("GB", "GB"), ("TB", "TB")];

/// The values of an incident in words.
pub fn said(params: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let word = |name: &str, value: &str| match name {
        "operation" => operation(value),
        "what" => resource(value),
        "command" => command(value),
        "loss" => Some(loss(value)),
        _ if AMOUNTS.contains(&name) => amount(value),
        _ => None,
    };
    let said = |(name, value): (&String, &String)| (name.clone(), word(name, value).unwrap_or_else(|| value.clone()));
    params.iter().map(said).collect()
}

/// How many of `name` there are, for plural forms; unknown is many.
pub fn count(params: &BTreeMap<String, String>, name: &str) -> u32 {
    params.get(name).and_then(|value| value.parse().ok()).unwrap_or(u32::MAX)
}

/// An operation of the engine's, by the name it has there.
fn operation(name: &str) -> Option<String> {
    Some(match name {
        "Starting to record" => gettext("Starting to record"),
        "Stopping" => pgettext("operation", "Stopping"),
        "Closing a session" => gettext("Closing a session"),
        "Checking the files of a session" => gettext("Checking the files of a session"),
        _ => return None,
    })
}

/// Something of which there is only so much.
fn resource(name: &str) -> Option<String> {
    Some(match name {
        "memory" => gettext("memory"),
        "threads" => gettext("threads"),
        "open files" => gettext("open files"),
        "places for events" => gettext("places for events"),
        "places for commands" => gettext("places for commands"),
        "places for disk work" => gettext("places for disk work"),
        "places for clients" => gettext("places for clients"),
        _ => return None,
    })
}

/// What a recording process is told.
fn command(word: &str) -> Option<String> {
    Some(match word {
        "hello" => gettext("make contact"),
        "configure" => gettext("set up"),
        "start" => gettext("start recording"),
        "stop" => gettext("stop recording"),
        "split" => gettext("begin a new file"),
        "retry" => gettext("try again"),
        "clear_clip" => gettext("clear the clip mark"),
        "shed" => gettext("make room"),
        "leave" => gettext("end"),
        "watch" => gettext("show a preview"),
        _ => return None,
    })
}

/// `cam1 250 ms, cam2 at most 600 ms`, or `nothing`.
fn loss(words: &str) -> String {
    if words == "nothing" {
        return gettext("nothing");
    }
    let each = |part: &str| match part.split_once(" at most ") {
        Some((input, time)) => format!("{input} {}", format::fill(&gettext("at most {time}"), &[("time", time)])),
        None => part.to_owned(),
    };
    words.split(", ").map(each).collect::<Vec<_>>().join(", ")
}

/// A number as the language writes it, with its unit if it has one.
fn amount(text: &str) -> Option<String> {
    let (value, unit) = text.split_once(' ').map_or((text, None), |(value, unit)| (value, Some(unit)));
    let plain = value.bytes().all(|b| b.is_ascii_digit() || b"+-.".contains(&b));
    let parsed: f64 = value.parse().ok().filter(|_| plain)?;
    let sign = if value.starts_with('+') { "+" } else { "" };
    let value = format!("{sign}{}", number(parsed, 1));
    match unit {
        None => Some(value),
        Some(unit) => {
            let (_, unit) = SIZES.iter().find(|(wire, _)| *wire == unit)?;
            Some(format!("{value}\u{a0}{unit}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::l10n::speaking;

    /// String literals of a source file behind any of `calls`.
    fn literals(file: &str, calls: &[&str]) -> Vec<String> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
        let text = std::fs::read_to_string(path).expect("the source is there");
        let behind = |call: &&str| {
            let rest: Vec<String> = text.split(*call).skip(1).map(str::to_owned).collect();
            rest.into_iter()
                .filter_map(|rest| rest.split_once('"').map(|(word, _)| word.to_owned()))
                .collect::<Vec<_>>()
        };
        calls.iter().flat_map(behind).collect()
    }

    /// What the engine calls things has a translation each: whoever adds one is told here.
    #[test]
    fn every_name_of_the_recorders_own_has_words() {
        let resources = literals("engine/resources.rs", &["gauge(\""]);
        let watched = literals(
            "engine/state/oversight.rs",
            &["add(MACHINE, \"", "add(source, \"", "ENGINE, \"", "MEMORY: &str = \""],
        );
        let operations = literals(
            "engine/state/operations.rs",
            &[
                "OperationKind::Start => \"",
                "OperationKind::Stop => \"",
                "OperationKind::Finalise => \"",
                "OperationKind::Verify => \"",
            ],
        );
        let commands = literals("protocol/worker.rs", &["{ .. } => \""]);
        assert!(resources.len() == 4 && watched.len() >= 4, "{resources:?} {watched:?}");
        assert!(operations.len() == 4 && commands.len() >= 10, "{operations:?} {commands:?}");
        for name in resources.iter().chain(&watched) {
            assert!(resource(name).is_some(), "{name} has no words");
        }
        assert!(operations.iter().all(|name| operation(name).is_some()), "{operations:?}");
        assert!(commands.iter().all(|word| command(word).is_some()), "{commands:?}");
    }

    #[test]
    fn amounts_are_written_as_the_language_does() {
        let german = |text| speaking("de", || amount(text));
        assert_eq!(german("4.9 GB").as_deref(), Some("4,9\u{a0}GB"));
        assert_eq!((german("512 KB").as_deref(), german("850").as_deref()), (Some("512\u{a0}kB"), Some("850")));
        assert_eq!((german("+3600.0").as_deref(), german("-1.5").as_deref()), (Some("+3600"), Some("-1,5")));
        assert_eq!((german("4.9 parsecs"), german("inf"), german("a few")), (None, None, None));
        assert_eq!(amount("4.9 GB").as_deref(), Some("4.9\u{a0}GB"));
    }

    #[test]
    fn what_was_lost_is_said_for_each_input() {
        let german = |text: &str| speaking("de", || loss(text));
        assert!(german("nothing") != "nothing" && !german("cam1 250 ms, cam2 at most 600 ms").contains("at most"));
        assert_eq!(loss("cam1 250 ms, cam2 at most 600 ms"), "cam1 250 ms, cam2 at most 600 ms");
    }
}

//! The one module that knows the name of every file in a library (DESIGN §3).

use crate::model::encoding::Container;
use crate::model::{InputId, SessionId, SessionName};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The engine's journal of a session.
pub const JOURNAL: &str = "journal.jsonl";
/// The manifest of a closed session.
pub const MANIFEST: &str = "session.json";
/// Lock of the engine that owns a library.
pub const LIBRARY_LOCK: &str = ".holdfast.lock";

/// Sequence numbers and alerts of the engine that owns a library; they survive its restart.
pub const ENGINE_STATE: &str = ".holdfast.state.json";

/// `2026-11-21_20-30-15_keynote_7f3a`: UTC time, slug, last four hex digits of the id.
pub fn session_dir(started_at: Timestamp, name: &SessionName, id: SessionId) -> String {
    format!("{}{}", session_stem(started_at, name), id.short())
}

/// The same without the digits of the id, which are not known before the session is.
pub fn session_stem(started_at: Timestamp, name: &SessionName) -> String {
    let utc = started_at.to_zoned(TimeZone::UTC);
    format!("{}_{}_", utc.strftime("%Y-%m-%d_%H-%M-%S"), name.slug())
}

/// The slug in the name of a session's folder, `None` for any other name.
pub fn slug_of(dir: &str) -> Option<&str> {
    let rest = dir.get("dddd-dd-dd_dd-dd-dd_".len()..).filter(|_| is_session_dir(dir))?;
    rest.rsplit_once('_').map(|(slug, _)| slug)
}

/// Whether a folder of a library has the name of a session.
pub fn is_session_dir(name: &str) -> bool {
    let shape = "dddd-dd-dd_dd-dd-dd_".bytes();
    name.len() > shape.len()
        && name.bytes().zip(shape).all(|(b, shape)| if shape == b'd' { b.is_ascii_digit() } else { b == shape })
}

/// `cam1.mp4`, `cam1.part2.mp4`, …
pub fn part_file(input: &InputId, part: u32, container: Container) -> String {
    let extension = container.extension();
    if part <= 1 { format!("{input}.{extension}") } else { format!("{input}.part{part}.{extension}") }
}

/// `cam1.facts.jsonl`.
pub fn facts_file(input: &InputId) -> String {
    format!("{input}.facts.jsonl")
}

/// `cam1.pulse`.
pub fn pulse_file(input: &InputId) -> String {
    format!("{input}.pulse")
}

/// The input and part number of a media file of ours, `None` for any other name.
pub fn parse_part_file(name: &str) -> Option<(InputId, u32)> {
    let container = part_container(name)?;
    let (stem, _) = name.rsplit_once('.')?;
    let (input, part) = match stem.split_once(".part") {
        Some((input, number)) => (input, number.parse().ok().filter(|&n: &u32| n >= 2)?),
        None => (stem, 1),
    };
    let input = input.parse::<InputId>().ok()?;
    (part_file(&input, part, container) == name).then_some((input, part))
}

/// The name of a media file without its extension.
pub fn part_stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// The container a file's name promises, `None` for any other name.
pub fn part_container(name: &str) -> Option<Container> {
    let (_, extension) = name.rsplit_once('.')?;
    [Container::Mp4, Container::Mkv].into_iter().find(|container| container.extension() == extension)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_session_folder_sorts_by_utc_time() {
        let at: Timestamp = "2026-11-21T20:30:15.123Z".parse().expect("a timestamp");
        let id = SessionId(uuid::uuid!("01934f5e-0000-7000-8000-000000007f3a"));
        let name = "keynote".parse().expect("a name");
        assert_eq!(session_dir(at, &name, id), "2026-11-21_20-30-15_keynote_7f3a");
        assert!(is_session_dir("2026-11-21_20-30-15_keynote_7f3a"));
        assert_eq!(slug_of("2026-11-21_20-30-15_key_note_7f3a"), Some("key_note"));
        assert_eq!((slug_of("2026-11-21_20-30-15_"), slug_of("films_7f3a")), (None, None));
        assert!(!is_session_dir("2026-11-21_keynote") && !is_session_dir(".holdfast.lock"));
    }

    proptest! {
        #[test]
        fn part_names_read_back(input in "[a-z0-9_-]{1,32}", part in 1u32..5000, mkv: bool) {
            let input: InputId = input.parse().expect("an id");
            let container = if mkv { Container::Mkv } else { Container::Mp4 };
            let name = part_file(&input, part, container);
            prop_assert_eq!(parse_part_file(&name), Some((input, part)));
            prop_assert_eq!(part_container(&name), Some(container));
        }

        #[test]
        fn foreign_names_never_panic(name in "\\PC{0,60}") {
            let _ = parse_part_file(&name);
        }
    }
}

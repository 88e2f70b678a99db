//! The order in which the sessions of a library were begun (R-FM-6).
//!
//! Contract: a folder is named after the calendar, and names sort by begin, unless the calendar was moved back: then a
//! session is begun under a name that sorts before others. Each of those is listed in the engine's own file as
//! displaced, with the newest name of then; it belongs behind that one, whatever the calendar says. Of those lists the
//! newest [`LISTED`] are kept, and a list that is lost costs the order only: the rest then sorts by its names.

use super::layout;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Most displaced sessions: a board that once recorded in a wrong future displaces every session after it, and those are
/// in order among themselves.
const LISTED: usize = 1000;

/// A session whose name sorts before that of one begun earlier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Displaced {
    /// Name of its folder.
    pub dir: String,
    /// The newest name when it was begun.
    pub behind: String,
}

/// The engine's own file, as far as it is of interest here.
#[derive(Debug, Default, Deserialize)]
struct Listed {
    #[serde(default)]
    displaced: Vec<Displaced>,
}

/// Sorts the names of session folders of `library`, newest first. Blocks on the disk.
pub fn newest_first(library: &Path, names: &mut [String]) {
    // Only an ordinary file: whoever waits for anything else waits for somebody who may never write.
    let path = library.join(layout::ENGINE_STATE);
    let is_file = std::fs::metadata(&path).is_ok_and(|meta| meta.is_file());
    let file = is_file.then(|| std::fs::read(&path).ok()).flatten();
    let listed: Option<Listed> = file.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let listed = listed.unwrap_or_default();
    let places = Places::of(&listed.displaced);
    names.sort_unstable_by(|one, other| places.of_name(other).cmp(&places.of_name(one)));
}

/// Lists `dir`, which was begun now, if one of `names` sorts behind it; whether it does.
pub fn note<'a>(list: &mut Vec<Displaced>, dir: &str, names: impl Iterator<Item = &'a str>) -> bool {
    let Some(behind) = names.filter(|name| *name > dir).max() else { return false };
    let over = (list.len() + 1).saturating_sub(LISTED);
    list.drain(..over);
    list.push(Displaced { dir: dir.to_owned(), behind: behind.to_owned() });
    true
}

/// Where displaced sessions belong.
struct Places<'a>(BTreeMap<&'a str, (&'a str, usize)>);

impl<'a> Places<'a> {
    fn of(list: &'a [Displaced]) -> Self {
        Self((1..).zip(list).map(|(n, one)| (one.dir.as_str(), (one.behind.as_str(), n))).collect())
    }

    /// Behind which name, and there behind how many others.
    fn of_name<'b>(&'b self, name: &'b str) -> (&'b str, usize) {
        self.0.get(name).copied().unwrap_or((name, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGUN: [&str; 6] = ["1100", "1200", "1130", "1140", "1210", "1150"];

    /// What an engine lists while these are begun one by one.
    fn listed(begun: &[&str]) -> Vec<Displaced> {
        let mut list = Vec::new();
        for (n, dir) in begun.iter().enumerate() {
            note(&mut list, dir, begun[..n].iter().copied());
        }
        list
    }

    #[test]
    fn sessions_keep_the_order_of_their_begin_when_the_calendar_goes_back() {
        let library = tempfile::tempdir().expect("a library");
        let list = listed(&BEGUN);
        let displaced: Vec<_> = list.iter().map(|one| (one.dir.as_str(), one.behind.as_str())).collect();
        assert_eq!(displaced, [("1130", "1200"), ("1140", "1200"), ("1150", "1210")]);
        let text = serde_json::json!({"seq": 1, "alerts": [], "displaced": list}).to_string();
        std::fs::write(library.path().join(layout::ENGINE_STATE), text).expect("ours");
        let mut names: Vec<String> = BEGUN.iter().map(|name| (*name).to_owned()).collect();
        names.sort();
        newest_first(library.path(), &mut names);
        assert!(names.iter().rev().eq(BEGUN.iter()), "{names:?}");
        std::fs::remove_file(library.path().join(layout::ENGINE_STATE)).expect("there");
        newest_first(library.path(), &mut names);
        assert!(names.is_sorted_by(|one, other| one > other), "by name, then");
    }

    #[test]
    fn the_list_is_bounded_and_the_newest_stay() {
        let mut list = Vec::new();
        for n in 0..LISTED + 5 {
            assert!(note(&mut list, &format!("{n:04}"), ["9999"].into_iter()));
        }
        assert_eq!((list.len(), list[0].dir.as_str()), (LISTED, "0005"));
        assert!(!note(&mut list, "9999", ["0001"].into_iter()) && list.len() == LISTED);
    }
}

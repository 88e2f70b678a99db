//! Expected trouble as data: a closed list of codes, and the one table that turns a code into English.
//!
//! Contract: the wire carries `code` + `params`; translated words are made in the window only, from the same
//! codes. A message says what happened, what was done about it, and what the operator can do.

mod action;
mod code;
mod words;

pub use action::Action;
pub use code::{IncidentCode, Severity};
pub use words::Words;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What an alert adds to its words that stands for more than it names.
pub const MORE: &str = "And {more} more like this.";

/// An incident with its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Incident {
    /// What kind.
    pub code: IncidentCode,
    /// Values for the words.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
}

impl Incident {
    /// An incident without parameters.
    pub fn new(code: IncidentCode) -> Self {
        Self { code, params: BTreeMap::new() }
    }

    /// The same with one more parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.params.insert(name.to_owned(), value.to_string());
        self
    }

    /// The wall clock was moved by `step_ns`.
    pub fn clock_stepped(step_ns: i64) -> Self {
        let sign = if step_ns < 0 { '-' } else { '+' };
        Self::new(IncidentCode::ClockStepped).with("seconds", format!("{sign}{}", seconds(step_ns.unsigned_abs())))
    }

    /// The machine slept for `slept_ns`.
    pub fn suspended(slept_ns: u64) -> Self {
        Self::new(IncidentCode::Suspended).with("seconds", seconds(slept_ns))
    }

    /// What happened, what was done, what you can do, in English.
    pub fn message(&self) -> String {
        let words = self.code.words();
        fill(&format!("{} {} {}", words.happened, words.done, words.remedy), &self.params)
    }

    /// The same of an alert that stands for so many more.
    pub fn message_of(&self, more: u32) -> String {
        let others = BTreeMap::from([("more".to_owned(), more.to_string())]);
        let said = (more > 0).then(|| format!(" {}", fill(MORE, &others)));
        self.message() + &said.unwrap_or_default()
    }
}

/// With one decimal.
fn seconds(ns: u64) -> String {
    let tenths = (ns / 50_000_000).div_ceil(2);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Puts parameters into a template; a parameter that is missing becomes "unknown".
pub fn fill(template: &str, params: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        match after.split_once('}') {
            Some((name, tail)) => {
                out.push_str(params.get(name).map_or("unknown", String::as_str));
                rest = tail;
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_spelling() {
        for code in IncidentCode::ALL {
            assert_eq!(serde_json::to_value(code).ok(), Some(code.as_str().into()));
            let words = code.words();
            assert!(!words.happened.is_empty() && !words.done.is_empty() && !words.remedy.is_empty());
        }
    }

    #[test]
    fn parameters_are_put_in_and_missing_ones_named() {
        let stepped =
            [3_600_000_000_000, -1_549_000_000].map(|ns| Incident::clock_stepped(ns).params["seconds"].clone());
        assert_eq!(stepped, ["+3600.0", "-1.5"]);
        let incident = Incident::new(IncidentCode::SourceUnreachable).with("reason", "connection refused");
        assert!(incident.message().starts_with("The source cannot be opened: connection refused."));
        assert!(Incident::new(IncidentCode::FileDamaged).message().starts_with("unknown cannot be read."));
    }
}

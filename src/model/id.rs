//! Identifiers that people or other processes hand in, checked once at the border.
//!
//! Contract: a value of one of these types is safe to use as part of a file name.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// Longest session name in characters (DESIGN §4).
pub const SESSION_NAME_MAX_CHARS: usize = 120;
/// Longest slug of a session folder in bytes (DESIGN §4).
pub const SLUG_MAX_BYTES: usize = 40;
/// Longest input id in bytes (DESIGN §4).
pub const INPUT_ID_MAX_BYTES: usize = 32;

/// Why an identifier was refused; the text says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// An input id outside `[a-z0-9_-]{1,32}`.
    #[error("input id {0:?} is not allowed: use 1 to 32 of a-z, 0-9, _ and -")]
    InputId(String),
    /// A session name that is empty, too long, or holds `/`, `\`, NUL or a control character.
    #[error("session name {0:?} is not allowed: use 1 to 120 characters without / \\ or control characters")]
    SessionName(String),
}

/// The name of an input in files, commands and messages: `[a-z0-9_-]{1,32}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
pub struct InputId(String);

impl InputId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InputId {
    type Err = IdError;

    fn from_str(s: &str) -> Result<Self, IdError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        if s.is_empty() || s.len() > INPUT_ID_MAX_BYTES || !s.bytes().all(allowed) {
            return Err(IdError::InputId(s.to_owned()));
        }
        Ok(Self(s.to_owned()))
    }
}

impl TryFrom<String> for InputId {
    type Error = IdError;

    fn try_from(s: String) -> Result<Self, IdError> {
        s.parse()
    }
}

impl From<InputId> for String {
    fn from(id: InputId) -> Self {
        id.0
    }
}

impl fmt::Display for InputId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the operator calls a session: 1..120 characters, no `/ \ NUL` or control characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
pub struct SessionName(String);

impl SessionName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as part of a folder name: `[A-Za-z0-9._-]`, at most 40 bytes, never empty, never starting with a dot.
    pub fn slug(&self) -> String {
        let mut slug = String::new();
        for c in self.0.chars() {
            let c = if c.is_ascii_alphanumeric() || c == '.' || c == '_' { c } else { '-' };
            let repeats = (c == '-' && slug.ends_with('-')) || (c == '.' && (slug.is_empty() || slug.ends_with('.')));
            if !repeats && slug.len() < SLUG_MAX_BYTES {
                slug.push(c);
            }
        }
        let slug = slug.trim_matches(['-', '.']);
        if slug.is_empty() { "session".to_owned() } else { slug.to_owned() }
    }
}

impl FromStr for SessionName {
    type Err = IdError;

    fn from_str(s: &str) -> Result<Self, IdError> {
        let refused = |c: char| c == '/' || c == '\\' || c.is_control();
        let count = s.chars().count();
        if s.trim().is_empty() || count > SESSION_NAME_MAX_CHARS || s.chars().any(refused) {
            return Err(IdError::SessionName(s.to_owned()));
        }
        Ok(Self(s.to_owned()))
    }
}

impl TryFrom<String> for SessionName {
    type Error = IdError;

    fn try_from(s: String) -> Result<Self, IdError> {
        s.parse()
    }
}

impl From<SessionName> for String {
    fn from(name: SessionName) -> Self {
        name.0
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The identity of a session: a UUIDv7, so ids sort by creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct SessionId(pub Uuid);

impl SessionId {
    /// The last four hex digits, used in the folder name.
    pub fn short(&self) -> String {
        let text = self.0.simple().to_string();
        text[text.len() - 4..].to_owned()
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn input_ids_outside_the_alphabet_are_refused() {
        for bad in ["", "Cam1", "cam 1", "../cam", "cam/1", "käm", &"a".repeat(33)] {
            assert!(bad.parse::<InputId>().is_err(), "{bad:?} was accepted");
        }
        assert!("cam_1-a".parse::<InputId>().is_ok());
    }

    #[test]
    fn session_names_that_could_leave_the_library_are_refused() {
        for bad in ["", "  ", "../x", "a\\b", "a\0b", "a\nb", &"x".repeat(121)] {
            assert!(bad.parse::<SessionName>().is_err(), "{bad:?} was accepted");
        }
    }

    proptest! {
        #[test]
        fn a_slug_is_always_a_plain_file_name(name in "\\PC{1,120}") {
            if let Ok(name) = name.parse::<SessionName>() {
                let slug = name.slug();
                prop_assert!(!slug.is_empty() && slug.len() <= SLUG_MAX_BYTES);
                prop_assert!(!slug.starts_with('.'));
                prop_assert!(slug.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)));
            }
        }
    }
}

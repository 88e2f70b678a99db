//! What is wrong with a configuration, in words an operator can act on (R-CFG-1).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a configuration cannot be used: where, which key, what is wrong and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, or the name of an environment variable.
    pub place: String,
    /// Line in the file, from 1.
    pub line: Option<usize>,
    /// The key, with its section (`storage.min_free_start`), when one is to blame.
    pub key: Option<String>,
    /// What is wrong, and what is allowed.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        match &self.key {
            Some(key) => write!(f, ": {key}: {}", self.message),
            None => write!(f, ": {}", self.message),
        }
    }
}

impl std::error::Error for Problem {}

impl Problem {
    /// A file that cannot be read.
    pub fn unreadable(path: &Path, error: &io::Error) -> Self {
        let message = match error.kind() {
            io::ErrorKind::NotFound => "this file does not exist; correct the path or leave it out".to_owned(),
            io::ErrorKind::PermissionDenied => "this file may not be read; give your user read permission".to_owned(),
            _ => format!("this file cannot be read ({error})"),
        };
        Self { place: path.display().to_string(), line: None, key: None, message }
    }
}

/// Where a value stands that may turn out not to go together with another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    place: String,
    line: Option<usize>,
    key: String,
}

impl Mark {
    /// A problem with this value.
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem { place: self.place.clone(), line: self.line, key: Some(self.key.clone()), message: message.into() }
    }
}

/// A text being read and how to name it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    pub place: &'a str,
    pub text: &'a str,
    /// Lines mean something (a file, not an environment variable).
    pub lines: bool,
}

impl Origin<'_> {
    /// A problem with `key` at byte `span` of the text.
    pub fn problem(&self, span: &std::ops::Range<usize>, key: &str, message: impl Into<String>) -> Problem {
        self.mark(span, key).problem(message)
    }

    /// Remembers where the value of `key` stands.
    pub fn mark(&self, span: &std::ops::Range<usize>, key: &str) -> Mark {
        Mark { place: self.place.to_owned(), line: self.line_of(span.start), key: key.to_owned() }
    }

    /// What the TOML parser says, with its line.
    pub fn syntax(&self, error: &toml::de::Error) -> Problem {
        let line = error.span().and_then(|span| self.line_of(span.start));
        let message = error.message().trim_end().replace('\n', "; ").replace('`', "\"");
        Problem { place: self.place.to_owned(), line, key: None, message }
    }

    fn line_of(&self, byte: usize) -> Option<usize> {
        let before = self.text.as_bytes().get(..byte).unwrap_or(self.text.as_bytes());
        self.lines.then(|| before.iter().filter(|&&b| b == b'\n').count() + 1)
    }
}

/// `$XDG_CONFIG_HOME/holdfast/config.toml`, else below `~/.config`; `None` without a home.
pub(super) fn default_path() -> Option<PathBuf> {
    Some(super::folders::config_home()?.join("holdfast/config.toml"))
}

//! What is missing at the end of a recording that nobody closed, and how well that is known.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A loss known this well is stated as a plain number: what was promised to be true to 100 ms.
const PLAIN_MS: u64 = 100;

/// Media that was recorded and is in no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Loss {
    /// How much, in milliseconds.
    pub ms: u64,
    /// The truth lies at most this far from it; `None` = at most `ms` is missing, the moment of the end is not known.
    pub within_ms: Option<u64>,
}

impl Loss {
    /// At most this much.
    pub fn at_most(ms: u64) -> Self {
        Self { ms, within_ms: None }
    }

    /// Two losses of one recording together.
    pub fn plus(self, other: Self) -> Self {
        match (self.within_ms, other.within_ms) {
            (Some(one), Some(two)) => {
                Self { ms: self.ms.saturating_add(other.ms), within_ms: Some(one.saturating_add(two)) }
            }
            _ => Self::at_most(self.most_ms().saturating_add(other.most_ms())),
        }
    }

    fn most_ms(self) -> u64 {
        self.ms.saturating_add(self.within_ms.unwrap_or(0))
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.ms, self.within_ms) {
            (ms, None) => write!(f, "at most {ms} ms"),
            (ms, Some(within)) if within <= PLAIN_MS => write!(f, "{ms} ms"),
            (ms, Some(within)) => write!(f, "{ms} ± {within} ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_claim_no_more_than_is_known() {
        let known = |within_ms| Loss { ms: 250, within_ms: Some(within_ms) };
        assert_eq!(known(55).to_string(), "250 ms");
        assert_eq!(known(180).to_string(), "250 ± 180 ms");
        assert_eq!(Loss::at_most(600).to_string(), "at most 600 ms");
        assert_eq!(known(55).plus(known(60)), Loss { ms: 500, within_ms: Some(115) });
        assert_eq!(known(55).plus(Loss::at_most(600)), Loss::at_most(905));
    }
}

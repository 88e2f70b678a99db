//! What the proof after Stop says: lines the prove role prints, one finding per thing that is not as it should be.
//!
//! Contract: one JSON object per line on standard output. `progress` lines come as bytes are read (at most ten a
//! second); one `part` line per file, also for one that is gone; `skipped` for what was named and left alone; `busy`
//! when another proof of the same folder runs (nothing else follows). A part's verdict is the worst of its findings,
//! [`Verdict::Ok`] without any. Shapes: the examples in the tests below.

mod finding;

pub use finding::{Finding, FindingCode};

use super::id::InputId;
use super::session::{PartRecord, Verdict};
use serde::{Deserialize, Serialize};

/// One line of the prove role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ProofLine {
    /// How far it is. The total counts every byte twice: it is read once here and once by a demuxer.
    Progress {
        /// Bytes read.
        done_bytes: u64,
        /// Bytes to read in all.
        total_bytes: u64,
    },
    /// A part was read.
    Part(Box<ProvedPart>),
    /// Something was left alone.
    Skipped {
        /// What.
        path: String,
        /// Why, in English.
        reason: String,
        /// It is no fault: somebody records to it, or it is not ours to judge.
        harmless: bool,
    },
    /// Another proof of this folder runs; this one did nothing.
    Busy {
        /// The folder.
        dir: String,
    },
}

/// A part as it was found, and what that means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProvedPart {
    /// Folder it lies in.
    pub dir: String,
    /// Its input, `None` for a file outside a session.
    pub input: Option<InputId>,
    /// What was recorded, with what was found put in: `readable`, `blake3`, and everything that was not known before.
    pub record: PartRecord,
    /// The worst of the findings.
    pub verdict: Verdict,
    /// Everything that is not as it should be, worst first.
    pub findings: Vec<Finding>,
}

/// A finding of a session's proof, as the manifest keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PartFinding {
    /// File name.
    pub file: String,
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
}

/// The worst of `findings`, [`Verdict::Ok`] without any.
pub fn verdict_of(findings: &[Finding]) -> Verdict {
    findings.iter().map(|finding| finding.code.verdict()).max().unwrap_or(Verdict::Ok)
}

/// One line of the prove role when it looks at parts or finalises them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LookLine {
    /// What is in a part.
    Part(Box<PartRecord>),
    /// Somebody records to a part, or reads it: it was left alone.
    Busy {
        /// File name.
        busy: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_documented_shape() {
        let progress = ProofLine::Progress { done_bytes: 1, total_bytes: 2 };
        let json = serde_json::to_value(&progress).expect("a line");
        assert_eq!(json, serde_json::json!({"kind": "progress", "done_bytes": 1, "total_bytes": 2}));
        let skipped = ProofLine::Skipped { path: "a".into(), reason: "b".into(), harmless: true };
        let json = serde_json::to_value(&skipped).expect("a line");
        assert_eq!(json, serde_json::json!({"kind": "skipped", "path": "a", "reason": "b", "harmless": true}));
        let kept = PartFinding { file: "cam1.mp4".into(), finding: Finding::new(FindingCode::Missing) };
        let json = serde_json::to_value(&kept).expect("a finding");
        assert_eq!(json["file"], "cam1.mp4");
        assert_eq!(json["code"], "missing");
        assert!(json["message"].as_str().is_some_and(|message| message.len() > 20));
        assert_eq!(serde_json::from_value::<PartFinding>(json).expect("read back"), kept);
    }

    #[test]
    fn the_worst_finding_decides() {
        let (gap, missing) = (Finding::new(FindingCode::Gap), Finding::new(FindingCode::Missing));
        assert_eq!(verdict_of(&[]), Verdict::Ok);
        assert_eq!(verdict_of(std::slice::from_ref(&gap)), Verdict::Warning);
        assert_eq!(verdict_of(&[gap, missing]), Verdict::Failed);
    }
}

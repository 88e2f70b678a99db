//! Keeps what a proof found in the manifest. The journal is not opened again after `closed`: verdicts live in
//! `session.json` alone, and a manifest that is made again from the journal is unverified again.

use super::recovery::{known_manifest, session_dirs};
use super::{atomic, journal, layout};
use crate::model::SessionId;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::proof::{PartFinding, ProvedPart, verdict_of};
use crate::model::session::{
    JournalKind, Line, Manifest, ManifestIncident, ManifestInput, PartEnd, PartRecord, Verdict,
};
use std::io;
use std::path::{Path, PathBuf};

/// A closed session whose files were not proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unproved {
    /// Its id.
    pub id: SessionId,
    /// Its folder.
    pub dir: PathBuf,
    /// Bytes of its files as recorded.
    pub bytes: u64,
}

impl Unproved {
    /// What `manifest` leaves to be proved, `None` = nothing.
    pub fn of(manifest: &Manifest, dir: &Path) -> Option<Self> {
        let unverified = manifest.inputs.iter().any(|input| input.verdict == Verdict::Unverified);
        let bytes = manifest.inputs.iter().flat_map(|input| &input.parts).map(|part| part.bytes).sum();
        unverified.then(|| Self { id: manifest.id, dir: dir.to_owned(), bytes })
    }
}

/// The unproved ones among the newest `look_at` sessions of `library`, newest first. Blocks on the disk.
pub fn unproved(library: &Path, look_at: usize) -> io::Result<Vec<Unproved>> {
    let dirs = session_dirs(library)?.into_iter().take(look_at).map(|name| library.join(name));
    Ok(dirs.filter(|dir| is_closed(dir)).filter_map(|dir| Unproved::of(&known_manifest(&dir).ok()?, &dir)).collect())
}

fn is_closed(dir: &Path) -> bool {
    let lines = journal::read::<Line<JournalKind>>(&dir.join(layout::JOURNAL));
    lines.is_ok_and(|(lines, _)| lines.iter().any(|line| matches!(line.kind, JournalKind::Closed { .. })))
}

/// Puts the verdicts of `proved` into the manifest of `dir` and replaces it; how a part ended stays what it was. An
/// input with a part that could not be read stays [`Verdict::Unverified`], unless another one is damaged. A part that is not among `proved` is an
/// error, and nothing is changed. Blocks on the disk.
pub fn keep(dir: &Path, proved: &[ProvedPart]) -> io::Result<Manifest> {
    let mut manifest = known_manifest(dir)?;
    apply(&mut manifest, proved).map_err(|file| io::Error::other(format!("{file} was not looked at")))?;
    atomic::replace(dir, layout::MANIFEST, &serde_json::to_vec_pretty(&manifest)?)?;
    Ok(manifest)
}

/// The same without a disk; `Err` = the first part nothing was found about. Running it again changes nothing.
fn apply(manifest: &mut Manifest, proved: &[ProvedPart]) -> Result<(), String> {
    for input in &manifest.inputs {
        for part in &input.parts {
            find(input, part, proved).ok_or_else(|| part.file.clone())?;
        }
    }
    for input in &mut manifest.inputs {
        manifest.incidents.retain(|known| {
            known.incident.code != IncidentCode::ProofFailed || known.input.as_ref() != Some(&input.id)
        });
        let mut findings = Vec::new();
        let mut verdict = Verdict::Ok;
        let owned = input.clone();
        for part in &mut input.parts {
            let Some(found) = find(&owned, part, proved) else { continue };
            part.frames.readable = found.record.frames.readable;
            part.frames.written = part.frames.written.or(found.record.frames.written);
            part.blake3.clone_from(&found.record.blake3);
            verdict = verdict.max(found.verdict);
            if found.verdict == Verdict::Failed {
                manifest.incidents.push(incident(&owned, part, found));
            }
            let keep = |finding: &_| PartFinding { file: part.file.clone(), finding: Clone::clone(finding) };
            findings.extend(found.findings.iter().map(keep));
        }
        input.findings = findings;
        // An input of which nothing is in any file has failed, however well that was read.
        let something = owned.parts.iter().any(|part| part.end != PartEnd::Empty);
        input.verdict = if something { verdict } else { Verdict::Failed };
    }
    Ok(())
}

fn find<'a>(input: &ManifestInput, part: &PartRecord, proved: &'a [ProvedPart]) -> Option<&'a ProvedPart> {
    proved.iter().find(|found| found.input.as_ref() == Some(&input.id) && found.record.file == part.file)
}

fn incident(input: &ManifestInput, part: &PartRecord, found: &ProvedPart) -> ManifestIncident {
    ManifestIncident {
        t_ns: part.offset_ns.unwrap_or(0),
        input: Some(input.id.clone()),
        incident: failure(&part.file, found),
    }
}

/// What the operator must learn of a part whose verdict is failed.
fn failure(file: &str, found: &ProvedPart) -> Incident {
    let worst = found.findings.iter().find(|finding| verdict_of(std::slice::from_ref(finding)) == Verdict::Failed);
    let reason = worst.map_or_else(String::new, crate::model::proof::Finding::summary);
    Incident::new(IncidentCode::ProofFailed).with("file", file).with("reason", reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::encoding::Container;
    use crate::model::proof::{Finding, FindingCode};
    use crate::model::session::{Closed, MANIFEST_VERSION};
    use crate::sys::clock;

    fn part(end: PartEnd) -> PartRecord {
        PartRecord { offset_ns: Some(0), duration_ns: 1, bytes: 5, ..PartRecord::new(1, "a.mp4", Container::Mp4, end) }
    }

    fn manifest(end: PartEnd) -> Manifest {
        let input = ManifestInput {
            id: "a".parse().expect("an id"),
            name: "A".into(),
            kind: "test".into(),
            verdict: Verdict::Unverified,
            parts: vec![part(end)],
            findings: Vec::new(),
            lost: None,
        };
        Manifest {
            version: MANIFEST_VERSION,
            id: SessionId(uuid::Uuid::from_u128(1)),
            name: "test".parse().expect("a name"),
            started_at: clock::wall_now(),
            ended_at: clock::wall_now(),
            state: Closed::Completed,
            library_path: "/library".into(),
            inputs: vec![input],
            markers: Vec::new(),
            clock_steps: Vec::new(),
            suspends: Vec::new(),
            incidents: Vec::new(),
        }
    }

    fn proved(findings: &[FindingCode]) -> [ProvedPart; 1] {
        let findings: Vec<Finding> = findings.iter().map(|code| Finding::new(*code)).collect();
        let input = Some("a".parse().expect("an id"));
        let verdict = verdict_of(&findings);
        [ProvedPart { dir: "/library/1".into(), input, record: part(PartEnd::Completed), verdict, findings }]
    }

    #[test]
    fn what_was_found_never_replaces_how_a_part_ended() {
        let mut manifest = manifest(PartEnd::Split);
        for (found, verdict) in [
            (&[FindingCode::Missing][..], Verdict::Failed),
            (&[FindingCode::Unreadable, FindingCode::Gap], Verdict::Unverified),
            // It has been put back.
            (&[], Verdict::Ok),
        ] {
            apply(&mut manifest, &proved(found)).expect("all were looked at");
            assert_eq!((manifest.inputs[0].parts[0].end, manifest.inputs[0].verdict), (PartEnd::Split, verdict));
            assert_eq!(manifest.incidents.len(), usize::from(verdict == Verdict::Failed));
        }
        assert!(Unproved::of(&manifest, Path::new("/library/1")).is_none());
    }

    #[test]
    fn a_file_the_recovery_could_not_read_is_judged_by_what_is_found_later() {
        let mut manifest = manifest(PartEnd::Damaged);
        apply(&mut manifest, &proved(&[FindingCode::Foreign])).expect("looked at");
        assert_eq!(manifest.inputs[0].verdict, Verdict::Failed);
        apply(&mut manifest, &proved(&[])).expect("looked at");
        assert_eq!(manifest.inputs[0].verdict, Verdict::Ok);
    }
}

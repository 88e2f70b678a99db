//! Keeps what a proof found in the manifest. The journal is not opened again after `closed`: verdicts live in
//! `session.json` alone, and a manifest that is made again from the journal is unverified again.

use super::manifest::whole;
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

/// Puts the verdicts of `proved` into the manifest of `dir` and replaces it. A part that is not among `proved` is an
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
                part.end = PartEnd::Damaged;
                manifest.incidents.push(incident(&owned, part, found));
            }
            let keep = |finding: &_| PartFinding { file: part.file.clone(), finding: Clone::clone(finding) };
            findings.extend(found.findings.iter().map(keep));
        }
        input.findings = findings;
        // An input of which nothing is in any file has failed, however well that was read.
        input.verdict = if owned.parts.iter().any(whole) { verdict } else { Verdict::Failed };
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

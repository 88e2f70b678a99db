//! Closing a session on disk, after Stop and after a crash alike: start-up is recovery.
//!
//! Procedure `close`: fold the workers' facts into the journal → finalise the parts nobody finalised → write the
//! manifest (atomically) → append `closed`. Each step can be repeated, so a crash during it costs nothing, and a
//! second run changes nothing. Media is never deleted or renamed. Everything here blocks on the disk.

use super::history::History;
use super::loss::{self, Evidence};
use super::manifest::{InputFacts, assemble, calendar};
use super::{atomic, journal, layout, left, order, pulse};
use crate::model::InputId;
use crate::model::input::InputSpec;
use crate::model::loss::Loss;
use crate::model::session::{
    Closed, Fact, FactKind, JournalKind, Line, Manifest, ManifestInput, PartEnd, PartRecord, Plan, Verdict,
};
use crate::model::snapshot::LastSession;
use crate::sys::{clock, lock};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A session whose journal has no `closed` line.
#[derive(Debug, Clone, PartialEq)]
pub struct Interrupted {
    /// Its folder.
    pub dir: PathBuf,
    /// Its plan.
    pub plan: Plan,
    /// What is known of it.
    pub history: History,
}

/// A session that was closed.
#[derive(Debug, Clone, PartialEq)]
pub struct ClosedSession {
    /// What its folder says now.
    pub manifest: Manifest,
}

impl ClosedSession {
    /// What the inputs with a part that had no end have lost.
    pub fn lost(&self) -> impl Iterator<Item = (&InputId, Loss)> {
        self.manifest.inputs.iter().filter_map(|input| Some((&input.id, input.lost?)))
    }
}

/// Why a session cannot be closed now.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// Somebody records it, or has a part of it in use.
    #[error("{0} is still in use")]
    Locked(String),
    /// A part is there, but nothing could be learned of it: it may be as good as any, so nothing is said of it.
    #[error("{0} could not be looked at")]
    Unread(String),
    /// Its journal has no plan, or the disk refused.
    #[error("{path}: {error}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// What became of the parts of a folder.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Finalised {
    /// What they are.
    pub parts: Vec<PartRecord>,
    /// Names of those that somebody uses, if only to read them: left alone.
    pub busy: Vec<String>,
}

/// Turns a folder's unfinished parts into ordinary files and says what they are (the prove role).
pub type Finalise<'a> = &'a dyn Fn(&Path) -> io::Result<Finalised>;

/// The folders of sessions in `library`, newest first ([`order`](super::order)). A link is none: where it leads somebody else may be recording.
pub fn session_dirs(library: &Path) -> io::Result<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir(library)?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok().filter(|name| layout::is_session_dir(name))?;
            entry.file_type().ok()?.is_dir().then_some(name)
        })
        .collect();
    order::newest_first(library, &mut names);
    Ok(names)
}

/// A plan that was late or could not be synced: its client was told that nothing was started, and may use its key again.
pub(super) fn was_refused(lines: &[Line<JournalKind>]) -> bool {
    lines.iter().any(is_failed) && !lines.iter().any(shows_life)
}

/// A line that no journal of a refused plan has. Whole plans stand before it or nowhere: a disk that refused a plan and
/// took it when it was asked again may keep both.
pub(super) fn shows_life(line: &Line<JournalKind>) -> bool {
    !is_failed(line) && !matches!(line.kind, JournalKind::Plan(_))
}

fn is_failed(line: &Line<JournalKind>) -> bool {
    line.kind == JournalKind::Closed { state: Closed::Failed }
}

/// The manifest of a session folder.
pub fn read_manifest(dir: &Path) -> io::Result<Manifest> {
    Ok(serde_json::from_slice(&fs::read(dir.join(layout::MANIFEST))?)?)
}

/// The manifest of a session folder; without a readable one it is made again from the journal, in memory only, and is
/// unverified then. [`io::ErrorKind::NotFound`] = there is neither.
pub fn known_manifest(dir: &Path) -> io::Result<Manifest> {
    if let Ok(manifest) = read_manifest(dir) {
        return Ok(manifest);
    }
    let (mut lines, _) = journal::read::<Line<JournalKind>>(&dir.join(layout::JOURNAL))?;
    let known = distinct(&mut lines);
    let plan = plan_of(&lines).cloned().ok_or_else(|| io::Error::other("its journal has no plan"))?;
    // The last line was written last, whatever its date says.
    let ended = lines.last().map_or(plan.started_at, |line| line.at);
    lines.extend(unfolded(dir, &plan, known)?);
    let state =
        lines.iter().find_map(|line| if let JournalKind::Closed { state } = line.kind { Some(state) } else { None });
    Ok(assemble(&plan, dir, state.unwrap_or(Closed::Recovered), &lines, ended))
}

/// A manifest as the snapshot shows it.
pub fn last_session(manifest: &Manifest, dir: &Path) -> LastSession {
    let must_open = |input: &&ManifestInput| input.parts.iter().filter(|part| part.end != PartEnd::Empty).count();
    let parts = manifest.inputs.iter().map(|input| must_open(&input)).sum::<usize>();
    let proved = manifest.inputs.iter().filter(|input| input.verdict != Verdict::Unverified);
    let proved = proved.map(|input| must_open(&input)).sum::<usize>();
    LastSession {
        id: manifest.id,
        name: manifest.name.clone(),
        dir: dir.display().to_string(),
        state: manifest.state,
        verdict: manifest.inputs.iter().map(|input| input.verdict).max().unwrap_or(Verdict::Failed),
        proved: u32::try_from(proved).unwrap_or(u32::MAX),
        parts: u32::try_from(parts).unwrap_or(u32::MAX),
        proof_percent: None,
    }
}

/// The first part and fact numbers that no worker has used in `dir` for `input`; looks at files and facts. An error
/// must not be taken for a beginning: the caller tries again.
pub fn next_numbers(dir: &Path, input: &InputId) -> io::Result<(u32, u64)> {
    let facts = read_facts(dir, input)?;
    let from_facts = facts.iter().filter_map(|line| match &line.kind.kind {
        FactKind::PartOpened { part, .. } | FactKind::PartStarted { part, .. } => Some(*part),
        FactKind::PartClosed(record) | FactKind::PartUnfinished(record) => Some(record.part),
        FactKind::Gap(_) | FactKind::Incident(_) | FactKind::Done { .. } => None,
    });
    let from_files = media_files(dir)?.into_iter().filter(|(_, owner, _)| owner == input).map(|(_, _, part)| part);
    let part = from_facts.chain(from_files).max().unwrap_or(0);
    let fact = facts.iter().map(|line| line.kind.n).max().unwrap_or(0);
    Ok((part + 1, fact + 1))
}

/// Bytes of all parts of `input` in every session of `library` without a manifest, together: they grow while, and only
/// while, somebody records it. Not of the newest part alone: the next one is made beside the one that is written, and
/// may never be needed. One look at each file's size, a thousand in a long day. Nothing there is 0; what cannot be read
/// is an error.
pub fn open_part_bytes(library: &Path, input: &InputId) -> io::Result<u64> {
    let mut bytes = 0u64;
    for name in session_dirs(library)? {
        let dir = library.join(name);
        if dir.join(layout::MANIFEST).try_exists()? {
            continue;
        }
        for (name, ..) in media_files(&dir)?.into_iter().filter(|(_, owner, _)| owner == input) {
            bytes = bytes.saturating_add(fs::metadata(dir.join(name))?.len());
        }
    }
    Ok(bytes)
}

/// Closes the session in `dir` with `state`; see the module's contract. Workers that still hold it get `patience` to
/// write their last facts.
pub fn close(
    dir: &Path,
    state: Closed,
    patience: Duration,
    finalise: Finalise<'_>,
) -> Result<ClosedSession, CloseError> {
    close_while(dir, state, patience, finalise, &|| Ok(()))
}

/// The same for somebody who may lose the right to write at any moment: it is asked for before each thing that is
/// written, and what stands there by then can be gone on with.
pub fn close_while(
    dir: &Path,
    state: Closed,
    patience: Duration,
    finalise: Finalise<'_>,
    may_write: &dyn Fn() -> io::Result<()>,
) -> Result<ClosedSession, CloseError> {
    let path = dir.join(layout::JOURNAL);
    let failed = |error| CloseError::Io { path: path.clone(), error };
    // A worker without a signal has no part open, and records all the same: before anything is read, until `closed`.
    let hold = journal::hold_alone(dir, patience).map_err(failed)?;
    let Some(_hold) = hold else { return Err(CloseError::Locked(format!("the session in {}", dir.display()))) };
    let (mut lines, _) = journal::read::<Line<JournalKind>>(&path).map_err(failed)?;
    let known = distinct(&mut lines);
    let plan = plan_of(&lines).cloned().ok_or_else(|| failed(io::Error::other("its first line is not a plan")))?;
    let parts = media_files(dir).map_err(failed)?;
    // What is no file is not being written.
    let is_file = |name: &str| fs::symlink_metadata(dir.join(name)).is_ok_and(|meta| meta.is_file());
    for (name, ..) in parts.iter().filter(|(name, ..)| is_file(name)) {
        if lock::is_held(&dir.join(name)).map_err(failed)? {
            return Err(CloseError::Locked(name.clone()));
        }
    }
    let mut log = journal::Log::open(&path).map_err(failed)?;
    let mut append = |lines: &mut Vec<Line<JournalKind>>, line: Line<JournalKind>| {
        may_write().and_then(|()| log.append(&line)).map_err(failed)?;
        lines.push(line);
        Ok::<(), CloseError>(())
    };
    for line in unfolded(dir, &plan, known).map_err(failed)? {
        append(&mut lines, line)?;
    }
    let facts = |spec: &InputSpec| InputFacts::of(&spec.id, &lines).closed_files();
    let closed: BTreeSet<String> = plan.inputs.iter().flat_map(facts).collect();
    let mut open: Vec<_> = parts.into_iter().filter(|(name, ..)| !closed.contains(name)).collect();
    // What one has lost depends on those before it.
    open.sort_by(|(_, one, part), (_, other, later)| (one, part).cmp(&(other, later)));
    if !open.is_empty() {
        // The time of the last write tells how much of the end is missing; finalising changes it.
        let calendar = calendar(&plan, &lines);
        let touched: BTreeMap<String, Timestamp> = open.iter().filter_map(|(name, ..)| modified(dir, name)).collect();
        let found = may_write().and_then(|()| finalise(dir));
        let mut found = found.map_err(|error| CloseError::Io { path: dir.to_owned(), error })?;
        let (mut unread, mut used) = (None, None);
        for (name, input, part) in open {
            let Some(place) = found.parts.iter().position(|record| record.file == name) else {
                let why = if found.busy.contains(&name) { &mut used } else { &mut unread };
                *why = Some(name);
                continue;
            };
            let mut record = found.parts.swap_remove(place);
            if record.end == PartEnd::Completed {
                // Whole already, but its worker did not live to say so; an earlier recovery was killed behind it.
                record.end = PartEnd::WorkerDied;
            }
            let facts = InputFacts::of(&input, &lines);
            record.offset_ns = record.offset_ns.or(facts.offset(part));
            let beat = pulse::last_beat(dir, &plan, &input);
            match facts.unfinished(part).filter(|_| record.end == PartEnd::WorkerDied) {
                Some(told) => record = left::finished(told, record),
                None => {
                    let touched = touched.get(&name).map(|touched| calendar.times_of(*touched).1);
                    let known = Evidence { facts: &facts, beat: beat.as_ref(), touched };
                    record.lost = loss::loss(&plan, &record, known);
                }
            }
            let t_ns = record.offset_ns.unwrap_or(0).saturating_add(i64::try_from(record.duration_ns).unwrap_or(0));
            // Its first picture was lost with it.
            record.offset_ns = record.offset_ns.filter(|_| record.end != PartEnd::Empty);
            let n = facts.last_number() + 1;
            let kind = JournalKind::Fact { input, fact: Fact { n, kind: FactKind::PartClosed(record) } };
            append(&mut lines, Line { t_ns, at: clock::wall_now(), kind })?;
        }
        if let Some(name) = unread {
            return Err(CloseError::Unread(name));
        }
        if let Some(name) = used {
            return Err(CloseError::Locked(name));
        }
    }
    for (input, fact) in left::absent(&plan, &lines, |name| dir.join(name).symlink_metadata().is_ok()) {
        let t_ns = lines.iter().map(|line| line.t_ns).max().unwrap_or(0);
        append(&mut lines, Line { t_ns, at: clock::wall_now(), kind: JournalKind::Fact { input, fact } })?;
    }
    // Whatever they told is in the journal: a run that is killed from here on says the same without them. The folder is
    // synced with the manifest, before `closed`.
    pulse::remove(dir, &plan);
    let state = if state == Closed::Recovered && stopped_properly(&plan, &lines) { Closed::Completed } else { state };
    let manifest = assemble(&plan, dir, state, &lines, clock::wall_now());
    let text = serde_json::to_vec_pretty(&manifest).map_err(|error| failed(error.into()))?;
    may_write()
        .and_then(|()| {
            // On a full disk the manifest has only what the journal had kept.
            drop(log.spare_one_line());
            atomic::replace(dir, layout::MANIFEST, &text)
        })
        .map_err(failed)?;
    if !lines.iter().any(|line| matches!(line.kind, JournalKind::Closed { .. })) {
        let t_ns = lines.iter().map(|line| line.t_ns).max().unwrap_or(0);
        let line = Line { t_ns, at: clock::wall_now(), kind: JournalKind::Closed { state } };
        may_write().and_then(|()| log.append(&line)).map_err(failed)?;
    }
    // Room that stays reserved is a matter of tidiness; a worker that died has left some behind its facts.
    drop(log.give_back());
    let kept = plan.inputs.iter().map(|spec| dir.join(layout::facts_file(&spec.id))).filter(|path| path.is_file());
    kept.for_each(|path| drop(journal::Log::open(&path).and_then(|mut facts| facts.give_back())));
    Ok(ClosedSession { manifest })
}

/// Leaves each fact once (two writers may have folded it: its number makes it one) and says which there are.
fn distinct(lines: &mut Vec<Line<JournalKind>>) -> BTreeSet<(InputId, u64)> {
    let mut known = BTreeSet::new();
    lines.retain(|line| match &line.kind {
        JournalKind::Fact { input, fact } => known.insert((input.clone(), fact.n)),
        _ => true,
    });
    known
}

pub(super) fn plan_of(lines: &[Line<JournalKind>]) -> Option<&Plan> {
    lines.iter().find_map(|line| if let JournalKind::Plan(plan) = &line.kind { Some(plan) } else { None })
}

/// Whether only the engine was missing at the end: somebody asked to stop, and every worker that began to write has
/// said that its recording is complete.
fn stopped_properly(plan: &Plan, lines: &[Line<JournalKind>]) -> bool {
    let facts: Vec<_> = plan.inputs.iter().map(|spec| InputFacts::of(&spec.id, lines)).collect();
    let mut began = facts.iter().filter(|facts| facts.last_number() > 0).peekable();
    let asked = lines.iter().any(|line| line.kind == JournalKind::StopRequested);
    asked && began.peek().is_some() && began.all(InputFacts::is_done)
}

/// The facts of `input`; none when it never wrote any.
pub(super) fn read_facts(dir: &Path, input: &InputId) -> io::Result<Vec<Line<Fact>>> {
    match journal::read(&dir.join(layout::facts_file(input))) {
        Ok((facts, _)) => Ok(facts),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Facts on disk that the journal does not hold yet.
pub(super) fn unfolded(
    dir: &Path,
    plan: &Plan,
    mut known: BTreeSet<(InputId, u64)>,
) -> io::Result<Vec<Line<JournalKind>>> {
    let mut missing = Vec::new();
    for spec in &plan.inputs {
        for Line { t_ns, at, kind: fact } in read_facts(dir, &spec.id)? {
            if known.insert((spec.id.clone(), fact.n)) {
                missing.push(Line { t_ns, at, kind: JournalKind::Fact { input: spec.id.clone(), fact } });
            }
        }
    }
    Ok(missing)
}

/// Media files of ours in `dir`: name, input, part.
pub(super) fn media_files(dir: &Path) -> io::Result<Vec<(String, InputId, u32)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Some((input, part)) = layout::parse_part_file(name) {
            files.push((name.to_owned(), input, part));
        }
    }
    files.sort();
    Ok(files)
}

fn modified(dir: &Path, name: &str) -> Option<(String, Timestamp)> {
    let time = fs::metadata(dir.join(name)).ok()?.modified().ok()?;
    Some((name.to_owned(), Timestamp::try_from(time).ok()?))
}

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;

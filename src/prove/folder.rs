//! What there is to prove under a path: a library, a session, a folder of files, or one file.
//!
//! Contract: links are named, never followed; names that a manifest gives are used only if they are names of parts,
//! so a manifest cannot lead anywhere else. What is to be compared with comes from `session.json`, without one from
//! the journal and the workers' facts; without those a file is judged by itself.

use crate::model::InputId;
use crate::model::session::{Manifest, PartRecord};
use crate::storage::{layout, recovery};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder and what is to be read in it.
#[derive(Debug)]
pub struct Folder {
    /// The folder.
    pub dir: PathBuf,
    /// Its files.
    pub targets: Vec<Target>,
    /// What was left alone: name, reason in English, whether that is no fault.
    pub skipped: Vec<(String, String, bool)>,
}

/// One file.
#[derive(Debug)]
pub struct Target {
    /// Its name.
    pub file: String,
    /// Its input, if it belongs to a session.
    pub input: Option<InputId>,
    /// Its number.
    pub part: u32,
    /// What was recorded, if that is known.
    pub recorded: Option<PartRecord>,
}

impl Folder {
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        let size = |target: &Target| fs::symlink_metadata(self.dir.join(&target.file)).map_or(0, |meta| meta.len());
        self.targets.iter().map(size).sum()
    }
}

/// Everything to read under `path`, newest session first. Errors are about `path` itself.
pub fn find(path: &Path) -> Result<Vec<Folder>> {
    let shown = path.display();
    let meta = fs::symlink_metadata(path).with_context(|| format!("{shown} cannot be read"))?;
    if meta.is_symlink() {
        bail!("{shown} is a link, and links are not followed; name what it points to");
    }
    if meta.is_file() {
        return Ok(vec![single(path)?]);
    }
    if !meta.is_dir() {
        bail!("{shown} is neither a file nor a folder");
    }
    let entries = fs::read_dir(path).with_context(|| format!("{shown} cannot be listed"))?;
    let names: BTreeSet<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let sessions: Vec<&String> = names.iter().rev().filter(|name| layout::is_session_dir(name)).collect();
    if sessions.is_empty() {
        let folder = session(path, &names);
        if folder.targets.is_empty() && folder.skipped.is_empty() {
            bail!("{shown} holds no recording of Holdfast");
        }
        return Ok(vec![folder]);
    }
    Ok(sessions.into_iter().map(|name| of_library(path, name)).collect())
}

fn of_library(library: &Path, name: &str) -> Folder {
    let dir = library.join(name);
    let left = |reason: String| Folder {
        dir: library.to_owned(),
        targets: Vec::new(),
        skipped: vec![(name.to_owned(), reason, false)],
    };
    match fs::symlink_metadata(&dir) {
        Ok(meta) if meta.is_dir() => {}
        Ok(meta) if meta.is_symlink() => return left("it is a link, and links are not followed".to_owned()),
        Ok(_) => return left("it is not a folder".to_owned()),
        Err(error) => return left(format!("it cannot be read: {error}")),
    }
    match fs::read_dir(&dir) {
        Ok(entries) => session(&dir, &entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()),
        Err(error) => left(format!("it cannot be listed: {error}")),
    }
}

fn single(path: &Path) -> Result<Folder> {
    let name = path.file_name().and_then(|name| name.to_str()).context("the file's name is not text")?.to_owned();
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
        _ => PathBuf::from("."),
    };
    let known = expected(&dir).ok().flatten().and_then(|manifest| {
        let all = targets(&manifest, &mut Vec::new());
        all.into_iter().find(|target| target.file == name)
    });
    let part = layout::parse_part_file(&name).map_or(1, |(_, part)| part);
    let target = known.unwrap_or(Target { file: name, input: None, part, recorded: None });
    Ok(Folder { dir, targets: vec![target], skipped: Vec::new() })
}

fn session(dir: &Path, names: &BTreeSet<String>) -> Folder {
    let mut skipped = Vec::new();
    let mut all = match expected(dir) {
        Ok(Some(manifest)) => targets(&manifest, &mut skipped),
        Ok(None) => Vec::new(),
        Err(error) => {
            skipped.push((layout::JOURNAL.to_owned(), format!("what was recorded is not known: {error}"), false));
            Vec::new()
        }
    };
    // Of a session that still runs no part is closed, but its file is there.
    let has_file = |id: &str| {
        let owner = |name: &String| layout::parse_part_file(name).map(|(owner, _)| owner);
        names.iter().filter_map(owner).any(|owner| owner.as_str() == id)
    };
    skipped.retain(|(name, ..)| !has_file(name));
    for name in names {
        if all.iter().any(|target| target.file == *name) {
            continue;
        }
        match layout::parse_part_file(name) {
            Some((input, part)) => {
                all.push(Target { file: name.clone(), input: Some(input), part, recorded: None });
            }
            None if is_film(name) => {
                skipped.push((name.clone(), "it is not a file of this recorder".to_owned(), true));
            }
            None => {}
        }
    }
    Folder { dir: dir.to_owned(), targets: all, skipped }
}

/// What stands in a folder as a film and has no name of ours is worth a word.
fn is_film(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    ["mp4", "mkv", "mov", "webm", "ts", "avi"].contains(&extension.to_ascii_lowercase().as_str())
}

/// What was recorded into `dir`; `None` = it is no session's folder.
fn expected(dir: &Path) -> std::io::Result<Option<Manifest>> {
    match recovery::known_manifest(dir) {
        Ok(manifest) => Ok(Some(manifest)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn targets(manifest: &Manifest, skipped: &mut Vec<(String, String, bool)>) -> Vec<Target> {
    let mut all = Vec::new();
    for input in &manifest.inputs {
        if input.parts.is_empty() {
            skipped.push((input.id.to_string(), "nothing of this input was recorded".to_owned(), false));
        }
        for record in &input.parts {
            let ours = layout::parse_part_file(&record.file).is_some_and(|(owner, _)| owner == input.id);
            if !ours {
                skipped.push((record.file.clone(), "the manifest names it, but no recorder does".to_owned(), false));
                continue;
            }
            all.push(Target {
                file: record.file.clone(),
                input: Some(input.id.clone()),
                part: record.part,
                recorded: Some(record.clone()),
            });
        }
    }
    all
}

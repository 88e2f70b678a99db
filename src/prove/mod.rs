//! The short-lived job that re-reads files of ours: finalises what a crash left, and proves what was recorded.
//!
//! Contract: prints JSON lines on standard output, complaints on standard error: one [`LookLine`] per part when it
//! looks or finalises, [`crate::model::proof::ProofLine`]s when it proves. Touches only files it could lock, so never
//! a part that is being recorded; changes nothing unless asked to finalise; killed anywhere, it can be run again.
//! Started by the engine at idle priority.

mod folder;
mod judge;
mod part;
mod verify;

use crate::media::finalise::{self, Contents, FinaliseError, Outcome, PartStore, Summary};
use crate::model::encoding::Container;
use crate::model::proof::LookLine;
use crate::model::session::{PartEnd, PartFrames, PartRecord};
use crate::storage::layout;
use crate::sys::lock;
use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags, open};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What to look at.
#[derive(Debug, Clone)]
pub struct Options {
    /// A session folder or one file; a library too for [`Task::Prove`].
    pub path: PathBuf,
    /// What to do with it.
    pub task: Task,
}

/// What to do with the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Say what is in them.
    Look,
    /// Make ordinary files of what a crash left, and say what is in them.
    Finalise,
    /// Read everything and hold it against what was recorded.
    Prove,
}

/// Runs the job; exit code 0 = every part was looked at. Blocks on the disk.
pub fn run(options: &Options) -> ExitCode {
    if options.task == Task::Prove {
        return match verify::run(&options.path) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            // `holdfast verify` shows this as its own.
            Err(error) => {
                eprintln!("holdfast: {error:#}");
                ExitCode::FAILURE
            }
        };
    }
    let finalise = options.task == Task::Finalise;
    let files = match part_files(&options.path) {
        Ok(files) => files,
        Err(error) => {
            eprintln!("holdfast prove: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let mut failed = false;
    for file in files {
        let printed = match look(&file, finalise) {
            Ok(line) => {
                if matches!(line, LookLine::Busy { .. }) {
                    eprintln!("holdfast prove: {} is in use and was left alone", file.display());
                }
                print(&line)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = printed {
            eprintln!("holdfast prove: {error:#}");
            failed = true;
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn print(line: &LookLine) -> Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    std::io::stdout().write_all(&bytes).context("the result cannot be printed")
}

/// The media files below `path`, or `path` itself; in the order of input and part.
fn part_files(path: &Path) -> Result<Vec<PathBuf>> {
    let meta = std::fs::metadata(path).with_context(|| format!("{} cannot be read", path.display()))?;
    if !meta.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).with_context(|| format!("{} cannot be listed", path.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        if let Some(key) = name.to_str().and_then(layout::parse_part_file) {
            found.push((key, entry.path()));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

fn look(path: &Path, finalise: bool) -> Result<LookLine> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let (_, part) = layout::parse_part_file(&name).with_context(|| format!("{name} is not a part of a session"))?;
    let container = layout::part_container(&name).unwrap_or(Container::Mp4);
    let record = |(end, bytes, summary): (PartEnd, u64, Option<Summary>)| {
        let summary = summary.as_ref();
        LookLine::Part(Box::new(PartRecord {
            duration_ns: summary.map_or(0, |s| u64::try_from(s.duration.as_nanos()).unwrap_or(u64::MAX)),
            bytes,
            video: summary.and_then(|s| s.video.clone()),
            audio: summary.and_then(|s| s.audio.clone()),
            frames: PartFrames { written: summary.map(|s| s.video_samples), ..PartFrames::default() },
            ..PartRecord::new(part, name.clone(), container, end)
        }))
    };
    // Somebody moved the recording elsewhere, and left a link or a folder under its name: nothing is read through it.
    let meta = std::fs::symlink_metadata(path).with_context(|| format!("{} cannot be read", path.display()))?;
    if !meta.is_file() {
        return Ok(record((PartEnd::Damaged, 0, None)));
    }
    let access = if finalise { OFlags::RDWR } else { OFlags::RDONLY };
    let flags = access | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = open(path, flags, Mode::empty()).with_context(|| format!("{} cannot be opened", path.display()))?;
    let file = File::from(file);
    if !lock::try_lock_fd(&file)? {
        return Ok(LookLine::Busy { busy: name });
    }
    Ok(record(if finalise { finalised(&file)? } else { inspected(&file)? }))
}

fn finalised(file: &File) -> Result<(PartEnd, u64, Option<Summary>)> {
    let recorded = file.metadata()?.modified()?;
    let outcome = finalise::finalise(file);
    // What a killed worker had kept reserved; a matter of tidiness, not of the recording.
    let _ = PartStore::release(file);
    // The time of the last write tells what the end cost; a recovery that is interrupted must still find it.
    file.set_modified(recorded)?;
    match outcome {
        Ok(Outcome::Finalised(summary)) => Ok((PartEnd::WorkerDied, summary.bytes, Some(summary))),
        Ok(Outcome::AlreadyFinal(summary)) => Ok((PartEnd::Completed, summary.bytes, Some(summary))),
        Ok(Outcome::Empty { bytes }) => Ok((PartEnd::Empty, bytes, None)),
        Err(FinaliseError::Foreign) => Ok((PartEnd::Damaged, file.metadata()?.len(), None)),
        Err(error @ (FinaliseError::Io(_) | FinaliseError::Tables(_))) => Err(error.into()),
    }
}

fn inspected(file: &File) -> Result<(PartEnd, u64, Option<Summary>)> {
    let bytes = file.metadata()?.len();
    Ok(match finalise::scan(file)? {
        Contents::Ordinary(summary) => (PartEnd::Completed, bytes, Some(summary)),
        Contents::Fragments(index) => (PartEnd::WorkerDied, bytes, Some(index.summary(bytes))),
        Contents::Nothing { bytes } => (PartEnd::Empty, bytes, None),
        Contents::Foreign => (PartEnd::Damaged, bytes, None),
    })
}

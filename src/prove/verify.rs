//! The proof: every file under a path is read again and judged; what is found is told line by line.
//!
//! Contract: see [`crate::model::proof`] for the lines. One proof of a folder at a time: the folder's own lock
//! decides. A file that is being recorded is named and left alone. Nothing is changed.

use super::folder::{self, Folder};
use super::judge::{Found, judge};
use super::part::{Look, look};
use crate::model::MonoNs;
use crate::model::proof::{ProofLine, ProvedPart};
use crate::sys::{clock, lock};
use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags, open};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// Progress is told this often: smooth to the eye, nothing beside the reading.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// Proves everything under `path`. `Ok(false)` = a folder is being proved by somebody else.
pub fn run(path: &Path) -> Result<bool> {
    crate::media::init().context("GStreamer does not start")?;
    let folders = folder::find(path)?;
    let bytes: u64 = folders.iter().map(Folder::bytes).sum();
    let mut teller = Teller { done: 0, total: bytes.saturating_mul(2), told: None };
    teller.tell_progress()?;
    let mut complete = true;
    for folder in &folders {
        complete &= prove(folder, &mut teller)?;
    }
    Ok(complete)
}

fn prove(folder: &Folder, teller: &mut Teller) -> Result<bool> {
    let dir = folder.dir.display().to_string();
    let held = open(&folder.dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map(File::from);
    // A folder on a file system without locks is not one that a recorder writes to.
    if let Ok(held) = &held
        && let Ok(false) = lock::try_lock_fd(held)
    {
        print(&ProofLine::Busy { dir })?;
        return Ok(false);
    }
    for (path, reason, harmless) in &folder.skipped {
        let path = folder.dir.join(path).display().to_string();
        print(&ProofLine::Skipped { path, reason: reason.clone(), harmless: *harmless })?;
    }
    for target in &folder.targets {
        let path = folder.dir.join(&target.file);
        // A pipe nobody reads any more ends the work: whoever wanted it is gone.
        let mut gone = Ok(());
        let mut on_bytes = |bytes: u64| {
            if let Err(error) = teller.add(bytes) {
                gone = Err(error);
            }
        };
        let found = look(&path, &mut on_bytes);
        gone?;
        match found {
            Look::Busy => {
                let reason = "it is being recorded and was left alone".to_owned();
                print(&ProofLine::Skipped { path: path.display().to_string(), reason, harmless: true })?;
            }
            Look::Found(found) => print(&line(&dir, target, &found))?,
        }
    }
    Ok(true)
}

fn line(dir: &str, target: &folder::Target, found: &Found) -> ProofLine {
    let judged = judge(&target.file, target.part, target.recorded.as_ref(), found);
    ProofLine::Part(Box::new(ProvedPart {
        dir: dir.to_owned(),
        input: target.input.clone(),
        record: judged.record,
        verdict: judged.verdict,
        findings: judged.findings,
    }))
}

/// Counts bytes and says so from time to time.
struct Teller {
    done: u64,
    total: u64,
    told: Option<MonoNs>,
}

impl Teller {
    fn add(&mut self, bytes: u64) -> Result<()> {
        self.done = self.done.saturating_add(bytes).min(self.total);
        let now = clock::mono_now();
        if self.told.is_none_or(|told| now.since(told) >= TELL_EVERY) {
            self.tell_progress()?;
        }
        Ok(())
    }

    fn tell_progress(&mut self) -> Result<()> {
        self.told = Some(clock::mono_now());
        print(&ProofLine::Progress { done_bytes: self.done, total_bytes: self.total })
    }
}

fn print(line: &ProofLine) -> Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&bytes).and_then(|()| out.flush()).context("the result cannot be printed")
}

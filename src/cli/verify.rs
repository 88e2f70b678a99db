//! `holdfast verify PATH`: reads recordings again, without an engine, and says what is wrong with them.
//!
//! Contract: the work is done by the prove role; here its lines become a table or one JSON object. Exit code 0 = every
//! file is readable as recorded (verdict ok or warning), 1 = one is not, or could not be looked at.

use super::{Json, Outcome, clock_time, failed, print_json, word};
use crate::model::proof::{ProofLine, ProvedPart};
use crate::model::session::Verdict;
use crate::sys::process::{self, Priority};
use serde::Serialize;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::path::Path;

/// Everything that was found, as `--json` prints it.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// The worst verdict, `None` = nothing was read.
    verdict: Option<Verdict>,
    parts: Vec<ProvedPart>,
    skipped: Vec<Skipped>,
}

#[derive(Debug, Serialize)]
struct Skipped {
    path: String,
    reason: String,
    #[serde(skip)]
    harmless: bool,
}

/// Reads everything under `path`.
pub fn run(path: &Path, form: Json) -> Outcome {
    match read(path, form.json) {
        Ok((report, complete)) => {
            if form.json {
                print_json(&report);
            }
            let bad = report.verdict > Some(Verdict::Warning) || report.skipped.iter().any(|skipped| !skipped.harmless);
            if bad || !complete { Outcome::Failed } else { Outcome::Done }
        }
        Err(error) => failed(format!("{} could not be checked: {error}", path.display())),
    }
}

/// What was found, and whether the prove role came to its end.
fn read(path: &Path, quiet: bool) -> io::Result<(Report, bool)> {
    let args = ["prove".as_ref(), "--verify".as_ref(), "--".as_ref(), path.as_os_str()];
    let (process, said) = process::spawn_heard(&args, Priority::Inherited)?;
    let mut report = Report::default();
    let mut shown = Shown { quiet, progress: io::stderr().is_terminal(), dir: String::new() };
    let mut heard = Ok(());
    for line in BufReader::new(said).lines() {
        match line.and_then(|line| Ok(serde_json::from_str(&line)?)) {
            Ok(line) => shown.take(line, &mut report),
            Err(error) => {
                heard = Err(error);
                break;
            }
        }
    }
    shown.clear();
    // The pipe is closed: what still runs of it notices and ends.
    let how = process.wait_here()?;
    heard?;
    report.verdict = report.parts.iter().map(|part| part.verdict).max();
    // It has said on standard error what it could not do.
    Ok((report, how == process::SUCCESS))
}

/// The table as it grows.
struct Shown {
    quiet: bool,
    progress: bool,
    dir: String,
}

impl Shown {
    fn take(&mut self, line: ProofLine, report: &mut Report) {
        match line {
            ProofLine::Progress { done_bytes, total_bytes } => self.percent(done_bytes, total_bytes),
            ProofLine::Part(part) => {
                self.clear();
                self.print(&part);
                report.parts.push(*part);
            }
            ProofLine::Skipped { path, reason, harmless } => {
                self.clear();
                if !self.quiet {
                    println!("{path}: {reason}");
                }
                report.skipped.push(Skipped { path, reason, harmless });
            }
            ProofLine::Busy { dir } => {
                let reason = "it is being checked already; try again when that is done".to_owned();
                failed(format!("{dir}: {reason}"));
                report.skipped.push(Skipped { path: dir, reason, harmless: false });
            }
        }
    }

    fn percent(&self, done: u64, total: u64) {
        if self.progress {
            let percent = done.saturating_mul(100).checked_div(total).unwrap_or(0);
            eprint!("\r{percent:3} %");
            // A terminal that takes nothing more is not worth ending for.
            let _ = io::stderr().flush();
        }
    }

    fn clear(&self) {
        if self.progress {
            eprint!("\r      \r");
        }
    }

    fn print(&mut self, part: &ProvedPart) {
        if self.quiet {
            return;
        }
        if self.dir != part.dir {
            self.dir.clone_from(&part.dir);
            println!("{}", part.dir);
        }
        let record = &part.record;
        let frames = match (record.frames.readable, record.frames.written) {
            (Some(readable), Some(written)) => format!("{readable} of {written} frames"),
            _ => "–".to_owned(),
        };
        let time = clock_time(Some(record.duration_ns / 1_000_000));
        println!("  {:<24} {:<8} {time:>9}  {frames}", record.file, word(&part.verdict));
        for finding in &part.findings {
            println!("      {}", finding.message());
        }
    }
}

//! Proofs after Stop: which session is read again next, and what becomes of the result. Pure.
//!
//! ```text
//! waiting ──nothing else is being proved──▶ running ──every part told──▶ keeping ──▶ (done)
//!    ▲                                        │ died, hung, refused          │ disk refused
//!    └──────────after a pause, 3 times────────┴──────────────────────────────┘──▶ given up: unverified, alert
//! ```
//! Contract: at most one proof at a time (one that outlives its kill is left behind), newest session first; a start is
//! never refused or delayed by one; whatever is lost with this engine, the next one finds in the manifests.

use super::super::event::{Effect, Now, ProofEvent};
use super::State;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::proof::{FindingCode, ProofLine, ProvedPart};
use crate::model::session::{Manifest, ManifestInput, Verdict};
use crate::model::snapshot::{LastSession, RecordingState};
use crate::model::{MonoNs, SessionId};
use crate::storage::proof::Unproved;
use crate::storage::recovery;
use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

/// Failed proofs of one session before it is left for the next engine or `holdfast verify`.
const TRIES: u32 = 3;
/// Pause before a proof is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// Reading in idle class beside a recording, from a disk that spins.
const BYTES_PER_S: u64 = 20_000_000;
/// Start of a process on a busy machine, its longest wait for a silent disk (60 s), and some.
const MARGIN: Duration = Duration::from_secs(120);
/// A killed process is gone at once, unless the disk holds it in the kernel (D state): the others must not wait for it.
const ENDS_WITHIN: Duration = Duration::from_secs(10);
/// Sessions that may wait; older ones are found by the next engine.
const WAITING: usize = 200;
/// Parts of one session that are remembered; a session split every second for a day has as many.
const PARTS: usize = 100_000;

/// The proofs to come and the one that runs.
#[derive(Debug, Default)]
pub struct Proofs {
    waiting: VecDeque<Job>,
    running: Option<Running>,
    /// Numbers the proofs.
    started: u64,
}

#[derive(Debug)]
struct Job {
    session: Unproved,
    not_before: MonoNs,
    tries: u32,
}

#[derive(Debug)]
struct Running {
    job: Job,
    number: u64,
    since: MonoNs,
    percent: u8,
    parts: Vec<ProvedPart>,
    step: Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Reading,
    /// Somebody else proves this folder.
    Busy,
    /// It took too long and was told to end then.
    Late(MonoNs),
    /// The manifest is being replaced.
    Keeping,
}

impl Proofs {
    /// What is known of a session that waits or is being read: percent and parts read.
    fn progress(&self, id: SessionId) -> Option<(u8, u32)> {
        let read = |parts: &[ProvedPart]| u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let running = self.running.as_ref().filter(|running| running.job.session.id == id);
        let waiting = || self.waiting.iter().any(|job| job.session.id == id).then_some((0, 0));
        running.map(|running| (running.percent, read(&running.parts))).or_else(waiting)
    }

    /// The proof that reads, by its number, and how long that should take.
    pub fn reads(&self) -> Option<(u64, Duration)> {
        let running = self.running.as_ref()?;
        Some((running.number, Duration::from_secs(running.job.session.bytes / BYTES_PER_S)))
    }

    /// Something is being read, or waits to be.
    pub fn has_work(&self) -> bool {
        self.running.is_some() || !self.waiting.is_empty()
    }

    /// A proof runs, or its result is being kept.
    #[cfg(test)]
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    fn add(&mut self, job: Job) {
        let known = |job: &Job| job.session.id;
        let again = self.waiting.iter().map(known).chain(self.running.as_ref().map(|running| known(&running.job)));
        if again.into_iter().any(|id| id == job.session.id) {
            return;
        }
        let place = self.waiting.partition_point(|other| other.session.id > job.session.id);
        self.waiting.insert(place, job);
        self.waiting.truncate(WAITING);
    }
}

impl State {
    /// These sessions are closed and were not proved.
    pub(super) fn on_unproved(&mut self, sessions: Vec<Unproved>) {
        for session in sessions {
            self.proofs.add(Job { session, not_before: MonoNs(0), tries: 0 });
        }
    }

    /// A session was closed just now.
    pub(super) fn prove_soon(&mut self, manifest: &Manifest, dir: &Path) {
        self.on_unproved(Unproved::of(manifest, dir).into_iter().collect());
    }

    /// The last session as everybody sees it, with the proof as far as it is.
    pub(super) fn last_session_view(&self) -> Option<LastSession> {
        let mut last = self.last_session.clone()?;
        if let Some((percent, proved)) = self.proofs.progress(last.id) {
            last.proof_percent = Some(percent);
            last.proved = proved.min(last.parts);
        }
        Some(last)
    }

    /// Begins the next proof when none runs and nobody needs the machine more.
    pub(super) fn prove_next(&mut self, now: Now, out: &mut Vec<Effect>) {
        let held = self.holds_jobs();
        let proofs = &mut self.proofs;
        if held || proofs.running.is_some() {
            return;
        }
        let Some(place) = proofs.waiting.iter().position(|job| now.mono >= job.not_before) else { return };
        let Some(job) = proofs.waiting.remove(place) else { return };
        proofs.started += 1;
        let number = proofs.started;
        out.push(Effect::Prove { number, dir: job.session.dir.clone() });
        proofs.running =
            Some(Running { job, number, since: now.mono, percent: 0, parts: Vec::new(), step: Step::Reading });
    }

    /// Ends a proof that hangs, and leaves behind one that does not even end then.
    pub(super) fn watch_proof(&mut self, now: Now, out: &mut Vec<Effect>) {
        let Some(running) = &mut self.proofs.running else { return };
        let limit = Duration::from_secs(2 * running.job.session.bytes / BYTES_PER_S) + MARGIN;
        match running.step {
            Step::Reading | Step::Busy if now.mono.since(running.since) >= limit => {
                running.step = Step::Late(now.mono);
                out.push(Effect::EndProof { number: running.number });
            }
            Step::Late(since) if now.mono.since(since) >= ENDS_WITHIN => {
                let Some(Running { job, .. }) = self.proofs.running.take() else { return };
                // Not tried again here: it still holds its folder.
                self.give_up_proof(now, &job, "the disk holds on to the process that reads it", out);
            }
            Step::Reading | Step::Busy | Step::Late(_) | Step::Keeping => {}
        }
    }

    /// The operator does not want to wait for it any longer.
    pub(super) fn leave_stuck_proof(&mut self, now: Now, out: &mut Vec<Effect>) {
        let Some(Running { job, number, .. }) = self.proofs.running.take() else { return };
        out.push(Effect::EndProof { number });
        self.give_up_proof(now, &job, "reading took too long and was given up", out);
    }

    /// The machine is needed: what is being read is read again later, from its beginning. Ended rather than stopped: a
    /// process that stands still would outlive its engine.
    pub(super) fn put_off_proof(&mut self, out: &mut Vec<Effect>) {
        let reads = |running: &mut Running| running.step == Step::Reading;
        let Some(Running { job, number, .. }) = self.proofs.running.take_if(reads) else { return };
        out.push(Effect::EndProof { number });
        self.proofs.add(job);
    }

    /// The engine leaves: the next one proves again.
    pub(super) fn leave_proof(&mut self, out: &mut Vec<Effect>) {
        self.proofs.waiting.clear();
        if let Some(running) = &self.proofs.running {
            out.push(Effect::EndProof { number: running.number });
        }
    }

    pub(super) fn on_proof(&mut self, now: Now, number: u64, event: ProofEvent, out: &mut Vec<Effect>) {
        let Some(running) = self.proofs.running.as_mut().filter(|running| running.number == number) else { return };
        match event {
            ProofEvent::Line(ProofLine::Progress { done_bytes, total_bytes }) => {
                // The last percent is the manifest's.
                let percent = (done_bytes.saturating_mul(100)).checked_div(total_bytes).unwrap_or(0).min(99);
                running.percent = u8::try_from(percent).unwrap_or(99);
            }
            ProofEvent::Line(ProofLine::Part(part)) if running.parts.len() < PARTS => running.parts.push(*part),
            ProofEvent::Line(ProofLine::Busy { .. }) if running.step == Step::Reading => running.step = Step::Busy,
            ProofEvent::Line(ProofLine::Part(_) | ProofLine::Skipped { .. } | ProofLine::Busy { .. }) => {}
            ProofEvent::Ended { reason: None } if running.step == Step::Reading => {
                running.step = Step::Keeping;
                let parts = std::mem::take(&mut running.parts);
                out.push(Effect::KeepProof { number, dir: running.job.session.dir.clone(), parts });
            }
            ProofEvent::Ended { reason } => {
                let reason = match running.step {
                    Step::Busy => None,
                    Step::Late(_) => Some("reading took too long".to_owned()),
                    Step::Reading | Step::Keeping => Some(reason.unwrap_or_else(|| "it ended early".to_owned())),
                };
                self.prove_again(now, reason, out);
            }
            ProofEvent::Kept(Ok(manifest)) => self.proved(now, &manifest, out),
            ProofEvent::Kept(Err(reason)) => self.prove_again(now, Some(reason), out),
        }
    }

    /// It came to nothing; without a `reason` nobody is to blame and nothing is counted.
    fn prove_again(&mut self, now: Now, reason: Option<String>, out: &mut Vec<Effect>) {
        let Some(Running { mut job, .. }) = self.proofs.running.take() else { return };
        if self.leaving.is_some() {
            return;
        }
        job.tries += u32::from(reason.is_some());
        job.not_before = now.mono.plus(AGAIN);
        match reason {
            Some(reason) if job.tries >= TRIES => self.give_up_proof(now, &job, &reason, out),
            _ => self.proofs.add(job),
        }
    }

    /// The session stays unverified, for the next engine or `holdfast verify`.
    fn give_up_proof(&mut self, now: Now, job: &Job, reason: &str, out: &mut Vec<Effect>) {
        let session = job.session.dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let incident = Incident::new(IncidentCode::ProofAbandoned);
        self.raise(now, super::ENGINE, incident.with("session", session).with("reason", reason), out);
    }

    /// The manifest holds the verdicts of what could be read.
    fn proved(&mut self, now: Now, manifest: &Manifest, out: &mut Vec<Effect>) {
        let Some(Running { job, .. }) = &self.proofs.running else { return };
        let (dir, last_try) = (job.session.dir.clone(), job.tries + 1 >= TRIES);
        let unread = unread(manifest);
        if unread.is_none() || last_try {
            for input in manifest.inputs.iter().filter(|input| input.verdict == Verdict::Failed) {
                self.tell_failed(now, manifest, input, &dir, out);
            }
        }
        match unread {
            // A disk that fails for a moment is read again before anybody is told.
            Some(reason) => self.prove_again(now, Some(reason), out),
            None => {
                self.proofs.running = None;
                self.alerts.resolve(now, super::ENGINE, IncidentCode::ProofAbandoned.as_str());
            }
        }
        if self.last_session.as_ref().is_some_and(|last| last.id == manifest.id) {
            self.last_session = Some(recovery::last_session(manifest, &dir));
            self.show_verdicts(manifest);
        }
    }

    fn tell_failed(&mut self, now: Now, manifest: &Manifest, input: &ManifestInput, dir: &Path, out: &mut Vec<Effect>) {
        let session = dir.file_name().unwrap_or_default().to_string_lossy();
        let ours = manifest.incidents.iter().filter(|known| known.input.as_ref() == Some(&input.id));
        let told: Vec<Incident> = ours
            .filter(|known| known.incident.code == IncidentCode::ProofFailed)
            .map(|known| known.incident.clone().with("session", session.as_ref()))
            .collect();
        for incident in told {
            self.raise(now, input.id.as_str(), incident, out);
        }
    }

    /// The tiles of a recording that is over show what was found.
    fn show_verdicts(&mut self, manifest: &Manifest) {
        for found in &manifest.inputs {
            let frozen = self.input_mut(&found.id).and_then(|input| input.frozen.as_mut());
            if let Some(view) = frozen.filter(|view| view.state != RecordingState::Recording) {
                view.verdict = Some(found.verdict);
            }
        }
    }
}

/// Which file the system did not let be read, and why; `None` = all were.
fn unread(manifest: &Manifest) -> Option<String> {
    let input = manifest.inputs.iter().find(|input| input.verdict == Verdict::Unverified)?;
    let found = input.findings.iter().find(|found| found.finding.code == FindingCode::Unreadable);
    Some(found.map_or_else(
        || format!("{} was not read", input.id),
        |found| format!("{}: {}", found.file, found.finding.summary()),
    ))
}

//! Expected trouble as data: a closed list of codes, and the one table that turns a code into English.
//!
//! Contract: the wire carries `code` + `params`; translated words are made in the window only, from the same
//! codes. A message says what happened, what was done about it, and what the operator can do.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How bad an incident is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Look when you can.
    Warning,
    /// Media is being lost, or is about to be.
    Critical,
}

/// Every incident the product knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IncidentCode {
    /// A worker process died.
    WorkerDied,
    /// A worker could not be started again and again.
    WorkerGaveUp,
    /// The source delivers nothing.
    NoSignal,
    /// The source cannot be opened (`reason`).
    SourceUnreachable,
    /// The input can never work as configured (`reason`).
    SourceMisconfigured,
    /// The source's sound stopped or never came; silence is recorded.
    AudioLost,
    /// A queue of ours overflowed (`frames`).
    QueueOverflow,
    /// Frames arrive but the file does not grow.
    RecordingStalled,
    /// The pipeline that writes failed (`reason`).
    PipelineFailed,
    /// A new part could not be begun; the one before goes on (`reason`).
    SplitFailed,
    /// A pipeline could not be torn down in time.
    TeardownStuck,
    /// No space left on the library's file system.
    DiskFull,
    /// The disk refused a write (`reason`).
    DiskError,
    /// The disk failed to sync; nothing later in this part counts as safe.
    SyncFailed,
    /// Only some of the armed inputs started (`started`, `armed`).
    PartialStart,
    /// The flush at stop did not end in time.
    StopCut,
    /// The recorder could not get a higher priority.
    PriorityRefused,
    /// An interrupted session was found and closed.
    SessionRecovered,
    /// A file cannot be read; it was set aside under its own name (`file`).
    FileDamaged,
    /// The engine was restarted during a session.
    EngineRestarted,
    /// A file is not what was recorded, or cannot be read whole (`file`, `reason`).
    ProofFailed,
    /// The files of a session could not be checked (`session`, `reason`).
    ProofAbandoned,
    /// A worker has not answered a command, however often it was repeated (`command`).
    CommandUnanswered,
}

/// An incident with its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Incident {
    /// What kind.
    pub code: IncidentCode,
    /// Values for the words.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
}

/// English words of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    /// What happened.
    pub happened: &'static str,
    /// What was done about it.
    pub done: &'static str,
    /// What the operator can do.
    pub remedy: &'static str,
}

impl IncidentCode {
    /// Every code, for tests and tables.
    pub const ALL: [IncidentCode; 23] = [
        IncidentCode::WorkerDied,
        IncidentCode::WorkerGaveUp,
        IncidentCode::NoSignal,
        IncidentCode::SourceUnreachable,
        IncidentCode::SourceMisconfigured,
        IncidentCode::AudioLost,
        IncidentCode::QueueOverflow,
        IncidentCode::RecordingStalled,
        IncidentCode::PipelineFailed,
        IncidentCode::SplitFailed,
        IncidentCode::TeardownStuck,
        IncidentCode::DiskFull,
        IncidentCode::DiskError,
        IncidentCode::SyncFailed,
        IncidentCode::PartialStart,
        IncidentCode::StopCut,
        IncidentCode::PriorityRefused,
        IncidentCode::SessionRecovered,
        IncidentCode::FileDamaged,
        IncidentCode::EngineRestarted,
        IncidentCode::ProofFailed,
        IncidentCode::ProofAbandoned,
        IncidentCode::CommandUnanswered,
    ];

    /// The code as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            IncidentCode::WorkerDied => "worker_died",
            IncidentCode::WorkerGaveUp => "worker_gave_up",
            IncidentCode::NoSignal => "no_signal",
            IncidentCode::SourceUnreachable => "source_unreachable",
            IncidentCode::SourceMisconfigured => "source_misconfigured",
            IncidentCode::AudioLost => "audio_lost",
            IncidentCode::QueueOverflow => "queue_overflow",
            IncidentCode::RecordingStalled => "recording_stalled",
            IncidentCode::PipelineFailed => "pipeline_failed",
            IncidentCode::SplitFailed => "split_failed",
            IncidentCode::TeardownStuck => "teardown_stuck",
            IncidentCode::DiskFull => "disk_full",
            IncidentCode::DiskError => "disk_error",
            IncidentCode::SyncFailed => "sync_failed",
            IncidentCode::PartialStart => "partial_start",
            IncidentCode::StopCut => "stop_cut",
            IncidentCode::PriorityRefused => "priority_refused",
            IncidentCode::SessionRecovered => "session_recovered",
            IncidentCode::FileDamaged => "file_damaged",
            IncidentCode::EngineRestarted => "engine_restarted",
            IncidentCode::ProofFailed => "proof_failed",
            IncidentCode::ProofAbandoned => "proof_abandoned",
            IncidentCode::CommandUnanswered => "command_unanswered",
        }
    }

    /// How bad it is.
    pub fn severity(self) -> Severity {
        match self {
            IncidentCode::WorkerDied
            | IncidentCode::WorkerGaveUp
            | IncidentCode::RecordingStalled
            | IncidentCode::PipelineFailed
            | IncidentCode::QueueOverflow
            | IncidentCode::DiskFull
            | IncidentCode::DiskError
            | IncidentCode::SyncFailed
            | IncidentCode::FileDamaged
            | IncidentCode::ProofFailed
            | IncidentCode::PartialStart => Severity::Critical,
            IncidentCode::NoSignal
            | IncidentCode::SourceUnreachable
            | IncidentCode::SourceMisconfigured
            | IncidentCode::AudioLost
            | IncidentCode::SplitFailed
            | IncidentCode::TeardownStuck
            | IncidentCode::StopCut
            | IncidentCode::EngineRestarted
            | IncidentCode::ProofAbandoned
            | IncidentCode::CommandUnanswered => Severity::Warning,
            IncidentCode::PriorityRefused | IncidentCode::SessionRecovered => Severity::Info,
        }
    }

    /// The English words; `{name}` stands for a parameter.
    pub fn words(self) -> Words {
        let (happened, done, remedy) = match self {
            IncidentCode::WorkerDied => (
                "The recording process of this input ended unexpectedly ({reason}).",
                "A new one was started; the recording continues as the next part.",
                "Nothing. If it happens again, check this input's source.",
            ),
            IncidentCode::WorkerGaveUp => (
                "The recording process of this input ended again and again.",
                "No further attempt is made; the other inputs go on.",
                "Check this input's source, then start it again.",
            ),
            IncidentCode::NoSignal => (
                "No signal.",
                "The current part was closed; a new part starts when the signal returns.",
                "Check the cable and the device.",
            ),
            IncidentCode::SourceUnreachable => (
                "The source cannot be opened: {reason}.",
                "It is tried again by itself, more and more slowly.",
                "Check the address, the cable and the device.",
            ),
            IncidentCode::SourceMisconfigured => (
                "This input cannot work as configured: {reason}.",
                "It is left out; the other inputs go on.",
                "Correct it in the configuration.",
            ),
            IncidentCode::AudioLost => (
                "The sound of this input is missing.",
                "The picture is recorded on; silence is recorded in place of the sound.",
                "Check the audio source.",
            ),
            IncidentCode::QueueOverflow => (
                "{frames} frames were lost because the machine could not keep up.",
                "Recording goes on.",
                "Close other programs; check the disk.",
            ),
            IncidentCode::RecordingStalled => (
                "Pictures arrive, but nothing reaches the file.",
                "After 30 s the recording is set up anew and continues as the next part.",
                "Check the disk.",
            ),
            IncidentCode::PipelineFailed => (
                "Recording this input failed: {reason}.",
                "It was set up anew; the recording continues as the next part.",
                "Nothing. If it happens again, check this input's source.",
            ),
            IncidentCode::SplitFailed => (
                "The recording could not be continued in a new file: {reason}.",
                "The file before goes on; nothing is lost.",
                "Nothing. If it happens again, check the disk.",
            ),
            IncidentCode::TeardownStuck => (
                "A part of the recorder does not let go of its device.",
                "It was left behind; a new one takes its place.",
                "If the input does not come back, unplug the device and plug it in again.",
            ),
            IncidentCode::DiskFull => (
                "The disk is full.",
                "The recording was closed; everything up to here is safe and playable.",
                "Free some space, then start again.",
            ),
            IncidentCode::DiskError => (
                "The disk refused to write: {reason}.",
                "The recording was closed as far as the disk allowed.",
                "Check the disk.",
            ),
            IncidentCode::SyncFailed => (
                "The disk could not confirm what was written: {reason}.",
                "Recording goes on, but this part no longer counts as safe.",
                "Check the disk; copy this recording elsewhere soon.",
            ),
            IncidentCode::PartialStart => (
                "Only {started} of {armed} inputs record.",
                "The others are tried on by themselves.",
                "Look at the inputs that do not show REC.",
            ),
            IncidentCode::StopCut => (
                "Closing the file took too long.",
                "It was cut; it is readable up to its last fragment.",
                "Check the disk.",
            ),
            IncidentCode::PriorityRefused => (
                "The system refused a higher priority for the recorder.",
                "It records at normal priority.",
                "Close other programs during important recordings, or allow a higher priority.",
            ),
            IncidentCode::SessionRecovered => (
                "The session {session} had been interrupted.",
                "It was closed; its files are playable. Lost at its end: {loss}.",
                "Look at it in the library.",
            ),
            IncidentCode::FileDamaged => (
                "{file} cannot be read.",
                "It was left untouched under its name.",
                "Keep it; parts of it may still be saved.",
            ),
            IncidentCode::EngineRestarted => (
                "The supervisor was restarted during a session.",
                "The session goes on; no recording was interrupted by it.",
                "Nothing needs to be done.",
            ),
            IncidentCode::ProofFailed => (
                "{file} is not as it was recorded: {reason}.",
                "The check changed nothing.",
                "Do not delete it; check the disk, and look for another copy.",
            ),
            IncidentCode::ProofAbandoned => (
                "The files of {session} could not be checked: {reason}.",
                "They were left as they are; the next start of the recorder checks them again.",
                "Check the disk, or run holdfast verify on this folder.",
            ),
            IncidentCode::CommandUnanswered => (
                "The recording process of this input does not answer a command ({command}).",
                "It was repeated; the process is replaced as soon as it records nothing.",
                "Nothing. If it happens again, check the disk and this input's source.",
            ),
        };
        Words { happened, done, remedy }
    }
}

impl Incident {
    /// An incident without parameters.
    pub fn new(code: IncidentCode) -> Self {
        Self { code, params: BTreeMap::new() }
    }

    /// The same with one more parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.params.insert(name.to_owned(), value.to_string());
        self
    }

    /// What happened, what was done, what you can do, in English.
    pub fn message(&self) -> String {
        let words = self.code.words();
        fill(&format!("{} {} {}", words.happened, words.done, words.remedy), &self.params)
    }
}

/// Puts parameters into a template; a parameter that is missing becomes "unknown".
pub fn fill(template: &str, params: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        match after.split_once('}') {
            Some((name, tail)) => {
                out.push_str(params.get(name).map_or("unknown", String::as_str));
                rest = tail;
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_spelling() {
        for code in IncidentCode::ALL {
            assert_eq!(serde_json::to_value(code).ok(), Some(code.as_str().into()));
            let words = code.words();
            assert!(!words.happened.is_empty() && !words.done.is_empty() && !words.remedy.is_empty());
        }
    }

    #[test]
    fn parameters_are_put_in_and_missing_ones_named() {
        let incident = Incident::new(IncidentCode::SourceUnreachable).with("reason", "connection refused");
        assert!(incident.message().starts_with("The source cannot be opened: connection refused."));
        assert!(Incident::new(IncidentCode::FileDamaged).message().starts_with("unknown cannot be read."));
    }
}

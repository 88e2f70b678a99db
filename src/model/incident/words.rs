//! The one table that turns a code into English: what happened, what was done, what the operator can do.

use super::IncidentCode;

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
    /// The English words; `{name}` stands for a parameter.
    pub fn words(self) -> Words {
        let (happened, done, remedy) = match self {
            IncidentCode::WorkerDied => (
                "The recording process of this input ended unexpectedly ({reason}).",
                "A new one was started; the recording continues as the next part.",
                "Nothing. If it happens again, check this input's source.",
            ),
            IncidentCode::WorkerGaveUp => (
                "The recording of this input ended or stalled again and again.",
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
                "{frames} frames were lost because the disk or the machine could not keep up.",
                "Recording goes on.",
                "Close other programs; check the disk.",
            ),
            IncidentCode::RecordingStalled => (
                "Pictures arrive, but next to nothing reaches the file.",
                "After 30 s without anything the recording is set up anew and continues as the next part, or ends where that was asked for.",
                "Check the disk.",
            ),
            IncidentCode::PipelineFailed => (
                "Recording this input failed: {reason}.",
                "It was set up anew; the recording continues as the next part.",
                "Nothing. If it happens again, check this input's source.",
            ),
            IncidentCode::EncoderMissing => (
                "Nothing of this input is recorded: {reason}.",
                "It is tried again by itself; the other inputs record.",
                "Install the encoder, or choose another codec for this input.",
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
                "No more can be recorded; everything up to here is safe and playable.",
                "Free some space, then start again.",
            ),
            IncidentCode::DiskError => (
                "The disk refused to write: {reason}.",
                "A part is closed as far as the disk allows; what comes next is tried again and again.",
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
                "It records at normal priority; an open window steps back for it.",
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
            IncidentCode::StorageFrozen => (
                "The disk does not answer.",
                "What is recorded waits in memory and is written as soon as the disk answers; what does not fit is counted.",
                "Check the disk and its cable; do not switch anything off.",
            ),
            IncidentCode::QuotaExceeded => (
                "The quota on the disk is used up.",
                "No more can be recorded; everything up to here is safe and playable.",
                "Free some space or have the quota raised, then start again.",
            ),
            IncidentCode::DiskReadOnly => (
                "The disk has become read-only.",
                "Recordings are closed as far as the disk allows; the next part is tried again and again.",
                "Check the disk; it may be failing. Record to another one as soon as you can.",
            ),
            IncidentCode::StorageVanished => (
                "The disk with the recordings is gone: {reason}.",
                "It is tried again and again; the recording goes on as soon as the disk is back.",
                "Connect the disk again.",
            ),
            IncidentCode::FileDisplaced => (
                "{file} was removed, renamed or replaced while it was being recorded.",
                "The recording continues as the next part; nothing was overwritten.",
                "Leave the files of a running recording alone; look for this one under another name.",
            ),
            IncidentCode::DiskLow => (
                "Little space is left on the disk: {free}, {used} % are used.",
                "Recording goes on.",
                "Free some space soon.",
            ),
            IncidentCode::DiskCritical => (
                "The disk is almost full: {free} are left, {used} % are used.",
                "Recording goes on until {floor} are left; then every file is closed.",
                "Free some space now.",
            ),
            IncidentCode::WorkerMemory => (
                "{used} of memory are used for recording; {budget} were to be expected.",
                "A recording process is never restarted for that.",
                "Nothing. If it keeps growing, stop and start again when it suits you.",
            ),
            IncidentCode::MemoryLow => (
                "The machine has little memory left: {free}.",
                "The recording begins all the same.",
                "Close other programs.",
            ),
            IncidentCode::LimitNear => (
                "{used} of {limit} {what} are in use.",
                "Recording goes on.",
                "Close other programs, or start the recorder anew when nothing is being recorded.",
            ),
            IncidentCode::ClockStepped => (
                "The clock of this machine was moved by {seconds} s.",
                "Recording goes on; no file, duration or order depends on it.",
                "Nothing. If it was not you, check the time settings.",
            ),
            IncidentCode::Suspended => (
                "The machine slept for {seconds} s.",
                "Recording went on behind it; the sleep is a gap of the session.",
                "Keep the machine from sleeping during recordings.",
            ),
            IncidentCode::SleepNotInhibited => (
                "The machine may go to sleep while it records: {reason}.",
                "Recording goes on.",
                "Switch automatic sleep off for important recordings.",
            ),
            IncidentCode::ErrorRate => (
                "{errors} errors within {seconds} s.",
                "Each of them was dealt with by itself.",
                "Look at the messages of this source, and at its cables.",
            ),
            IncidentCode::OperationStuck => (
                "{operation} has not ended after {seconds} s.",
                "What is being recorded is not affected.",
                "Check the disk; then have the operation cleaned up.",
            ),
            IncidentCode::CpuHigh => (
                "The machine is busy: {percent} % of its processors are in use.",
                "Recording goes on; it comes before everything else.",
                "Close other programs.",
            ),
            IncidentCode::CpuPressure => (
                "Programs wait for the processors {percent} % of the time.",
                "Recording goes on; it comes before everything else.",
                "Close other programs.",
            ),
            IncidentCode::MemoryHigh => (
                "Memory is getting short: {percent} % are in use.",
                "Recording goes on; it comes before everything else.",
                "Close other programs.",
            ),
            IncidentCode::LowMemoryMode => (
                "There is very little memory: {free} are free.",
                "Only one preview is shown; recording goes on.",
                "Close other programs.",
            ),
            IncidentCode::RecordingLate => (
                "The machine can hardly keep up with the recording ({late} ms late, a queue {queue} % full).",
                "Whatever is not recording makes room.",
                "Close other programs.",
            ),
            IncidentCode::PreviewsReduced => (
                "Previews are smaller or slower than usual because the machine is busy.",
                "Recordings are not touched; the previews come back by themselves.",
                "Close other programs.",
            ),
            IncidentCode::PreviewsOff => (
                "Previews are off because the machine is busy.",
                "Recordings go on; the previews come back by themselves.",
                "Close other programs.",
            ),
            IncidentCode::BitrateReduced => (
                "The machine cannot encode as much as it should.",
                "Recordings go on with {percent} % of their bitrate; no picture is left out for it.",
                "Close other programs, or record with fewer inputs or a lower bitrate.",
            ),
            IncidentCode::Overloaded => (
                "The machine cannot keep up with the recording.",
                "Everything that could make room has; pictures may be lost from here on, and are counted.",
                "Close other programs now, or record with fewer inputs.",
            ),
            IncidentCode::CpuBudget => (
                "This input uses {used} % of the machine; {budget} % were to be expected.",
                "Recording goes on; its preview may be reduced while the machine is busy.",
                "Nothing. If other inputs suffer, record this one with fewer pixels or pictures.",
            ),
            IncidentCode::DiskBudget => (
                "This input writes {used} per second; {budget} were to be expected.",
                "Recording goes on; its bitrate is lowered where the encoder can.",
                "Check the bitrate of this input.",
            ),
        };
        Words { happened, done, remedy }
    }
}

//! The one place that turns an incident into words of the operator's language.
//!
//! Contract: the English here and in [`crate::model::incident`] (command line, logs) is the same, sentence by
//! sentence; a test holds them together, so that a translation can never be of something else.

use super::values;
use crate::model::incident::IncidentCode;
use crate::model::snapshot::Alert;
use crate::ui::l10n::{gettext, ngettext};
use std::collections::BTreeMap;

/// What happened, what was done, what the operator can do, each a template with `{name}` for parameters.
struct Sentences {
    happened: String,
    done: String,
    remedy: String,
}

/// The first sentence about a code that came over the wire, `None` when this version does not know the code.
pub fn happened(code: Option<&str>, params: &BTreeMap<String, String>) -> Option<String> {
    Some(fill(&sentences(known(code?)?, params).happened, params))
}

/// What can be done about a code that came over the wire, where that needs no parameter.
pub fn remedy(code: &str) -> Option<String> {
    Some(sentences(known(code)?, &BTreeMap::new()).remedy).filter(|remedy| !remedy.contains('{'))
}

/// Puts parameters into a template, as the language says them.
fn fill(template: &str, params: &BTreeMap<String, String>) -> String {
    let mut said = values::said(params);
    let names = template.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    for (name, _) in names {
        said.entry(name.to_owned()).or_insert_with(|| gettext("unknown"));
    }
    crate::model::incident::fill(template, &said)
}

/// What is said of an alert, line by line; empty lines are not shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// What happened; the engine's whole English for a code not known here.
    pub happened: String,
    /// What was done about it.
    pub done: String,
    /// What the operator can do.
    pub remedy: String,
    /// How many more it stands for.
    pub more: String,
}

/// What is said of an alert.
pub fn alert(alert: &Alert) -> Said {
    let Some(Sentences { happened, done, remedy }) = known(&alert.code).map(|code| sentences(code, &alert.params))
    else {
        return Said { happened: alert.message.clone(), ..Said::default() };
    };
    let fill = |template: &str| fill(template, &alert.params);
    let others = BTreeMap::from([("more".to_owned(), alert.more.to_string())]);
    let more = if alert.more > 0 { self::fill(&more_like_this(alert.more), &others) } else { String::new() };
    Said { happened: fill(&happened), done: fill(&done), remedy: fill(&remedy), more }
}

fn more_like_this(more: u32) -> String {
    ngettext("And one more like this.", "And {more} more like this.", more)
}

fn known(code: &str) -> Option<IncidentCode> {
    IncidentCode::ALL.into_iter().find(|known| known.as_str() == code)
}

fn sentences(code: IncidentCode, params: &BTreeMap<String, String>) -> Sentences {
    let count = |name| values::count(params, name);
    let (happened, done, remedy) = match code {
        IncidentCode::WorkerDied => (
            gettext("The recording process of this input ended unexpectedly ({reason})."),
            gettext("A new one was started; the recording continues as the next part."),
            gettext("Nothing. If it happens again, check this input's source."),
        ),
        IncidentCode::WorkerGaveUp => (
            gettext("The recording of this input ended or stalled again and again."),
            gettext("No further attempt is made; the other inputs go on."),
            gettext("Check this input's source, then start it again."),
        ),
        IncidentCode::NoSignal => (
            gettext("No signal."),
            gettext("The current part was closed; a new part starts when the signal returns."),
            gettext("Check the cable and the device."),
        ),
        IncidentCode::SourceUnreachable => (
            gettext("The source cannot be opened: {reason}."),
            gettext("It is tried again by itself, more and more slowly."),
            gettext("Check the address, the cable and the device."),
        ),
        IncidentCode::SourceMisconfigured => (
            gettext("This input cannot work as configured: {reason}."),
            gettext("It is left out; the other inputs go on."),
            gettext("Correct it in the configuration."),
        ),
        IncidentCode::AudioLost => (
            gettext("The sound of this input is missing."),
            gettext("The picture is recorded on; silence is recorded in place of the sound."),
            gettext("Check the audio source."),
        ),
        IncidentCode::QueueOverflow => (
            ngettext(
                "{frames} frame was lost because the disk or the machine could not keep up.",
                "{frames} frames were lost because the disk or the machine could not keep up.",
                count("frames"),
            ),
            gettext("Recording goes on."),
            gettext("Close other programs; check the disk."),
        ),
        IncidentCode::RecordingStalled => (
            gettext("Pictures arrive, but next to nothing reaches the file."),
            gettext(
                "After 30 s without anything the recording is set up anew and continues as the next part, or ends where that was asked for.",
            ),
            gettext("Check the disk."),
        ),
        IncidentCode::PipelineFailed => (
            gettext("Recording this input failed: {reason}."),
            gettext("It was set up anew; the recording continues as the next part."),
            gettext("Nothing. If it happens again, check this input's source."),
        ),
        IncidentCode::EncoderMissing => (
            gettext("Nothing of this input is recorded: {reason}."),
            gettext("It is tried again by itself; the other inputs record."),
            gettext("Install the encoder, or choose another codec for this input."),
        ),
        IncidentCode::SplitFailed => (
            gettext("The recording could not be continued in a new file: {reason}."),
            gettext("The file before goes on; nothing is lost."),
            gettext("Nothing. If it happens again, check the disk."),
        ),
        IncidentCode::TeardownStuck => (
            gettext("A part of the recorder does not let go of its device."),
            gettext("It was left behind; a new one takes its place."),
            gettext("If the input does not come back, unplug the device and plug it in again."),
        ),
        IncidentCode::DiskFull => (
            gettext("The disk is full."),
            gettext("No more can be recorded; everything up to here is safe and playable."),
            gettext("Free some space, then start again."),
        ),
        IncidentCode::DiskError => (
            gettext("The disk refused to write: {reason}."),
            gettext("A part is closed as far as the disk allows; what comes next is tried again and again."),
            gettext("Check the disk."),
        ),
        IncidentCode::SyncFailed => (
            gettext("The disk could not confirm what was written: {reason}."),
            gettext("Recording goes on, but this part no longer counts as safe."),
            gettext("Check the disk; copy this recording elsewhere soon."),
        ),
        IncidentCode::PartialStart => (
            ngettext(
                "Only {started} of {armed} input records.",
                "Only {started} of {armed} inputs record.",
                count("armed"),
            ),
            gettext("The others are tried on by themselves."),
            gettext("Look at the inputs that do not show REC."),
        ),
        IncidentCode::StopCut => (
            gettext("Closing the file took too long."),
            gettext("It was cut; it is readable up to its last fragment."),
            gettext("Check the disk."),
        ),
        IncidentCode::PriorityRefused => (
            gettext("The system refused a higher priority for the recorder."),
            gettext("It records at normal priority; an open window steps back for it."),
            gettext("Close other programs during important recordings, or allow a higher priority."),
        ),
        IncidentCode::SessionRecovered => (
            gettext("The session {session} had been interrupted."),
            gettext("It was closed; its files are playable. Lost at its end: {loss}."),
            gettext("Look at it in the library."),
        ),
        IncidentCode::FileDamaged => (
            gettext("{file} cannot be read."),
            gettext("It was left untouched under its name."),
            gettext("Keep it; parts of it may still be saved."),
        ),
        IncidentCode::EngineRestarted => (
            gettext("The supervisor was restarted during a session."),
            gettext("The session goes on; no recording was interrupted by it."),
            gettext("Nothing needs to be done."),
        ),
        IncidentCode::ProofFailed => (
            gettext("{file} is not as it was recorded: {reason}."),
            gettext("The check changed nothing."),
            gettext("Do not delete it; check the disk, and look for another copy."),
        ),
        IncidentCode::ProofAbandoned => (
            gettext("The files of {session} could not be checked: {reason}."),
            gettext("They were left as they are; the next start of the recorder checks them again."),
            gettext("Check the disk, or run holdfast verify on this folder."),
        ),
        IncidentCode::CommandUnanswered => (
            gettext("The recording process of this input does not answer a command ({command})."),
            gettext("It was repeated; the process is replaced as soon as it records nothing."),
            gettext("Nothing. If it happens again, check the disk and this input's source."),
        ),
        IncidentCode::StorageFrozen => (
            gettext("The disk does not answer."),
            gettext(
                "What is recorded waits in memory and is written as soon as the disk answers; what does not fit is counted.",
            ),
            gettext("Check the disk and its cable; do not switch anything off."),
        ),
        IncidentCode::QuotaExceeded => (
            gettext("The quota on the disk is used up."),
            gettext("No more can be recorded; everything up to here is safe and playable."),
            gettext("Free some space or have the quota raised, then start again."),
        ),
        IncidentCode::DiskReadOnly => (
            gettext("The disk has become read-only."),
            gettext("Recordings are closed as far as the disk allows; the next part is tried again and again."),
            gettext("Check the disk; it may be failing. Record to another one as soon as you can."),
        ),
        IncidentCode::StorageVanished => (
            gettext("The disk with the recordings is gone: {reason}."),
            gettext("It is tried again and again; the recording goes on as soon as the disk is back."),
            gettext("Connect the disk again."),
        ),
        IncidentCode::FileDisplaced => (
            gettext("{file} was removed, renamed or replaced while it was being recorded."),
            gettext("The recording continues as the next part; nothing was overwritten."),
            gettext("Leave the files of a running recording alone; look for this one under another name."),
        ),
        IncidentCode::DiskLow => (
            gettext("Little space is left on the disk: {free}, {used} % are used."),
            gettext("Recording goes on."),
            gettext("Free some space soon."),
        ),
        IncidentCode::DiskCritical => (
            gettext("The disk is almost full: {free} are left, {used} % are used."),
            gettext("Recording goes on until {floor} are left; then every file is closed."),
            gettext("Free some space now."),
        ),
        IncidentCode::WorkerMemory => (
            gettext("{used} of memory are used for recording; {budget} were to be expected."),
            gettext("A recording process is never restarted for that."),
            gettext("Nothing. If it keeps growing, stop and start again when it suits you."),
        ),
        IncidentCode::MemoryLow => (
            gettext("The machine has little memory left: {free}."),
            gettext("The recording begins all the same."),
            gettext("Close other programs."),
        ),
        IncidentCode::LimitNear => (
            gettext("{used} of {limit} {what} are in use."),
            gettext("Recording goes on."),
            gettext("Close other programs, or start the recorder anew when nothing is being recorded."),
        ),
        IncidentCode::ClockStepped => (
            gettext("The clock of this machine was moved by {seconds} s."),
            gettext("Recording goes on; no file, duration or order depends on it."),
            gettext("Nothing. If it was not you, check the time settings."),
        ),
        IncidentCode::Suspended => (
            gettext("The machine slept for {seconds} s."),
            gettext("Recording went on behind it; the sleep is a gap of the session."),
            gettext("Keep the machine from sleeping during recordings."),
        ),
        IncidentCode::SleepNotInhibited => (
            gettext("The machine may go to sleep while it records: {reason}."),
            gettext("Recording goes on."),
            gettext("Switch automatic sleep off for important recordings."),
        ),
        IncidentCode::ErrorRate => (
            ngettext("{errors} error within {seconds} s.", "{errors} errors within {seconds} s.", count("errors")),
            gettext("Each of them was dealt with by itself."),
            gettext("Look at the messages of this source, and at its cables."),
        ),
        IncidentCode::OperationStuck => (
            gettext("{operation} has not ended after {seconds} s."),
            gettext("What is being recorded is not affected."),
            gettext("Check the disk; then have the operation cleaned up."),
        ),
        IncidentCode::CpuHigh => (
            gettext("The machine is busy: {percent} % of its processors are in use."),
            gettext("Recording goes on; it comes before everything else."),
            gettext("Close other programs."),
        ),
        IncidentCode::CpuPressure => (
            gettext("Programs wait for the processors {percent} % of the time."),
            gettext("Recording goes on; it comes before everything else."),
            gettext("Close other programs."),
        ),
        IncidentCode::MemoryHigh => (
            gettext("Memory is getting short: {percent} % are in use."),
            gettext("Recording goes on; it comes before everything else."),
            gettext("Close other programs."),
        ),
        IncidentCode::LowMemoryMode => (
            gettext("There is very little memory: {free} are free."),
            gettext("Only one preview is shown; recording goes on."),
            gettext("Close other programs."),
        ),
        IncidentCode::RecordingLate => (
            gettext("The machine can hardly keep up with the recording ({late} ms late, a queue {queue} % full)."),
            gettext("Whatever is not recording makes room."),
            gettext("Close other programs."),
        ),
        IncidentCode::PreviewsReduced => (
            gettext("Previews are smaller or slower than usual because the machine is busy."),
            gettext("Recordings are not touched; the previews come back by themselves."),
            gettext("Close other programs."),
        ),
        IncidentCode::PreviewsOff => (
            gettext("Previews are off because the machine is busy."),
            gettext("Recordings go on; the previews come back by themselves."),
            gettext("Close other programs."),
        ),
        IncidentCode::BitrateReduced => (
            gettext("The machine cannot encode as much as it should."),
            gettext("Recordings go on with {percent} % of their bitrate; no picture is left out for it."),
            gettext("Close other programs, or record with fewer inputs or a lower bitrate."),
        ),
        IncidentCode::Overloaded => (
            gettext("The machine cannot keep up with the recording."),
            gettext("Everything that could make room has; pictures may be lost from here on, and are counted."),
            gettext("Close other programs now, or record with fewer inputs."),
        ),
        IncidentCode::CpuBudget => (
            gettext("This input uses {used} % of the machine; {budget} % were to be expected."),
            gettext("Recording goes on; its preview may be reduced while the machine is busy."),
            gettext("Nothing. If other inputs suffer, record this one with fewer pixels or pictures."),
        ),
        IncidentCode::DiskBudget => (
            gettext("This input writes {used} per second; {budget} were to be expected."),
            gettext("Recording goes on; its bitrate is lowered where the encoder can."),
            gettext("Check the bitrate of this input."),
        ),
    };
    Sentences { happened, done, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sentence_is_offered_for_translation_as_it_stands_in_the_model() {
        for code in IncidentCode::ALL {
            let (english, here) = (code.words(), sentences(code, &BTreeMap::new()));
            assert_eq!((here.happened.as_str(), here.done.as_str()), (english.happened, english.done), "{code:?}");
            assert_eq!(here.remedy, english.remedy, "{code:?}");
        }
        assert_eq!(more_like_this(2), crate::model::incident::MORE);
    }

    #[test]
    fn a_code_of_a_newer_engine_keeps_its_english() {
        assert_eq!(happened(Some("from_the_future"), &BTreeMap::new()), None);
    }

    #[test]
    fn one_is_not_many() {
        let lost = |frames: &str| {
            happened(Some("queue_overflow"), &BTreeMap::from([("frames".to_owned(), frames.to_owned())]))
        };
        assert!(lost("1").is_some_and(|said| said.starts_with("1 frame was lost")), "{:?}", lost("1"));
        assert!(lost("2").is_some_and(|said| said.starts_with("2 frames were lost")), "{:?}", lost("2"));
        assert_eq!(happened(Some("file_damaged"), &BTreeMap::new()).as_deref(), Some("unknown cannot be read."));
    }
}

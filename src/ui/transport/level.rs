//! How loaded the machine is, in the operator's words (R-DEG-3). Pure.

use crate::model::snapshot::{LevelName, LevelView};
use crate::ui::l10n::gettext;

/// The level, what causes it, and what is done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// The word.
    pub word: String,
    /// Its style class.
    pub class: &'static str,
    /// Causes and actions, one to a line.
    pub why: String,
    /// Whether there is nothing to say.
    pub calm: bool,
}

impl Level {
    /// What the engine says; `recording` = something is being recorded.
    pub fn of(view: &LevelView, recording: bool) -> Self {
        let of_disk = view.causes.iter().any(|code| code.starts_with("disk_") || FATAL.contains(&code.as_str()));
        let (word, class) = match view.name {
            LevelName::Normal => (gettext("Normal"), "word-quiet"),
            LevelName::Warn => (gettext("Take care"), "word-amber"),
            LevelName::Degrade => (gettext("Under load"), "word-amber"),
            LevelName::Critical if recording && !of_disk => (gettext("Recording only"), "word-tally"),
            // Nothing is recorded, or it is what is recorded that suffers.
            LevelName::Critical => (gettext("Critical"), "word-tally"),
        };
        let said = view.causes.iter().map(|code| cause(code)).chain(view.actions.iter().map(|code| action(code)));
        Self { word, class, why: said.collect::<Vec<_>>().join("\n"), calm: view.name == LevelName::Normal }
    }
}

/// Why nothing new may be recorded, as far as the machine is the reason.
pub fn refusal(view: &LevelView) -> Option<String> {
    let forbidden = view.actions.iter().any(|code| code == "no_new_recordings");
    let fatal = view.causes.iter().find(|code| FATAL.contains(&code.as_str()));
    let of_disk = || view.causes.iter().find(|code| code.starts_with("disk_"));
    fatal.or_else(|| of_disk().filter(|_| forbidden)).map(|code| cause(code))
}

/// A disk in one of these states takes no recording.
const FATAL: [&str; 6] =
    ["storage_frozen", "storage_vanished", "disk_read_only", "disk_error", "disk_full", "quota_exceeded"];

/// A cause of a newer engine is named by its code.
fn cause(code: &str) -> String {
    match code {
        "storage_frozen" => gettext("The disk does not answer."),
        "storage_vanished" => gettext("The disk is gone."),
        "disk_read_only" => gettext("The disk has become read-only."),
        "disk_error" => gettext("The disk refuses to write."),
        "disk_full" => gettext("The disk is full."),
        "quota_exceeded" => gettext("The quota is used up."),
        "disk_critical" => gettext("Next to nothing is left on the disk."),
        "disk_low" => gettext("Little is left on the disk."),
        "recording_late" => gettext("The machine can hardly keep up with the recording."),
        "cpu_high" => gettext("The processors are busy."),
        "cpu_pressure" => gettext("Programs wait for the processors."),
        "memory_high" => gettext("Memory is getting short."),
        "cpu_budget" => gettext("An input uses more of the processors than it may."),
        "disk_budget" => gettext("An input writes more than it may."),
        "low_memory_mode" => gettext("There is very little memory."),
        newer => newer.replace('_', " "),
    }
}

/// The same of what is done.
fn action(code: &str) -> String {
    match code {
        "no_new_recordings" => gettext("No new recording is begun."),
        "recording_stopped" => gettext("The recording was stopped so that its files could be closed."),
        "previews_720p" => gettext("Previews are smaller."),
        "previews_15fps" => gettext("Previews are slower."),
        "two_previews_off" => gettext("The two least important previews are off."),
        "one_preview_off" => gettext("The least important preview is off."),
        "one_preview" => gettext("Only one preview is shown."),
        "late_preview_off" => gettext("The preview of an input that hardly keeps up is off."),
        "previews_off" => gettext("All previews are off."),
        "jobs_paused" => gettext("Files are checked later."),
        "caches_dropped" => gettext("Memory that can be spared was given back."),
        "bitrate_75" | "bitrate_50" => gettext("Recordings go on with a lower bitrate."),
        newer => newer.replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_takes_nothing_refuses_before_the_engine_does() {
        let level = |causes: &[&str], actions: &[&str]| LevelView {
            name: LevelName::Degrade,
            causes: causes.iter().map(|code| (*code).to_owned()).collect(),
            actions: actions.iter().map(|code| (*code).to_owned()).collect(),
            cpu_percent: None,
        };
        assert_eq!(refusal(&level(&["cpu_high"], &["previews_15fps"])), None);
        assert_eq!(
            refusal(&level(&["disk_low"], &["no_new_recordings"])).as_deref(),
            Some("Little is left on the disk.")
        );
        let both = level(&["cpu_high", "disk_low"], &["no_new_recordings", "previews_off"]);
        assert_eq!(refusal(&both).as_deref(), Some("Little is left on the disk."));
        assert_eq!(refusal(&level(&["cpu_high", "storage_frozen"], &[])).as_deref(), Some("The disk does not answer."));
    }

    #[test]
    fn recording_only_is_said_only_where_something_is_recorded_and_can_be() {
        let critical = |cause: &str, recording| {
            let view = LevelView {
                name: LevelName::Critical,
                causes: vec![cause.to_owned()],
                actions: Vec::new(),
                cpu_percent: None,
            };
            Level::of(&view, recording).word
        };
        assert_eq!(critical("cpu_high", true), "Recording only");
        for (cause, recording) in [("cpu_high", false), ("disk_critical", true), ("storage_frozen", true)] {
            assert_eq!(critical(cause, recording), "Critical", "{cause}");
        }
    }

    #[test]
    fn causes_come_before_what_is_done_about_them() {
        let view = LevelView {
            name: LevelName::Degrade,
            causes: vec!["disk_low".to_owned(), "moon_phase".to_owned()],
            actions: vec!["no_new_recordings".to_owned()],
            cpu_percent: None,
        };
        let level = Level::of(&view, true);
        assert_eq!(level.why, "Little is left on the disk.\nmoon phase\nNo new recording is begun.");
        assert!(!level.calm);
    }
}

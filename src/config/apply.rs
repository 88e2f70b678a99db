//! Lays one document (the file, or one environment variable) over a configuration, or names its first problem.

use super::file::{File, Refused};
use super::input;
use super::pairs::Marks;
use super::problem::{Origin, Problem};
use super::{Config, size};
use crate::model::encoding::{AudioCodec, Container, VideoChoice};
use crate::model::naming::Template;
use crate::model::policy::StallAction;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;
use toml::Spanned;

/// The only version of the format.
const VERSION: i64 = 1;
/// What is said of every value of a later issue.
pub(super) const LATER: &str = "not available in this version";
/// The containers there are.
const CONTAINERS: [(&str, Container); 2] = [("mp4", Container::Mp4), ("mkv", Container::Mkv)];
/// What may become of pictures.
pub(super) const VIDEO_CHOICES: [(&str, VideoChoice); 3] =
    [("h264", VideoChoice::H264), ("h265", VideoChoice::H265), ("copy", VideoChoice::Copy)];
/// The audio codecs there are.
const AUDIO_CODECS: [(&str, AudioCodec); 3] =
    [("aac", AudioCodec::Aac), ("opus", AudioCodec::Opus), ("pcm", AudioCodec::Pcm)];
/// What may become of a recording that stalls.
const STALL_ACTIONS: [(&str, StallAction); 2] = [("restart", StallAction::Restart), ("stop", StallAction::Stop)];
/// Longest time a part may be limited to: a week.
const LONGEST_SPLIT_MINUTES: f64 = 10_080.0;
/// Shortest part by time: some fragments, so that files are more than their own headers.
const SHORTEST_SPLIT_SECONDS: f64 = 3.0;
/// Smallest size a part may be limited to: below it a part would hold less than its first fragments.
const SMALLEST_SPLIT_BYTES: u64 = 1_000_000;

/// Reads `origin` and lays it over `config`. Values that may not go together are noted in `marks` for
/// [`super::pairs::check`], because a later document may still change one of them.
pub(super) fn apply(config: &mut Config, marks: &mut Marks, origin: Origin<'_>) -> Result<(), Problem> {
    let file: File = toml::from_str(origin.text).map_err(|error| origin.syntax(&error))?;
    let at = Reader { origin };
    if let Some(version) = &file.version
        && *version.get_ref() != VERSION
    {
        let message = format!("{} is not known; this program reads version {VERSION}", version.get_ref());
        return Err(origin.problem(&version.span(), "version", message));
    }
    let sections = [("breaker", &file.breaker), ("mediamtx", &file.mediamtx), ("api", &file.api), ("ui", &file.ui)];
    for (name, section) in sections {
        at.refuse(name, section, "remove this section")?;
    }
    library(config, &at, &file)?;
    recording(config, marks, &at, &file)?;
    storage(config, marks, &at, &file)?;
    supervision(config, marks, &at, &file)?;
    degradation(config, marks, &at, &file)?;
    inputs(config, marks, &at, &file)
}

fn library(config: &mut Config, at: &Reader<'_>, file: &File) -> Result<(), Problem> {
    let Some(path) = &file.library.path else { return Ok(()) };
    let dir = PathBuf::from(path.get_ref());
    if !dir.is_absolute() {
        return Err(at.problem(path, "library.path", "must be an absolute path, such as \"/data/recordings\""));
    }
    config.library = Some(dir);
    Ok(())
}

fn recording(config: &mut Config, marks: &mut Marks, at: &Reader<'_>, file: &File) -> Result<(), Problem> {
    let (keys, encoding) = (&file.recording, &mut config.encoding);
    if let Some(container) = &keys.container {
        let key = "recording.container";
        if container.get_ref() == "mov" {
            return Err(at.problem(container, key, format!("\"mov\" is {LATER}; use one of \"mp4\", \"mkv\"")));
        }
        encoding.container = at.word(key, container, &CONTAINERS)?;
        marks.container = Some(at.origin.mark(&container.span(), key));
    }
    if let Some(codec) = &keys.codec {
        encoding.codec = at.word("recording.codec", codec, &VIDEO_CHOICES)?;
        marks.codec = Some(at.origin.mark(&codec.span(), "recording.codec"));
    }
    if let Some(codec) = &keys.audio_codec {
        encoding.audio_codec = at.word("recording.audio_codec", codec, &AUDIO_CODECS)?;
        marks.audio_codec = Some(at.origin.mark(&codec.span(), "recording.audio_codec"));
    }
    if let Some(name) = &keys.session_name {
        let template = Template::strict(name.get_ref());
        config.session_name =
            template.map_err(|fault| at.problem(name, "recording.session_name", fault.to_string()))?;
    }
    if let Some(minutes) = &keys.split_minutes {
        config.policy.split.after = split_minutes(at, minutes)?;
    }
    if let Some(bytes) = &keys.split_bytes {
        config.policy.split.bytes = split_bytes(at, bytes)?;
    }
    at.number("recording.bitrate_kbps", &keys.bitrate_kbps, 100, 200_000, &mut encoding.bitrate_kbps)?;
    at.number(
        "recording.keyframe_interval_ms",
        &keys.keyframe_interval_ms,
        100,
        10_000,
        &mut encoding.keyframe_interval_ms,
    )?;
    // A file that grows once a second at least: R-TRU-1 looks for growth within 2 s, R-FM-9 loses no more.
    at.number("recording.fragment_ms", &keys.fragment_ms, 100, 1_000, &mut encoding.fragment_ms)
}

/// Minutes, whole or not; 0 = never.
fn split_minutes(at: &Reader<'_>, value: &Spanned<toml::Value>) -> Result<Option<Duration>, Problem> {
    let minutes = match value.get_ref() {
        toml::Value::Integer(minutes) => u32::try_from(*minutes).ok().map(f64::from),
        toml::Value::Float(minutes) => Some(*minutes),
        _ => None,
    };
    match minutes.map(|minutes| minutes * 60.0) {
        Some(0.0) => Ok(None),
        Some(seconds) if (SHORTEST_SPLIT_SECONDS..=LONGEST_SPLIT_MINUTES * 60.0).contains(&seconds) => {
            Ok(Some(Duration::from_secs_f64(seconds)))
        }
        _ => {
            let message = format!(
                "{} is not allowed; use 0 for never, or a number from {} to {LONGEST_SPLIT_MINUTES}",
                value.get_ref(),
                SHORTEST_SPLIT_SECONDS / 60.0
            );
            Err(at.problem(value, "recording.split_minutes", message))
        }
    }
}

/// A size, or a plain number of bytes; 0 = not limited.
fn split_bytes(at: &Reader<'_>, value: &Spanned<toml::Value>) -> Result<Option<u64>, Problem> {
    let bytes = match value.get_ref() {
        toml::Value::Integer(bytes) => u64::try_from(*bytes).ok(),
        toml::Value::String(text) => size::parse(text),
        _ => None,
    };
    match bytes {
        Some(0) => Ok(None),
        Some(bytes) if bytes >= SMALLEST_SPLIT_BYTES => Ok(Some(bytes)),
        Some(_) | None => {
            let allowed = size::format(SMALLEST_SPLIT_BYTES);
            let message = format!(
                "{} is not allowed; use {} of at least {allowed}, or 0 for no limit",
                value.get_ref(),
                size::ALLOWED
            );
            Err(at.problem(value, "recording.split_bytes", message))
        }
    }
}

fn storage(config: &mut Config, marks: &mut Marks, at: &Reader<'_>, file: &File) -> Result<(), Problem> {
    let (keys, storage) = (&file.storage, &mut config.storage);
    at.note("storage.min_free_start", &keys.min_free_start, marks);
    at.note("storage.stop_new_free", &keys.stop_new_free, marks);
    at.note("storage.warn_free", &keys.warn_free, marks);
    at.note("storage.warn_used_percent", &keys.warn_used_percent, marks);
    at.size("storage.min_free_start", &keys.min_free_start, &mut storage.min_free_start)?;
    at.size("storage.stop_new_free", &keys.stop_new_free, &mut storage.stop_new_free)?;
    at.size("storage.critical_free", &keys.critical_free, &mut config.policy.critical_free_bytes)?;
    at.size("storage.warn_free", &keys.warn_free, &mut storage.warn_free)?;
    at.number("storage.warn_used_percent", &keys.warn_used_percent, 1, 100, &mut storage.warn_used_percent)?;
    let critical = (&keys.critical_used_percent, &mut storage.critical_used_percent);
    at.number("storage.critical_used_percent", critical.0, 1, 100, critical.1)
}

fn supervision(config: &mut Config, marks: &mut Marks, at: &Reader<'_>, file: &File) -> Result<(), Problem> {
    let policy = &mut config.policy;
    let (supervision, watchdog, retry) = (&file.supervision, &file.watchdog, &file.retry);
    at.note("watchdog.stall_shown_ms", &watchdog.stall_shown_ms, marks);
    at.note("retry.first_ms", &retry.first_ms, marks);
    at.millis(
        "supervision.flush_deadline_ms",
        &supervision.flush_deadline_ms,
        1_000,
        120_000,
        &mut policy.flush_deadline,
    )?;
    super::supervision::apply(&mut config.supervision, at, supervision)?;
    at.millis("supervision.orphan_exit_ms", &supervision.orphan_exit_ms, 1_000, 3_600_000, &mut policy.orphan_exit)?;
    at.millis("watchdog.signal_timeout_ms", &watchdog.signal_timeout_ms, 100, 60_000, &mut policy.signal_timeout)?;
    at.millis("watchdog.stall_shown_ms", &watchdog.stall_shown_ms, 500, 60_000, &mut policy.stall_shown)?;
    at.millis("watchdog.stall_restart_ms", &watchdog.stall_restart_ms, 3_000, 600_000, &mut policy.stall_restart)?;
    if let Some(action) = &watchdog.stall_action {
        policy.stall_action = at.word("watchdog.stall_action", action, &STALL_ACTIONS)?;
    }
    at.millis("retry.first_ms", &retry.first_ms, 100, 60_000, &mut policy.retry_first)?;
    at.millis("retry.cap_ms", &retry.cap_ms, 100, 3_600_000, &mut policy.retry_cap)
}

fn degradation(config: &mut Config, marks: &mut Marks, at: &Reader<'_>, file: &File) -> Result<(), Problem> {
    let keys = &file.degradation;
    at.note("degradation.cpu_warn_percent", &keys.cpu_warn_percent, marks);
    at.note("degradation.cpu_degrade_percent", &keys.cpu_degrade_percent, marks);
    at.note("degradation.memory_warn_percent", &keys.memory_warn_percent, marks);
    at.note("degradation.memory_degrade_percent", &keys.memory_degrade_percent, marks);
    super::degradation::apply(&mut config.degradation, at, keys, &file.budgets)
}

fn inputs(config: &mut Config, marks: &mut Marks, at: &Reader<'_>, file: &File) -> Result<(), Problem> {
    let mut devices: HashMap<String, String> = HashMap::new();
    for (index, raw) in file.input.iter().enumerate() {
        let spec = input::check(at, raw, index)?;
        if config.inputs.iter().any(|known| known.id == spec.id) {
            let span = raw.get_ref().id.as_ref().map_or(raw.span(), Spanned::span);
            let message = format!("\"{}\" is used twice; every input needs its own id", spec.id);
            return Err(at.origin.problem(&span, "input.id", message));
        }
        if let Some(device) = input::device_of(&spec)
            && let Some(other) = devices.insert(device.clone(), spec.id.to_string())
        {
            let span = raw.get_ref().device.as_ref().map_or(raw.span(), Spanned::span);
            let message =
                format!("\"{device}\" already belongs to input \"{other}\"; two openers would disturb each other");
            return Err(at.origin.problem(&span, "input.device", message));
        }
        let codec = raw.get_ref().codec.as_ref().map_or(raw.span(), Spanned::span);
        marks.inputs.insert(spec.id.clone(), at.origin.mark(&codec, "input.codec"));
        config.inputs.push(spec);
    }
    Ok(())
}

/// Checks of single values; every message says what is allowed.
pub(super) struct Reader<'a> {
    pub origin: Origin<'a>,
}

impl Reader<'_> {
    pub fn problem<T>(&self, value: &Spanned<T>, key: &str, message: impl Into<String>) -> Problem {
        self.origin.problem(&value.span(), key, message)
    }

    /// Remembers where a value stands that has to be above or below others.
    fn note<T>(&self, key: &'static str, value: &Option<Spanned<T>>, marks: &mut Marks) {
        if let Some(value) = value {
            marks.ordered.insert(key, self.origin.mark(&value.span(), key));
        }
    }

    /// A key of a later issue.
    pub fn refuse(&self, key: &str, value: &Refused, remedy: &str) -> Result<(), Problem> {
        match value {
            Some(value) => Err(self.problem(value, key, format!("{LATER}; {remedy}"))),
            None => Ok(()),
        }
    }

    /// One word of a list.
    pub fn word<T: Copy>(&self, key: &str, value: &Spanned<String>, words: &[(&str, T)]) -> Result<T, Problem> {
        match words.iter().find(|(word, _)| *word == value.get_ref()) {
            Some((_, meaning)) => Ok(*meaning),
            None => {
                let allowed = words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
                Err(self.problem(value, key, format!("\"{}\" is not known; use one of {allowed}", value.get_ref())))
            }
        }
    }

    /// A whole number between two bounds.
    pub fn number(
        &self,
        key: &str,
        value: &Option<Spanned<i64>>,
        min: u32,
        max: u32,
        into: &mut u32,
    ) -> Result<(), Problem> {
        let Some(value) = value else { return Ok(()) };
        let number = u32::try_from(*value.get_ref()).ok().filter(|number| (min..=max).contains(number));
        *into = number.ok_or_else(|| {
            self.problem(value, key, format!("{} is not allowed; use a number from {min} to {max}", value.get_ref()))
        })?;
        Ok(())
    }

    /// A time in milliseconds between two bounds.
    pub fn millis(
        &self,
        key: &str,
        value: &Option<Spanned<i64>>,
        min: u32,
        max: u32,
        into: &mut Duration,
    ) -> Result<(), Problem> {
        let mut millis = 0;
        self.number(key, value, min, max, &mut millis)?;
        if value.is_some() {
            *into = Duration::from_millis(u64::from(millis));
        }
        Ok(())
    }

    /// A size in bytes.
    pub fn size(&self, key: &str, value: &Option<Spanned<String>>, into: &mut u64) -> Result<(), Problem> {
        let Some(value) = value else { return Ok(()) };
        *into = size::parse(value.get_ref()).ok_or_else(|| {
            self.problem(value, key, format!("\"{}\" is not a size; use {}", value.get_ref(), size::ALLOWED))
        })?;
        Ok(())
    }
}

//! Lays one document (the file, or one environment variable) over a configuration, or names its first problem.

use super::file::{File, Refused};
use super::input;
use super::problem::{Origin, Problem};
use super::{Config, size};
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;
use toml::Spanned;

/// The only version of the format.
const VERSION: i64 = 1;
/// What is said of every value of a later issue.
pub(super) const LATER: &str = "not available in this version";

/// Reads `origin` and lays it over `config`.
pub(super) fn apply(config: &mut Config, origin: Origin<'_>) -> Result<(), Problem> {
    let file: File = toml::from_str(origin.text).map_err(|error| origin.syntax(&error))?;
    let at = Reader { origin };
    if let Some(version) = &file.version
        && *version.get_ref() != VERSION
    {
        let message = format!("{} is not known; this program reads version {VERSION}", version.get_ref());
        return Err(origin.problem(&version.span(), "version", message));
    }
    let sections = [
        ("breaker", &file.breaker),
        ("degradation", &file.degradation),
        ("budgets", &file.budgets),
        ("mediamtx", &file.mediamtx),
        ("api", &file.api),
        ("ui", &file.ui),
    ];
    for (name, section) in sections {
        at.refuse(name, section, "remove this section")?;
    }
    library(config, &at, &file)?;
    recording(config, &at, &file)?;
    storage(config, &at, &file)?;
    supervision(config, &at, &file)?;
    inputs(config, &at, &file)
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

fn recording(config: &mut Config, at: &Reader<'_>, file: &File) -> Result<(), Problem> {
    let (keys, encoding) = (&file.recording, &mut config.encoding);
    at.only("recording.container", &keys.container, "mp4", &["mkv", "mov"])?;
    at.only("recording.codec", &keys.codec, "h264", &["h265", "copy"])?;
    at.only("recording.audio_codec", &keys.audio_codec, "aac", &["opus", "pcm"])?;
    at.refuse("recording.split_minutes", &keys.split_minutes, "remove it; each input is written to one file")?;
    at.refuse("recording.split_bytes", &keys.split_bytes, "remove it; each input is written to one file")?;
    at.number("recording.bitrate_kbps", &keys.bitrate_kbps, 100, 200_000, &mut encoding.bitrate_kbps)?;
    at.number(
        "recording.keyframe_interval_ms",
        &keys.keyframe_interval_ms,
        100,
        10_000,
        &mut encoding.keyframe_interval_ms,
    )?;
    at.number("recording.fragment_ms", &keys.fragment_ms, 100, 10_000, &mut encoding.fragment_ms)
}

fn storage(config: &mut Config, at: &Reader<'_>, file: &File) -> Result<(), Problem> {
    let (keys, storage) = (&file.storage, &mut config.storage);
    at.size("storage.min_free_start", &keys.min_free_start, &mut storage.min_free_start)?;
    at.size("storage.stop_new_free", &keys.stop_new_free, &mut storage.stop_new_free)?;
    at.size("storage.critical_free", &keys.critical_free, &mut config.policy.critical_free_bytes)?;
    at.refuse("storage.warn_free", &keys.warn_free, "remove it")?;
    at.refuse("storage.warn_used_percent", &keys.warn_used_percent, "remove it")?;
    at.refuse("storage.critical_used_percent", &keys.critical_used_percent, "remove it")
}

fn supervision(config: &mut Config, at: &Reader<'_>, file: &File) -> Result<(), Problem> {
    let policy = &mut config.policy;
    let (supervision, watchdog, retry) = (&file.supervision, &file.watchdog, &file.retry);
    at.millis(
        "supervision.flush_deadline_ms",
        &supervision.flush_deadline_ms,
        1_000,
        120_000,
        &mut policy.flush_deadline,
    )?;
    at.millis("supervision.orphan_exit_ms", &supervision.orphan_exit_ms, 1_000, 3_600_000, &mut policy.orphan_exit)?;
    at.millis("watchdog.signal_timeout_ms", &watchdog.signal_timeout_ms, 100, 60_000, &mut policy.signal_timeout)?;
    at.millis("watchdog.stall_shown_ms", &watchdog.stall_shown_ms, 500, 60_000, &mut policy.stall_shown)?;
    at.millis("watchdog.stall_restart_ms", &watchdog.stall_restart_ms, 3_000, 600_000, &mut policy.stall_restart)?;
    at.millis("retry.first_ms", &retry.first_ms, 100, 60_000, &mut policy.retry_first)?;
    at.millis("retry.cap_ms", &retry.cap_ms, 100, 3_600_000, &mut policy.retry_cap)
}

fn inputs(config: &mut Config, at: &Reader<'_>, file: &File) -> Result<(), Problem> {
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

    /// A key of a later issue.
    pub fn refuse(&self, key: &str, value: &Refused, remedy: &str) -> Result<(), Problem> {
        match value {
            Some(value) => Err(self.problem(value, key, format!("{LATER}; {remedy}"))),
            None => Ok(()),
        }
    }

    /// A key whose other values come with a later issue.
    pub fn only(&self, key: &str, value: &Option<Spanned<String>>, now: &str, later: &[&str]) -> Result<(), Problem> {
        let Some(value) = value else { return Ok(()) };
        let text = value.get_ref().as_str();
        if text == now {
            return Ok(());
        }
        let message = if later.contains(&text) {
            format!("\"{text}\" is {LATER}; use \"{now}\"")
        } else {
            format!("\"{text}\" is not known; use \"{now}\"")
        };
        Err(self.problem(value, key, message))
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

    fn millis(
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

    fn size(&self, key: &str, value: &Option<Spanned<String>>, into: &mut u64) -> Result<(), Problem> {
        let Some(value) = value else { return Ok(()) };
        *into = size::parse(value.get_ref()).ok_or_else(|| {
            self.problem(value, key, format!("\"{}\" is not a size; use {}", value.get_ref(), size::ALLOWED))
        })?;
        Ok(())
    }
}

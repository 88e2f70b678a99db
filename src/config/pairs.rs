//! Values that are fine alone and impossible together. Checked once file and environment have been laid over each
//! other, because either may change one of a pair.

use super::problem::{Mark, Problem};
use super::{Config, size};
use crate::model::InputId;
use crate::model::encoding::{AudioCodec, Container, VideoChoice};
use std::collections::BTreeMap;

/// Where the values of such pairs stand; the document that spoke last.
#[derive(Debug, Default)]
pub(super) struct Marks {
    pub container: Option<Mark>,
    pub codec: Option<Mark>,
    pub audio_codec: Option<Mark>,
    /// What has an order among each other, by key; only what was said can be wrong: defaults give way.
    pub ordered: BTreeMap<&'static str, Mark>,
    /// The `codec` of each input, or where the input begins.
    pub inputs: BTreeMap<InputId, Mark>,
}

/// The first pair of `config` that cannot be.
pub(super) fn check(config: &Config, marks: &Marks) -> Result<(), Problem> {
    let encoding = &config.encoding;
    if (encoding.container, encoding.audio_codec) == (Container::Mp4, AudioCodec::Pcm) {
        let message = "\"pcm\" cannot be written to container \"mp4\"; use \"aac\" or \"opus\", or container \"mkv\"";
        return Err(blame(&[marks.audio_codec.as_ref(), marks.container.as_ref()], message));
    }
    check_order(config, marks)?;
    for input in &config.inputs {
        if input.video_choice(encoding.codec) == VideoChoice::Copy && !input.source.arrives_encoded() {
            let said = if input.codec.is_some() { "" } else { " (recording.codec)" };
            let message = format!(
                "\"copy\"{said} is for inputs that arrive encoded (kind \"rtsp\"); use \"h264\" or \"h265\" for \
                 \"{}\" (kind \"{}\")",
                input.id,
                input.source.kind()
            );
            return Err(blame(&[marks.inputs.get(&input.id), marks.codec.as_ref()], &message));
        }
    }
    Ok(())
}

/// Values that would come too late, or never, because of another one: whoever set them waits for something that does not
/// happen.
fn check_order(config: &Config, marks: &Marks) -> Result<(), Problem> {
    let (storage, policy) = (&config.storage, &config.policy);
    let said = |key: &str, wrong: bool| marks.ordered.get(key).filter(|_| wrong);
    let floors = [
        ("storage.min_free_start", storage.min_free_start),
        ("storage.stop_new_free", storage.stop_new_free),
        ("storage.warn_free", storage.warn_free),
    ];
    for (key, value) in floors {
        if let Some(mark) = said(key, value < policy.critical_free_bytes) {
            let floor = size::format(policy.critical_free_bytes);
            return Err(mark.problem(format!(
                "{} is below storage.critical_free, where recordings are ended; use at least {floor}, or a smaller \
                 storage.critical_free",
                size::format(value)
            )));
        }
    }
    let (warn, critical) = (storage.warn_used_percent, storage.critical_used_percent);
    if let Some(mark) = said("storage.warn_used_percent", warn > critical) {
        return Err(mark.problem(format!(
            "{warn} is above storage.critical_used_percent; use at most {critical}, or a greater \
             storage.critical_used_percent"
        )));
    }
    let rules = &config.degradation;
    let levels = [
        (
            "degradation.cpu_warn_percent",
            rules.cpu_warn_percent,
            "degradation.cpu_degrade_percent",
            rules.cpu_degrade_percent,
        ),
        (
            "degradation.cpu_degrade_percent",
            rules.cpu_degrade_percent,
            "degradation.cpu_critical_percent",
            rules.cpu_critical_percent,
        ),
        (
            "degradation.memory_warn_percent",
            rules.memory_warn_percent,
            "degradation.memory_degrade_percent",
            rules.memory_degrade_percent,
        ),
        (
            "degradation.memory_degrade_percent",
            rules.memory_degrade_percent,
            "degradation.memory_critical_percent",
            rules.memory_critical_percent,
        ),
    ];
    for (key, value, bound_key, bound) in levels {
        if let Some(mark) = said(key, value > bound) {
            return Err(
                mark.problem(format!("{value} is above {bound_key}; use at most {bound}, or a greater {bound_key}"))
            );
        }
    }
    let times = [
        ("watchdog.stall_shown_ms", policy.stall_shown, "watchdog.stall_restart_ms", policy.stall_restart),
        ("retry.first_ms", policy.retry_first, "retry.cap_ms", policy.retry_cap),
    ];
    for (key, value, bound_key, bound) in times {
        if let Some(mark) = said(key, value > bound) {
            let (value, bound) = (value.as_millis(), bound.as_millis());
            return Err(
                mark.problem(format!("{value} is above {bound_key}; use at most {bound}, or a greater {bound_key}"))
            );
        }
    }
    Ok(())
}

/// A problem with the first value that stands anywhere.
fn blame(marks: &[Option<&Mark>], message: &str) -> Problem {
    match marks.iter().flatten().next() {
        Some(mark) => mark.problem(message),
        None => Problem { place: "the defaults".to_owned(), line: None, key: None, message: message.to_owned() },
    }
}

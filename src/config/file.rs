//! The shape of `config.toml` version 1 (DESIGN §4): every key the format knows, also those this version refuses.
//!
//! Contract: unknown keys and wrong types are refused by serde with the line; what the values mean is decided in
//! [`super::apply`] and [`super::input`].

use serde::Deserialize;
use toml::Spanned;

/// A value that is read only to refuse it by name.
pub(super) type Refused = Option<Spanned<toml::Value>>;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub version: Option<Spanned<i64>>,
    #[serde(default)]
    pub library: Library,
    #[serde(default)]
    pub recording: Recording,
    #[serde(default)]
    pub storage: Storage,
    #[serde(default)]
    pub supervision: Supervision,
    #[serde(default)]
    pub watchdog: Watchdog,
    #[serde(default)]
    pub retry: Retry,
    pub breaker: Refused,
    #[serde(default)]
    pub degradation: Degradation,
    #[serde(default)]
    pub budgets: Budgets,
    pub mediamtx: Refused,
    pub api: Refused,
    pub ui: Refused,
    #[serde(default)]
    pub input: Vec<Spanned<Input>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Library {
    pub path: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recording {
    pub container: Option<Spanned<String>>,
    pub codec: Option<Spanned<String>>,
    pub bitrate_kbps: Option<Spanned<i64>>,
    pub keyframe_interval_ms: Option<Spanned<i64>>,
    pub fragment_ms: Option<Spanned<i64>>,
    pub audio_codec: Option<Spanned<String>>,
    pub session_name: Option<Spanned<String>>,
    pub split_minutes: Option<Spanned<toml::Value>>,
    pub split_bytes: Option<Spanned<toml::Value>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Storage {
    pub min_free_start: Option<Spanned<String>>,
    pub stop_new_free: Option<Spanned<String>>,
    pub critical_free: Option<Spanned<String>>,
    pub warn_free: Option<Spanned<String>>,
    pub warn_used_percent: Option<Spanned<i64>>,
    pub critical_used_percent: Option<Spanned<i64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Supervision {
    pub flush_deadline_ms: Option<Spanned<i64>>,
    pub orphan_exit_ms: Option<Spanned<i64>>,
    pub memory_baseline_ms: Option<Spanned<i64>>,
    pub memory_margin: Option<Spanned<String>>,
    pub memory_floor: Option<Spanned<String>>,
    pub min_free_memory: Option<Spanned<String>>,
    pub warn_memory_percent: Option<Spanned<i64>>,
    pub warn_limit_percent: Option<Spanned<i64>>,
    pub operation_start_ms: Option<Spanned<i64>>,
    pub operation_stop_ms: Option<Spanned<i64>>,
    pub operation_finalise_ms: Option<Spanned<i64>>,
    pub operation_verify_ms: Option<Spanned<i64>>,
    pub alert_command: Option<Spanned<Vec<String>>>,
    pub alert_command_limit_ms: Option<Spanned<i64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Degradation {
    pub cpu_warn_percent: Option<Spanned<i64>>,
    pub cpu_degrade_percent: Option<Spanned<i64>>,
    pub cpu_critical_percent: Option<Spanned<i64>>,
    pub memory_warn_percent: Option<Spanned<i64>>,
    pub memory_degrade_percent: Option<Spanned<i64>>,
    pub memory_critical_percent: Option<Spanned<i64>>,
    pub pressure_percent: Option<Spanned<i64>>,
    pub queue_percent: Option<Spanned<i64>>,
    pub late_ms: Option<Spanned<i64>>,
    pub calm_ms: Option<Spanned<i64>>,
    pub low_memory: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Budgets {
    pub cpu_percent: Option<Spanned<i64>>,
    pub disk_per_second: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Watchdog {
    pub signal_timeout_ms: Option<Spanned<i64>>,
    pub stall_shown_ms: Option<Spanned<i64>>,
    pub stall_restart_ms: Option<Spanned<i64>>,
    pub stall_action: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retry {
    pub first_ms: Option<Spanned<i64>>,
    pub cap_ms: Option<Spanned<i64>>,
}

/// One `[[input]]` with the keys of every kind; which belong together is decided in [`super::input`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    pub id: Option<Spanned<String>>,
    pub name: Option<Spanned<String>>,
    pub kind: Option<Spanned<String>>,
    pub audio: Option<Spanned<toml::Value>>,
    pub codec: Option<Spanned<String>>,
    pub on_signal_loss: Option<Spanned<String>>,
    pub importance: Option<Spanned<i64>>,
    pub pattern: Option<Spanned<String>>,
    pub width: Option<Spanned<i64>>,
    pub height: Option<Spanned<i64>>,
    pub fps: Option<Spanned<i64>>,
    pub tone_hz: Option<Spanned<i64>>,
    pub path: Option<Spanned<String>>,
    pub repeat: Option<Spanned<bool>>,
    pub url: Option<Spanned<String>>,
    pub transport: Option<Spanned<String>>,
    pub latency_ms: Option<Spanned<i64>>,
    pub device: Option<Spanned<String>>,
    pub subdevice: Option<Spanned<String>>,
}

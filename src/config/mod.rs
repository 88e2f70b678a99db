//! The configuration: `config.toml` version 1, environment, flags, defaults (DESIGN §4).
//!
//! Contract: precedence is flag > environment > file > default. A value this version does not implement is
//! refused with file, line, key and what is allowed; nothing is silently ignored. Any bytes give a
//! configuration or a [`Problem`], never a panic.

mod apply;
mod degradation;
mod file;
mod folders;
mod input;
mod pairs;
mod problem;
pub mod size;
mod supervision;

pub use degradation::DegradationRules;
pub use problem::Problem;
pub use supervision::SupervisionRules;

use crate::model::encoding::Encoding;
use crate::model::input::{AudioChoice, InputSpec, OnSignalLoss, SourceSpec};
use crate::model::naming::Template;
use crate::model::policy::WorkerPolicy;
use pairs::Marks;
use problem::Origin;
use std::path::{Path, PathBuf};

/// The folder of recordings, when nobody named one.
const LIBRARY_NAME: &str = "Holdfast";
/// The folder of demo recordings, when nobody named one.
const DEMO_LIBRARY_NAME: &str = "Holdfast Demo";
/// Sections whose keys the environment may set (`HOLDFAST_<SECTION>__<KEY>`).
const ENV_PREFIX: &str = "HOLDFAST_";

/// What the command line said about the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// Synthetic inputs instead of the configured ones.
    pub demo: bool,
    /// `--library`.
    pub library: Option<PathBuf>,
    /// `--config`.
    pub config: Option<PathBuf>,
}

/// Space rules (R-FM-4); `storage.critical_free` is the workers' own ([`WorkerPolicy`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageRules {
    /// `storage.min_free_start`: no start below it.
    pub min_free_start: u64,
    /// `storage.stop_new_free`: no new recordings below it.
    pub stop_new_free: u64,
    /// `storage.warn_free`: a warning below it.
    pub warn_free: u64,
    /// `storage.warn_used_percent`: a warning from here on.
    pub warn_used_percent: u32,
    /// `storage.critical_used_percent`: a critical alert from here on; nothing is stopped for it.
    pub critical_used_percent: u32,
}

impl Default for StorageRules {
    fn default() -> Self {
        Self {
            min_free_start: 2_000_000_000,
            stop_new_free: 5_000_000_000,
            warn_free: 10_000_000_000,
            warn_used_percent: 80,
            critical_used_percent: 95,
        }
    }
}

/// A checked configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// The file it was read from, if one was.
    pub file: Option<PathBuf>,
    /// Where recordings go; `None` only without a home folder.
    pub library: Option<PathBuf>,
    /// The inputs, in the order of the file.
    pub inputs: Vec<InputSpec>,
    /// How every input is encoded.
    pub encoding: Encoding,
    /// What a session is called that nobody names.
    pub session_name: Template,
    /// Space rules.
    pub storage: StorageRules,
    /// Rules handed to every worker.
    pub policy: WorkerPolicy,
    /// What the engine watches.
    pub supervision: SupervisionRules,
    /// When it does without what is not the recording.
    pub degradation: DegradationRules,
}

impl Config {
    /// Reads file and environment. A file that was not asked for may be missing; then nothing is configured.
    pub fn load(flags: &Flags) -> Result<Self, Problem> {
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let mut variables: Vec<(String, String)> = variables.filter(|(name, _)| name.starts_with(ENV_PREFIX)).collect();
        variables.sort();
        let named =
            |name: &str| variables.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| PathBuf::from(v));

        let (mut config, mut marks) = (Config::default(), Marks::default());
        let asked_for = flags.config.clone().or_else(|| named("HOLDFAST_CONFIG"));
        let path = match asked_for {
            Some(path) => Some(path),
            // The demo must work whatever the everyday configuration says.
            None if flags.demo => None,
            None => problem::default_path().filter(|path| path.exists()),
        };
        if let Some(path) = path {
            config.read(&mut marks, &path)?;
        }
        config.overlay(&mut marks, &variables)?;
        if flags.demo {
            config.inputs = demo_inputs();
            marks.inputs.clear();
        }
        pairs::check(&config, &marks)?;
        // Said of each input, because its worker needs to know before anything is recorded.
        for input in &mut config.inputs {
            input.codec = Some(input.video_choice(config.encoding.codec));
        }
        let default_name = if flags.demo { DEMO_LIBRARY_NAME } else { LIBRARY_NAME };
        config.library = flags
            .library
            .clone()
            .or_else(|| named("HOLDFAST_LIBRARY"))
            .or(config.library)
            .or_else(|| folders::default_library(default_name))
            .map(|dir| std::path::absolute(&dir).unwrap_or(dir));
        Ok(config)
    }

    fn read(&mut self, marks: &mut Marks, path: &Path) -> Result<(), Problem> {
        let text = std::fs::read_to_string(path).map_err(|error| Problem::unreadable(path, &error))?;
        let place = path.display().to_string();
        apply::apply(self, marks, Origin { place: &place, text: &text, lines: true })?;
        self.file = Some(path.to_owned());
        Ok(())
    }

    /// `HOLDFAST_STORAGE__MIN_FREE_START=1GB` is read as `[storage]` / `min_free_start = "1GB"`.
    fn overlay(&mut self, marks: &mut Marks, variables: &[(String, String)]) -> Result<(), Problem> {
        for (name, value) in variables {
            let Some((section, key)) = name[ENV_PREFIX.len()..].split_once("__") else { continue };
            let (section, key) = (section.to_ascii_lowercase(), key.to_ascii_lowercase());
            let plain = |text: &str| {
                !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            };
            if !plain(&section) || !plain(&key) {
                let message = "is not of the form HOLDFAST_<SECTION>__<KEY>".to_owned();
                return Err(Problem { place: name.clone(), line: None, key: None, message });
            }
            let value = typed(value);
            let text = format!("[{section}]\n{key} = {value}\n");
            apply::apply(self, marks, Origin { place: name, text: &text, lines: false })?;
        }
        Ok(())
    }
}

/// A value of the environment as the file would hold it: a number, whole or not, yes or no, or a text.
fn typed(value: &str) -> toml::Value {
    if let Ok(number) = value.parse::<i64>() {
        return toml::Value::Integer(number);
    }
    match (value.parse::<f64>(), value.parse::<bool>()) {
        (Ok(number), _) if number.is_finite() => toml::Value::Float(number),
        (_, Ok(truth)) => toml::Value::Boolean(truth),
        _ => toml::Value::String(value.to_owned()),
    }
}

/// The inputs of `--demo` (R-JOB-3).
fn demo_inputs() -> Vec<InputSpec> {
    let inputs = input::PATTERNS.iter().zip(1u32..).map(|((_, pattern), number)| {
        let tone_hz = input::TONE_FIRST_HZ + input::TONE_STEP_HZ * (number - 1);
        InputSpec {
            id: format!("demo{number}").parse().expect("demo ids are plain"),
            name: format!("Demo {number}"),
            source: SourceSpec::Test { pattern: *pattern, width: 640, height: 360, fps: 30, tone_hz },
            audio: AudioChoice::Auto,
            on_signal_loss: OnSignalLoss::Split,
            codec: None,
            importance: 0,
            armed: true,
        }
    });
    inputs.collect()
}

#[cfg(test)]
mod tests;

//! The command line (DESIGN §4): arguments, and the commands that talk to a running engine.
//!
//! Contract: results go to standard output (`--json`: the API's body), errors to standard error. Exit codes are
//! those of [`Outcome`]; a wrong command line is ended by clap with code 2.

mod config_check;
mod record;
mod recover;
mod sessions;
mod status;
mod verify;

pub use recover::{RecoveredSession, recovered};

use crate::config::Flags;
use crate::protocol::client::{Client, ClientError};
use crate::sys::paths::Runtime;
use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;

/// A recorder for several live inputs that nothing else in the machine can take down.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, about)]
pub struct Arguments {
    /// Synthetic inputs, in a recorder of their own
    #[arg(long, global = true)]
    pub demo: bool,
    /// Folder of the recordings
    #[arg(long, global = true, value_name = "DIR")]
    pub library: Option<PathBuf>,
    /// Configuration file
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do; the window without it
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Arguments {
    /// The part that decides the configuration.
    pub fn flags(&self) -> Flags {
        Flags { demo: self.demo, library: self.library.clone(), config: self.config.clone() }
    }
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the supervisor alone, in the foreground (headless use)
    Engine {
        /// Leave when the window that started it is gone and nothing records
        #[arg(long, hide = true)]
        spawned: bool,
    },
    /// Capture and record one input
    #[command(hide = true)]
    Worker {
        /// Which input
        #[arg(long)]
        input: crate::model::InputId,
    },
    /// Read finished files again
    #[command(hide = true)]
    Prove {
        /// Finalise what a crash left
        #[arg(long)]
        finalise: bool,
        /// Read everything and compare it with what was recorded
        #[arg(long, conflicts_with = "finalise")]
        verify: bool,
        /// A session folder or a file
        path: PathBuf,
    },
    /// Show what the recorder is doing
    Status(Json),
    /// Start and stop recording
    #[command(subcommand)]
    Record(RecordCommand),
    /// List recorded sessions, newest first
    Sessions {
        /// Form of the output
        #[command(flatten)]
        json: Json,
        /// How many at most
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=200))]
        limit: u16,
    },
    /// Read recordings again and say whether everything that was recorded is in them
    Verify {
        /// Form of the output
        #[command(flatten)]
        json: Json,
        /// A library, a session or a file
        path: PathBuf,
    },
    /// Close sessions that a crash interrupted
    Recover(Json),
    /// Work with the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// `holdfast record …`
#[derive(Debug, Subcommand)]
pub enum RecordCommand {
    /// Start recording and wait until the inputs record
    Start {
        /// Form of the output
        #[command(flatten)]
        json: Json,
        /// Name of the session
        #[arg(long)]
        name: Option<String>,
        /// Only this input (repeatable)
        #[arg(long = "input", value_name = "ID")]
        inputs: Vec<String>,
        /// Idempotency key: repeating a start with the same key gives the same session
        #[arg(long)]
        key: Option<String>,
        /// Return at once
        #[arg(long)]
        no_wait: bool,
    },
    /// Begin a new file for every input, without a gap
    Split(Json),
    /// Note this moment of the recording
    Mark {
        /// Form of the output
        #[command(flatten)]
        json: Json,
        /// What to call it
        label: Option<String>,
        /// Idempotency key: repeating a marker with the same key gives the same marker
        #[arg(long)]
        key: Option<String>,
    },
    /// Stop recording and wait until all files are closed
    Stop {
        /// Form of the output
        #[command(flatten)]
        json: Json,
        /// Return at once
        #[arg(long)]
        no_wait: bool,
    },
}

/// `holdfast config …`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check the configuration and say what it means
    Check(Json),
}

/// The form of the output.
#[derive(Debug, Clone, Copy, Args)]
pub struct Json {
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// How a command ended, as its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// 0: done.
    Done,
    /// 1: failed; the reason stands on standard error.
    Failed,
    /// 3: no engine runs.
    NoEngine,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => ExitCode::SUCCESS,
            Outcome::Failed => ExitCode::FAILURE,
            Outcome::NoEngine => ExitCode::from(3),
        }
    }
}

/// `holdfast status`.
pub fn status(demo: bool, form: Json) -> Outcome {
    ask(demo, |client| status::run(client, form.json))
}

/// `holdfast record …`.
pub fn record(demo: bool, command: RecordCommand) -> Outcome {
    ask(demo, |client| record::run(client, command))
}

/// `holdfast sessions`.
pub fn sessions(demo: bool, limit: u16, form: Json) -> Outcome {
    ask(demo, |client| sessions::run(client, limit, form.json))
}

/// `holdfast verify`.
pub fn verify(path: &std::path::Path, form: Json) -> Outcome {
    verify::run(path, form)
}

/// `holdfast config check`.
pub fn config_check(flags: &Flags, form: Json) -> Outcome {
    config_check::run(flags, form.json)
}

/// Names the error and gives its exit code.
pub fn failed(error: impl std::fmt::Display) -> Outcome {
    eprintln!("holdfast: {error}");
    Outcome::Failed
}

/// Runs `work` with a client of the engine of this runtime folder.
fn ask<F: Future<Output = Result<Outcome, ClientError>>>(demo: bool, work: impl FnOnce(Client) -> F) -> Outcome {
    let runtime = match Runtime::open(demo) {
        Ok(runtime) => runtime,
        Err(error) => return failed(error),
    };
    let client = Client::new(runtime.engine_socket());
    let executor = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(executor) => executor,
        Err(error) => return failed(error),
    };
    match executor.block_on(work(client)) {
        Ok(outcome) => outcome,
        Err(error) => {
            failed(&error);
            if matches!(error, ClientError::NoEngine { .. }) { Outcome::NoEngine } else { Outcome::Failed }
        }
    }
}

fn print_json(body: &impl Serialize) -> Outcome {
    match serde_json::to_string_pretty(body) {
        Ok(text) => {
            println!("{text}");
            Outcome::Done
        }
        Err(error) => failed(error),
    }
}

/// `1:02:03` from milliseconds; `–` when not known.
fn clock_time(ms: Option<u64>) -> String {
    let Some(ms) = ms else { return "–".to_owned() };
    let seconds = ms / 1000;
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// The word of a state as it stands in the API.
fn word(state: &impl Serialize) -> String {
    match serde_json::to_value(state) {
        Ok(serde_json::Value::String(word)) => word.replace('_', " "),
        _ => "unknown".to_owned(),
    }
}

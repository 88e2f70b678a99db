//! Picks the role this process plays and turns its end into an exit code.

use clap::Parser;
use holdfast::cli::{self, Arguments, Command, ConfigCommand};
use holdfast::config::{Config, Flags};
use holdfast::engine;
use holdfast::model::InputId;
use holdfast::prove;
use holdfast::sys::log::{self, Form};
use holdfast::sys::memory;
use holdfast::sys::paths::Runtime;
use holdfast::sys::process;
use holdfast::ui;
use holdfast::worker::{self, WorkerArgs};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (flags, demo) = (arguments.flags(), arguments.demo);
    match arguments.command {
        None => window(flags),
        Some(Command::Engine { spawned }) => supervise(&flags, spawned),
        Some(Command::Worker { input }) => record(input, demo),
        Some(Command::Prove { finalise, verify, path }) => {
            let _log = log::init(Form::Json);
            process::set_name(c"holdfast-prove");
            let task = match (finalise, verify) {
                (true, _) => prove::Task::Finalise,
                (false, true) => prove::Task::Prove,
                (false, false) => prove::Task::Look,
            };
            prove::run(&prove::Options { path, task })
        }
        Some(Command::Status(form)) => cli::status(demo, form).into(),
        Some(Command::Record(command)) => cli::record(demo, command).into(),
        Some(Command::Sessions { json, limit }) => cli::sessions(demo, limit, json).into(),
        Some(Command::Verify { json, path }) => cli::verify(&path, json).into(),
        Some(Command::Recover(form)) => recover(&flags, form).into(),
        Some(Command::Config(ConfigCommand::Check(form))) => cli::config_check(&flags, form).into(),
    }
}

/// The window; it starts an engine when none runs.
fn window(flags: Flags) -> ExitCode {
    let _log = log::init(Form::Text);
    let Flags { demo, library, config } = flags;
    ui::run(ui::Options { demo, library, config })
}

/// One input's recording process.
fn record(input: InputId, demo: bool) -> ExitCode {
    // The log has a thread of its own.
    memory::limit_arenas();
    let _log = log::init(Form::Json);
    process::set_name(c"holdfast-worker");
    match Runtime::open(demo) {
        Ok(runtime) => worker::run(WorkerArgs { input, runtime }),
        Err(error) => cli::failed(error).into(),
    }
}

/// The engine, in the foreground.
fn supervise(flags: &Flags, spawned: bool) -> ExitCode {
    let _log = log::init(Form::Json);
    process::set_name(c"holdfast-engine");
    let run = || -> anyhow::Result<()> {
        let config = Config::load(flags)?;
        let runtime = Runtime::open(flags.demo)?;
        if flags.demo
            && let Some(library) = &config.library
        {
            println!("demo recordings go to {} and are never deleted", library.display());
        }
        engine::run(engine::Options { config, runtime, demo: flags.demo, spawned })
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::failed(format!("{error:#}")).into(),
    }
}

/// Closes what a crash interrupted; a running engine does that by itself.
fn recover(flags: &Flags, form: cli::Json) -> cli::Outcome {
    let _log = log::init(Form::Text);
    let run = || -> anyhow::Result<Vec<cli::RecoveredSession>> {
        let config = Config::load(flags)?;
        let runtime = Runtime::open(flags.demo)?;
        let library = config.library.ok_or_else(|| anyhow::anyhow!("no library: set HOME or use --library"))?;
        let recovered = engine::recover::run(&runtime, &library)?;
        let row = |session: engine::recover::Recovered| {
            let lost = session.result.iter().flat_map(|closed| closed.lost());
            cli::RecoveredSession::new(
                session.dir.display().to_string(),
                lost.map(|(input, lost)| (input.clone(), lost)).collect(),
                session.result.as_ref().err().map(ToString::to_string),
            )
        };
        Ok(recovered.into_iter().map(row).collect())
    };
    match run() {
        Ok(sessions) => cli::recovered(&sessions, form),
        Err(error) => cli::failed(format!("{error:#}")),
    }
}

//! A recorder of somebody who may do less than root, where the tests run as root: of an ordinary user (nobody), or of a
//! root without a capability.
//!
//! Contract: it has a runtime folder, a library and a home of its own like any other, all of them that user's. Its API
//! answers only its own user, so it is asked through the command line.

use super::proc::{BINARY, Holdfast};
use super::process::{self, Deadline, Output, Running};
use super::skip::skip;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Nobody, on every Debian.
pub const UID: u32 = 65534;
/// The first answer of an engine, beside everything else a busy machine does.
const ANSWERS_WITHIN: Duration = Duration::from_secs(15);
/// A change is asked for this often.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// The longest command is `record stop`.
const COMMAND_ENDS_WITHIN: Duration = Duration::from_secs(40);

/// See the module.
#[derive(Debug)]
pub struct Guest {
    /// The recorder.
    pub holdfast: Holdfast,
    wrapper: PathBuf,
    /// Added to the environment of everything it runs.
    env: Vec<(&'static str, String)>,
    engine: Option<Running>,
}

impl Guest {
    /// The recorder of nobody with these inputs; `privileges` = what `setpriv` does besides (capabilities, …).
    /// `None` = it cannot be made here, which was said.
    pub fn new(config: &str, privileges: &[&str]) -> Option<Self> {
        let nobody = [format!("--reuid={UID} --regid={UID} --clear-groups"), privileges.join(" ")].join(" ");
        let mut guest = Self::through_setpriv(config, &nobody)?;
        let root = guest.holdfast.root().to_owned();
        // Nor has it a bus, not even one that would be looked for at the display of somebody else, nor the caches of root.
        let nowhere = format!("unix:path={}/no-bus", root.display());
        guest.set("DBUS_SYSTEM_BUS_ADDRESS", &nowhere);
        guest.set("DBUS_SESSION_BUS_ADDRESS", &nowhere);
        guest.set("XDG_CACHE_HOME", &root.join("home").join(".cache").display().to_string());
        run(Command::new("chown").args(["-R", &format!("{UID}:{UID}")]).arg(&root), &root);
        Some(guest)
    }

    /// The recorder of a root without the capability (`sys_nice`, …), which no program it starts gets back.
    pub fn root_without(config: &str, capability: &str) -> Option<Self> {
        Self::through_setpriv(config, &format!("--inh-caps=-{capability} --bounding-set=-{capability}"))
    }

    fn through_setpriv(config: &str, privileges: &str) -> Option<Self> {
        if !rustix::process::getuid().is_root()
            || ["setpriv", "prlimit"].iter().any(|tool| process::program(tool).is_none())
        {
            skip("becoming somebody else needs root, setpriv and prlimit");
            return None;
        }
        let mut holdfast = Holdfast::new(config);
        let root = holdfast.root().to_owned();
        // Where the program lies its user may not be allowed to go, and it must not become that user's.
        let program = root.join("holdfast");
        std::fs::copy(BINARY, &program).expect("room for the program");
        let wrapper = root.join("with-less");
        // Nor may it raise itself because whoever runs the tests lets everybody.
        let text = format!("#!/bin/sh\nexec prlimit --nice=0:0 setpriv {privileges} {} \"$@\"\n", program.display());
        std::fs::write(&wrapper, text).expect("the folder is ours");
        // GStreamer's list of plugins, which would be made anew in every process.
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
        let registries = cache.map(|cache| cache.join("gstreamer-1.0")).unwrap_or_default();
        let known = std::fs::read_dir(registries).into_iter().flatten().flatten().map(|entry| entry.path()).next();
        if let Some(known) = known {
            std::fs::copy(known, root.join("registry")).expect("room for a list");
            holdfast.more.push(("GST_REGISTRY", root.join("registry")));
        }
        run(Command::new("chmod").arg("755").args([&wrapper, &program]), &root);
        Some(Self { holdfast, wrapper, env: Vec::new(), engine: None })
    }

    /// Puts `name` into the environment of what is started from now on.
    pub fn set(&mut self, name: &'static str, value: &str) {
        self.env.retain(|(known, _)| *known != name);
        self.env.push((name, value.to_owned()));
    }

    /// The program as its user, with `args` to come.
    pub fn command(&self) -> Command {
        self.command_behind(self.holdfast.command(&self.wrapper))
    }

    /// The same behind another program, which is to start it.
    pub fn command_through(&self, mut outer: Command) -> Command {
        outer.arg(&self.wrapper);
        self.command_behind(outer)
    }

    fn command_behind(&self, mut command: Command) -> Command {
        command.envs(self.env()).current_dir(self.holdfast.root());
        command
    }

    /// What it sets besides.
    pub fn env(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.env.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// Starts the engine and waits until it answers.
    pub fn spawn_engine(&mut self) -> u32 {
        let log = self.holdfast.log();
        let mut command = self.command();
        command.arg("engine").stdout(process::log_file(&log)).stderr(process::log_file(&log));
        let engine = Running::start("the engine", &mut command);
        let pid = engine.pid();
        self.engine = Some(engine);
        self.wait_until("an answer", ANSWERS_WITHIN, |_| true);
        pid
    }

    /// Runs the command line to its end.
    pub fn cli(&self, args: &[&str]) -> Output {
        let what = format!("holdfast {}", args.join(" "));
        process::run(&what, self.command().args(args), self.holdfast.root(), COMMAND_ENDS_WITHIN)
    }

    /// Runs the command line and expects exit code 0.
    pub fn cli_ok(&self, args: &[&str]) {
        let output = self.cli(args);
        assert_eq!(output.code, Some(0), "holdfast {} failed: {output:#?}", args.join(" "));
    }

    /// Waits until a snapshot satisfies `condition` and returns it.
    pub fn wait_until(&self, what: &str, time: Duration, condition: impl Fn(&Value) -> bool) -> Value {
        let deadline = Deadline::after(time);
        let mut last = Value::Null;
        while deadline.left().is_some() {
            let answer = self.cli(&["status", "--json"]);
            if answer.code == Some(0) {
                last = answer.json();
                if condition(&last) {
                    return last;
                }
            }
            super::proc::wait_for_change(&self.holdfast.root().join("home"), ASK_AGAIN);
        }
        // CI keeps the first lines.
        let logs = ["window.log", "engine.log"].map(|name| process::tail(&self.holdfast.root().join(name), 30));
        panic!("{what}: not within {time:?}; {}\n{}\n{last}", last["priority"], logs.join("\n"));
    }
}

fn run(command: &mut Command, folder: &Path) {
    let output = process::run("a preparation", command, folder, COMMAND_ENDS_WITHIN);
    assert_eq!(output.code, Some(0), "{output:?}");
}

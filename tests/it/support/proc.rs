//! A whole recorder of its own for one test: runtime folder, library, configuration, engine, workers, clients.
//!
//! Contract: a [`Holdfast`] shares nothing with another one but the machine. Dropping it ends every process it
//! started, directly or not, and removes its folder; when the test failed the folder stays and its path and the
//! end of the engine's log are printed. Every wait has a deadline and is driven by events, files or pidfds.

use super::api::{self, Events, Reply};
pub use super::change::wait_for_change;
use super::load::{NEVER_LOADED, SMALL_FLOORS};
use super::process::{self, Deadline, MARK, Output, Running};
use super::schema::Description;
use rustix::process::Signal;
use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

/// The program under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_holdfast");
/// From exec to the first answer of the API: recovery runs in the background (R-FM-11: 2 s), the rest is a busy machine.
const ENGINE_ANSWERS_WITHIN: Duration = Duration::from_secs(15);
/// A killed engine is gone at once.
const ENGINE_GONE_WITHIN: Duration = Duration::from_secs(5);
/// The longest command is `record stop`: flush 15 s (R-SUP-8), finalise, answer.
const COMMAND_ENDS_WITHIN: Duration = Duration::from_secs(40);
/// A state is asked for again after this long without an event: counters travel at 2 Hz, and not all change a state.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// How many rounds a random test runs: few in every check, many in `make torture`.
pub fn rounds(in_ci: u32, in_torture: u32) -> u32 {
    if std::env::var_os("TORTURE").is_some() { in_torture } else { in_ci }
}

/// `n` inputs of kind `test`, `cam1` to `cam<n>`, 640×360 at 30, x264, with the sound `audio` (`"auto"`, `"silence"`, …).
pub fn test_inputs(n: u32, audio: &str) -> String {
    const PATTERNS: [&str; 4] = ["bars", "ball", "gradient", "checker"];
    let patterns = PATTERNS.iter().cycle();
    let input = |(n, pattern)| {
        format!(
            "[[input]]\nid = \"cam{n}\"\nname = \"Camera {n}\"\nkind = \"test\"\npattern = \"{pattern}\"\n\
             width = 640\nheight = 360\nfps = 30\naudio = \"{audio}\"\n"
        )
    };
    (1..=n).zip(patterns).map(input).collect()
}

/// One recorder.
#[derive(Debug)]
pub struct Holdfast {
    engine: Option<Running>,
    engines: u32,
    folder: Option<tempfile::TempDir>,
    root: PathBuf,
    /// What `command` adds to the environment.
    pub(super) more: Vec<(&'static str, PathBuf)>,
    /// Where the log goes, from the next engine on.
    pub log: PathBuf,
    _turn: MutexGuard<'static, ()>,
}

/// One recorder at a time: two would take frames from each other on a machine of two cores.
static TURN: Mutex<()> = Mutex::new(());

impl Holdfast {
    /// A recorder with these `[[input]]`s (and any other sections); `version`, `[library]` and low floors for
    /// `[storage]` are added unless the text has them.
    pub fn new(config: &str) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        registry();
        // Short, because a socket's path has at most 107 bytes.
        let folder = tempfile::Builder::new().prefix("hf").tempdir_in("/tmp").expect("/tmp takes folders");
        let root = folder.path().to_owned();
        let log = root.join("engine.log");
        let this = Self { engine: None, engines: 0, folder: Some(folder), root, log, more: Vec::new(), _turn: turn };
        for name in ["run", "library", "home", "xdg"] {
            std::fs::create_dir(this.root.join(name)).expect("the folder is new");
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            std::fs::set_permissions(this.root.join(name), private).expect("the folder is ours");
        }
        let library = format!("[library]\npath = \"{}\"\n", this.library().display());
        let unless = |has: &str, text: &str| if config.contains(has) { String::new() } else { text.to_owned() };
        this.write_config(&format!(
            "{}{}{}{}{config}",
            unless("version =", "version = 1\n"),
            unless("[library]", &library),
            unless("[storage]", SMALL_FLOORS),
            unless("[degradation]", NEVER_LOADED)
        ));
        this
    }

    /// Replaces the configuration file, word for word.
    pub fn write_config(&self, text: &str) {
        std::fs::write(self.config(), text).expect("the folder is ours");
    }

    /// Everything of this recorder lies below.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of sockets and locks.
    pub fn runtime(&self) -> PathBuf {
        self.root.join("run")
    }

    /// Where sessions go.
    pub fn library(&self) -> PathBuf {
        self.root.join("library")
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// The engine's socket.
    pub fn socket(&self) -> PathBuf {
        self.runtime().join("engine.sock")
    }

    /// The log of the engines and workers so far.
    pub fn log(&self) -> PathBuf {
        self.log.clone()
    }

    /// `program` with the environment of this recorder and no other: no display, no bus, nothing on its input.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let foreign = |name: &str| {
            ["HOLDFAST_", "XDG_", "LC_", "LANG"].iter().any(|prefix| name.starts_with(prefix))
                || ["DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS"].contains(&name)
        };
        for name in std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(|name| foreign(name)) {
            command.env_remove(name);
        }
        // GStreamer's plugin registry is shared with this process: a scan per process costs seconds.
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
        // No bus of the machine: a test that wants one brings it.
        command.env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", self.root.join("no-bus").display()));
        command
            .envs(cache.map(|cache| ("XDG_CACHE_HOME", cache)))
            .envs(self.more.iter().map(|(name, path)| (name, path)));
        command
            .env(MARK, self.runtime())
            .env("HOLDFAST_CONFIG", self.config())
            .env("HOME", self.root.join("home"))
            .env("XDG_RUNTIME_DIR", self.root.join("xdg"))
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null());
        command
    }

    /// Adds a variable to the environment of every process of this recorder.
    pub fn set_env(&mut self, name: &'static str, value: PathBuf) {
        self.more.retain(|(known, _)| *known != name);
        self.more.push((name, value));
    }

    /// Starts the engine and waits until its API answers; returns its pid.
    pub fn spawn_engine(&mut self) -> u32 {
        self.spawn_engine_of(Path::new(BINARY))
    }

    /// The same with another build of the program.
    pub fn spawn_engine_of(&mut self, program: &Path) -> u32 {
        let command = self.command(program);
        self.spawn_engine_with(command)
    }

    /// The same by way of another program (`unshare`), which executes the one under test.
    pub fn spawn_engine_by(&mut self, program: &Path, args: &[&str]) -> u32 {
        let mut command = self.command(program);
        command.args(args).arg(BINARY);
        self.spawn_engine_with(command)
    }

    fn spawn_engine_with(&mut self, mut command: Command) -> u32 {
        // One that was killed a moment ago may not be gone altogether.
        let gone = self.engine.as_mut().is_none_or(|engine| engine.wait(ENGINE_GONE_WITHIN).is_some());
        assert!(gone, "this test's engine still runs");
        self.engines += 1;
        command.arg("engine").stdout(process::log_file(&self.log())).stderr(process::log_file(&self.log()));
        let engine = Running::start("the engine", &mut command);
        let pid = engine.pid();
        self.engine = Some(engine);
        let deadline = Deadline::after(ENGINE_ANSWERS_WITHIN);
        while self.try_status().is_err() {
            assert!(self.engine().runs(), "the engine ended at once:\n{}", process::tail(&self.log(), 30));
            let left =
                deadline.left().unwrap_or_else(|| panic!("the engine did not answer in {ENGINE_ANSWERS_WITHIN:?}"));
            self.wait_for_a_socket(left.min(ASK_AGAIN));
        }
        pid
    }

    /// Lets go of the running engine, so that another can be started beside it.
    pub fn release_engine(&mut self) -> Running {
        self.engine.take().expect("spawn_engine came first")
    }

    /// The running (or last) engine.
    pub fn engine(&mut self) -> &mut Running {
        self.engine.as_mut().expect("spawn_engine came first")
    }

    /// Runs the command line to its end.
    pub fn cli(&self, args: &[&str]) -> Output {
        let what = format!("holdfast {}", args.join(" "));
        process::run(&what, self.command(BINARY).args(args), &self.root, COMMAND_ENDS_WITHIN)
    }

    /// Runs the command line and expects exit code 0.
    pub fn cli_ok(&self, args: &[&str]) -> Output {
        let output = self.cli(args);
        assert_eq!(output.code, Some(0), "holdfast {} failed: {output:#?}", args.join(" "));
        output
    }

    /// Asks the API; the answer is held against the API's own description.
    pub fn api(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Reply, String> {
        let reply = api::request(&self.socket(), method, path, headers, body)?;
        if let Some(description) = Description::of(&self.socket()) {
            description.check_reply(method, path, &reply).unwrap_or_else(|wrong| panic!("{wrong}"));
        }
        Ok(reply)
    }

    /// Subscribes to the engine's events; each is held against the API's own description.
    pub fn events(&self) -> Result<Events, String> {
        self.events_since("")
    }

    /// The same with a query, as `?since=7`.
    pub fn events_since(&self, query: &str) -> Result<Events, String> {
        Ok(Events::connect_since(&self.socket(), query)?.described_by(&self.socket()))
    }

    /// The snapshot.
    pub fn status(&self) -> Value {
        self.try_status().unwrap_or_else(|error| panic!("no status: {error}"))
    }

    /// The snapshot, or why there is none.
    pub fn try_status(&self) -> Result<Value, String> {
        let reply = self.api("GET", "/api/v1/status", &[], None)?;
        if reply.status == 200 { Ok(reply.body) } else { Err(format!("{}: {}", reply.status, reply.body)) }
    }

    /// Waits until a snapshot satisfies `condition` and returns it; an engine that is away meanwhile is waited for.
    pub fn wait_until(&self, what: &str, time: Duration, mut condition: impl FnMut(&Value) -> bool) -> Value {
        let deadline = Deadline::after(time);
        let mut events = None;
        let mut last = Value::Null;
        loop {
            // Subscribed before asking, so that a change in between is not slept through.
            events = events.or_else(|| self.events().ok());
            if let Ok(snapshot) = self.try_status() {
                if condition(&snapshot) {
                    return snapshot;
                }
                last = snapshot;
            }
            let Some(left) = deadline.left() else { panic!("{what}: not within {time:?}; last snapshot: {last}") };
            let pause = left.min(ASK_AGAIN);
            match events.as_mut().map(|events| events.next(pause)) {
                Some(Ok(_)) => {}
                Some(Err(_)) => events = None,
                None => self.wait_for_a_socket(pause),
            }
        }
    }

    /// Waits until every configured input is live.
    pub fn wait_live(&self, time: Duration) -> Value {
        self.wait_until("all inputs live", time, |snapshot| {
            let inputs = snapshot["inputs"].as_array();
            inputs.is_some_and(|all| !all.is_empty() && all.iter().all(|input| input["state"] == "live"))
        })
    }

    /// The worker of `input` by the snapshot.
    pub fn worker_pid(&self, input: &str) -> u32 {
        let pid = find_input(&self.status(), input)["worker"]["pid"].as_u64();
        u32::try_from(pid.unwrap_or_else(|| panic!("{input} has no worker"))).expect("a pid")
    }

    /// Sends a signal to a process of this recorder (and to no other).
    pub fn signal(&self, pid: u32, signal: Signal) {
        process::signal_marked(pid, &self.runtime(), signal);
    }

    /// Waits until a process of this recorder has ended; `false` = it still runs.
    pub fn ended(&self, pid: u32, time: Duration) -> bool {
        process::ended(pid, &self.runtime(), time)
    }

    /// Every process of this recorder that runs, whoever started it.
    pub fn processes(&self) -> Vec<u32> {
        process::marked(&self.runtime())
    }

    /// The session folders, oldest first.
    pub fn sessions(&self) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = entries(&self.library()).into_iter().filter(|path| path.is_dir()).collect();
        found.sort();
        found
    }

    /// The newest session folder.
    pub fn session(&self) -> PathBuf {
        self.sessions().pop().expect("a session was started")
    }

    /// The media files of a session, by name.
    pub fn media(&self, session: &Path) -> Vec<PathBuf> {
        let media = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "mp4" || extension == "mkv");
        let mut found: Vec<PathBuf> = entries(session).into_iter().filter(media).collect();
        found.sort();
        found
    }

    /// Waits until something appears in the runtime folder, at most `time`.
    fn wait_for_a_socket(&self, time: Duration) {
        wait_for_change(&self.runtime(), time);
    }
}

impl Drop for Holdfast {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.as_mut() {
            engine.signal(Signal::KILL);
        }
        let left = process::reap(&self.runtime());
        self.engine = None;
        if std::thread::panicking() {
            let kept = self.folder.take().map(tempfile::TempDir::keep);
            eprintln!("kept for a look: {kept:?}\nend of its engine log:\n{}", process::tail(&self.log(), 60));
        } else {
            assert!(left.is_empty(), "processes {left:?} do not die");
        }
    }
}

/// The input `id` of a snapshot.
pub fn find_input<'a>(snapshot: &'a Value, id: &str) -> &'a Value {
    let inputs = snapshot["inputs"].as_array().into_iter().flatten();
    inputs.into_iter().find(|input| input["id"] == id).unwrap_or(&Value::Null)
}

pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Lets GStreamer write its plugin registry once, before many workers would each do it.
fn registry() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| gst::init().expect("GStreamer is installed"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorder_has_folders_of_its_own_and_leaves_nothing() {
        let holdfast = Holdfast::new(&test_inputs(2, "auto"));
        let config = std::fs::read_to_string(holdfast.config()).expect("written");
        assert!(config.starts_with("version = 1\n[library]") && config.contains("id = \"cam2\""));
        assert!(holdfast.socket().as_os_str().len() < 60 && holdfast.try_status().is_err());
        let mut command = holdfast.command("tail");
        let running = Running::start("tail", command.args(["-f", "/dev/null"]));
        // Its environment can be read a moment after exec has let its parent go on.
        let deadline = Deadline::after(Duration::from_secs(5));
        while holdfast.processes() != [running.pid()] {
            assert!(deadline.left().is_some(), "{:?}", holdfast.processes());
        }
        assert!(!holdfast.ended(running.pid(), Duration::ZERO));
        let root = holdfast.root().to_owned();
        drop(holdfast);
        assert!(!running.runs() && !root.exists());
    }

    #[test]
    fn an_input_is_found_by_its_id() {
        let snapshot = serde_json::json!({"inputs": [{"id": "cam1", "state": "live"}]});
        assert_eq!(find_input(&snapshot, "cam1")["state"], "live");
        assert!(find_input(&snapshot, "cam2").is_null());
    }
}

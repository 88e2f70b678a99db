//! Processes a test starts, and everything those start in turn.
//!
//! Contract: every process carries `HOLDFAST_RUNTIME_DIR` of its test in its environment. That mark, not a name,
//! decides what [`reap`] ends, so nothing of anybody else is ever touched; signals go through pidfds.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The variable that marks a process as belonging to one test.
pub const MARK: &str = "HOLDFAST_RUNTIME_DIR";
/// A killed process is gone within milliseconds; a frozen file system may hold it. Past this the test says so.
const GONE_WITHIN: Duration = Duration::from_secs(5);
/// `execve` has its new memory filled within microseconds of running. What shows no environment for this long has none
/// (there is hardly ever such a process: each costs this time whenever all are looked at). A process that goes on being
/// this program is another run of it.
const EXECVE_WITHIN: Duration = Duration::from_millis(300);

/// A point in time after which a test gives up.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant, Duration);

impl Deadline {
    /// `time` from now.
    pub fn after(time: Duration) -> Self {
        Self(Instant::now(), time)
    }

    /// What is left, `None` when it has passed.
    pub fn left(&self) -> Option<Duration> {
        self.1.checked_sub(self.0.elapsed()).filter(|left| !left.is_zero())
    }

    /// Time since it was set.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Waits until `fd` is readable, at most `time`. `true` = readable.
pub fn readable(fd: impl AsFd, time: Duration) -> bool {
    let time = Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: i64::from(time.subsec_nanos()) };
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    matches!(poll(&mut fds, Some(&time)), Ok(ready) if ready > 0)
}

/// A child of the test; ended when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    pidfd: OwnedFd,
    what: String,
}

impl Running {
    /// Starts `command`; `what` names it in messages.
    pub fn start(what: &str, command: &mut Command) -> Self {
        Self::try_start(what, command).unwrap_or_else(|error| panic!("{what} does not start: {error}"))
    }

    fn try_start(what: &str, command: &mut Command) -> std::io::Result<Self> {
        let child = command.spawn()?;
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).expect("a child has a pidfd until reaped");
        Ok(Self { child, pidfd, what: what.to_owned() })
    }

    /// Starts `command` and waits for the first line it prints, at most `time`.
    pub fn start_and_hear(what: &str, command: &mut Command, time: Duration) -> (Self, String) {
        let (mut said, stdout) = std::io::pipe().expect("a pipe");
        let running = Self::start(what, command.stdout(stdout));
        // The command keeps the writing end until it gets another output.
        command.stdout(Stdio::null());
        let (mut line, mut buffer) = (String::new(), [0; 256]);
        while !line.contains('\n') {
            assert!(readable(&said, time), "{what} says nothing within {time:?}");
            let count = said.read(&mut buffer).unwrap_or(0);
            assert!(count > 0, "{what} ended at once; it said {line:?}");
            line.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        (running, line.lines().next().unwrap_or_default().to_owned())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal; no effect once it has ended.
    pub fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.pidfd, signal);
    }

    /// Whether it still runs.
    pub fn runs(&self) -> bool {
        !readable(&self.pidfd, Duration::ZERO)
    }

    /// Its exit status, waiting at most `time`; `None` = still running.
    pub fn wait(&mut self, time: Duration) -> Option<ExitStatus> {
        if !readable(&self.pidfd, time) {
            return None;
        }
        self.child.wait().ok()
    }

    /// SIGKILL, and wait until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        assert!(self.wait(GONE_WITHIN).is_some(), "{} does not die", self.what);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.wait(GONE_WITHIN);
    }
}

/// What a finished command said.
#[derive(Debug, Clone)]
pub struct Output {
    /// Exit code, `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// The standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}) in {self:#?}"))
    }
}

/// Runs `command` to its end, at most `time`; its output goes through files in `folder`, so a grandchild that
/// keeps them open holds nobody up.
pub fn run(what: &str, command: &mut Command, folder: &Path, time: Duration) -> Output {
    try_run(what, command, folder, time).unwrap_or_else(|why| panic!("{why}"))
}

/// The same for who must not panic; an error says why it was not run to its end.
pub fn try_run(what: &str, command: &mut Command, folder: &Path, time: Duration) -> Result<Output, String> {
    let told = |error: std::io::Error| format!("{what} does not start: {error}");
    let stdout = tempfile::NamedTempFile::new_in(folder).map_err(told)?;
    let stderr = tempfile::NamedTempFile::new_in(folder).map_err(told)?;
    let again = |file: &tempfile::NamedTempFile| file.reopen().map(Stdio::from).map_err(told);
    command.stdin(Stdio::null()).stdout(again(&stdout)?).stderr(again(&stderr)?);
    let mut running = Running::try_start(what, command).map_err(told)?;
    let ended = running.wait(time);
    let text = |file: &tempfile::NamedTempFile| {
        String::from_utf8_lossy(&std::fs::read(file.path()).unwrap_or_default()).into_owned()
    };
    let (stdout, stderr) = (text(&stdout), text(&stderr));
    let status = ended.ok_or_else(|| format!("{what} did not end within {time:?}\n{stdout}\n{stderr}"))?;
    Ok(Output { code: status.code(), stdout, stderr })
}

/// The processes marked with `runtime`, by pid.
pub fn marked(runtime: &Path) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|&pid| is_marked(pid, runtime))
        .collect()
}

/// Whether `pid` carries the mark `runtime`. A zombie carries none.
pub fn is_marked(pid: u32, runtime: &Path) -> bool {
    let mark = format!("{MARK}={}", runtime.display());
    environment(pid).split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes())
}

/// The variables of `pid`, each ended by NUL; empty where there are none to read. It is asked again until they are as
/// many bytes as it has: within `execve` a process has none for some microseconds, and one that passed it while it was
/// read shows some of them. `spawn` may return before that even, when the child still shows the memory of this process.
fn environment(pid: u32) -> Vec<u8> {
    let ours = std::fs::read_link("/proc/self/exe").ok();
    let deadline = Deadline::after(EXECVE_WITHIN);
    loop {
        let last = deadline.left().is_none();
        // A zombie and a thread of the kernel have no program, what belongs to another user does not show it.
        let Ok(program) = std::fs::read_link(format!("/proc/{pid}/exe")) else { return Vec::new() };
        let variables = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let whole = !variables.is_empty() && environment_size(pid) == Some(variables.len());
        // No test starts the program of the tests: who runs it has only been forked.
        let forked = pid != std::process::id() && ours.as_ref() == Some(&program);
        if last || whole && !forked {
            return variables;
        }
        std::thread::yield_now();
    }
}

/// How many bytes the environment of `pid` has, `None` when it has ended.
fn environment_size(pid: u32) -> Option<usize> {
    // Fields 50 and 51 of `stat`, counted from the third: the second is a name and may contain blanks.
    const ENV_START: usize = 50 - 3;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut place = stat.rsplit_once(") ")?.1.split(' ').skip(ENV_START);
    let mut address = || place.next()?.parse::<usize>().ok();
    let (start, end) = (address()?, address()?);
    end.checked_sub(start)
}

/// Opens `pid` if (still) marked; the mark is asked after the pidfd is held, so the pid cannot be somebody else's.
fn open_marked(pid: u32, runtime: &Path) -> Option<OwnedFd> {
    let fd = pidfd_open(Pid::from_raw(pid.cast_signed())?, PidfdFlags::empty()).ok()?;
    is_marked(pid, runtime).then_some(fd)
}

/// Sends `signal` to `pid`, which must be marked with `runtime`.
pub fn signal_marked(pid: u32, runtime: &Path, signal: Signal) {
    let fd = open_marked(pid, runtime).unwrap_or_else(|| panic!("process {pid} is not one of this test's"));
    pidfd_send_signal(&fd, signal).unwrap_or_else(|error| panic!("process {pid} takes no signal: {error}"));
}

/// Waits until `pid` (marked with `runtime`) has ended; `true` = it has.
pub fn ended(pid: u32, runtime: &Path, time: Duration) -> bool {
    open_marked(pid, runtime).is_none_or(|fd| readable(&fd, time))
}

/// Ends every process marked with `runtime`, also those that start meanwhile. Returns those that would not go.
pub fn reap(runtime: &Path) -> Vec<u32> {
    let deadline = Deadline::after(GONE_WITHIN);
    loop {
        let fds: Vec<OwnedFd> = marked(runtime).into_iter().filter_map(|pid| open_marked(pid, runtime)).collect();
        for fd in &fds {
            let _ = pidfd_send_signal(fd, Signal::KILL);
        }
        let Some(left) = deadline.left() else { return marked(runtime) };
        if fds.is_empty() {
            return Vec::new();
        }
        for fd in &fds {
            readable(fd, left);
        }
    }
}

/// A file for the output of a process that goes on, appended to.
pub fn log_file(path: &Path) -> Stdio {
    let file = File::options().create(true).append(true).open(path);
    Stdio::from(file.unwrap_or_else(|error| panic!("{} cannot be written: {error}", path.display())))
}

/// The last `lines` of a text file, for messages.
pub fn tail(path: &Path, lines: usize) -> String {
    let text = std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// `name` on the search path, `None` if it is not installed.
pub fn program(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[test]
    fn whatever_carries_the_mark_is_ended_and_nothing_else() {
        let ours = tempfile::tempdir().expect("a folder");
        let quiet = |mark: &Path| {
            let mut command = Command::new("sh");
            // A grandchild in a session of its own, as a worker is, and then the child ends.
            command.args(["-c", "setsid tail -f /dev/null & echo started; exec tail -f /dev/null"]);
            command.env(MARK, mark).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            Running::start("a quiet process", &mut command)
        };
        let (inside, outside) = (quiet(ours.path()), quiet(Path::new("/nowhere")));
        assert_eq!(reap(ours.path()), Vec::<u32>::new());
        assert!(!inside.runs() && outside.runs());
        assert!(marked(ours.path()).is_empty());
        assert!(reap(Path::new("/nowhere")).is_empty());
    }

    /// CI once found a process unmarked that had just been started, and let it live on.
    #[test]
    fn a_process_carries_its_mark_while_it_changes_its_program() {
        let ours = tempfile::tempdir().expect("a folder");
        for _ in 0..50 {
            let mut command = Command::new("sh");
            command.args(["-c", "exec sh -c 'exec tail -f /dev/null'"]);
            command.env(MARK, ours.path()).stdin(Stdio::null()).stdout(Stdio::null());
            let mut changing = Running::start("a changing process", &mut command);
            let program = format!("/proc/{}/comm", changing.pid());
            let deadline = Deadline::after(SOON);
            while std::fs::read_to_string(&program).is_ok_and(|name| name.trim() != "tail") {
                assert!(is_marked(changing.pid(), ours.path()), "unmarked {:?} after its start", deadline.elapsed());
                assert!(deadline.left().is_some(), "it does not become tail");
            }
            changing.kill();
            assert!(!is_marked(changing.pid(), ours.path()), "what is dead carries no mark");
        }
    }

    #[test]
    fn a_command_is_heard_and_a_silent_one_is_given_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let output = run("sh", Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]), folder.path(), SOON);
        assert_eq!((output.code, output.stdout.trim(), output.stderr.trim()), (Some(3), "out", "err"));
        let late =
            try_run("tail", Command::new("tail").args(["-f", "/dev/null"]), folder.path(), Duration::from_millis(10));
        assert!(late.is_err_and(|why| why.contains("tail did not end within 10ms")), "nobody waits for ever");
        let absent = try_run("nothing", &mut Command::new("/nowhere/nothing"), folder.path(), SOON);
        assert!(absent.is_err_and(|why| why.contains("nothing does not start")));
        let mut silent = Running::start("tail", Command::new("tail").args(["-f", "/dev/null"]).stdin(Stdio::null()));
        assert!(silent.wait(Duration::from_millis(10)).is_none());
        silent.kill();
        assert!(!silent.runs());
    }
}

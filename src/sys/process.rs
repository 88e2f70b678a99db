//! Starting, watching and ending other roles of this program, and what they use.
//!
//! Contract: the only place that spawns. A child is this very program (`/proc/self/exe`, also when the file was
//! replaced meanwhile; [`ask`] alone starts another one), in a session of its own, with the environment and standard error of the parent. Ending
//! goes through a pidfd, so a process id that was reused is never hit.

pub use super::priority::Priority;

use super::priority::ForChild;
use super::procfs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// A child that runs until it is seen to exit.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pidfd: OwnedFd,
}

impl Process {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A handle that can be signalled while somebody else waits for it.
    pub fn handle(&self) -> io::Result<Handle> {
        Ok(Handle { pidfd: self.pidfd.try_clone()? })
    }

    /// How it ended (`exit status: 0`, `signal: 9 (SIGKILL)`), `None` while it runs. Reaps it.
    pub fn ended(&mut self) -> io::Result<Option<String>> {
        Ok(self.child.try_wait()?.map(|status| status.to_string()))
    }

    /// Waits for its end, reaps it, and says how it ended. Blocks this thread for as long as it takes.
    pub fn wait_here(mut self) -> io::Result<String> {
        Ok(self.child.wait()?.to_string())
    }

    /// Waits for its end on the loop of Tokio, reaps it, and says how it ended.
    #[allow(unsafe_code, reason = "the descriptor's lifetime is promised below")]
    pub async fn wait(self) -> io::Result<String> {
        // SAFETY: the descriptor belongs to the value that is registered and is closed only when that is dropped.
        let mut process = unsafe { AsyncFd::register(self) }.map_err(io::Error::from)?;
        loop {
            // A pidfd becomes readable once and stays so.
            process.readable().await?.clear_ready();
            if let Some(how) = process.get_mut().ended()? {
                return Ok(how);
            }
        }
    }
}

impl AsRawFd for Process {
    /// Becomes readable when the process ends.
    fn as_raw_fd(&self) -> RawFd {
        self.pidfd.as_raw_fd()
    }
}

/// Something a process can be ended through, whoever its parent is.
#[derive(Debug)]
pub struct Handle {
    pidfd: OwnedFd,
}

impl Handle {
    /// The process at the other end of a connected Unix socket: the one that connected, or that called listen.
    pub fn of_peer(socket: impl AsFd) -> io::Result<Self> {
        if let Some(pidfd) = super::unix_listener::peer_pidfd(socket.as_fd()) {
            return Ok(Self { pidfd });
        }
        Self::of_peer_by_number(socket)
    }

    /// The same on a kernel before 6.5, which names only a number.
    fn of_peer_by_number(socket: impl AsFd) -> io::Result<Self> {
        let Some(pid) = Pid::from_raw(super::unix_listener::peer(&socket)?.pid) else {
            return Err(io::Error::other("it is of a process namespace we cannot see into"));
        };
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        // The number may have been given to another process meanwhile, but not while the peer holds its end.
        let mut peer = [PollFd::new(&socket, PollFlags::RDHUP)];
        poll(&mut peer, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
        if peer[0].revents().intersects(PollFlags::HUP | PollFlags::RDHUP | PollFlags::ERR) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(Self { pidfd })
    }

    /// Whether it has ended, or does within `time`. Blocks.
    pub fn wait_end(&self, time: Duration) -> io::Result<bool> {
        let timeout = Timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(time.subsec_nanos()),
        };
        loop {
            match poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(&timeout)) {
                Err(rustix::io::Errno::INTR) => {}
                ended => return Ok(ended? > 0),
            }
        }
    }

    /// Asks it to leave (SIGTERM). A process that has gone is no error.
    pub fn terminate(&self) -> io::Result<()> {
        self.signal(Signal::TERM)
    }

    /// Ends it (SIGKILL). A process that has gone is no error.
    pub fn kill(&self) -> io::Result<()> {
        self.signal(Signal::KILL)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Starts this program with `args`; standard input and output are closed.
pub fn spawn<S: AsRef<OsStr>>(args: &[S], priority: Priority) -> io::Result<Process> {
    let mut command = this_program(args, priority);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let pidfd = match open_child(&child) {
        Ok(pidfd) => pidfd,
        Err(error) => {
            // Without a pidfd it could not be supervised: better none than a stray one.
            let mut child = child;
            child.kill()?;
            child.wait()?;
            return Err(error);
        }
    };
    Ok(Process { child, pidfd })
}

/// How [`Process::wait`] and [`Process::ended`] call a proper end.
pub const SUCCESS: &str = "exit status: 0";

/// Starts this program with `args` and hands over what it prints; its standard input is closed.
pub fn spawn_heard<S: AsRef<OsStr>>(args: &[S], priority: Priority) -> io::Result<(Process, ChildStdout)> {
    let mut child = this_program(args, priority).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take();
    match (open_child(&child), output) {
        (Ok(pidfd), Some(output)) => Ok((Process { child, pidfd }, output)),
        (pidfd, _) => {
            // Without either it could not be followed: better none than a stray one.
            child.kill()?;
            child.wait()?;
            Err(pidfd.err().unwrap_or_else(|| io::Error::other("a child without the pipe it was given")))
        }
    }
}

/// What a program that ran to its end left.
#[derive(Debug)]
pub struct Finished {
    /// It ended with exit code 0.
    pub success: bool,
    /// Its standard output.
    pub output: Vec<u8>,
}

/// A killed program has ended within this, unless a disk holds it.
const KILLED_WITHIN: Duration = Duration::from_secs(5);

/// Runs this program with `args` to its end. Blocks up to `deadline`, then kills it, and leaves it to a thread if a disk
/// holds it even then; ended by a signal is an error.
pub fn run<S: AsRef<OsStr>>(args: &[S], priority: Priority, deadline: Duration) -> io::Result<Finished> {
    finish(this_program(args, priority).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?, deadline)
}

/// Runs a program that is not ours with `args` to its end, as [`run`] does; what it says on standard error is lost.
#[allow(clippy::disallowed_methods, reason = "the one place that starts programs")]
pub fn ask<S: AsRef<OsStr>>(program: &OsStr, args: &[S], deadline: Duration) -> io::Result<Finished> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    finish(command.spawn()?, deadline)
}

fn finish(mut child: Child, deadline: Duration) -> io::Result<Finished> {
    let pidfd = open_child(&child)?;
    // Read beside waiting: a full pipe would hold the child for ever.
    let output = child.stdout.take().map(|mut pipe| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.read_to_end(&mut bytes).map(|_| bytes)
        })
    });
    let in_time = ends_within(&pidfd, deadline)?;
    let late = || Err(io::Error::new(io::ErrorKind::TimedOut, format!("not done within {} s", deadline.as_secs())));
    if !in_time {
        child.kill()?;
        if !ends_within(&pidfd, KILLED_WITHIN)? {
            std::thread::spawn(move || child.wait());
            return late();
        }
    }
    let status = child.wait()?;
    let output = match output.map(std::thread::JoinHandle::join) {
        Some(Ok(bytes)) => bytes?,
        _ => Vec::new(),
    };
    match status.code() {
        _ if !in_time => late(),
        Some(code) => Ok(Finished { success: code == 0, output }),
        None => Err(io::Error::other(format!("it ended with {status}"))),
    }
}

fn ends_within(pidfd: &OwnedFd, deadline: Duration) -> io::Result<bool> {
    let timeout = Timespec { tv_sec: i64::try_from(deadline.as_secs()).unwrap_or(i64::MAX), tv_nsec: 0 };
    loop {
        match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other? > 0),
        }
    }
}

fn open_child(child: &Child) -> io::Result<OwnedFd> {
    Ok(pidfd_open(Pid::from_child(child), PidfdFlags::empty())?)
}

#[allow(unsafe_code, reason = "pre_exec: session and priority must be set before the program starts")]
#[allow(clippy::disallowed_methods, reason = "the one place that starts programs")]
fn this_program<S: AsRef<OsStr>>(args: &[S], priority: Priority) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("holdfast").args(args);
    let wishes = ForChild::new(priority);
    // SAFETY: between fork and exec only async-signal-safe calls are made: setsid is a plain system call, `apply`
    // promises the same of its own; nothing is allocated and no lock is taken.
    unsafe {
        command.pre_exec(move || {
            rustix::process::setsid()?;
            wishes.apply();
            Ok(())
        });
    }
    command
}

/// What a process has used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory in bytes.
    pub rss_bytes: u64,
    /// Processor time, user and system.
    pub cpu: Duration,
    /// When it was started, in ticks since boot: with its number it tells it from every other process of this boot.
    pub started: u64,
}

/// Usage of `pid`, `None` when it has gone, or cannot be seen.
pub fn usage_of(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(procfs::of(pid)?.join("stat")).ok()?;
    let number = |field| stat_field(&stat, field)?.parse::<u64>().ok();
    let (ticks, started) = (number(STAT_UTIME)? + number(STAT_STIME)?, number(STAT_STARTED)?);
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let page = u64::try_from(rustix::param::page_size()).ok()?;
    let cpu = Duration::from_millis(ticks * 1000 / per_second);
    Some(Usage { rss_bytes: number(STAT_RSS)? * page, cpu, started })
}

/// How long a thread of `pid` has run so far, `None` when it has gone or the kernel does not count it.
pub fn thread_ran(pid: u32, tid: u32) -> Option<Duration> {
    let counted = fs::read_to_string(procfs::tasks_of(pid)?.join(tid.to_string()).join("schedstat")).ok()?;
    Some(Duration::from_nanos(counted.split_ascii_whitespace().next()?.parse().ok()?))
}

/// Processors that can run something.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

// Fields of /proc/PID/stat counted from 0 behind the parenthesised name (proc_pid_stat(5) numbers minus 3).
const STAT_UTIME: usize = 11;
const STAT_STIME: usize = 12;
const STAT_STARTED: usize = 19;
const STAT_RSS: usize = 21;

/// The name may hold spaces and parentheses, so fields are counted from its last `)`.
fn stat_field(stat: &str, field: usize) -> Option<&str> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(field)
}

/// The id of the calling thread.
pub fn own_thread() -> u32 {
    u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).unwrap_or_default()
}

/// Names this process for `ps` and `top`: started through `/proc/self/exe` it would be called `exe`.
pub fn set_name(name: &std::ffi::CStr) {
    // A name is a help for people; nothing depends on it.
    let _ = rustix::thread::set_name(name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_numbers_are_read() {
        let pid = std::process::id();
        let usage = usage_of(pid).expect("we live");
        assert!(usage.rss_bytes > 100_000);
        // Since boot, before now, and the same whenever it is asked.
        let uptime = fs::read_to_string("/proc/uptime").expect("Linux says");
        let uptime: f64 = uptime.split(' ').next().and_then(|seconds| seconds.parse().ok()).expect("seconds");
        let since = usage.started as f64 / rustix::param::clock_ticks_per_second() as f64;
        assert!(since > 0.0 && since <= uptime + 1.0, "{since} of {uptime}");
        assert_eq!(usage_of(pid).expect("we live").started, usage.started);
    }

    #[test]
    fn who_connected_is_known_by_number_or_not_at_all() {
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let handle = Handle::of_peer_by_number(&ours).expect("it is us");
        assert!(!handle.wait_end(Duration::ZERO).expect("asked"), "we live");
        // From a sandbox: whoever listens there is outside.
        let Ok(path) = std::env::var(OUTSIDE) else { return };
        let stream = std::os::unix::net::UnixStream::connect(path).expect("somebody listens");
        let unseen = Handle::of_peer_by_number(&stream).expect_err("it cannot be seen").to_string();
        assert!(unseen.contains("process namespace"), "{unseen}");
    }

    /// Where the socket of somebody outside is.
    const OUTSIDE: &str = "HOLDFAST_TEST_OUTSIDE";

    #[test]
    fn also_from_a_sandbox() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.sock");
        let _listener = super::super::unix_listener::bind_private(&path).expect("bound");
        let test = "sys::process::tests::who_connected_is_known_by_number_or_not_at_all";
        super::super::sandbox::runs(test, &[(OUTSIDE, path.as_os_str())]);
    }

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 -10 17";
        assert_eq!(stat_field(stat, 0), Some("S"));
        assert_eq!(stat_field(stat, 16), Some("-10"));
    }
}

//! A program of the operator's that is told about something: run once, at idle priority, with a time limit.
//!
//! Contract: in a session of its own, with nothing of ours but standard error; when it has ended, or after the limit,
//! it and what it started in that session are killed. When we end, however, it is killed by the kernel; nobody is left
//! then to end what it has started itself. Whatever it does never reaches a recording.

use super::clock::mono_now;
use super::priority::{ForChild, Priority};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A killed program has ended within this, unless a disk holds it.
const KILLED_WITHIN: Duration = Duration::from_secs(1);

/// Runs `command` (program and arguments) with these variables on top of our own. Blocks up to `limit` and a second; an
/// error says why it did not end well. This thread stays here for as long as the program runs: the program's life hangs
/// on the thread that has forked it, not on the process (`PR_SET_PDEATHSIG`).
pub fn run(command: &[String], variables: &[(&str, String)], limit: Duration) -> io::Result<()> {
    let mut child = start(command, variables)?;
    let pid = Pid::from_child(&child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from);
    let in_time = pidfd.as_ref().map_err(again).and_then(|pidfd| ends_within(pidfd, limit));
    // Whatever came of that, also what it left behind. The group is still its own, because nobody has waited for it.
    let killed = match kill_process_group(pid, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(io::Error::from(error)),
    };
    let gone = pidfd.as_ref().map_err(again).and_then(|pidfd| ends_within(pidfd, KILLED_WITHIN));
    let in_time = in_time.and_then(|in_time| killed.and(gone).map(|_| in_time));
    let ended = child.try_wait()?;
    if ended.is_none() {
        // A disk holds it in the kernel: whoever waits for it must not be somebody we need.
        std::thread::spawn(move || child.wait());
    }
    match (in_time?, ended) {
        (true, Some(status)) if status.success() => Ok(()),
        (true, Some(status)) => Err(io::Error::other(format!("it ended with {status}"))),
        (true, None) => Err(io::Error::other("how it ended is not known")),
        (false, Some(_)) => {
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("it was ended after {} s", limit.as_secs())))
        }
        (false, None) => Err(io::Error::new(io::ErrorKind::TimedOut, "it cannot be ended")),
    }
}

#[allow(unsafe_code, reason = "pre_exec: session, priority and signal must be set before the program starts")]
#[allow(clippy::disallowed_methods, reason = "programs are started in sys")]
fn start(command: &[String], variables: &[(&str, String)]) -> io::Result<Child> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).envs(variables.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let (wishes, parent) = (ForChild::new(Priority::Idle), Some(rustix::process::getpid()));
    // SAFETY: between fork and exec only plain system calls are made; nothing is allocated and no lock is taken.
    unsafe {
        command.pre_exec(move || {
            rustix::process::setsid()?;
            wishes.apply();
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            // Whoever has ended before that sends no signal any more.
            let orphan = rustix::process::getppid() != parent;
            if orphan { Err(rustix::io::Errno::SRCH.into()) } else { Ok(()) }
        });
    }
    command.spawn()
}

/// The same error for a second question.
fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

fn ends_within(pidfd: &rustix::fd::OwnedFd, limit: Duration) -> io::Result<bool> {
    let until = mono_now().plus(limit);
    loop {
        // A signal begins the wait anew, not the limit.
        let left = until.since(mono_now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other? > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, OFlags};

    fn sh(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[test]
    fn it_is_told_and_how_it_ends_is_known() {
        let folder = tempfile::tempdir().expect("a folder");
        let told = folder.path().join("told");
        let script = format!("echo \"$HOLDFAST_ALERT_CODE $(nice)\" > {}", told.display());
        let variables = [("HOLDFAST_ALERT_CODE", "disk_full".to_owned())];
        run(&sh(&script), &variables, Duration::from_secs(10)).expect("it runs");
        assert_eq!(std::fs::read_to_string(told).expect("it wrote").trim(), "disk_full 19");
        let failed = run(&sh("exit 3"), &[], Duration::from_secs(10)).expect_err("it failed");
        assert!(failed.to_string().contains("exit status: 3"), "{failed}");
        assert!(run(&["/nowhere/at-all".to_owned()], &[], Duration::from_secs(1)).is_err());
        assert!(run(&[], &[], Duration::from_secs(1)).is_err());
    }

    /// Its life hangs on the thread that has forked it: another one of the process may come and go.
    #[test]
    fn it_is_not_ended_by_the_end_of_another_thread() {
        let folder = tempfile::tempdir().expect("a folder");
        let ran = std::thread::scope(|threads| {
            let (said, hears) = std::sync::mpsc::channel();
            let pipe = folder.path().join("go");
            let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
            assert!(made.success());
            let script = sh(&format!("read go < {}", pipe.display()));
            threads.spawn(move || said.send(run(&script, &[], Duration::from_secs(10))));
            // Refused until somebody reads: it runs. Then threads end beside it.
            let began = super::super::clock::mono_now();
            let open = || rustix::fs::open(&pipe, OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty());
            let mut writer = loop {
                match open() {
                    Ok(writer) => break std::fs::File::from(writer),
                    Err(error) => assert_eq!(error, rustix::io::Errno::NXIO),
                }
                assert!(super::super::clock::mono_now().since(began) < Duration::from_secs(10), "nobody reads");
                std::thread::yield_now();
            };
            (0..3).for_each(|_| threads.spawn(|| {}).join().expect("it ends"));
            std::io::Write::write_all(&mut writer, b"on\n").expect("it is read");
            hears.recv_timeout(Duration::from_secs(15)).expect("it ends")
        });
        ran.expect("nobody has ended it");
    }

    #[test]
    fn one_that_hangs_is_ended_with_what_it_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let child = folder.path().join("child");
        let script = format!("tail -f /dev/null & echo $! > {}; wait", child.display());
        let began = super::super::clock::mono_now();
        // Long enough for a shell to start beside everything else a busy machine does.
        let late = run(&sh(&script), &[], Duration::from_secs(2)).expect_err("it hangs");
        assert_eq!(late.kind(), io::ErrorKind::TimedOut, "{late}");
        assert!(super::super::clock::mono_now().since(began) < Duration::from_secs(5));
        let pid: u32 = std::fs::read_to_string(child).expect("it wrote").trim().parse().expect("a pid");
        // Its new parent may not have looked yet, and signals take their time.
        while super::super::usage::of(pid).is_some_and(|usage| !usage.zombie) {
            assert!(super::super::clock::mono_now().since(began) < Duration::from_secs(10), "what it started lives on");
            std::thread::yield_now();
        }
    }
}

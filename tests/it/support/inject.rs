//! Faults put into one process or one disk: calls that are refused or held up, room that is taken.
//!
//! Contract: dropping what is in here lets go of the process, and gives the room back. Where the machine has no strace, or
//! lets nobody use it, it is said so, and there is `None`.

use super::process::{self, Running};
use super::skip::skip;
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// strace attaches to every thread of a worker; each stops for it.
const ATTACHED_WITHIN: Duration = Duration::from_secs(10);
/// What it says where it may not.
const FORBIDDEN: [&str; 3] = ["Operation not permitted", "Permission denied", "Function not implemented"];
/// It lets go of one that it holds up once it may go on, at the latest when it is killed.
const LETS_GO_WITHIN: Duration = Duration::from_secs(20);

/// Takes room on a disk, until it is dropped.
#[derive(Debug)]
pub struct Filler(PathBuf);

impl Filler {
    /// Takes all there is on the disk of `dir`.
    pub fn fill(dir: &Path) -> Self {
        use std::io::Write;
        let path = dir.join("filler");
        let mut file = std::fs::File::create(&path).expect("a file");
        let mut block = vec![0; 1 << 20];
        // Down to the last page: with smaller and smaller pieces.
        while !block.is_empty() {
            if file.write_all(&block).is_err() {
                block.truncate(block.len() / 2);
            }
        }
        Self(path)
    }

    /// Leaves `bytes` of it.
    pub fn leave(dir: &Path, bytes: u64) -> Self {
        let path = dir.join("filler");
        let room = rustix::fs::statvfs(dir).map(|stat| stat.f_bavail * stat.f_frsize).expect("a disk");
        let file = std::fs::File::create(&path).expect("a file");
        let taken = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, room.saturating_sub(bytes));
        taken.expect("there is room");
        Self(path)
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// Calls that are refused or held up, until it is dropped.
#[derive(Debug)]
pub struct Injected {
    strace: Running,
    /// What it says of every new thread; a closed pipe would kill it.
    _said: std::io::PipeReader,
}

impl Injected {
    /// `inject` (`pwritev:error=EIO`, …) for every call of every thread of `pid` that is about one of `files`.
    pub fn into_files(pid: u32, inject: &str, files: &[PathBuf]) -> Option<Self> {
        let mut command = Command::new("strace");
        command.args(["-f", "-p", &pid.to_string()]);
        for file in files {
            command.arg("-P").arg(file);
        }
        Self::attach(command, inject)
    }

    /// The same for every such call of one thread.
    pub fn into_thread(tid: u32, inject: &str) -> Option<Self> {
        let mut command = Command::new("strace");
        command.args(["-p", &tid.to_string()]);
        Self::attach(command, inject)
    }

    fn attach(mut command: Command, inject: &str) -> Option<Self> {
        if process::program("strace").is_none() {
            skip("there is no strace to refuse calls");
            return None;
        }
        let calls = inject.split(':').next().unwrap_or_default();
        command.args(["-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", &format!("inject={inject}")]);
        // It says that it is attached on its standard error.
        let (mut said, stderr) = std::io::pipe().expect("a pipe");
        let running = Running::start("strace", command.stdout(Stdio::null()).stderr(stderr));
        drop(command);
        let mut line = [0; 256];
        assert!(process::readable(&said, ATTACHED_WITHIN), "strace says nothing");
        let count = std::io::Read::read(&mut said, &mut line).unwrap_or(0);
        let line = String::from_utf8_lossy(&line[..count]).into_owned();
        if FORBIDDEN.iter().any(|word| line.contains(word)) {
            skip(&format!("this machine lets nobody trace a process: {}", line.trim()));
            return None;
        }
        assert!(line.contains("attached"), "strace: {line}");
        Some(Self { strace: running, _said: said })
    }
}

impl Drop for Injected {
    fn drop(&mut self) {
        // It lets go of what it holds, if there still is such a thing; killed, it would leave threads stopped.
        self.strace.signal(Signal::INT);
        let _ = self.strace.wait(LETS_GO_WITHIN);
    }
}

/// The thread of `pid` whose name begins with `name`.
pub fn thread_named(pid: u32, name: &str) -> u32 {
    find_thread(pid, name).unwrap_or_else(|| panic!("process {pid} has no thread {name}"))
}

/// Whether `pid` has a thread whose name begins with `name` just now.
pub fn has_thread(pid: u32, name: &str) -> bool {
    find_thread(pid, name).is_some()
}

fn find_thread(pid: u32, name: &str) -> Option<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let is_it = |task: &std::fs::DirEntry| {
        std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.starts_with(name))
    };
    let mut found = tasks.filter(is_it).filter_map(|task| task.file_name().to_str()?.parse().ok());
    found.next()
}

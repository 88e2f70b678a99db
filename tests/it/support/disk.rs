//! Disks of a test's own: small ones, ones with a quota, ones that freeze, turn read-only or vanish; and calls of one
//! process that are refused or held up.
//!
//! Contract: whatever a test does or fails to do, dropping what is in here thaws, unmounts and detaches it, and lets go of
//! the process. Where the system does not allow such a thing it says so, and there is `None`.

use super::process::{self, Running};
use super::skip::skip;
use rustix::process::Signal;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// `mount`, `umount` and `mkfs` take a second at most on a machine under load.
pub const DONE_WITHIN: Duration = Duration::from_secs(20);
/// strace attaches to every thread of a worker; each stops for it.
const ATTACHED_WITHIN: Duration = Duration::from_secs(10);

fn may_mount() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skip("only root can mount a disk of its own");
    }
    root
}

/// Runs `program` to its end; what it printed, if it succeeded.
fn tool(program: &str, args: &[&OsStr]) -> Result<String, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let done = process::run(program, Command::new(program).args(args), folder.path(), DONE_WITHIN);
    if done.code == Some(0) { Ok(done.stdout) } else { Err(format!("{program}: {}", done.stderr.trim())) }
}

fn must(program: &str, args: &[&OsStr]) -> String {
    tool(program, args).unwrap_or_else(|why| panic!("{why}"))
}

/// A tmpfs.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of `size` at `dir`.
    pub fn mount(dir: &Path, size: &str) -> Option<Self> {
        if !may_mount() {
            return None;
        }
        let size = format!("size={size}");
        must("mount", &["-t".as_ref(), "tmpfs".as_ref(), "-o".as_ref(), size.as_ref(), "tmpfs".as_ref(), dir.as_ref()]);
        Some(Self(dir.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(tool("umount", &["--lazy".as_ref(), self.0.as_ref()]));
    }
}

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

/// A file system that lives in one file, mounted at a folder.
#[derive(Debug)]
pub struct LoopDisk {
    _folder: tempfile::TempDir,
    device: String,
    mount: PathBuf,
}

impl LoopDisk {
    /// Mounts a fresh `kind` ("ext4", "btrfs") of `bytes` at `mount`.
    pub fn mount(mount: &Path, kind: &str, bytes: u64) -> Option<Self> {
        if !may_mount() {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let image = folder.path().join("disk");
        std::fs::File::create(&image).and_then(|file| file.set_len(bytes)).expect("room for a disk");
        let quiet: &[&OsStr] = if kind == "ext4" { &["-q".as_ref(), "-F".as_ref()] } else { &["-q".as_ref()] };
        must(&format!("mkfs.{kind}"), &[quiet, &[image.as_ref()]].concat());
        let attached = match tool("losetup", &["--find".as_ref(), "--show".as_ref(), image.as_ref()]) {
            Ok(device) => device,
            Err(why) => {
                skip(&format!("there are no loop devices here: {why}"));
                return None;
            }
        };
        let disk = Self { device: attached.trim().to_owned(), mount: mount.to_owned(), _folder: folder };
        disk.attach();
        if kind == "ext4" {
            std::fs::remove_dir(mount.join("lost+found")).expect("a fresh disk");
        }
        Some(disk)
    }

    /// Mounts it at its folder.
    pub fn attach(&self) {
        let options: &[&OsStr] =
            if self.is_ext4() { &["-o".as_ref(), "errors=remount-ro".as_ref()] } else { Default::default() };
        must("mount", &[options, &[self.device.as_ref(), self.mount.as_ref()]].concat());
    }

    fn is_ext4(&self) -> bool {
        tool("blkid", &["-o".as_ref(), "value".as_ref(), "-s".as_ref(), "TYPE".as_ref(), self.device.as_ref()])
            .is_ok_and(|kind| kind.trim() == "ext4")
    }

    /// Unmounts it; why not, while somebody uses it.
    pub fn unmount(&self) -> Result<(), String> {
        tool("umount", &[self.mount.as_ref()]).map(drop)
    }

    /// Its folder is empty from here on, and whoever holds a file of it goes on with that.
    pub fn vanish(&self) {
        must("umount", &["--lazy".as_ref(), self.mount.as_ref()]);
    }

    /// Nothing that changes it returns, until what comes back is dropped.
    pub fn freeze(&self) -> Frozen<'_> {
        must("fsfreeze", &["--freeze".as_ref(), self.mount.as_ref()]);
        Frozen(&self.mount)
    }

    /// An error of its own makes it read-only, as ext4 does with one found on a disk that dies; for good.
    pub fn break_down(&self) {
        let name = Path::new(&self.device).file_name().expect("a device").to_owned();
        let trigger = Path::new("/sys/fs/ext4").join(name).join("trigger_fs_error");
        std::fs::write(&trigger, "test").unwrap_or_else(|error| panic!("{}: {error}", trigger.display()));
    }

    /// No more than `bytes` may be used of it; for btrfs.
    pub fn limit(&self, bytes: u64) {
        must("btrfs", &["quota".as_ref(), "enable".as_ref(), self.mount.as_ref()]);
        let bytes = bytes.to_string();
        must("btrfs", &["qgroup".as_ref(), "limit".as_ref(), bytes.as_ref(), self.mount.as_ref()]);
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        // Lazily: a process of a test that failed may still hold a file; the device goes when it does.
        drop(tool("umount", &["--lazy".as_ref(), self.mount.as_ref()]));
        drop(tool("losetup", &["--detach".as_ref(), self.device.as_ref()]));
    }
}

/// A frozen disk; thawed when dropped.
#[derive(Debug)]
pub struct Frozen<'a>(&'a Path);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        drop(tool("fsfreeze", &["--unfreeze".as_ref(), self.0.as_ref()]));
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
        assert!(line.contains("attached"), "strace: {line}");
        Some(Self { strace: running, _said: said })
    }
}

impl Drop for Injected {
    fn drop(&mut self) {
        // It lets go of what it holds, if there still is such a thing; killed, it would leave threads stopped.
        self.strace.signal(Signal::INT);
        let _ = self.strace.wait(DONE_WITHIN);
    }
}

/// The thread of `pid` whose name begins with `name`.
pub fn thread_named(pid: u32, name: &str) -> u32 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let is_it = |task: &std::fs::DirEntry| {
        std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.starts_with(name))
    };
    let mut found = tasks.filter(is_it).filter_map(|task| task.file_name().to_str()?.parse().ok());
    found.next().unwrap_or_else(|| panic!("process {pid} has no thread {name}"))
}

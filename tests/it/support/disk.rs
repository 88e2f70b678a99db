//! Disks that a test may fill, freeze, break, unplug and cut the power of: file systems of their own, as root.
//!
//! Contract: whatever a test does or fails to do, dropping a [`Disk`] leaves no mount, no loop device and nothing frozen
//! behind. Where the machine does not let a test have one, [`Disk`]'s makers say so on a line of its own and give `None`.

use super::process;
use super::skip::skip;
use std::ffi::OsStr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// `EXT4_IOC_SHUTDOWN` (fs/ext4/ext4.h): `_IOR('X', 125, __u32)`.
const SHUTDOWN: u64 = 0x8004_587d;
/// `EXT4_GOING_FLAGS_NOLOGFLUSH`: neither data nor journal are written, as when the power goes.
const WITHOUT_LOG_FLUSH: u32 = 2;
/// Bytes of a disk on a loop device; sparse, so that it costs what is recorded.
const DISK_BYTES: u64 = 600_000_000;
/// `mount`, `umount` and `mkfs` take a second at most on a machine under load.
const DONE_WITHIN: Duration = Duration::from_secs(20);

/// A file system of its own, mounted at a folder.
#[derive(Debug)]
pub struct Disk {
    folder: tempfile::TempDir,
    /// `None` = it lives in memory.
    device: Option<String>,
    mount: PathBuf,
    frozen: bool,
}

impl Disk {
    /// A disk in memory of `size` (as tmpfs reads it, `64m`).
    pub fn tmpfs(mount: &Path, size: &str) -> Option<Self> {
        let disk = Self::nowhere(mount, &["mount"])?;
        disk.may("mount", ["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"], true)?;
        Some(disk)
    }

    /// ext4 on a loop device.
    pub fn ext4(mount: &Path) -> Option<Self> {
        let mut disk = Self::nowhere(mount, &["mkfs.ext4", "losetup", "mount", "fsfreeze"])?;
        let image = disk.image();
        disk.run("mkfs.ext4", ["-q".as_ref(), "-F".as_ref(), image.as_os_str()], false);
        let device = disk.attach(&image)?;
        disk.may("mount", [&device], true)?;
        std::fs::remove_dir(mount.join("lost+found")).expect("a fresh disk");
        Some(disk)
    }

    /// btrfs on a loop device, of which a quota leaves `limit` (as btrfs reads it, `40M`).
    pub fn btrfs_with_quota(mount: &Path, limit: &str) -> Option<Self> {
        let mut disk = Self::nowhere(mount, &["mkfs.btrfs", "losetup", "mount", "btrfs"])?;
        let image = disk.image();
        disk.run("mkfs.btrfs", ["-q".as_ref(), image.as_os_str()], false);
        let device = disk.attach(&image)?;
        disk.may("mount", ["-t", "btrfs", &device], true)?;
        disk.may("btrfs", ["quota", "enable"], true)?;
        // The quota of the top of the tree, 0/5, is that of everything below the mount.
        disk.run("btrfs", ["qgroup", "limit", limit, "0/5"], true);
        Some(disk)
    }

    /// One that is to be made with `tools`.
    fn nowhere(mount: &Path, tools: &[&str]) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skip("only root can mount a disk of its own");
            return None;
        }
        if let Some(missing) = tools.iter().find(|tool| process::program(tool).is_none()) {
            skip(&format!("{missing}, which a disk of its own needs, is not installed"));
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        Some(Self { folder, device: None, mount: mount.to_owned(), frozen: false })
    }

    fn image(&self) -> PathBuf {
        let image = self.folder.path().join("disk");
        std::fs::File::create(&image).and_then(|file| file.set_len(DISK_BYTES)).expect("room for a disk");
        image
    }

    fn attach(&mut self, image: &Path) -> Option<String> {
        let said = self.may("losetup", ["--find".as_ref(), "--show".as_ref(), image.as_os_str()], false)?;
        self.device = Some(said.trim().to_owned());
        self.device.clone()
    }

    /// Runs `program`; `None` = this machine does not let anybody, which was said (root in a container may not mount, a
    /// kernel may know no such file system).
    fn may<S: AsRef<OsStr>>(
        &self,
        program: &str,
        args: impl IntoIterator<Item = S>,
        with_mount: bool,
    ) -> Option<String> {
        let done = self.ask(program, args, with_mount);
        if done.code != Some(0) {
            let why = done.stderr.lines().next().unwrap_or_default();
            skip(&format!("there is no disk of its own here: {program}: {why}"));
            return None;
        }
        Some(done.stdout)
    }

    /// Runs `program`, with the mount as its last argument where it is told so.
    fn ask<S: AsRef<OsStr>>(
        &self,
        program: &str,
        args: impl IntoIterator<Item = S>,
        with_mount: bool,
    ) -> process::Output {
        let mut command = Command::new(program);
        command.args(args).args(with_mount.then_some(&self.mount));
        process::run(program, &mut command, self.folder.path(), DONE_WITHIN)
    }

    fn run<S: AsRef<OsStr>>(&self, program: &str, args: impl IntoIterator<Item = S>, with_mount: bool) {
        let done = self.ask(program, args, with_mount);
        assert_eq!(done.code, Some(0), "{program}: {done:?}");
    }

    /// What is not mounted, frozen or attached any more cannot be undone, and need not be; a tool that the disk holds is
    /// waited for no longer than any other, and said.
    fn undo(&self, program: &str, args: &[&str], with_mount: bool) {
        let mut command = Command::new(program);
        command.args(args).args(with_mount.then_some(&self.mount));
        if let Err(why) = process::try_run(program, &mut command, self.folder.path(), DONE_WITHIN) {
            println!("{} is left behind: {why}", self.mount.display());
        }
    }

    /// Another limit for a quota (as btrfs reads it).
    pub fn limit(&self, limit: &str) {
        // A quota that is used up may refuse to be changed until what was removed is gone for good.
        let deadline = process::Deadline::after(DONE_WITHIN);
        loop {
            let done = self.ask("btrfs", ["qgroup", "limit", limit, "0/5"], true);
            if done.code == Some(0) {
                return;
            }
            assert!(deadline.left().is_some(), "{}", done.stderr);
            drop(self.ask("sync", ["-f"], true));
        }
    }

    /// Another size for a disk in memory.
    pub fn resize(&self, size: &str) {
        self.run("mount", ["-o", &format!("remount,size={size}")], true);
    }

    /// The power goes: from here on nothing reaches the disk (EIO), and what was not synced never was. ext4 only.
    pub fn cut(&self) {
        let dir = std::fs::File::open(&self.mount).expect("the disk is mounted");
        let flags = WITHOUT_LOG_FLUSH;
        #[allow(unsafe_code, reason = "the kernel offers this as an ioctl only")]
        // SAFETY: the descriptor is open, and the kernel reads one u32 at the address, which lives across the call.
        let result = unsafe { libc::ioctl(dir.as_raw_fd(), SHUTDOWN, &raw const flags) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    }

    /// The power comes back, or the disk is repaired. Nobody may hold a file of the disk open.
    pub fn restore(&self) {
        // A process that was killed within a write lets go of its files a moment after it was seen to end.
        let deadline = process::Deadline::after(DONE_WITHIN);
        loop {
            let done = self.ask::<&str>("umount", [], true);
            if done.code == Some(0) {
                break;
            }
            assert!(deadline.left().is_some(), "{}; held by {:?}", done.stderr, holders(&self.mount));
        }
        self.plug_in();
    }

    /// Writes block from here on, until [`Self::thaw`]. Not tmpfs.
    pub fn freeze(&mut self) {
        self.frozen = true;
        self.run("fsfreeze", ["--freeze"], true);
    }

    /// Writes go on.
    pub fn thaw(&mut self) {
        self.run("fsfreeze", ["--unfreeze"], true);
        self.frozen = false;
    }

    /// The kernel finds an error and makes the file system read-only, as `errors=remount-ro` does (EROFS). ext4 only.
    pub fn break_read_only(&self) {
        self.run("mount", ["-o", "remount,abort"], true);
    }

    /// The disk is pulled out: its files are not at their paths any more, whoever holds them open.
    pub fn unplug(&self) {
        self.run("umount", ["--lazy"], true);
    }

    /// The disk of a loop device is mounted (again).
    pub fn plug_in(&self) {
        let device = self.device.as_ref().expect("a loop device");
        self.run("mount", [device], true);
    }
}

/// What every process has open below `mount`.
fn holders(mount: &Path) -> Vec<(PathBuf, PathBuf)> {
    let descriptors = std::fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path().join("fd"));
    let open = descriptors.filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
    let named = open.filter_map(|entry| Some((entry.path(), std::fs::read_link(entry.path()).ok()?)));
    named.filter(|(_, file)| file.starts_with(mount)).collect()
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.frozen {
            self.undo("fsfreeze", &["--unfreeze"], true);
        }
        // Lazily: a process of a test that failed may still hold a file; the device goes when it does.
        self.undo("umount", &["--lazy"], true);
        if let Some(device) = &self.device {
            self.undo("losetup", &["--detach", device], false);
        }
    }
}

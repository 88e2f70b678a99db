//! A disk whose power can be cut: ext4 on a loop device, shut down without writing its journal.
//!
//! Contract: whatever a test does or fails to do, dropping a [`PowerDisk`] leaves no mount and no loop device behind.

use super::disk::{DONE_WITHIN, LoopDisk};
use super::{loss, process};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// `EXT4_IOC_SHUTDOWN` (fs/ext4/ext4.h): `_IOR('X', 125, __u32)`.
const SHUTDOWN: u64 = 0x8004_587d;
/// `EXT4_GOING_FLAGS_NOLOGFLUSH`: neither data nor journal are written, as when the power goes.
const WITHOUT_LOG_FLUSH: u32 = 2;
/// Bytes of the disk; sparse, so that it costs what is recorded.
const DISK_BYTES: u64 = 600_000_000;
/// Syncs that are remembered, and the pause between two: about a second.
const SYNCS: usize = 20;
const SYNC_PAUSE: Duration = Duration::from_millis(50);

/// A disk whose power can be cut.
#[derive(Debug)]
pub struct PowerDisk {
    disk: LoopDisk,
    mount: PathBuf,
}

impl PowerDisk {
    /// Mounts a fresh disk at `mount`; `None`, and a word why, where that is not allowed.
    pub fn mount(mount: &Path) -> Option<Self> {
        Some(Self { disk: LoopDisk::mount(mount, "ext4", DISK_BYTES)?, mount: mount.to_owned() })
    }

    /// The power goes: from here on nothing reaches the disk, and what was not synced never was.
    pub fn cut(&self) {
        let dir = std::fs::File::open(&self.mount).expect("the disk is mounted");
        let flags = WITHOUT_LOG_FLUSH;
        #[allow(unsafe_code, reason = "the kernel offers this as an ioctl only")]
        // SAFETY: the descriptor is open, and the kernel reads one u32 at the address, which lives across the call.
        let result = unsafe { libc::ioctl(dir.as_raw_fd(), SHUTDOWN, &raw const flags) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    }

    /// The power comes back. Nobody may hold a file of the disk open.
    pub fn restore(&self) {
        // A process that was killed within a write lets go of its files a moment after it was seen to end.
        let deadline = process::Deadline::after(DONE_WITHIN);
        while let Err(why) = self.disk.unmount() {
            assert!(deadline.left().is_some(), "{why}; held by {:?}", holders(&self.mount));
        }
        self.disk.attach();
    }
}

/// Watches how much later than they should syncs of a disk return until its power goes, be it for want of the disk or of
/// a processor: what is on the disk then is that much older.
#[derive(Debug)]
pub struct SyncWatch {
    stop: SyncSender<Infallible>,
    thread: JoinHandle<Duration>,
}

impl SyncWatch {
    /// Syncs a sector of its own in `dir` again and again.
    pub fn start(dir: &Path) -> Self {
        let file = std::fs::File::create(dir.join(".sync")).expect("a file");
        let (stop, stopped) = sync_channel(0);
        let watch = move || {
            let mut took = VecDeque::new();
            let mut due = loss::monotonic();
            loop {
                let done = file.write_all_at(&[took.len() as u8; 512], 0).and_then(|()| file.sync_data());
                let returned = loss::monotonic();
                took.push_back(returned.saturating_sub(due));
                if took.len() > SYNCS {
                    took.pop_front();
                }
                due = returned + SYNC_PAUSE;
                if done.is_err() || stopped.recv_timeout(SYNC_PAUSE) == Err(RecvTimeoutError::Disconnected) {
                    // One that should have begun by now was kept from it.
                    took.push_back(loss::monotonic().saturating_sub(due));
                    return took.into_iter().max().unwrap_or_default();
                }
            }
        };
        Self { stop, thread: std::thread::spawn(watch) }
    }

    /// By how much the latest of the last syncs before the power went was late, or that which was under way then.
    pub fn slowest(self) -> Duration {
        drop(self.stop);
        self.thread.join().expect("it does not panic")
    }
}

/// What every process has open below `mount`.
fn holders(mount: &Path) -> Vec<(PathBuf, PathBuf)> {
    let descriptors = std::fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path().join("fd"));
    let open = descriptors.filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
    let named = open.filter_map(|entry| Some((entry.path(), std::fs::read_link(entry.path()).ok()?)));
    named.filter(|(_, file)| file.starts_with(mount)).collect()
}

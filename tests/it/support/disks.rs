//! Disks that fill up, go away, take nothing and come back.
//!
//! Contract: whatever a test does or fails to do, dropping what is made here thaws and unmounts it.

use super::process;
use super::skip::skip;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// `mount` and its kind take a second at most on a machine under load.
const DONE_WITHIN: Duration = Duration::from_secs(20);

fn run(program: &str, args: &[&OsStr]) -> process::Output {
    process::run(program, Command::new(program).args(args), &std::env::temp_dir(), DONE_WITHIN)
}

fn run_well(program: &str, args: &[&OsStr]) {
    let done = run(program, args);
    assert_eq!(done.code, Some(0), "{program} {args:?}: {done:?}");
}

/// Something that is mounted at a folder, over whatever was there.
#[derive(Debug)]
pub struct Mounted {
    at: PathBuf,
}

impl Mounted {
    /// A fresh file system in memory, of `megabytes`; `None`, and a word why, where that is not allowed.
    pub fn small(at: &Path, megabytes: u32) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skip("only root can mount a disk to fill or to take away");
            return None;
        }
        let options = format!("size={megabytes}m");
        run_well(
            "mount",
            &["-t".as_ref(), "tmpfs".as_ref(), "-o".as_ref(), options.as_ref(), "tmpfs".as_ref(), at.as_ref()],
        );
        Some(Self { at: at.to_owned() })
    }

    /// What is at `at`, so that nothing can be written there any more.
    pub fn read_only(at: &Path) -> Self {
        run_well("mount", &["--bind".as_ref(), at.as_ref(), at.as_ref()]);
        let mounted = Self { at: at.to_owned() };
        run_well("mount", &["-o".as_ref(), "remount,ro,bind".as_ref(), at.as_ref()]);
        mounted
    }

    /// A file of `megabytes` in it.
    pub fn fill(&self, name: &str, megabytes: u64) {
        let file = std::fs::File::create(self.at.join(name)).expect("a file");
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, megabytes * 1_000_000).expect("room");
    }

    /// A file that takes all the room there is.
    pub fn fill_up(&self, name: &str) {
        use std::io::Write;
        let mut file = std::fs::File::create(self.at.join(name)).expect("a file");
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    /// Takes a file out of it.
    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.at.join(name)).expect("it is there");
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: somebody may still have a file open.
        let _ = run("umount", &["--lazy".as_ref(), self.at.as_ref()]);
    }
}

/// A file system that takes no writes until this is dropped; whoever writes waits, beyond the reach of any signal.
#[derive(Debug)]
pub struct Frozen {
    at: PathBuf,
}

impl Frozen {
    /// Freezes what is mounted at `at`.
    pub fn freeze(at: &Path) -> Self {
        let frozen = Self { at: at.to_owned() };
        run_well("fsfreeze", &["-f".as_ref(), at.as_ref()]);
        frozen
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // Not through `run`, whose files may lie on the frozen disk.
        let _ = Command::new("fsfreeze").arg("-u").arg(&self.at).status();
    }
}

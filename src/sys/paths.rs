//! Where the sockets and locks of a running recorder are.

use rustix::fs::{Mode, mkdir};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Longest path a Unix socket can have on Linux (`sun_path` without its final NUL).
pub const SOCKET_PATH_MAX_BYTES: usize = 107;
/// Room for the longest name we put below the runtime folder: `/workers/<32>.sock` and a temporary suffix.
const LONGEST_SOCKET_SUFFIX: usize = "/workers/".len() + 32 + ".sock.tmp".len();

/// Why a runtime folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// Sockets below it could not be bound.
    #[error("the runtime folder {0} is too long for a socket: choose one of at most {max} bytes with HOLDFAST_RUNTIME_DIR", max = SOCKET_PATH_MAX_BYTES - LONGEST_SOCKET_SUFFIX)]
    TooLong(PathBuf),
    /// It belongs to somebody else or others may write to it.
    #[error(
        "the runtime folder {0} belongs to another user or is open to others: remove it or set HOLDFAST_RUNTIME_DIR"
    )]
    NotOurs(PathBuf),
    /// It cannot be made.
    #[error("the runtime folder {path} cannot be made: {error}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// The folder of sockets and locks, with the names in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    dir: PathBuf,
}

impl Runtime {
    /// Makes (mode 0700) and checks `HOLDFAST_RUNTIME_DIR`, else `$XDG_RUNTIME_DIR/holdfast`, else a folder of our own
    /// under the temporary folder; below it `demo` when `demo`.
    pub fn open(demo: bool) -> Result<Self, RuntimeError> {
        let var = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let mut dir = var("HOLDFAST_RUNTIME_DIR")
            .or_else(|| {
                let xdg = var("XDG_RUNTIME_DIR")?;
                // Inside a Flatpak only the per-application folder is shared between two instances.
                Some(match std::env::var_os("FLATPAK_ID") {
                    Some(app) => xdg.join("app").join(app).join("holdfast"),
                    None => xdg.join("holdfast"),
                })
            })
            .unwrap_or_else(|| std::env::temp_dir().join(format!("holdfast-{}", rustix::process::getuid().as_raw())));
        let demo_dir = demo.then(|| dir.join("demo"));
        // Asked first: a folder that is no use is not left behind.
        let longest = demo_dir.as_ref().unwrap_or(&dir);
        if longest.as_os_str().len() + LONGEST_SOCKET_SUFFIX > SOCKET_PATH_MAX_BYTES {
            return Err(RuntimeError::TooLong(longest.clone()));
        }
        make_private(&dir)?;
        if let Some(demo_dir) = demo_dir {
            make_private(&demo_dir)?;
            dir = demo_dir;
        }
        make_private(&dir.join("workers"))?;
        Ok(Self { dir })
    }

    /// The folder itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Lock of the engine of this runtime folder.
    pub fn engine_lock(&self) -> PathBuf {
        self.dir.join("engine.lock")
    }

    /// Counts the engines of this runtime folder; written under the engine's lock.
    pub fn engine_epoch(&self) -> PathBuf {
        self.dir.join("engine.epoch")
    }

    /// Socket of the API.
    pub fn engine_socket(&self) -> PathBuf {
        self.dir.join("engine.sock")
    }

    /// Lock of the worker of an input.
    pub fn worker_lock(&self, input: &crate::model::InputId) -> PathBuf {
        self.dir.join("workers").join(format!("{input}.lock"))
    }

    /// Every input that has, or once had, a worker here.
    pub fn workers(&self) -> io::Result<Vec<crate::model::InputId>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.dir.join("workers"))? {
            let name = entry?.file_name();
            found.extend(name.to_str().and_then(|name| name.strip_suffix(".lock")?.parse().ok()));
        }
        Ok(found)
    }

    /// Lock of the capture device behind `node`, whatever it is called: keyed by its device number. It lies beside the
    /// default runtime folder, so that all recorders of this user share it whatever `HOLDFAST_RUNTIME_DIR` says, as
    /// long as `XDG_RUNTIME_DIR` is set. A Flatpak sees only its own part of that folder: it shares locks with other
    /// instances of the same Flatpak, not with a recorder outside; between those two only the kernel's `EBUSY` is left.
    pub fn device_lock(&self, node: &Path) -> io::Result<PathBuf> {
        let base = match (std::env::var_os("XDG_RUNTIME_DIR"), std::env::var_os("FLATPAK_ID")) {
            (Some(xdg), Some(app)) => PathBuf::from(xdg).join("app").join(app),
            (Some(xdg), None) => PathBuf::from(xdg),
            (None, _) => self.dir.clone(),
        };
        Ok(base.join(device_lock_name(node)?))
    }

    /// Socket of the worker of an input.
    pub fn worker_socket(&self, input: &crate::model::InputId) -> PathBuf {
        self.dir.join("workers").join(format!("{input}.sock"))
    }
}

fn device_lock_name(node: &Path) -> io::Result<String> {
    let number = std::fs::metadata(node)?.rdev();
    if number == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a device"));
    }
    Ok(format!("holdfast-device-{}-{}.lock", rustix::fs::major(number), rustix::fs::minor(number)))
}

fn make_private(dir: &Path) -> Result<(), RuntimeError> {
    let io_error = |error| RuntimeError::Io { path: dir.to_owned(), error };
    if let Some(parent) = dir.parent() {
        std::fs::create_dir_all(parent).map_err(io_error)?;
    }
    match mkdir(dir, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(io_error(error.into())),
    }
    let meta = std::fs::symlink_metadata(dir).map_err(io_error)?;
    let ours = meta.is_dir() && meta.uid() == rustix::process::getuid().as_raw() && meta.mode() & 0o077 == 0;
    if ours { Ok(()) } else { Err(RuntimeError::NotOurs(dir.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_one_lock_whatever_it_is_called() {
        let dir = tempfile::tempdir().expect("a folder");
        let alias = dir.path().join("alias");
        std::os::unix::fs::symlink("/dev/zero", &alias).expect("a link");
        let name = |path: &str| device_lock_name(Path::new(path)).expect("a device");
        assert_eq!(name("/dev/zero"), "holdfast-device-1-5.lock");
        assert_eq!(device_lock_name(&alias).expect("a device"), name("/dev/zero"));
        assert_ne!(name("/dev/null"), name("/dev/zero"));
        assert!(device_lock_name(dir.path()).is_err(), "a folder is no device");
    }
}

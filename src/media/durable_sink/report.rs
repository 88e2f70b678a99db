//! What the streaming and the sync thread of a part both report: progress, and each kind of trouble once.

use super::{Events, Progress, SinkEvent};
use rustix::io::Errno;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What can go wrong while a part is made or written. Each kind is reported once per part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// No room (ENOSPC). What is reserved suffices to close the part.
    DiskFull,
    /// A quota is used up (EDQUOT). What is reserved suffices to close the part.
    QuotaExceeded,
    /// The file system takes no writes any more (EROFS). Nothing more is written.
    ReadOnly(String),
    /// The file system, its device or the folder is gone. Nothing more is written.
    Vanished(String),
    /// A write was refused in another way (EIO, …). Nothing more is written.
    Write(String),
    /// `fdatasync` failed. Writing goes on, nothing more is called safe.
    Sync(String),
    /// The same for what the disk has against writes as well: that was told in its place, by its own name.
    Unsynced {
        /// What was told.
        told: Box<Trouble>,
        /// What the disk said.
        reason: String,
    },
    /// The muxer sent what is no part of ours. Nothing more is written.
    Stream(String),
}

impl Trouble {
    /// What it means that the disk refused a call with `error`.
    pub fn of(error: &io::Error) -> Self {
        Self::named(error, error.to_string())
    }

    /// The same for a file that could not be made at `path`.
    pub(super) fn of_open(path: &Path, error: &io::Error) -> Self {
        Self::of_file(&path.file_name().unwrap_or_default().to_string_lossy(), error)
    }

    /// The same for a call that is about the file called `name`.
    pub fn of_file(name: &str, error: &io::Error) -> Self {
        Self::named(error, format!("{name}: {error}"))
    }

    fn named(error: &io::Error, reason: String) -> Self {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOSPC) => Trouble::DiskFull,
            Some(Errno::DQUOT) => Trouble::QuotaExceeded,
            Some(Errno::ROFS) => Trouble::ReadOnly(reason),
            // ESTALE and ENOTCONN: a server or a FUSE process is gone; ENODEV and ENXIO: a device is.
            Some(Errno::NOENT | Errno::NOTDIR | Errno::NODEV | Errno::NXIO | Errno::STALE | Errno::NOTCONN) => {
                Trouble::Vanished(reason)
            }
            Some(_) | None => Trouble::Write(reason),
        }
    }

    /// Whether there is no room for more, and what is reserved can still be used.
    pub fn is_full(&self) -> bool {
        matches!(self, Trouble::DiskFull | Trouble::QuotaExceeded)
    }

    /// Whether what was written before is in doubt.
    pub fn is_doubt(&self) -> bool {
        !matches!(self, Trouble::DiskFull | Trouble::QuotaExceeded | Trouble::Stream(_))
    }

    /// As what it is told while the part is open.
    pub fn told_as(&self) -> &Self {
        if let Trouble::Unsynced { told, .. } = self { told } else { self }
    }
}

/// Shared by both threads.
pub(super) struct Reporter {
    events: Events,
    state: Mutex<(Progress, Vec<Trouble>)>,
}

impl Reporter {
    pub(super) fn new(events: Events) -> Self {
        Self { events, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, (Progress, Vec<Trouble>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the progress and tells it.
    pub(super) fn progress(&self, change: impl FnOnce(&mut Progress)) {
        let progress = {
            let mut state = self.lock();
            change(&mut state.0);
            state.0
        };
        (self.events)(SinkEvent::Progress(progress));
    }

    /// Tells a trouble, unless one of its kind was told before.
    pub(super) fn trouble(&self, trouble: Trouble) {
        {
            let known = &mut self.lock().1;
            if known.iter().any(|t| std::mem::discriminant(t) == std::mem::discriminant(&trouble)) {
                return;
            }
            known.push(trouble.clone());
        }
        (self.events)(SinkEvent::Trouble(trouble));
    }

    /// A sync was refused. What the disk has against writes is told by that name, because that decides what follows; that
    /// the part is in doubt is remembered all the same.
    pub(super) fn sync_refused(&self, error: &io::Error) {
        let reason = error.to_string();
        match Trouble::of(error) {
            refused @ (Trouble::DiskFull | Trouble::QuotaExceeded | Trouble::ReadOnly(_)) => {
                self.lock().1.push(Trouble::Unsynced { told: Box::new(refused.clone()), reason });
                self.trouble(refused);
            }
            _ => self.trouble(Trouble::Sync(reason)),
        }
    }

    /// Whether the disk was found full.
    pub(super) fn is_full(&self) -> bool {
        self.lock().1.iter().any(Trouble::is_full)
    }

    /// The first trouble that puts what was written in doubt, else the first: it says more than a full disk that came
    /// before.
    pub(super) fn gravest(&self) -> Option<Trouble> {
        let troubles = &self.lock().1;
        troubles.iter().find(|trouble| trouble.is_doubt()).or(troubles.first()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_that_is_refused_has_the_name_of_its_refusal_and_is_a_doubt() {
        let of = |errno: Errno| {
            let told = std::sync::Arc::new(Mutex::new(Vec::new()));
            let theirs = std::sync::Arc::clone(&told);
            let reporter = Reporter::new(std::sync::Arc::new(move |event| {
                if let SinkEvent::Trouble(trouble) = event {
                    theirs.lock().expect("not poisoned").push(trouble);
                }
            }));
            reporter.sync_refused(&errno.into());
            let doubted = reporter.gravest().is_some_and(|trouble| trouble.is_doubt());
            let told = told.lock().expect("not poisoned").clone();
            (told, doubted)
        };
        assert_eq!(of(Errno::NOSPC), (vec![Trouble::DiskFull], true));
        assert_eq!(of(Errno::DQUOT), (vec![Trouble::QuotaExceeded], true));
        assert!(matches!(&of(Errno::ROFS), (told, true) if matches!(&told[..], [Trouble::ReadOnly(_)])));
        assert!(matches!(&of(Errno::IO), (told, true) if matches!(&told[..], [Trouble::Sync(_)])));
    }

    #[test]
    fn every_refusal_has_a_name_of_its_own() {
        let told = |errno: Errno| Trouble::of(&errno.into());
        assert_eq!((told(Errno::NOSPC), told(Errno::DQUOT)), (Trouble::DiskFull, Trouble::QuotaExceeded));
        assert!(matches!(told(Errno::ROFS), Trouble::ReadOnly(_)));
        for gone in [Errno::NOENT, Errno::NOTDIR, Errno::NODEV, Errno::NXIO, Errno::STALE, Errno::NOTCONN] {
            assert!(matches!(told(gone), Trouble::Vanished(_)), "{gone:?}");
        }
        for refused in [Errno::IO, Errno::ACCESS, Errno::FBIG] {
            assert!(matches!(told(refused), Trouble::Write(_)), "{refused:?}");
        }
        assert!(matches!(Trouble::of(&io::ErrorKind::WriteZero.into()), Trouble::Write(_)));
        let named = Trouble::of_open(Path::new("/library/session/cam1.mp4"), &Errno::IO.into());
        assert!(matches!(&named, Trouble::Write(reason) if reason.starts_with("cam1.mp4: ")), "{named:?}");
    }
}

//! What the streaming and the sync thread of a part both report: progress, and each kind of trouble once.

use super::{Events, Progress, SinkEvent};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What can go wrong while a part is written. Each kind is reported once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// No room, or a quota is used up. What is reserved suffices to close the part.
    DiskFull,
    /// A write was refused (EIO, EROFS, …). Nothing more is written.
    Write(String),
    /// `fdatasync` failed. Writing goes on, nothing more is called safe.
    Sync(String),
    /// The muxer sent what is no part of ours. Nothing more is written.
    Stream(String),
}

impl Trouble {
    pub(super) fn of_write(error: &io::Error) -> Self {
        let code = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
        match code {
            Some(rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT) => Trouble::DiskFull,
            Some(_) | None => Trouble::Write(error.to_string()),
        }
    }

    /// Whether what was written before is in doubt.
    pub(super) fn is_doubt(&self) -> bool {
        matches!(self, Trouble::Sync(_) | Trouble::Write(_))
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

    /// Whether the disk was found full.
    pub(super) fn is_full(&self) -> bool {
        self.lock().1.contains(&Trouble::DiskFull)
    }

    /// The first trouble that puts what was written in doubt, else the first: it says more than a full disk that came
    /// before.
    pub(super) fn gravest(&self) -> Option<Trouble> {
        let troubles = &self.lock().1;
        troubles.iter().find(|trouble| trouble.is_doubt()).or(troubles.first()).cloned()
    }
}

//! Becoming the engine of a runtime folder, also when another one holds the lock and hangs (DESIGN §1).
//!
//! ```text
//! lock free ──▶ ours                 held, and its engine answers ──▶ it runs, we leave
//! held and mute ──▶ SIGKILL through a pidfd ──▶ lock free ──▶ ours
//! held and mute, and beyond our reach (a sandbox) ──▶ said so, waited for: it answers, or lets go
//! held and nobody to ask ──▶ waited for, then said so
//! ```
//! Contract: an engine that answers is never touched, nor one that is just starting. Blocks, at most a few deadlines.

use crate::protocol::api::SIGN_OF_LIFE;
use crate::sys::clock;
use crate::sys::lock::{self, Lock};
use crate::sys::paths::Runtime;
use crate::sys::process::Handle;
use crate::sys::unix_listener;
use anyhow::{Context, bail};
use std::io;
use std::path::Path;
use std::time::Duration;

/// An engine answers from memory, without waiting for anything; one that has not by then hangs or is stopped. The
/// silence after which a window has no contact (R-TRU-8); with the window's own patience the whole stays within the 5 s
/// of R-SUP-11.
const MUTE_AFTER: Duration = Duration::from_secs(2);
/// An engine that starts has its socket by then: it reads plans for 2 s and looks at workers for 1 s at most.
const STARTS_WITHIN: Duration = Duration::from_secs(10);
/// A killed process is gone by then, unless it sits in the kernel (a disk that hangs).
const DIES_WITHIN: Duration = Duration::from_secs(5);
/// One that hangs where we cannot end it may be woken, or ended by whoever can; a service manager starts us again.
const WOKEN_WITHIN: Duration = Duration::from_secs(60);
/// How long the lock is waited for before its holder is asked again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Who holds the lock.
enum Holder {
    /// An engine that does its work.
    Answers,
    /// One that took the connection, or let it wait, and said nothing.
    Mute(Handle),
    /// One that says nothing and cannot be ended from here, and why.
    Beyond(String),
    /// Nobody that could be asked or ended, and why.
    Unknown(String),
}

/// Takes the engine's lock of `runtime`. An error says who has it and what can be done.
pub fn take(runtime: &Runtime) -> anyhow::Result<Lock> {
    let (path, dir) = (runtime.engine_lock(), runtime.dir().display().to_string());
    let begun = clock::mono_now();
    let mut said = false;
    loop {
        let taken = lock::try_lock_within(&path, LOOK_AGAIN);
        if let Some(lock) = taken.with_context(|| format!("{} cannot be locked", path.display()))? {
            return Ok(lock);
        }
        match ask(&runtime.engine_socket()).ended(&dir) {
            Holder::Answers => bail!("an engine is running already in {dir}; use `holdfast status`"),
            Holder::Mute(engine) => {
                if !engine.wait_end(DIES_WITHIN).context("the engine that was killed cannot be watched")? {
                    bail!("the engine in {dir} neither answers nor dies; its disk may hang: check it, then try again");
                }
            }
            Holder::Beyond(why) if clock::mono_now().since(begun) >= WOKEN_WITHIN => {
                bail!(
                    "the engine in {dir} does not answer and cannot be ended from here ({why}); stop it from where it was \
                     started"
                );
            }
            Holder::Beyond(why) if !std::mem::replace(&mut said, true) => {
                tracing::error!(
                    dir,
                    why,
                    "the engine that runs does not answer and cannot be ended from here; it is waited for"
                );
            }
            Holder::Beyond(_) => {}
            Holder::Unknown(why) if clock::mono_now().since(begun) >= STARTS_WITHIN => {
                bail!("another engine holds {dir} and cannot be asked ({why}); stop it from where it was started");
            }
            Holder::Unknown(why) => tracing::debug!(dir, why, "the holder of the lock is waited for"),
        }
    }
}

impl Holder {
    /// One that hangs is killed, if it can be.
    fn ended(self, dir: &str) -> Self {
        let Self::Mute(engine) = self else { return self };
        match engine.kill() {
            Ok(()) => {
                tracing::error!(dir, after = ?MUTE_AFTER, "the engine that runs does not answer; it is killed, the recordings go on");
                Self::Mute(engine)
            }
            // Its process is of a namespace that ours does not contain.
            Err(error) => Self::Beyond(error.to_string()),
        }
    }
}

/// Asks whoever listens on `socket` for a sign of life.
fn ask(socket: &Path) -> Holder {
    let mut peer = match unix_listener::connect_within(socket, MUTE_AFTER) {
        Ok(peer) => peer,
        Err(error) => return Holder::Unknown(error.to_string()),
    };
    match peer.answers(SIGN_OF_LIFE, MUTE_AFTER) {
        Ok(true) => Holder::Answers,
        // It has just died, or is full: it is asked again.
        Ok(false) => Holder::Unknown("it hung up".to_owned()),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => match peer.process
        {
            Ok(engine) => Holder::Mute(engine),
            Err(error) => Holder::Beyond(format!("its process is not known: {error}")),
        },
        Err(error) => Holder::Unknown(error.to_string()),
    }
}

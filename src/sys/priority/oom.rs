//! Who is killed first when memory runs out: `oom_score_adj`, one per process, inherited over fork and exec.
//!
//! Contract: raising is always allowed; an ordinary user may lower it again down to what somebody privileged set last,
//! below that only with `CAP_SYS_RESOURCE`. What a window takes upon itself is not passed on to the recorder it starts
//! ([`ForChild`]).

use super::Priority;
use crate::sys::procfs;
use rustix::fs::{Mode, OFlags, open};
use std::io;
use std::sync::OnceLock;

/// The window goes first (R-SUP-7).
pub const WINDOW: i32 = 300;
/// What recording processes ask for: late, but not never; one that eats all memory must not take the machine with it.
pub const RECORDING: i32 = -500;

/// What this process had before it changed that itself.
static BEFORE: OnceLock<i32> = OnceLock::new();

/// That of `pid`, `None` when it has gone, or cannot be seen.
pub fn of(pid: u32) -> Option<i32> {
    std::fs::read_to_string(procfs::of(pid)?.join("oom_score_adj")).ok()?.trim().parse().ok()
}

/// Raises our own to `score`; children started by [`crate::sys::process`] get what was there before. Where whoever started
/// us made it higher still, that stays: to lower it is not what is asked for.
pub fn raise_own(score: i32) -> io::Result<()> {
    if remember().is_some_and(|own| own >= score) {
        return Ok(());
    }
    write(score.to_string().as_bytes())
}

/// Asks for [`RECORDING`] for this very process, or for what a unit has set where that is lower still; what it starts
/// beside recordings gets what was there before.
pub fn lower_own() -> io::Result<()> {
    if remember().is_some_and(|own| own <= RECORDING) {
        return Ok(());
    }
    write(RECORDING.to_string().as_bytes())
}

/// What it is now; kept if nothing was changed before.
fn remember() -> Option<i32> {
    let own = of(std::process::id())?;
    // Changed twice: the first value is the true one.
    let _ = BEFORE.set(own);
    Some(own)
}

/// A single write, so that it can be done between fork and exec.
fn write(score: &[u8]) -> io::Result<()> {
    let file = open(c"/proc/self/oom_score_adj", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, score)?;
    Ok(())
}

/// What a child asks for, best first; the first that is granted stays.
#[derive(Debug)]
pub(super) struct ForChild(Vec<Vec<u8>>);

impl ForChild {
    pub fn new(priority: Priority) -> Self {
        let set = BEFORE.get().copied().unwrap_or(RECORDING);
        let wish = (priority == Priority::Recording).then_some(RECORDING.min(set));
        // Without a wish of its own it only gives back what the parent had taken upon itself.
        let scores = wish.into_iter().chain(BEFORE.get().copied());
        Self(scores.map(|score| score.to_string().into_bytes()).collect())
    }

    /// Runs between fork and exec: system calls only.
    pub fn apply(&self) {
        let _ = self.0.iter().find(|score| write(score).is_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, PoisonError};

    /// What the tests change is the process's.
    static OWN: Mutex<()> = Mutex::new(());

    #[test]
    fn a_window_that_a_session_has_raised_further_stays_there() {
        let _own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
        let before = of(std::process::id()).expect("it runs");
        raise_own(WINDOW).expect("raising is always allowed");
        assert_eq!(of(std::process::id()), Some(before.max(WINDOW)));
        write(b"500").expect("raising is always allowed");
        raise_own(WINDOW).expect("nothing to do");
        assert_eq!(of(std::process::id()), Some(500));
        write(before.to_string().as_bytes()).expect("it was there before");
    }

    /// With the `/proc` of another process namespace, in which our number is somebody else's.
    #[test]
    fn also_in_a_sandbox() {
        let tests = [
            "a_window_that_a_session_has_raised_further_stays_there",
            "what_this_process_takes_upon_itself_is_not_passed_on",
        ];
        for test in tests {
            crate::sys::sandbox::runs(&format!("sys::priority::oom::tests::{test}"), &[]);
        }
    }

    #[test]
    fn what_this_process_takes_upon_itself_is_not_passed_on() {
        let _own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
        let before = of(std::process::id()).expect("it runs");
        // Granted or not.
        let (lowered, wanted) = (lower_own(), before.min(RECORDING));
        assert_eq!(of(std::process::id()), Some(if lowered.is_ok() { wanted } else { before }));
        let theirs = |priority| ForChild::new(priority).0;
        let had = before.to_string().into_bytes();
        assert_eq!((theirs(Priority::Idle), theirs(Priority::Inherited)), (vec![had.clone()], vec![had.clone()]));
        assert_eq!(theirs(Priority::Recording), [wanted.to_string().into_bytes(), had]);
        write(before.to_string().as_bytes()).expect("higher, or the same");
    }
}

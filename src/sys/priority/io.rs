//! I/O classes, per thread; inherited by the threads it starts.

use super::threads;
use std::fmt;
use std::io;

/// `ioprio_set(2)`: one thread.
const WHO_PROCESS: libc::c_int = 1;
/// `ioprio_set(2)`: the class lies above its level.
const CLASS_SHIFT: u32 = 13;

/// Class and level, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Before everybody else.
    Realtime(u8),
    /// In turn, by level.
    BestEffort(u8),
    /// Nothing was set: best-effort by nice.
    Unset,
    /// When nobody else wants the disk.
    Idle,
}

impl Class {
    /// What recording processes get (R-SUP-7).
    pub const RECORDING: Self = Self::BestEffort(0);

    fn encode(self) -> libc::c_int {
        let (class, level) = match self {
            Self::Unset => (0, 0),
            Self::Realtime(level) => (1, level),
            Self::BestEffort(level) => (2, level),
            Self::Idle => (3, 0),
        };
        (class << CLASS_SHIFT) | libc::c_int::from(level)
    }

    fn decode(value: libc::c_long) -> Option<Self> {
        let level = (value & 7) as u8;
        match value >> CLASS_SHIFT {
            0 => Some(Self::Unset),
            1 => Some(Self::Realtime(level)),
            2 => Some(Self::BestEffort(level)),
            3 => Some(Self::Idle),
            _ => None,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Realtime(level) => write!(f, "rt{level}"),
            Self::BestEffort(level) => write!(f, "be{level}"),
            Self::Unset => f.write_str("none"),
            Self::Idle => f.write_str("idle"),
        }
    }
}

/// The class of one thread, `None` when it has gone or the kernel does not say.
#[allow(unsafe_code, reason = "neither std nor rustix knows ioprio_get")]
pub fn of_thread(tid: u32) -> Option<Class> {
    // SAFETY: ioprio_get takes two integers and touches no memory of ours.
    Class::decode(unsafe { libc::syscall(libc::SYS_ioprio_get, WHO_PROCESS, tid) })
}

/// Gives one thread a class.
#[allow(unsafe_code, reason = "neither std nor rustix knows ioprio_set")]
pub fn set_thread(tid: u32, class: Class) -> io::Result<()> {
    // SAFETY: ioprio_set takes three integers and touches no memory of ours.
    match unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, tid, class.encode()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives the calling thread a class; a system call and nothing else.
pub(super) fn set_own(class: Class) -> io::Result<()> {
    set_thread(0, class)
}

/// The worst class of any thread of `pid`, `None` when it has gone or the kernel does not say.
pub fn worst_of(pid: u32) -> Option<Class> {
    threads(pid).into_iter().filter_map(of_thread).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_set_and_read_back_and_the_worst_one_counts() {
        let worst = std::thread::spawn(|| {
            set_own(Class::Idle).expect("an ordinary user may step back");
            worst_of(std::process::id())
        });
        assert_eq!(worst.join().expect("the thread"), Some(Class::Idle));
        for class in [Class::Realtime(3), Class::RECORDING, Class::Unset, Class::Idle] {
            assert_eq!(Class::decode(class.encode().into()), Some(class));
        }
        assert!(Class::RECORDING < Class::BestEffort(4) && Class::BestEffort(7) < Class::Idle);
        assert_eq!((Class::RECORDING.to_string().as_str(), Class::decode(-1)), ("be0", None));
    }
}

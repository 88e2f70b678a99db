//! Nice values. They belong to threads, not to processes, and only somebody privileged can lower one.

use super::threads;
use crate::sys::procfs;
use rustix::process::{Pid, getpriority_process, setpriority_process};
use std::io;

/// The nice value asked for recording processes (R-SUP-7).
pub const RECORDING: i32 = -10;
/// The nice value of a window beside a recorder that got none (R-SUP-7).
pub const LOWERED: i32 = 10;
/// The nice value of secondary work.
pub(super) const IDLE: i32 = 19;

/// The nice value of one thread, `None` when it has gone.
pub fn of_thread(tid: u32) -> Option<i32> {
    getpriority_process(Some(pid(tid)?)).ok()
}

/// Gives one thread a nice value; refused with `EACCES` (lower, as an ordinary user) or `EPERM` (of another user).
pub fn set_thread(tid: u32, nice: i32) -> io::Result<()> {
    let tid = pid(tid).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(setpriority_process(Some(tid), nice)?)
}

/// The highest (= worst) nice value of any thread of `pid`, `None` when it has gone.
pub fn worst_of(pid: u32) -> Option<i32> {
    threads(pid).into_iter().filter_map(of_thread).max()
}

/// That of the calling thread.
pub fn own() -> i32 {
    getpriority_process(None).unwrap_or(0)
}

/// With `sched_autogroup` (the default of most desktop kernels) every session is a scheduling group, and nice only
/// counts within one: setsid would make a worker the equal of a whole compiler run. So its group gets the same nice.
/// Runs between fork and exec: system calls only. Absent or refused, nothing is lost that was there before.
pub(super) fn set_group(nice: &[u8]) {
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CLOEXEC;
    if let Ok(group) = rustix::fs::open(c"/proc/self/autogroup", flags, rustix::fs::Mode::empty()) {
        let _ = rustix::io::write(&group, nice);
    }
}

/// Gives the scheduling group of another process the nice value of recordings. The kernel takes one such write per 100 ms
/// from everybody without `CAP_SYS_ADMIN` (`EAGAIN`): of workers started together only the first gets it before exec.
pub fn raise_group_of(pid: u32) -> io::Result<()> {
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CLOEXEC;
    let of = procfs::of(pid).ok_or(io::ErrorKind::NotFound)?;
    let group = rustix::fs::open(of.join("autogroup"), flags, rustix::fs::Mode::empty())?;
    rustix::io::write(&group, RECORDING.to_string().as_bytes())?;
    Ok(())
}

/// The nice value of the scheduling group of `pid`, `None` where there are no such groups.
pub fn of_group(pid: u32) -> Option<i32> {
    let on = std::fs::read_to_string("/proc/sys/kernel/sched_autogroup_enabled").ok()?;
    let group = std::fs::read_to_string(procfs::of(pid)?.join("autogroup")).ok().filter(|_| on.trim() == "1")?;
    group.rsplit_once("nice")?.1.trim().parse().ok()
}

/// The same with [`LOWERED`] for a process that leads its session; in somebody else's session it would lower the
/// neighbours too. `false` = there is none of our own.
pub fn lower_own_group() -> bool {
    let leads = leads_session();
    if leads {
        set_group(b"10");
    }
    leads
}

/// In a sandbox whose session was begun outside of it the kernel answers 0, which rustix takes for a process and panics.
#[allow(unsafe_code, reason = "rustix refuses the process id 0")]
fn leads_session() -> bool {
    // SAFETY: it takes a number, returns one, and touches no memory of ours.
    let session = unsafe { libc::getsid(0) };
    session == rustix::process::getpid().as_raw_nonzero().get()
}

pub(super) fn pid(id: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(id).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_lowered_alone_and_the_worst_one_counts() {
        let lowered = std::thread::spawn(|| {
            let tid = crate::sys::process::own_thread();
            set_thread(tid, 15.max(own())).expect("lowering is always allowed");
            (of_thread(tid), worst_of(std::process::id()))
        });
        let (own_value, worst) = lowered.join().expect("the thread");
        assert!(own_value >= Some(15) && worst >= own_value);
        assert!(own() < 15 || own_value == Some(own()));
        assert_eq!(worst_of(u32::MAX), None);
    }

    #[test]
    fn who_leads_its_session_is_what_the_kernel_tells_others() {
        let stat = std::fs::read_to_string("/proc/self/stat").expect("our own");
        let (pid, rest) = stat.split_once(' ').expect("the id comes first");
        let session = rest.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().nth(3));
        assert_eq!(leads_session(), session == Some(pid), "{stat}");
    }

    /// The same as leader of a session, and as first process of a sandbox (CI's, Flatpak's).
    #[test]
    fn also_where_the_session_was_begun_outside_the_sandbox() {
        let test = "sys::priority::nice::tests::who_leads_its_session_is_what_the_kernel_tells_others";
        let leader = crate::sys::sandbox::begin_with(&["setsid", "--wait"], test, &[]);
        leader.unwrap_or_else(|refused| panic!("setsid: {refused}"));
        crate::sys::sandbox::runs(test, &[]);
    }
}

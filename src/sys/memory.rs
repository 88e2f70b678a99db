//! What the allocator of this process keeps for itself.
//!
//! glibc gives every thread that allocates an arena of its own, up to eight a processor, and keeps what was freed in each.
//! A worker makes new threads for every session: without a limit it held 134 MB after 60 sessions instead of 100 MB, and
//! never gave any of it back (measured: 2 processors, 640×360).

/// Arenas of a process: its streaming threads hand buffers on rather than allocate side by side.
const ARENAS: libc::c_int = 2;

/// Lets this process have few arenas. To be called before there is a second thread.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code, reason = "neither std nor rustix knows the allocator")]
pub fn limit_arenas() {
    // SAFETY: mallopt takes two integers. It must not run beside another first use of the allocator's settings, which is
    // why there is one thread.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, ARENAS) };
}

/// Gives memory that was freed back to the system. Takes some milliseconds, in which other threads may wait for memory.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code, reason = "neither std nor rustix knows the allocator")]
pub fn give_back() {
    // SAFETY: malloc_trim takes an integer, and is safe to call from any thread.
    unsafe { libc::malloc_trim(0) };
}

/// Other C libraries have no arenas.
#[cfg(not(target_env = "gnu"))]
pub fn limit_arenas() {}

/// Other C libraries give back by themselves.
#[cfg(not(target_env = "gnu"))]
pub fn give_back() {}

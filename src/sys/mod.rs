//! The operating system, without policy: clock, locks, sockets, processes, priorities.
//!
//! Contract: the only place that spawns processes, reads clocks and talks to `/proc`; nothing here decides.

pub mod build;
pub mod cgroup;
pub mod clock;
pub mod fd_passing;
pub mod hook;
pub mod inhibit;
pub mod lock;
pub mod log;
pub mod memory;
pub mod notify;
pub mod paths;
pub mod pressure;
pub mod priority;
pub mod process;
mod procfs;
#[cfg(test)]
pub mod sandbox;
pub mod unix_listener;
pub mod usage;

//! The one integration binary: rules of the code, and the real program as processes on a real disk.
//!
//! Contract: no test waits without a deadline, needs a display, a bus or a device of the machine, or leaves a
//! process or a folder behind (a failing test leaves its folder, and prints where).
//!
//! What cannot run on every machine says `SKIPPED` and why, on a line of its own, and fails where
//! `HOLDFAST_NO_SKIP=1` (`make torture`): `faults`, `storage` and `fault_table` (disks of their own, root; strace), `power`
//! (a loop device, root: the power cuts of R-FM-9) and `disk::on_a_disk_that_fills_up_the_part_is_closed_whole`.
#![allow(
    clippy::disallowed_methods,
    reason = "tests start programs, plant files and read clocks of their own; src/ may not"
)]

mod adopt;
mod alerts;
mod api;
mod architecture;
mod builds;
mod camera;
mod clock;
mod commands;
mod copy;
mod counters;
mod desk;
mod desk_alerts;
mod desk_endurance;
mod desk_hands;
mod desk_pictures;
mod desk_words;
mod disk;
mod endurance;
mod fault_table;
mod faults;
mod formats;
mod golden;
mod hang;
mod inhibit;
mod interleave;
mod keys;
mod kill;
mod latencies;
mod limits;
mod lossy;
mod marks;
mod matroska;
mod meters;
mod names;
mod operations;
mod overload;
mod packages;
mod power;
mod priority;
mod proof;
mod record;
mod recover;
mod replay;
mod sandbox;
mod seams;
mod service;
mod signals;
mod split;
mod storage;
mod stream;
#[allow(dead_code, reason = "a tool box: not every test run needs every tool")]
mod support;
mod takeover;
mod timeline;
mod translations;
mod words;

//! Hands and eyes of the tests: processes of ours, files read by others, displays, network sources.

pub mod api;
pub mod proc;
pub mod process;
pub mod rust_source;

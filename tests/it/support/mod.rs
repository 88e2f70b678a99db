//! Hands and eyes of the tests: processes of ours, files read by others, displays, network sources.

pub mod demux;
pub mod dice;
pub mod rust_source;

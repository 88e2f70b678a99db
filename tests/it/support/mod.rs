//! Hands and eyes of the tests: processes of ours, files read by others, displays, network sources.

pub mod api;
pub mod bus;
pub mod demux;
pub mod dice;
pub mod disk;
pub mod display;
pub mod evidence;
pub mod flash_tick;
pub mod frames;
pub mod guest;
pub mod inject;
pub mod loss;
pub mod media_file;
pub mod nal;
pub mod plugins;
pub mod power;
pub mod proc;
pub mod process;
pub mod rtsp;
pub mod rust_source;
pub mod schema;
pub mod skip;
pub mod tone;
pub mod truth;
pub mod viewer;

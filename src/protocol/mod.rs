//! What travels between processes. Contract: every wire byte is encoded here, nowhere else.

pub mod api;
pub mod codec;
pub mod worker;

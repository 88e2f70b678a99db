//! What travels between processes. Contract: every wire byte is encoded here, nowhere else.

pub mod api;
pub mod client;
pub mod codec;
pub mod event;
pub mod health;
pub mod history;
pub mod latency;
pub mod marker;
pub mod naming;
pub mod operations;
pub mod order;
pub mod worker;

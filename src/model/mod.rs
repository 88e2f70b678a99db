//! The nouns of the product and their rules: pure values, no I/O, no clock, no GStreamer.
//!
//! Contract: this module depends on `std`, `serde` and value crates (`uuid`, `jiff`) only. Every type that is
//! written to disk or to a socket is defined here or in [`crate::protocol`], nowhere else.

pub mod calendar;
pub mod encoding;
pub mod id;
pub mod incident;
pub mod input;
pub mod loss;
pub mod marker;
pub mod naming;
pub mod policy;
pub mod proof;
pub mod redact;
pub mod session;
pub mod shed;
pub mod snapshot;
pub mod time;

pub use id::{InputId, SessionId, SessionName};
pub use time::MonoNs;

//! What must survive power loss: names, append-only logs, atomic replacement.
//!
//! Contract: every rename and every whole-file write of the product happens here; media bytes are written by
//! [`crate::media::durable_sink`] only.

pub mod atomic;
pub mod fault;
pub mod history;
pub mod journal;
pub mod layout;
mod left;
mod loss;
mod manifest;
mod markers;
pub mod order;
pub mod proof;
pub mod pulse;
pub mod recent;
pub mod recovery;
pub mod search;
pub mod space;

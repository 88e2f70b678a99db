//! Holdfast, a recorder for several live inputs that nothing else in the machine can take down.
//!
//! One binary, several roles (see ARCHITECTURE.md): the window ([`ui`]), the supervisor ([`engine`]), one
//! [`worker`] per input, the short-lived [`prove`] job, and the command line ([`cli`]). Everything else is a
//! library these roles share; `tests/it/architecture.rs` enforces who may depend on whom.
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests plant files and start programs; what ships may not")
)]

pub mod cli;
pub mod config;
pub mod engine;
pub mod media;
pub mod model;
pub mod protocol;
pub mod prove;
pub mod storage;
pub mod sys;
pub mod ui;
pub mod worker;

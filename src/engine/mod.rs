//! The supervisor: authoritative state, journal, alerts, API. Opens no device, links no media code.
mod alerts;
mod event;
mod restart;
mod state;
mod worker_state;

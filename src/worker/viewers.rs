//! Those who watch, and the preview made for them.

use super::Notice;
use super::mailbox::Mailbox;
use crate::media::stage::Stage;
use crate::model::snapshot::{Meter, PreviewView};
use crate::model::{InputId, MonoNs};
use crate::protocol::worker::Report;
use std::os::fd::OwnedFd;

/// A line for a viewer.
pub struct RingReport {
    /// The viewer.
    pub connection: u64,
    /// The line.
    pub report: Report,
    /// What travels with it.
    pub memfd: Option<OwnedFd>,
}

/// Viewers; see the module.
pub struct Viewers {
    _mailbox: Mailbox<Notice>,
}

impl Viewers {
    /// Nobody watches.
    pub fn new(mailbox: Mailbox<Notice>) -> Self {
        Self { _mailbox: mailbox }
    }
    /// x
    pub fn watch(&mut self, _now: MonoNs, _c: u64, _w: u32, _h: u32) {}
    /// x
    pub fn forget(&mut self, _now: MonoNs, _c: u64) {}
    /// x
    pub fn view(&self) -> Option<PreviewView> {
        None
    }
    /// x
    pub fn set_meters(&mut self, _m: &[Meter]) {}
    /// x
    pub fn on_failed(&mut self, _g: u64, _r: &str) {}
    /// x
    pub fn refresh(&mut self, _now: MonoNs, _i: &InputId, _s: &Stage, _size: Option<(u32, u32)>) -> Vec<RingReport> {
        Vec::new()
    }
}

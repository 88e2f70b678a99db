//! Those who watch, and the one preview and ring made for all of them.
//!
//! Contract: a viewer that joins gets pictures at once, all get a new ring then; a change of size is taken up after
//! it has settled; nothing runs while nobody watches. A preview that fails is made anew after a pause and costs the
//! recording nothing. Under load it does with fewer pixels, fewer pictures, or none; who watches then keeps the last one.

use super::mailbox::Mailbox;
use super::notice::Notice;
use crate::media::frame_ring::{MAX_READERS, RingWriter};
use crate::media::preview::{self, Preview, SharedRing};
use crate::media::stage::Stage;
use crate::model::shed::PreviewCap;
use crate::model::snapshot::{Meter, PreviewReduction, PreviewState, PreviewView};
use crate::model::{InputId, MonoNs};
use crate::protocol::worker::Report;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A tile that is being resized sends many sizes; the last one counts.
const RESIZE_SETTLES: Duration = Duration::from_millis(300);
/// Pause before a failed preview is made anew.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// The shown rate is measured over this long.
const RATE_WINDOW: Duration = Duration::from_secs(1);

/// A line for a viewer.
#[derive(Debug)]
pub struct ViewerReport {
    /// The viewer.
    pub connection: u64,
    /// The line.
    pub report: Report,
    /// What travels with it.
    pub memfd: Option<OwnedFd>,
}

/// One viewer.
#[derive(Debug, Clone, Copy)]
struct Viewer {
    tile: (u32, u32),
    /// Its number in the ring of this generation; `None` until it has one.
    reader: Option<u8>,
}

struct Showing {
    /// `None` = off under load.
    preview: Option<Preview>,
    ring: SharedRing,
    /// What it does without.
    reduced: Option<PreviewReduction>,
}

/// Viewers; see the module.
pub struct Viewers {
    viewers: BTreeMap<u64, Viewer>,
    refused: Vec<u64>,
    showing: Option<Showing>,
    /// Marks notices and rings.
    generation: u64,
    /// When the preview is to be made (anew).
    rebuild_at: Option<MonoNs>,
    failed: bool,
    cap: PreviewCap,
    /// The cap has changed since the preview was made.
    reshape: bool,
    rate_from: Option<(MonoNs, u64)>,
    fps: Option<f64>,
    mailbox: Mailbox<Notice>,
}

impl Viewers {
    /// Nobody watches.
    pub fn new(mailbox: Mailbox<Notice>) -> Self {
        Self {
            viewers: BTreeMap::new(),
            refused: Vec::new(),
            showing: None,
            generation: 0,
            rebuild_at: None,
            failed: false,
            cap: PreviewCap::default(),
            reshape: false,
            rate_from: None,
            fps: None,
            mailbox,
        }
    }

    /// A viewer wants pictures of at most this size; 0×0 = none.
    pub fn watch(&mut self, now: MonoNs, connection: u64, width: u32, height: u32) {
        if width == 0 || height == 0 {
            return self.forget(now, connection);
        }
        let full = self.viewers.len() >= usize::from(MAX_READERS);
        match self.viewers.get_mut(&connection) {
            Some(viewer) if viewer.tile == (width, height) => {}
            Some(viewer) => {
                viewer.tile = (width, height);
                self.rebuild_at = Some(now.plus(RESIZE_SETTLES));
            }
            None if full => self.refused.push(connection),
            None => {
                self.viewers.insert(connection, Viewer { tile: (width, height), reader: None });
                self.rebuild_at = Some(now);
            }
        }
    }

    /// A viewer is gone.
    pub fn forget(&mut self, _now: MonoNs, connection: u64) {
        let Some(viewer) = self.viewers.remove(&connection) else { return };
        if let (Some(showing), Some(reader)) = (&self.showing, viewer.reader) {
            showing.ring.lock().unwrap_or_else(PoisonError::into_inner).clear_reader(reader);
        }
        if self.viewers.is_empty() {
            self.stop();
            self.rebuild_at = None;
        }
    }

    /// Whether somebody watches.
    pub fn any(&self) -> bool {
        !self.viewers.is_empty()
    }

    /// Whether somebody is shown pictures.
    pub fn shows(&self) -> bool {
        self.any() && !self.cap.off
    }

    /// The preview stays within this from now on.
    pub fn set_cap(&mut self, cap: PreviewCap) {
        self.reshape |= std::mem::replace(&mut self.cap, cap) != cap;
    }

    /// What the status says of the preview, `None` = nobody watches.
    pub fn view(&mut self, now: MonoNs) -> Option<PreviewView> {
        if self.viewers.is_empty() {
            return None;
        }
        let preview = self.showing.as_ref().and_then(|showing| showing.preview.as_ref());
        let size = preview.map(|preview| preview.size);
        if let Some(preview) = preview {
            let count = preview.shown.count();
            let (since, before) = *self.rate_from.get_or_insert((now, count));
            let window = now.since(since);
            if window >= RATE_WINDOW {
                self.fps = Some(count.saturating_sub(before) as f64 / window.as_secs_f64());
                self.rate_from = Some((now, count));
            }
        }
        let reduced = self.showing.as_ref().and_then(|showing| showing.reduced);
        let state = match reduced {
            _ if self.failed => PreviewState::Lost,
            None => PreviewState::Live,
            Some(PreviewReduction::Off) => PreviewState::Shed,
            Some(PreviewReduction::Height | PreviewReduction::Rate) => PreviewState::Reduced,
        };
        let (width, height) = (size.map(|size| size.0), size.map(|size| size.1));
        Some(PreviewView { state, width, height, fps: self.fps, reduced })
    }

    /// New levels for every viewer.
    pub fn set_meters(&mut self, meters: &[Meter]) {
        if let Some(showing) = &self.showing {
            showing.ring.lock().unwrap_or_else(PoisonError::into_inner).set_meters(meters);
        }
    }

    /// The preview of `generation` failed.
    pub fn on_failed(&mut self, now: MonoNs, generation: u64, reason: &str) {
        if generation == self.generation {
            tracing::warn!(reason, "the preview failed; it is made anew");
            self.stop();
            self.failed = true;
            self.rebuild_at = Some(now.plus(RETRY_PAUSE));
        }
    }

    /// Makes preview and ring fit those who watch; returns what they must be told.
    pub fn refresh(
        &mut self,
        now: MonoNs,
        input: &InputId,
        stage: &Stage,
        picture: Option<((u32, u32), f64)>,
    ) -> Vec<ViewerReport> {
        let mut reports: Vec<ViewerReport> = self.refused.drain(..).map(refusal).collect();
        let Some(picture) = picture else { return reports };
        let due = self.rebuild_at.is_some_and(|at| now >= at);
        // One that failed is made anew when that is due.
        let reshape = self.rebuild_at.is_none() && self.showing.is_some() && self.reshape;
        if self.viewers.is_empty() || !(due || reshape) {
            return reports;
        }
        let made = if due {
            self.rebuild_at = None;
            self.rebuild(input, stage, picture)
        } else {
            self.reshape(input, stage, picture).map(|()| Vec::new())
        };
        match made {
            Ok(rings) => {
                self.failed = false;
                reports.extend(rings);
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "no preview");
                self.failed = true;
                self.rebuild_at = Some(now.plus(RETRY_PAUSE));
            }
        }
        reports
    }

    /// The largest picture somebody wants, with no tile higher than `max_height`.
    fn size(&self, picture: (u32, u32), max_height: u32) -> (u32, u32) {
        let sizes =
            self.viewers.values().map(|viewer| preview::fit(picture, (viewer.tile.0, viewer.tile.1.min(max_height))));
        sizes.max_by_key(|size| u64::from(size.0) * u64::from(size.1)).unwrap_or(picture)
    }

    /// The preview as far as load leaves room for one. The ring has room for what it is without load.
    fn show(
        &mut self,
        input: &InputId,
        stage: &Stage,
        (picture, rate): ((u32, u32), f64),
        ring: &SharedRing,
    ) -> anyhow::Result<()> {
        self.generation += 1;
        let generation = self.generation;
        let cap = self.cap;
        self.reshape = false;
        let size = self.size(picture, cap.max_height.unwrap_or(u32::MAX));
        let max_rate = cap.max_fps.unwrap_or(preview::MAX_RATE).clamp(1, preview::MAX_RATE);
        let reduced = match size {
            _ if cap.off => Some(PreviewReduction::Off),
            _ if f64::from(max_rate) < rate.min(f64::from(preview::MAX_RATE)) => Some(PreviewReduction::Rate),
            size if size != self.size(picture, u32::MAX) => Some(PreviewReduction::Height),
            _ => None,
        };
        let mailbox = self.mailbox.clone();
        let on_event = move |event| mailbox.send(Notice::Preview(generation, event));
        let preview = match cap.off {
            true => None,
            false => {
                Some(Preview::start(&format!("{input}-preview"), stage, (size, max_rate), ring.clone(), on_event)?)
            }
        };
        self.showing = Some(Showing { preview, ring: ring.clone(), reduced });
        Ok(())
    }

    /// Makes the preview anew within the ring that everybody has.
    fn reshape(&mut self, input: &InputId, stage: &Stage, picture: ((u32, u32), f64)) -> anyhow::Result<()> {
        let Some(ring) = self.showing.as_ref().map(|showing| showing.ring.clone()) else { return Ok(()) };
        self.stop();
        self.show(input, stage, picture, &ring)
    }

    fn rebuild(
        &mut self,
        input: &InputId,
        stage: &Stage,
        picture: ((u32, u32), f64),
    ) -> anyhow::Result<Vec<ViewerReport>> {
        self.stop();
        let size = self.size(picture.0, u32::MAX);
        let readers = u8::try_from(self.viewers.len()).unwrap_or(MAX_READERS);
        let ring = Arc::new(Mutex::new(RingWriter::create(size.0, size.1, readers)?));
        self.show(input, stage, picture, &ring)?;
        let generation = self.generation;
        let mut reports = Vec::new();
        {
            let ring = ring.lock().unwrap_or_else(PoisonError::into_inner);
            for (reader, (connection, viewer)) in (0u8..).zip(&mut self.viewers) {
                viewer.reader = Some(reader);
                let memfd = Some(ring.memfd().try_clone_to_owned()?);
                reports.push(ViewerReport {
                    connection: *connection,
                    report: Report::Ring { generation, reader },
                    memfd,
                });
            }
        }
        Ok(reports)
    }

    fn stop(&mut self) {
        if let Some(preview) = self.showing.take().and_then(|showing| showing.preview) {
            preview.discard();
        }
        self.rate_from = None;
        self.fps = None;
    }
}

fn refusal(connection: u64) -> ViewerReport {
    let reason = format!("{MAX_READERS} windows watch this input already");
    ViewerReport { connection, report: Report::WatchRefused { reason }, memfd: None }
}

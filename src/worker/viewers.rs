//! Those who watch, and the one preview and ring made for all of them.
//!
//! Contract: a viewer that joins gets pictures at once, all get a new ring then; a change of size is taken up after
//! it has settled; nothing runs while nobody watches. A preview that fails is made anew after a pause and costs the
//! recording nothing.

use super::mailbox::Mailbox;
use super::notice::Notice;
use crate::media::frame_ring::{MAX_READERS, RingWriter};
use crate::media::preview::{self, Preview, SharedRing};
use crate::media::stage::Stage;
use crate::model::snapshot::{Meter, PreviewState, PreviewView};
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
    preview: Preview,
    ring: SharedRing,
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

    /// What the status says of the preview, `None` = nobody watches.
    pub fn view(&mut self, now: MonoNs) -> Option<PreviewView> {
        if self.viewers.is_empty() {
            return None;
        }
        let size = self.showing.as_ref().map(|showing| showing.preview.size);
        if let Some(showing) = &self.showing {
            let count = showing.preview.shown.count();
            let (since, before) = *self.rate_from.get_or_insert((now, count));
            let window = now.since(since);
            if window >= RATE_WINDOW {
                self.fps = Some(count.saturating_sub(before) as f64 / window.as_secs_f64());
                self.rate_from = Some((now, count));
            }
        }
        let state = if self.failed { PreviewState::Lost } else { PreviewState::Live };
        Some(PreviewView { state, width: size.map(|size| size.0), height: size.map(|size| size.1), fps: self.fps })
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
        picture: Option<(u32, u32)>,
    ) -> Vec<ViewerReport> {
        let mut reports: Vec<ViewerReport> = self.refused.drain(..).map(refusal).collect();
        let (Some(picture), Some(at)) = (picture, self.rebuild_at) else { return reports };
        if now < at || self.viewers.is_empty() {
            return reports;
        }
        self.rebuild_at = None;
        match self.rebuild(input, stage, picture) {
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

    fn rebuild(&mut self, input: &InputId, stage: &Stage, picture: (u32, u32)) -> anyhow::Result<Vec<ViewerReport>> {
        self.stop();
        self.generation += 1;
        let generation = self.generation;
        let sizes = self.viewers.values().map(|viewer| preview::fit(picture, viewer.tile));
        let size = sizes.max_by_key(|size| u64::from(size.0) * u64::from(size.1)).unwrap_or(picture);
        let readers = u8::try_from(self.viewers.len()).unwrap_or(MAX_READERS);
        let ring = Arc::new(Mutex::new(RingWriter::create(size.0, size.1, readers)?));
        let mailbox = self.mailbox.clone();
        let on_event = move |event| mailbox.send(Notice::Preview(generation, event));
        let preview = Preview::start(&format!("{input}-preview"), stage, size, ring.clone(), on_event)?;
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
        self.showing = Some(Showing { preview, ring });
        Ok(reports)
    }

    fn stop(&mut self) {
        if let Some(showing) = self.showing.take() {
            showing.preview.discard();
        }
        self.rate_from = None;
        self.fps = None;
    }
}

fn refusal(connection: u64) -> ViewerReport {
    let reason = format!("{MAX_READERS} windows watch this input already");
    ViewerReport { connection, report: Report::WatchRefused { reason }, memfd: None }
}

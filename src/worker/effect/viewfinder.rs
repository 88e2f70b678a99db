//! Decodes a copied source for as long as somebody watches, and not a picture longer.

use super::Worker;
use crate::media::source::Viewfinder;
use crate::model::MonoNs;
use crate::worker::notice::Notice;
use std::time::Duration;

/// Pause before a decoder that failed is made anew.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

impl Worker {
    /// Makes the decoder fit those who watch.
    pub(super) fn refresh_viewfinder(&mut self, now: MonoNs) {
        let coded = self.source.as_ref().and_then(|open| open.source.video.coded()).cloned();
        let Some(coded) = coded.filter(|_| self.viewers.shows() && self.state.picture().is_some()) else {
            return self.close_viewfinder();
        };
        if self.viewfinder.is_some() || now < self.viewfinder_at {
            return;
        }
        let Some(stage) = &mut self.stage else { return };
        let (mailbox, generation) = (self.mailbox.clone(), self.source_generation);
        let on_event = move |event| mailbox.send(Notice::Viewfinder(generation, event));
        let name = format!("{}-viewfinder", self.state.input());
        let opened = Viewfinder::open(&name, &coded, on_event).and_then(|viewfinder| {
            stage.video_in.connect(&viewfinder.video)?;
            Ok(viewfinder)
        });
        match opened {
            Ok(viewfinder) => self.viewfinder = Some(viewfinder),
            Err(error) => self.on_viewfinder_failed(now, &error.to_string()),
        }
    }

    pub(super) fn on_viewfinder_failed(&mut self, now: MonoNs, reason: &str) {
        tracing::warn!(reason, "the pictures cannot be shown; the recording goes on");
        self.close_viewfinder();
        self.viewfinder_at = now.plus(RETRY_PAUSE);
    }

    pub(super) fn close_viewfinder(&mut self) {
        let Some(viewfinder) = self.viewfinder.take() else { return };
        if let Some(stage) = &mut self.stage {
            stage.video_in.disconnect();
        }
        viewfinder.discard();
    }
}

//! Sound that should be there and is not.

use super::source::SourceState;
use super::{Effect, State};
use crate::model::MonoNs;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::input::AudioChoice;
use std::time::Duration;

/// Sound missing for this long counts as lost: a hundred periods of a sound card, ten of a network stream.
const SOUND_DEADLINE: Duration = Duration::from_secs(1);

/// Whether sound is expected, and since when.
#[derive(Debug, Default)]
pub(super) struct AudioWatch {
    /// The source has no sound at all, which is no fault.
    pub(super) absent: bool,
    since: MonoNs,
}

impl AudioWatch {
    /// The picture has just come; the sound gets its time.
    pub(super) fn restart(&mut self, now: MonoNs) {
        self.since = now;
    }

    /// The worker itself stood still; the last sound it knows of came at `last`.
    pub(super) fn hold_up(&mut self, last: Option<MonoNs>, hold_up: impl FnOnce(&mut MonoNs)) {
        self.since = self.since.max(last.unwrap_or_default());
        hold_up(&mut self.since);
    }
}

impl State {
    /// Whether a part gets a sound track.
    pub(super) fn records_audio(&self) -> bool {
        let wanted = self.config.as_ref().is_some_and(|config| config.input.audio != AudioChoice::Off);
        wanted && !self.audio.absent
    }

    pub(super) fn watch_audio(&mut self, now: MonoNs, out: &mut Vec<Effect>) {
        if !self.records_audio() || !matches!(self.source, SourceState::Live { .. }) {
            return self.clear(IncidentCode::AudioLost, out);
        }
        let last = self.evidence.sound_at.unwrap_or_default().max(self.audio.since);
        if now.since(last) > SOUND_DEADLINE {
            self.raise(now, Incident::new(IncidentCode::AudioLost), out);
        } else if self.evidence.sound_at.is_some_and(|at| now.since(at) <= SOUND_DEADLINE) {
            self.clear(IncidentCode::AudioLost, out);
        }
    }
}

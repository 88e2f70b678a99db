//! The source: opening, losing, opening again.

use super::{Effect, State, backoff};
use crate::media::signal::{self, VideoFormat};
use crate::model::MonoNs;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::input::{OnSignalLoss, SourceSpec};
use crate::model::session::PartEnd;
use std::time::Duration;

/// A source that opened without an error but shows no frame for this long is closed again. Longer than the 5 s a
/// network connection may take plus the first keyframe of a camera.
const OPEN_DEADLINE: Duration = Duration::from_secs(10);
/// Network streams stall for a moment without being lost: they get this much longer than a device.
const NETWORK_GRACE: Duration = Duration::from_millis(1250);

/// What the source is doing.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum SourceState {
    /// Nobody said what it is.
    Unconfigured,
    /// Asked to open; no frame yet.
    Opening {
        /// When.
        since: MonoNs,
        /// Its format, known just before the first frame.
        format: Option<VideoFormat>,
        /// What was wrong before.
        cause: Option<Incident>,
    },
    /// Frames arrive.
    Live {
        /// Since when.
        since: MonoNs,
        /// What arrives.
        format: VideoFormat,
    },
    /// Closed; opened again later.
    Waiting {
        /// When.
        until: MonoNs,
        /// What is wrong.
        cause: Option<Incident>,
    },
    /// Will never work as configured.
    Failed {
        /// Why.
        cause: Incident,
    },
}

impl SourceState {
    /// What is wrong with it.
    pub(super) fn cause(&self) -> Option<Incident> {
        match self {
            SourceState::Opening { cause, .. } | SourceState::Waiting { cause, .. } => cause.clone(),
            SourceState::Failed { cause } => Some(cause.clone()),
            SourceState::Unconfigured | SourceState::Live { .. } => None,
        }
    }
}

impl State {
    pub(super) fn is_network(&self) -> bool {
        matches!(self.config.as_ref().map(|config| &config.input.source), Some(SourceSpec::Rtsp { .. }))
    }

    /// Whether the source is a file that begins again at its end.
    fn repeats(&self) -> bool {
        matches!(self.config.as_ref().map(|config| &config.input.source), Some(SourceSpec::File { repeat: true, .. }))
    }

    pub(super) fn open_source(&mut self, now: MonoNs, seamless: bool, out: &mut Vec<Effect>) {
        self.source = SourceState::Opening { since: now, format: None, cause: self.source.cause() };
        self.attempt += 1;
        self.released = false;
        self.audio.absent = false;
        self.evidence.frame_at = None;
        out.push(Effect::OpenSource { seamless, by_tcp: self.by_tcp });
        out.push(Effect::PublishStatus);
    }

    pub(super) fn on_format(&mut self, now: MonoNs, format: VideoFormat, out: &mut Vec<Effect>) {
        let coding = match &mut self.source {
            SourceState::Opening { format: known, .. } => {
                *known = Some(format.clone());
                None
            }
            SourceState::Live { format: known, .. } => std::mem::replace(known, format.clone()).coding,
            SourceState::Unconfigured | SourceState::Waiting { .. } | SourceState::Failed { .. } => return,
        };
        // A file holds one set of parameters: what is copied goes on in the next part.
        if coding.is_some() && coding != format.coding {
            self.close_part_for_loss(now, PartEnd::SignalLost, true, out);
        }
        // While a part is open the frozen format stays: the stage scales into it.
        if !self.part_is_open() {
            out.push(Effect::Freeze(format));
        }
        out.push(Effect::PublishStatus);
    }

    pub(super) fn on_source_failed(&mut self, now: MonoNs, reason: String, permanent: bool, out: &mut Vec<Effect>) {
        let code = if permanent { IncidentCode::SourceMisconfigured } else { IncidentCode::SourceUnreachable };
        self.lose_source(now, Incident::new(code).with("reason", reason), out);
    }

    pub(super) fn on_source_ended(&mut self, now: MonoNs, out: &mut Vec<Effect>) {
        if let (true, SourceState::Live { since, .. }) = (self.repeats(), &mut self.source) {
            // A file that repeats is one stream: nothing is closed, its time goes on; its frames get their time to come.
            *since = now;
            self.audio.restart(now);
            self.released = false;
            out.push(Effect::CloseSource);
            out.push(Effect::OpenSource { seamless: true, by_tcp: false });
            return;
        }
        let incident = match self.config.as_ref().map(|config| &config.input.source) {
            Some(SourceSpec::File { path, .. }) => Incident::new(IncidentCode::SourceUnreachable)
                .with("reason", format!("the file {} has been played to its end", path.display())),
            _ => Incident::new(IncidentCode::NoSignal),
        };
        self.lose_source(now, incident, out);
    }

    /// Closes the source and whatever was recorded from it, and plans the next attempt.
    fn lose_source(&mut self, now: MonoNs, incident: Incident, out: &mut Vec<Effect>) {
        let (was_live, dark_since) = match self.source {
            SourceState::Live { since, .. } => (true, self.evidence.frame_at.unwrap_or(since).max(since)),
            SourceState::Opening { since, .. } => (false, since),
            SourceState::Unconfigured | SourceState::Waiting { .. } | SourceState::Failed { .. } => return,
        };
        out.push(Effect::CloseSource);
        out.push(Effect::Log(incident.clone()));
        let policy = self.policy();
        // One that answers and shows nothing: `auto` itself only notices that where not a single datagram gets through.
        if incident.code == IncidentCode::NoSignal && !was_live {
            self.by_tcp = !self.by_tcp;
        }
        self.source = if incident.code == IncidentCode::SourceMisconfigured {
            SourceState::Failed { cause: incident.clone() }
        } else {
            let pause = if was_live {
                policy.retry_first
            } else {
                backoff(self.attempt, policy.retry_first, policy.retry_cap, now.0)
            };
            SourceState::Waiting { until: now.plus(pause), cause: Some(incident.clone()) }
        };
        let stays = self.config.as_ref().is_some_and(|config| config.input.on_signal_loss == OnSignalLoss::Split);
        let cause = incident.code;
        self.raise(now, incident, out);
        if let Some(recording) = &mut self.recording {
            recording.note_dark(dark_since, cause);
        }
        self.close_part_for_loss(now, PartEnd::SignalLost, stays, out);
        out.push(Effect::PublishStatus);
    }

    /// Goes live with the first frame, notices when frames stop, opens again when the pause is over.
    pub(super) fn watch_source(&mut self, now: MonoNs, out: &mut Vec<Effect>) {
        match self.source.clone() {
            SourceState::Unconfigured | SourceState::Failed { .. } => {}
            SourceState::Opening { since, format, .. } => match (format, self.evidence.frame_at) {
                (Some(format), Some(_)) => self.go_live(now, format, out),
                _ if now.since(since) >= OPEN_DEADLINE => {
                    self.lose_source(now, Incident::new(IncidentCode::NoSignal), out);
                }
                _ => {}
            },
            SourceState::Live { since, format } => {
                let mut limit = signal::loss_timeout(self.policy().signal_timeout, format.period());
                if self.is_network() || self.repeats() {
                    limit += NETWORK_GRACE;
                }
                let last = self.evidence.frame_at.unwrap_or(since).max(since).max(self.frames_from);
                if now.since(last) > limit {
                    self.lose_source(now, Incident::new(IncidentCode::NoSignal), out);
                }
            }
            SourceState::Waiting { until, .. } => {
                if now >= until && self.released {
                    self.open_source(now, false, out);
                }
            }
        }
    }

    fn go_live(&mut self, now: MonoNs, format: VideoFormat, out: &mut Vec<Effect>) {
        self.source = SourceState::Live { since: now, format };
        self.attempt = 0;
        for code in [IncidentCode::NoSignal, IncidentCode::SourceUnreachable, IncidentCode::SourceMisconfigured] {
            self.clear(code, out);
        }
        self.audio.restart(now);
        self.open_part_if_live(now, out);
        out.push(Effect::PublishStatus);
    }
}

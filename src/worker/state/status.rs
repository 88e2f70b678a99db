//! What a worker says of itself: a function of its state and the evidence, nothing else (R-TRU-1).

use super::State;
use super::recording::{Phase, Recording, sum};
use super::source::SourceState;
use crate::model::MonoNs;
use crate::model::incident::{Incident, IncidentCode};
use crate::model::policy::WorkerPolicy;
use crate::model::snapshot::{InputState, PreviewView, RecordingState, RecordingView, RetryState, RetryView};
use crate::protocol::worker::WorkerStatus;
use std::time::Duration;

/// The rate of growth is measured over at least this long: four fragments.
const RATE_WINDOW: Duration = Duration::from_secs(2);

impl State {
    /// The status at `now`. Also remembers where the growth rate is measured from.
    pub fn status(&mut self, now: MonoNs) -> WorkerStatus {
        let policy = self.policy();
        let cause = self.source.cause();
        let signal = match &self.source {
            SourceState::Live { format, .. } => Some(format.signal()),
            _ => None,
        };
        let session = self.recording.as_ref().map(Recording::session);
        WorkerStatus {
            state: self.input_state(cause.as_ref()),
            detail_code: cause.as_ref().map(|cause| cause.code.as_str().to_owned()),
            detail_params: cause.map(|cause| cause.params).unwrap_or_default(),
            retry: self.retry_view(now),
            signal,
            preview: self.evidence.preview.clone().unwrap_or(PreviewView::OFF),
            audio: self.evidence.meters.clone(),
            session,
            first_part: self.recording.as_ref().map(|recording| recording.ticket.first_part.max(1)),
            recording: self.recording.as_mut().map(|recording| recording.view(now, &policy)),
            arrived: Some(self.evidence.arrived),
            received: self.is_network().then_some(self.evidence.received),
            nice: self.evidence.nice,
            grown_ms_ago: self.recording.as_ref().and_then(Recording::grown_at).map(|at| ms(now.since(at))),
            active: self.active.values().cloned().collect(),
            load: self.evidence.load,
            shed: Some(self.shed),
        }
    }

    fn input_state(&self, cause: Option<&Incident>) -> InputState {
        let no_signal = cause.is_some_and(|cause| cause.code == IncidentCode::NoSignal) && !self.is_network();
        match &self.source {
            SourceState::Unconfigured => InputState::Starting,
            SourceState::Live { .. } => InputState::Live,
            SourceState::Failed { .. } => InputState::Failed,
            SourceState::Opening { .. } | SourceState::Waiting { .. } if no_signal => InputState::NoSignal,
            SourceState::Opening { cause: None, .. } => InputState::Starting,
            SourceState::Opening { .. } | SourceState::Waiting { .. } => InputState::Reconnecting,
        }
    }

    fn retry_view(&self, now: MonoNs) -> RetryView {
        let cause = self.source.cause();
        let (state, next_in_ms) = match &self.source {
            SourceState::Waiting { until, .. } => (RetryState::Retrying, Some(ms(until.since(now)))),
            SourceState::Opening { .. } if cause.is_some() => (RetryState::Retrying, None),
            SourceState::Failed { .. } => (RetryState::Failed, None),
            SourceState::Unconfigured | SourceState::Opening { .. } | SourceState::Live { .. } => {
                (RetryState::Idle, None)
            }
        };
        let error_class = cause.map(|cause| cause.code.as_str().to_owned());
        RetryView { state, attempt: self.attempt, max: None, next_in_ms, error_class }
    }
}

impl Recording {
    fn view(&mut self, now: MonoNs, policy: &WorkerPolicy) -> RecordingView {
        let known = self.parts > 0 || self.take.progress.bytes > 0;
        let settling = self.settling.as_ref().map(|settling| settling.take);
        let beside = settling.unwrap_or_default();
        let known = known || beside.progress.bytes > 0;
        let total = |closed: Duration, open: Duration| known.then(|| ms(closed + open));
        let (part, file) = self.last.clone().map_or((self.ticket.first_part.max(1), None), |(n, f)| (n, Some(f)));
        let open = matches!(self.phase, Phase::Writing { .. } | Phase::Closing { .. });
        let frames = settling.map_or(self.frames, |settling| sum(self.frames, settling.frames));
        let frames = if open { sum(frames, self.take.frames) } else { frames };
        RecordingView {
            state: self.state(now, policy),
            verdict: None,
            part,
            file,
            media_ms: total(self.media + beside.progress.written, self.take.progress.written),
            safe_ms: total(self.safe + beside.progress.safe, self.take.progress.safe),
            bytes: (self.take.progress.bytes > 0).then_some(self.take.progress.bytes),
            bytes_per_s: self.growth(now),
            frames,
        }
    }

    /// When media last reached the file that is being written.
    fn grown_at(&self) -> Option<MonoNs> {
        if let Phase::Writing { grown_at, .. } = self.phase { grown_at } else { None }
    }

    /// From evidence only: `recording` means that new media reached the file within the last two seconds.
    fn state(&self, now: MonoNs, policy: &WorkerPolicy) -> RecordingState {
        match &self.phase {
            Phase::Done { failed: true } => RecordingState::Failed,
            Phase::Done { failed: false } => RecordingState::Done,
            _ if self.is_stopping() => RecordingState::Stopping,
            // It may well grow, but nobody can find it.
            _ if self.is_displaced() => RecordingState::Stalled,
            Phase::Writing { grown_at: Some(at), .. } if now.since(*at) < policy.stall_shown => {
                RecordingState::Recording
            }
            Phase::Writing { grown_at: Some(_), .. } => RecordingState::Stalled,
            // Tried again: nothing has got better yet.
            Phase::Writing { .. } | Phase::Opening { .. } if self.fault.is_some() => RecordingState::Stalled,
            Phase::Writing { since, .. } | Phase::Opening { since, .. } => {
                let waited = now.since((*since).max(self.ticket.start_at_ns));
                if waited < policy.stall_shown { RecordingState::Starting } else { RecordingState::Stalled }
            }
            Phase::Awaiting { .. } | Phase::Closing { .. } | Phase::Ending { .. }
                if self.last.is_none() && self.fault.is_none() =>
            {
                RecordingState::Starting
            }
            Phase::Awaiting { .. } | Phase::Closing { .. } | Phase::Ending { .. } => RecordingState::Stalled,
        }
    }

    fn growth(&mut self, now: MonoNs) -> Option<u64> {
        let bytes = self.take.progress.bytes;
        if !matches!(self.phase, Phase::Writing { .. }) {
            self.rate_from = None;
            return None;
        }
        let (at, from) = *self.rate_from.get_or_insert((now, bytes));
        let window = now.since(at);
        if window < RATE_WINDOW {
            return None;
        }
        let rate = bytes.saturating_sub(from) as f64 / window.as_secs_f64();
        if window >= RATE_WINDOW * 2 {
            self.rate_from = Some((MonoNs(now.0 - RATE_WINDOW.as_nanos() as u64), bytes - (rate * 2.0) as u64));
        }
        Some(rate as u64)
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

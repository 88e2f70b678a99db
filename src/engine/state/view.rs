//! From the state to the snapshot: only what there is evidence for (R-TRU).

use super::super::event::Now;
use super::session::{Ending, Phase, Session, Take};
use super::{Input, State};
use crate::model::incident::{Incident, IncidentCode};
use crate::model::marker::MarkersView;
use crate::model::session::Manifest;
use crate::model::snapshot::{
    BreakerState, Dropped, Frames, Health, HealthVerdict, InputState, InputView, PreviewView, RecordingState,
    RecordingView, RetryState, RetryView, SNAPSHOT_VERSION, SessionState, SessionView, Snapshot, StorageView,
    WorkerView,
};
use crate::model::{InputId, MonoNs};
use crate::protocol::worker::WorkerStatus;
use std::collections::BTreeMap;
use std::time::Duration;

/// A report older than this proves nothing (R-TRU-1); an age in which the engine stood still itself does not count.
pub const EVIDENCE_AGE: Duration = Duration::from_secs(2);
/// Bytes per second of an AAC track, for the expected rate.
pub(super) const AUDIO_BYTES_PER_S: u64 = 16_000;

impl State {
    /// The whole state as everybody sees it; the publisher puts `seq` in.
    pub fn snapshot(&self, now: Now) -> Snapshot {
        let inputs: Vec<InputView> = self.inputs.iter().map(|input| self.input_view(now.mono, input)).collect();
        Snapshot {
            version: SNAPSHOT_VERSION,
            seq: 0,
            session: self.session.as_ref().map(|session| self.session_view(now.mono, session)),
            last_session: self.last_session_view(),
            storage: self.storage_view(now.mono),
            inputs,
            level: self.level_view(now),
            alerts: self.alerts.counts(),
            services: Vec::new(),
            priority: self.protection.clone(),
        }
    }

    pub(super) fn session_view(&self, now: MonoNs, session: &Session) -> SessionView {
        let views = self.take_views(now, session);
        SessionView {
            id: session.plan.id,
            name: session.plan.name.clone(),
            state: state_from(session, &views),
            started_at: session.plan.started_at,
            dir: session.dir.display().to_string(),
            media_ms: views.iter().filter_map(|view| view.media_ms).max(),
            safe_ms: views.iter().filter_map(|view| view.safe_ms).min(),
            open: session.phase != Phase::Over,
            markers: MarkersView::of(&session.markers),
        }
    }

    /// What the session is doing, for replies to commands.
    pub(super) fn session_state(&self, session: &Session) -> SessionState {
        let heard = self.inputs.iter().filter_map(|input| input.worker.heard());
        let strays = self.strays.iter().filter_map(|stray| stray.report().map(|(at, _)| *at));
        let now = heard.chain(strays).max().unwrap_or_default();
        state_from(session, &self.take_views(now, session))
    }

    /// The recordings of a session, also those of inputs that are not configured any more: what they write is written.
    pub(super) fn take_views(&self, now: MonoNs, session: &Session) -> Vec<RecordingView> {
        let view = |take: &Take| match self.input(&take.input) {
            Some(input) => self.recording_view(now, input),
            None => {
                let stray = self.strays.iter().find(|stray| stray.is(&take.input))?;
                Some(running_recording(now, self.setup.policy.stall_shown, stray.report(), session, take))
            }
        };
        session.takes.iter().filter_map(view).collect()
    }

    fn input_view(&self, now: MonoNs, input: &Input) -> InputView {
        let fresh = input.status.as_ref().filter(|(at, _)| now.since(*at) < EVIDENCE_AGE).map(|(_, status)| status);
        let worker = &input.worker;
        let quarantined = worker.is_quarantined();
        let incident = quarantined.then(|| Incident::new(IncidentCode::WorkerGaveUp)).or_else(|| detail(fresh));
        let state = match fresh {
            _ if quarantined => InputState::Quarantined,
            Some(status) => status.state,
            None if input.status.is_some() => InputState::Stalled,
            None => InputState::Starting,
        };
        let unexplained = incident.is_none() && state == InputState::Stalled;
        InputView {
            id: input.spec.id.clone(),
            name: input.spec.name.clone(),
            kind: input.spec.source.kind().to_owned(),
            state,
            since: None,
            recording_since: None,
            detail: match &incident {
                _ if unexplained => Some("Its recording process does not answer.".to_owned()),
                incident => incident.as_ref().map(Incident::message),
            },
            detail_code: match &incident {
                _ if unexplained => Some("worker_silent".to_owned()),
                incident => incident.as_ref().map(|incident| incident.code.as_str().to_owned()),
            },
            detail_params: incident.map(|incident| incident.params).unwrap_or_default(),
            armed: input.spec.armed,
            importance: self.importance(input),
            health: health(state),
            retry: retry(now, input, fresh),
            signal: fresh.and_then(|status| status.signal),
            breaker: BreakerState::Closed,
            worker: worker.is_served().then(|| WorkerView {
                pid: worker.pid(),
                uptime_ms: worker.started().map_or(0, |started| millis(now.since(started))),
                rss_bytes: input.usage.rss_bytes,
                cpu_percent: input.usage.cpu_percent,
                nice: input.usage.nice,
            }),
            preview: fresh.map_or(PreviewView::OFF, |status| status.preview.clone()),
            audio: fresh.map(|status| status.audio.clone()).unwrap_or_default(),
            recording: self.recording_view(now, input),
        }
    }

    pub(super) fn recording_view(&self, now: MonoNs, input: &Input) -> Option<RecordingView> {
        let running = self.session.as_ref().filter(|session| session.phase != Phase::Over);
        match running.and_then(|session| Some((session, session.take(&input.spec.id)?))) {
            Some((session, take)) => {
                Some(running_recording(now, self.setup.policy.stall_shown, input.status.as_ref(), session, take))
            }
            None => input.frozen.clone(),
        }
    }

    /// Keeps what the inputs came to, corrected by what was found on disk.
    pub(super) fn freeze(&mut self, now: Now, manifest: Option<&Manifest>) {
        let Some(session) = &self.session else { return };
        let mut frozen = BTreeMap::<InputId, RecordingView>::new();
        for take in &session.takes {
            let Some(input) = self.input(&take.input) else { continue };
            let mut view =
                running_recording(now.mono, self.setup.policy.stall_shown, input.status.as_ref(), session, take);
            view.state = if take.ending == Some(Ending::Done) { RecordingState::Done } else { RecordingState::Failed };
            if let Some(found) = manifest.and_then(|m| m.inputs.iter().find(|found| found.id == take.input)) {
                let media = found.parts.iter().map(|part| part.duration_ns / 1_000_000).sum();
                (view.media_ms, view.safe_ms) = (Some(media), Some(media));
                view.verdict = Some(found.verdict);
                view.bytes_per_s = None;
                if let Some(last) = found.parts.last() {
                    (view.part, view.file, view.bytes) = (last.part, Some(last.file.clone()), Some(last.bytes));
                }
            }
            frozen.insert(take.input.clone(), view);
        }
        for input in &mut self.inputs {
            input.frozen = frozen.remove(&input.spec.id);
        }
    }

    fn storage_view(&self, now: MonoNs) -> StorageView {
        let space = self.room_told(now);
        let usable = space.map(|space| space.free.saturating_sub(self.setup.policy.critical_free_bytes));
        StorageView {
            path: self.setup.library.display().to_string(),
            free_bytes: space.map(|space| space.free),
            total_bytes: space.map(|space| space.total),
            seconds_left: usable.and_then(|usable| self.seconds_left(now, usable)),
        }
    }
}

/// One recording of a session that runs; `report` = the last word of whoever serves the input, and when it came. How old
/// its evidence was when it came counts as well: nothing is called recording whose file has not grown for `patience`.
fn running_recording(
    now: MonoNs,
    patience: Duration,
    report: Option<&(MonoNs, WorkerStatus)>,
    session: &Session,
    take: &Take,
) -> RecordingView {
    let reported = report.filter(|(_, status)| status.session == Some(session.plan.id));
    let fresh = reported.is_some_and(|(at, _)| now.since(*at) < EVIDENCE_AGE);
    let grown = |(at, status): &(MonoNs, WorkerStatus)| {
        status.grown_ms_ago.is_none_or(|ms| Duration::from_millis(ms) + now.since(*at) < patience)
    };
    let grows = reported.is_some_and(grown);
    let evidence = reported.and_then(|(_, status)| status.recording.clone());
    let mut view = evidence.unwrap_or_else(empty_recording);
    let known = reported.is_some();
    // A worker that does not say where its parts begin is not counted twice: it may have written them all.
    let first = reported.map(|(_, status)| status.first_part.unwrap_or(1));
    let before = take.earlier(first);
    if before.frames.is_some() || before.media_ms > 0 {
        view.media_ms = Some(view.media_ms.unwrap_or(0) + before.media_ms);
        view.safe_ms = Some(view.safe_ms.unwrap_or(0) + before.media_ms);
        view.frames = add_frames(before.frames, &view.frames);
    }
    if before.uncounted {
        view.frames = Frames::default();
    }
    if let (None, Some(last)) = (first, take.past.last()) {
        view.part = last.part;
    }
    view.state = match (take.ending, &session.phase) {
        // Its worker said that its files are closed: that is the progress of a stop (R-SUP-8).
        (Some(Ending::Done), _) => RecordingState::Done,
        (Some(Ending::Failed), Phase::Stopping { .. } | Phase::Closing { .. }) => RecordingState::Stopping,
        (Some(Ending::Failed), _) => RecordingState::Failed,
        (None, Phase::Stopping { .. } | Phase::Closing { .. }) => RecordingState::Stopping,
        (None, _) if known && fresh && view.state == RecordingState::Recording && !grows => RecordingState::Stalled,
        (None, _) if known && fresh => view.state,
        (None, _) if take.evident => RecordingState::Stalled,
        (None, _) => RecordingState::Starting,
    };
    view
}

fn state_from(session: &Session, recordings: &[RecordingView]) -> SessionState {
    match session.phase {
        Phase::Persisting { .. } => SessionState::Starting,
        Phase::Stopping { .. } | Phase::Closing { .. } => SessionState::Stopping,
        Phase::Over => SessionState::Failed,
        Phase::Running { .. } => {
            let recording = recordings.iter().any(|view| view.state == RecordingState::Recording);
            match session.takes.iter().any(|take| take.evident) {
                _ if recording => SessionState::Recording,
                true => SessionState::Failed,
                false => SessionState::Starting,
            }
        }
    }
}

fn detail(status: Option<&WorkerStatus>) -> Option<Incident> {
    let status = status.filter(|status| status.state != InputState::Live)?;
    let wanted = status.detail_code.as_deref()?;
    let code = IncidentCode::ALL.into_iter().find(|code| code.as_str() == wanted)?;
    Some(Incident { code, params: status.detail_params.clone() })
}

fn health(state: InputState) -> Health {
    let verdict = match state {
        InputState::Live => HealthVerdict::Healthy,
        InputState::Starting | InputState::Reconnecting => HealthVerdict::Degraded,
        InputState::NoSignal | InputState::Stalled | InputState::Quarantined | InputState::Failed => {
            HealthVerdict::Unhealthy
        }
    };
    Health { verdict, reasons: Vec::new() }
}

/// Attempts to restart its process come before attempts to open its source.
fn retry(now: MonoNs, input: &Input, status: Option<&WorkerStatus>) -> RetryView {
    let worker = &input.worker;
    let state = match status {
        _ if worker.is_quarantined() => RetryState::Failed,
        Some(status) if worker.is_linked() => return status.retry.clone(),
        _ if worker.attempts() > 0 => RetryState::Retrying,
        _ => RetryState::Idle,
    };
    RetryView {
        state,
        attempt: worker.attempts(),
        max: Some(super::super::restart::ATTEMPTS),
        next_in_ms: worker.waits_until().map(|until| millis(until.since(now))),
        error_class: None,
    }
}

fn empty_recording() -> RecordingView {
    RecordingView {
        state: RecordingState::Starting,
        verdict: None,
        part: 1,
        file: None,
        media_ms: None,
        safe_ms: None,
        bytes: None,
        bytes_per_s: None,
        frames: Frames::default(),
    }
}

/// Sums two counts of frames; what is unknown in both stays unknown.
pub(super) fn add_frames(before: Option<Frames>, now: &Frames) -> Frames {
    let Some(before) = before else { return *now };
    let add = |a: Option<u64>, b: Option<u64>| match (a, b) {
        (None, None) => None,
        (a, b) => Some(a.unwrap_or(0) + b.unwrap_or(0)),
    };
    Frames {
        captured: add(before.captured, now.captured),
        encoded: add(before.encoded, now.encoded),
        written: add(before.written, now.written),
        duplicated: add(before.duplicated, now.duplicated),
        dropped: Dropped {
            source: add(before.dropped.source, now.dropped.source),
            queue: add(before.dropped.queue, now.dropped.queue),
            encoder: add(before.dropped.encoder, now.dropped.encoder),
        },
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

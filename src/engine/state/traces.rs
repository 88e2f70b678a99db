//! What is remembered of each input for plots, and what time is left on the disk: looked at with every tick.

use super::super::event::Reply;
use super::super::event::{Effect, Now, Token};
use super::super::history::{STEP, Seen};
use super::State;
use super::commands::refuse;
use super::setup::Input;
use super::view::AUDIO_BYTES_PER_S;
use crate::model::snapshot::{Frames, RecordingState};
use crate::model::{InputId, MonoNs};
use crate::protocol::api::{ClipReply, HistoryReply};
use crate::protocol::worker::Command;

impl State {
    /// Looks at everything that is remembered; whether there is a new point.
    pub(super) fn watch_traces(&mut self, now: MonoNs) {
        let recorded = self.recorded_rate(now);
        self.headroom.look(now, recorded);
        for place in 0..self.inputs.len() {
            let mut trace = std::mem::take(&mut self.inputs[place].trace);
            self.traced |= trace.look(now, || self.seen(now, &self.inputs[place]));
            self.inputs[place].trace = trace;
        }
    }

    /// The histories of all inputs, if there is anything new in them since they were asked for.
    pub fn new_histories(&mut self) -> Option<Vec<HistoryReply>> {
        std::mem::take(&mut self.traced).then(|| self.histories())
    }

    /// The histories of all inputs.
    pub fn histories(&self) -> Vec<HistoryReply> {
        let step_ms = u64::try_from(STEP.as_millis()).unwrap_or(u64::MAX);
        let history = |input: &Input| HistoryReply {
            input: input.spec.id.clone(),
            step_ms,
            points: input.trace.points().copied().collect(),
        };
        self.inputs.iter().map(history).collect()
    }

    fn seen(&self, now: MonoNs, input: &Input) -> Seen {
        let fresh = input.status.as_ref().filter(|(at, _)| now.since(*at) < super::view::EVIDENCE_AGE);
        let recording = self.recording_view(now, input).filter(|view| writes(view.state));
        Seen {
            report: fresh.and_then(|(at, _)| Some((input.worker.pid()?, *at))),
            arrived: fresh.and_then(|(_, status)| status.arrived),
            received: fresh.and_then(|(_, status)| status.received),
            dropped: recording.as_ref().and_then(|view| lost(&view.frames)),
            bytes_per_s: recording.and_then(|view| view.bytes_per_s),
            queue_percent: fresh.and_then(|(_, status)| Some(status.load?.queue_percent)),
        }
    }

    /// What is configured for what is recorded, and what its files grow by, if that is known of all of them. Also of inputs
    /// that are not configured any more: what they write is written.
    fn recorded_rate(&self, now: MonoNs) -> Option<(u64, Option<u64>)> {
        let session = self.session.as_ref().filter(|session| session.runs())?;
        let views = self.take_views(now, session);
        let growing = || views.iter().filter(|view| view.state == RecordingState::Recording);
        let expected = self.rate_of(session.takes.iter().filter(|take| take.ending.is_none()).count());
        let all = growing().map(|view| view.bytes_per_s).sum::<Option<u64>>();
        Some((expected, all.filter(|_| growing().count() > 0)))
    }

    /// What so many inputs are expected to write per second.
    fn rate_of(&self, inputs: usize) -> u64 {
        let each = u64::from(self.setup.encoding.bitrate_kbps) * 125 + AUDIO_BYTES_PER_S;
        each.saturating_mul(u64::try_from(inputs).unwrap_or(u64::MAX))
    }

    /// Recording time until `usable` bytes are written.
    pub(super) fn seconds_left(&self, now: MonoNs, usable: u64) -> Option<u64> {
        let armed = self.inputs.iter().filter(|input| input.spec.armed).count();
        self.headroom.seconds_left(now, usable, self.rate_of(armed))
    }

    /// Somebody has seen that an input clipped.
    pub(super) fn on_clear_clip(&mut self, now: Now, token: Token, asked: &str, out: &mut Vec<Effect>) {
        let Some(input) = self.inputs.iter().find(|input| input.spec.id.as_str() == asked) else {
            return out.push(refuse(token, 404, "unknown_input", format!("there is no input {asked:?}"), false));
        };
        let id: InputId = input.spec.id.clone();
        // A worker of another build is told nothing it may not know.
        if !input.worker.is_linked() || input.worker.is_older() {
            let message =
                format!("the recording process of {id} is not there; its meters begin anew with the next one");
            return out.push(refuse(token, 503, "no_worker", message, true));
        }
        self.send(now, &id, out, |command| Command::ClearClip { id: command });
        out.push(Effect::Reply(token, Reply::ClipCleared(ClipReply { input: id })));
    }
}

fn writes(state: RecordingState) -> bool {
    !matches!(state, RecordingState::Done | RecordingState::Failed)
}

/// All frames that were lost, as far as anybody counts them; `None` = nobody does.
fn lost(frames: &Frames) -> Option<u64> {
    let dropped = frames.dropped;
    let counted = [dropped.source, dropped.queue, dropped.encoder];
    counted.iter().flatten().copied().reduce(u64::saturating_add)
}

//! How this worker keeps up, and what it does without when it is told to (R-DEG).

use super::Worker;
use crate::model::MonoNs;
use crate::model::shed::{Shed, WorkerLoad};
use crate::worker::encoder::Encoder;
use std::time::Duration;

impl Worker {
    /// What queues and encoder say now. Some atomic loads and locks; nothing is waited for.
    pub(super) fn load(&self) -> WorkerLoad {
        let takes = [&self.take, &self.settling].into_iter().flatten().map(|take| take.fill_percent());
        let staged = self.encoder.as_ref().is_some_and(Encoder::is_staged);
        let before = of_the_file(staged, self.stage.as_ref().map(|stage| stage.video_in.fill_percent()));
        let encode = self.encoder.as_ref().map(|encoder| &encoder.encode);
        let queues = encode.map(|encode| encode.fill_percent()).into_iter().chain(takes);
        WorkerLoad {
            queue_percent: queues.fold(before, u8::max),
            late_ms: self.late().map(|late| u64::try_from(late.as_millis()).unwrap_or(u64::MAX)),
            bitrate_adjustable: encode.is_some_and(|encode| encode.is_adjustable()),
        }
    }

    /// How far the newest encoded picture lies behind the newest that has arrived: what a source is late by itself (a
    /// jitter buffer) is not the machine's fault.
    fn late(&self) -> Option<Duration> {
        let encoder = self.encoder.as_ref().filter(|encoder| encoder.is_running())?;
        let (arrived, made) = (self.counters.frames.newest()?, encoder.encode.newest()?);
        Some(arrived.since(made))
    }

    pub(super) fn shed(&mut self, now: MonoNs, shed: Shed) {
        tracing::info!(input = %self.state.input(), ?shed, "does without under load");
        self.viewers.set_cap(shed.preview);
        self.refresh_viewers(now);
        if std::mem::replace(&mut self.bitrate_percent, shed.bitrate_percent) != shed.bitrate_percent
            && let Some(encoder) = &self.encoder
        {
            encoder.encode.set_bitrate_percent(shed.bitrate_percent);
        }
    }
}

/// How full the stage's queue is on the way into the file: what is copied does not come through it (`staged`), the pictures
/// there are only shown, and two of 4K are a full queue.
fn of_the_file(staged: bool, fill_percent: Option<u8>) -> u8 {
    fill_percent.filter(|_| staged).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_that_are_only_shown_are_no_recording_that_runs_late() {
        assert_eq!(of_the_file(true, Some(99)), 99);
        assert_eq!(of_the_file(false, Some(99)), 0, "copied, or nothing is recorded");
        assert_eq!(of_the_file(true, None), 0);
    }
}

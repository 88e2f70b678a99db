//! Counting what passes a pad, with enough memory to count a stretch of time exactly afterwards.

use crate::model::MonoNs;
use gst::prelude::*;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Times remembered: 17 s at 60 frames per second, far more than the pipelines behind a tally hold and than is kept of
/// a stream that is copied.
const REMEMBERED: usize = 1024;

/// Counts buffers and remembers the running times of the last ones.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    count: u64,
    /// When the last buffer passed, by the clock; not its time stamp.
    last_at: Option<MonoNs>,
    /// End of the last buffer, by its stamps.
    ends_at: Option<MonoNs>,
    recent: VecDeque<MonoNs>,
}

impl Inner {
    fn from(&self, time: MonoNs) -> u64 {
        self.recent.iter().filter(|&&at| at >= time).count() as u64
    }
}

impl Tally {
    /// Counts every buffer that passes `pad` from now on.
    pub fn attach(&self, pad: &gst::Pad) {
        self.attach_if(pad, |_| true);
    }

    /// Counts every buffer that passes `pad` from now on and is one of `those`.
    pub fn attach_if(&self, pad: &gst::Pad, those: impl Fn(&gst::BufferRef) -> bool + Send + Sync + 'static) {
        let tally = self.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            if let Some(buffer) = info.buffer().filter(|buffer| those(buffer)) {
                let length = buffer.duration().map_or(Duration::ZERO, Into::into);
                tally.add(running_time(pad, buffer), length, crate::sys::clock::mono_now());
            }
            gst::PadProbeReturn::Ok
        });
    }

    fn add(&self, time: Option<MonoNs>, length: Duration, now: MonoNs) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.count += 1;
        inner.last_at = Some(now);
        inner.ends_at = Some(time.unwrap_or(now).plus(length));
        if inner.recent.len() == REMEMBERED {
            inner.recent.pop_front();
        }
        inner.recent.push_back(time.unwrap_or(now));
    }

    /// Buffers so far.
    pub fn count(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).count
    }

    /// When the last buffer passed.
    pub fn last_at(&self) -> Option<MonoNs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).last_at
    }

    /// When the last buffer ends, by its stamps.
    pub fn ends_at(&self) -> Option<MonoNs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).ends_at
    }

    /// Running time of the last buffer.
    pub fn newest(&self) -> Option<MonoNs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).recent.back().copied()
    }

    /// Buffers so far whose running time lies before `time`; exact while `time` is within the last
    /// [`REMEMBERED`] buffers.
    pub fn count_before(&self, time: MonoNs) -> u64 {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.count - inner.from(time)
    }

    /// The others of them.
    pub fn count_from(&self, time: MonoNs) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).from(time)
    }
}

/// Counts bytes.
#[derive(Debug, Clone, Default)]
pub struct Received(Arc<AtomicU64>);

impl Received {
    /// Counts the bytes of every buffer that passes `pad` from now on.
    pub fn attach(&self, pad: &gst::Pad) {
        let bytes = self.0.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            bytes.fetch_add(info.buffer().map_or(0, |buffer| buffer.size() as u64), Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
    }

    /// Bytes so far.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The running time of `buffer` on `pad`, through the pad's segment (an encoder may stamp far from zero).
pub fn running_time(pad: &gst::Pad, buffer: &gst::BufferRef) -> Option<MonoNs> {
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    let segment = event.segment().downcast_ref::<gst::ClockTime>()?;
    let time = segment.to_running_time(buffer.pts()?)?;
    Some(MonoNs(time.nseconds()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_stretch_is_counted_exactly(times in prop::collection::btree_set(0u64..10_000, 1..200), cut in 0u64..10_000) {
            let tally = Tally::default();
            for &time in &times {
                tally.add(Some(MonoNs(time)), Duration::ZERO, MonoNs(time));
            }
            let before = times.iter().filter(|&&time| time < cut).count() as u64;
            prop_assert_eq!(tally.count_before(MonoNs(cut)), before);
            prop_assert_eq!(tally.count_from(MonoNs(cut)), times.len() as u64 - before);
        }
    }
}

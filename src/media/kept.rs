//! What a stream has just handed out, kept for whoever joins: the pictures since the last keyframe, or the last sound.
//!
//! A stream that is copied can be joined at a keyframe only, and a camera's may be seconds apart. With the pictures
//! since the last one (and the sound of that time) a recording begins at once, with what lies just before it.
//!
//! Contract: whoever subscribes gets what is kept and all that follows, in order, nothing missing and nothing twice.
//! Bounded by [`Bounds`]: a stretch between two keyframes that exceeds them is given up whole, because without its
//! keyframe the rest is of no use; then the next keyframe begins anew. Thread-safe; handing on never waits.

use super::signal::Coding;
use super::tally::running_time;
use crate::model::MonoNs;
use gst::prelude::*;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How much may be kept. 10 s is the longest distance between keyframes cameras are set to in practice.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    time: Duration,
    bytes: usize,
}

/// 16 MB are 10 s at 12 Mbit/s, more than a camera of 4K sends.
const PICTURES: Bounds = Bounds { time: Duration::from_secs(10), bytes: 16 << 20 };
/// 10 s of 48 kHz stereo in 16 bit are 1.9 MB. A second more than the pictures, because sound comes later.
const SOUND: Bounds = Bounds { time: Duration::from_secs(11), bytes: 4 << 20 };

/// A bounded memory of a stream; clones share it.
#[derive(Debug, Clone)]
pub struct Kept(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Whether it must begin with a keyframe.
    keyed: bool,
    bounds: Bounds,
    units: Mutex<Units>,
}

/// Somebody who takes the stream; ends when dropped.
#[derive(Debug)]
pub struct Subscription {
    kept: Kept,
    subscriber: gst_app::AppSrc,
    pushed: Arc<AtomicU64>,
}

impl Subscription {
    /// Buffers handed on so far.
    pub fn pushed(&self) -> u64 {
        self.pushed.load(Ordering::Relaxed)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.kept.lock().subscribers.retain(|(subscriber, _)| *subscriber != self.subscriber);
    }
}

#[derive(Debug, Default)]
struct Units {
    subscribers: Vec<(gst_app::AppSrc, Arc<AtomicU64>)>,
    caps: Option<gst::Caps>,
    kept: VecDeque<Unit>,
    bytes: usize,
    /// The keyframe of what comes was given up.
    gave_up: bool,
}

#[derive(Debug)]
struct Unit {
    time: MonoNs,
    bytes: usize,
    sample: gst::Sample,
}

impl Kept {
    /// Keeps encoded pictures from the last keyframe on.
    pub fn pictures() -> Self {
        Self::new(true, PICTURES)
    }

    /// Keeps the last seconds of sound.
    pub fn sound() -> Self {
        Self::new(false, SOUND)
    }

    fn new(keyed: bool, bounds: Bounds) -> Self {
        Self(Arc::new(Shared { keyed, bounds, units: Mutex::default() }))
    }

    fn lock(&self) -> MutexGuard<'_, Units> {
        self.0.units.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what passes `pad` from now on.
    pub fn attach(&self, pad: &gst::Pad) {
        let kept = self.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data {
                kept.remember(pad, buffer);
            }
            gst::PadProbeReturn::Ok
        });
    }

    fn remember(&self, pad: &gst::Pad, buffer: &gst::Buffer) {
        let segment = pad.sticky_event::<gst::event::Segment>(0).map(|event| event.segment().to_owned());
        let (Some(time), Some(caps), Some(segment)) = (running_time(pad, buffer), pad.current_caps(), segment) else {
            return;
        };
        let caps = if self.0.keyed { self.lock().steady(caps) } else { caps };
        let keyframe = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let sample = gst::Sample::builder().buffer(buffer).caps(&caps).segment(&segment).build();
        let mut units = self.lock();
        for (subscriber, pushed) in &units.subscribers {
            hand_on(subscriber, pushed, &sample);
        }
        units.take(self.0.keyed, self.0.bounds, Unit { time, bytes: buffer.size(), sample }, keyframe);
    }

    /// Lets `subscriber`, which must not wait when it is full, have what is kept and all that follows.
    pub fn subscribe(&self, subscriber: &gst_app::AppSrc) -> Subscription {
        let pushed = Arc::new(AtomicU64::new(0));
        let mut units = self.lock();
        for unit in &units.kept {
            hand_on(subscriber, &pushed, &unit.sample);
        }
        units.subscribers.push((subscriber.clone(), pushed.clone()));
        Subscription { kept: self.clone(), subscriber: subscriber.clone(), pushed }
    }

    /// Whether the last keyframe is too long ago to be kept: whoever joins now waits for the next one.
    pub fn gave_up(&self) -> bool {
        self.lock().gave_up
    }
}

fn hand_on(subscriber: &gst_app::AppSrc, pushed: &AtomicU64, sample: &gst::Sample) {
    // Refused only while flushing, that is, when its pipeline is being thrown away.
    if subscriber.push_sample(sample).is_ok() {
        pushed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Units {
    /// The caps to hand on for `caps`: those of before while the format is the same. A parser learns rate and colour on
    /// the way, and muxers take no second caps.
    fn steady(&mut self, caps: gst::Caps) -> gst::Caps {
        match &self.caps {
            Some(known) if Coding::from_caps(known) == Coding::from_caps(&caps) => known.clone(),
            _ => {
                // What was kept cannot be decoded together with what comes.
                self.clear();
                self.caps = Some(caps.clone());
                caps
            }
        }
    }

    fn clear(&mut self) {
        self.kept.clear();
        self.bytes = 0;
    }

    fn take(&mut self, keyed: bool, bounds: Bounds, unit: Unit, keyframe: bool) {
        if keyed && keyframe {
            self.clear();
            self.gave_up = false;
        } else if keyed && self.kept.is_empty() {
            return;
        }
        self.bytes += unit.bytes;
        self.kept.push_back(unit);
        while self.exceeds(bounds) {
            if keyed {
                self.gave_up = true;
                return self.clear();
            }
            if let Some(oldest) = self.kept.pop_front() {
                self.bytes -= oldest.bytes;
            }
        }
    }

    fn exceeds(&self, bounds: Bounds) -> bool {
        let span = match (self.kept.front(), self.kept.back()) {
            (Some(oldest), Some(newest)) => newest.time.since(oldest.time),
            _ => Duration::ZERO,
        };
        self.bytes > bounds.bytes || span > bounds.time
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMALL: Bounds = Bounds { time: Duration::from_nanos(1000), bytes: 500 };

    fn unit(time: u64, bytes: usize) -> Unit {
        Unit { time: MonoNs(time), bytes, sample: gst::Sample::builder().build() }
    }

    proptest! {
        #[test]
        fn pictures_begin_with_the_last_keyframe_or_are_none(
            stream in prop::collection::vec((1u64..200, 1usize..200, any::<bool>()), 1..200),
        ) {
            gst::init().expect("GStreamer");
            let mut units = Units::default();
            let (mut now, mut since_key): (u64, Option<(u64, usize, usize)>) = (0, None);
            for (step, bytes, keyframe) in stream {
                now += step;
                since_key = match since_key {
                    _ if keyframe => Some((now, 1, bytes)),
                    Some((first, count, sum)) => Some((first, count + 1, sum + bytes)),
                    None => None,
                };
                units.take(true, SMALL, unit(now, bytes), keyframe);
                let fits = since_key.filter(|(first, _, sum)| now - first <= 1000 && *sum <= SMALL.bytes);
                if fits.is_none() {
                    since_key = None;
                }
                prop_assert_eq!(units.kept.len(), fits.map_or(0, |(_, count, _)| count));
                prop_assert_eq!(units.kept.front().map(|unit| unit.time.0), fits.map(|(first, ..)| first));
                prop_assert_eq!(units.bytes, fits.map_or(0, |(.., sum)| sum));
            }
        }

        #[test]
        fn the_newest_sound_is_kept_within_its_bounds(
            stream in prop::collection::vec((1u64..200, 1usize..200), 1..200),
        ) {
            gst::init().expect("GStreamer");
            let (mut units, mut now) = (Units::default(), 0);
            for (step, bytes) in stream {
                now += step;
                units.take(false, SMALL, unit(now, bytes), true);
                prop_assert!(!units.exceeds(SMALL));
                prop_assert_eq!(units.kept.back().map(|unit| unit.time.0), Some(now));
            }
        }
    }
}

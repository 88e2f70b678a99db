//! Cuts both streams of a recording to one common stretch of running time.
//!
//! Contract: video begins with the first frame at or after the wanted start; that frame's time is the *origin*.
//! Audio is clipped to begin exactly [`Clip::audio_lead`] after the origin: the encoder's priming packet takes the
//! place of that lead, so both tracks begin at the origin and no player needs an edit list. Both end at the same
//! time, once one was set. The probes here are the only ones that do more than count.

use super::tally::running_time;
use crate::model::MonoNs;
use gst::prelude::*;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long the first sound waits for the first picture before it is given up (it is then before any picture).
/// Below the capacity of the audio inlet, so that nothing overflows while waiting.
const ORIGIN_DEADLINE: Duration = Duration::from_secs(4);

/// The common stretch of one part.
#[derive(Debug, Clone)]
pub struct Clip(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    start_at: MonoNs,
    audio_lead: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Time of the first frame.
    origin: Option<MonoNs>,
    /// Latest time of a frame that passed.
    last_video: Option<MonoNs>,
    /// A frame at or behind the end has come: in the order of decoding nothing of this stretch follows.
    passed_end: bool,
    /// Nothing at or after this passes.
    end: Option<MonoNs>,
    video_done: bool,
    audio_done: bool,
    cancelled: bool,
}

impl Clip {
    /// A clip that opens at `start_at`; `audio_lead` is the priming of the audio encoder.
    pub fn new(start_at: MonoNs, audio_lead: Duration) -> Self {
        Self(Arc::new(Shared { start_at, audio_lead, state: Mutex::default(), changed: Condvar::new() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much later than the picture the recorded sound begins.
    pub fn audio_lead(&self) -> Duration {
        self.0.audio_lead
    }

    /// Time of the first frame that passed.
    pub fn origin(&self) -> Option<MonoNs> {
        self.state().origin
    }

    /// Latest time of a frame that passed.
    pub fn last_video(&self) -> Option<MonoNs> {
        self.state().last_video
    }

    /// Lets nothing at or after `end` pass.
    pub fn end_at(&self, end: MonoNs) {
        self.state().end = Some(end);
    }

    /// No more video comes.
    pub fn end_video(&self) {
        self.state().video_done = true;
    }

    /// Whether both streams (or those there are) have reached the end.
    pub fn reached_end(&self, with_audio: bool) -> bool {
        let state = self.state();
        state.video_done && (state.audio_done || !with_audio)
    }

    /// Wakes whoever waits; the pipeline is being ended or thrown away.
    pub fn cancel(&self) {
        self.state().cancelled = true;
        self.0.changed.notify_all();
    }

    /// Clips the video that passes `pad`.
    pub fn attach_video(&self, pad: &gst::Pad) {
        let clip = self.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            match info.buffer().and_then(|buffer| running_time(pad, buffer)) {
                Some(time) if clip.takes_frame(time) => gst::PadProbeReturn::Ok,
                _ => gst::PadProbeReturn::Drop,
            }
        });
    }

    fn takes_frame(&self, time: MonoNs) -> bool {
        let mut state = self.state();
        // What is shown before a picture that has passed still belongs to it, also when the end came in between.
        let newest = state.last_video.is_none_or(|last| time > last);
        state.passed_end |= newest && state.end.is_some_and(|end| time >= end);
        if state.passed_end {
            state.video_done = true;
            return false;
        }
        match state.origin {
            None if time < self.0.start_at => return false,
            None => {
                state.origin = Some(time);
                self.0.changed.notify_all();
            }
            // Shown before the keyframe everything begins with, but decoded from what is not there.
            Some(origin) if time < origin => return false,
            Some(_) => {}
        }
        state.last_video = state.last_video.max(Some(time));
        true
    }

    /// Clips the interleaved audio (`bytes_per_frame`, `rate`) that passes `pad`. Waits for the first frame of video.
    pub fn attach_audio(&self, pad: &gst::Pad, rate: u32, bytes_per_frame: usize) {
        let clip = self.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let Some(buffer) = info.buffer_mut() else { return gst::PadProbeReturn::Ok };
            let Some(time) = running_time(pad, buffer) else { return gst::PadProbeReturn::Drop };
            let frames = (buffer.size() / bytes_per_frame) as u64;
            let Some((skip, keep)) = clip.takes_sound(time, frames, rate) else {
                return gst::PadProbeReturn::Drop;
            };
            if (skip, keep) != (0, frames) {
                let nanos = |frames: u64| frames * 1_000_000_000 / u64::from(rate);
                let region = skip as usize * bytes_per_frame..(skip + keep) as usize * bytes_per_frame;
                let Ok(mut cut) = buffer.copy_region(gst::BufferCopyFlags::all(), region) else {
                    return gst::PadProbeReturn::Drop;
                };
                let writable = cut.make_mut();
                writable.set_pts(buffer.pts().map(|pts| pts + gst::ClockTime::from_nseconds(nanos(skip))));
                writable.set_duration(gst::ClockTime::from_nseconds(nanos(keep)));
                *buffer = cut;
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// Which sound frames of a buffer pass: how many to skip, how many to keep.
    fn takes_sound(&self, time: MonoNs, frames: u64, rate: u32) -> Option<(u64, u64)> {
        let state = self.state();
        let (mut state, _) = self
            .0
            .changed
            .wait_timeout_while(state, ORIGIN_DEADLINE, |state| state.origin.is_none() && !state.cancelled)
            .unwrap_or_else(PoisonError::into_inner);
        let from = state.origin?.plus(self.0.audio_lead);
        let (skip, keep) = cut(time, frames, rate, from, state.end);
        state.audio_done |= state.end.is_some() && skip + keep < frames;
        (keep > 0).then_some((skip, keep))
    }
}

/// The part of `frames` sound frames beginning at `time` that lies in `from..end`: (skipped, kept). Pure.
fn cut(time: MonoNs, frames: u64, rate: u32, from: MonoNs, end: Option<MonoNs>) -> (u64, u64) {
    let frames_in = |nanos: u64| (u128::from(nanos) * u128::from(rate)).div_ceil(1_000_000_000) as u64;
    let skip = frames_in(from.0.saturating_sub(time.0)).min(frames);
    let until = end.map_or(frames, |end| frames_in(end.0.saturating_sub(time.0)).min(frames));
    (skip, until.saturating_sub(skip))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_frame_at_or_after_the_start_is_the_origin() {
        let clip = Clip::new(MonoNs(100), Duration::ZERO);
        assert!(!clip.takes_frame(MonoNs(99)));
        assert!(clip.takes_frame(MonoNs(110)));
        assert_eq!(clip.origin(), Some(MonoNs(110)));
        clip.end_at(MonoNs(130));
        assert!(clip.takes_frame(MonoNs(129)));
        assert!(!clip.takes_frame(MonoNs(130)));
        assert!(clip.reached_end(false) && !clip.reached_end(true));
    }

    #[test]
    fn pictures_in_the_order_of_decoding_are_cut_where_nothing_is_missing_before() {
        // Frame 5 is the keyframe; 3 and 4 need what came before it. Behind 14, frames 12 and 13 have lost their neighbour.
        let clip = Clip::new(MonoNs(0), Duration::ZERO);
        clip.end_at(MonoNs(14));
        let passed: Vec<u64> = [5, 3, 4, 8, 6, 7, 11, 9, 10, 14, 12, 13]
            .into_iter()
            .filter(|&time| clip.takes_frame(MonoNs(time)))
            .collect();
        assert_eq!(passed, [5, 8, 6, 7, 11, 9, 10]);
        assert_eq!((clip.origin(), clip.last_video()), (Some(MonoNs(5)), Some(MonoNs(11))));
    }

    #[test]
    fn pictures_shown_before_one_that_has_passed_still_come_when_the_end_is_set_behind_it() {
        let clip = Clip::new(MonoNs(0), Duration::ZERO);
        let takes = |times: &[u64]| -> Vec<u64> {
            times.iter().copied().filter(|&time| clip.takes_frame(MonoNs(time))).collect()
        };
        assert_eq!(takes(&[0, 4, 2]), [0, 4, 2]);
        clip.end_at(MonoNs(2));
        assert_eq!(takes(&[1, 3]), [1, 3]);
        assert!(!clip.reached_end(false));
        assert!(takes(&[8, 6, 5, 7]).is_empty());
        assert!(clip.reached_end(false));
    }

    #[test]
    fn cancelling_frees_sound_that_waits_for_a_picture() {
        let clip = Clip::new(MonoNs(0), Duration::ZERO);
        clip.cancel();
        assert_eq!(clip.takes_sound(MonoNs(5), 480, 48_000), None);
    }

    proptest! {
        #[test]
        fn contiguous_sound_stays_contiguous(
            sizes in prop::collection::vec(1u64..2000, 1..50), from in 0u64..500_000_000, length in 0u64..900_000_000,
        ) {
            let (rate, mut at) = (48_000, 0u64);
            let end = from + length;
            let mut kept = 0;
            for frames in sizes {
                let time = MonoNs(at * 1_000_000_000 / u64::from(rate));
                let (skip, keep) = cut(time, frames, rate, MonoNs(from), Some(MonoNs(end)));
                prop_assert!(skip + keep <= frames);
                // Once begun and not ended, whole buffers pass.
                if time.0 >= from && time.0 + frames * 20_834 <= end {
                    prop_assert_eq!((skip, keep), (0, frames));
                }
                kept += keep;
                at += frames;
            }
            prop_assert!(kept <= length * u64::from(rate) / 1_000_000_000 + 2);
        }
    }
}

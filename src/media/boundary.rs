//! Where one part ends and the next begins in streams that go on: the encoders never notice.
//!
//! ```text
//!                              T = first keyframe at or after the wanted time
//! video   … P P P P │ I P P P …
//! old part ─────────┘ └───────── new part
//! sound   … a a a a│a│a a a …    the old part gets every packet that begins before T,
//!               └──┴─┴─────────  the new one also the packets a decoder must have heard to be right at T
//! ```
//! Contract: a [`Boundary`] is decided once, by the encoder's own output ([`Boundary::offer`]), before anybody can have
//! taken the picture it is about; or it is given up, once, and then nothing ends. Each part has a [`Window`] that lets
//! pass what belongs to it, by running time alone, so nothing is lost or doubled whatever the queues hold. Sound that may
//! belong to either side waits for the decision, never longer than [`DECISION_DEADLINE`]. The probes here block for
//! that and for nothing else.

use super::tally::running_time;
use crate::model::MonoNs;
use gst::prelude::*;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A boundary not decided this long after somebody began to wait for it is given up. Our encoders make a keyframe when
/// asked; a camera that is copied sends one at least every 10 s. Half of what an inlet of encoded media holds.
pub const DECISION_DEADLINE: Duration = Duration::from_secs(15);

/// A point in the encoded streams; see the module.
#[derive(Debug, Clone)]
pub struct Boundary(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    wanted: MonoNs,
    decision: Mutex<Decision>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Open,
    At(MonoNs),
    GivenUp,
}

impl Boundary {
    /// A boundary at the first keyframe at or after `wanted`.
    pub fn new(wanted: MonoNs) -> Self {
        Self(Arc::new(Shared { wanted, decision: Mutex::new(Decision::Open), changed: Condvar::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, Decision> {
        self.0.decision.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The earliest time it may lie at.
    pub fn wanted(&self) -> MonoNs {
        self.0.wanted
    }

    /// Where it lies, once decided.
    pub fn at(&self) -> Option<MonoNs> {
        match *self.lock() {
            Decision::At(time) => Some(time),
            Decision::Open | Decision::GivenUp => None,
        }
    }

    /// A keyframe at `time` comes out of the encoder; whether it is the one.
    pub fn offer(&self, time: MonoNs) -> bool {
        self.settle(|| (time >= self.0.wanted).then_some(Decision::At(time)))
    }

    /// Gives it up unless it is decided already; then that stands, and is returned.
    pub fn give_up(&self) -> Option<MonoNs> {
        self.settle(|| Some(Decision::GivenUp));
        self.at()
    }

    fn settle(&self, decide: impl FnOnce() -> Option<Decision>) -> bool {
        let mut decision = self.lock();
        if *decision != Decision::Open {
            return false;
        }
        let Some(decided) = decide() else { return false };
        *decision = decided;
        self.0.changed.notify_all();
        true
    }

    /// Waits for the decision; `None` = given up, at the latest by this.
    fn wait(&self) -> Option<MonoNs> {
        let waited = self.0.changed.wait_timeout_while(self.lock(), DECISION_DEADLINE, |d| *d == Decision::Open);
        let (mut decision, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() && *decision == Decision::Open {
            *decision = Decision::GivenUp;
            self.0.changed.notify_all();
        }
        match *decision {
            Decision::At(time) => Some(time),
            Decision::Open | Decision::GivenUp => None,
        }
    }
}

/// The stretch of the encoded streams that belongs to one part.
#[derive(Debug, Clone)]
pub struct Window(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    /// `None` = from the first buffer on.
    from: Option<Boundary>,
    until: Option<Boundary>,
    /// How much sound before the first picture a decoder must have heard.
    warm_up: Duration,
    first_sound: Option<MonoNs>,
    /// Pictures that have passed.
    pictures: u64,
    video_done: bool,
    sound_done: bool,
}

impl Window {
    /// Everything from `from` on; `warm_up` is how much earlier the sound begins, so that a decoder is right at `from`.
    pub fn new(from: Option<Boundary>, warm_up: Duration) -> Self {
        let (until, first_sound, pictures) = (None, None, 0);
        let (video_done, sound_done) = (false, false);
        Self(Arc::new(Mutex::new(Inner { from, until, warm_up, first_sound, pictures, video_done, sound_done })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets nothing pass that belongs behind `until`. To be set before the boundary is armed.
    pub fn end_at(&self, until: Boundary) {
        self.lock().until = Some(until);
    }

    /// Whether it begins at a boundary, not with the stream.
    pub fn is_bounded(&self) -> bool {
        self.lock().from.is_some()
    }

    /// Where it begins, if at a boundary that is decided.
    pub fn begins_at(&self) -> Option<MonoNs> {
        let from = self.lock().from.clone();
        from.and_then(|from| from.at())
    }

    /// Where it ends, if at a boundary that is decided.
    pub fn ends_at(&self) -> Option<MonoNs> {
        let until = self.lock().until.clone();
        until.and_then(|until| until.at())
    }

    /// How much sound lies before the first picture.
    pub fn lead(&self) -> Duration {
        let first_sound = self.lock().first_sound;
        self.begins_at().zip(first_sound).map_or(Duration::ZERO, |(begin, first)| begin.since(first))
    }

    /// Whether its first sound has come.
    pub fn has_sound(&self) -> bool {
        self.lock().first_sound.is_some()
    }

    /// How many of the `made` pictures that belong to it never came here, now that none will any more. Whatever was lost
    /// of those behind its end is another part's.
    pub fn missing(&self, made: u64) -> u64 {
        made.saturating_sub(self.lock().pictures)
    }

    /// Whether the pictures have passed the end.
    pub fn pictures_over(&self) -> bool {
        self.lock().video_done
    }

    /// Whether the sound has passed the end.
    pub fn sound_over(&self) -> bool {
        self.lock().sound_done
    }

    /// Gives the boundary up it begins at; where it begins all the same, if that was decided before.
    pub fn give_up_begin(&self) -> Option<MonoNs> {
        let from = self.lock().from.clone();
        from.and_then(|from| from.give_up())
    }

    /// Frees whoever waits: what is not decided will not be.
    pub fn release(&self) {
        let (from, until) = {
            let inner = self.lock();
            (inner.from.clone(), inner.until.clone())
        };
        for boundary in [from, until].into_iter().flatten() {
            boundary.give_up();
        }
    }

    /// Lets only this part's pictures pass `pad`.
    pub fn attach_video(&self, pad: &gst::Pad) {
        self.attach(pad, |window, time, picture| {
            let takes = window.takes_picture(time);
            // The gap an MP4 part ends with ([`super::muxer`]) is empty, and no picture.
            window.lock().pictures += u64::from(takes && picture.size() > 0);
            takes
        });
    }

    /// Lets only this part's sound pass `pad`.
    pub fn attach_sound(&self, pad: &gst::Pad) {
        self.attach(pad, |window, time, sound| {
            window.takes_sound(time, sound.duration().map_or(Duration::ZERO, Into::into))
        });
    }

    fn attach(&self, pad: &gst::Pad, takes: impl Fn(&Self, MonoNs, &gst::BufferRef) -> bool + Send + Sync + 'static) {
        let window = self.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let Some(buffer) = info.buffer() else { return gst::PadProbeReturn::Ok };
            match running_time(pad, buffer) {
                // `Handled`, not `Drop`: on a sink pad GStreamer 1.22 frees what was freed already.
                Some(time) if !takes(&window, time, buffer) => gst::PadProbeReturn::Handled,
                // Without a time it cannot be told apart; the muxer refuses it by name.
                _ => gst::PadProbeReturn::Ok,
            }
        });
    }

    fn takes_picture(&self, time: MonoNs) -> bool {
        let mut inner = self.lock();
        if inner.from.as_ref().is_some_and(|from| from.at().is_none_or(|begin| time < begin)) {
            return false;
        }
        let over = inner.until.as_ref().and_then(Boundary::at).is_some_and(|end| time >= end);
        inner.video_done |= over;
        !over
    }

    fn takes_sound(&self, time: MonoNs, length: Duration) -> bool {
        let (from, until, warm_up) = {
            let inner = self.lock();
            (inner.from.clone(), inner.until.clone(), inner.warm_up)
        };
        if let Some(from) = from {
            let Some(begin) = from.wait() else { return false };
            if time.plus(length).plus(warm_up) <= begin {
                return false;
            }
        }
        if let Some(until) = until.filter(|until| time >= until.wanted())
            && until.wait().is_some_and(|end| time >= end)
        {
            self.lock().sound_done = true;
            return false;
        }
        self.lock().first_sound.get_or_insert(time);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_boundary_that_is_given_up_ends_nothing_and_a_decided_one_stands() {
        let given_up = Boundary::new(MonoNs(100));
        assert!(!given_up.offer(MonoNs(99)));
        assert_eq!(given_up.give_up(), None);
        assert!(!given_up.offer(MonoNs(100)));
        let decided = Boundary::new(MonoNs(100));
        assert!(decided.offer(MonoNs(120)) && !decided.offer(MonoNs(130)));
        assert_eq!(decided.give_up(), Some(MonoNs(120)));
    }

    #[test]
    fn sound_of_an_abandoned_part_is_freed() {
        let boundary = Boundary::new(MonoNs(0));
        let window = Window::new(Some(boundary), Duration::ZERO);
        let theirs = window.clone();
        let waiting = std::thread::spawn(move || theirs.takes_sound(MonoNs(5), Duration::from_nanos(1)));
        window.release();
        assert!(!waiting.join().expect("no panic"));
    }

    proptest! {
        /// Two parts share a boundary; whatever order queues deliver in, each picture is in exactly one of them.
        #[test]
        fn nothing_is_lost_or_doubled(
            wanted in 0u64..10_000, frame in 30u64..50, keyframes in 1usize..30, packet in 15u64..40, packets in 0u64..4,
        ) {
            let boundary = Boundary::new(MonoNs(wanted));
            let warm_up = Duration::from_nanos(packet * packets);
            let (old, new) = (Window::new(None, warm_up), Window::new(Some(boundary.clone()), warm_up));
            old.end_at(boundary.clone());
            for n in 0..600u64 {
                let time = MonoNs(n * frame);
                if n % keyframes as u64 == 0 {
                    boundary.offer(time);
                }
                prop_assert!(old.takes_picture(time) != new.takes_picture(time));
            }
            let begin = boundary.at().expect("a keyframe came");
            prop_assert!(begin.0 >= wanted && begin.0 < wanted + frame * (keyframes as u64 + 1));
            let length = Duration::from_nanos(packet);
            let (mut old_end, mut new_start) = (0, None);
            for n in 0..1000u64 {
                let time = MonoNs(n * packet);
                let (in_old, in_new) = (old.takes_sound(time, length), new.takes_sound(time, length));
                prop_assert!(in_old || in_new, "sound at {} is nowhere", time.0);
                prop_assert_eq!(in_old, time < begin);
                if in_old { old_end = time.0 + packet; }
                if in_new { new_start.get_or_insert(time.0); }
            }
            let start = new_start.expect("sound goes on");
            // A decoder that begins there is right from the first picture on, and not more than that is doubled.
            prop_assert!(start + packet * packets <= begin.0 || start == 0);
            prop_assert!(start + packet * (packets + 1) > begin.0);
            prop_assert!(old_end >= begin.0 && old_end < begin.0 + packet || begin.0 == 0);
            prop_assert!(new.lead() == begin.since(MonoNs(start)));
            prop_assert!(old.pictures_over() && old.sound_over() && !new.pictures_over() && !new.sound_over());
        }
    }
}

//! What a file may hold behind pictures that its queue has lost: nothing before the next keyframe, for it could not be
//! decoded.
//!
//! Encoded pictures are numbered as they leave the encoder ([`number`]), in the order of decoding; a part whose queue lost
//! some sees a hole in the numbers. That a picture is marked as discontinuous says nothing: it also is where a frame was
//! lost before the encoder, which then knew.
//!
//! Contract: a picture passes only if it is a keyframe, or all before it have passed back to one; each that is kept out is
//! counted. Where every picture is a keyframe nothing is kept out. Pictures that belong to another part
//! ([`super::boundary`]) are watched and not counted.

use super::joint::Inlet;
use gst::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What GStreamer says of a buffer without a number (`GST_BUFFER_OFFSET_NONE`).
const UNNUMBERED: u64 = u64::MAX;

/// Numbers the buffers that pass `pad` from now on, from 0.
pub fn number(pad: &gst::Pad) {
    let next = AtomicU64::new(0);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data {
            buffer.make_mut().set_offset(next.fetch_add(1, Ordering::Relaxed));
        }
        gst::PadProbeReturn::Ok
    });
}

/// Keeps out what cannot be decoded; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// The number that follows the last picture.
    next: Option<u64>,
    open: bool,
    kept_out: u64,
}

impl Gate {
    /// Watches what `inlet` hands out, and keeps from `pad`, which it leads to, what cannot be decoded. To be attached
    /// behind whatever else keeps pictures from `pad`.
    pub fn attach(&self, inlet: &Inlet, pad: &gst::Pad) -> Result<(), super::error::BuildError> {
        let gate = self.clone();
        inlet.pad()?.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(picture) = info.buffer() {
                let number = Some(picture.offset()).filter(|number| *number != UNNUMBERED);
                gate.with(|inner| inner.see(number, !picture.flags().contains(gst::BufferFlags::DELTA_UNIT)));
            }
            gst::PadProbeReturn::Ok
        });
        let gate = self.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            // What somebody else keeps out has no buffer any more, and the gap an MP4 part ends with ([`super::muxer`])
            // no bytes. `Handled`, not `Drop`: on a sink pad GStreamer 1.22 frees what was freed already.
            let admitted = info.buffer().is_none_or(|picture| picture.size() == 0) || gate.with(Inner::admit);
            if admitted { gst::PadProbeReturn::Ok } else { gst::PadProbeReturn::Handled }
        });
        Ok(())
    }

    /// Pictures that were kept out.
    pub fn kept_out(&self) -> u64 {
        self.with(|inner| inner.kept_out)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    /// A picture comes out of the queue. One without a number follows whatever came before it.
    fn see(&mut self, number: Option<u64>, keyframe: bool) {
        let follows = number.is_none() || number == self.next;
        self.open = keyframe || (self.open && follows);
        self.next = number.or(self.next).map(|number| number + 1);
    }

    /// Whether the picture that was seen last may be written; it is one of the part.
    fn admit(&mut self) -> bool {
        self.kept_out += u64::from(!self.open);
        self.open
    }
}

#[cfg(test)]
mod tests {
    use super::super::boundary::{Boundary, Window};
    use super::super::element;
    use super::super::joint::{Limits, Outlet};
    use super::super::muxer::end_with_gap;
    use super::*;
    use crate::model::MonoNs;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::time::Duration;

    proptest! {
        /// A queue that loses its oldest picture when it is full, and a disk that takes some now and then.
        #[test]
        fn whatever_is_lost_the_first_picture_behind_a_gap_is_a_keyframe_and_the_counts_add_up(
            stream in prop::collection::vec((prop::bool::weighted(0.15), 0usize..4), 1..300),
            room in 1usize..12,
            intra_only in any::<bool>(),
        ) {
            let (mut queue, mut gate) = (VecDeque::new(), Inner::default());
            let (mut lost, mut passed) = (0, Vec::<(u64, bool)>::new());
            let pushed = stream.len() as u64;
            let keyframe_at = |n: usize, keyframe: bool| n == 0 || intra_only || keyframe;
            let ends = stream.len() - 1;
            for (n, (keyframe, taken)) in stream.into_iter().enumerate() {
                queue.push_back((n as u64, keyframe_at(n, keyframe)));
                if queue.len() > room {
                    queue.pop_front();
                    lost += 1;
                }
                let taken = if n == ends { queue.len() } else { taken.saturating_sub(1).min(queue.len()) };
                for (number, keyframe) in queue.drain(..taken) {
                    gate.see(Some(number), keyframe);
                    if gate.admit() {
                        passed.push((number, keyframe));
                    }
                }
            }
            prop_assert_eq!(passed.len() as u64 + lost + gate.kept_out, pushed);
            prop_assert!(!intra_only || gate.kept_out == 0);
            let mut before = None;
            for (number, keyframe) in passed {
                prop_assert!(keyframe || before == Some(number - 1), "{} cannot be decoded", number);
                before = Some(number);
            }
        }
    }

    /// The same through real pipelines whose muxer stands still while a hundred pictures come, every 25th a keyframe, with
    /// room for thirty: how many of the `made` ones that are `window`'s are lost, how many were known to be while the muxer
    /// stood still, how many are kept out, and what is written.
    fn written(window: &Window, made: u64) -> (u64, u64, u64, Vec<u64>) {
        crate::media::init().expect("GStreamer");
        let (before, behind) = (gst::Pipeline::new(), gst::Pipeline::new());
        let camera = gst_app::AppSrc::builder().format(gst::Format::Time).max_bytes(1 << 30).build();
        before.add(&camera).expect("added");
        let outlet = Outlet::append(before.upcast_ref(), camera.upcast_ref(), "out").expect("an outlet");
        number(&outlet.pad().expect("a pad"));
        let mut inlet = Inlet::add(behind.upcast_ref(), "in", Limits::RAW_VIDEO, false).expect("an inlet");
        let disk = element::make("fakesink", "disk").expect("an element");
        disk.set_property("sync", false);
        behind.add(&disk).expect("added");
        inlet.element().link(&disk).expect("linked");
        let (gate, pad) = (Gate::default(), element::pad(&disk, "sink").expect("a pad"));
        window.attach_video(&pad);
        gate.attach(&inlet, &pad).expect("attached");
        end_with_gap(&inlet.pad().expect("a pad"), &pad);
        let written = Arc::new(Mutex::new(Vec::new()));
        let list = written.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let picture = info.buffer().filter(|picture| picture.size() > 0);
            list.lock().expect("no panic").extend(picture.map(|picture| picture.offset()));
            gst::PadProbeReturn::Ok
        });
        inlet.prepare(&outlet).expect("connected");
        inlet.open();
        let held = gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER;
        let source = inlet.pad().expect("a pad");
        let block = source.add_probe(held, |_, _| gst::PadProbeReturn::Ok).expect("a block");
        before.set_state(gst::State::Playing).expect("playing");
        behind.set_state(gst::State::Playing).expect("playing");
        for n in 0..100u64 {
            let mut buffer = gst::Buffer::from_slice([0u8; 100]);
            let unit = buffer.make_mut();
            unit.set_pts(gst::ClockTime::from_nseconds(n));
            if n % 25 > 0 {
                unit.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
            camera.push_buffer(buffer).expect("taken");
        }
        camera.end_of_stream().expect("ended");
        let wait = |pipeline: &gst::Pipeline| {
            let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
            let bus = pipeline.bus().expect("a bus");
            let last = bus.timed_pop_filtered(gst::ClockTime::from_seconds(20), &kinds).expect("it ends");
            assert_eq!(last.type_(), gst::MessageType::Eos, "{last:?}");
        };
        wait(&before);
        if let Some(end) = window.ends_at() {
            inlet.end_at(end, || 100 - end.0);
        }
        let known = inlet.overflowed();
        inlet.end();
        source.remove_probe(block);
        wait(&behind);
        let (lost, kept_out) = (window.missing(made), gate.kept_out());
        for pipeline in [&before, &behind] {
            pipeline.set_state(gst::State::Null).expect("stopped");
        }
        let written = written.lock().expect("no panic").clone();
        (lost, known, kept_out, written)
    }

    #[test]
    fn a_full_inlet_resumes_with_a_keyframe_and_counts_what_is_of_its_part() {
        let (lost, known, kept_out, all) = written(&Window::new(None, Duration::ZERO), 100);
        assert!(lost > 0 && kept_out > 0, "{lost} lost, {kept_out} kept out");
        assert!(known == lost || known + 1 == lost, "{known} known of {lost}");
        assert_eq!(all.len() as u64 + lost + kept_out, 100);
        let decodable = |before: Option<u64>, number: u64| number.is_multiple_of(25) || before == Some(number - 1);
        let befores = std::iter::once(None).chain(all.iter().copied().map(Some));
        assert!(befores.zip(&all).all(|(before, number)| decodable(before, *number)), "{all:?}");

        // Of a part that begins with picture 75 nothing is lost; those before it are another one's.
        let begin = Boundary::new(MonoNs(75));
        begin.offer(MonoNs(75));
        let (lost, _, kept_out, part) = written(&Window::new(Some(begin), Duration::ZERO), 25);
        assert_eq!((lost, kept_out, part), (0, 0, (75..100).collect()));
    }

    /// A split while the disk stands: the old part's inlet takes the next one's pictures until its muxer goes on.
    #[test]
    fn what_a_full_inlet_loses_behind_the_end_is_no_loss_of_the_part_that_ends_there() {
        // Behind 73 the last that are left are kept out.
        for (end, some_are_left) in [(40, false), (73, false), (80, true)] {
            let until = Boundary::new(MonoNs(end));
            until.offer(MonoNs(end));
            let window = Window::new(None, Duration::ZERO);
            window.end_at(until);
            let (lost, known, kept_out, part) = written(&window, end);
            assert_eq!(part.len() as u64 + lost + kept_out, end, "{lost} lost, {kept_out} kept out, {part:?}");
            assert!(known == lost || known + 1 == lost, "{known} known of {lost}");
            assert_eq!(part.contains(&75), some_are_left, "{part:?}");
        }
    }

    #[test]
    fn pictures_of_another_part_are_no_gap_and_are_not_counted() {
        let mut gate = Inner::default();
        // Ends of the part before; then a keyframe, two that are shown before it and so belong there, and the rest.
        [7, 8].iter().for_each(|number| gate.see(Some(*number), false));
        gate.see(Some(9), true);
        assert!(gate.admit());
        [10, 11].iter().for_each(|number| gate.see(Some(*number), false));
        gate.see(Some(12), false);
        assert!(gate.admit());
        assert_eq!(gate.kept_out, 0);
    }
}

//! The preview: small pictures into the frame ring, while somebody watches.
//!
//! ```text
//! in ─▶ videorate (drops only) ─▶ videoscale ─▶ videoconvert ─▶ BGRx of the size shown ─▶ ring
//! ```
//! Contract: costs the recording nothing but CPU: its queue holds one picture and the writer never waits. Frames are
//! dropped before they are scaled and scaled before they are converted, because scaling large frames is what a
//! preview costs (R58: 30–56 % of a core per 4K input).

use super::element;
use super::error::BuildError;
use super::frame_ring::RingWriter;
use super::joint::{Inlet, Limits};
use super::pipeline::{BusEvent, Pipeline};
use super::stage::Stage;
use super::tally::{Tally, running_time};
use gst::prelude::*;
use gst_video::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};

/// Faster than this no preview has to be, in pictures per second.
pub const MAX_RATE: u32 = 30;

/// A ring that a preview fills and the main loop adds meters to.
pub type SharedRing = Arc<Mutex<RingWriter>>;

/// A running preview.
#[derive(Debug)]
pub struct Preview {
    pipeline: Pipeline,
    _input: Inlet,
    /// Pictures shown.
    pub shown: Tally,
    /// Pixels.
    pub size: (u32, u32),
}

/// The largest even size of the shape of `picture` that fits into `tile` and is not larger than `picture`. Pure.
pub fn fit(picture: (u32, u32), tile: (u32, u32)) -> (u32, u32) {
    let (width, height) = (u64::from(picture.0.max(2)), u64::from(picture.1.max(2)));
    let (room_w, room_h) = (u64::from(tile.0).min(width), u64::from(tile.1).min(height));
    let by_width = (room_w, room_w * height / width);
    let (w, h) = if by_width.1 <= room_h { by_width } else { (room_h * width / height, room_h) };
    let even = |pixels: u64| (pixels as u32 & !1).max(2);
    (even(w), even(h))
}

impl Preview {
    /// Shows what `stage` hands out in `ring`, at `size` pixels, at most `max_rate` times a second.
    pub fn start(
        name: &str,
        stage: &Stage,
        (size, max_rate): ((u32, u32), u32),
        ring: SharedRing,
        on_event: impl FnMut(BusEvent) + 'static,
    ) -> Result<Self, BuildError> {
        let mut pipeline = Pipeline::new(name);
        let bin = pipeline.bin().clone();
        let mut input = Inlet::add(&bin, &format!("{name}-in"), Limits::PREVIEW, true)?;
        let rate = element::make("videorate", &format!("{name}-rate"))?;
        rate.set_property("drop-only", true);
        rate.set_property("max-rate", i32::try_from(max_rate).unwrap_or(i32::MAX));
        rate.set_property("skip-to-first", true);
        let scale = element::make("videoscale", &format!("{name}-scale"))?;
        let convert = element::make("videoconvert", &format!("{name}-convert"))?;
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", "BGRx")
            .field("width", size.0 as i32)
            .field("height", size.1 as i32)
            .build();
        let filter = element::caps_filter(&format!("{name}-caps"), &caps)?;
        let shown = Tally::default();
        let sink = make_sink(&format!("{name}-ring"), ring)?;
        shown.attach(&element::pad(&sink, "sink")?);
        element::chain(&bin, &[&rate, &scale, &convert, &filter, &sink])?;
        input.element().link(&rate)?;
        pipeline.play(on_event)?;
        input.connect(&stage.video_out)?;
        Ok(Self { pipeline, _input: input, shown, size })
    }

    /// Throws the preview away.
    pub fn discard(self) {
        self.pipeline.discard(|| {});
    }
}

fn make_sink(name: &str, ring: SharedRing) -> Result<gst::Element, BuildError> {
    let sink = gst_app::AppSink::builder()
        .name(name)
        .sync(false)
        .async_(false)
        .enable_last_sample(false)
        .max_buffers(1)
        .drop(true)
        .build();
    let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Flushing)?;
        // A picture that cannot be shown is not shown; the next one comes in a moment.
        publish(sink, &sample, &ring);
        Ok(gst::FlowSuccess::Ok)
    });
    sink.set_callbacks(callbacks.build());
    Ok(sink.upcast())
}

fn publish(sink: &gst_app::AppSink, sample: &gst::Sample, ring: &SharedRing) -> Option<()> {
    let (buffer, caps) = (sample.buffer()?, sample.caps()?);
    let info = gst_video::VideoInfo::from_caps(caps).ok()?;
    let pts = running_time(&sink.static_pad("sink")?, buffer).unwrap_or_else(crate::sys::clock::mono_now);
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info).ok()?;
    let stride = usize::try_from(*frame.plane_stride().first()?).ok()?;
    let pixels = frame.plane_data(0).ok()?;
    ring.lock().unwrap_or_else(PoisonError::into_inner).publish(info.width(), info.height(), stride, pts.0, pixels);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_picture_keeps_its_shape() {
        assert_eq!(fit((1920, 1080), (640, 640)), (640, 360));
        assert_eq!(fit((640, 360), (1920, 1080)), (640, 360));
        assert_eq!(fit((480, 640), (400, 320)), (240, 320));
    }

    proptest! {
        #[test]
        fn a_preview_always_fits(w in 2u32..8000, h in 2u32..8000, tw in 2u32..4000, th in 2u32..4000) {
            let (width, height) = fit((w, h), (tw, th));
            prop_assert!(width <= tw.max(2) && height <= th.max(2));
            prop_assert!(width % 2 == 0 && height % 2 == 0 && width > 0 && height > 0);
        }
    }
}

//! Shows frames of a ring in a `gdk::Paintable`, without copying them.
//!
//! ```text
//!   appsrc (BGRA, at most 1 buffer, drops the older) ──▶ gtk4paintablesink (at once) ──▶ paintable
//! ```

use crate::media::frame_ring::Frame;
use crate::model::InputId;
use anyhow::Context;
use gst::prelude::*;
use gtk::gdk;

/// The last link of a preview. Lives as long as its tile.
#[derive(Debug)]
pub struct Screen {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    paintable: gdk::Paintable,
    size: (u32, u32),
}

impl Screen {
    /// A screen without a picture yet. Main thread only.
    pub fn new(input: &InputId) -> anyhow::Result<Self> {
        let source = gst_app::AppSrc::builder()
            .name(format!("{input}-preview-source"))
            .format(gst::Format::Time)
            .is_live(true)
            .do_timestamp(true)
            // A frame that was not shown when the next one comes is of no use any more.
            .max_buffers(1)
            .leaky_type(gst_app::AppLeakyType::Downstream)
            .build();
        let sink = gst::ElementFactory::make("gtk4paintablesink")
            .name(format!("{input}-preview-sink"))
            // Frames are shown when they come; they were timed by the worker.
            .property("sync", false)
            .property("async", false)
            // Each frame kept is a slot of the ring.
            .property("enable-last-sample", false)
            .build()
            .context("the preview sink is missing from this program")?;
        let pipeline = gst::Pipeline::with_name(&format!("{input}-preview"));
        pipeline.add_many([source.upcast_ref(), &sink])?;
        source.link(&sink)?;
        let paintable = sink.property::<gdk::Paintable>("paintable");
        pipeline.set_state(gst::State::Playing).context("the preview cannot be shown")?;
        Ok(Self { pipeline, source, paintable, size: (0, 0) })
    }

    /// What to put into a `gtk::Picture`.
    pub fn paintable(&self) -> &gdk::Paintable {
        &self.paintable
    }

    /// Shows a frame; its slot is given back once the next one is on the screen. Whether it was taken.
    pub fn show(&mut self, frame: Frame) -> bool {
        let size = (frame.width(), frame.height());
        if self.size != size {
            self.size = size;
            self.source.set_caps(Some(&caps(size)));
        }
        self.source.push_buffer(gst::Buffer::from_slice(frame)).is_ok()
    }

    /// Why nothing can be shown any more, `None` = it can. To be called again and again: it empties the bus, too.
    pub fn failed(&self) -> Option<String> {
        let bus = self.pipeline.bus()?;
        std::iter::from_fn(|| bus.pop()).fold(None, |failed, message| match message.view() {
            gst::MessageView::Error(error) => Some(error.error().to_string()),
            _ => failed,
        })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Waits for the streaming thread, which never blocks: the queue before it drops, the sink does not sync.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// The frames are BGRx; at the floor of GTK 4.8 the sink takes no format without alpha (its BGRx needs GTK 4.14), so they
/// are handed on as BGRA: the worker fills the fourth byte with 255. Measured in this window, four previews of 622×350
/// at 30 fps: 47 % of a core, against 60 % for a `gdk::MemoryTexture` per frame without the sink.
fn caps((width, height): (u32, u32)) -> gst::Caps {
    gst_video::VideoCapsBuilder::new()
        .format(gst_video::VideoFormat::Bgra)
        .width(i32::try_from(width).unwrap_or(i32::MAX))
        .height(i32::try_from(height).unwrap_or(i32::MAX))
        .framerate(gst::Fraction::new(0, 1))
        .pixel_aspect_ratio(gst::Fraction::new(1, 1))
        .build()
}

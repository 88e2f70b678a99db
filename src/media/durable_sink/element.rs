//! The GStreamer side of the sink: takes buffers and buffer lists, hands their bytes to the [`PartWriter`].

use super::PartWriter;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

glib::wrapper! {
    /// The element. Made by [`super::make`] only.
    pub struct DurableSink(ObjectSubclass<DurableSinkImp>)
        @extends gst_base::BaseSink, gst::Element, gst::Object;
}

/// State of the element.
#[derive(Default)]
pub struct DurableSinkImp {
    writer: Mutex<Option<PartWriter>>,
}

impl DurableSinkImp {
    fn lock(&self) -> MutexGuard<'_, Option<PartWriter>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn install(&self, writer: PartWriter) {
        *self.lock() = Some(writer);
    }

    pub(super) fn take(&self) -> Option<PartWriter> {
        self.lock().take()
    }

    fn push(&self, buffers: &[&gst::BufferRef]) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mapped: Result<Vec<_>, _> = buffers.iter().map(|buffer| buffer.map_readable()).collect();
        let mapped = mapped.map_err(|_| gst::FlowError::Error)?;
        let slices: Vec<&[u8]> = mapped.iter().map(|map| map.as_slice()).collect();
        if let Some(writer) = self.lock().as_mut() {
            writer.push(&slices);
        }
        Ok(gst::FlowSuccess::Ok)
    }
}

#[glib::object_subclass]
impl ObjectSubclass for DurableSinkImp {
    const NAME: &'static str = "HoldfastDurableSink";
    type Type = DurableSink;
    type ParentType = gst_base::BaseSink;
}

impl ObjectImpl for DurableSinkImp {
    fn constructed(&self) {
        self.parent_constructed();
        let sink = self.obj();
        // Bytes are written as they come; a part that gets no data yet must not hold its pipeline in PAUSED.
        sink.set_sync(false);
        sink.set_property("async", false);
        // Otherwise the last fragment would stay in memory twice.
        sink.set_enable_last_sample(false);
    }
}

impl GstObjectImpl for DurableSinkImp {}

impl ElementImpl for DurableSinkImp {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Holdfast durable sink",
                "Sink/File",
                "Writes one part, append only, and knows what is safe",
                "The Holdfast developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = ["video/quicktime", "video/x-matroska"].map(gst::Structure::new_empty).into_iter().collect();
            gst::PadTemplate::new("sink", gst::PadDirection::Sink, gst::PadPresence::Always, &caps)
                .into_iter()
                .collect()
        });
        &TEMPLATES
    }
}

impl BaseSinkImpl for DurableSinkImp {
    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.push(&[buffer])
    }

    fn render_list(&self, list: &gst::BufferList) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.push(&list.iter().collect::<Vec<_>>())
    }
}

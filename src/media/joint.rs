//! What joins two pipelines: an outlet (appsink) of one feeds inlets (appsrcs) of others.
//!
//! Contract: every queue between pipelines is an inlet's, has an explicit limit, loses its oldest buffer when
//! full, and counts that loss. No end-of-stream crosses a joint: only whoever owns the inlet ends it.

use super::element;
use super::error::BuildError;
use super::kept::{Kept, Subscription};
use super::tally::Tally;
use crate::model::MonoNs;
use gst::prelude::*;
use gst_utils::StreamProducer;
use gst_utils::streamproducer::ProducerSettings;

/// Name of the bus message that carries new caps.
pub(super) const FORMAT_MESSAGE: &str = "holdfast-format";
/// Name of the bus message that says a source has no sound.
pub(super) const SILENT_MESSAGE: &str = "holdfast-silent";

/// Where a pipeline hands out its buffers.
#[derive(Debug, Clone)]
pub struct Outlet {
    producer: StreamProducer,
    appsink: gst_app::AppSink,
}

impl Outlet {
    /// Appends an outlet called `name` to `upstream` in `bin`.
    pub fn append(bin: &gst::Bin, upstream: &gst::Element, name: &str) -> Result<Self, BuildError> {
        let outlet = Self::detached(name)?;
        outlet.join(bin)?;
        upstream.link(&outlet.appsink)?;
        Ok(outlet)
    }

    /// An outlet for a stream that appears later.
    pub fn detached(name: &str) -> Result<Self, BuildError> {
        // `sync=false`: whoever consumes keeps time; `async=false`: a late stream must not hold up the others.
        let appsink = gst_app::AppSink::builder()
            .name(name)
            .sync(false)
            .async_(false)
            .enable_last_sample(false)
            .max_buffers(1)
            .build();
        accept_video_meta(&element::pad(&appsink, "sink")?);
        let producer = StreamProducer::with(&appsink, ProducerSettings { sync: false });
        producer.set_forward_events([]);
        producer.set_forward_preroll(false);
        Ok(Self { producer, appsink })
    }

    /// Adds a detached outlet to `bin`.
    pub fn join(&self, bin: &gst::Bin) -> Result<(), BuildError> {
        Ok(bin.add(&self.appsink)?)
    }

    /// The element to link to.
    pub fn element(&self) -> &gst::Element {
        self.appsink.upcast_ref()
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.appsink.name().to_string()
    }

    /// Reports every new format as [`super::pipeline::BusEvent::Format`] on the bus of its pipeline.
    pub fn announce_caps(&self) -> Result<(), BuildError> {
        self.pad()?.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |pad, info| {
            if let Some(gst::EventView::Caps(caps)) = info.event().map(|event| event.view()) {
                announce(pad, gst::Structure::builder(FORMAT_MESSAGE).field("caps", caps.caps_owned()).build());
            }
            gst::PadProbeReturn::Ok
        });
        Ok(())
    }

    /// Reports that no sound comes with this stream, on the bus of its pipeline.
    pub fn announce_silent(&self) {
        let message = gst::message::Application::builder(gst::Structure::new_empty(SILENT_MESSAGE));
        // Refused only when the pipeline is gone already.
        let _ = self.appsink.post_message(message.src(&self.appsink).build());
    }

    /// The pad buffers arrive at.
    pub fn pad(&self) -> Result<gst::Pad, BuildError> {
        element::pad(&self.appsink, "sink")
    }

    /// Whether the end has been seen and everything before it handed out.
    pub fn ended(&self) -> bool {
        self.appsink.is_eos()
    }
}

fn announce(pad: &gst::Pad, structure: gst::Structure) {
    if let Some(element) = pad.parent_element() {
        // Refused only when the pipeline is gone already.
        let _ = element.post_message(gst::message::Application::builder(structure).src(&element).build());
    }
}

/// appsink offers no allocation parameters before GStreamer 1.24, so elements before it would copy every padded
/// frame into a tight one; saying that video meta is understood lets them pass.
fn accept_video_meta(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |_, info| {
        if let Some(gst::QueryViewMut::Allocation(query)) = info.query_mut().map(gst::QueryRef::view_mut) {
            query.add_allocation_meta::<gst_video::VideoMeta>(None);
            return gst::PadProbeReturn::Handled;
        }
        gst::PadProbeReturn::Ok
    });
}

/// How much an inlet may hold; 0 = not limited in this unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    buffers: u64,
    bytes: u64,
    time: gst::ClockTime,
}

impl Limits {
    /// Raw pictures on their way to the encoder: a second at 30 frames, or 24 MB (8 pictures of 1080p, 2 of 4K). The
    /// elastic queue lies behind the encoder, because 20 s of raw 1080p would be 1.9 GB. Measured: with 2 buffers a
    /// machine busy with compilers lost 2 of 172 frames, with these none.
    pub const RAW_VIDEO: Self = Self { buffers: 30, bytes: 24 << 20, time: gst::ClockTime::ZERO };
    /// Raw sound: cheap (192 kB/s), so it may wait for the picture, and more than is kept of it fits in.
    pub const RAW_AUDIO: Self = Self { buffers: 0, bytes: 0, time: gst::ClockTime::from_seconds(15) };
    /// Encoded pictures on their way to a screen: a slow decoder shows gaps instead of growing late.
    pub const VIEWFINDER: Self = Self { buffers: 0, bytes: 32 << 20, time: gst::ClockTime::from_seconds(11) };
    /// A preview shows the newest picture or none.
    pub const PREVIEW: Self = Self { buffers: 1, bytes: 0, time: gst::ClockTime::ZERO };
    /// Encoded media waiting for the disk: 30 s or 64 MB.
    pub const ENCODED: Self = Self { buffers: 0, bytes: 64 << 20, time: gst::ClockTime::from_seconds(30) };
}

/// What an inlet hangs on.
#[derive(Debug)]
enum Link {
    Producer(gst_utils::ConsumptionLink),
    Kept(Subscription),
}

impl Link {
    fn pushed(&self) -> u64 {
        match self {
            Link::Producer(link) => link.pushed(),
            Link::Kept(subscription) => subscription.pushed(),
        }
    }
}

/// Where a pipeline takes buffers of another one in.
#[derive(Debug)]
pub struct Inlet {
    appsrc: gst_app::AppSrc,
    limits: Limits,
    live: bool,
    out: Tally,
    link: Option<Link>,
    /// Pushed into links that are gone.
    pushed_before: u64,
    /// Where what concerns its pipeline ends, and how many had been pushed by then.
    until: Option<(MonoNs, u64)>,
}

impl Inlet {
    /// An inlet called `name` in `bin`. A `live` inlet tells its pipeline not to wait for it.
    pub fn add(bin: &gst::Bin, name: &str, limits: Limits, live: bool) -> Result<Self, BuildError> {
        // Without a latency of its own a live appsrc offers "at most 0": an aggregator behind it cannot configure its
        // latency, never times out and waits for ever for a source that delivers nothing (measured: 1.22 audiomixer).
        let source = gst_app::AppSrc::builder().name(name).format(gst::Format::Time).is_live(live);
        let appsrc = source.min_latency(0).max_latency(-1).build();
        bin.add(&appsrc)?;
        let out = Tally::default();
        out.attach(&element::pad(&appsrc, "src")?);
        Ok(Self { appsrc, limits, live, out, link: None, pushed_before: 0, until: None })
    }

    /// The element to link from.
    pub fn element(&self) -> &gst::Element {
        self.appsrc.upcast_ref()
    }

    /// The pad buffers leave by.
    pub fn pad(&self) -> Result<gst::Pad, BuildError> {
        element::pad(&self.appsrc, "src")
    }

    /// Takes what `outlet` hands out from now on, in place of what it took before. For inlets that are live.
    pub fn connect(&mut self, outlet: &Outlet) -> Result<(), BuildError> {
        self.prepare(outlet)?;
        self.open();
        Ok(())
    }

    /// Connects without taking anything yet. An inlet that is not live must be prepared before its pipeline plays:
    /// connecting makes it live for a moment, and a source that turns live while playing waits for ever (measured).
    pub fn prepare(&mut self, outlet: &Outlet) -> Result<(), BuildError> {
        self.disconnect();
        let link =
            outlet.producer.add_consumer(&self.appsrc).map_err(|error| BuildError::Refused(error.to_string()))?;
        link.set_discard(true);
        // A gap in front of the encoder marks its next frame as discontinuous; the link would then lose every frame up
        // to the next keyframe without counting them (measured). A decoder needs no such mercy here.
        link.set_wait_for_keyframe(false);
        // add_consumer has just set limits of its own (500 ms) and made the source live.
        self.limit();
        self.appsrc.set_is_live(self.live);
        self.link = Some(Link::Producer(link));
        Ok(())
    }

    /// Takes what the prepared outlet hands out from now on.
    pub fn open(&self) {
        if let Some(Link::Producer(link)) = &self.link {
            link.set_discard(false);
        }
    }

    /// Takes what is `kept`, then what comes behind it, without a hole or a repetition. For streams that cannot be
    /// joined anywhere: a producer would let nothing of them pass before the next keyframe.
    pub fn open_with(&mut self, kept: &Kept) {
        self.disconnect();
        self.appsrc.set_leaky_type(gst_app::AppLeakyType::Downstream);
        self.appsrc.set_handle_segment_change(true);
        self.limit();
        self.link = Some(Link::Kept(kept.subscribe(&self.appsrc)));
    }

    fn limit(&self) {
        self.appsrc.set_max_buffers(self.limits.buffers);
        self.appsrc.set_max_bytes(self.limits.bytes);
        self.appsrc.set_max_time(self.limits.time);
    }

    /// Takes nothing any more; what is queued still passes.
    pub fn disconnect(&mut self) {
        if let Some(link) = self.link.take() {
            self.pushed_before += link.pushed();
        }
    }

    /// Ends the stream after what is queued.
    pub fn end(&mut self) {
        if self.link.is_none() {
            // Ended before.
            return;
        }
        self.disconnect();
        // Refused only while flushing, that is, when the pipeline is being thrown away.
        let _ = self.appsrc.end_of_stream();
    }

    fn pushed(&self) -> u64 {
        self.pushed_before + self.link.as_ref().map_or(0, Link::pushed)
    }

    /// What lies at or behind `time` is another pipeline's, and no loss of this one; `later` such buffers have come out of
    /// the outlet so far.
    pub fn end_at(&mut self, time: MonoNs, later: impl FnOnce() -> u64) {
        // In this order: what comes out in between makes too few of them lost, never too many.
        let pushed = self.pushed();
        self.until = Some((time, pushed.saturating_sub(later())));
    }

    /// Buffers that are known to be lost because this inlet was full. One buffer may be on its way out of the queue
    /// at any moment and counts as passed, so this is at most one too low.
    pub fn overflowed(&self) -> u64 {
        let queued = self.appsrc.current_level_buffers();
        let pushed = self.pushed();
        let (pushed, queued, passed) = match self.until {
            None => (pushed, queued, self.out.count()),
            // The oldest are lost first, so that the last ones that were pushed are in the queue.
            Some((time, before)) => {
                (before, queued.saturating_sub(pushed.saturating_sub(before)), self.out.count_before(time))
            }
        };
        pushed.saturating_sub(passed + queued + 1)
    }

    /// How full it is, in percent of where it begins to lose its oldest.
    pub fn fill_percent(&self) -> u8 {
        let share = |level: u64, limit: u64| (level.saturating_mul(100)).checked_div(limit).unwrap_or(0);
        let (buffers, bytes) = (self.appsrc.current_level_buffers(), self.appsrc.current_level_bytes());
        let time = self.appsrc.current_level_time().map_or(0, gst::ClockTime::nseconds);
        let most = share(buffers, self.limits.buffers)
            .max(share(bytes, self.limits.bytes))
            .max(share(time, self.limits.time.nseconds()));
        u8::try_from(most.min(100)).unwrap_or(100)
    }

    /// What has passed.
    pub fn passed(&self) -> &Tally {
        &self.out
    }
}

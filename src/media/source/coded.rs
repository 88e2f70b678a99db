//! Pictures that arrive encoded and are handed out as they are, one access unit per buffer; decoded only for whoever
//! watches.
//!
//! ```text
//! RTP ─▶ depayloader ─▶ parser ─▶ timestamper ─▶ avc/hvc1, one picture per buffer ─▶ out ─▶ (kept since the last keyframe)
//!                                                                    └▶ decoder (while somebody watches) ─▶ pictures
//! ```
//! Contract: not a byte of a NAL unit is changed. Parameter sets are in the caps; new ones are a new format. Decode
//! times come from the timestamper, because RTP carries none and muxers want them; [`super::order`] puts right what it
//! cannot.

use super::decoded::{Awaited, Pace};
use super::{element, joinable, order};
use crate::media::error::BuildError;
use crate::media::joint::{Inlet, Limits, Outlet};
use crate::media::kept::Kept;
use crate::media::pipeline::{BusEvent, Pipeline};
use gst::prelude::*;

/// What handles one codec on its way from RTP.
struct Ways {
    depayloader: &'static str,
    parser: &'static str,
    timestamper: &'static str,
    media: &'static str,
    layout: &'static str,
    /// Whether decoding can start with this access unit (4-byte lengths before its NAL units).
    starts: fn(&[u8]) -> bool,
}

const H264: Ways = Ways {
    depayloader: "rtph264depay",
    parser: "h264parse",
    timestamper: "h264timestamper",
    media: "video/x-h264",
    layout: "avc",
    starts: joinable::h264,
};
const H265: Ways = Ways {
    depayloader: "rtph265depay",
    parser: "h265parse",
    timestamper: "h265timestamper",
    media: "video/x-h265",
    layout: "hvc1",
    starts: joinable::h265,
};

/// An encoded stream and what is kept of it.
#[derive(Debug, Clone)]
pub struct Coded {
    /// Hands out access units.
    pub outlet: Outlet,
    /// Those since the last keyframe.
    pub kept: Kept,
}

impl Coded {
    /// A stream that appears later.
    pub fn detached(name: &str) -> Result<Self, BuildError> {
        let outlet = Outlet::detached(&format!("{name}-coded"))?;
        let kept = Kept::pictures();
        kept.attach(&outlet.pad()?);
        Ok(Self { outlet, kept })
    }

    /// Takes the RTP stream that comes out of `pad` in `bin`.
    pub fn take(&self, bin: &gst::Bin, name: &str, pad: &gst::Pad) -> Result<(), BuildError> {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let coding = caps.structure(0).and_then(|structure| structure.get::<String>("encoding-name").ok());
        let ways = match coding.as_deref() {
            Some("H264") => H264,
            Some("H265") => H265,
            other => {
                let other = other.unwrap_or("an unknown codec");
                let remedy = "use codec = \"h264\" for this input, which encodes it anew";
                let message = format!("it sends {other}, only H.264 and H.265 can be copied; {remedy}");
                return Err(BuildError::Misconfigured(message));
            }
        };
        let depay = element::make(ways.depayloader, &format!("{name}-depay"))?;
        let parse = element::make(ways.parser, &format!("{name}-parse"))?;
        let stamp = element::make(ways.timestamper, &format!("{name}-stamp"))?;
        let caps = gst::Caps::builder(ways.media).field("stream-format", ways.layout).field("alignment", "au").build();
        let filter = element::caps_filter(&format!("{name}-units"), &caps)?;
        element::chain(bin, &[&depay, &parse, &stamp, &filter])?;
        self.outlet.join(bin)?;
        filter.link(self.outlet.element())?;
        let units = element::pad(&filter, "src")?;
        order::attach(&units);
        mark_joinable(&units, ways.starts);
        for element in [self.outlet.element(), &filter, &stamp, &parse, &depay] {
            element.sync_state_with_parent()?;
        }
        pad.link(&element::pad(&depay, "sink")?)?;
        Ok(())
    }
}

/// Takes the keyframe's mark from pictures nobody can begin with: the H.264 parser also gives it to pictures that only
/// happen to refer to no other (scene cuts), while those behind them still refer to what was before.
fn mark_joinable(pad: &gst::Pad, starts: fn(&[u8]) -> bool) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let Some(buffer) = info.buffer_mut() else { return gst::PadProbeReturn::Ok };
        let marked = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        if marked && !buffer.map_readable().is_ok_and(|unit| starts(&unit)) {
            buffer.make_mut().set_flags(gst::BufferFlags::DELTA_UNIT);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Decodes an encoded stream for whoever watches.
#[derive(Debug)]
pub struct Viewfinder {
    pipeline: Pipeline,
    _input: Inlet,
    /// Hands out pictures.
    pub video: Outlet,
}

impl Viewfinder {
    /// Decodes `coded` from its last keyframe on.
    pub fn open(name: &str, coded: &Coded, on_event: impl FnMut(BusEvent) + 'static) -> Result<Self, BuildError> {
        let mut pipeline = Pipeline::new(name);
        let bin = pipeline.bin().clone();
        let mut input = Inlet::add(&bin, &format!("{name}-in"), Limits::VIEWFINDER, false)?;
        let decoder = element::make("decodebin", &format!("{name}-decode"))?;
        bin.add(&decoder)?;
        input.element().link(&decoder)?;
        let awaited = Awaited::new(name, Pace::Live, false)?;
        awaited.take_from(&decoder);
        let (video, _) = awaited.outlets();
        pipeline.play(on_event)?;
        input.open_with(&coded.kept);
        Ok(Self { pipeline, _input: input, video })
    }

    /// Throws it away.
    pub fn discard(self) {
        self.pipeline.discard(|| {});
    }
}

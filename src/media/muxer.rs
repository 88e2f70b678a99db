//! The muxer of a part, by its container. Both only append; what they send, the durable sink completes.

use super::element;
use super::error::BuildError;
use crate::model::encoding::{Container, Encoding, VideoChoice};
use gst::prelude::*;

/// Longer than any part.
const LONG_FRAGMENT: gst::ClockTime = gst::ClockTime::from_seconds(365 * 24 * 3600);

/// What a pad of a muxer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

/// A muxer that begins at 0 and ends a fragment every `fragment_ms`.
pub fn make_muxer(name: &str, encoding: &Encoding) -> Result<gst::Element, BuildError> {
    let fragment = gst::ClockTime::from_mseconds(u64::from(encoding.fragment_ms)).nseconds();
    let mux = match encoding.container {
        Container::Mp4 => {
            let mux = element::make("isofmp4mux", name)?;
            // A stream that is copied has keyframes of its own: chunks of one long fragment do without.
            let copied = encoding.codec == VideoChoice::Copy;
            mux.set_property("fragment-duration", if copied { LONG_FRAGMENT.nseconds() } else { fragment });
            mux.set_property("chunk-duration", fragment);
            // The muxer asks the encoder for a keyframe per fragment. Without one per fragment (measured) sound comes
            // in every second fragment only, and the sound behind the last keyframe is lost at the end.
            mux.set_property("send-force-keyunit", true);
            mux.set_property_from_str("write-edts-mode", "never");
            mux
        }
        Container::Mkv => {
            let mux = element::make("matroskamux", name)?;
            // No seeking back to patch sizes: sizes, index and duration are ours.
            mux.set_property("streamable", true);
            let fragment = i64::try_from(fragment).unwrap_or(i64::MAX);
            // A keyframe begins a cluster once the last is as old as a fragment; without one it ends all the same.
            mux.set_property("min-cluster-duration", fragment);
            mux.set_property("max-cluster-duration", fragment);
            mux.set_property("writing-app", concat!("Holdfast ", env!("CARGO_PKG_VERSION")));
            mux
        }
    };
    mux.set_property("offset-to-zero", true);
    Ok(mux)
}

/// A new pad of `mux` for `stream`.
pub fn request_pad(mux: &gst::Element, stream: Stream) -> Result<gst::Pad, BuildError> {
    let own = match stream {
        Stream::Video => "video_%u",
        Stream::Audio => "audio_%u",
    };
    let template = if mux.pad_template(own).is_some() { own } else { "sink_%u" };
    element::request_pad(mux, template)
}

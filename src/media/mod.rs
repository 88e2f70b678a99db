//! GStreamer blocks and what is ours because it is the product: the durable sink, the finaliser, the frame ring.
//!
//! ```text
//! source ─▶ stage ─┬─▶ encoder ─▶ mux (part: muxer + durable sink)
//!                  └─▶ preview ─▶ frame ring
//! ```
//! Each block is a pipeline of its own, joined by [`joint`]s; an error in one never touches the one before it.
//! A pipeline is never reset: it is thrown away ([`pipeline::Pipeline::discard`]) and made anew.

pub mod boundary;
pub mod clip;
pub mod decodable;
pub mod device;
pub mod durable_sink;
pub mod element;
pub mod encoder;
pub mod error;
pub mod finalise;
pub mod frame_ring;
pub mod joint;
pub mod kept;
pub mod level;
pub mod mux;
pub mod muxer;
pub mod pipeline;
pub mod preview;
pub mod reread;
pub mod signal;
pub mod source;
pub mod stage;
pub mod tally;

/// Initialises GStreamer and registers the elements that are linked into this program.
pub fn init() -> Result<(), gst::glib::Error> {
    gst::init()?;
    gstfmp4::plugin_register_static().map_err(|error| gst::glib::Error::new(gst::CoreError::Failed, &error.message))
}

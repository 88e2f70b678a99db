//! GStreamer blocks and what is ours because it is the product: the durable sink, the finaliser, the frame ring.

pub mod durable_sink;
pub mod finalise;
pub mod frame_ring;

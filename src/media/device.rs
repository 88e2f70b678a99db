//! Which video node an operator means: pure matching over what the kernel says of its nodes (R58.md).
//!
//! Contract: an R58 has about 60 video nodes whose numbers change; `driver:` and `bus:` name an input for good.
//! A match must be unique, and the error says what to write instead.

/// A video node as `VIDIOC_QUERYCAP` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// `/dev/video0`.
    pub path: String,
    /// `rkcif`, `rk_hdmirx`, `uvcvideo`.
    pub driver: String,
    /// `platform:rkcif-mipi-lvds2`.
    pub bus: String,
    /// Whether it captures video at all.
    pub captures: bool,
}

/// Why no node was chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// Nothing fits.
    #[error("no video device matches {0}: check the cable, and `v4l2-ctl --list-devices` for its name")]
    Nothing(String),
    /// More than one fits.
    #[error("{wanted} matches {found}: name one of them, or use bus: with its full name")]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// What fits.
        found: String,
    },
}

/// The node that `wanted` means: a path, `driver:NAME`, or `bus:NAME`; a name may end in `*`.
pub fn find<'a>(wanted: &str, nodes: &'a [Node]) -> Result<&'a Node, MatchError> {
    let fits = |node: &&Node| match wanted.split_once(':') {
        Some(("driver", name)) => node.captures && name_fits(name, &node.driver),
        Some(("bus", name)) => node.captures && (name_fits(name, &node.bus) || bus_tail(&node.bus, name)),
        _ => node.path == wanted,
    };
    let found: Vec<&Node> = nodes.iter().filter(fits).collect();
    match found.as_slice() {
        [] => Err(MatchError::Nothing(wanted.to_owned())),
        // A bridge shows several nodes on one bus (one per DMA channel); the first is the one that captures.
        [first, rest @ ..] if rest.iter().all(|node| node.bus == first.bus) => Ok(first),
        _ => {
            let paths: Vec<&str> = found.iter().map(|node| node.path.as_str()).collect();
            Err(MatchError::Ambiguous { wanted: wanted.to_owned(), found: paths.join(", ") })
        }
    }
}

fn name_fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

/// `bus:rkcif-mipi-lvds2` also means `platform:rkcif-mipi-lvds2`.
fn bus_tail(bus: &str, name: &str) -> bool {
    bus.split_once(':').is_some_and(|(_, tail)| name_fits(name, tail))
}

/// What must be asked for the size of a node's signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeFrom {
    /// The node itself.
    Node,
    /// The subdevice of its bridge; the node reports 0×0 until a format is set.
    Subdevice,
}

/// Where a driver's real format is known.
pub fn size_from(driver: &str) -> SizeFrom {
    if driver.starts_with("rkcif") { SizeFrom::Subdevice } else { SizeFrom::Node }
}

/// Caps to ask a node of `driver` for. Never a frame rate: a forced one made empty files while everything
/// claimed to stream. An HDMI receiver dictates its own pixel format.
pub fn capture_caps(driver: &str, size: Option<(u32, u32)>) -> gst::Caps {
    let mut caps = gst::Caps::builder("video/x-raw");
    if driver.starts_with("rkcif") {
        caps = caps.field("format", "UYVY");
    }
    if let Some((width, height)) = size {
        caps = caps.field("width", width as i32).field("height", height as i32);
    }
    caps.build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node(path: &str, driver: &str, bus: &str) -> Node {
        Node { path: path.into(), driver: driver.into(), bus: bus.into(), captures: true }
    }

    fn r58() -> Vec<Node> {
        vec![
            node("/dev/video0", "rkcif", "platform:rkcif-mipi-lvds"),
            node("/dev/video1", "rkcif", "platform:rkcif-mipi-lvds"),
            node("/dev/video11", "rkcif", "platform:rkcif-mipi-lvds2"),
            node("/dev/video22", "rkcif", "platform:rkcif-mipi-lvds4"),
            node("/dev/video60", "rk_hdmirx", "fdee0000.hdmirx-controller"),
        ]
    }

    #[test]
    fn inputs_are_found_by_driver_and_bus() {
        let nodes = r58();
        let path = |wanted| find(wanted, &nodes).map(|node| node.path.as_str());
        assert_eq!(path("driver:rk_hdmirx"), Ok("/dev/video60"));
        assert_eq!(path("bus:platform:rkcif-mipi-lvds2"), Ok("/dev/video11"));
        assert_eq!(path("bus:rkcif-mipi-lvds"), Ok("/dev/video0"));
        assert_eq!(path("/dev/video22"), Ok("/dev/video22"));
        assert!(matches!(path("driver:rkcif"), Err(MatchError::Ambiguous { .. })));
        assert_eq!(path("/dev/video99"), Err(MatchError::Nothing("/dev/video99".into())));
    }

    #[test]
    fn bridges_are_asked_for_their_format_and_never_for_a_rate() {
        gst::init().expect("GStreamer");
        assert_eq!(size_from("rkcif"), SizeFrom::Subdevice);
        assert_eq!(size_from("rk_hdmirx"), SizeFrom::Node);
        let caps = capture_caps("rkcif", Some((1920, 1080)));
        let structure = caps.structure(0).expect("one structure");
        assert_eq!(structure.get::<&str>("format"), Ok("UYVY"));
        assert!(!structure.has_field("framerate"));
        assert!(!capture_caps("rk_hdmirx", None).structure(0).expect("one structure").has_field("format"));
    }

    proptest! {
        #[test]
        fn whatever_is_found_fits(wanted in "(driver|bus):[a-z0-9_*-]{0,12}") {
            if let Ok(node) = find(&wanted, &r58()) {
                let name = wanted.split_once(':').expect("a colon").1.trim_end_matches('*');
                prop_assert!(node.driver.contains(name) || node.bus.contains(name));
            }
        }
    }
}

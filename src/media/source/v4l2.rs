//! The `v4l2` source: a capture device (R58.md).
//!
//! Contract: asks the kernel what its nodes are, chooses by the pure rules of [`crate::media::device`], never
//! forces a frame rate. One opener per node: the caller holds the device's lock.

use super::{Losses, Parts, Video, element};
use crate::media::device::{self, Node};
use crate::media::error::BuildError;
use crate::media::joint::Outlet;
use gst::prelude::*;
use std::path::Path;

/// Where the kernel lists its video nodes without anybody having to open one (opening crashes some drivers).
const CLASS: &str = "/sys/class/video4linux";

/// Adds the capture device `wanted` to `bin`. The subdevice only serves bridges, whose node reports 0×0.
pub fn add(bin: &gst::Bin, name: &str, wanted: &str, subdevice: Option<&str>) -> Result<Parts, BuildError> {
    let node = find(wanted)?;
    if device::size_from(&node.driver) == device::SizeFrom::Subdevice && subdevice.is_none() {
        let path = &node.path;
        return Err(BuildError::Misconfigured(format!(
            "{path} is a bridge that does not know its own format: set `subdevice` (see `media-ctl -p`)"
        )));
    }
    let source = element::make("v4l2src", &format!("{name}-device"))?;
    source.set_property("device", &node.path);
    let caps = element::caps_filter(&format!("{name}-caps"), &device::capture_caps(&node.driver, None))?;
    element::chain(bin, &[&source, &caps])?;
    let lost = Losses::numbered(&element::pad(&source, "src")?);
    let video = Outlet::append(bin, &caps, &format!("{name}-video"))?;
    Ok(Parts { video: Video::Raw(video), audio: None, lost })
}

/// The node that `wanted` means now: a path (also a link such as those of `/dev/v4l/by-id`), driver or bus.
pub fn find(wanted: &str) -> Result<Node, BuildError> {
    let path = wanted.starts_with('/').then(|| std::fs::canonicalize(wanted).ok()).flatten();
    let wanted = path.as_deref().and_then(Path::to_str).unwrap_or(wanted);
    device::find(wanted, &nodes()).cloned().map_err(|error| BuildError::Unreachable(error.to_string()))
}

/// Every video node of this machine, sorted by path.
fn nodes() -> Vec<Node> {
    let Ok(entries) = std::fs::read_dir(CLASS) else { return Vec::new() };
    let mut nodes: Vec<Node> = entries.flatten().filter_map(|entry| node(&entry.path())).collect();
    nodes.sort_by(|a, b| a.path.cmp(&b.path));
    nodes
}

fn node(class: &Path) -> Option<Node> {
    let file = class.file_name()?.to_str()?;
    let target = |link: &str| Some(std::fs::canonicalize(class.join(link)).ok()?.file_name()?.to_str()?.to_owned());
    // A node is a capture node by default; metadata nodes say so in their index.
    let index = std::fs::read_to_string(class.join("index")).unwrap_or_default();
    Some(Node {
        path: format!("/dev/{file}"),
        driver: target("device/driver").unwrap_or_default(),
        bus: format!("platform:{}", target("device").unwrap_or_default()),
        captures: file.starts_with("video") && (index.trim().is_empty() || index.trim() == "0"),
    })
}

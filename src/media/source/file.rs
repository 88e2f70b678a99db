//! The `file` source: a media file played in real time, like a camera.
//!
//! Contract: the file's time 0 is running time `first_at`; at its end [`BusEvent::Ended`] is reported once, and
//! whoever wants it repeated opens it again with the time at which it ended.
//!
//! [`BusEvent::Ended`]: crate::media::pipeline::BusEvent::Ended

use super::decoded::{Awaited, Pace};
use super::{Losses, Parts, Video, element};
use crate::media::error::BuildError;
use crate::model::MonoNs;
use gst::prelude::*;
use std::path::Path;

/// Adds a player of `path` to `bin`.
pub fn add(bin: &gst::Bin, name: &str, path: &Path, with_audio: bool, first_at: MonoNs) -> Result<Parts, BuildError> {
    // Asked before GStreamer is, whose message would name neither file nor remedy.
    if let Err(error) = std::fs::File::open(path) {
        let shown = path.display();
        return Err(BuildError::Unreachable(match error.kind() {
            std::io::ErrorKind::NotFound => format!("the file {shown} does not exist; it is opened as soon as it does"),
            _ => format!("the file {shown} cannot be read: {error}"),
        }));
    }
    let source = element::make("filesrc", &format!("{name}-file"))?;
    source.set_property("location", path);
    let decoder = element::make("decodebin", &format!("{name}-decode"))?;
    let awaited = Awaited::new(name, Pace::Clock(first_at.0 as i64), with_audio)?;
    awaited.take_from(&decoder);
    element::chain(bin, &[&source, &decoder])?;
    let (video, audio) = awaited.outlets();
    Ok(Parts { video: Video::Raw(video), audio, lost: Losses::Impossible })
}

//! The place of a video encoder where pictures are copied: lets them pass as they are, from a keyframe on.
//!
//! Contract: what comes out begins with a keyframe and has one format. Pictures of another one do not pass: they belong
//! into the next part, which begins with their keyframe.

use super::Track;
use crate::media::clip::Clip;
use crate::media::error::BuildError;
use crate::media::joint::{Inlet, Limits, Outlet};
use crate::media::tally::Tally;
use gst::prelude::*;
use std::sync::{Mutex, PoisonError};

pub(super) fn make(bin: &gst::Bin, name: &str, clip: &Clip) -> Result<Track, BuildError> {
    let input = Inlet::add(bin, &format!("{name}-video-in"), Limits::ENCODED, false)?;
    let output = Outlet::append(bin, input.element(), &format!("{name}-video-out"))?;
    attach_gate(&input.pad()?);
    clip.attach_video(&input.pad()?);
    let (taken, made) = (Tally::default(), Tally::default());
    // Nothing is lost in between, and nothing is made.
    taken.attach(&output.pad()?);
    made.attach(&output.pad()?);
    Ok(Track { input, output, taken, made })
}

/// What a gate has seen.
#[derive(Debug, Default)]
struct Gate {
    format: Option<gst::Caps>,
    begun: bool,
    over: bool,
}

fn attach_gate(pad: &gst::Pad) {
    let gate = Mutex::new(Gate::default());
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let mut gate = gate.lock().unwrap_or_else(PoisonError::into_inner);
        let passes = match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => {
                gate.takes_picture(!buffer.flags().contains(gst::BufferFlags::DELTA_UNIT))
            }
            Some(gst::PadProbeData::Event(event)) => match event.view() {
                gst::EventView::Caps(caps) => gate.takes_format(caps.caps_owned()),
                _ => true,
            },
            _ => true,
        };
        if passes { gst::PadProbeReturn::Ok } else { gst::PadProbeReturn::Drop }
    });
}

impl Gate {
    fn takes_picture(&mut self, keyframe: bool) -> bool {
        self.begun |= keyframe;
        self.begun && !self.over
    }

    /// The parameter sets tell formats apart; a rate or a colour that is only learnt on the way is none of theirs.
    fn takes_format(&mut self, caps: gst::Caps) -> bool {
        let headers = |caps: &gst::Caps| caps.structure(0).and_then(|s| s.get::<gst::Buffer>("codec_data").ok());
        let Some(known) = &self.format else {
            self.format = Some(caps);
            return true;
        };
        let (known, new) = (headers(known), headers(&caps));
        let bytes = |buffer: &gst::Buffer| buffer.map_readable().map(|map| map.to_vec()).ok();
        self.over |= known.as_ref().and_then(bytes) != new.as_ref().and_then(bytes);
        // The muxer has its format already, and takes no second one.
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(headers: &[u8], rate: i32) -> gst::Caps {
        let headers = gst::Buffer::from_slice(headers.to_vec());
        let caps = gst::Caps::builder("video/x-h264").field("codec_data", headers);
        caps.field("framerate", gst::Fraction::new(rate, 1)).build()
    }

    #[test]
    fn a_part_begins_with_a_keyframe_and_ends_where_the_format_does() {
        gst::init().expect("GStreamer");
        let mut gate = Gate::default();
        assert!(gate.takes_format(format(b"one", 25)));
        assert_eq!([false, true, false].map(|key| gate.takes_picture(key)), [false, true, true]);
        assert!(!gate.takes_format(format(b"one", 30)) && gate.takes_picture(false));
        assert!(!gate.takes_format(format(b"two", 30)) && !gate.takes_picture(true));
    }
}

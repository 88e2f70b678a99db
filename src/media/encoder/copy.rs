//! The place of a video encoder where pictures are copied: lets them pass as they are, from a keyframe on.
//!
//! Contract: what comes out begins with a keyframe and has one format. Pictures of another one do not pass: they belong
//! into the next part, which begins with their keyframe.

use super::Track;
use crate::media::clip::Clip;
use crate::media::error::BuildError;
use crate::media::joint::{Inlet, Limits, Outlet};
use crate::media::signal::Coding;
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
    Ok(Track { input, output, taken, made, bitrate: None })
}

/// What a gate has seen.
#[derive(Debug, Default)]
struct Gate {
    format: Option<Coding>,
    begun: bool,
    over: bool,
}

fn attach_gate(pad: &gst::Pad) {
    let gate = Mutex::new(Gate::default());
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(buffer) = info.buffer() else { return gst::PadProbeReturn::Ok };
        let format = pad.current_caps().and_then(|caps| Coding::from_caps(&caps));
        let keyframe = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let mut gate = gate.lock().unwrap_or_else(PoisonError::into_inner);
        if gate.takes(keyframe, format) { gst::PadProbeReturn::Ok } else { gst::PadProbeReturn::Drop }
    });
}

impl Gate {
    fn takes(&mut self, keyframe: bool, format: Option<Coding>) -> bool {
        self.over |= self.begun && self.format != format;
        if !self.begun && keyframe {
            self.begun = true;
            self.format = format;
        }
        self.begun && !self.over
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::encoding::VideoCodec;

    #[test]
    fn a_part_begins_with_a_keyframe_and_ends_where_the_format_does() {
        let mut gate = Gate::default();
        let format = |headers: &[u8]| Some(Coding { codec: VideoCodec::H264, headers: headers.to_vec() });
        let taken = [(false, 1), (true, 1), (false, 1), (true, 2), (false, 2), (true, 1)]
            .map(|(keyframe, headers)| gate.takes(keyframe, format(&[headers])));
        assert_eq!(taken, [false, true, true, false, false, false]);
    }
}

//! Decoded streams that appear one by one (files, network): the first picture and the first sound are taken.
//!
//! ```text
//! decodebin ─▶ (pad appears) ─▶ [identity sync] ─▶ out
//!                             └▶ fakesink for streams nobody wants
//! ```

use super::element;
use crate::media::error::BuildError;
use crate::media::joint::Outlet;
use gst::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};

/// How decoded buffers leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As they come.
    Live,
    /// When their running time has come; the stream's time 0 is this running time in nanoseconds.
    Clock(i64),
}

/// Outlets that wait for their streams.
#[derive(Debug, Clone)]
pub struct Awaited {
    name: String,
    pace: Pace,
    video: Outlet,
    audio: Option<Outlet>,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    video: bool,
    audio: bool,
    others: u32,
}

impl Awaited {
    /// Outlets for the streams of source `name`.
    pub fn new(name: &str, pace: Pace, with_audio: bool) -> Result<Self, BuildError> {
        let video = Outlet::detached(&format!("{name}-video"))?;
        Self::beside(video, name, pace, with_audio)
    }

    /// An outlet for the sound of source `name`, whose pictures go another way to `video`.
    pub fn beside(video: Outlet, name: &str, pace: Pace, with_audio: bool) -> Result<Self, BuildError> {
        Ok(Self {
            name: name.to_owned(),
            pace,
            video,
            audio: if with_audio { Some(Outlet::detached(&format!("{name}-audio"))?) } else { None },
            taken: Arc::default(),
        })
    }

    /// The outlets, filled once their streams appear.
    pub fn outlets(&self) -> (Outlet, Option<Outlet>) {
        (self.video.clone(), self.audio.clone())
    }

    /// Lets `decoder` add its streams to the bin it is in, and be the only one that does.
    pub fn take_from(&self, decoder: &gst::Element) {
        self.take_stream(decoder);
        let awaited = self.clone();
        decoder.connect_no_more_pads(move |_| awaited.close());
    }

    /// Lets `decoder`, one of several, add its streams to the bin it is in.
    pub fn take_stream(&self, decoder: &gst::Element) {
        let awaited = self.clone();
        decoder.connect_pad_added(move |decoder, pad| {
            if let Err(error) = awaited.take(decoder, pad) {
                let text = error.to_string();
                gst::element_error!(decoder, gst::CoreError::Negotiation, ["{text}"]);
            }
        });
    }

    /// No more streams come: says so if there was no sound among them.
    pub fn close(&self) {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if !taken.audio {
            self.video.announce_silent();
        }
    }

    fn take(&self, decoder: &gst::Element, pad: &gst::Pad) -> Result<(), BuildError> {
        let parent = decoder.parent().and_downcast::<gst::Bin>();
        let bin = parent.ok_or_else(|| BuildError::Refused("the source is being closed".to_owned()))?;
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let media = caps.structure(0).map(|structure| structure.name().to_string()).unwrap_or_default();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let outlet = match &self.audio {
            _ if media.starts_with("video/x-raw") && !std::mem::replace(&mut taken.video, true) => &self.video,
            Some(audio) if media.starts_with("audio/x-raw") && !std::mem::replace(&mut taken.audio, true) => audio,
            _ => {
                taken.others += 1;
                let sink = element::make("fakesink", &format!("{}-unused-{}", self.name, taken.others))?;
                sink.set_property("async", false);
                bin.add(&sink)?;
                pad.link(&element::pad(&sink, "sink")?)?;
                sink.sync_state_with_parent()?;
                return Ok(());
            }
        };
        drop(taken);
        let first = match self.pace {
            Pace::Live => {
                outlet.join(&bin)?;
                outlet.pad()?
            }
            Pace::Clock(first_at) => {
                pad.set_offset(first_at);
                let pacer = element::make("identity", &format!("{}-pace-{}", self.name, outlet.name()))?;
                pacer.set_property("sync", true);
                bin.add(&pacer)?;
                outlet.join(&bin)?;
                pacer.link(outlet.element())?;
                pacer.sync_state_with_parent()?;
                element::pad(&pacer, "sink")?
            }
        };
        outlet.element().sync_state_with_parent()?;
        pad.link(&first)?;
        Ok(())
    }
}

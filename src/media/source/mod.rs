//! Sources: what an input is plugged into. Replaceable; thrown away on any error and opened anew.
//!
//! Contract: a source hands out video (raw, or encoded when it is to be copied) and raw sound stamped in running time. It reports the format it really
//! delivers, the end, and failures through [`BusEvent`]s; it never retries by itself. A named sound device is a
//! pipeline of its own, so that its failure costs the sound only.

mod audio;
mod coded;
mod decoded;
mod file;
mod joinable;
mod losses;
mod order;
mod rtp_time;
mod rtsp;
pub mod test;
mod v4l2;

pub use coded::{Coded, Viewfinder};
pub use losses::Losses;

use super::element;
use super::error::{BuildError, Failure};
use super::joint::Outlet;
use super::pipeline::{BusEvent, Pipeline};
use super::tally::{Received, Tally};
use crate::model::MonoNs;
use crate::model::encoding::VideoChoice;
use crate::model::input::{AudioChoice, InputSpec, SourceSpec};
use gst::prelude::*;

/// An open source.
#[derive(Debug)]
pub struct Source {
    pipeline: Pipeline,
    sound_device: Option<Pipeline>,
    /// Hands out pictures: raw, or as they arrive when they are to be copied.
    pub video: Video,
    /// Hands out raw sound, when the input has any.
    pub audio: Option<Outlet>,
    lost: Losses,
}

/// The pictures of a source.
#[derive(Debug, Clone)]
pub enum Video {
    /// Decoded, or never encoded.
    Raw(Outlet),
    /// As they arrive.
    Coded(Coded),
}

impl Video {
    fn outlet(&self) -> &Outlet {
        match self {
            Video::Raw(outlet) => outlet,
            Video::Coded(coded) => &coded.outlet,
        }
    }

    /// The pictures, if they are to be copied.
    pub fn coded(&self) -> Option<&Coded> {
        match self {
            Video::Raw(_) => None,
            Video::Coded(coded) => Some(coded),
        }
    }
}

/// Counts what sources deliver; outlives each of them.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    /// Pictures.
    pub frames: Tally,
    /// Sound buffers.
    pub sound: Tally,
    /// What comes over a network.
    pub received: Received,
}

/// What a kind of source adds to a fresh pipeline.
struct Parts {
    video: Video,
    audio: Option<Outlet>,
    lost: Losses,
}

impl Source {
    /// Opens the source of `input`. `first_at` is where the time of a played file begins, so that a repetition
    /// continues seamlessly. Events come on the glib main loop; those of a sound device through `on_sound`.
    pub fn open(
        input: &InputSpec,
        first_at: MonoNs,
        counters: &Counters,
        on_event: impl FnMut(BusEvent) + 'static,
        on_sound: impl FnMut(BusEvent) + 'static,
    ) -> Result<Self, BuildError> {
        let driver = match &input.source {
            SourceSpec::V4l2 { device, .. } => v4l2::find(device)?.driver,
            SourceSpec::Test { .. } | SourceSpec::File { .. } | SourceSpec::Rtsp { .. } => String::new(),
        };
        let on_event = without_stand_in(driver, on_event);
        let name = format!("{}-source", input.id);
        let mut pipeline = Pipeline::new(&name);
        let bin = pipeline.bin().clone();
        let own_sound = input.audio == AudioChoice::Auto;
        let mut parts = match &input.source {
            SourceSpec::Test { pattern, width, height, fps, .. } => {
                let format = test::TestFormat { pattern: *pattern, width: *width, height: *height, fps: *fps };
                add_test(&bin, &name, format)?
            }
            SourceSpec::File { path, .. } => file::add(&bin, &name, path, own_sound, first_at)?,
            SourceSpec::Rtsp { url, transport, latency_ms } => {
                let camera = rtsp::Camera { url, transport: *transport, latency_ms: *latency_ms };
                let copy = input.codec == Some(VideoChoice::Copy);
                rtsp::add(&bin, &name, (camera, counters.received.clone()), copy, own_sound)?
            }
            SourceSpec::V4l2 { device, subdevice } => v4l2::add(&bin, &name, device, subdevice.as_deref())?,
        };

        let mut sound_device = None;
        if let Some(device) = audio::device_of(input) {
            let mut device_pipeline = Pipeline::new(&format!("{}-sound", input.id));
            parts.audio = audio::add(device_pipeline.bin(), &format!("{}-sound", input.id), &device)?;
            device_pipeline.play_detached(on_sound)?;
            sound_device = Some(device_pipeline);
        }

        counters.frames.attach(&parts.video.outlet().pad()?);
        parts.video.outlet().announce_caps()?;
        if let Some(audio) = &parts.audio {
            counters.sound.attach(&audio.pad()?);
        }
        pipeline.play_detached(on_event)?;
        Ok(Self { pipeline, sound_device, video: parts.video, audio: parts.audio, lost: parts.lost })
    }

    /// Pictures that were lost before they could be counted.
    pub fn lost(&self) -> Losses {
        self.lost.clone()
    }

    /// Throws the sound device away and keeps the picture.
    pub fn discard_sound(&mut self) {
        if let Some(device) = self.sound_device.take() {
            device.discard(|| {});
        }
    }

    /// Throws the source away; `done` is called when the device has been let go of.
    pub fn discard(mut self, done: impl FnOnce() + Send + 'static) {
        self.discard_sound();
        self.pipeline.discard(done);
    }
}

/// The path of the capture device that `wanted` means now: its number may change whenever it is plugged in.
pub fn capture_device(wanted: &str) -> Result<String, BuildError> {
    Ok(v4l2::find(wanted)?.path)
}

/// An HDMI receiver without a cable delivers a picture of its own; it is no signal and never called live (R-TRU-6).
/// The device is opened again, which is how the real format is learnt when the cable is there.
fn without_stand_in(driver: String, mut on_event: impl FnMut(BusEvent)) -> impl FnMut(BusEvent) {
    move |event| match event {
        BusEvent::Format(format) if format.is_stand_in(&driver) => {
            let reason = "the receiver has no signal (it shows its own 640×480 picture)".to_owned();
            on_event(BusEvent::Failed(Failure { element: driver.clone(), reason }));
        }
        event => on_event(event),
    }
}

fn add_test(bin: &gst::Bin, name: &str, format: test::TestFormat) -> Result<Parts, BuildError> {
    let device = test::TestSrc::new(&format!("{name}-device"), format);
    bin.add(&device)?;
    let video = Outlet::append(bin, device.upcast_ref(), &format!("{name}-video"))?;
    Ok(Parts { video: Video::Raw(video), audio: None, lost: Losses::Counted(device.dropped()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::signal::VideoFormat;

    #[test]
    fn the_picture_of_an_empty_receiver_is_a_failure_and_a_real_one_is_not() {
        let format = |width, height| VideoFormat { width, height, pixels: "BGR".into(), coding: None, rate: None };
        let told = |driver: &str, format: VideoFormat| {
            let mut heard = None;
            without_stand_in(driver.to_owned(), |event| heard = Some(event))(BusEvent::Format(format));
            matches!(heard, Some(BusEvent::Failed(_)))
        };
        assert!(told("rk_hdmirx", format(640, 480)));
        assert!(!told("rk_hdmirx", format(1920, 1080)));
        assert!(!told("uvcvideo", format(640, 480)));
    }
}

//! The sound of a critical alert.
//!
//! Contract: nothing ever waits for it. It is played on a thread of its own; a sound server that hangs holds up that
//! thread and nothing else, one that is missing is the same as silence. What comes while it sounds is not queued.
//!
//! ```text
//!   appsrc (three tones, made here) ──▶ audioconvert ──▶ audioresample ──▶ autoaudiosink
//! ```
//! Not `gtk::MediaFile`: it plays nothing without a module that Debian does not install with GTK, and wants a file.

use anyhow::Context;
use gst::prelude::*;
use std::f64::consts::TAU;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// Samples per second, one channel.
const RATE: u32 = 48_000;
/// Falling, and different enough from any sound of a programme: Hz.
const TONES: [f64; 3] = [1046.5, 784.0, 659.3];
/// Each of them.
const TONE_SECONDS: f64 = 0.16;
/// A tone dies away within itself: time to a third of its loudness.
const DECAY_SECONDS: f64 = 0.07;
/// Half of full scale.
const LOUDNESS: f64 = 16_000.0;
/// It lasts half a second; a device that takes longer to open is given up.
const PLAYED_WITHIN: gst::ClockTime = gst::ClockTime::from_seconds(5);

/// See the module.
#[derive(Debug, Default)]
pub struct Sound {
    player: Option<SyncSender<()>>,
}

impl Sound {
    /// Plays it once, unless it is being played.
    pub fn play(&mut self) {
        let player = self.player.get_or_insert_with(start);
        if let Err(TrySendError::Disconnected(())) = player.try_send(()) {
            self.player = None;
        }
    }
}

fn start() -> SyncSender<()> {
    // The one that is being played has left the queue.
    let (player, wishes) = sync_channel(0);
    let started = std::thread::Builder::new().name("holdfast-sound".to_owned()).spawn(move || serve(&wishes));
    if let Err(error) = started {
        tracing::info!("there is no sound for alerts: {error}");
    }
    player
}

fn serve(wishes: &Receiver<()>) {
    while let Ok(()) = wishes.recv() {
        if let Err(error) = play("autoaudiosink") {
            tracing::info!("the sound of an alert could not be played: {error:#}");
        }
    }
}

/// Plays it into a sink, to its end.
fn play(sink: &str) -> anyhow::Result<()> {
    let caps = gst_audio::AudioCapsBuilder::new_interleaved().format(gst_audio::AudioFormat::S16le);
    let caps = caps.rate(i32::try_from(RATE)?).channels(1).build();
    let source = gst_app::AppSrc::builder().name("alert-sound-source").format(gst::Format::Time).caps(&caps).build();
    let make = |factory: &str| {
        gst::ElementFactory::make(factory).name(format!("alert-sound-{factory}")).build().context(factory.to_owned())
    };
    let (convert, resample, sink) = (make("audioconvert")?, make("audioresample")?, make(sink)?);
    let pipeline = gst::Pipeline::with_name("alert-sound");
    pipeline.add_many([source.upcast_ref(), &convert, &resample, &sink])?;
    gst::Element::link_many([source.upcast_ref(), &convert, &resample, &sink])?;
    let bus = pipeline.bus().context("a pipeline has a bus")?;
    let mut buffer = gst::Buffer::from_slice(samples());
    if let Some(buffer) = buffer.get_mut() {
        buffer.set_pts(gst::ClockTime::ZERO);
    }
    let played = (|| {
        pipeline.set_state(gst::State::Playing).context("no device")?;
        source.push_buffer(buffer).context("the source is gone")?;
        source.end_of_stream().context("the source is gone")?;
        match bus.timed_pop_filtered(PLAYED_WITHIN, &[gst::MessageType::Eos, gst::MessageType::Error]) {
            Some(message) => match message.view() {
                gst::MessageView::Error(error) => Err(anyhow::Error::from(error.error())),
                _ => Ok(()),
            },
            None => anyhow::bail!("it did not end in time"),
        }
    })();
    // Whatever the device says to that, there is nothing more to do.
    let _ = pipeline.set_state(gst::State::Null);
    played
}

/// The tones, one behind the other, 16 bits little-endian.
fn samples() -> Vec<u8> {
    let per_tone = (f64::from(RATE) * TONE_SECONDS) as u32;
    let tone = |hertz: f64| {
        (0..per_tone).flat_map(move |n| {
            let t = f64::from(n) / f64::from(RATE);
            // Ends at nothing, or it clicks.
            let fade = 1.0 - f64::from(n) / f64::from(per_tone);
            let sample = LOUDNESS * fade * (-t / DECAY_SECONDS).exp() * (TAU * hertz * t).sin();
            (sample as i16).to_le_bytes()
        })
    };
    TONES.into_iter().flat_map(tone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_sounds_ends_and_never_clips() {
        gst::init().expect("GStreamer");
        let samples: Vec<i16> = samples().chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect();
        let loudest = samples.iter().map(|sample| sample.unsigned_abs()).max();
        assert!((8_000..=16_000).contains(&loudest.unwrap_or(0)), "{loudest:?}");
        assert_eq!(samples.len(), 3 * 7680);
        play("fakesink").expect("played");
        let refused = play("there-is-no-such-sink").expect_err("refused");
        assert_eq!(refused.to_string(), "there-is-no-such-sink");
    }
}

//! The muxer of a part, by its container. Both only append; what they send, the durable sink completes.

use super::element;
use super::error::BuildError;
use crate::model::encoding::{Container, Encoding, VideoChoice};
use gst::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};

/// Longer than any part.
const LONG_FRAGMENT: gst::ClockTime = gst::ClockTime::from_seconds(365 * 24 * 3600);

/// What a pad of a muxer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

/// A muxer that begins at 0 and ends a fragment every `fragment_ms`.
pub fn make_muxer(name: &str, encoding: &Encoding) -> Result<gst::Element, BuildError> {
    let fragment = gst::ClockTime::from_mseconds(u64::from(encoding.fragment_ms)).nseconds();
    let mux = match encoding.container {
        Container::Mp4 => {
            let mux = element::make("isofmp4mux", name)?;
            // A stream that is copied has keyframes of its own: chunks of one long fragment do without.
            let copied = encoding.codec == VideoChoice::Copy;
            mux.set_property("fragment-duration", if copied { LONG_FRAGMENT.nseconds() } else { fragment });
            mux.set_property("chunk-duration", fragment);
            // The muxer asks the encoder for a keyframe per fragment. Without one per fragment (measured) sound comes
            // in every second fragment only, and the sound behind the last keyframe is lost at the end.
            mux.set_property("send-force-keyunit", true);
            mux.set_property_from_str("write-edts-mode", "never");
            mux
        }
        Container::Mkv => {
            let mux = element::make("matroskamux", name)?;
            // No seeking back to patch sizes: sizes, index and duration are ours.
            mux.set_property("streamable", true);
            let fragment = i64::try_from(fragment).unwrap_or(i64::MAX);
            // A keyframe begins a cluster once the last is as old as a fragment; without one it ends all the same.
            mux.set_property("min-cluster-duration", fragment);
            mux.set_property("max-cluster-duration", fragment);
            mux.set_property("writing-app", concat!("Holdfast ", env!("CARGO_PKG_VERSION")));
            mux
        }
    };
    mux.set_property("offset-to-zero", true);
    Ok(mux)
}

/// A new pad of `mux` for `stream`.
pub fn request_pad(mux: &gst::Element, stream: Stream) -> Result<gst::Pad, BuildError> {
    let own = match stream {
        Stream::Video => "video_%u",
        Stream::Audio => "audio_%u",
    };
    let template = if mux.pad_template(own).is_some() { own } else { "sink_%u" };
    element::request_pad(mux, template)
}

/// Lets the pictures that reach `muxer`, a pad of an MP4 muxer that `inlet` leads to, end with a gap of no length.
/// `isofmp4mux` 0.14 holds one buffer back, and where the end falls just behind a chunk it is told of the end too early: it
/// writes its group of pictures off, and drops the last picture for want of a keyframe. A gap it may drop. Sound needs
/// none: every packet is one. To be called once everything is attached to `muxer` that keeps pictures from it.
pub fn end_with_gap(inlet: &gst::Pad, muxer: &gst::Pad) {
    let last = Arc::new(Mutex::new(None));
    let taken = last.clone();
    muxer.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(picture) = info.buffer() {
            *taken.lock().unwrap_or_else(PoisonError::into_inner) = Some((picture.pts(), picture.dts()));
        }
        gst::PadProbeReturn::Ok
    });
    inlet.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |inlet, info| {
        if info.event().is_none_or(|event| event.type_() != gst::EventType::Eos) {
            return gst::PadProbeReturn::Ok;
        }
        let ended = last.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some((shown, decoded)), Some(muxer)) = (ended, inlet.peer()) {
            let mut gap = gst::Buffer::new();
            let unit = gap.make_mut();
            // With the times of the last one, so that it belongs to the same part.
            unit.set_pts(shown);
            unit.set_dts(decoded);
            unit.set_duration(gst::ClockTime::ZERO);
            unit.set_flags(gst::BufferFlags::GAP | gst::BufferFlags::DROPPABLE | gst::BufferFlags::DELTA_UNIT);
            // Not pushed: `inlet` counts as ended already. Refused only while its pipeline is thrown away.
            let _ = muxer.chain(gap);
        }
        gst::PadProbeReturn::Ok
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::boundary::{Boundary, Window};
    use crate::media::element;
    use crate::model::MonoNs;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    /// Bytes of a picture; everything else together is smaller.
    const PICTURE: usize = 100_000;

    /// Writes `pictures` (times in ns) and sound up to `end`, and counts the pictures that come out; `behind` of them lie
    /// behind a boundary, where the part ends.
    fn written(pictures: &[u64], behind: usize, end: u64) -> usize {
        let encoding = Encoding { codec: VideoChoice::Copy, ..Encoding::default() };
        let mux = make_muxer("mux", &encoding).expect("a muxer");
        let sink = element::make("fakesink", "sink").expect("an element");
        let pipeline = gst::Pipeline::new();
        pipeline.add_many([&mux, &sink]).expect("added");
        mux.link(&sink).expect("linked");
        let window = Window::new(None, Duration::ZERO);
        if let Some(time) = pictures.get(pictures.len() - behind) {
            let boundary = Boundary::new(MonoNs(*time));
            boundary.offer(MonoNs(*time));
            window.end_at(boundary);
        }
        let source = |caps: &str, stream| {
            let caps = caps.parse::<gst::Caps>().expect("caps");
            let source = gst_app::AppSrc::builder().caps(&caps).format(gst::Format::Time).max_bytes(1 << 40).build();
            pipeline.add(&source).expect("added");
            let pad = request_pad(&mux, stream).expect("a pad");
            let out = source.static_pad("src").expect("a pad");
            out.link(&pad).expect("linked");
            if stream == Stream::Video {
                window.attach_video(&pad);
                end_with_gap(&out, &pad);
            }
            source
        };
        let video = source(
            "video/x-h264,stream-format=avc,alignment=au,width=64,height=48,framerate=30/1,codec_data=(buffer)01640014ffe10000010000",
            Stream::Video,
        );
        let audio = source(
            "audio/mpeg,mpegversion=4,stream-format=raw,rate=48000,channels=2,codec_data=(buffer)1190",
            Stream::Audio,
        );
        let bytes = Arc::new(AtomicUsize::new(0));
        let counter = bytes.clone();
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        sink.static_pad("sink").expect("a pad").add_probe(kinds, move |_, info| {
            let size = match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => buffer.size(),
                Some(gst::PadProbeData::BufferList(list)) => list.iter().map(gst::BufferRef::size).sum(),
                _ => 0,
            };
            counter.fetch_add(size, Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
        pipeline.set_state(gst::State::Playing).expect("playing");
        for (number, time) in pictures.iter().enumerate() {
            let mut buffer = gst::Buffer::from_slice(vec![0u8; PICTURE]);
            let unit = buffer.make_mut();
            unit.set_pts(gst::ClockTime::from_nseconds(*time));
            unit.set_dts(gst::ClockTime::from_nseconds(*time));
            unit.set_duration(gst::ClockTime::from_nseconds(33_333_333));
            if number % 30 > 0 {
                unit.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
            video.push_buffer(buffer).expect("taken");
        }
        let mut at = pictures[0];
        while at < end {
            let mut buffer = gst::Buffer::from_slice([0u8; 10]);
            let unit = buffer.make_mut();
            unit.set_pts(gst::ClockTime::from_nseconds(at));
            unit.set_duration(gst::ClockTime::from_nseconds(21_333_333));
            audio.push_buffer(buffer).expect("taken");
            at += 21_333_333;
        }
        video.end_of_stream().expect("ended");
        audio.end_of_stream().expect("ended");
        let bus = pipeline.bus().expect("a bus");
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        let last = bus.timed_pop_filtered(gst::ClockTime::from_seconds(20), &kinds).expect("it ends");
        pipeline.set_state(gst::State::Null).expect("stopped");
        assert_eq!(last.type_(), gst::MessageType::Eos, "{last:?}");
        bytes.load(Ordering::Relaxed) / PICTURE
    }

    #[test]
    fn the_last_picture_is_written_wherever_the_end_falls() {
        crate::media::init().expect("GStreamer");
        let mut lost = Vec::new();
        let periods = [33_333_333u64, 33_333_334, 33_250_000];
        for (period, count, behind) in periods
            .into_iter()
            .flat_map(|period| (1..40u64).flat_map(move |count| [0, 2].map(|behind| (period, count, behind))))
        {
            for tail in [0u64, 6_000_000, 20_000_000, 33_000_000] {
                let pictures: Vec<u64> = (0..count + behind).map(|n| 1_000_000_000 + n * period).collect();
                let end = 1_000_000_000 + (count - 1) * period + tail;
                let found = written(&pictures, behind as usize, end.max(1_000_000_001));
                if found != count as usize {
                    lost.push((period, count, behind, tail, found));
                }
            }
        }
        assert!(lost.is_empty(), "lost: {lost:?}");
    }
}

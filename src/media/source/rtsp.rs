//! The `rtsp` source: a camera or server, decoded, or its pictures as they are when they are to be copied.
//!
//! Contract: pictures and sound are stamped by the camera's clocks, placed by arrival ([`rtp_time`]). A server that hangs
//! says nothing on the bus, so the worker's frame watchdog is what notices. Credentials never leave this file.

use super::coded::Coded;
use super::decoded::{Awaited, Pace};
use super::rtp_time::{self, Kind};
use super::{Losses, Parts, Video, element};
use crate::media::error::BuildError;
use crate::media::tally::Received;
use crate::model::input::Transport;
use gst::prelude::*;
use std::sync::Arc;

/// How long a connection attempt or an answer may take, in µs. Shorter than the operator's patience, longer than
/// any camera that works; the worker's backoff decides when to try again.
const TCP_TIMEOUT_US: u64 = 5_000_000;
/// No datagram for this long after PLAY means that none get through (a firewall, another network): `auto` goes on
/// over TCP, `udp` fails by name. Cameras send at once; with the TCP handshake that follows it stays well below the
/// 10 s after which the worker gives up a source without a picture.
const UDP_SILENCE_US: u64 = 3_000_000;

/// What is known of a camera.
#[derive(Clone, Copy)]
pub struct Camera<'a> {
    /// Where it is.
    pub url: &'a str,
    /// How its media travels.
    pub transport: Transport,
    /// Jitter buffer in ms.
    pub latency_ms: u32,
}

/// Adds a client of `camera` to `bin`; its pictures are decoded unless they are to be copied.
pub fn add(
    bin: &gst::Bin,
    name: &str,
    (camera, received): (Camera<'_>, Received),
    copy: bool,
    with_audio: bool,
) -> Result<Parts, BuildError> {
    let source = element::make("rtspsrc", &format!("{name}-rtsp"))?;
    source.set_property("location", camera.url);
    source.set_property_from_str(
        "protocols",
        match camera.transport {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
            Transport::Auto => "udp+tcp",
        },
    );
    source.set_property("latency", camera.latency_ms);
    source.set_property("tcp-timeout", TCP_TIMEOUT_US);
    source.set_property("timeout", UDP_SILENCE_US);
    let (times, lost) = (rtp_time::Streams::default(), Losses::of_packets());
    each_jitter_buffer(&source, {
        let (times, lost) = (times.clone(), lost.clone());
        move |buffer| {
            lost.watch(buffer);
            rtp_time::listen(buffer, &times);
        }
    });
    bin.add(&source)?;
    let (video, awaited) = if copy {
        let coded = Coded::detached(name)?;
        let awaited = Awaited::beside(coded.outlet.clone(), name, Pace::Live, with_audio)?;
        (Video::Coded(coded), awaited)
    } else {
        let awaited = Awaited::new(name, Pace::Live, with_audio)?;
        (Video::Raw(awaited.outlets().0), awaited)
    };
    let (_, audio) = awaited.outlets();

    let (streams, coded) = (awaited.clone(), video.coded().cloned());
    let name = name.to_owned();
    source.connect_pad_added(move |source, pad| {
        received.attach(pad);
        if let Err(error) = take(source, pad, &name, (&streams, &times), coded.as_ref()) {
            let text = error.to_string();
            gst::element_error!(source, gst::CoreError::Negotiation, ["{text}"]);
        }
    });
    source.connect_no_more_pads(move |source| {
        let has_sound = source.src_pads().iter().any(|pad| media_of(pad).as_deref() == Some("audio"));
        if !has_sound {
            awaited.close();
        }
    });
    Ok(Parts { video, audio, lost })
}

/// Hands every jitter buffer that `rtspsrc` makes to `take`, and lets none be moved by `rtpbin`: [`rtp_time`] does that.
fn each_jitter_buffer(rtspsrc: &gst::Element, take: impl Fn(&gst::Element) + Send + Sync + 'static) {
    let take = Arc::new(take);
    rtspsrc.connect("new-manager", false, move |arguments| {
        let manager = arguments.get(1)?.get::<gst::Element>().ok()?;
        // Not so with RealMedia's.
        if manager.has_property("min-ts-offset") {
            // No correction is this large.
            manager.set_property("min-ts-offset", u64::MAX);
            let take = take.clone();
            manager.connect("new-jitterbuffer", false, move |arguments| {
                take(&arguments.get(1)?.get::<gst::Element>().ok()?);
                None
            });
        }
        None
    });
}

/// `video`, `audio` or `application`, as the server announced a stream.
fn media_of(pad: &gst::Pad) -> Option<String> {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    caps.structure(0)?.get::<String>("media").ok()
}

fn take(
    source: &gst::Element,
    pad: &gst::Pad,
    name: &str,
    (streams, times): (&Awaited, &rtp_time::Streams),
    coded: Option<&Coded>,
) -> Result<(), BuildError> {
    let parent = source.parent().and_downcast::<gst::Bin>();
    let bin = parent.ok_or_else(|| BuildError::Refused("the source is being closed".to_owned()))?;
    let media = media_of(pad).unwrap_or_default();
    let next = match (media.as_str(), coded) {
        ("video", Some(coded)) if !coded.outlet.pad()?.is_linked() => {
            rtp_time::attach(pad, times, Kind::Pictures);
            return coded.take(&bin, name, pad);
        }
        ("video", None) | ("audio", _) => {
            let wanted = if media == "video" { Some(Kind::Pictures) } else { streams.outlets().1.map(|_| Kind::Sound) };
            if let Some(kind) = wanted {
                rtp_time::attach(pad, times, kind);
            }
            let decoder = element::make("decodebin", &format!("{name}-decode-{}", pad.name()))?;
            streams.take_stream(&decoder);
            decoder
        }
        _ => {
            let sink = element::make("fakesink", &format!("{name}-unused-{}", pad.name()))?;
            sink.set_property("async", false);
            sink
        }
    };
    bin.add(&next)?;
    next.sync_state_with_parent()?;
    pad.link(&element::pad(&next, "sink")?)?;
    Ok(())
}

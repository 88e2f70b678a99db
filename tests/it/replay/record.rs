//! Buffer lists of the real muxer, recorded once per kind of content.

use gst::prelude::*;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the muxer hands to the sink in one call.
pub type Push = Vec<Vec<u8>>;

/// A content the sink must survive.
#[derive(Debug, Clone, Copy)]
pub struct Content {
    /// Name in messages.
    pub name: &'static str,
    /// `pattern` of videotestsrc.
    pub video: &'static str,
    /// `wave` of audiotestsrc, `None` = no audio track.
    pub audio: Option<&'static str>,
}

/// Silence makes all audio samples equal in size, which is what broke other muxers (PEERS #21).
pub const CONTENTS: [Content; 5] = [
    Content { name: "silence", video: "smpte", audio: Some("silence") },
    Content { name: "tone", video: "ball", audio: Some("sine") },
    Content { name: "noise", video: "snow", audio: Some("white-noise") },
    Content { name: "picture-only", video: "smpte", audio: None },
    Content { name: "black-picture-only", video: "black", audio: None },
];

/// Length of the recorded material: ten fragments of 500 ms.
pub const FRAMES: u32 = 150;

/// How the worker sets up the muxer of MP4.
const MP4: &str = "isofmp4mux fragment-duration=500000000 chunk-duration=500000000";
/// The same for Matroska.
const MATROSKA: &str = "matroskamux streamable=true min-cluster-duration=500000000 max-cluster-duration=500000000 \
                        offset-to-zero=true";

/// Runs encoder and muxer as the worker does and keeps every push.
pub fn record(content: Content) -> Vec<Push> {
    run(content, MP4, "avenc_aac ! aacparse")
}

/// The same into Matroska; `pcm` = sound as it is.
pub fn record_matroska(content: Content, pcm: bool) -> Vec<Push> {
    run(content, MATROSKA, if pcm { "audio/x-raw,format=S16LE" } else { "avenc_aac ! aacparse" })
}

fn run(content: Content, muxer: &str, sound: &str) -> Vec<Push> {
    gst::init().expect("GStreamer");
    gstfmp4::plugin_register_static().expect("the fmp4 plugin");
    let mut line = format!(
        "videotestsrc pattern={} num-buffers={FRAMES} ! video/x-raw,format=I420,width=320,height=180,framerate=30/1 \
         ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30 bitrate=600 ! h264parse \
         ! {muxer} name=mux ! fakesink name=out sync=false",
        content.video
    );
    if let Some(wave) = content.audio {
        // 5 s of 1024-sample buffers at 48 kHz.
        line += &format!(
            " audiotestsrc wave={wave} num-buffers=234 samplesperbuffer=1024 ! audio/x-raw,rate=48000,channels=2 \
             ! audioconvert ! {sound} ! mux."
        );
    }
    let pipeline = gst::parse::launch(&line).expect("a pipeline").downcast::<gst::Pipeline>().expect("a pipeline");
    let pushes = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&pushes);
    let pad = pipeline.by_name("out").and_then(|out| out.static_pad("sink")).expect("the pad of the sink");
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |_, info| {
        let bytes = |buffer: &gst::BufferRef| buffer.map_readable().expect("readable").to_vec();
        let push = match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => vec![bytes(buffer)],
            Some(gst::PadProbeData::BufferList(list)) => list.iter().map(bytes).collect(),
            _ => return gst::PadProbeReturn::Ok,
        };
        sink.lock().expect("the list").push(push);
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).expect("playing");
    let bus = pipeline.bus().expect("a bus");
    let end = bus.timed_pop_filtered(
        gst::ClockTime::try_from(Duration::from_secs(60)).expect("a time"),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    assert!(matches!(end.as_ref().map(|m| m.type_()), Some(gst::MessageType::Eos)), "{}: {end:?}", content.name);
    pipeline.set_state(gst::State::Null).expect("null");
    let pushes = std::mem::take(&mut *pushes.lock().expect("the list"));
    assert!(pushes.len() > 5, "{}: only {} pushes", content.name, pushes.len());
    pushes
}

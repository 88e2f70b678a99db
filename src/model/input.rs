//! An input as the operator configured it. Validation of files and texts lives in [`crate::config`]; these
//! types can only hold what this version implements.

use super::encoding::VideoChoice;
use super::id::InputId;
use super::redact::redact;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One configured input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputSpec {
    /// Its id, unique in a configuration.
    pub id: InputId,
    /// What the operator calls it ("HDMI 1").
    pub name: String,
    /// Where pictures and sound come from.
    pub source: SourceSpec,
    /// Which sound is recorded with it.
    pub audio: AudioChoice,
    /// What becomes of its pictures, `None` = as for all inputs.
    #[serde(default)]
    pub codec: Option<VideoChoice>,
    /// What the recording does when the signal goes.
    pub on_signal_loss: OnSignalLoss,
    /// Higher = its preview is kept longer under load.
    pub importance: i32,
    /// Whether Record includes it.
    pub armed: bool,
}

/// Where an input comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum SourceSpec {
    /// A synthetic device: clock-driven, drops frames when it is read late, numbers every frame.
    Test {
        /// What it shows.
        pattern: TestPattern,
        /// Picture width in pixels.
        width: u32,
        /// Picture height in pixels.
        height: u32,
        /// Frames per second.
        fps: u32,
        /// Frequency of its tone in Hz.
        tone_hz: u32,
    },
    /// A media file played in real time like a camera.
    File {
        /// The file.
        path: PathBuf,
        /// Start again at the end.
        repeat: bool,
    },
    /// An RTSP camera or server.
    Rtsp {
        /// `rtsp://…`; may hold credentials, so it is redacted in every log and message.
        url: String,
        /// How its media travels.
        #[serde(default)]
        transport: Transport,
        /// Jitter buffer in ms.
        latency_ms: u32,
    },
    /// A capture device.
    V4l2 {
        /// A path, or a match on `driver:` or `bus:` (R58.md).
        device: String,
        /// The subdevice that knows the format, for bridges.
        subdevice: Option<String>,
    },
}

/// How the media of an RTSP stream travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Within the RTSP connection: nothing is lost on the way, so it is the default.
    #[default]
    Tcp,
    /// In datagrams of its own; what the network loses is lost.
    Udp,
    /// Datagrams first; TCP when the server refuses them or none arrive.
    Auto,
}

impl InputSpec {
    /// What becomes of its pictures where nothing else is said than `general`.
    pub fn video_choice(&self, general: VideoChoice) -> VideoChoice {
        self.codec.unwrap_or(general)
    }

    /// The same without the user and password of its address: what may be written to a disk others read.
    pub fn redacted(mut self) -> Self {
        if let SourceSpec::Rtsp { url, .. } = &mut self.source {
            *url = redact(url);
        }
        self
    }
}

impl SourceSpec {
    /// Whether its pictures arrive encoded, so that they can be written as they come.
    pub fn arrives_encoded(&self) -> bool {
        match self {
            SourceSpec::Rtsp { .. } => true,
            SourceSpec::Test { .. } | SourceSpec::File { .. } | SourceSpec::V4l2 { .. } => false,
        }
    }

    /// The word used in the configuration and the snapshot.
    pub fn kind(&self) -> &'static str {
        match self {
            SourceSpec::Test { .. } => "test",
            SourceSpec::File { .. } => "file",
            SourceSpec::Rtsp { .. } => "rtsp",
            SourceSpec::V4l2 { .. } => "v4l2",
        }
    }
}

/// The pictures a `test` input can show. All carry the frame number as a bar code, and burnt-in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TestPattern {
    /// Colour bars with a moving block.
    Bars,
    /// A moving ball on dark.
    Ball,
    /// A travelling gradient.
    Gradient,
    /// A moving checkerboard.
    Checker,
}

/// Which sound is recorded with an input. In a configuration: `false`, `"auto"` or a device name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AudioChoice {
    /// No audio track.
    Off,
    /// The sound that belongs to the source (a test tone, the stream's or file's own track).
    Auto,
    /// A named device. A `test` input has the devices `tone`, `silence`, `noise`, `dies` (delivers a tone for
    /// 4 s, then nothing, without an error) and `never` (never delivers).
    Device(String),
}

/// What a recording does when its signal goes. `slate` is a later issue and refused by the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnSignalLoss {
    /// Close the part; a new part starts when the signal returns.
    Split,
    /// Close the part; this input's recording ends.
    Stop,
}

//! What a recording is encoded to. Pairs that are not implemented are refused by [`crate::config`], not here.

use serde::{Deserialize, Serialize};

/// The container of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Container {
    /// Fragmented MP4 while recording, an ordinary MP4 once finalised.
    Mp4,
    /// Matroska: clusters of one fragment's length while recording, with an index once finalised.
    Mkv,
}

impl Container {
    /// The file name extension, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Container::Mp4 => "mp4",
            Container::Mkv => "mkv",
        }
    }
}

/// The video codec of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum VideoCodec {
    /// H.264 / AVC.
    H264,
    /// H.265 / HEVC.
    H265,
}

/// What becomes of an input's pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VideoChoice {
    /// Encoded to H.264.
    H264,
    /// Encoded to H.265.
    H265,
    /// Written as they come, already encoded (network inputs that deliver H.264 or H.265).
    Copy,
}

/// The audio codec of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AudioCodec {
    /// AAC-LC, 48 kHz.
    Aac,
    /// Opus, 48 kHz.
    Opus,
    /// Uncompressed, 16 bit little endian, 48 kHz (Matroska only).
    Pcm,
}

/// Everything a worker needs to know to encode and write one input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encoding {
    /// Container of every part.
    pub container: Container,
    /// What becomes of the pictures.
    pub codec: VideoChoice,
    /// Video bitrate in kbit/s.
    pub bitrate_kbps: u32,
    /// Longest distance between two keyframes in ms.
    pub keyframe_interval_ms: u32,
    /// Length of one fragment (moof + mdat) in ms: the unit of loss.
    pub fragment_ms: u32,
    /// Audio codec.
    pub audio_codec: AudioCodec,
}

impl Default for Encoding {
    fn default() -> Self {
        Self {
            container: Container::Mp4,
            codec: VideoChoice::H264,
            bitrate_kbps: 4000,
            keyframe_interval_ms: 1000,
            fragment_ms: 500,
            audio_codec: AudioCodec::Aac,
        }
    }
}

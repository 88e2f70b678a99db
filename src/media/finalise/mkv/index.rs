//! What a Matroska part holds: counted while clusters pass by, or while a file is walked.
//!
//! Contract: memory grows by 8 bytes per cluster and 24 per keyframe (2 MB for 8 h).

use super::cluster::Block;
use super::ebml::{id, put, put_uint};
use super::header::PartHeader;
use crate::media::finalise::Summary;
use crate::model::encoding::{AudioCodec, VideoCodec};
use crate::model::session::{AudioTrack, VideoTrack};
use std::ops::Range;
use std::time::Duration;

/// Upper bound of one entry of the `Cues`.
const CUE_BYTES: u64 = 48;

/// What a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Anything else.
    #[default]
    Other,
}

/// One track: what the header says, and what was counted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Track {
    pub(super) number: u64,
    pub(super) kind: Kind,
    pub(super) codec: String,
    pub(super) default_duration_ns: Option<u64>,
    pub(super) width: u64,
    pub(super) height: u64,
    pub(super) rate: f64,
    pub(super) channels: u64,
    /// Bytes of the length in front of each NAL unit, `None` = its frames are not made of NAL units.
    pub(super) nal_length: Option<usize>,
    samples: u64,
    /// Ticks of the first and the last frame that is shown.
    first: u64,
    last: u64,
    /// Ticks from a frame to the next, as last seen; stands in for a duration nobody states.
    step: u64,
    /// Duration the last frame states itself, in ticks.
    stated: Option<u64>,
}

/// A keyframe of the video track.
#[derive(Debug, Clone, Copy)]
struct Cue {
    time: u64,
    cluster: u64,
    position: u64,
}

/// Everything the end of the file needs.
#[derive(Debug, Clone)]
pub struct Index {
    pub(super) header: PartHeader,
    tracks: Vec<Track>,
    cues: Vec<Cue>,
    /// Offset of every cluster.
    pub(super) clusters: Vec<u64>,
    /// Those of them that a scan found in disguise.
    pub(super) disguised: Vec<u64>,
    /// What a scan found between clusters and cannot be read, at least 12 bytes each.
    pub(super) damaged: Vec<Range<u64>>,
    /// Offset behind the last cluster that counts, and the pad that belongs to it.
    pub(super) end: u64,
}

impl Index {
    /// An index without clusters; the header takes `end` bytes.
    pub fn new(header: PartHeader, end: u64) -> Self {
        Self {
            tracks: header.tracks.clone(),
            header,
            cues: Vec::new(),
            clusters: Vec::new(),
            disguised: Vec::new(),
            damaged: Vec::new(),
            end,
        }
    }

    /// Takes the cluster at `at` with its blocks; frames of unknown tracks are passed over.
    pub fn push(&mut self, at: u64, end: u64, blocks: &[Block]) {
        let cued = self.cued().map(|track| track.number);
        for block in blocks {
            let Some(track) = self.tracks.iter_mut().find(|track| track.number == block.track) else { continue };
            track.take(block);
            let wanted = block.keyframe && cued == Some(block.track);
            // Without pictures every sound can be begun with; one per cluster is enough.
            let wanted = wanted && (track.kind == Kind::Video || self.cues.last().is_none_or(|cue| cue.cluster != at));
            if wanted {
                self.cues.push(Cue { time: block.time, cluster: at, position: block.position });
            }
        }
        self.clusters.push(at);
        self.end = end;
    }

    /// The track players seek in.
    fn cued(&self) -> Option<&Track> {
        self.tracks.iter().find(|track| track.kind == Kind::Video).or(self.tracks.first())
    }

    /// Whether there is anything to play.
    pub fn is_empty(&self) -> bool {
        self.tracks.iter().all(|track| track.samples == 0)
    }

    /// Media time: the end of the video track, without one of the longest track.
    pub fn media_time(&self) -> Duration {
        let video = self.tracks.iter().find(|track| track.kind == Kind::Video && track.samples > 0);
        let ends = self.tracks.iter().map(|track| track.end(self.header.scale));
        video.map_or_else(|| ends.max().unwrap_or_default(), |track| track.end(self.header.scale))
    }

    /// Frames of the video track.
    pub fn video_samples(&self) -> u64 {
        self.samples(Kind::Video)
    }

    fn samples(&self, kind: Kind) -> u64 {
        self.tracks.iter().filter(|track| track.kind == kind).map(|track| track.samples).sum()
    }

    /// An upper bound of the `Cues` in bytes.
    pub fn cues_estimate(&self) -> u64 {
        64 + CUE_BYTES * self.cues.len() as u64
    }

    /// The `Cues` element; `None` = there is no keyframe to point at.
    pub fn cues(&self) -> Option<Vec<u8>> {
        let track = self.cued()?.number;
        let mut content = Vec::new();
        for cue in &self.cues {
            let mut places = Vec::new();
            put_uint(&mut places, id::CUE_TRACK, track);
            put_uint(&mut places, id::CUE_CLUSTER_POSITION, cue.cluster - self.header.data_at);
            put_uint(&mut places, id::CUE_RELATIVE_POSITION, cue.position);
            let mut point = Vec::new();
            put_uint(&mut point, id::CUE_TIME, cue.time);
            put(&mut point, id::CUE_TRACK_POSITIONS, &places);
            put(&mut content, id::CUE_POINT, &point);
        }
        let mut out = Vec::new();
        put(&mut out, id::CUES, &content);
        Some(out)
    }

    /// End of the longest track, in ticks of the file.
    #[allow(clippy::cast_precision_loss, reason = "a recording has far less than 2^52 ns")]
    pub fn ticks(&self) -> f64 {
        self.duration().as_nanos() as f64 / self.header.scale as f64
    }

    fn duration(&self) -> Duration {
        self.tracks.iter().map(|track| track.end(self.header.scale)).max().unwrap_or_default()
    }

    /// The whole in a few numbers; `bytes` is the size of the file.
    pub fn summary(&self, bytes: u64) -> Summary {
        let used = || self.tracks.iter().filter(|track| track.samples > 0);
        Summary {
            bytes,
            duration: self.duration(),
            video_samples: self.samples(Kind::Video),
            audio_samples: self.samples(Kind::Audio),
            video: used().find(|track| track.kind == Kind::Video).and_then(|track| track.video(self.header.scale)),
            audio: used().find(|track| track.kind == Kind::Audio).and_then(Track::audio),
        }
    }
}

impl Track {
    fn take(&mut self, block: &Block) {
        if self.samples == 0 {
            (self.first, self.last) = (block.time, block.time);
        } else if block.time > self.last {
            self.step = block.time - self.last;
        }
        self.first = self.first.min(block.time);
        if block.time >= self.last {
            self.last = block.time;
            self.stated = block.duration;
        }
        self.samples += 1;
    }

    /// End of its last frame.
    fn end(&self, scale: u64) -> Duration {
        if self.samples == 0 {
            return Duration::ZERO;
        }
        let stated = self.stated.map(|ticks| ticks.saturating_mul(scale));
        let last = stated.or(self.default_duration_ns).unwrap_or(self.step.saturating_mul(scale));
        Duration::from_nanos(self.last.saturating_mul(scale).saturating_add(last))
    }

    fn video(&self, scale: u64) -> Option<VideoTrack> {
        let codec = match self.codec.as_str() {
            "V_MPEG4/ISO/AVC" => VideoCodec::H264,
            "V_MPEGH/ISO/HEVC" => VideoCodec::H265,
            _ => return None,
        };
        // Times in the file are rounded to ticks; the stated duration of a frame is not.
        let seconds =
            self.end(scale).as_secs_f64() - Duration::from_nanos(self.first.saturating_mul(scale)).as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "frames of a recording are far fewer than 2^52")]
        let counted = (seconds > 0.0).then(|| self.samples as f64 / seconds);
        #[allow(clippy::cast_precision_loss, reason = "a frame lasts far less than 2^52 ns")]
        let stated = self.default_duration_ns.filter(|ns| *ns > 0).map(|ns| 1e9 / ns as f64);
        let close = |stated: &f64| counted.is_some_and(|counted| (counted / stated - 1.0).abs() < 0.01);
        let fps = stated.filter(close).or(counted).map(|fps| (fps * 1000.0).round() / 1000.0);
        let pixels = |value| u32::try_from(value).unwrap_or(0);
        Some(VideoTrack { codec, width: pixels(self.width), height: pixels(self.height), fps })
    }

    fn audio(&self) -> Option<AudioTrack> {
        let codec = match self.codec.as_str() {
            codec if codec.starts_with("A_AAC") => AudioCodec::Aac,
            "A_OPUS" => AudioCodec::Opus,
            "A_PCM/INT/LIT" => AudioCodec::Pcm,
            _ => return None,
        };
        let channels = u32::try_from(self.channels.max(1)).unwrap_or(0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what a rate can be")]
        let rate = self.rate.clamp(0.0, 1e9).round() as u32;
        Some(AudioTrack { codec, rate, channels })
    }
}

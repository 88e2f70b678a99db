//! The sample index of a part: what a `moov` says, kept compact while fragments pass by.
//!
//! Contract: [`Index::push`] takes a fragment whole or refuses it and changes nothing. Memory grows by about 4 bytes
//! per sample and 12 per run of samples (10 MB for 8 h of 30 fps with sound).

use crate::media::finalise::Summary;
use crate::model::encoding::{AudioCodec, VideoCodec};
use crate::model::session::{AudioTrack, VideoTrack};
use mp4_atom::{Audio, Codec, Decode, Moof, Moov, Traf, Trak, TrunSamples, Visual};
use std::ops::Range;
use std::time::Duration;

/// Bit of `sample_flags` that says "not a keyframe" (ISO 14496-12, 8.8.3.1).
const NON_SYNC_SAMPLE: u32 = 0x0001_0000;

/// A fragment (or the first `moov`) that cannot be indexed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// Not parseable.
    #[error("a {kind} box cannot be read: {reason}")]
    Unreadable {
        /// `moov` or `moof`.
        kind: &'static str,
        /// Why.
        reason: String,
    },
    /// A track the first `moov` does not know.
    #[error("a fragment names the unknown track {0}")]
    UnknownTrack(u32),
    /// Sample data outside the fragment's `mdat`.
    #[error("a fragment points outside its own data")]
    OutOfBounds,
    /// Decode times that go back.
    #[error("a fragment goes back in time")]
    TimeReversed,
}

/// Everything the final `moov` needs.
#[derive(Debug, Clone)]
pub struct Index {
    init: Moov,
    init_bytes: u64,
    placeholder_at: u64,
    tracks: Vec<Track>,
    fragments: u64,
}

/// The samples of one track so far. Times are in units of its own timescale.
#[derive(Debug, Clone)]
pub(super) struct Track {
    pub(super) id: u32,
    pub(super) timescale: u32,
    pub(super) video: bool,
    default_duration: u32,
    default_size: u32,
    default_flags: u32,
    /// Decode time of the first sample.
    pub(super) first_time: u64,
    /// Decode time of the last sample; its duration may still change to meet the next fragment.
    last_time: u64,
    /// End of the last sample.
    pub(super) end_time: u64,
    pub(super) sizes: Vec<u32>,
    /// Runs of (samples, duration).
    pub(super) durations: Vec<(u32, u32)>,
    /// Runs of (samples, composition offset).
    pub(super) offsets: Vec<(u32, i64)>,
    /// Numbers of keyframes, from 1.
    pub(super) keyframes: Vec<u32>,
    /// (file offset, samples) of each run of samples that lie together.
    pub(super) chunks: Vec<(u64, u32)>,
}

/// What is known of one track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackSummary {
    /// Whether it is the video track.
    pub video: bool,
    /// Samples indexed.
    pub samples: u64,
    /// Time of its first sample that is shown; 0 is the first picture.
    pub start: Duration,
    /// End of its last sample.
    pub end: Duration,
}

/// One sample, on its way into a track.
struct Sample {
    size: u32,
    duration: u32,
    offset: i64,
    keyframe: bool,
}

/// Samples of one track that lie together.
struct Run {
    track: usize,
    time: Option<u64>,
    data: u64,
    samples: Vec<Sample>,
}

impl Index {
    /// An index without samples from the first `moov` of a part (whole box) and the offset of the placeholder.
    pub fn new(moov: &[u8], placeholder_at: u64) -> Result<Self, IndexError> {
        let init = Moov::decode(&mut &*moov).map_err(|error| unreadable("moov", &error))?;
        let tracks = init.trak.iter().map(|trak| Track::new(trak, &init)).collect();
        Ok(Self { init, init_bytes: moov.len() as u64, placeholder_at, tracks, fragments: 0 })
    }

    /// Takes a fragment: its `moof` (whole box) at `moof_at`, whose data lies in `data`.
    pub fn push(&mut self, moof: &[u8], moof_at: u64, data: Range<u64>) -> Result<(), IndexError> {
        let moof = Moof::decode(&mut &*moof).map_err(|error| unreadable("moof", &error))?;
        let mut runs = Vec::new();
        for traf in &moof.traf {
            self.collect(traf, moof_at, &data, &mut runs)?;
        }
        // Tried on a copy of the ends first: nothing may change when a fragment is refused.
        let mut ends: Vec<(u64, u64, bool, u64)> =
            self.tracks.iter().map(|t| (t.last_time, t.end_time, t.sizes.is_empty(), 0)).collect();
        for run in &mut runs {
            let (last, end, empty, overlap) = &mut ends[run.track];
            if let Some(start) = run.time.take_if(|start| !*empty && *start <= *last) {
                // With reordered pictures `isofmp4mux` begins a fragment at its earliest presentation time, which may lie
                // before the end of the one before. It follows that end, and its pictures are shown when they were to be.
                *overlap = *end - start;
                if *overlap > u64::from(self.tracks[run.track].timescale) {
                    return Err(IndexError::TimeReversed);
                }
            }
            let shift = i64::try_from(*overlap).map_err(|_| IndexError::TimeReversed)?;
            run.samples.iter_mut().for_each(|sample| sample.offset -= shift);
            let start = run.time.unwrap_or(*end);
            let Some(tail) = run.samples.last() else { continue };
            let total: u64 = run.samples.iter().map(|s| u64::from(s.duration)).sum();
            *end = start.checked_add(total).ok_or(IndexError::TimeReversed)?;
            *last = *end - u64::from(tail.duration);
            *empty = false;
        }
        for run in runs {
            self.tracks[run.track].append(run);
        }
        self.fragments += 1;
        Ok(())
    }

    fn collect(&self, traf: &Traf, moof_at: u64, data: &Range<u64>, runs: &mut Vec<Run>) -> Result<(), IndexError> {
        let id = traf.tfhd.track_id;
        let track = self.tracks.iter().position(|t| t.id == id).ok_or(IndexError::UnknownTrack(id))?;
        let known = &self.tracks[track];
        let duration = traf.tfhd.default_sample_duration.unwrap_or(known.default_duration);
        let size = traf.tfhd.default_sample_size.unwrap_or(known.default_size);
        let flags = traf.tfhd.default_sample_flags.unwrap_or(known.default_flags);
        let mut time = traf.tfdt.as_ref().map(|tfdt| tfdt.base_media_decode_time);
        let base = traf.tfhd.base_data_offset.unwrap_or(moof_at);
        let mut next = base;
        for trun in &traf.trun {
            let start = match trun.data_offset {
                Some(offset) => base.checked_add_signed(i64::from(offset)).ok_or(IndexError::OutOfBounds)?,
                None => next,
            };
            let mut samples = Vec::new();
            match &trun.samples {
                TrunSamples::Inherited { count, first_flags } => {
                    // A count without sizes: bounded by the data it must lie in.
                    if u64::from(*count) * u64::from(size.max(1)) > data.end.saturating_sub(data.start) {
                        return Err(IndexError::OutOfBounds);
                    }
                    for n in 0..*count {
                        let flags = first_flags.filter(|_| n == 0).unwrap_or(flags);
                        samples.push(Sample { size, duration, offset: 0, keyframe: flags & NON_SYNC_SAMPLE == 0 });
                    }
                }
                TrunSamples::Explicit(entries) => {
                    for entry in entries {
                        let flags = entry.flags.unwrap_or(flags);
                        samples.push(Sample {
                            size: entry.size.unwrap_or(size),
                            duration: entry.duration.unwrap_or(duration),
                            offset: entry.cts.map_or(0, i64::from),
                            keyframe: flags & NON_SYNC_SAMPLE == 0,
                        });
                    }
                }
            }
            let bytes: u64 = samples.iter().map(|s| u64::from(s.size)).sum();
            next = start.checked_add(bytes).ok_or(IndexError::OutOfBounds)?;
            if start < data.start || next > data.end {
                return Err(IndexError::OutOfBounds);
            }
            if !samples.is_empty() {
                runs.push(Run { track, time: time.take(), data: start, samples });
            }
        }
        Ok(())
    }

    /// Offset of the placeholder.
    pub fn placeholder_at(&self) -> u64 {
        self.placeholder_at
    }

    /// Whether there is anything to play.
    pub fn is_empty(&self) -> bool {
        self.fragments == 0 || self.tracks.iter().all(|t| t.sizes.is_empty())
    }

    /// Fragments indexed.
    pub fn fragments(&self) -> u64 {
        self.fragments
    }

    /// The first `moov`.
    pub(super) fn init(&self) -> &Moov {
        &self.init
    }

    pub(super) fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// An upper bound of the final `moov` in bytes, for the room that must stay reserved.
    pub fn moov_estimate(&self) -> u64 {
        let tables = |t: &Track| {
            8 * t.durations.len()
                + 8 * t.offsets.len()
                + 4 * t.keyframes.len()
                + 4 * t.sizes.len()
                + 20 * t.chunks.len()
                + 512
        };
        self.init_bytes + self.tracks.iter().map(tables).sum::<usize>() as u64
    }

    /// Time 0 of the finished file, in the time of the fragments: its first picture. Sound may lie before it.
    pub(super) fn zero(&self) -> Duration {
        let with_samples = || self.tracks.iter().filter(|track| !track.sizes.is_empty());
        let video = with_samples().find(|track| track.video).map(Track::start);
        // Without a picture the time of the fragments stands.
        video.unwrap_or_default()
    }

    /// What each track holds.
    pub fn track_summaries(&self) -> impl Iterator<Item = TrackSummary> + '_ {
        let zero = self.zero();
        self.tracks.iter().map(move |track| track.summary(zero))
    }

    /// Media time: the end of the video track, without one of the longest track.
    pub fn media_time(&self) -> Duration {
        let video = self.track_summaries().find(|t| t.video && t.samples > 0).map(|t| t.end);
        video.unwrap_or_else(|| self.track_summaries().map(|t| t.end).max().unwrap_or_default())
    }

    /// Video samples so far.
    pub fn video_samples(&self) -> u64 {
        self.track_summaries().filter(|t| t.video).map(|t| t.samples).sum()
    }

    /// The whole in a few numbers; `bytes` is the size of the file.
    pub fn summary(&self, bytes: u64) -> Summary {
        summarise(&self.init, bytes, self.track_summaries())
    }
}

/// The numbers of a part whose `moov` describes the tracks `tracks`, in the same order.
pub(super) fn summarise(moov: &Moov, bytes: u64, tracks: impl Iterator<Item = TrackSummary>) -> Summary {
    let mut summary =
        Summary { bytes, duration: Duration::ZERO, video_samples: 0, audio_samples: 0, video: None, audio: None };
    for (trak, track) in moov.trak.iter().zip(tracks).filter(|(_, track)| track.samples > 0) {
        summary.duration = summary.duration.max(track.end);
        if track.video {
            summary.video_samples += track.samples;
        } else {
            summary.audio_samples += track.samples;
        }
        match trak.mdia.minf.stbl.stsd.codecs.first() {
            Some(Codec::Avc1(avc)) => summary.video = Some(video_track(VideoCodec::H264, &avc.visual, &track)),
            Some(Codec::Hvc1(hvc)) => summary.video = Some(video_track(VideoCodec::H265, &hvc.visual, &track)),
            Some(Codec::Hev1(hev)) => summary.video = Some(video_track(VideoCodec::H265, &hev.visual, &track)),
            Some(Codec::Mp4a(mp4a)) => summary.audio = Some(audio_track(AudioCodec::Aac, &mp4a.audio, trak)),
            Some(Codec::Opus(opus)) => summary.audio = Some(audio_track(AudioCodec::Opus, &opus.audio, trak)),
            // Nothing this program writes: counted, not described.
            Some(_) | None => {}
        }
    }
    summary
}

fn video_track(codec: VideoCodec, visual: &Visual, track: &TrackSummary) -> VideoTrack {
    let seconds = track.end.saturating_sub(track.start).as_secs_f64();
    let fps = (seconds > 0.0).then(|| track.samples as f64 / seconds);
    VideoTrack {
        codec,
        width: u32::from(visual.width),
        height: u32::from(visual.height),
        fps: fps.map(|fps| (fps * 1000.0).round() / 1000.0),
    }
}

fn audio_track(codec: AudioCodec, audio: &Audio, trak: &Trak) -> AudioTrack {
    AudioTrack { codec, rate: trak.mdia.mdhd.timescale, channels: u32::from(audio.channel_count) }
}

/// Whether a track is video.
pub(super) fn is_video(trak: &Trak) -> bool {
    trak.mdia.minf.vmhd.is_some()
}

/// `units` of a timescale as a duration.
pub(super) fn to_duration(units: u64, timescale: u32) -> Duration {
    let nanos = u128::from(units) * 1_000_000_000 / u128::from(timescale.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

fn unreadable(kind: &'static str, error: &mp4_atom::Error) -> IndexError {
    IndexError::Unreadable { kind, reason: error.to_string() }
}

impl Track {
    fn new(trak: &Trak, init: &Moov) -> Self {
        let id = trak.tkhd.track_id;
        let trex = init.mvex.as_ref().and_then(|mvex| mvex.trex.iter().find(|trex| trex.track_id == id));
        Self {
            id,
            timescale: trak.mdia.mdhd.timescale,
            video: is_video(trak),
            default_duration: trex.map_or(0, |t| t.default_sample_duration),
            default_size: trex.map_or(0, |t| t.default_sample_size),
            default_flags: trex.map_or(0, |t| t.default_sample_flags),
            first_time: 0,
            last_time: 0,
            end_time: 0,
            sizes: Vec::new(),
            durations: Vec::new(),
            offsets: Vec::new(),
            keyframes: Vec::new(),
            chunks: Vec::new(),
        }
    }

    /// Takes a run that [`Index::push`] has checked.
    fn append(&mut self, run: Run) {
        let start = run.time.unwrap_or(self.end_time);
        if self.sizes.is_empty() {
            self.first_time = start;
            self.end_time = start;
        }
        if start != self.end_time {
            // The tables only know durations: the last sample lasts until this run begins.
            let exact = u32::try_from(start - self.last_time).unwrap_or(u32::MAX);
            self.stretch_last(exact);
            self.end_time = start;
        }
        self.chunks.push((run.data, u32::try_from(run.samples.len()).unwrap_or(u32::MAX)));
        for sample in run.samples {
            self.sizes.push(sample.size);
            if sample.keyframe {
                self.keyframes.push(u32::try_from(self.sizes.len()).unwrap_or(u32::MAX));
            }
            add_to_run(&mut self.durations, sample.duration);
            add_to_run(&mut self.offsets, sample.offset);
            self.last_time = self.end_time;
            self.end_time += u64::from(sample.duration);
        }
    }

    fn stretch_last(&mut self, duration: u32) {
        if let Some(run) = self.durations.last_mut() {
            run.0 -= 1;
            if run.0 == 0 {
                self.durations.pop();
            }
            add_to_run(&mut self.durations, duration);
        }
    }

    /// When it begins, in the time of the fragments.
    pub(super) fn start(&self) -> Duration {
        to_duration(self.first_time, self.timescale)
    }

    /// When it ends, in the time of the fragments.
    pub(super) fn end(&self) -> Duration {
        to_duration(self.end_time, self.timescale)
    }

    fn summary(&self, zero: Duration) -> TrackSummary {
        let after = |time: Duration| time.saturating_sub(zero);
        let (start, end) = (after(self.start()), after(self.end()));
        TrackSummary { video: self.video, samples: self.sizes.len() as u64, start, end }
    }
}

fn add_to_run<T: PartialEq>(runs: &mut Vec<(u32, T)>, value: T) {
    match runs.last_mut() {
        Some((count, last)) if *last == value => *count += 1,
        _ => runs.push((1, value)),
    }
}

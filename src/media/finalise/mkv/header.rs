//! The beginning of a Matroska part, as we write it, so that all that changes at the end lies together:
//!
//! ```text
//! EBML | Segment, size unknown | Void (68) | Info: Void (11), TimestampScale, … | Tracks | … | clusters
//!                 └──────────────────── one flip ────────────────┘
//!        Segment, size known   | SeekHead  | Info: Duration, TimestampScale, …
//! ```
//! Contract: the flip lies in the first sector of the file; nothing else of the header ever changes.

use super::ebml::{EbmlError, Header, children, float, id, put, size8, uint, void};
use super::index::{Kind, Track};
use crate::media::finalise::{PartStore, SECTOR_BYTES};
use std::io;

/// Bytes of the `SeekHead` with three entries, and of the `Void` in its place.
const SEEK_HEAD_BYTES: usize = 68;
/// Bytes of the `Duration` element with a 64-bit float, and of the `Void` in its place.
const DURATION_BYTES: usize = 11;
/// How the content of the first `Void` begins.
const MARK: &[u8] = b"holdfast";
/// A size that is not known yet, in 8 bytes.
const UNKNOWN_SIZE: [u8; 8] = [1, 255, 255, 255, 255, 255, 255, 255];
/// The header of a file must lie within this; below 2 KiB in practice.
const HEADER_MAX_BYTES: u64 = 1024 * 1024;

/// Why a header is not one of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Not EBML.
    #[error("the header of the file cannot be read: {0}")]
    Ebml(#[from] EbmlError),
    /// Something a part needs is missing, or not where it must be.
    #[error("the header of the file has no {0}")]
    Missing(&'static str),
}

/// What the header of a part says.
#[derive(Debug, Clone, PartialEq)]
pub struct PartHeader {
    /// Offset of the size of the segment: the flip begins here.
    flip_at: u64,
    /// Offset of the content of the segment: positions count from here.
    pub(super) data_at: u64,
    /// Offsets of `Info` and `Tracks`.
    info_at: u64,
    tracks_at: u64,
    /// Id and size of `Info`: the flip passes over them.
    info_head: Vec<u8>,
    /// Offset behind `Tracks`.
    pub(super) end: u64,
    /// Size of the segment's content, once finalised.
    pub(super) size: Option<u64>,
    /// Where `SeekHead` says that the `Cues` lie, once finalised.
    pub(super) cues_at: Option<u64>,
    /// Nanoseconds per tick of every time.
    pub(super) scale: u64,
    pub(super) tracks: Vec<Track>,
}

/// The level-1 elements of a header, as they come from the muxer or from the file.
#[derive(Default)]
struct Elements<'a> {
    info: Option<(usize, Header, &'a [u8])>,
    tracks: Option<(usize, &'a [u8])>,
    others: Vec<&'a [u8]>,
}

/// Makes the header of a part from what `matroskamux` sent, up to its first cluster: the bytes, what they say, and
/// how many of `head` they replace. `None` = more is needed.
pub fn from_muxer(head: &[u8]) -> Result<Option<(Vec<u8>, PartHeader, usize)>, HeaderError> {
    let Some(data_at) = segment_content(head)? else { return Ok(None) };
    let mut elements = Elements::default();
    let mut at = data_at;
    let taken = loop {
        let Some(header) = Header::parse(&head[at..])? else { return Ok(None) };
        if header.id == id::CLUSTER {
            break at;
        }
        let total = header.total().ok_or(EbmlError::Bounds)?;
        let Some(whole) = usize::try_from(total).ok().and_then(|total| head.get(at..at.checked_add(total)?)) else {
            return Ok(None);
        };
        elements.take(at, header, whole);
        at += whole.len();
    };
    let (_, _, info) = elements.info.ok_or(HeaderError::Missing("Info"))?;
    let (_, tracks) = elements.tracks.ok_or(HeaderError::Missing("Tracks"))?;

    let mut out = head[..data_at - UNKNOWN_SIZE.len()].to_vec();
    out.extend(UNKNOWN_SIZE);
    out.extend(void(SEEK_HEAD_BYTES, MARK));
    let mut content = void(DURATION_BYTES, &[]);
    for child in children(info) {
        let (at, header, body) = child?;
        if !matches!(header.id, id::DURATION | id::VOID | id::CRC_32) {
            content.extend_from_slice(&info[at..at + header.bytes as usize + body.len()]);
        }
    }
    put(&mut out, id::INFO, &content);
    for element in [tracks].into_iter().chain(elements.others) {
        out.extend_from_slice(element);
    }
    let header = PartHeader::parse(&out)?.ok_or(HeaderError::Missing("end"))?;
    Ok(Some((out, header, taken)))
}

/// Offset of the content of the segment; the segment's size must take 8 bytes.
fn segment_content(head: &[u8]) -> Result<Option<usize>, HeaderError> {
    let Some(ebml) = Header::parse(head)? else { return Ok(None) };
    if ebml.id != id::EBML {
        return Err(HeaderError::Missing("EBML header"));
    }
    let segment_at = ebml.total().and_then(|total| usize::try_from(total).ok()).ok_or(EbmlError::Bounds)?;
    let Some(rest) = head.get(segment_at..) else { return Ok(None) };
    match Header::parse(rest)? {
        None => Ok(None),
        Some(segment) if segment.id == id::SEGMENT && segment.bytes == 12 => Ok(Some(segment_at + 12)),
        Some(_) => Err(HeaderError::Missing("segment")),
    }
}

impl<'a> Elements<'a> {
    fn take(&mut self, at: usize, header: Header, whole: &'a [u8]) {
        match header.id {
            id::INFO => self.info = Some((at, header, &whole[header.bytes as usize..])),
            id::TRACKS => self.tracks = Some((at, whole)),
            id::VOID | id::SEEK_HEAD | id::CUES => {}
            _ => self.others.push(whole),
        }
    }
}

impl PartHeader {
    /// Reads the header of `store`, `None` = it is not whole.
    pub fn read(store: &dyn PartStore) -> io::Result<Result<Option<Self>, HeaderError>> {
        let mut head = vec![0; usize::try_from(store.len()?.min(HEADER_MAX_BYTES)).unwrap_or(0)];
        store.read_at(0, &mut head)?;
        Ok(Self::parse(&head))
    }

    /// Reads a header of ours from the first bytes of a file, `None` = it is not whole.
    pub fn parse(head: &[u8]) -> Result<Option<Self>, HeaderError> {
        let Some(data_at) = segment_content(head)? else { return Ok(None) };
        let Some(first) = head.get(data_at..data_at + SEEK_HEAD_BYTES) else { return Ok(None) };
        let flip_at = data_at - UNKNOWN_SIZE.len();
        let size = Header::parse(&head[flip_at - 4..])?.and_then(|segment| segment.size);
        let cues_at = match Header::parse(first)? {
            Some(seek) if seek.id == id::SEEK_HEAD => position_of(id::CUES, &first[seek.bytes as usize..])?,
            Some(seek) if seek.id == id::VOID && first[seek.bytes as usize..].starts_with(MARK) => None,
            Some(_) | None => return Err(HeaderError::Missing("place for an index")),
        };
        let mut elements = Elements::default();
        let mut at = data_at + SEEK_HEAD_BYTES;
        // Up to `Tracks`, which the muxer sends last but for tags: those are passed over like pads between clusters.
        while elements.tracks.is_none() {
            let Some(rest) = head.get(at..) else { return Ok(None) };
            let Some(header) = Header::parse(rest)? else { return Ok(None) };
            let total = header.total().and_then(|total| usize::try_from(total).ok()).ok_or(EbmlError::Bounds)?;
            let Some(whole) = rest.get(..total) else { return Ok(None) };
            elements.take(at, header, whole);
            at += total;
        }
        let (info_at, info_header, info) = elements.info.ok_or(HeaderError::Missing("Info"))?;
        let (tracks_at, tracks) = elements.tracks.ok_or(HeaderError::Missing("Tracks"))?;
        let duration_at = info_at + info_header.bytes as usize;
        if info_at != data_at + SEEK_HEAD_BYTES || duration_at + DURATION_BYTES > SECTOR_BYTES as usize {
            return Err(HeaderError::Missing("place for a duration"));
        }
        let tracks_header = Header::parse(tracks)?.map_or(0, |header| header.bytes as usize);
        Ok(Some(Self {
            flip_at: flip_at as u64,
            data_at: data_at as u64,
            info_at: info_at as u64,
            info_head: head[info_at..duration_at].to_vec(),
            tracks_at: tracks_at as u64,
            end: at as u64,
            size,
            cues_at: cues_at.and_then(|position| position.checked_add(data_at as u64)),
            scale: scale(info)?,
            tracks: children(&tracks[tracks_header..])
                .filter(|child| !matches!(child, Ok((_, header, _)) if header.id != id::TRACK_ENTRY))
                .map(|child| track(child?.2))
                .collect::<Result<_, _>>()?,
        }))
    }

    /// The bytes that make an ordinary file of it, and where they go: its content ends at `end`, its `Cues` lie at
    /// `cues_at`, it lasts `ticks`.
    pub fn flip(&self, end: u64, cues_at: u64, ticks: f64) -> (u64, Vec<u8>) {
        let mut seek_head = Vec::new();
        for (id, at) in [(id::INFO, self.info_at), (id::TRACKS, self.tracks_at), (id::CUES, cues_at)] {
            let mut entry = Vec::new();
            put(&mut entry, id::SEEK_ID, &id.to_be_bytes());
            put(&mut entry, id::SEEK_POSITION, &(at - self.data_at).to_be_bytes());
            put(&mut seek_head, id::SEEK, &entry);
        }
        let mut bytes = size8(end - self.data_at).to_vec();
        put(&mut bytes, id::SEEK_HEAD, &seek_head);
        bytes.extend(&self.info_head);
        put(&mut bytes, id::DURATION, &ticks.to_bits().to_be_bytes());
        (self.flip_at, bytes)
    }
}

/// The position a `SeekHead` with this content gives for `wanted`.
fn position_of(wanted: u32, seek_head: &[u8]) -> Result<Option<u64>, EbmlError> {
    for entry in children(seek_head) {
        let (mut named, mut position) = (None, None);
        for child in children(entry?.2) {
            match child? {
                (_, Header { id: id::SEEK_ID, .. }, content) => named = Some(uint(content)?),
                (_, Header { id: id::SEEK_POSITION, .. }, content) => position = Some(uint(content)?),
                _ => {}
            }
        }
        if named == Some(u64::from(wanted)) {
            return Ok(position);
        }
    }
    Ok(None)
}

/// Nanoseconds per tick; a million if the header does not say.
fn scale(info: &[u8]) -> Result<u64, EbmlError> {
    for child in children(info) {
        if let (_, Header { id: id::TIMESTAMP_SCALE, .. }, content) = child? {
            return Ok(uint(content)?.max(1));
        }
    }
    Ok(1_000_000)
}

fn track(entry: &[u8]) -> Result<Track, EbmlError> {
    let mut track = Track::default();
    let mut private: &[u8] = &[];
    for child in children(entry) {
        let (_, header, content) = child?;
        match header.id {
            id::TRACK_NUMBER => track.number = uint(content)?,
            id::TRACK_TYPE => {
                track.kind = match uint(content)? {
                    1 => Kind::Video,
                    2 => Kind::Audio,
                    _ => Kind::Other,
                }
            }
            id::CODEC_ID => track.codec = String::from_utf8_lossy(content).trim_end_matches('\0').to_owned(),
            id::DEFAULT_DURATION => track.default_duration_ns = Some(uint(content)?),
            id::VIDEO | id::AUDIO => {
                for child in children(content) {
                    let (_, header, content) = child?;
                    match header.id {
                        id::PIXEL_WIDTH => track.width = uint(content)?,
                        id::PIXEL_HEIGHT => track.height = uint(content)?,
                        id::SAMPLING_FREQUENCY => track.rate = float(content)?,
                        id::CHANNELS => track.channels = uint(content)?,
                        _ => {}
                    }
                }
            }
            id::CODEC_PRIVATE => private = content,
            _ => {}
        }
    }
    // lengthSizeMinusOne of an AVCDecoderConfigurationRecord (ISO 14496-15, 5.3.3.1) or its HEVC kin (8.3.3.1).
    let place = match track.codec.as_str() {
        "V_MPEG4/ISO/AVC" => Some(4),
        "V_MPEGH/ISO/HEVC" => Some(21),
        _ => None,
    };
    track.nal_length = place.and_then(|place| Some(usize::from(private.get(place)? & 3) + 1));
    Ok(track)
}

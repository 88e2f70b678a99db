//! One cluster: its blocks, its disguise while its bytes are not known to be on the disk, its checksum.
//!
//! ```text
//! committed:  Cluster id (4) | size (8)            | CRC-32 (6) | Timestamp | blocks …
//! disguised:  Void id (1)    | size (8) | mark (3) | CRC-32 (6) | Timestamp | blocks …
//! ```
//! Contract: both headers take the same 12 bytes, which lie in one sector. The checksum (RFC 9559, section 6.2) tells
//! a cluster that lost a sector from a whole one, whatever its codec.

use super::ebml::{EbmlError, HEADER_MAX_BYTES, Header, id, put, size8, uint, vint};
use crate::media::finalise::SECTOR_BYTES;
use std::io;
use std::ops::Range;

/// Bytes of the header of a cluster of ours, disguised or not.
pub const CLUSTER_HEADER_BYTES: u64 = 12;
/// Bytes of the checksum element that follows it.
pub const CRC_BYTES: u64 = 6;
/// Frames of one cluster at most: half a second holds some hundred, and what was read must not fill the memory.
const BLOCKS_MAX: usize = 64 * 1024;
/// What makes a `Void` a disguised cluster.
const MARK: [u8; 3] = *b"clu";

/// Reads bytes of a part: fills the buffer from an offset.
pub type Read<'a> = &'a dyn Fn(u64, &mut [u8]) -> io::Result<()>;

/// A cluster that cannot be indexed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// Not EBML.
    #[error("a cluster cannot be read: {0}")]
    Ebml(#[from] EbmlError),
    /// Frames that share a block; no muxer of ours does that.
    #[error("a cluster has laced blocks")]
    Lacing,
    /// More frames than [`BLOCKS_MAX`].
    #[error("a cluster has more than {BLOCKS_MAX} blocks")]
    TooMany,
    /// Blocks without a time.
    #[error("a cluster has no time")]
    NoTime,
}

/// One frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Number of its track.
    pub track: u64,
    /// Its time in ticks.
    pub time: u64,
    /// Ticks it is shown, where it says so.
    pub duration: Option<u64>,
    /// Whether decoding can begin here.
    pub keyframe: bool,
    /// Offset of the block from the content of the cluster.
    pub position: u64,
}

/// Both headers of a cluster whose content has `content` bytes: committed, disguised.
pub fn headers(content: u64) -> ([u8; 12], [u8; 12]) {
    let (mut committed, mut disguised) = ([0; 12], [0; 12]);
    committed[..4].copy_from_slice(&id::CLUSTER.to_be_bytes());
    committed[4..].copy_from_slice(&size8(content));
    disguised[0] = id::VOID as u8;
    disguised[1..9].copy_from_slice(&size8(content + MARK.len() as u64));
    disguised[9..].copy_from_slice(&MARK);
    (committed, disguised)
}

/// The header of a `Void` that covers `length` bytes, at least 12, with what the disguise of a cluster puts there.
pub fn cover(length: u64) -> [u8; 12] {
    let mut header = [0; 12];
    header[0] = id::VOID as u8;
    header[1..9].copy_from_slice(&size8(length - 9));
    header
}

/// What stands where a cluster may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A cluster with this many bytes in all.
    Committed(u64),
    /// The same, disguised.
    Disguised(u64),
    /// Another element of this id and as many bytes in all.
    Other(u32, u64),
    /// No element.
    Nothing,
}

impl Place {
    /// Looks at the first (up to 12) bytes of an element.
    pub fn of(head: &[u8]) -> Self {
        let Ok(Some(header)) = Header::parse(head) else { return Place::Nothing };
        let Some(total) = header.total() else { return Place::Nothing };
        match header.id {
            id::CLUSTER if header.bytes == CLUSTER_HEADER_BYTES => Place::Committed(total),
            id::VOID if header.bytes == 9 && head.get(9..12) == Some(&MARK) && total >= 12 => Place::Disguised(total),
            other => Place::Other(other, total),
        }
    }
}

/// The checksum element of a cluster that goes on with `body`.
pub fn checksum(body: &[u8]) -> Vec<u8> {
    stated_crc(crc32fast::hash(body))
}

/// The checksum element that states `crc`.
pub fn stated_crc(crc: u32) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, id::CRC_32, &crc.to_le_bytes());
    out
}

/// Whether the checksum at the begin of `content` fits the rest. Reads all of it, piece by piece.
pub fn is_whole(read: Read<'_>, content: Range<u64>) -> io::Result<bool> {
    let mut at = content.start + CRC_BYTES;
    if at > content.end {
        return Ok(false);
    }
    let mut element = [0; CRC_BYTES as usize];
    read(content.start, &mut element)?;
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; 256 * SECTOR_BYTES as usize];
    while at < content.end {
        let length = (content.end - at).min(buffer.len() as u64);
        read(at, &mut buffer[..length as usize])?;
        hasher.update(&buffer[..length as usize]);
        at += length;
    }
    Ok(element == stated_crc(hasher.finalize()).as_slice())
}

/// The blocks of a cluster with this content, in the order of the file. Reads their headers only.
pub fn blocks(read: Read<'_>, content: Range<u64>) -> io::Result<Result<Vec<Block>, ClusterError>> {
    let mut found = Vec::new();
    let mut time = None;
    let mut at = content.start;
    while at < content.end {
        // Header of the element, number of the track, relative time, flags: 12 + 8 + 2 + 1.
        let mut head = [0; HEADER_MAX_BYTES as usize + 11];
        let head = &mut head[..(content.end - at).min(HEADER_MAX_BYTES + 11) as usize];
        read(at, head)?;
        let header = match Header::parse(head) {
            Ok(Some(header)) => header,
            Ok(None) => return Ok(Err(EbmlError::Bounds.into())),
            Err(error) => return Ok(Err(error.into())),
        };
        let end = header.total().and_then(|total| at.checked_add(total)).filter(|end| *end <= content.end);
        let Some(end) = end else { return Ok(Err(EbmlError::Bounds.into())) };
        let inside = at + header.bytes..end;
        let known = &head[header.bytes as usize..];
        let known = &known[..known.len().min((inside.end - inside.start) as usize)];
        let block = match header.id {
            id::TIMESTAMP => {
                match uint(known) {
                    Ok(value) => time = Some(value),
                    Err(error) => return Ok(Err(error.into())),
                }
                None
            }
            id::SIMPLE_BLOCK => Some(block(known).map(|block| Head { keyframe: block.flags & 0x80 != 0, ..block })),
            id::BLOCK_GROUP => Some(group(read, inside)?),
            _ => None,
        };
        if let Some(block) = block {
            let block = block.and_then(|block| block.at(time, at - content.start));
            match block {
                Ok(_) if found.len() >= BLOCKS_MAX => return Ok(Err(ClusterError::TooMany)),
                Ok(block) => found.push(block),
                Err(error) => return Ok(Err(error)),
            }
        }
        at = end;
    }
    Ok(Ok(found))
}

/// The first bytes of a block.
#[derive(Debug, Clone, Copy)]
struct Head {
    track: u64,
    relative: i16,
    flags: u8,
    keyframe: bool,
    duration: Option<u64>,
}

impl Head {
    fn at(self, cluster: Option<u64>, position: u64) -> Result<Block, ClusterError> {
        let time = cluster.and_then(|time| time.checked_add_signed(i64::from(self.relative)));
        let time = time.ok_or(ClusterError::NoTime)?;
        Ok(Block { track: self.track, time, duration: self.duration, keyframe: self.keyframe, position })
    }
}

fn block(content: &[u8]) -> Result<Head, ClusterError> {
    let Some((Some(track), length)) = vint(content)? else { return Err(EbmlError::Bounds.into()) };
    let [high, low, flags, ..] = content[length..] else { return Err(EbmlError::Bounds.into()) };
    if flags & 0x06 != 0 {
        return Err(ClusterError::Lacing);
    }
    Ok(Head { track, relative: i16::from_be_bytes([high, low]), flags, keyframe: false, duration: None })
}

/// A block with its own duration or references; its data are passed over.
fn group(read: Read<'_>, content: Range<u64>) -> io::Result<Result<Head, ClusterError>> {
    let mut found: Result<Head, ClusterError> = Err(EbmlError::Bounds.into());
    let (mut duration, mut refers) = (None, false);
    let mut at = content.start;
    while at < content.end {
        let mut head = [0; HEADER_MAX_BYTES as usize + 11];
        let head = &mut head[..(content.end - at).min(HEADER_MAX_BYTES + 11) as usize];
        read(at, head)?;
        // One child at a time: the header of the next is behind data that are not read.
        let Ok(Some(header)) = Header::parse(head) else { return Ok(Err(EbmlError::Bounds.into())) };
        let end = header.total().and_then(|total| at.checked_add(total)).filter(|end| *end <= content.end);
        let Some(end) = end else { return Ok(Err(EbmlError::Bounds.into())) };
        let known = &head[header.bytes as usize..];
        let known = &known[..known.len().min((end - at - header.bytes) as usize)];
        match header.id {
            id::BLOCK => found = block(known),
            id::BLOCK_DURATION => duration = uint(known).ok(),
            id::REFERENCE_BLOCK => refers = true,
            _ => {}
        }
        at = end;
    }
    Ok(found.map(|head| Head { keyframe: !refers, duration, ..head }))
}

/// Bytes that bring the end of a file from `end` to where the next header lies within one sector, as a `Void`.
pub fn pad(end: u64) -> Vec<u8> {
    let left = SECTOR_BYTES - end % SECTOR_BYTES;
    if left >= CLUSTER_HEADER_BYTES {
        return Vec::new();
    }
    super::ebml::void(usize::try_from(left.max(2)).unwrap_or(2), &[])
}

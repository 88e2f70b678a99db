//! EBML, as far as a Matroska file of ours needs it (RFC 8794): element headers, numbers, writing.
//!
//! Contract: parsing never panics and never allocates by a length it read; what does not fit is an error.

/// Longest header of an element: an id of 4 bytes and a size of 8.
pub const HEADER_MAX_BYTES: u64 = 12;

/// Element ids (RFC 9559, section 27.1).
pub mod id {
    #![allow(missing_docs, reason = "the names are those of the standard")]
    pub const EBML: u32 = 0x1a45_dfa3;
    pub const VOID: u32 = 0xec;
    pub const CRC_32: u32 = 0xbf;
    pub const SEGMENT: u32 = 0x1853_8067;
    pub const SEEK_HEAD: u32 = 0x114d_9b74;
    pub const SEEK: u32 = 0x4dbb;
    pub const SEEK_ID: u32 = 0x53ab;
    pub const SEEK_POSITION: u32 = 0x53ac;
    pub const INFO: u32 = 0x1549_a966;
    pub const TIMESTAMP_SCALE: u32 = 0x002a_d7b1;
    pub const DURATION: u32 = 0x4489;
    pub const TRACKS: u32 = 0x1654_ae6b;
    pub const TRACK_ENTRY: u32 = 0xae;
    pub const TRACK_NUMBER: u32 = 0xd7;
    pub const TRACK_TYPE: u32 = 0x83;
    pub const CODEC_ID: u32 = 0x86;
    pub const CODEC_PRIVATE: u32 = 0x63a2;
    pub const DEFAULT_DURATION: u32 = 0x0023_e383;
    pub const VIDEO: u32 = 0xe0;
    pub const PIXEL_WIDTH: u32 = 0xb0;
    pub const PIXEL_HEIGHT: u32 = 0xba;
    pub const AUDIO: u32 = 0xe1;
    pub const SAMPLING_FREQUENCY: u32 = 0xb5;
    pub const CHANNELS: u32 = 0x9f;
    pub const CLUSTER: u32 = 0x1f43_b675;
    pub const TIMESTAMP: u32 = 0xe7;
    pub const SIMPLE_BLOCK: u32 = 0xa3;
    pub const BLOCK_GROUP: u32 = 0xa0;
    pub const BLOCK: u32 = 0xa1;
    pub const BLOCK_DURATION: u32 = 0x9b;
    pub const REFERENCE_BLOCK: u32 = 0xfb;
    pub const CUES: u32 = 0x1c53_bb6b;
    pub const CUE_POINT: u32 = 0xbb;
    pub const CUE_TIME: u32 = 0xb3;
    pub const CUE_TRACK_POSITIONS: u32 = 0xb7;
    pub const CUE_TRACK: u32 = 0xf7;
    pub const CUE_CLUSTER_POSITION: u32 = 0xf1;
    pub const CUE_RELATIVE_POSITION: u32 = 0xf0;
}

/// The bytes are not EBML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EbmlError {
    /// An id or a size that does not exist.
    #[error("an element has an impossible header")]
    Header,
    /// A child that ends behind its parent.
    #[error("an element ends outside the one it lies in")]
    Bounds,
    /// A number of more than 8 bytes.
    #[error("a number is too long")]
    Number,
}

/// The header of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its id, marker bits included.
    pub id: u32,
    /// Bytes of the header itself.
    pub bytes: u64,
    /// Bytes of the content, `None` = unknown.
    pub size: Option<u64>,
}

impl Header {
    /// Reads the header at the begin of `bytes`; `None` = it is longer than these.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, EbmlError> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let id_bytes = first.leading_zeros() as usize + 1;
        if id_bytes > 4 {
            return Err(EbmlError::Header);
        }
        let (Some(id), Some(rest)) = (bytes.get(..id_bytes), bytes.get(id_bytes..)) else { return Ok(None) };
        let id = id.iter().fold(0, |id, byte| id << 8 | u32::from(*byte));
        Ok(vint(rest)?.map(|(size, length)| Self { id, bytes: (id_bytes + length) as u64, size }))
    }

    /// Bytes of the whole element, `None` = unknown, or more than any file has.
    pub fn total(&self) -> Option<u64> {
        self.size?.checked_add(self.bytes)
    }
}

/// A number with its length in its first bits, and that length; its value is `None` when all bits are 1.
pub fn vint(bytes: &[u8]) -> Result<Option<(Option<u64>, usize)>, EbmlError> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let length = first.leading_zeros() as usize + 1;
    if length > 8 {
        return Err(EbmlError::Header);
    }
    let Some(whole) = bytes.get(..length) else { return Ok(None) };
    let value = whole.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    let mask = (1u64 << (7 * length)) - 1;
    let value = value & mask;
    Ok(Some(((value != mask).then_some(value), length)))
}

/// The direct children of an element whose content is `content`: offset of each within it, header, content.
pub fn children(content: &[u8]) -> impl Iterator<Item = Result<(usize, Header, &[u8]), EbmlError>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = content.get(at..).filter(|rest| !rest.is_empty())?;
        let start = at;
        // An error ends the walk.
        at = content.len();
        let header = match Header::parse(rest) {
            Ok(Some(header)) => header,
            Ok(None) => return Some(Err(EbmlError::Bounds)),
            Err(error) => return Some(Err(error)),
        };
        let total = header.total().and_then(|total| usize::try_from(total).ok());
        let Some(child) = total.and_then(|total| rest.get(..total)) else { return Some(Err(EbmlError::Bounds)) };
        at = start + child.len();
        Some(Ok((start, header, &child[usize::try_from(header.bytes).unwrap_or(0)..])))
    })
}

/// The value of an unsigned integer element.
pub fn uint(content: &[u8]) -> Result<u64, EbmlError> {
    if content.len() > 8 {
        return Err(EbmlError::Number);
    }
    Ok(content.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// The value of a float element.
pub fn float(content: &[u8]) -> Result<f64, EbmlError> {
    match content.len() {
        0 => Ok(0.0),
        4 => Ok(f64::from(f32::from_bits(u32::try_from(uint(content)?).unwrap_or(0)))),
        8 => Ok(f64::from_bits(uint(content)?)),
        _ => Err(EbmlError::Number),
    }
}

/// Appends an id.
pub fn put_id(out: &mut Vec<u8>, id: u32) {
    let skip = id.leading_zeros() as usize / 8;
    out.extend_from_slice(&id.to_be_bytes()[skip..]);
}

/// A size in 8 bytes, which any size fits.
pub fn size8(size: u64) -> [u8; 8] {
    (size | 1 << 56).to_be_bytes()
}

/// Appends an element with a size of 8 bytes if it is long, of 1 if it is short.
pub fn put(out: &mut Vec<u8>, id: u32, content: &[u8]) {
    put_id(out, id);
    match u8::try_from(content.len()) {
        Ok(short @ ..=126) => out.push(0x80 | short),
        _ => out.extend_from_slice(&size8(content.len() as u64)),
    }
    out.extend_from_slice(content);
}

/// Appends an unsigned integer in as few bytes as it needs.
pub fn put_uint(out: &mut Vec<u8>, id: u32, value: u64) {
    let skip = (value.leading_zeros() as usize / 8).min(7);
    put(out, id, &value.to_be_bytes()[skip..]);
}

/// A `Void` of `length` bytes in all, 2..=128, whose content begins with `mark`.
pub fn void(length: usize, mark: &[u8]) -> Vec<u8> {
    let mut content = vec![0; length.clamp(2, 128) - 2];
    let marked = mark.len().min(content.len());
    content[..marked].copy_from_slice(&mark[..marked]);
    let mut out = Vec::new();
    put(&mut out, id::VOID, &content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_put_is_read_again(value in any::<u64>(), content in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut out = Vec::new();
            put_uint(&mut out, id::CUE_TIME, value);
            put(&mut out, id::CLUSTER, &content);
            put(&mut out, id::TIMESTAMP_SCALE, &1.5f64.to_bits().to_be_bytes());
            let found: Vec<_> = children(&out).collect::<Result<_, _>>().expect("our own elements");
            prop_assert_eq!(found.iter().map(|(_, header, _)| header.id).collect::<Vec<_>>(),
                [id::CUE_TIME, id::CLUSTER, id::TIMESTAMP_SCALE]);
            prop_assert_eq!(uint(found[0].2), Ok(value));
            prop_assert_eq!(found[1].2, content.as_slice());
            prop_assert_eq!(float(found[2].2), Ok(1.5));
        }

        #[test]
        fn any_bytes_are_refused_or_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let inside: usize = children(&bytes).filter_map(Result::ok).map(|(_, header, content)| {
                header.bytes as usize + content.len()
            }).sum();
            prop_assert!(inside <= bytes.len());
        }

        #[test]
        fn a_void_has_the_length_asked_for(length in 2usize..=128) {
            let void = void(length, b"mark");
            prop_assert_eq!(void.len(), length);
            prop_assert_eq!(Header::parse(&void).expect("a header").and_then(|h| h.total()), Some(length as u64));
        }
    }

    #[test]
    fn a_size_of_ones_is_unknown_and_a_cut_header_waits() {
        let segment = [0x18, 0x53, 0x80, 0x67, 1, 255, 255, 255, 255, 255, 255, 255];
        let header = Header::parse(&segment).expect("a header").expect("a whole one");
        assert_eq!((header.id, header.bytes, header.size), (id::SEGMENT, 12, None));
        for cut in 0..12 {
            assert_eq!(Header::parse(&segment[..cut]), Ok(None));
        }
        assert_eq!(Header::parse(&[0x08, 0x80]), Err(EbmlError::Header));
        assert_eq!(Header::parse(&[0xec, 0x00]), Err(EbmlError::Header));
    }
}

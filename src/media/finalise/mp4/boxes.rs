//! Splits a stream of bytes into top-level MP4 boxes, whatever the cut of the buffers.

/// Largest box that is kept in memory (`ftyp`, `moov`, `moof`). A moof of 500 ms is below 4 KiB, a first moov below
/// 2 KiB; the bound only stops a broken length from eating the memory.
pub const KEPT_BOX_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The bytes are not a sequence of MP4 boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// A size smaller than its own header, or without end.
    #[error("a box at {at} has an impossible size")]
    Size {
        /// Offset of the box.
        at: u64,
    },
    /// A `moov` or `moof` beyond [`KEPT_BOX_MAX_BYTES`].
    #[error("a box at {at} is too large to be an index")]
    TooLarge {
        /// Offset of the box.
        at: u64,
    },
}

/// The header of a top-level box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoxHeader {
    /// Four-character code.
    pub kind: [u8; 4],
    /// Offset of the box.
    pub start: u64,
    /// Bytes of the header: 8 or 16.
    pub header: u64,
    /// Bytes of the whole box.
    pub size: u64,
}

impl BoxHeader {
    /// Reads a header from the first bytes of a box; `None` = 16 bytes are needed.
    pub fn parse(bytes: &[u8], start: u64) -> Result<Option<Self>, StreamError> {
        let (Some(size), Some(kind)) = (bytes.first_chunk::<4>(), bytes.get(4..8)) else { return Ok(None) };
        let kind = [kind[0], kind[1], kind[2], kind[3]];
        let (header, size) = match u32::from_be_bytes(*size) {
            1 => match bytes.get(8..16).and_then(|b| b.first_chunk::<8>()) {
                Some(large) => (16, u64::from_be_bytes(*large)),
                None => return Ok(None),
            },
            size => (8, u64::from(size)),
        };
        if size < header || start.checked_add(size).is_none() {
            return Err(StreamError::Size { at: start });
        }
        Ok(Some(Self { kind, start, header, size }))
    }

    /// Offset of the first byte behind the box.
    pub fn end(&self) -> u64 {
        self.start + self.size
    }
}

/// A complete top-level box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// Its header.
    pub header: BoxHeader,
    /// The whole box with its header, for `ftyp`, `moov` and `moof`.
    pub bytes: Option<Vec<u8>>,
}

/// A push parser for top-level boxes.
#[derive(Debug)]
pub struct BoxScanner {
    /// Offset of the next byte to come.
    position: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Collecting a header.
    Header(Vec<u8>),
    /// Collecting a box that is kept.
    Keep(BoxHeader, Vec<u8>),
    /// Passing over a box that is not.
    Skip(BoxHeader),
}

impl BoxScanner {
    /// A scanner whose next byte lies at `position` of the file.
    pub fn new(position: u64) -> Self {
        Self { position, state: State::Header(Vec::new()) }
    }

    /// Takes the next bytes and hands every box they complete to `on_box`, in order.
    pub fn feed(&mut self, mut bytes: &[u8], on_box: &mut dyn FnMut(Scanned)) -> Result<(), StreamError> {
        while !bytes.is_empty() {
            let taken = match &mut self.state {
                State::Header(head) => {
                    let wanted = if head.len() < 8 { 8 } else { 16 };
                    let taken = bytes.len().min(wanted - head.len());
                    head.extend_from_slice(&bytes[..taken]);
                    if let Some(header) = BoxHeader::parse(head, self.position + taken as u64 - head.len() as u64)? {
                        let kept = matches!(&header.kind, b"ftyp" | b"moov" | b"moof");
                        if kept && header.size > KEPT_BOX_MAX_BYTES {
                            return Err(StreamError::TooLarge { at: header.start });
                        }
                        let head = std::mem::take(head);
                        self.state = if kept { State::Keep(header, head) } else { State::Skip(header) };
                    }
                    taken
                }
                State::Keep(header, kept) => {
                    let taken = clamp(header.end() - self.position, bytes.len());
                    kept.extend_from_slice(&bytes[..taken]);
                    taken
                }
                State::Skip(header) => clamp(header.end() - self.position, bytes.len()),
            };
            self.position += taken as u64;
            bytes = &bytes[taken..];
            let done = match &mut self.state {
                State::Header(_) => None,
                State::Keep(header, kept) if self.position == header.end() => {
                    Some(Scanned { header: *header, bytes: Some(std::mem::take(kept)) })
                }
                State::Skip(header) if self.position == header.end() => Some(Scanned { header: *header, bytes: None }),
                State::Keep(..) | State::Skip(_) => None,
            };
            if let Some(done) = done {
                self.state = State::Header(Vec::new());
                on_box(done);
            }
        }
        Ok(())
    }
}

fn clamp(wanted: u64, available: usize) -> usize {
    usize::try_from(wanted).map_or(available, |wanted| wanted.min(available))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(kind: &[u8; 4], body: &[u8], large: bool) -> Vec<u8> {
        let mut out = Vec::new();
        if large {
            out.extend(1u32.to_be_bytes());
            out.extend(kind);
            out.extend((body.len() as u64 + 16).to_be_bytes());
        } else {
            out.extend((body.len() as u32 + 8).to_be_bytes());
            out.extend(kind);
        }
        out.extend(body);
        out
    }

    proptest! {
        #[test]
        fn boxes_are_found_whatever_the_cut(
            boxes in prop::collection::vec((0usize..4, prop::collection::vec(any::<u8>(), 0..60), any::<bool>()), 0..8),
            cut in 1usize..40,
        ) {
            let kinds = [b"moof", b"mdat", b"styp", b"moov"];
            let mut stream = Vec::new();
            let mut expected = Vec::new();
            for (kind, body, large) in &boxes {
                let bytes = encode(kinds[*kind], body, *large);
                expected.push((*kinds[*kind], stream.len() as u64 + 100, bytes.len() as u64));
                stream.extend(bytes);
            }
            let mut got = Vec::new();
            let mut scanner = BoxScanner::new(100);
            for chunk in stream.chunks(cut) {
                scanner.feed(chunk, &mut |b| {
                    if let Some(kept) = &b.bytes {
                        let from = (b.header.start - 100) as usize;
                        assert_eq!(&stream[from..from + kept.len()], kept.as_slice());
                    }
                    got.push((b.header.kind, b.header.start, b.header.size));
                }).expect("our own boxes");
            }
            prop_assert_eq!(got, expected);
        }

        #[test]
        fn any_bytes_are_refused_or_split_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), cut in 1usize..50) {
            let mut scanner = BoxScanner::new(0);
            for chunk in bytes.chunks(cut) {
                if scanner.feed(chunk, &mut |_| {}).is_err() {
                    break;
                }
            }
        }
    }
}

//! JSON lines with a bound: one value, one `\n`.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest line accepted from a peer. Measured: a status is below 2 KiB, a configure below 1 KiB.
pub const MAX_LINE_BYTES: usize = 64 * 1024;

/// A peer broke the protocol; the connection must be thrown away.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// No newline within [`MAX_LINE_BYTES`].
    #[error("a line is longer than {MAX_LINE_BYTES} bytes")]
    TooLong,
    /// A line that is not the expected JSON.
    #[error("a line is not understood: {0}")]
    Json(#[from] serde_json::Error),
}

/// `value` as one line.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// Collects bytes and hands out whole lines.
#[derive(Debug, Default)]
pub struct LineDecoder {
    buffer: Vec<u8>,
}

impl LineDecoder {
    /// Adds bytes as they came from the socket.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole line as a value, `None` when more bytes are needed.
    #[allow(clippy::should_implement_trait, reason = "every line may be another type, so it is no iterator")]
    pub fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, CodecError> {
        let Some(end) = self.buffer.iter().position(|&b| b == b'\n') else {
            return if self.buffer.len() > MAX_LINE_BYTES { Err(CodecError::TooLong) } else { Ok(None) };
        };
        let value = serde_json::from_slice(&self.buffer[..end]);
        self.buffer.drain(..=end);
        Ok(Some(value?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lines_survive_any_cut(values in prop::collection::vec("\\PC{0,40}", 0..20), cut in 1usize..7) {
            let mut bytes = Vec::new();
            for value in &values {
                bytes.extend(encode(value).expect("strings encode"));
            }
            let mut decoder = LineDecoder::default();
            let mut got = Vec::new();
            for chunk in bytes.chunks(cut) {
                decoder.push(chunk);
                while let Some(value) = decoder.next::<String>().expect("our own lines") {
                    got.push(value);
                }
            }
            prop_assert_eq!(got, values);
        }

        #[test]
        fn any_bytes_are_refused_or_understood_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut decoder = LineDecoder::default();
            decoder.push(&bytes);
            while let Ok(Some(_)) = decoder.next::<crate::protocol::worker::Command>() {}
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut decoder = LineDecoder::default();
        decoder.push(&vec![b'x'; MAX_LINE_BYTES + 1]);
        assert!(matches!(decoder.next::<String>(), Err(CodecError::TooLong)));
    }
}

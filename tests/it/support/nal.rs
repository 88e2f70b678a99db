//! The NAL units of a film: what an encoder made, whatever container it lies in.

use super::process;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Copying a test's film takes a moment; this is for a machine under full load.
const COPIED_WITHIN: Duration = Duration::from_secs(60);

/// A video codec, as far as its NAL units differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// H.264.
    H264,
    /// H.265.
    H265,
}

impl Codec {
    fn is_picture(self, nal: &[u8]) -> bool {
        match (self, nal.first()) {
            (Codec::H264, Some(head)) => (1..=5).contains(&(head & 0x1f)),
            (Codec::H265, Some(head)) => (head >> 1 & 0x3f) < 32,
            (_, None) => false,
        }
    }
}

/// The NAL units of all pictures of `path` in the order of decoding, byte for byte.
pub fn pictures(path: &Path, codec: Codec) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a folder");
    let raw = folder.path().join("raw");
    let (filter, format) = match codec {
        Codec::H264 => ("h264_mp4toannexb", "h264"),
        Codec::H265 => ("hevc_mp4toannexb", "hevc"),
    };
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-i"]).arg(path).args(["-map", "0:v:0", "-c", "copy"]);
    command.args(["-bsf:v", filter, "-f", format]).arg(&raw);
    let output = process::run("ffmpeg", &mut command, folder.path(), COPIED_WITHIN);
    assert_eq!(output.code, Some(0), "{}: {output:?}", path.display());
    let bytes = std::fs::read(&raw).expect("a stream");
    split(&bytes).into_iter().filter(|nal| codec.is_picture(nal)).map(<[u8]>::to_vec).collect()
}

/// Expects every one of `written` to be, byte for byte, the one after the one before in `sent`.
pub fn assert_run(sent: &[Vec<u8>], written: &[Vec<u8>]) {
    // White pictures are all the same: the longest run counts.
    let run = |at: usize| sent[at..].iter().zip(written).take_while(|(sent, written)| sent == written).count();
    let same = (0..sent.len()).map(run).max().unwrap_or(0);
    assert!(same > 0 && same == written.len(), "picture {same} of {} is another one than was sent", written.len());
}

/// Splits an Annex B stream at its start codes.
fn split(stream: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> =
        (0..stream.len().saturating_sub(2)).filter(|&at| stream[at..at + 3] == [0, 0, 1]).collect();
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    // Zeros before a start code belong to it: no NAL unit ends with one.
    let trimmed = |nal: &'_ [u8]| nal.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    starts.iter().zip(ends).map(|(&start, end)| &stream[start + 3..end]).map(|nal| &nal[..trimmed(nal)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_split_at_short_and_long_start_codes() {
        let stream = [0, 0, 0, 1, 0x67, 9, 0, 0, 1, 0x65, 1, 2, 0, 0, 0, 1, 0x41, 3];
        assert_eq!(split(&stream), [&[0x67, 9][..], &[0x65, 1, 2], &[0x41, 3]]);
        assert!(!Codec::H264.is_picture(&[0x67]) && Codec::H264.is_picture(&[0x65]));
        assert!(!Codec::H265.is_picture(&[0x42]) && Codec::H265.is_picture(&[0x26]));
    }
}

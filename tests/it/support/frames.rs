//! What a film shows: its pictures decoded by ffmpeg, and the frame number each carries as a bar code.
//!
//! Contract: the reader of the bar code is written from DESIGN §2 alone (40 equal cells across the top sixteenth of
//! the picture, white = 1: a 32-bit number, most significant bit first, then its CRC-8 with polynomial 0x07), so
//! that recorder and test cannot share a mistake.

use super::process;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Decoding a test's film takes seconds; this is for a machine under full load.
const DECODED_WITHIN: Duration = Duration::from_secs(120);
/// Cells of the bar code: 32 bits of number, 8 of CRC.
const CELLS: usize = 40;

/// One picture, luma only.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    /// Rows of `width` bytes without padding.
    pub luma: &'a [u8],
    /// Pixels per row.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Picture<'_> {
    /// Mean brightness, 0 to 255.
    pub fn mean(&self) -> f64 {
        let sum: u64 = self.luma.iter().map(|&byte| u64::from(byte)).sum();
        #[allow(clippy::cast_precision_loss, reason = "a picture has far less than 2^52 bytes of light")]
        let mean = sum as f64 / self.luma.len() as f64;
        mean
    }

    /// The frame number in the bar code, `None` if there is none or it is damaged. A black picture reads as 0, as
    /// does the very first frame of a source: in a row of numbers it still breaks the count.
    pub fn number(&self) -> Option<u32> {
        let row = self.height / 32;
        let cell = |index: usize| {
            let column = (2 * index + 1) * self.width / (2 * CELLS);
            u64::from(self.luma[row * self.width + column] >= 128)
        };
        let bits = (0..CELLS).fold(0u64, |bits, index| bits << 1 | cell(index));
        let number = u32::try_from(bits >> 8).ok()?;
        (u64::from(crc8(&number.to_be_bytes())) == bits & 0xff).then_some(number)
    }
}

/// CRC-8, polynomial x⁸+x²+x+1 (0x07), start 0, not reflected.
fn crc8(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(0, |crc, byte| (0..8).fold(crc ^ byte, |crc, _| if crc & 0x80 == 0 { crc << 1 } else { crc << 1 ^ 0x07 }))
}

/// Decodes every picture of `path`, in the order of showing, and gives each to `look`. What is readable of a torn
/// file is decoded; an error = not one picture.
pub fn each_picture(path: &Path, mut look: impl FnMut(Picture<'_>)) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height", "-of", "csv=p=0"]);
    let asked = process::run("ffprobe", command.arg(path), folder.path(), DECODED_WITHIN);
    let size = |text: &str| Some((text.split(',').next()?.parse().ok()?, text.split(',').nth(1)?.parse().ok()?));
    let (width, height): (usize, usize) =
        size(asked.stdout.lines().next().unwrap_or_default().trim_end_matches(','))
            .ok_or_else(|| format!("{}: no picture: {}", path.display(), asked.stderr.trim()))?;
    // Through a file, not a pipe: the decoder can then be given up on without a reader thread.
    let raw = folder.path().join("luma");
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-i"]).arg(path).args(["-map", "0:v:0", "-fps_mode", "passthrough"]);
    // `extractplanes`, not `format=gray`: the latter rescales the limited range of video.
    command.args(["-vf", "format=yuv420p,extractplanes=y", "-f", "rawvideo"]).arg(&raw);
    let decoded = process::run("ffmpeg", &mut command, folder.path(), DECODED_WITHIN);
    let bytes = std::fs::read(&raw).unwrap_or_default();
    if bytes.is_empty() {
        return Err(format!("{}: nothing decodes: {}", path.display(), decoded.stderr.trim()));
    }
    bytes.chunks_exact(width * height).for_each(|luma| look(Picture { luma, width, height }));
    Ok(())
}

/// The frame number of every picture of `path`; `None` where the bar code is not readable.
pub fn numbers(path: &Path) -> Result<Vec<Option<u32>>, String> {
    let mut found = Vec::new();
    each_picture(path, |picture| found.push(picture.number()))?;
    Ok(found)
}

/// Expects every picture of `path` to carry the number after the one before, and returns first and last.
pub fn assert_consecutive(path: &Path) -> (u32, u32) {
    let found = numbers(path).unwrap_or_else(|error| panic!("{error}"));
    let missing = breaks(&found);
    assert!(
        missing.is_empty(),
        "{}: {} of {} pictures break the count: {missing:?}",
        path.display(),
        missing.len(),
        found.len()
    );
    match (found.first(), found.last()) {
        (Some(&Some(first)), Some(&Some(last))) => (first, last),
        ends => panic!("{}: no numbers: {ends:?}", path.display()),
    }
}

/// Places where a number is missing, repeated or unreadable: index, number before, number there.
pub fn breaks(found: &[Option<u32>]) -> Vec<(usize, Option<u32>, Option<u32>)> {
    let unreadable = found.iter().take(1).filter(|first| first.is_none()).map(|_| (0, None, None));
    let pairs = found.windows(2).enumerate().filter(|(_, pair)| match (pair[0], pair[1]) {
        (Some(before), Some(after)) => after != before.wrapping_add(1),
        _ => true,
    });
    unreadable.chain(pairs.map(|(at, pair)| (at + 1, pair[0], pair[1]))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::media_file;
    use super::*;

    fn coded(number: u32, width: usize, height: usize) -> Vec<u8> {
        let bits = u64::from(number) << 8 | u64::from(crc8(&number.to_be_bytes()));
        let mut luma = vec![128; width * height];
        for row in 0..height / 16 {
            for column in 0..width {
                let bit = bits >> (CELLS - 1 - column * CELLS / width) & 1;
                luma[row * width + column] = if bit == 1 { 235 } else { 16 };
            }
        }
        luma
    }

    #[test]
    fn a_bar_code_reads_back_and_a_damaged_one_does_not() {
        assert_eq!(crc8(b"123456789"), 0xf4, "the check value of CRC-8/SMBUS");
        for (width, height) in [(640, 360), (320, 240), (1920, 1080), (162, 92)] {
            for number in [0, 1, 29, 0xdead_beef, u32::MAX] {
                let mut luma = coded(number, width, height);
                let read = |luma: &[u8]| Picture { luma, width, height }.number();
                assert_eq!(read(&luma), Some(number), "{width}×{height}");
                luma[..width * (height / 16)].iter_mut().take(width / CELLS).for_each(|byte| *byte = !*byte);
                luma[(height / 32) * width..][..width / CELLS].iter_mut().for_each(|byte| *byte = !*byte);
                assert_ne!(read(&luma), Some(number));
            }
        }
    }

    #[test]
    fn gaps_repeats_and_unreadable_pictures_break_the_count() {
        assert!(breaks(&[Some(4), Some(5), Some(6)]).is_empty());
        assert_eq!(breaks(&[Some(4), Some(6), Some(6), None]).len(), 3);
        assert_eq!(breaks(&[None]), [(0, None, None)]);
    }

    #[test]
    fn a_film_with_numbers_is_read_picture_by_picture() {
        let folder = tempfile::tempdir().expect("a folder");
        let (raw, film) = (folder.path().join("raw"), folder.path().join("film.mp4"));
        let frames: Vec<u8> = (7..37).flat_map(|number| coded(number, 320, 240)).collect();
        std::fs::write(&raw, frames).expect("written");
        let mut command = Command::new("ffmpeg");
        command
            .args(["-nostdin", "-v", "error", "-f", "rawvideo", "-pix_fmt", "gray", "-s", "320x240", "-r", "30", "-i"]);
        command.arg(&raw).args(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]).arg(&film);
        assert_eq!(process::run("ffmpeg", &mut command, folder.path(), DECODED_WITHIN).code, Some(0));
        assert_eq!(assert_consecutive(&film), (7, 36));
        media_file::camera(&film, 1);
        let dark = |number: &Option<u32>| number.is_none_or(|number| number == 0);
        assert!(numbers(&film).expect("it decodes").iter().all(dark), "a camera carries no numbers");
        assert!(numbers(&raw).is_err());
    }
}

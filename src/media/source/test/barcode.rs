//! The frame number as a bar code that survives lossy coding and scaling.
//!
//! Contract: the code fills the top sixteenth of the picture with 40 cells of equal width, white = 1, most
//! significant bit first: the 32-bit frame number, then its CRC-8 (polynomial 0x07, initial value 0, no
//! reflection, over the four big-endian bytes of the number). Pure functions over luma planes.

/// Cells of a code: 32 bits of number, 8 bits of checksum.
pub const CELLS: u32 = 40;
/// The code is this fraction of the picture's height.
const HEIGHT_FRACTION: u32 = 16;
/// Luma of a 0 cell (video range black).
const BLACK: u8 = 16;
/// Luma of a 1 cell (video range white).
const WHITE: u8 = 235;
/// Between black and white; far from both, so that ringing of a codec does not flip a bit.
const THRESHOLD: u32 = (BLACK as u32 + WHITE as u32) / 2;

/// Rows the code takes in a picture of `height` rows.
pub fn rows(height: u32) -> u32 {
    (height / HEIGHT_FRACTION).max(1)
}

/// CRC-8 (polynomial 0x07, initial value 0) of a frame number.
pub fn checksum(number: u32) -> u8 {
    number.to_be_bytes().iter().fold(0u8, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc, _| if crc & 0x80 != 0 { (crc << 1) ^ 0x07 } else { crc << 1 })
    })
}

/// The 40 bits of a number's code, the first cell in bit 39.
fn bits(number: u32) -> u64 {
    (u64::from(number) << 8) | u64::from(checksum(number))
}

/// Column where cell `index` begins.
fn edge(index: u32, width: u32) -> usize {
    (u64::from(index) * u64::from(width) / u64::from(CELLS)) as usize
}

/// Draws `number` into a luma plane of `stride` bytes per row. A plane that is too small is left as it is.
pub fn encode(luma: &mut [u8], stride: usize, width: u32, height: u32, number: u32) {
    let rows = rows(height) as usize;
    if width < CELLS || stride < width as usize || luma.len() < stride * rows {
        return;
    }
    let code = bits(number);
    let (first, rest) = luma.split_at_mut(stride);
    for cell in 0..CELLS {
        let value = if code >> (CELLS - 1 - cell) & 1 == 1 { WHITE } else { BLACK };
        first[edge(cell, width)..edge(cell + 1, width)].fill(value);
    }
    for row in rest.chunks_mut(stride).take(rows - 1) {
        row[..width as usize].copy_from_slice(&first[..width as usize]);
    }
}

/// The number in a luma plane, `None` when there is no code or its checksum does not match.
///
/// Each cell is judged by the mean of its middle half in both directions, away from blurred edges.
pub fn decode(luma: &[u8], stride: usize, width: u32, height: u32) -> Option<u32> {
    let rows = rows(height) as usize;
    if width < CELLS || stride < width as usize || luma.len() < stride * rows {
        return None;
    }
    let middle_rows = rows / 4..(rows - rows / 4);
    let mut code = 0u64;
    for cell in 0..CELLS {
        let (from, to) = (edge(cell, width), edge(cell + 1, width));
        let quarter = (to - from) / 4;
        let columns = from + quarter..(to - quarter).max(from + quarter + 1);
        let (mut sum, mut count) = (0u32, 0u32);
        for row in middle_rows.clone() {
            for &value in &luma[row * stride..][columns.clone()] {
                sum += u32::from(value);
                count += 1;
            }
        }
        code = code << 1 | u64::from(sum > THRESHOLD * count);
    }
    let number = (code >> 8) as u32;
    (bits(number) == code).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_checksum_is_the_published_crc_8() {
        // "123456789" has the check value 0xF4; these four bytes were computed by hand from the polynomial.
        assert_eq!(checksum(0), 0);
        assert_eq!(checksum(1), 0x07);
    }

    #[test]
    fn a_picture_without_a_code_has_no_number() {
        assert_eq!(decode(&vec![235; 640 * 360], 640, 640, 360), None);
        assert_eq!(decode(&[], 640, 640, 360), None);
    }

    proptest! {
        #[test]
        fn a_number_reads_back_through_noise(
            number: u32, width in 160u32..800, height in 90u32..500, noise in prop::collection::vec(-60i16..60, 64),
        ) {
            let stride = width as usize + 5;
            let mut luma = vec![99; stride * height as usize];
            encode(&mut luma, stride, width, height, number);
            for (index, value) in luma.iter_mut().enumerate() {
                *value = (i16::from(*value) + noise[index % noise.len()]).clamp(0, 255) as u8;
            }
            prop_assert_eq!(decode(&luma, stride, width, height), Some(number));
        }
    }
}

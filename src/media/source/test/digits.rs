//! Seven-segment digits drawn straight into a luma plane: burnt-in text without a text renderer.
//!
//! Contract: pure; knows `0`–`9`, `:` and blank; draws nothing outside the plane it is given.

/// Which of the segments a–g (bit 0 = a, clockwise from the top, g in the middle) a digit lights.
const SEGMENTS: [u8; 10] = [0x3f, 0x06, 0x5b, 0x4f, 0x66, 0x6d, 0x7d, 0x07, 0x7f, 0x6f];
/// Luma of a lit segment.
const LIT: u8 = 235;
/// Luma behind the digits.
const BEHIND: u8 = 16;

/// A luma plane to draw on.
pub struct Plane<'a> {
    /// Pixels, row by row.
    pub luma: &'a mut [u8],
    /// Bytes per row.
    pub stride: usize,
    /// Pixels per row.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Plane<'_> {
    /// Fills a rectangle, cut off at the edges of the plane.
    pub fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, value: u8) {
        let (from, to) = (x.min(self.width), (x + width).min(self.width));
        for row in y.min(self.height)..(y + height).min(self.height) {
            self.luma[row * self.stride..][from..to].fill(value);
        }
    }
}

/// Width of a text of `count` characters whose digits are `height` high.
pub fn text_width(count: usize, height: usize) -> usize {
    count * advance(height)
}

fn advance(height: usize) -> usize {
    height * 3 / 4
}

/// Draws `text` on a dark box at (x, y) with digits `height` high.
pub fn draw(plane: &mut Plane<'_>, x: usize, y: usize, height: usize, text: &[u8]) {
    let stroke = (height / 8).max(1);
    let margin = stroke * 2;
    let box_x = x.saturating_sub(margin);
    plane.fill(
        box_x,
        y.saturating_sub(margin),
        text_width(text.len(), height) + 2 * margin,
        height + 2 * margin,
        BEHIND,
    );
    for (index, &character) in text.iter().enumerate() {
        let left = x + index * advance(height);
        match character {
            b'0'..=b'9' => digit(plane, left, y, height, stroke, SEGMENTS[usize::from(character - b'0')]),
            b':' => {
                let middle = left + height / 4 - stroke / 2;
                plane.fill(middle, y + height / 3, stroke, stroke, LIT);
                plane.fill(middle, y + height * 2 / 3, stroke, stroke, LIT);
            }
            _ => {}
        }
    }
}

fn digit(plane: &mut Plane<'_>, x: usize, y: usize, height: usize, stroke: usize, segments: u8) {
    let width = height / 2;
    let half = height / 2;
    let right = x + width - stroke;
    let shapes = [
        (x, y, width, stroke),
        (right, y, stroke, half),
        (right, y + half, stroke, height - half),
        (x, y + height - stroke, width, stroke),
        (x, y + half, stroke, height - half),
        (x, y, stroke, half),
        (x, y + half - stroke / 2, width, stroke),
    ];
    for (index, (x, y, width, height)) in shapes.into_iter().enumerate() {
        if segments >> index & 1 == 1 {
            plane.fill(x, y, width, height, LIT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drawn(text: &[u8]) -> Vec<u8> {
        let mut luma = vec![128; 200 * 40];
        draw(&mut Plane { luma: &mut luma, stride: 200, width: 200, height: 40 }, 10, 8, 20, text);
        luma
    }

    #[test]
    fn all_digits_look_different() {
        let pictures: Vec<_> = (b'0'..=b'9').map(|digit| drawn(&[digit])).collect();
        for (index, picture) in pictures.iter().enumerate() {
            assert!(!pictures[..index].contains(picture), "digit {index} looks like another");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_drawn_outside(x in 0usize..300, y in 0usize..80, height in 1usize..64, text in "[0-9: ]{0,20}") {
            let mut luma = vec![7; 210 * 40];
            draw(&mut Plane { luma: &mut luma, stride: 210, width: 200, height: 40 }, x, y, height, text.as_bytes());
            for row in luma.chunks(210) {
                prop_assert!(row[200..].iter().all(|&value| value == 7));
            }
        }
    }
}

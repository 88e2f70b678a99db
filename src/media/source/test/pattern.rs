//! What a `test` input shows: four patterns that differ at a glance and move with every frame.
//!
//! Contract: a pure function of size, pattern, frame number and time of day into an I420 picture. A frame is a
//! copy of a still template plus a few small changes, so that drawing costs little beside encoding.

use super::barcode;
use super::digits::{self, Plane};
use crate::model::input::TestPattern;

/// Luma and chroma (U, V) of a colour.
type Colour = (u8, u8, u8);

/// The eight bars of the classical test card at 75 %.
const BARS: [Colour; 8] = [
    (180, 128, 128),
    (162, 44, 142),
    (131, 156, 44),
    (112, 72, 58),
    (84, 184, 198),
    (65, 100, 212),
    (35, 212, 114),
    (16, 128, 128),
];
/// Period of the travelling gradient in pixels of movement: a power of two keeps it seamless.
const GRADIENT_PERIOD: u32 = 256;

/// The planes of an I420 picture of even size without padding.
struct Picture<'a> {
    luma: &'a mut [u8],
    u: &'a mut [u8],
    v: &'a mut [u8],
    width: usize,
    height: usize,
}

impl<'a> Picture<'a> {
    fn new(bytes: &'a mut [u8], width: usize, height: usize) -> Self {
        let (luma, chroma) = bytes.split_at_mut(width * height);
        let (u, v) = chroma.split_at_mut(width / 2 * height / 2);
        Self { luma, u, v, width, height }
    }

    /// Fills a rectangle whose corners are rounded down to even pixels.
    fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, (luma, u, v): Colour) {
        let (x, y, right, bottom) =
            (x & !1, y & !1, (x + width).min(self.width) & !1, (y + height).min(self.height) & !1);
        for row in y..bottom {
            self.luma[row * self.width..][x.min(right)..right].fill(luma);
        }
        for row in y / 2..bottom / 2 {
            let columns = row * self.width / 2 + x.min(right) / 2..row * self.width / 2 + right / 2;
            self.u[columns.clone()].fill(u);
            self.v[columns].fill(v);
        }
    }
}

/// Draws the frames of one input.
#[derive(Debug)]
pub struct Painter {
    pattern: TestPattern,
    width: usize,
    height: usize,
    template: Vec<u8>,
}

impl Painter {
    /// Prepares the still part of `pattern`; width and height must be even.
    pub fn new(pattern: TestPattern, width: u32, height: u32) -> Self {
        let (width, height) = (width as usize & !1, height as usize & !1);
        let mut template = vec![128; width * height * 3 / 2];
        let mut picture = Picture::new(&mut template, width, height);
        match pattern {
            TestPattern::Bars => {
                for (index, colour) in BARS.into_iter().enumerate() {
                    let (from, to) = (index * width / BARS.len(), (index + 1) * width / BARS.len());
                    picture.fill(from, 0, to - from, height, colour);
                }
            }
            TestPattern::Ball => picture.fill(0, 0, width, height, (40, 140, 118)),
            TestPattern::Gradient => picture.fill(0, 0, width, height, (128, 150, 110)),
            TestPattern::Checker => {
                let cell = cell(height);
                picture.fill(0, 0, width, height, (90, 100, 150));
                for row in 0..height.div_ceil(cell) {
                    for column in (row % 2..width.div_ceil(cell)).step_by(2) {
                        picture.fill(column * cell, row * cell, cell, cell, (150, 120, 100));
                    }
                }
            }
        }
        Self { pattern, width, height, template }
    }

    /// Bytes of one frame.
    pub fn frame_bytes(&self) -> usize {
        self.template.len()
    }

    /// Draws frame `number` into `frame` (of [`Self::frame_bytes`] bytes); `time_of_day_ms` is burnt in.
    pub fn paint(&self, frame: &mut [u8], number: u32, time_of_day_ms: u64) {
        frame.copy_from_slice(&self.template);
        let mut picture = Picture::new(frame, self.width, self.height);
        match self.pattern {
            TestPattern::Bars => block(&mut picture, number),
            TestPattern::Ball => ball(&mut picture, number),
            TestPattern::Gradient => gradient(&mut picture, number),
            TestPattern::Checker => sweep(&mut picture, number),
        }
        let mut plane = Plane { luma: picture.luma, stride: self.width, width: self.width, height: self.height };
        let height = (self.height / 14).max(7);
        let x = self.width / 20;
        // Above the words that a tile lays over the lowest fifth of a picture.
        let y = self.height * 2 / 3;
        digits::draw(&mut plane, x, y, height, &time_text(time_of_day_ms));
        let number_text = number_text(number);
        let x = self.width.saturating_sub(digits::text_width(number_text.len(), height) + x);
        digits::draw(&mut plane, x, y, height, &number_text);
        barcode::encode(picture.luma, self.width, self.width as u32, self.height as u32, number);
    }
}

fn cell(height: usize) -> usize {
    (height / 6).max(2) & !1
}

/// A position that runs to and fro between 0 and `range`.
fn bounce(number: u32, speed: usize, range: usize) -> usize {
    let range = range.max(1);
    let at = (number as usize).wrapping_mul(speed) % (2 * range);
    if at < range { at } else { 2 * range - at }
}

fn block(picture: &mut Picture<'_>, number: u32) {
    let size = picture.height / 5;
    let x = bounce(number, (picture.width / 160).max(1), picture.width.saturating_sub(size));
    picture.fill(x, picture.height * 2 / 5, size, size, (235, 128, 128));
}

fn ball(picture: &mut Picture<'_>, number: u32) {
    let radius = picture.height / 8;
    let x = bounce(number, (picture.width / 120).max(1), picture.width.saturating_sub(2 * radius));
    let y =
        picture.height / 8 + bounce(number, (picture.height / 90).max(1), picture.height.saturating_sub(radius * 5));
    for row in (0..2 * radius).step_by(2) {
        let dy = row as f64 + 1.0 - radius as f64;
        let half = ((radius * radius) as f64 - dy * dy).max(0.0).sqrt() as usize;
        picture.fill(x + radius - half, y + row, 2 * half, 2, (210, 60, 170));
    }
}

fn gradient(picture: &mut Picture<'_>, number: u32) {
    let shift = number.wrapping_mul(2);
    let ramp: Vec<u8> = (0..picture.width as u32)
        .map(|x| {
            let phase = (x / 2).wrapping_add(shift) % GRADIENT_PERIOD;
            let up = phase.min(GRADIENT_PERIOD - 1 - phase);
            (40 + up) as u8
        })
        .collect();
    for row in picture.luma.chunks_mut(picture.width) {
        row.copy_from_slice(&ramp);
    }
}

fn sweep(picture: &mut Picture<'_>, number: u32) {
    let cell = cell(picture.height);
    let y = bounce(number, (picture.height / 120).max(1), picture.height.saturating_sub(cell));
    for row in y..y + cell / 2 {
        for value in &mut picture.luma[row * picture.width..(row + 1) * picture.width] {
            *value = 251 - *value;
        }
    }
}

fn time_text(ms: u64) -> [u8; 11] {
    let (seconds, hundredths) = (ms / 1000, ms / 10 % 100);
    let (h, m, s) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let digit = |value: u64| b'0' + (value % 10) as u8;
    let pair = |value: u64| (digit(value / 10), digit(value));
    let ((a, b), (c, d), (e, f), (g, i)) = (pair(h), pair(m), pair(s), pair(hundredths));
    [a, b, b':', c, d, b':', e, f, b':', g, i]
}

fn number_text(number: u32) -> [u8; 8] {
    let mut rest = number;
    let mut text = [b'0'; 8];
    for place in text.iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [TestPattern; 4] = [TestPattern::Bars, TestPattern::Ball, TestPattern::Gradient, TestPattern::Checker];

    fn frame(pattern: TestPattern, number: u32) -> Vec<u8> {
        let painter = Painter::new(pattern, 320, 180);
        let mut frame = vec![0; painter.frame_bytes()];
        painter.paint(&mut frame, number, 45_296_780);
        frame
    }

    /// Pixels between bar code and burnt-in text that differ.
    fn difference(a: &[u8], b: &[u8]) -> usize {
        (320 * 12..320 * 130).filter(|&index| a[index].abs_diff(b[index]) > 12).count()
    }

    #[test]
    fn patterns_differ_from_each_other_and_move() {
        for (index, pattern) in ALL.into_iter().enumerate() {
            assert!(difference(&frame(pattern, 1), &frame(pattern, 31)) > 300, "{pattern:?} does not move");
            for other in &ALL[..index] {
                assert!(difference(&frame(pattern, 1), &frame(*other, 1)) > 10_000, "{pattern:?} looks like {other:?}");
            }
        }
    }

    #[test]
    fn every_frame_carries_its_number_at_any_size() {
        for (width, height) in [(160, 90), (640, 360), (642, 358), (1920, 1080)] {
            for pattern in ALL {
                let painter = Painter::new(pattern, width, height);
                let mut frame = vec![0; painter.frame_bytes()];
                for number in [0, 1, 77_777, u32::MAX] {
                    painter.paint(&mut frame, number, 0);
                    assert_eq!(barcode::decode(&frame, width as usize, width, height), Some(number));
                }
            }
        }
    }

    #[test]
    fn time_is_written_as_a_clock() {
        assert_eq!(&time_text(45_296_780), b"12:34:56:78");
    }
}

//! The ring around the stop square that fills while Stop is held.

use gtk::prelude::*;
use std::cell::Cell;
use std::f64::consts::{FRAC_PI_2, TAU};
use std::rc::Rc;

/// Width of the ring in pixels: seen from two metres.
const STROKE: f64 = 4.0;
/// Side of the square as a share of the ring's radius.
const SQUARE: f64 = 0.75;

/// Draws `fill` (0 to 1) into `area`; the caller queues a drawing when it changes.
pub fn connect(area: &gtk::DrawingArea, fill: &Rc<Cell<f64>>) {
    let fill = Rc::clone(fill);
    area.set_draw_func(move |area, cairo, width, height| {
        let colour = area.style_context().color();
        let (x, y) = (f64::from(width) / 2.0, f64::from(height) / 2.0);
        let radius = x.min(y) - STROKE / 2.0;
        let set = |alpha: f64| {
            cairo.set_source_rgba(colour.red().into(), colour.green().into(), colour.blue().into(), alpha);
        };
        let ring = |part: f64| {
            cairo.arc(x, y, radius, -FRAC_PI_2, TAU * part - FRAC_PI_2);
            cairo.stroke()
        };
        cairo.set_line_width(STROKE);
        set(0.3);
        let faint = ring(1.0);
        set(1.0);
        let full = if fill.get() > 0.0 { ring(fill.get()) } else { Ok(()) };
        let side = radius * SQUARE;
        cairo.rectangle(x - side / 2.0, y - side / 2.0, side, side);
        // A surface that cannot be drawn on is that of a window that is going.
        let _ = faint.and(full).and_then(|()| cairo.fill());
    });
}

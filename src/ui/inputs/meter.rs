//! The level bars of a tile: RMS as a bar, peak as a line, one row per channel, −60 to 0 dBFS.

use crate::model::snapshot::Meter;
use gtk::cairo;
use gtk::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;

/// Left end of the scale; quieter is drawn as nothing.
const FLOOR_DBFS: f64 = -60.0;
/// From here on the bar is amber: the headroom of broadcast programme is being used up.
const LOUD_DBFS: f64 = -9.0;
/// From here on it is red: clipping is near.
const HOT_DBFS: f64 = -3.0;
/// Room between channels in pixels.
const GAP: f64 = 2.0;
/// Width of the mark of a clip at the end of the scale, in pixels.
const CLIP_WIDTH: f64 = 10.0;
/// Width of the peak line in pixels.
const PEAK_WIDTH: f64 = 2.0;
/// Calm green, amber and tally red; the scale names the level, the colour only repeats it.
const COLOURS: [(f64, (f64, f64, f64)); 3] =
    [(LOUD_DBFS, (0.34, 0.74, 0.47)), (HOT_DBFS, (0.96, 0.83, 0.24)), (0.0, (0.96, 0.35, 0.32))];

/// The levels that are drawn; shared with the frame clock, which renews them.
pub type Levels = Rc<RefCell<Vec<Meter>>>;

/// Draws `levels` into `area`; the caller queues a drawing when they change.
pub fn connect(area: &gtk::DrawingArea, levels: &Levels) {
    let levels = Rc::clone(levels);
    area.set_draw_func(move |_, cairo, width, height| {
        // A surface that cannot be drawn on is that of a window that is going.
        let _ = draw(cairo, &levels.borrow(), f64::from(width), f64::from(height));
    });
}

fn draw(cairo: &cairo::Context, meters: &[Meter], width: f64, height: f64) -> Result<(), cairo::Error> {
    let rows = meters.len().max(1) as f64;
    let thickness = ((height - GAP * (rows - 1.0)) / rows).max(1.0);
    for (row, meter) in meters.iter().enumerate() {
        let y = row as f64 * (thickness + GAP);
        cairo.set_source_rgba(1.0, 1.0, 1.0, 0.18);
        cairo.rectangle(0.0, y, width, thickness);
        cairo.fill()?;
        let mut from = 0.0;
        for (up_to, (red, green, blue)) in COLOURS {
            let to = width * share(meter.rms_dbfs.min(up_to));
            cairo.set_source_rgb(red, green, blue);
            cairo.rectangle(from, y, (to - from).max(0.0), thickness);
            cairo.fill()?;
            from = to.max(from);
        }
        if meter.clip {
            // It stays until somebody has seen it; the words stand beside the large picture.
            cairo.set_source_rgb(0.96, 0.2, 0.2);
            cairo.rectangle(width - CLIP_WIDTH, y, CLIP_WIDTH, thickness);
            cairo.fill()?;
        }
        cairo.set_source_rgb(1.0, 1.0, 1.0);
        let peak = (width - PEAK_WIDTH) * share(meter.peak_dbfs);
        if peak > 0.0 {
            cairo.rectangle(peak, y, PEAK_WIDTH, thickness);
            cairo.fill()?;
        }
    }
    Ok(())
}

/// Where a level lies on the scale, 0 to 1.
fn share(dbfs: f64) -> f64 {
    (1.0 - dbfs / FLOOR_DBFS).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_linear_in_decibels() {
        for (dbfs, part) in
            [(0.0, 1.0), (-30.0, 0.5), (-60.0, 0.0), (-200.0, 0.0), (f64::NEG_INFINITY, 0.0), (3.0, 1.0)]
        {
            assert_eq!(share(dbfs), part, "{dbfs} dBFS");
        }
    }
}

//! A number over the last five minutes: its name, its value now, and a line. What is not known is a hole in the line.

use crate::protocol::history::{HistoryPoint, HistoryReply};
use crate::ui::format::UNKNOWN;
use crate::ui::l10n::{gettext, number};
use gtk::cairo;
use gtk::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;

/// Room for a line in pixels.
const HEIGHT: i32 = 48;
/// Width of the line in pixels: seen from an arm's length.
const STROKE: f64 = 2.0;
/// What a line spans from left to right.
const SPAN_MS: u64 = 5 * 60 * 1000;

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Pictures per second from the source.
    Rate,
    /// Frames lost.
    Dropped,
    /// The fullest queue.
    Queue,
    /// Growth of the file.
    Growth,
}

impl Quantity {
    /// All of them, most telling first.
    pub const ALL: [Self; 4] = [Self::Rate, Self::Dropped, Self::Queue, Self::Growth];

    fn name(self) -> String {
        match self {
            Self::Rate => gettext("Pictures per second"),
            Self::Dropped => gettext("Frames lost"),
            Self::Queue => gettext("Queue, % full"),
            Self::Growth => gettext("MB per second"),
        }
    }

    fn value(self, point: &HistoryPoint) -> Option<f64> {
        match self {
            Self::Rate => point.fps,
            Self::Dropped => point.dropped.map(|lost| lost as f64),
            Self::Queue => point.queue_percent.map(f64::from),
            Self::Growth => point.bytes_per_s.map(|bytes| bytes as f64 / 1e6),
        }
    }

    /// The least that the height stands for, so that a quiet line stays quiet.
    fn scale(self) -> f64 {
        match self {
            Self::Rate => 30.0,
            Self::Dropped => 10.0,
            Self::Queue => 100.0,
            Self::Growth => 1.0,
        }
    }
}

/// Values of one quantity, each with how long ago it was seen in ms.
type Line = Rc<RefCell<Vec<(u64, Option<f64>)>>>;

/// One plot.
#[derive(Debug)]
pub struct Plot {
    quantity: Quantity,
    root: gtk::Box,
    value: gtk::Label,
    area: gtk::DrawingArea,
    line: Line,
}

impl Plot {
    /// An empty one.
    pub fn new(quantity: Quantity) -> Self {
        let name = gtk::Label::builder().label(quantity.name()).xalign(0.0).hexpand(true).build();
        name.set_ellipsize(gtk::pango::EllipsizeMode::End);
        name.set_tooltip_text(Some(&quantity.name()));
        name.add_css_class("details-row-name");
        let value = gtk::Label::builder().css_classes(["numeric"]).label(UNKNOWN).build();
        let head = gtk::Box::builder().spacing(8).build();
        head.append(&name);
        head.append(&value);
        let area = gtk::DrawingArea::builder().content_height(HEIGHT).css_classes(["plot"]).build();
        let root = gtk::Box::builder().orientation(gtk::Orientation::Vertical).spacing(2).build();
        root.append(&head);
        root.append(&area);
        let line = Line::default();
        let drawn = Rc::clone(&line);
        area.set_draw_func(move |area, cairo, width, height| {
            let colour = area.style_context().color();
            cairo.set_source_rgba(colour.red().into(), colour.green().into(), colour.blue().into(), 1.0);
            // A surface that cannot be drawn on is that of a window that is going.
            let _ = draw(cairo, quantity, &drawn.borrow(), f64::from(width), f64::from(height));
        });
        Self { quantity, root, value, area, line }
    }

    /// Its widget.
    pub fn widget(&self) -> &gtk::Box {
        &self.root
    }

    /// Shows what was seen; `None` = nothing is known.
    pub fn show(&self, history: Option<&HistoryReply>) {
        let points = history.map(|history| history.points.as_slice()).unwrap_or_default();
        let last = points.last();
        let now = last.map_or(0, |point| point.t_ms);
        let line = points.iter().map(|point| (now.saturating_sub(point.t_ms), self.quantity.value(point))).collect();
        let value = last.and_then(|point| self.quantity.value(point));
        let decimals = usize::from(self.quantity != Quantity::Dropped);
        self.value.set_label(&value.map_or_else(|| UNKNOWN.to_owned(), |value| number(value, decimals)));
        if self.line.replace(line) != *self.line.borrow() {
            self.area.queue_draw();
        }
    }
}

/// Runs of neighbouring values that are known, as points of a unit square (right = now, top = most).
fn runs(quantity: Quantity, line: &[(u64, Option<f64>)]) -> Vec<Vec<(f64, f64)>> {
    let most = line.iter().filter_map(|(_, value)| *value).fold(quantity.scale(), f64::max);
    let place = |&(ago, value): &(u64, Option<f64>)| {
        Some((1.0 - ago as f64 / SPAN_MS as f64, 1.0 - (value? / most).clamp(0.0, 1.0)))
    };
    let places: Vec<_> = line.iter().map(place).collect();
    let known = places.split(Option::is_none).map(|run| run.iter().flatten().copied().collect::<Vec<_>>());
    known.filter(|run| !run.is_empty()).collect()
}

fn draw(
    cairo: &cairo::Context,
    quantity: Quantity,
    line: &[(u64, Option<f64>)],
    width: f64,
    height: f64,
) -> Result<(), cairo::Error> {
    cairo.set_line_width(STROKE);
    let inner = height - STROKE;
    for run in runs(quantity, line) {
        for (place, (x, y)) in run.iter().enumerate() {
            let (x, y) = (x * width, STROKE / 2.0 + y * inner);
            if place == 0 { cairo.move_to(x, y) } else { cairo.line_to(x, y) }
        }
        cairo.stroke()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_a_hole_and_the_newest_value_stands_at_the_right() {
        let line = [(4000, Some(30.0)), (2000, None), (1000, Some(15.0)), (0, Some(60.0))];
        let runs = runs(Quantity::Rate, &line);
        assert_eq!(runs.len(), 2, "{runs:?}");
        assert_eq!(runs[1].last(), Some(&(1.0, 0.0)), "sixty a second are more than the usual thirty");
        assert_eq!(runs[1][0].1, 0.75);
        assert!(super::runs(Quantity::Queue, &[(0, None)]).is_empty());
    }
}

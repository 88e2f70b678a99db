//! How loaded the machine is, at one look: its processors over the last 20 s as bars, the level as a word. A touch opens
//! why, and what is done about it.

use super::Room;
use super::level::Level;
use crate::ui::desk::CPU_BEATS;
use crate::ui::format::fill;
use crate::ui::l10n::gettext;
use gtk::cairo;
use gtk::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;

/// Width of a bar in pixels, the room to the next one within it.
const BAR: i32 = 2;
/// Of a machine that does nothing something is seen: it is known.
const LEAST: f64 = 1.5;
/// Room for all bars in pixels.
const SIZE: (i32, i32) = (CPU_BEATS as i32 * BAR, 22);

/// The pill. Main thread only.
#[derive(Debug)]
pub struct Pill {
    root: gtk::MenuButton,
    icon: gtk::Image,
    curve: gtk::DrawingArea,
    word: gtk::Label,
    heading: gtk::Label,
    load: gtk::Label,
    why: gtk::Label,
    /// What the bars show: percent, oldest first.
    loads: Rc<RefCell<Vec<Option<u8>>>>,
}

impl Default for Pill {
    fn default() -> Self {
        let curve = gtk::DrawingArea::builder().content_width(SIZE.0).content_height(SIZE.1).build();
        curve.set_valign(gtk::Align::Center);
        let loads = Rc::<RefCell<Vec<Option<u8>>>>::default();
        let drawn = Rc::clone(&loads);
        curve.set_draw_func(move |area, cairo, width, height| {
            let colour = area.style_context().color();
            cairo.set_source_rgb(colour.red().into(), colour.green().into(), colour.blue().into());
            // A surface that cannot be drawn on is that of a window that is going.
            let _ = draw(cairo, &drawn.borrow(), f64::from(width), f64::from(height));
        });
        let icon = gtk::Image::from_icon_name("power-profile-performance-symbolic");
        let word = gtk::Label::new(None);
        let face = gtk::Box::builder().spacing(6).build();
        face.append(&icon);
        face.append(&curve);
        face.append(&word);

        let heading = gtk::Label::builder().css_classes(["heading"]).xalign(0.0).build();
        let load = gtk::Label::builder().css_classes(["numeric"]).xalign(0.0).build();
        let why = gtk::Label::builder().xalign(0.0).wrap(true).max_width_chars(40).build();
        let said = gtk::Box::builder().orientation(gtk::Orientation::Vertical).spacing(8).build();
        said.add_css_class("level-why");
        for line in [&heading, &load, &why] {
            said.append(line);
        }
        let popover = gtk::Popover::builder().child(&said).build();
        let root = gtk::MenuButton::builder().css_classes(["level", "flat"]).popover(&popover).child(&face).build();
        root.set_valign(gtk::Align::Center);
        Self { root, icon, curve, word, heading, load, why, loads }
    }
}

impl Pill {
    /// Its widget.
    pub fn widget(&self) -> &gtk::MenuButton {
        &self.root
    }

    /// Shows a level (`None` = no contact) and the loads. Calm is said where there is room, anything else always.
    pub fn show(&self, level: Option<&Level>, loads: &[Option<u8>], room: Room) {
        self.root.set_visible(level.is_some_and(|level| room == Room::Wide || !level.calm));
        let Some(level) = level else { return };
        self.icon.set_visible(room != Room::Wide);
        self.curve.set_visible(room == Room::Wide);
        self.word.set_visible(matches!(room, Room::Wide | Room::Medium));
        self.icon.set_css_classes(&[level.class]);
        self.curve.set_css_classes(&[level.class]);
        self.word.set_css_classes(&["meter", level.class]);
        self.why.set_visible(!level.why.is_empty());
        if self.word.text() != level.word.as_str() {
            self.root.update_property(&[gtk::accessible::Property::Label(&level.word)]);
        }
        for (label, words) in [(&self.word, &level.word), (&self.heading, &level.word), (&self.why, &level.why)] {
            if label.text() != words.as_str() {
                label.set_label(words);
            }
        }
        if *self.loads.borrow() != loads {
            self.loads.replace(loads.to_vec());
            self.curve.queue_draw();
            let now = loads.last().copied().flatten();
            self.load.set_visible(now.is_some());
            let words = fill(&gettext("CPU {n} %"), &[("n", &now.unwrap_or_default().to_string())]);
            self.load.set_label(&words);
            self.root.set_tooltip_text(now.map(|_| words.as_str()));
        }
    }
}

fn draw(cairo: &cairo::Context, loads: &[Option<u8>], width: f64, height: f64) -> Result<(), cairo::Error> {
    for (x, bar) in bars(loads, width, height) {
        cairo.rectangle(x, height - bar, f64::from(BAR) - 0.5, bar);
    }
    cairo.fill()
}

/// Left edge and height of each bar whose load is known: the newest at the right.
fn bars(loads: &[Option<u8>], width: f64, height: f64) -> Vec<(f64, f64)> {
    let bar = |(place, load): (usize, &Option<u8>)| {
        let x = width - (place + 1) as f64 * f64::from(BAR);
        let share = f64::from((*load)?).min(100.0) / 100.0;
        Some((x, (height * share).max(LEAST)))
    };
    loads.iter().rev().enumerate().filter_map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stands_at_the_right_and_what_is_not_known_is_a_gap() {
        let bars = bars(&[Some(0), None, Some(50), Some(200)], 60.0, 20.0);
        assert_eq!(bars, [(58.0, 20.0), (56.0, 10.0), (52.0, LEAST)]);
    }
}

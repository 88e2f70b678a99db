//! The button of the header that folds the sidebar out and in, with the counts of what nobody has seen. Always visible.

use super::face::{Unseen, icon};
use crate::model::incident::Severity;
use gtk::prelude::*;
use std::cell::Cell;
use std::rc::Rc;

/// See the module. Main thread only.
#[derive(Debug, Clone)]
pub struct Badge {
    button: gtk::ToggleButton,
    quiet: gtk::Image,
    counts: [(Severity, gtk::Box, gtk::Label); 3],
    shown: Rc<Cell<Unseen>>,
}

impl Badge {
    /// One that counts nothing yet.
    pub fn new() -> Self {
        let row = gtk::Box::builder().spacing(10).halign(gtk::Align::Center).build();
        let quiet = gtk::Image::from_icon_name("emblem-ok-symbolic");
        row.append(&quiet);
        let classes =
            [(Severity::Critical, "word-tally"), (Severity::Warning, "word-amber"), (Severity::Info, "word-info")];
        let counts = classes.map(|(severity, class)| {
            let pair = gtk::Box::builder().spacing(4).visible(false).css_classes([class]).build();
            let number = gtk::Label::builder().css_classes(["numeric"]).build();
            pair.append(&gtk::Image::from_icon_name(icon(severity)));
            pair.append(&number);
            row.append(&pair);
            (severity, pair, number)
        });
        let button = gtk::ToggleButton::builder().child(&row).css_classes(["alerts-button", "flat"]).build();
        name(&button, Unseen::default());
        Self { button, quiet, counts, shown: Rc::default() }
    }

    /// The widget.
    pub fn button(&self) -> &gtk::ToggleButton {
        &self.button
    }

    /// Counts so many.
    pub fn show(&self, unseen: Unseen) {
        if self.shown.replace(unseen) == unseen {
            return;
        }
        for ((_, number), (_, pair, label)) in unseen.ranked().iter().zip(&self.counts) {
            label.set_label(&number.to_string());
            pair.set_visible(*number > 0);
        }
        self.quiet.set_visible(unseen == Unseen::default());
        if unseen.critical > 0 {
            self.button.add_css_class("has-critical");
        } else {
            self.button.remove_css_class("has-critical");
        }
        name(&self.button, unseen);
    }
}

fn name(button: &gtk::ToggleButton, unseen: Unseen) {
    let words = unseen.spoken();
    button.update_property(&[gtk::accessible::Property::Label(&words)]);
    button.set_tooltip_text(Some(&words));
}

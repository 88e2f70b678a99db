//! The button of the header that folds the sidebar out and in, with the counts of what nobody has seen. Always visible.

use super::face::{Unseen, icon};
use crate::model::incident::Severity;
use crate::ui::l10n::gettext;
use gtk::prelude::*;
use std::cell::Cell;
use std::rc::Rc;

/// See the module. Main thread only.
#[derive(Debug, Clone)]
pub struct Badge {
    button: gtk::ToggleButton,
    quiet: gtk::Image,
    nobody: gtk::Image,
    counts: [(Severity, gtk::Box, gtk::Label); 3],
    shown: Rc<Cell<Option<Unseen>>>,
}

impl Badge {
    /// One that counts nothing yet.
    pub fn new() -> Self {
        let row = gtk::Box::builder().spacing(10).halign(gtk::Align::Center).build();
        let quiet = gtk::Image::from_icon_name("emblem-ok-symbolic");
        row.append(&quiet);
        let nobody = gtk::Image::builder().icon_name("dialog-question-symbolic").css_classes(["word-amber"]).build();
        row.append(&nobody);
        quiet.set_visible(false);
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
        name(&button, None);
        Self { button, quiet, nobody, counts, shown: Rc::default() }
    }

    /// The widget.
    pub fn button(&self) -> &gtk::ToggleButton {
        &self.button
    }

    /// Counts so many; of a list that is not `current` nobody knows whether there are more.
    pub fn show(&self, unseen: Unseen, current: bool) {
        let known = current.then_some(unseen);
        if self.shown.replace(known) == known && current {
            return;
        }
        for ((_, number), (_, pair, label)) in unseen.ranked().iter().zip(&self.counts) {
            label.set_label(&number.to_string());
            pair.set_visible(*number > 0);
        }
        self.quiet.set_visible(known == Some(Unseen::default()));
        self.nobody.set_visible(!current);
        if unseen.critical > 0 {
            self.button.add_css_class("has-critical");
        } else {
            self.button.remove_css_class("has-critical");
        }
        name(&self.button, known);
    }
}

fn name(button: &gtk::ToggleButton, known: Option<Unseen>) {
    let words = known.map_or_else(|| gettext("Alerts: no contact with the recorder"), |unseen| unseen.spoken());
    button.update_property(&[gtk::accessible::Property::Label(&words)]);
    button.set_tooltip_text(Some(&words));
}

//! Colours and sizes of the desk (DESK "Colours"); dark unless the system asks for light.

use adw::prelude::*;
use gtk::{gdk, glib};

/// Our style sheet, part of the program.
const STYLE: &str = include_str!("../../resources/style.css");

/// Lays everything out in the direction the language is read in.
pub fn direct() {
    let right_to_left = crate::ui::l10n::is_right_to_left();
    gtk::Widget::set_default_direction(if right_to_left { gtk::TextDirection::Rtl } else { gtk::TextDirection::Ltr });
}

/// Style classes of a widget.
pub trait Dress {
    /// Sets its style classes if they are others. Setting the same again has every widget below styled anew, which takes a
    /// window with a hundred alerts some 50 ms.
    fn dress(&self, classes: &[&str]);
}

impl<W: IsA<gtk::Widget>> Dress for W {
    fn dress(&self, classes: &[&str]) {
        let worn = self.as_ref().css_classes();
        if !worn.iter().map(glib::GString::as_str).eq(classes.iter().copied()) {
            self.as_ref().set_css_classes(classes);
        }
    }
}

/// Dresses the application once it starts.
pub fn prepare(application: &adw::Application) {
    application.connect_startup(|application| {
        // A control room is dark; who asks the system for light gets light.
        application.style_manager().set_color_scheme(adw::ColorScheme::PreferDark);
        let provider = gtk::CssProvider::new();
        provider.load_from_data(STYLE);
        if let Some(display) = gdk::Display::default() {
            gtk::style_context_add_provider_for_display(&display, &provider, gtk::STYLE_PROVIDER_PRIORITY_APPLICATION);
        }
    });
}

//! Colours and sizes of the desk (DESK "Colours"); dark unless the system asks for light.

use adw::prelude::*;
use gtk::gdk;

/// Our style sheet, part of the program.
const STYLE: &str = include_str!("../../resources/style.css");

/// Lays everything out in the direction the language is read in.
pub fn direct() {
    let right_to_left = crate::ui::l10n::is_right_to_left();
    gtk::Widget::set_default_direction(if right_to_left { gtk::TextDirection::Rtl } else { gtk::TextDirection::Ltr });
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

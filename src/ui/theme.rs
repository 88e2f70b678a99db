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

#[cfg(test)]
mod tests {
    use super::STYLE;

    /// Contrast over video that DESK asks for.
    const LEAST: f64 = 7.0;

    /// Relative luminance of an sRGB colour (WCAG 2).
    fn luminance(rgb: [f64; 3]) -> f64 {
        let linear = |c: f64| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
        0.2126 * linear(rgb[0]) + 0.7152 * linear(rgb[1]) + 0.0722 * linear(rgb[2])
    }

    fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    fn colour(text: &str) -> Option<[f64; 3]> {
        let digits = text.trim().strip_prefix('#')?;
        let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok().map(|byte| f64::from(byte) / 255.0);
        Some([byte(0)?, byte(2)?, byte(4)?])
    }

    /// What the rule for exactly these selectors says of `property`.
    fn said<'a>(selectors: &str, property: &str) -> Option<&'a str> {
        let rule = STYLE.split('}').find_map(|rule| {
            let (head, body) = rule.rsplit_once('{')?;
            (head.rsplit(['/', '\n']).next()?.trim() == selectors).then_some(body)
        })?;
        let of = |line: &'a str| line.trim().strip_prefix(property)?.trim().strip_prefix(':').map(str::trim);
        rule.split(';').find_map(of)
    }

    #[test]
    fn words_over_any_picture_are_legible() {
        let scrim = said(".tile .scrim", "background").expect("there is a scrim");
        let share: f64 = scrim.split([',', ')']).nth(1).and_then(|share| share.trim().parse().ok()).expect("its share");
        // The brightest picture there is.
        let behind = [1.0 - share; 3];
        for selectors in [
            ".tile .scrim",
            "label.tile-words",
            "label.tile-words.check-ok, image.check-ok",
            "label.tile-words.check-warning, image.check-warning",
            "label.tile-words.check-failed, image.check-failed",
            "label.tile-format, label.tile-safe",
        ] {
            let text = said(selectors, "color").and_then(colour).unwrap_or_else(|| panic!("{selectors} has no colour"));
            let contrast = contrast(text, behind);
            assert!(contrast >= LEAST, "{selectors}: {contrast:.1}");
        }
        let rec = |property| said("label.tile-rec", property).and_then(colour).expect("a colour");
        assert!(contrast(rec("color"), rec("background")) >= LEAST);
    }
    /// GSK's cairo renderer blurs a shadow over everything that is painted, wherever the shadow lies: one behind a dot in the
    /// header was half of what the window cost.
    #[test]
    fn no_shadow_is_blurred() {
        for line in STYLE.split([';', '{']).filter(|line| line.contains("-shadow:")) {
            let (_, shadows) = line.split_once(':').expect("a property");
            for shadow in shadows.split(',').filter(|shadow| shadow.trim() != "none") {
                // Two lengths say where it lies, a third one how much it is blurred.
                let lengths = shadow
                    .split_whitespace()
                    .filter(|word| word.trim_start_matches('-').starts_with(|first: char| first.is_ascii_digit()));
                assert_eq!(lengths.count(), 2, "{line}");
            }
        }
    }
}

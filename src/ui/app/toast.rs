//! A line over the lower edge of the pictures that says what was done, and goes by itself.
//!
//! Contract: one line for each thing that is told again and again; new words take the place of older ones and stay as long,
//! but none takes the place of bad news that nobody has closed. Never in the way of anything (R-ALR-6).
//!
//! `adw::Toast` is not used: of one that goes within half a second of its appearance behind another one, libadwaita 1.2 frees
//! what belongs to it while it is still moving (seen as a crash of the window on Debian 12).

use crate::ui::glib_once::Debounce;
use crate::ui::l10n::gettext;
use gtk::prelude::*;
use std::cell::RefCell;
use std::time::Duration;

/// Longer words take more lines.
const WORDS_CHARS: i32 = 60;

/// See the module. Main thread only.
pub(super) struct Toast {
    root: gtk::Box,
    words: gtk::Label,
    going: Debounce,
    /// Bad news that nobody has closed.
    stays: RefCell<Option<String>>,
}

impl Toast {
    /// One that shows nothing yet, and what it shows for so long.
    pub(super) fn new(lasts: Duration) -> Self {
        let words = gtk::Label::builder().wrap(true).xalign(0.0).max_width_chars(WORDS_CHARS).hexpand(true).build();
        // As wide as its words, not as their longest one.
        words.set_natural_wrap_mode(gtk::NaturalWrapMode::None);
        let close = gtk::Button::builder().icon_name("window-close-symbolic").css_classes(["flat"]).build();
        close.update_property(&[gtk::accessible::Property::Label(&gettext("Dismiss"))]);
        let root = gtk::Box::builder().spacing(12).visible(false).css_classes(["toast-line"]).build();
        root.append(&words);
        root.append(&close);
        let (closed, gone) = (root.downgrade(), root.downgrade());
        close.connect_clicked(move |_| closed.upgrade().iter().for_each(|root| root.set_visible(false)));
        let going = Debounce::new(lasts, move || gone.upgrade().iter().for_each(|root| root.set_visible(false)));
        Self { root, words, going, stays: RefCell::default() }
    }

    /// The same with a button that does `act`.
    pub(super) fn with(self, label: &str, act: impl Fn() + 'static) -> Self {
        let button = gtk::Button::with_label(label);
        button.connect_clicked(move |_| act());
        self.root.insert_child_after(&button, Some(&self.words));
        self
    }

    /// Its widget.
    pub(super) fn widget(&self) -> &gtk::Box {
        &self.root
    }

    /// Whether bad news stands there that nobody has closed.
    pub(super) fn is_unread(&self) -> bool {
        self.root.is_visible() && self.stays.borrow().is_some()
    }

    /// Says `words`; what `stays` is there until somebody closes it, or worse comes: the alerts keep all of it.
    pub(super) fn say(&self, words: &str, stays: bool) {
        let unread = self.stays.take().filter(|_| self.root.is_visible() && !stays);
        match &unread {
            Some(unread) => self.words.set_label(&format!("{unread}\n{words}")),
            None => self.words.set_label(words),
        }
        self.root.set_visible(true);
        let stays = unread.or_else(|| stays.then(|| words.to_owned()));
        if stays.is_some() {
            self.going.stop();
        } else {
            self.going.start();
        }
        self.stays.replace(stays);
    }
}

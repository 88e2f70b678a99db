//! One toast for each thing that is told again and again: while it shows, its words are changed; no second one waits behind it.
//!
//! Contract: nothing here dismisses a toast. Of one that is dismissed by the program shortly before another one shows,
//! libadwaita 1.2 frees what belongs to it a second time when its animation ends (seen as a crash of the window on Debian 12, in
//! one of some fifteen recordings).

use crate::ui::l10n::gettext;
use gtk::glib;
use gtk::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;

/// See the module. Main thread only.
#[derive(Debug, Default)]
pub(super) struct Toast {
    shown: Rc<RefCell<Option<adw::Toast>>>,
}

impl Toast {
    /// Says `words` for so many seconds (0 = until somebody closes it); `prepare` is called for a new one.
    pub(super) fn say(
        &self,
        overlay: &adw::ToastOverlay,
        words: &str,
        seconds: u32,
        prepare: impl FnOnce(&adw::Toast),
    ) {
        // It is read as markup, and a name may hold anything.
        let title = glib::markup_escape_text(words);
        let lasts = |toast: &&adw::Toast| seconds > 0 || toast.timeout() == 0;
        if let Some(toast) = self.shown.borrow().as_ref().filter(lasts) {
            return toast.set_title(&title);
        }
        let toast = adw::Toast::builder().title(title).timeout(seconds).build();
        let shown = Rc::clone(&self.shown);
        toast.connect_dismissed(move |gone| {
            let mut shown = shown.borrow_mut();
            if shown.as_ref() == Some(gone) {
                *shown = None;
            }
        });
        prepare(&toast);
        self.shown.replace(Some(toast.clone()));
        overlay.add_toast(toast);
        name_close_buttons(overlay);
    }
}

/// The close button of a toast has an icon and no name in libadwaita 1.2, so it gets one.
fn name_close_buttons(overlay: &adw::ToastOverlay) {
    let mut below = vec![overlay.clone().upcast::<gtk::Widget>()];
    while let Some(widget) = below.pop() {
        if let Some(button) = widget.downcast_ref::<gtk::Button>().filter(|button| button.label().is_none()) {
            button.update_property(&[gtk::accessible::Property::Label(&gettext("Dismiss"))]);
        }
        // The content of the window is no toast.
        let children = std::iter::successors(widget.first_child(), gtk::Widget::next_sibling);
        let toasts = |child: &gtk::Widget| Some(child) != overlay.child().as_ref();
        below.extend(children.filter(toasts));
    }
}

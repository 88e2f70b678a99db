//! Says aloud what somebody who does not see the window would miss (R-UI-2): a live region, which GTK 4.8 has no other way
//! to offer (`gtk_accessible_announce` came with 4.14).

use super::glib_once::Debounce;
use gtk::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// What is said within this time is said in one go: the second word would cut the first one off.
const TOGETHER: Duration = Duration::from_millis(60);
/// More at once nobody listens to; the oldest are left out.
const AT_ONCE: usize = 4;

/// A label nobody sees and every screen reader reads aloud once it shows; must be in sight of assistive technology.
pub fn live_region() -> gtk::Label {
    let region = gtk::Label::builder().accessible_role(gtk::AccessibleRole::Alert).css_classes(["announcer"]);
    let region = region.ellipsize(gtk::pango::EllipsizeMode::End).can_target(false).visible(false);
    region.halign(gtk::Align::Start).valign(gtk::Align::Start).build()
}

/// Shows `words` anew, so that the same words twice are told twice.
pub fn tell(region: &gtk::Label, words: &str) {
    region.set_visible(false);
    region.set_label(words);
    region.set_visible(true);
}

/// See the module. Main thread only.
pub struct Announcer {
    region: gtk::Label,
    waiting: Rc<RefCell<Vec<String>>>,
    soon: Debounce,
}

impl Announcer {
    /// Says nothing yet.
    pub fn new() -> Self {
        let (region, waiting) = (live_region(), Rc::<RefCell<Vec<String>>>::default());
        let (shown, said) = (region.clone(), Rc::clone(&waiting));
        let soon = Debounce::new(TOGETHER, move || tell(&shown, &said.take().join(". ")));
        Self { region, waiting, soon }
    }

    /// Where it is read from.
    pub fn widget(&self) -> &gtk::Label {
        &self.region
    }

    /// Says it, behind whatever else is said at this moment. What was said before is not true any more.
    pub fn say(&self, words: &str) {
        self.region.set_visible(false);
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() >= AT_ONCE {
            waiting.remove(0);
        }
        waiting.push(words.to_owned());
        self.soon.start_once();
    }
}

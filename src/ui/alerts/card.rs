//! One alert in the sidebar. Its widgets are made once; what it says is changed in place, also when it becomes the card of
//! another alert, so that focus and scroll position stay where they are.

use super::breaks::breakable;
use super::face::{Ask, CardFace};
use crate::ui::theme::Dress;
use gtk::pango::{AttrInt, AttrList, EllipsizeMode};
use gtk::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;

/// See the module. Main thread only.
///
/// ```text
///   icon  20:31:07 · HDMI 3            ×3
///         what happened
///         what was done
///         what you can do
///         ✓ back after 14 s
///              [Retry now] [Acknowledge]
/// ```
#[derive(Debug)]
pub struct Card {
    face: CardFace,
    root: gtk::Box,
    icon: gtk::Image,
    time: gtk::Label,
    source: gtk::Label,
    count: gtk::Label,
    lines: [gtk::Label; 4],
    over: gtk::Box,
    over_words: gtk::Label,
    row: gtk::Box,
    buttons: [gtk::Button; 2],
    asks: Rc<RefCell<[Option<Ask>; 2]>>,
}

impl Card {
    /// The card of an alert; `press` is called with what a button asks for.
    pub fn new(face: CardFace, press: &Rc<dyn Fn(Ask)>) -> Self {
        let icon = gtk::Image::builder().valign(gtk::Align::Start).css_classes(["card-icon"]).build();
        let time = gtk::Label::builder().css_classes(["numeric", "card-time"]).build();
        let source = gtk::Label::builder().css_classes(["card-source"]).xalign(0.0).hexpand(true).build();
        source.set_ellipsize(EllipsizeMode::End);
        let count = gtk::Label::builder().css_classes(["numeric", "card-count"]).build();
        let title = gtk::Box::builder().spacing(8).build();
        title.append(&time);
        title.append(&source);
        title.append(&count);
        let lines = ["card-happened", "card-done", "card-remedy", "card-more"].map(make_line);
        let over_words = make_line("card-over");
        let over = gtk::Box::builder().spacing(6).css_classes(["card-over"]).build();
        over.append(&gtk::Image::from_icon_name("emblem-ok-symbolic"));
        over.append(&over_words);
        let asks: Rc<RefCell<[Option<Ask>; 2]>> = Rc::default();
        let row = gtk::Box::builder().spacing(8).margin_top(6).halign(gtk::Align::End).build();
        let buttons = [0, 1].map(|place| {
            let button = make_button(place, &asks, press);
            row.append(&button);
            button
        });
        let words = gtk::Box::builder().orientation(gtk::Orientation::Vertical).spacing(5).hexpand(true).build();
        words.append(&title);
        lines.iter().for_each(|line| words.append(line));
        words.append(&over);
        let upper = gtk::Box::builder().spacing(10).build();
        upper.append(&icon);
        upper.append(&words);
        let root =
            gtk::Box::builder().accessible_role(gtk::AccessibleRole::ListItem).spacing(4).focusable(true).build();
        root.set_orientation(gtk::Orientation::Vertical);
        root.append(&upper);
        root.append(&row);
        let mut card = Self { face, root, icon, time, source, count, lines, over, over_words, row, buttons, asks };
        card.draw();
        card
    }

    /// Which alert it shows.
    pub fn id(&self) -> u64 {
        self.face.id
    }

    /// Its widget.
    pub fn widget(&self) -> &gtk::Box {
        &self.root
    }

    /// Whether it shows this already.
    pub fn shows(&self, face: &CardFace) -> bool {
        self.face == *face
    }

    /// Shows this from now on. `false` = it does already.
    pub fn show(&mut self, face: CardFace) -> bool {
        let changed = self.face != face;
        if changed {
            self.face = face;
            self.draw();
        }
        changed
    }

    /// Whether it is in sight at all.
    pub fn set_visible(&self, visible: bool) {
        self.root.set_visible(visible);
    }

    fn draw(&mut self) {
        let face = &self.face;
        let state = [("fresh", face.fresh), ("over", face.over.is_some())];
        let state = state.into_iter().filter_map(|(class, holds)| holds.then_some(class));
        self.root.dress(&["alert-card", face.class()].into_iter().chain(state).collect::<Vec<_>>());
        self.root.update_property(&[gtk::accessible::Property::Label(&face.spoken())]);
        self.icon.set_icon_name(Some(face.icon()));
        self.time.set_label(&face.time);
        self.source.set_label(&face.source);
        set_or_hide(&self.count, face.count.as_deref().unwrap_or_default());
        let said = [&face.said.happened, &face.said.done, &face.said.remedy, &face.said.more];
        self.lines.iter().zip(said).for_each(|(line, said)| set_or_hide(line, &breakable(said)));
        self.over.set_visible(face.over.is_some());
        self.over_words.set_label(face.over.as_deref().unwrap_or_default());
        self.draw_buttons();
    }

    /// What can be done stands in the first place, that it was seen in the second.
    fn draw_buttons(&self) {
        let (seen, remedy): (Vec<_>, Vec<_>) =
            self.face.buttons.iter().cloned().partition(|ask| matches!(ask, Ask::Acknowledge(_)));
        let asks = [remedy.into_iter().next(), seen.into_iter().next()];
        for (button, ask) in self.buttons.iter().zip(&asks) {
            // Who has just pressed it with a key stays on the card.
            if ask.is_none() && button.has_focus() {
                self.root.grab_focus();
            }
            button.set_visible(ask.is_some());
            let label = ask.as_ref().map(Ask::label).unwrap_or_default();
            if let Some(words) = button.child().and_downcast::<gtk::Label>() {
                words.set_label(&label);
            }
            let about = [&self.face.source, &self.face.said.happened].map(String::as_str).join(": ");
            button.set_tooltip_text(Some(&label));
            button.update_property(&[
                gtk::accessible::Property::Label(&label),
                gtk::accessible::Property::Description(&about),
            ]);
        }
        self.row.set_visible(asks.iter().any(Option::is_some));
        self.asks.replace(asks);
    }
}

fn make_line(class: &str) -> gtk::Label {
    let line = gtk::Label::builder().css_classes([class]).xalign(0.0).wrap(true).build();
    let attributes = AttrList::new();
    // A hyphen that was put into a name would be taken for a part of it.
    attributes.insert(AttrInt::new_insert_hyphens(false));
    line.set_attributes(Some(&attributes));
    line
}

fn make_button(place: usize, asks: &Rc<RefCell<[Option<Ask>; 2]>>, press: &Rc<dyn Fn(Ask)>) -> gtk::Button {
    let words = gtk::Label::builder().ellipsize(EllipsizeMode::End).build();
    let button = gtk::Button::builder().child(&words).css_classes(["card-button"]).build();
    let (asks, press) = (Rc::clone(asks), Rc::clone(press));
    button.connect_clicked(move |_| {
        let ask = asks.borrow()[place].clone();
        ask.into_iter().for_each(|ask| press(ask));
    });
    button
}

fn set_or_hide(label: &gtk::Label, words: &str) {
    label.set_label(words);
    label.set_visible(!words.is_empty());
}

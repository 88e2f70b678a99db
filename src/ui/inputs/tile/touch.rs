//! How touches, drags and keys reach a tile as a whole; the buttons on it take theirs first.

use super::{Step, Tile, TileMsg};
use crate::model::InputId;
use gtk::prelude::*;
use gtk::{gdk, glib};
use relm4::factory::FactorySender;

/// A tap on the picture shows it large, and another one all of them again.
pub(super) fn make_tap(sender: &FactorySender<Tile>) -> gtk::GestureClick {
    let tap = gtk::GestureClick::new();
    let input = sender.input_sender().clone();
    tap.connect_released(move |_, _, _, _| {
        let _ = input.send(TileMsg::LargeClicked);
    });
    tap
}

/// The same for Enter and Space on a tile that has the focus itself.
pub(super) fn make_keys(root: &gtk::Overlay, sender: &FactorySender<Tile>) -> gtk::EventControllerKey {
    let keys = gtk::EventControllerKey::new();
    let (input, root) = (sender.input_sender().clone(), root.downgrade());
    keys.connect_key_pressed(move |_, key, _, state| {
        let focused = root.upgrade().is_some_and(|root| root.has_focus());
        let moves = state.contains(gdk::ModifierType::ALT_MASK);
        let message = match key {
            gdk::Key::Return | gdk::Key::KP_Enter | gdk::Key::space if focused => TileMsg::LargeClicked,
            gdk::Key::Left | gdk::Key::Up if focused && moves => TileMsg::Moved(Step::Earlier),
            gdk::Key::Right | gdk::Key::Down if focused && moves => TileMsg::Moved(Step::Later),
            _ => return glib::Propagation::Proceed,
        };
        let _ = input.send(message);
        glib::Propagation::Stop
    });
    keys
}

/// A tile can be taken to the place of another one: the first is the most important (R-DEG-2).
pub(super) fn make_drag(root: &gtk::Overlay, input: &InputId) -> gtk::DragSource {
    let drag = gtk::DragSource::builder().actions(gdk::DragAction::MOVE).build();
    let (input, tile) = (input.to_string(), root.downgrade());
    drag.connect_prepare(move |_, _, _| Some(gdk::ContentProvider::for_value(&input.to_value())));
    drag.connect_drag_begin(move |drag, _| {
        if let Some(tile) = tile.upgrade() {
            let (x, y) = (tile.width() / 2, tile.height() / 2);
            drag.set_icon(Some(&gtk::WidgetPaintable::new(Some(&tile)).current_image()), x, y);
        }
    });
    drag
}

/// What is dropped on a tile; whether it is one of ours is for the grid to know.
pub(super) fn make_drop(sender: &FactorySender<Tile>) -> gtk::DropTarget {
    let target = gtk::DropTarget::new(glib::Type::STRING, gdk::DragAction::MOVE);
    let input = sender.input_sender().clone();
    target.connect_drop(move |_, value, _, _| {
        let dropped = value.get::<String>().ok().and_then(|text| text.parse().ok());
        dropped.is_some_and(|dropped| input.send(TileMsg::Dropped(dropped)).is_ok())
    });
    target
}

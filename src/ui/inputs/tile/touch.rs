//! How touches and keys reach a tile as a whole; the buttons on it take theirs first.

use super::{Tile, TileMsg};
use gtk::glib;
use gtk::prelude::*;
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
    keys.connect_key_pressed(move |_, key, _, _| {
        let focused = root.upgrade().is_some_and(|root| root.has_focus());
        if !focused || !matches!(key, gtk::gdk::Key::Return | gtk::gdk::Key::KP_Enter | gtk::gdk::Key::space) {
            return glib::Propagation::Proceed;
        }
        let _ = input.send(TileMsg::LargeClicked);
        glib::Propagation::Stop
    });
    keys
}

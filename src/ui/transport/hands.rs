//! How touches, keys and assistive technology reach the Stop button.

use super::*;

/// What assistive technology gets in place of holding.
pub(super) fn make_confirm(sender: &ComponentSender<Transport>) -> gtk::Popover {
    let button = gtk::Button::with_label(&gettext("Stop recording"));
    button.add_css_class("destructive-action");
    button.add_css_class("big-button");
    let input = sender.input_sender().clone();
    button.connect_clicked(move |_| {
        let _ = input.send(TransportMsg::StopConfirmed);
    });
    gtk::Popover::builder().child(&button).build()
}

/// The pointer on Stop. It sits on what is around the button and claims the press before the button hears of it: what the
/// button reports as clicked then comes from assistive technology alone. (On the button itself the claim comes too late: its
/// own gesture has heard of the press already.)
pub(super) fn make_hold(sender: &ComponentSender<Transport>) -> gtk::GestureClick {
    let hold = gtk::GestureClick::builder().propagation_phase(gtk::PropagationPhase::Capture).build();
    let input = || sender.input_sender().clone();
    let (down, moved, up, gone) = (input(), input(), input(), input());
    hold.connect_pressed(move |gesture, _, _, _| {
        gesture.set_state(gtk::EventSequenceState::Claimed);
        let _ = down.send(TransportMsg::PointerDown);
    });
    hold.connect_update(move |gesture, sequence| {
        let inside =
            gesture.point(sequence).zip(gesture.widget()).is_some_and(|((x, y), widget)| widget.contains(x, y));
        if !inside {
            let _ = moved.send(TransportMsg::PointerUp);
        }
    });
    hold.connect_released(move |_, _, _, _| {
        let _ = up.send(TransportMsg::PointerUp);
    });
    hold.connect_cancel(move |_, _| {
        let _ = gone.send(TransportMsg::PointerUp);
    });
    hold
}

/// Space and Enter on Stop.
pub(super) fn make_keys(sender: &ComponentSender<Transport>) -> gtk::EventControllerKey {
    let keys = gtk::EventControllerKey::builder().propagation_phase(gtk::PropagationPhase::Capture).build();
    let (down, up) = (sender.input_sender().clone(), sender.input_sender().clone());
    let presses = |key| matches!(key, gtk::gdk::Key::space | gtk::gdk::Key::Return | gtk::gdk::Key::KP_Enter);
    keys.connect_key_pressed(move |_, key, _, _| {
        if !presses(key) {
            return glib::Propagation::Proceed;
        }
        let _ = down.send(TransportMsg::KeyDown);
        glib::Propagation::Stop
    });
    keys.connect_key_released(move |_, key, _, _| {
        if presses(key) {
            let _ = up.send(TransportMsg::KeyUp);
        }
    });
    keys
}

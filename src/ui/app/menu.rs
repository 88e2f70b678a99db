//! The menu of the header: health, language, full screen, keyboard shortcuts, about.
//!
//! Contract: every entry is an action of the window, so keys, menu and assistive technology reach the same; a plain letter
//! is none, because it would be taken from whoever types a name. What it opens is never modal (R-ALR-6).

use super::view::make_keys;
use super::{App, AppMsg};
use crate::ui::APPLICATION_ID;
use crate::ui::l10n::{self, gettext, pgettext};
use adw::prelude::*;
use gtk::{gio, glib};
use relm4::ComponentSender;

/// Keys of actions; those of the big button are not actions, because it matters how long they are held.
const KEYS: [(&str, &[&str]); 4] = [
    ("win.health", &["<Control>h"]),
    ("win.fullscreen", &["F11"]),
    ("win.shortcuts", &["F1", "<Control>question"]),
    ("win.close", &["<Control>q", "<Control>w"]),
];

/// The entries.
pub(super) fn entries() -> gio::Menu {
    let menu = gio::Menu::new();
    let languages = gio::Menu::new();
    for (code, name) in l10n::OFFERED {
        languages.append(Some(name), Some(&format!("win.language::{code}")));
    }
    let view = gio::Menu::new();
    view.append(Some(&gettext("Health")), Some("win.health"));
    view.append(Some(&gettext("Full screen")), Some("win.fullscreen"));
    view.append_submenu(Some(&gettext("Language")), &languages);
    menu.append_section(None, &view);
    let about = gio::Menu::new();
    about.append(Some(&gettext("Keyboard shortcuts")), Some("win.shortcuts"));
    about.append(Some(&gettext("About Holdfast")), Some("win.about"));
    about.append(Some(&gettext("Close window")), Some("win.close"));
    menu.append_section(None, &about);
    menu
}

/// Gives the window the actions and their keys.
pub(super) fn install(window: &adw::ApplicationWindow, sender: &ComponentSender<App>) {
    let tell = |name: &str, message: fn() -> AppMsg| {
        let action = gio::SimpleAction::new(name, None);
        let input = sender.input_sender().clone();
        action.connect_activate(move |_, _| {
            // The window is going; then nobody wants it any more.
            let _ = input.send(message());
        });
        window.add_action(&action);
    };
    tell("close", || AppMsg::Close);
    tell("health", || AppMsg::Health(true));
    show(window, "fullscreen", |window| window.set_fullscreened(!window.is_fullscreen()));
    // The big button is at hand there too: who reads how to stop presses it there.
    let beside = |window: &gtk::Window, sender: &ComponentSender<App>| {
        window.add_controller(make_keys(sender));
        window.present();
    };
    let of = sender.clone();
    show(window, "shortcuts", move |window| {
        shortcuts(window).iter().for_each(|shortcuts| beside(shortcuts.upcast_ref(), &of));
    });
    let of = sender.clone();
    show(window, "about", move |window| beside(about(window).upcast_ref(), &of));
    let language =
        gio::SimpleAction::new_stateful("language", Some(glib::VariantTy::STRING), &l10n::code().to_variant());
    let input = sender.input_sender().clone();
    language.connect_activate(move |_, wanted| {
        if let Some(code) = wanted.and_then(glib::Variant::get::<String>) {
            let _ = input.send(AppMsg::Language(code));
        }
    });
    window.add_action(&language);
    let application = relm4::main_adw_application();
    for (action, keys) in KEYS {
        application.set_accels_for_action(action, keys);
    }
}

fn show(window: &adw::ApplicationWindow, name: &str, show: impl Fn(&adw::ApplicationWindow) + 'static) {
    let action = gio::SimpleAction::new(name, None);
    let of = window.downgrade();
    action.connect_activate(move |_, _| {
        if let Some(window) = of.upgrade() {
            show(&window);
        }
    });
    window.add_action(&action);
}

fn about(window: &adw::ApplicationWindow) -> adw::AboutWindow {
    adw::AboutWindow::builder()
        .transient_for(window)
        .application_name("Holdfast")
        .application_icon(APPLICATION_ID)
        .version(env!("CARGO_PKG_VERSION"))
        .developer_name(gettext("The Holdfast authors"))
        .comments(gettext("Records several inputs at once, and says the truth about it."))
        .license_type(gtk::License::Gpl30)
        .build()
}

/// GTK before 4.14 fills this window from a description only.
fn shortcuts(window: &adw::ApplicationWindow) -> Option<gtk::ShortcutsWindow> {
    let recording = [
        (gettext("Record"), "F9 <Control>r"),
        (gettext("Stop: press twice within two seconds"), "F9 <Control>r"),
        (gettext("Set a marker"), "m"),
    ];
    let view = [
        (gettext("Show the focused input large"), "Return"),
        (gettext("Back to all inputs"), "Escape"),
        (gettext("Move the focused input"), "<Alt>Left <Alt>Right"),
        (gettext("Alerts"), "<Control>l"),
        (gettext("Health"), "<Control>h"),
        (gettext("Full screen"), "F11"),
        (gettext("Menu"), "F10"),
        (gettext("Keyboard shortcuts"), "F1"),
        (gettext("Close window"), "<Control>q"),
    ];
    let text =
        |name: &str, value: &str| format!("<property name=\"{name}\">{}</property>", glib::markup_escape_text(value));
    let object = |class: &str, inside: &str| format!("<child><object class=\"{class}\">{inside}</object></child>");
    let group = |title: String, entries: &[(String, &str)]| {
        let entry = |(title, keys): &(String, &str)| {
            object("GtkShortcutsShortcut", &(text("title", title) + &text("accelerator", keys)))
        };
        object("GtkShortcutsGroup", &(text("title", &title) + &entries.iter().map(entry).collect::<String>()))
    };
    let groups = group(pgettext("shortcuts", "Recording"), &recording) + &group(gettext("Window"), &view);
    let section = object("GtkShortcutsSection", &(text("section-name", "desk") + &groups));
    let all = format!("<interface><object class=\"GtkShortcutsWindow\" id=\"keys\">{section}</object></interface>");
    let shown: gtk::ShortcutsWindow = gtk::Builder::from_string(&all).object("keys")?;
    shown.set_transient_for(Some(window));
    shown.set_modal(false);
    Some(shown)
}

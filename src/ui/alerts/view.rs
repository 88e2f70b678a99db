//! The sidebar's widgets and how keys and touches reach it.

use super::aloud::SHOW_ACTION;
use super::*;
use gtk::gio;
use relm4::{ComponentParts, SimpleComponent};
use std::rc::Rc;

/// It comes and goes within 200 ms (DESK "Motion"): critically damped, 1 % left after 120 ms.
const DAMPING: f64 = 1.0;
const MASS: f64 = 0.5;
const STIFFNESS: f64 = 1500.0;
const FOLD_MS: u32 = 200;
/// Folds it out and in.
const TOGGLE_ACTION: &str = "toggle-alerts";
const TOGGLE_KEYS: &str = "<Control>l";

#[relm4::component(pub)]
impl SimpleComponent for Alerts {
    type Init = AlertsInit;
    type Input = AlertsMsg;
    type Output = Ask;

    view! {
        #[root]
        adw::Flap {
            set_vexpand: true,
            set_flap_position: gtk::PackType::End,
            // It opens and closes when asked, not when the window is resized.
            set_locked: true,
            set_modal: true,
            set_fold_policy: adw::FlapFoldPolicy::Never,
            set_fold_duration: FOLD_MS,
            set_reveal_params: &adw::SpringParams::new(DAMPING, MASS, STIFFNESS),
            set_reveal_flap: false,
            connect_reveal_flap_notify[sender] => move |flap| {
                // The sidebar is gone with the window.
                let _ = sender.input_sender().send(AlertsMsg::Opened(flap.reveals_flap()));
            },

            #[wrap(Some)]
            set_content = &gtk::Overlay {
                set_hexpand: true,
                set_child: Some(&init.content),
                add_overlay: model.aloud.announcer(),
            },

            #[wrap(Some)]
            set_separator = &gtk::Separator { set_orientation: gtk::Orientation::Vertical },

            #[wrap(Some)]
            set_flap = &gtk::Box {
                set_css_classes: &["background", "alerts"],
                set_hexpand: false,
                #[watch]
                set_width_request: model.sidebar_width(),

                // Hidden in its place: a flap without a visible child computes sizes of nothing.
                #[name(sidebar)]
                gtk::Box {
                    set_orientation: gtk::Orientation::Vertical,
                    set_hexpand: true,
                    set_visible: false,
                    set_accessible_role: gtk::AccessibleRole::Region,
                    update_property: &[gtk::accessible::Property::Label(&gettext("Alerts"))],

                    gtk::Box {
                        add_css_class: "alerts-header",
                        set_spacing: 8,

                        gtk::Label {
                            add_css_class: "alerts-title",
                            set_hexpand: true,
                            set_xalign: 0.0,
                            set_label: &gettext("Alerts"),
                        },
                        gtk::Button {
                            #[watch]
                            set_visible: !model.unseen().is_empty(),
                            update_property: &[gtk::accessible::Property::Label(&gettext("Acknowledge all"))],
                            connect_clicked => AlertsMsg::AcknowledgeAll,
                            gtk::Label {
                                set_ellipsize: gtk::pango::EllipsizeMode::End,
                                set_label: &gettext("Acknowledge all"),
                            },
                        },
                        gtk::ToggleButton {
                            add_css_class: "flat",
                            set_active: !model.own.alerts_silent,
                            #[watch]
                            set_icon_name: model.sound_icon(),
                            set_tooltip_text: Some(&gettext("Sound for critical alerts")),
                            update_property: &[gtk::accessible::Property::Label(&gettext("Sound for critical alerts"))],
                            connect_toggled[sender] => move |button| {
                                let _ = sender.input_sender().send(AlertsMsg::Sound(button.is_active()));
                            },
                        },
                        gtk::Button {
                            add_css_class: "flat",
                            #[watch]
                            set_visible: model.over,
                            set_icon_name: "window-close-symbolic",
                            set_tooltip_text: Some(&gettext("Close alerts")),
                            update_property: &[gtk::accessible::Property::Label(&gettext("Close alerts"))],
                            connect_clicked => AlertsMsg::Close,
                        },
                    },

                    gtk::Box {
                        add_css_class: "alerts-empty",
                        set_orientation: gtk::Orientation::Vertical,
                        set_spacing: 12,
                        set_vexpand: true,
                        set_valign: gtk::Align::Center,
                        #[watch]
                        set_visible: model.view.alerts.is_empty() && model.view.current,

                        gtk::Image { set_icon_name: Some("emblem-ok-symbolic") },
                        gtk::Label { set_wrap: true, set_label: &gettext("Nothing to report") },
                    },

                    gtk::Label {
                        add_css_class: "alerts-old",
                        set_wrap: true,
                        set_xalign: 0.0,
                        #[watch]
                        set_visible: !model.view.current,
                        #[watch]
                        set_label: &model.contact_words(),
                    },

                    gtk::ScrolledWindow {
                        set_vexpand: true,
                        set_hscrollbar_policy: gtk::PolicyType::Never,
                        #[watch]
                        set_css_classes: if model.view.current { &[] } else { &["stale"] },
                        #[watch]
                        set_visible: !model.view.alerts.is_empty(),
                        connect_edge_reached[sender] => move |_, edge| {
                            let _ = match edge {
                                gtk::PositionType::Top => sender.input_sender().send(AlertsMsg::Top),
                                gtk::PositionType::Bottom => sender.input_sender().send(AlertsMsg::More),
                                _ => Ok(()),
                            };
                        },

                        gtk::Box {
                            set_orientation: gtk::Orientation::Vertical,

                            append: model.cards.widget(),

                            gtk::Button {
                                add_css_class: "alerts-rest",
                                #[watch]
                                set_visible: model.rest() > 0,
                                #[watch]
                                set_label: &model.rest_words(),
                                connect_clicked => AlertsMsg::More,
                            },
                        },
                    },
                },
            },

            add_controller = gtk::EventControllerKey {
                connect_key_pressed[sender, flap = flap.downgrade()] => move |_, key, _, _| {
                    let Some(flap) = flap.upgrade() else { return glib::Propagation::Proceed };
                    if key != gtk::gdk::Key::Escape || !flap.is_folded() || !flap.reveals_flap() {
                        return glib::Propagation::Proceed;
                    }
                    let _ = sender.input_sender().send(AlertsMsg::Close);
                    glib::Propagation::Stop
                },
            },
        }
    }

    fn init(init: AlertsInit, root: Self::Root, sender: ComponentSender<Self>) -> ComponentParts<Self> {
        let pressed = sender.input_sender().clone();
        let press = Rc::new(move |ask| {
            // The sidebar is gone with the window.
            let _ = pressed.send(AlertsMsg::Pressed(ask));
        });
        let model = Self {
            view: AlertsView::default(),
            badge: init.badge,
            cards: Cards::new(press),
            news: News::default(),
            first: None,
            aloud: Aloud::new(),
            flap: root.clone(),
            width: 0,
            over: false,
            folding: None,
            own: init.own,
            folder: init.folder,
        };
        let flap = model.flap.clone();
        let widgets = view_output!();
        model.flap.bind_property("reveal-flap", model.badge.button(), "active").bidirectional().sync_create().build();
        show_while_open(&model.flap, &widgets.sidebar);
        offer_actions(&sender);
        ComponentParts { model, widgets }
    }

    fn update(&mut self, msg: AlertsMsg, sender: ComponentSender<Self>) {
        match msg {
            AlertsMsg::Show(view) => self.show(*view, &sender),
            AlertsMsg::Draw => self.draw(self.faces(), &sender),
            AlertsMsg::More => {
                self.cards.want_more();
                self.draw(self.faces(), &sender);
            }
            // What lies far below goes with the next refresh.
            AlertsMsg::Top => self.cards.want_few(),
            AlertsMsg::Width(width) => self.set_width(width),
            AlertsMsg::Opened(open) => self.opened(open),
            AlertsMsg::Open => self.flap.set_reveal_flap(true),
            AlertsMsg::Toggle => self.flap.set_reveal_flap(!self.flap.reveals_flap()),
            AlertsMsg::Close => self.close(),
            AlertsMsg::Sound(sound) => self.set_sound(sound),
            // The window lives as long as its sidebar.
            AlertsMsg::Pressed(ask) => drop(sender.output(ask)),
            AlertsMsg::AcknowledgeAll => drop(sender.output(Ask::Acknowledge(self.unseen()))),
        }
    }
}

/// What is folded in is nowhere: neither for the focus nor for assistive technology.
fn show_while_open(flap: &adw::Flap, sidebar: &gtk::Box) {
    let follow = {
        let sidebar = sidebar.clone();
        move |flap: &adw::Flap| {
            let open = flap.reveals_flap() || flap.reveal_progress() > 0.0;
            if sidebar.get_visible() != open {
                sidebar.set_visible(open);
            }
        }
    };
    flap.connect_reveal_flap_notify(follow.clone());
    flap.connect_reveal_progress_notify(follow);
}

/// What a click on a notification does, and a key wherever the focus is.
fn offer_actions(sender: &ComponentSender<Alerts>) {
    let application = relm4::main_application();
    let show = gio::SimpleAction::new(SHOW_ACTION, None);
    let input = sender.input_sender().clone();
    show.connect_activate(move |_, _| {
        relm4::main_application().windows().iter().for_each(gtk::prelude::GtkWindowExt::present);
        let _ = input.send(AlertsMsg::Open);
    });
    let toggle = gio::SimpleAction::new(TOGGLE_ACTION, None);
    let input = sender.input_sender().clone();
    toggle.connect_activate(move |_, _| {
        let _ = input.send(AlertsMsg::Toggle);
    });
    application.add_action(&show);
    application.add_action(&toggle);
    application.set_accels_for_action(&format!("app.{TOGGLE_ACTION}"), &[TOGGLE_KEYS]);
}

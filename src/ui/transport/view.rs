//! The header's widgets.

use super::hands::{make_confirm, make_hold, make_keys};
use super::*;
use gtk::prelude::*;
use relm4::ComponentParts;

#[relm4::component(pub)]
impl SimpleComponent for Transport {
    /// What it says first, the session name as typed, the menu, and the badge of the alerts.
    type Init = (TransportFace, String, gtk::gio::Menu, gtk::ToggleButton);
    type Input = TransportMsg;
    type Output = TransportOutput;

    view! {
        // Clipped rather than wide: what does not fit must not keep the window from shrinking to where it does.
        gtk::ScrolledWindow {
            add_css_class: "transport",
            set_hscrollbar_policy: gtk::PolicyType::External,
            set_vscrollbar_policy: gtk::PolicyType::Never,

            gtk::WindowHandle {
                gtk::Box {
                    set_orientation: gtk::Orientation::Vertical,

                    #[name(first_row)]
                    gtk::CenterBox {
                        #[wrap(Some)]
                        set_start_widget = &gtk::Box {
                            set_spacing: 12,
                            set_valign: gtk::Align::Center,

                            gtk::MenuButton {
                                add_css_class: "menu",
                                set_icon_name: "open-menu-symbolic",
                                set_menu_model: Some(&menu),
                                // F10.
                                set_primary: true,
                                set_tooltip_text: Some(&gettext("Menu")),
                                update_property: &[gtk::accessible::Property::Label(&gettext("Menu"))],
                            },
                            gtk::Entry {
                                set_buffer: &model.name,
                                set_max_length: NAME_MAX_CHARS,
                                set_placeholder_text: Some(&gettext("Session name")),
                                set_tooltip_text: Some(&name::help()),
                                #[watch]
                                set_css_classes: if model.name_refused.is_some() { &["session-name", "error"] } else { &["session-name"] },
                                connect_changed => TransportMsg::NameTyped,
                                #[watch]
                                set_width_chars: model.name_chars() - 4,
                                #[watch]
                                set_visible: model.face.session.is_none(),
                                update_property: &[gtk::accessible::Property::Label(&gettext("Session name"))],
                            },
                            gtk::Label {
                                add_css_class: "session-title",
                                set_ellipsize: gtk::pango::EllipsizeMode::End,
                                set_xalign: 0.0,
                                #[watch]
                                set_max_width_chars: model.name_chars(),
                                #[watch]
                                set_visible: model.face.session.is_some(),
                                #[watch]
                                set_tooltip_text: model.face.session.as_deref(),
                                #[watch]
                                set_label: model.face.session.as_deref().unwrap_or(""),
                            },
                            gtk::Label {
                                add_css_class: "word-quiet",
                                set_ellipsize: gtk::pango::EllipsizeMode::End,
                                set_max_width_chars: 22,
                                #[watch]
                                set_visible: model.becomes.is_some() && model.face.session.is_none() && matches!(model.room, Room::Wide | Room::Medium),
                                #[watch]
                                set_label: model.becomes.as_deref().unwrap_or(""),
                            },
                            gtk::Label {
                                add_css_class: "refusal",
                                set_wrap: true,
                                set_xalign: 0.0,
                                set_width_chars: 16,
                                set_max_width_chars: 22,
                                #[watch]
                                set_visible: model.refusal().is_some() && matches!(model.room, Room::Wide | Room::Medium),
                                #[watch]
                                set_label: model.refusal().unwrap_or(""),
                            },
                        },

                        #[wrap(Some)]
                        #[name(middle)]
                        set_center_widget = &gtk::Box {
                            #[watch]
                            set_spacing: if model.room == Room::Wide { 24 } else { 12 },
                            set_margin_start: 8,
                            set_margin_end: 8,
                            set_valign: gtk::Align::Center,

                            gtk::Label {
                                #[watch]
                                set_css_classes: &["state-word", model.face.word_class],
                                #[watch]
                                set_wrap: model.wraps(&model.face.word),
                                #[watch]
                                set_label: &model.face.word,
                            },
                            gtk::Label {
                                #[watch]
                                set_css_classes: if model.face.session.is_some() { &["state-time", "numeric"] } else { &["state-time", "numeric", "word-quiet"] },
                                set_tooltip_text: Some(&gettext("Media time written")),
                                #[watch]
                                set_label: &model.face.time,
                            },
                            gtk::Box {
                                set_valign: gtk::Align::Center,

                                #[name(record)]
                                gtk::Button {
                                    #[watch]
                                    set_visible: model.face.button.is_record(),
                                    add_css_class: "big-button",
                                    add_css_class: "record",
                                    #[watch]
                                    set_sensitive: model.may_record(),
                                    #[watch]
                                    set_tooltip_text: Some(&model.record_hint()),
                                    connect_clicked => TransportMsg::RecordClicked,
                                    update_property: &[gtk::accessible::Property::Label(&gettext("Record"))],

                                    gtk::Box {
                                        set_spacing: 10,
                                        set_halign: gtk::Align::Center,
                                        gtk::Label { add_css_class: "record-dot", set_label: "●" },
                                        gtk::Label { set_label: &gettext("Record") },
                                    },
                                },

                                #[name(held)]
                                gtk::Box {
                                    #[watch]
                                    set_visible: model.face.button.is_stop(),

                                    #[name(stop)]
                                    gtk::Button {
                                        set_hexpand: true,
                                        add_css_class: "big-button",
                                        add_css_class: "stop",
                                        set_tooltip_text: Some(&gettext("Hold to stop, or press F9 twice")),
                                        connect_clicked => TransportMsg::StopActivated,
                                        update_property: &[gtk::accessible::Property::Label(&gettext("Stop"))],

                                        gtk::Box {
                                            set_spacing: 10,
                                            set_halign: gtk::Align::Center,
                                            gtk::Spinner {
                                                #[watch]
                                                set_visible: model.face.button.is_starting(),
                                                #[watch]
                                                set_spinning: model.face.button.is_starting(),
                                            },
                                            #[name(ring)]
                                            gtk::DrawingArea {
                                                set_content_width: 30,
                                                set_content_height: 30,
                                                set_valign: gtk::Align::Center,
                                            },
                                            gtk::Label {
                                                set_xalign: 0.0,
                                                #[watch]
                                                set_wrap: model.room == Room::Narrow,
                                                #[watch]
                                                set_label: &model.stop_words(),
                                            },
                                        },
                                    },
                                },

                                gtk::Box {
                                    #[watch]
                                    set_visible: model.face.button.is_busy(),
                                    add_css_class: "big-button",
                                    set_spacing: 10,
                                    set_halign: gtk::Align::Center,
                                    gtk::Spinner {
                                        #[watch]
                                        set_spinning: model.face.button.is_busy(),
                                    },
                                    gtk::Label {
                                        add_css_class: "numeric",
                                        #[watch]
                                        set_wrap: model.room == Room::Narrow,
                                        #[watch]
                                        set_label: &model.busy_words(),
                                    },
                                },
                            },
                        },

                        #[wrap(Some)]
                        set_end_widget = &gtk::Box {
                            #[watch]
                            set_spacing: if model.room == Room::Wide { 16 } else { 8 },
                            set_valign: gtk::Align::Center,

                            gtk::Button {
                                add_css_class: "mark",
                                set_valign: gtk::Align::Center,
                                set_tooltip_text: Some(&gettext("Set a marker (M)")),
                                update_property: &[gtk::accessible::Property::Label(&gettext("Set a marker"))],
                                #[watch]
                                set_visible: model.face.markers.is_some(),
                                connect_clicked => TransportMsg::MarkClicked,
                                gtk::Box {
                                    set_spacing: 6,
                                    gtk::Image { set_icon_name: Some("bookmark-new-symbolic") },
                                    gtk::Label {
                                        add_css_class: "numeric",
                                        #[watch]
                                        set_visible: model.room != Room::Small,
                                        #[watch]
                                        set_label: &model.face.markers.unwrap_or(0).to_string(),
                                    },
                                },
                            },
                            gtk::Label {
                                add_css_class: "meter",
                                add_css_class: "numeric",
                                set_tooltip_text: Some(&gettext("Media time safe on disk")),
                                #[watch]
                                set_visible: model.room == Room::Wide && model.face.safe.is_some(),
                                #[watch]
                                set_label: &model.safe_words(),
                            },
                            gtk::Box {
                                set_spacing: 6,
                                set_tooltip_text: Some(&gettext("Recording time left on the disk")),
                                #[watch]
                                set_visible: model.room != Room::Narrow,
                                gtk::Image { set_icon_name: Some("drive-harddisk-symbolic") },
                                gtk::Label {
                                    add_css_class: "numeric",
                                    #[watch]
                                    set_css_classes: if model.face.headroom_low { &["meter", "numeric", "word-amber"] } else { &["meter", "numeric"] },
                                    #[watch]
                                    set_label: &model.face.headroom,
                                },
                            },
                            append: model.pill.widget(),
                            append: &alerts,
                            gtk::WindowControls {
                                set_side: gtk::PackType::End,
                                set_decoration_layout: Some(":close"),
                            },
                        },
                    },

                    #[name(second_row)]
                    gtk::Box {
                        set_halign: gtk::Align::Center,
                        #[watch]
                        set_visible: model.room == Room::Narrow,
                    },

                    // Beside the button there is no room for it on a small screen.
                    gtk::Label {
                        add_css_class: "refusal",
                        set_wrap: true,
                        set_margin_top: 6,
                        #[watch]
                        set_visible: model.refusal().is_some() && matches!(model.room, Room::Small | Room::Narrow),
                        #[watch]
                        set_label: model.refusal().unwrap_or(""),
                    },
                },
            },
        }
    }

    fn init(
        (face, typed, menu, alerts): Self::Init,
        root: Self::Root,
        sender: ComponentSender<Self>,
    ) -> ComponentParts<Self> {
        let mut model = Self {
            face,
            room: Room::Wide,
            guard: StopGuard::default(),
            ticking: false,
            fill: Rc::default(),
            pill: Pill::default(),
            name: gtk::EntryBuffer::new(Some(typed)),
            name_refused: None,
            becomes: None,
            closing_since: None,
            stopped_at: None,
            focus: Focus::default(),
            confirm: make_confirm(&sender),
        };
        model.read_name();
        let widgets = view_output!();
        ring::connect(&widgets.ring, &model.fill);
        model.focus.buttons = vec![widgets.record.clone(), widgets.stop.clone()];
        model.confirm.set_parent(&widgets.stop);
        widgets.held.add_controller(make_hold(&sender));
        widgets.stop.add_controller(make_keys(&sender));
        ComponentParts { model, widgets }
    }

    fn update(&mut self, msg: TransportMsg, sender: ComponentSender<Self>) {
        match msg {
            TransportMsg::Show(face) => self.show(*face),
            TransportMsg::Room(room) => self.room = room,
            TransportMsg::KeyDown => self.key_down(&sender),
            TransportMsg::KeyUp => self.touch(Touch::KeyUp, &sender),
            TransportMsg::PointerDown => self.touch(Touch::PointerDown, &sender),
            TransportMsg::PointerUp => self.touch(Touch::PointerUp, &sender),
            TransportMsg::Tick => self.tick(&sender),
            TransportMsg::RecordClicked => self.record(&sender),
            // The window lives as long as its header.
            TransportMsg::MarkClicked => drop(sender.output(TransportOutput::Mark)),
            TransportMsg::NameTyped => self.read_name(),
            TransportMsg::StopActivated => self.confirm.popup(),
            TransportMsg::StopConfirmed => self.stop(&sender),
        }
    }

    fn shutdown(&mut self, _widgets: &mut Self::Widgets, _output: relm4::Sender<TransportOutput>) {
        self.confirm.unparent();
    }

    fn post_view(&self, widgets: &mut Self::Widgets) {
        self.keep_focus(&widgets.record, &widgets.stop);
        place(self, widgets);
        widgets.ring.queue_draw();
        self.pill.show(self.face.level.as_ref(), &self.face.cpu, self.room);
    }
}

/// On a front panel the state and the button have a row of their own.
fn place(model: &Transport, widgets: &TransportWidgets) {
    let narrow = model.room == Room::Narrow;
    if narrow == (widgets.middle.parent().as_ref() == Some(widgets.second_row.upcast_ref())) {
        return;
    }
    if narrow {
        widgets.first_row.set_center_widget(None::<&gtk::Widget>);
        widgets.second_row.append(&widgets.middle);
    } else {
        widgets.second_row.remove(&widgets.middle);
        widgets.first_row.set_center_widget(Some(&widgets.middle));
    }
}

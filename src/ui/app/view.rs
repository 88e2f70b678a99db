//! The window's widgets and how messages reach the root component.

use super::leave::{MARKED_LASTS, SAVED_LASTS, open_folder};
use super::notice::Notice;
use super::*;
use crate::ui::health::Back;
use crate::ui::l10n::gettext;
use crate::ui::theme::Dress;
use gtk::glib;
use gtk::prelude::*;
use relm4::ComponentParts;
use std::cell::Cell;
use std::path::Path;

/// Size of a window nobody has sized yet.
const DEFAULT_SIZE: (i32, i32) = (1280, 800);
/// From this width on there is room for everything.
const WIDE_FROM: i32 = 1500;
/// From this width on there is room for words of full size.
const MEDIUM_FROM: i32 = 1150;
/// Below this width the panel is too narrow for pictures.
const NARROW_BELOW: i32 = 720;

/// The engine looks at its processes that often (R-DEG-4).
const ASK_HEALTH: Duration = Duration::from_secs(2);

/// How much room a window of this width has.
pub(super) fn room(width: i32) -> Room {
    match width {
        ..NARROW_BELOW => Room::Narrow,
        NARROW_BELOW..MEDIUM_FROM => Room::Small,
        MEDIUM_FROM..WIDE_FROM => Room::Medium,
        _ => Room::Wide,
    }
}

#[relm4::component(pub)]
impl Component for App {
    type Init = AppInit;
    type Input = AppMsg;
    type Output = ();
    type CommandOutput = AppCmd;

    view! {
        #[root]
        adw::ApplicationWindow {
            set_title: Some("Holdfast"),
            #[watch]
            dress: &model.window_classes(),

            connect_close_request[sender] => move |_| {
                // Decided by the component; the window stays until then.
                let _ = sender.input_sender().send(AppMsg::Close);
                glib::Propagation::Stop
            },

            gtk::Overlay {
                add_overlay = &gtk::Box {
                    set_orientation: gtk::Orientation::Vertical,
                    set_halign: gtk::Align::Center,
                    set_valign: gtk::Align::End,
                    set_spacing: 8,
                    set_margin_bottom: 56,
                    append: model.marked.widget(),
                    append: model.saved.widget(),
                },

                #[wrap(Some)]
                set_child = &                gtk::Box {
                    set_orientation: gtk::Orientation::Vertical,

                    // Tells the width of the window, draws nothing.
                    gtk::DrawingArea {
                        set_hexpand: true,
                        connect_resize[sender] => move |_, width, _| {
                            let _ = sender.input_sender().send(AppMsg::Width(width));
                        },
                    },

                    append: model.transport.widget(),

                    gtk::Revealer {
                        #[watch]
                        set_reveal_child: model.notice.is_some(),

                        gtk::Box {
                            add_css_class: "notice",
                            set_spacing: 12,

                            gtk::Image { set_icon_name: Some("dialog-warning-symbolic") },
                            gtk::Label {
                                set_hexpand: true,
                                set_xalign: 0.0,
                                set_wrap: true,
                                #[watch]
                                set_label: &model.notice_words(),
                            },
                            gtk::Button {
                                set_label: &gettext("Close window"),
                                #[watch]
                                set_visible: model.notice == Some(Notice::Closing),
                                connect_clicked => AppMsg::CloseAnyway,
                            },
                            gtk::Button {
                                #[watch]
                                set_label: &model.dismiss_words(),
                                connect_clicked => AppMsg::Dismiss,
                            },
                        },
                    },

                    append: model.alerts.widget(),

                    gtk::Box {
                        add_css_class: "status-line",
                        set_spacing: 12,

                        gtk::Label {
                            add_css_class: "numeric",
                            set_hexpand: true,
                            set_xalign: 0.0,
                            set_ellipsize: gtk::pango::EllipsizeMode::End,
                            #[watch]
                            set_label: &model.status.left,
                        },
                        gtk::Label {
                            add_css_class: "numeric",
                            set_ellipsize: gtk::pango::EllipsizeMode::Start,
                            #[watch]
                            set_visible: model.room != Room::Narrow,
                            #[watch]
                            set_label: &model.status.right,
                        },
                    },
                },
            },
        }
    }

    fn init(init: AppInit, root: Self::Root, sender: ComponentSender<Self>) -> ComponentParts<Self> {
        let client = Client::new(init.runtime.engine_socket()).as_window();
        let desk = Desk::default();
        let own = init.own;
        let (width, height) = own.size.unwrap_or(DEFAULT_SIZE);
        let badge = Badge::new();
        let face = TransportFace::new(&desk);
        let shown = init.shown;
        let transport = (face, shown.name, menu::entries(), badge.button().clone());
        let transport = Transport::builder().launch(transport).forward(sender.input_sender(), |output| match output {
            TransportOutput::Record(name) => AppMsg::Record(name),
            TransportOutput::Stop => AppMsg::Stop,
            TransportOutput::Mark => AppMsg::Mark,
        });
        let inputs =
            Inputs::builder().launch((init.runtime.clone(), shown.large)).forward(sender.input_sender(), |output| {
                match output {
                    InputsOutput::Retry(input) => AppMsg::Retry(input),
                    InputsOutput::History(input) => AppMsg::History(input),
                    InputsOutput::ClearClip(input) => AppMsg::ClearClip(input),
                    InputsOutput::Painted(took) => AppMsg::Painted(took),
                    InputsOutput::Order(order) => AppMsg::Order(order),
                }
            });
        let health = Health::builder().launch(()).forward(sender.input_sender(), |Back| AppMsg::Health(false));
        health.widget().set_visible(false);
        // The sidebar stands beside whichever of the two is shown.
        let both = gtk::Box::default();
        both.append(inputs.widget());
        both.append(health.widget());
        let (content, announcer) = (gtk::Overlay::builder().child(&both).build(), Announcer::new());
        content.add_overlay(announcer.widget());
        let content = content.upcast();
        let alerts = AlertsInit { content, badge, folder: init.folder.clone(), own };
        let alerts = Alerts::builder().launch(alerts).forward(sender.input_sender(), AppMsg::Alert);
        root.set_default_size(width, height);
        let opens = Rc::<RefCell<String>>::default();
        let (folder, tell) = (Rc::clone(&opens), sender.input_sender().clone());
        let saved = Toast::new(SAVED_LASTS)
            .with(&gettext("Open"), move || open_folder(Path::new(folder.borrow().as_str()), &tell));
        let model = App {
            status: StatusLine::new(&desk),
            runtime: init.runtime,
            starter: init.starter,
            step_back: init.step_back,
            desk,
            starts: Starts { client: client.clone(), folder: init.folder },
            client,
            alerts_asked: 0,
            knew_alerts: false,
            alerts_missing: false,
            asking_history: Asking::default(),
            asking_order: Asking::default(),
            next_order: None,
            asking_health: Asking::default(),
            health,
            notice: shown.notice,
            unread: shown.unread,
            speaks: None,
            room: Room::Wide,
            transport,
            inputs,
            alerts,
            alerts_soon: alerting::make_alerts_soon(&sender),
            window: root.clone(),
            saved,
            opens,
            marked: Toast::new(MARKED_LASTS),
            announcer,
            announced: None,
            leaving: false,
            windows: init.windows,
            _signals: Signals::new(&sender),
        };
        let widgets = view_output!();
        if shown.maximised {
            root.maximize();
        }
        if shown.health {
            let _ = sender.input_sender().send(AppMsg::Health(true));
        }
        root.add_controller(make_keys(&sender));
        let marking = Rc::<Cell<bool>>::default();
        root.add_controller(make_plain_keys(&sender, &marking));
        // Of a key that is let go while another window has the keyboard nobody hears here.
        let up = sender.input_sender().clone();
        root.connect_is_active_notify(move |_| {
            marking.set(false);
            let _ = up.send(AppMsg::KeyUp);
        });
        let asker = sender.input_sender().clone();
        glib::timeout_add_local(ASK_HEALTH, move || match asker.send(AppMsg::AskHealth) {
            Ok(()) => glib::ControlFlow::Continue,
            // The window is gone, and the timer with it.
            Err(_) => glib::ControlFlow::Break,
        });
        model.follow(&sender);
        menu::install(&root, &sender);
        ComponentParts { model, widgets }
    }

    fn update(&mut self, msg: AppMsg, sender: ComponentSender<Self>, _root: &Self::Root) {
        match msg {
            AppMsg::Record(name) => self.record(name, &sender),
            AppMsg::Stop => self.stop(&sender),
            AppMsg::Retry(input) => self.retry(input, &sender),
            AppMsg::Alert(ask) => self.attend(ask, &sender),
            AppMsg::ShowAlerts => self.show_alerts(),
            AppMsg::KeyDown => self.transport.emit(TransportMsg::KeyDown),
            AppMsg::KeyUp => self.transport.emit(TransportMsg::KeyUp),
            AppMsg::Width(width) => self.set_width(width),
            AppMsg::Close => self.close(&sender),
            AppMsg::CloseAnyway => self.leave(&sender),
            AppMsg::Dismiss => self.notice = None,
            AppMsg::Mark => self.mark(&sender),
            AppMsg::AllInputs => {
                self.set_health(false, &sender);
                self.inputs.emit(InputsMsg::Enlarge(None));
            }
            AppMsg::Health(shown) => self.set_health(shown, &sender),
            AppMsg::AskHealth => self.fetch_health(&sender),
            AppMsg::ClearClip(input) => self.clear_clip(input, &sender),
            AppMsg::Order(order) => self.order(order, &sender),
            AppMsg::Painted(took) => self.report_preview(took, &sender),
            AppMsg::History(input) => self.fetch_history(input, &sender),
            AppMsg::Language(code) => self.keep_language(code, &sender),
            AppMsg::NotOpened(folder) => self.notice = Some(Notice::NotOpened(folder)),
        }
    }

    fn update_cmd(&mut self, cmd: AppCmd, sender: ComponentSender<Self>, _root: &Self::Root) {
        self.perform(cmd, &sender);
    }
}

impl App {
    fn window_classes(&self) -> Vec<&'static str> {
        let room = match self.room {
            Room::Wide => "wide",
            Room::Medium => "medium",
            Room::Small => "small-screen",
            Room::Narrow => "narrow",
        };
        vec!["background", "holdfast", room]
    }

    fn notice_words(&self) -> String {
        self.notice.as_ref().map(Notice::words).unwrap_or_default()
    }

    fn dismiss_words(&self) -> String {
        if self.notice == Some(Notice::Closing) { gettext("Stay") } else { gettext("Dismiss") }
    }
}

/// Also with Caps Lock.
fn is_r(key: gtk::gdk::Key) -> bool {
    matches!(key, gtk::gdk::Key::r | gtk::gdk::Key::R)
}

/// F9 and Ctrl+R are the big button, wherever the focus is.
pub(super) fn make_keys(sender: &ComponentSender<App>) -> gtk::EventControllerKey {
    let keys = gtk::EventControllerKey::builder().propagation_phase(gtk::PropagationPhase::Capture).build();
    let (down, up) = (sender.input_sender().clone(), sender.input_sender().clone());
    keys.connect_key_pressed(move |_, key, _, state| {
        let record = key == gtk::gdk::Key::F9 || (is_r(key) && state.contains(gtk::gdk::ModifierType::CONTROL_MASK));
        if !record {
            return glib::Propagation::Proceed;
        }
        let _ = down.send(AppMsg::KeyDown);
        glib::Propagation::Stop
    });
    keys.connect_key_released(move |_, key, _, _| {
        if key == gtk::gdk::Key::F9 || is_r(key) {
            let _ = up.send(AppMsg::KeyUp);
        }
    });
    keys
}

/// Keys that mean something wherever nobody else wants them: a name that is typed comes first.
fn make_plain_keys(sender: &ComponentSender<App>, down: &Rc<Cell<bool>>) -> gtk::EventControllerKey {
    let keys = gtk::EventControllerKey::builder().propagation_phase(gtk::PropagationPhase::Bubble).build();
    let input = sender.input_sender().clone();
    // A key that is held is one wish.
    let (down, up) = (Rc::clone(down), Rc::clone(down));
    keys.connect_key_released(move |_, key, _, _| {
        if matches!(key, gtk::gdk::Key::m | gtk::gdk::Key::M) {
            up.set(false);
        }
    });
    keys.connect_key_pressed(move |_, key, _, state| {
        let message = match key {
            gtk::gdk::Key::m | gtk::gdk::Key::M if !state.contains(gtk::gdk::ModifierType::CONTROL_MASK) => {
                if down.replace(true) {
                    return glib::Propagation::Stop;
                }
                AppMsg::Mark
            }
            gtk::gdk::Key::Escape => AppMsg::AllInputs,
            _ => return glib::Propagation::Proceed,
        };
        let _ = input.send(message);
        glib::Propagation::Stop
    });
    keys
}

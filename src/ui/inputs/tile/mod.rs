//! One input in the grid: its picture, and over it, on a scrim, what the picture cannot say (DESK "Tile").

mod looks;
mod touch;

use super::check::Check;
use super::face::{Outline, Sight, TileFace};
pub use super::message::{Place, Step, TileInit, TileMsg, TileOutput, TileView};
use super::meter;
use super::preview::Preview;
use crate::model::snapshot::{InputState, PreviewState};
use crate::ui::glib_once::Debounce;
use crate::ui::l10n::gettext;
use gtk::glib;
use gtk::prelude::*;
use relm4::factory::{DynamicIndex, FactoryComponent, FactorySender};
use std::time::Duration;

/// A tile that is being resized is asked for a new picture size only when it has come to rest (DESIGN §2).
const RESIZE_REST: Duration = Duration::from_millis(300);

/// One input.
pub struct Tile {
    view: TileView,
    face: TileFace,
    sight: Sight,
    preview: Preview,
    place: Place,
    size: (i32, i32),
    resting: Debounce,
}

#[relm4::factory(pub)]
impl FactoryComponent for Tile {
    type Init = TileInit;
    type Input = TileMsg;
    type Output = TileOutput;
    type CommandOutput = ();
    type ParentWidget = gtk::Box;
    type Index = DynamicIndex;

    view! {
        #[root]
        gtk::Overlay {
            set_overflow: gtk::Overflow::Hidden,
            set_accessible_role: gtk::AccessibleRole::Group,
            set_focusable: true,
            #[watch]
            set_visible: self.place != Place::Away,
            #[watch]
            set_css_classes: &self.classes(),
            #[watch]
            update_property: &[gtk::accessible::Property::Label(&self.face.spoken())],

            #[name(picture)]
            gtk::Picture {
                add_css_class: "picture",
                // Letterboxed, never cropped (R-UI-1).
                set_content_fit: gtk::ContentFit::Contain,
                set_can_shrink: true,
                #[watch]
                set_opacity: self.picture_opacity(),
                #[watch]
                set_visible: !self.is_line(),
                // Another one when its screen had to be made anew.
                #[watch]
                set_paintable: self.preview.paintable().as_ref(),
            },

            add_overlay = &gtk::Image {
                add_css_class: "tile-icon",
                set_can_target: false,
                #[watch]
                set_valign: if self.has_room_for_words() { gtk::Align::Center } else { gtk::Align::Start },
                set_halign: gtk::Align::Center,
                #[watch]
                set_icon_name: self.icon(),
                #[watch]
                set_visible: !self.is_line() && self.icon().is_some(),
            },

            // Tells the size of the picture, draws nothing.
            add_overlay = &gtk::DrawingArea {
                set_can_target: false,
                connect_resize[sender] => move |area, width, height| {
                    let scale = area.scale_factor();
                    // The tile may be gone already; then nobody needs its size.
                    let _ = sender.input_sender().send(TileMsg::Resized(width * scale, height * scale));
                },
                connect_unmap[sender] => move |_| {
                    let _ = sender.input_sender().send(TileMsg::Resized(0, 0));
                },
                connect_map[sender] => move |area| {
                    let scale = area.scale_factor();
                    let _ = sender.input_sender().send(TileMsg::Resized(area.width() * scale, area.height() * scale));
                },
            },

            add_overlay = &gtk::Box {
                add_css_class: "scrim",
                set_orientation: gtk::Orientation::Vertical,
                #[watch]
                set_valign: if self.is_line() { gtk::Align::Center } else { gtk::Align::End },

                gtk::Box {
                    set_spacing: 10,
                    #[watch]
                    set_vexpand: !self.has_second_row(),

                    gtk::Label {
                        add_css_class: "tile-name",
                        set_hexpand: true,
                        set_xalign: 0.0,
                        set_ellipsize: gtk::pango::EllipsizeMode::End,
                        #[watch]
                        set_label: &self.face.name,
                    },
                    gtk::Label {
                        add_css_class: "tile-rec",
                        #[watch]
                        set_visible: self.face.rec,
                        set_label: &gettext("● REC"),
                    },
                    gtk::Spinner {
                        #[watch]
                        set_visible: self.face.outline == Outline::Fading,
                        #[watch]
                        set_spinning: self.face.outline == Outline::Fading,
                    },
                    gtk::Label {
                        add_css_class: "tile-time",
                        add_css_class: "numeric",
                        #[watch]
                        set_visible: self.face.media.is_some(),
                        #[watch]
                        set_label: self.face.media.as_deref().unwrap_or(""),
                    },
                    gtk::Button {
                        add_css_class: "tile-large",
                        add_css_class: "flat",
                        set_valign: gtk::Align::Center,
                        #[watch]
                        set_icon_name: self.large_icon(),
                        #[watch]
                        set_tooltip_text: Some(&self.large_words()),
                        #[watch]
                        update_property: &[gtk::accessible::Property::Label(&self.large_words())],
                        connect_clicked => TileMsg::LargeClicked,
                    },
                },

                gtk::Box {
                    set_spacing: 10,
                    #[watch]
                    set_visible: self.has_second_row(),

                    gtk::Label {
                        add_css_class: "tile-format",
                        set_xalign: 0.0,
                        set_ellipsize: gtk::pango::EllipsizeMode::End,
                        #[watch]
                        set_visible: !self.format_words().is_empty(),
                        #[watch]
                        set_label: self.format_words(),
                    },
                    gtk::Image {
                        #[watch]
                        set_css_classes: &self.check_classes("tile-check"),
                        #[watch]
                        set_visible: self.face.check.is_some(),
                        #[watch]
                        set_icon_name: self.face.check.as_ref().map(|check| check.icon),
                    },
                    gtk::Label {
                        #[watch]
                        set_css_classes: &self.check_classes("tile-words"),
                        set_xalign: 0.0,
                        set_ellipsize: gtk::pango::EllipsizeMode::End,
                        #[watch]
                        set_visible: self.face.check.is_some(),
                        #[watch]
                        set_label: self.check_words(),
                        #[watch]
                        set_tooltip_text: Some(self.check_words()),
                    },
                    gtk::Label {
                        add_css_class: "tile-words",
                        set_hexpand: true,
                        set_xalign: 0.0,
                        set_wrap: true,
                        #[watch]
                        set_lines: if self.is_line() { 1 } else { 2 },
                        set_ellipsize: gtk::pango::EllipsizeMode::End,
                        #[watch]
                        set_label: self.face.words.as_deref().unwrap_or(""),
                        #[watch]
                        set_tooltip_text: self.face.words.as_deref(),
                    },
                    gtk::Button {
                        add_css_class: "tile-retry",
                        set_valign: gtk::Align::Center,
                        update_property: &[gtk::accessible::Property::Label(&gettext("Retry now"))],
                        #[watch]
                        set_visible: self.face.retry && !self.is_line(),
                        connect_clicked => TileMsg::RetryClicked,
                        gtk::Box {
                            set_spacing: 8,
                            gtk::Image { set_icon_name: Some("view-refresh-symbolic") },
                            gtk::Label {
                                set_label: &gettext("Retry now"),
                                #[watch]
                                set_visible: self.has_room_for_words(),
                            },
                        },
                    },
                    gtk::Image {
                        add_css_class: "word-tally",
                        set_icon_name: Some("audio-volume-overamplified-symbolic"),
                        set_tooltip_text: Some(&gettext("The sound was too loud and has clipped.")),
                        #[watch]
                        set_visible: self.face.clipped && !self.is_line(),
                    },
                    #[name(meter)]
                    gtk::DrawingArea {
                        set_valign: gtk::Align::Center,
                        #[watch]
                        set_content_width: self.meter_size().0,
                        #[watch]
                        set_content_height: self.meter_size().1,
                        #[watch]
                        set_visible: self.has_meter(),
                    },
                    gtk::Label {
                        add_css_class: "tile-safe",
                        add_css_class: "numeric",
                        #[watch]
                        set_visible: self.has_safe(),
                        #[watch]
                        set_label: &self.safe_words(),
                    },
                },
            },
        }
    }

    fn init_model(init: TileInit, _index: &DynamicIndex, sender: FactorySender<Self>) -> Self {
        let id = init.view.input.id.clone();
        let input = sender.input_sender().clone();
        let preview = Preview::new(id, init.socket, move |event| {
            // The tile may be gone already; then its connection goes with it.
            let _ = input.send(TileMsg::Viewer(event));
        });
        let settled = sender.input_sender().clone();
        let resting = Debounce::new(RESIZE_REST, move || {
            let _ = settled.send(TileMsg::Settled);
        });
        let sight = Sight::default();
        let face = face(&init.view, sight);
        Self { view: init.view, face, sight, preview, place: init.place, size: (0, 0), resting }
    }

    fn init_widgets(
        &mut self,
        _index: &DynamicIndex,
        root: Self::Root,
        _returned: &gtk::Widget,
        sender: FactorySender<Self>,
    ) -> Self::Widgets {
        let widgets = view_output!();
        root.add_controller(touch::make_tap(&sender));
        root.add_controller(touch::make_keys(&root, &sender));
        root.add_controller(touch::make_drag(&root, &self.view.input.id));
        root.add_controller(touch::make_drop(&sender));
        let pump = self.preview.pump();
        let levels = meter::Levels::default();
        meter::connect(&widgets.meter, &levels);
        let meter = widgets.meter.clone();
        let looks = sender.input_sender().clone();
        // All tiles share the frame clock of the window, so their pictures are painted in one go; it rests while the
        // window is hidden.
        widgets.picture.add_tick_callback(move |_, _| {
            let mut pump = pump.borrow_mut();
            if pump.pull() {
                // It is seen at once, not at the next look. The tile may be going; then nobody looks.
                let _ = looks.send(TileMsg::Look);
            }
            if let Some(renewed) = pump.new_levels() {
                levels.replace(renewed);
                meter.queue_draw();
            }
            glib::ControlFlow::Continue
        });
        widgets
    }

    fn update(&mut self, msg: TileMsg, sender: FactorySender<Self>) {
        match msg {
            TileMsg::Show(view) => self.show(*view),
            TileMsg::Look => self.look(&sender),
            TileMsg::Place(place) => self.set_place(place),
            TileMsg::Resized(width, height) => self.resized((width, height)),
            TileMsg::Settled => self.watch(),
            TileMsg::Viewer(event) => self.preview.on_event(event),
            // The grid lives as long as its tiles.
            TileMsg::RetryClicked => drop(sender.output(TileOutput::Retry(self.view.input.id.clone()))),
            TileMsg::Dropped(other) => {
                let to = Step::To(self.view.input.id.clone());
                drop(sender.output(TileOutput::Move(other, to)));
            }
            TileMsg::Moved(step) => drop(sender.output(TileOutput::Move(self.view.input.id.clone(), step))),
            TileMsg::LargeClicked if self.place == Place::Large => drop(sender.output(TileOutput::All)),
            TileMsg::LargeClicked => drop(sender.output(TileOutput::Enlarge(self.view.input.id.clone()))),
        }
    }
}

impl Tile {
    fn show(&mut self, view: TileView) {
        if view.input.state == InputState::Live && self.view.input.state != InputState::Live {
            self.preview.expect();
            // What kept it waiting was its input.
            self.preview.forget_appearance();
            self.sight = Sight::Nothing;
        }
        self.view = view;
        self.face = face(&self.view, self.sight);
    }

    fn look(&mut self, sender: &FactorySender<Self>) {
        if let Some(took) = self.preview.first_paint() {
            // The grid lives as long as its tiles.
            let _ = sender.output(TileOutput::Painted(took));
        }
        let sight = self.preview.look(self.view.input.preview.state == PreviewState::Shed);
        if sight != self.sight {
            self.sight = sight;
            self.face = face(&self.view, sight);
        }
    }

    fn set_place(&mut self, place: Place) {
        self.place = place;
        self.watch();
    }

    fn is_line(&self) -> bool {
        self.place == Place::Line
    }

    fn resized(&mut self, size: (i32, i32)) {
        let appears = self.size == (0, 0) || size == (0, 0);
        self.size = size;
        // The first picture shall not wait (R-CMD-5).
        if appears { self.watch() } else { self.resting.start() }
    }

    fn watch(&mut self) {
        let pixels = |edge: i32| u32::try_from(edge).unwrap_or(0);
        self.preview.watch(if self.is_line() { (0, 0) } else { (pixels(self.size.0), pixels(self.size.1)) });
    }
}

/// Whether another attempt may be asked for.
pub fn offers_retry(view: &TileView) -> bool {
    face(view, Sight::Nothing).retry
}

fn face(view: &TileView, sight: Sight) -> TileFace {
    // The verdict stands there until something new is recorded.
    let last = view.input.recording.as_ref().filter(|_| view.session.is_none() && view.contact);
    let check = last.and_then(|recording| Check::of(recording, view.proof));
    TileFace { check, ..TileFace::new(&view.input, view.session, view.contact, sight) }
}

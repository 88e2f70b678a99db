//! One input in the grid: its picture, and over it, on a scrim, what the picture cannot say (DESK "Tile").

use super::check::Check;
use super::face::{Picture, Sight, TileFace};
pub use super::message::{TileInit, TileMsg, TileOutput, TileView};
use super::meter;
use super::preview::Preview;
use crate::model::snapshot::InputState;
use crate::ui::glib_once::Debounce;
use gettextrs::gettext;
use gtk::glib;
use gtk::prelude::*;
use relm4::factory::{DynamicIndex, FactoryComponent, FactorySender};
use std::time::Duration;

/// A tile that is being resized is asked for a new picture size only when it has come to rest (DESIGN §2).
const RESIZE_REST: Duration = Duration::from_millis(300);
/// Widths from which the words of a tile are set larger: legible from two metres where there is room.
const LARGE_FROM: i32 = 560;
const MEDIUM_FROM: i32 = 300;

/// Width and height of the level bars in pixels.
const METER_SIZE: (i32, i32) = (150, 14);

/// One input.
pub struct Tile {
    view: TileView,
    face: TileFace,
    sight: Sight,
    preview: Preview,
    line: bool,
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
                set_visible: !self.line,
                set_paintable: self.preview.paintable().as_ref(),
            },

            add_overlay = &gtk::Image {
                add_css_class: "tile-icon",
                set_can_target: false,
                set_valign: gtk::Align::Center,
                set_halign: gtk::Align::Center,
                #[watch]
                set_icon_name: self.icon(),
                #[watch]
                set_visible: !self.line && self.icon().is_some(),
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
                set_valign: if self.line { gtk::Align::Center } else { gtk::Align::End },

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
                    gtk::Label {
                        add_css_class: "tile-time",
                        add_css_class: "numeric",
                        #[watch]
                        set_visible: self.face.media.is_some(),
                        #[watch]
                        set_label: self.face.media.as_deref().unwrap_or(""),
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
                        set_hexpand: true,
                        set_xalign: 0.0,
                        set_wrap: true,
                        #[watch]
                        set_lines: if self.line { 1 } else { 2 },
                        set_ellipsize: gtk::pango::EllipsizeMode::End,
                        #[watch]
                        set_label: self.face.said().unwrap_or(""),
                        #[watch]
                        set_tooltip_text: self.face.said(),
                    },
                    gtk::Button {
                        add_css_class: "tile-retry",
                        set_valign: gtk::Align::Center,
                        update_property: &[gtk::accessible::Property::Label(&gettext("Retry now"))],
                        #[watch]
                        set_visible: self.face.retry && !self.line,
                        connect_clicked => TileMsg::RetryClicked,
                        gtk::Box {
                            set_spacing: 8,
                            gtk::Image { set_icon_name: Some("view-refresh-symbolic") },
                            gtk::Label {
                                set_label: &gettext("Retry now"),
                                #[watch]
                                set_visible: self.has_room(),
                            },
                        },
                    },
                    #[name(meter)]
                    gtk::DrawingArea {
                        set_valign: gtk::Align::Center,
                        set_content_width: METER_SIZE.0,
                        set_content_height: METER_SIZE.1,
                        #[watch]
                        set_visible: self.has_meter(),
                    },
                    gtk::Label {
                        add_css_class: "tile-safe",
                        add_css_class: "numeric",
                        #[watch]
                        set_visible: self.face.safe.is_some() && !self.line,
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
        Self { view: init.view, face, sight, preview, line: init.line, size: (0, 0), resting }
    }

    fn init_widgets(
        &mut self,
        _index: &DynamicIndex,
        root: Self::Root,
        _returned: &gtk::Widget,
        sender: FactorySender<Self>,
    ) -> Self::Widgets {
        let widgets = view_output!();
        let pump = self.preview.pump();
        let levels = meter::Levels::default();
        meter::connect(&widgets.meter, &levels);
        let meter = widgets.meter.clone();
        // All tiles share the frame clock of the window, so their pictures are painted in one go; it rests while the
        // window is hidden.
        widgets.picture.add_tick_callback(move |_, _| {
            let mut pump = pump.borrow_mut();
            pump.pull();
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
            TileMsg::Look => self.look(),
            TileMsg::Line(line) => self.set_line(line),
            TileMsg::Resized(width, height) => self.resized((width, height)),
            TileMsg::Settled => self.watch(),
            TileMsg::Viewer(event) => self.preview.on_event(event),
            // The grid lives as long as its tiles.
            TileMsg::RetryClicked => drop(sender.output(TileOutput::Retry(self.view.input.id.clone()))),
        }
    }
}

impl Tile {
    fn show(&mut self, view: TileView) {
        if view.input.state == InputState::Live && self.view.input.state != InputState::Live {
            self.preview.expect();
            self.sight = Sight::Nothing;
        }
        self.view = view;
        self.face = face(&self.view, self.sight);
    }

    fn look(&mut self) {
        let sight = self.preview.look();
        if sight != self.sight {
            self.sight = sight;
            self.face = face(&self.view, sight);
        }
    }

    fn set_line(&mut self, line: bool) {
        self.line = line;
        self.watch();
    }

    fn resized(&mut self, size: (i32, i32)) {
        let appears = self.size == (0, 0) || size == (0, 0);
        self.size = size;
        // The first picture shall not wait (R-CMD-5).
        if appears { self.watch() } else { self.resting.start() }
    }

    fn watch(&mut self) {
        let pixels = |edge: i32| u32::try_from(edge).unwrap_or(0);
        self.preview.watch(if self.line { (0, 0) } else { (pixels(self.size.0), pixels(self.size.1)) });
    }

    fn classes(&self) -> Vec<&'static str> {
        let width = self.size.0;
        let size = if width >= LARGE_FROM || self.line {
            "large"
        } else if width >= MEDIUM_FROM {
            "medium"
        } else {
            "small"
        };
        let kind = if self.line { "tile-line" } else { "tile" };
        [Some(kind), Some(size), self.face.outline.class()].into_iter().flatten().collect()
    }

    /// Words of trouble are amber; those about the last files have their own tint.
    fn check_classes(&self, class: &'static str) -> Vec<&'static str> {
        let check = self.face.check.as_ref().filter(|_| self.face.words.is_none() || class == "tile-check");
        [Some(class), check.map(|check| check.class)].into_iter().flatten().collect()
    }

    fn picture_opacity(&self) -> f64 {
        match self.face.picture {
            Picture::Live => 1.0,
            Picture::Dimmed => 0.35,
            Picture::Icon(_) => 0.0,
        }
    }

    fn icon(&self) -> Option<&'static str> {
        match self.face.picture {
            Picture::Live => None,
            Picture::Dimmed => Some("media-playback-pause-symbolic"),
            Picture::Icon(name) => Some(name),
        }
    }

    fn has_second_row(&self) -> bool {
        let shows = self.face.said().is_some() || self.face.retry || self.face.safe.is_some();
        !self.line && (shows || !self.format_words().is_empty()) || self.line && self.face.said().is_some()
    }

    /// A small tile has room for the most important words only.
    fn has_room(&self) -> bool {
        self.line || self.size.0 >= MEDIUM_FROM
    }

    /// A verdict stands beside the format where there is room for both.
    fn has_room_for_format(&self) -> bool {
        let verdict = self.face.check.is_some();
        self.face.words.is_none() && if verdict { self.size.0 >= LARGE_FROM } else { self.has_room() }
    }

    /// Levels come with the frames, and are shown where there is sound and room.
    fn has_meter(&self) -> bool {
        !self.line && self.size.0 >= LARGE_FROM && !self.view.input.audio.is_empty() && self.sight == Sight::Moving
    }

    fn format_words(&self) -> &str {
        // Words of trouble need the room more.
        self.face.format.as_deref().filter(|_| self.has_room_for_format()).unwrap_or("")
    }

    fn safe_words(&self) -> String {
        let safe = self.face.safe.as_deref().unwrap_or_default();
        crate::ui::format::fill(&gettext("safe {time}"), &[("time", safe)])
    }
}

fn face(view: &TileView, sight: Sight) -> TileFace {
    // The verdict stands there until something new is recorded.
    let last = view.input.recording.as_ref().filter(|_| view.session.is_none() && view.contact);
    let check = last.and_then(|recording| Check::of(recording, view.proof));
    TileFace { check, ..TileFace::new(&view.input, view.session, view.contact, sight) }
}

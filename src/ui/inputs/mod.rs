//! The grid of inputs: one tile each, all visible at once (R-JOB-1); a list of lines on a small panel.

mod arrangement;
mod check;
mod details;
mod face;
mod grid_layout;
mod message;
mod meter;
mod order;
mod preview;
mod tile;

use crate::model::InputId;
use crate::protocol::history::HistoryReply;
use crate::sys::paths::Runtime;
use crate::ui::transport::Room;
use details::{Details, DetailsMsg, DetailsOutput};
use grid_layout::GridLayout;
use gtk::glib;
use gtk::prelude::*;
pub use preview::prepare as prepare_previews;
use relm4::factory::FactoryVecDeque;
use relm4::{Component, ComponentController, ComponentParts, ComponentSender, Controller, SimpleComponent};
use std::time::Duration;
pub use tile::TileView;
use tile::{Place, Step, Tile, TileInit, TileMsg, TileOutput};

/// How often each preview is looked at: a frozen one is named within 2 s (R-FM-12).
const LOOK: Duration = Duration::from_millis(500);

/// A step of what the engine keeps of the last minutes.
const ASK: Duration = Duration::from_secs(2);

/// To the grid.
#[derive(Debug)]
pub enum InputsMsg {
    /// Every input, in the order of the configuration.
    Show(Vec<TileView>),
    /// How much room there is; without any for pictures there are lines.
    Room(Room),
    /// Show this one large, or all of them.
    Enlarge(Option<InputId>),
    /// Time to look at the previews.
    Look,
    /// Try an input again at once.
    Retry(InputId),
    /// The last minutes of the one that is shown large, if they are known.
    History(Option<HistoryReply>),
    /// So long the first picture of a tile took.
    Painted(Duration),
    /// Somebody has seen that its sound clipped.
    ClearClip(InputId),
    /// Time to ask for them.
    Ask,
    /// Whoever uses keys goes on here.
    Focus,
    /// The operator wants this input elsewhere.
    Move(InputId, Step),
    /// The engine refused an order.
    NotMoved,
}

/// From the grid.
#[derive(Debug)]
pub enum InputsOutput {
    /// Try an input again at once.
    Retry(InputId),
    /// So long the first picture of a tile took.
    Painted(Duration),
    /// Somebody has seen that its sound clipped.
    ClearClip(InputId),
    /// The last minutes of this one are wanted.
    History(InputId),
    /// The inputs are to stand in this order, the most important one first.
    Order(Vec<InputId>),
}

/// The grid.
pub struct Inputs {
    runtime: Runtime,
    tiles: FactoryVecDeque<Tile>,
    shown: Vec<TileView>,
    layout: GridLayout,
    room: Room,
    wanted: order::Wanted,
    /// The one that is shown large.
    large: Option<InputId>,
    details: Controller<Details>,
}

#[relm4::component(pub)]
impl SimpleComponent for Inputs {
    /// Sockets, and the input to begin with.
    type Init = (Runtime, Option<InputId>);
    type Input = InputsMsg;
    type Output = InputsOutput;

    view! {
        gtk::Box {
          #[watch]
          set_orientation: if model.room == Room::Narrow { gtk::Orientation::Vertical } else { gtk::Orientation::Horizontal },
          gtk::ScrolledWindow {
            set_hexpand: true,
            set_vexpand: true,
            set_hscrollbar_policy: gtk::PolicyType::Never,
            #[watch]
            set_vscrollbar_policy: if model.is_list() { gtk::PolicyType::Automatic } else { gtk::PolicyType::Never },
            #[local_ref]
            grid -> gtk::Box {
                add_css_class: "inputs",
                set_layout_manager: Some(model.layout.clone()),
            },
          },
          append: model.details.widget(),
        }
    }

    fn init((runtime, large): Self::Init, root: Self::Root, sender: ComponentSender<Self>) -> ComponentParts<Self> {
        let tiles = FactoryVecDeque::builder().launch_default().forward(sender.input_sender(), |output| match output {
            TileOutput::Retry(input) => InputsMsg::Retry(input),
            TileOutput::Enlarge(input) => InputsMsg::Enlarge(Some(input)),
            TileOutput::All => InputsMsg::Enlarge(None),
            TileOutput::Painted(took) => InputsMsg::Painted(took),
            TileOutput::Move(input, step) => InputsMsg::Move(input, step),
        });
        let details = Details::builder().launch(()).forward(sender.input_sender(), |output| match output {
            DetailsOutput::All => InputsMsg::Enlarge(None),
            DetailsOutput::Retry(input) => InputsMsg::Retry(input),
            DetailsOutput::ClearClip(input) => InputsMsg::ClearClip(input),
        });
        let model = Self {
            runtime,
            tiles,
            shown: Vec::new(),
            layout: GridLayout::default(),
            room: Room::Wide,
            wanted: order::Wanted::default(),
            large,
            details,
        };
        model.details.widget().set_visible(false);
        let grid = model.tiles.widget();
        let widgets = view_output!();
        let looker = sender.input_sender().clone();
        glib::timeout_add_local(LOOK, move || match looker.send(InputsMsg::Look) {
            Ok(()) => glib::ControlFlow::Continue,
            // The grid is gone, and the timer with it.
            Err(_) => glib::ControlFlow::Break,
        });
        let asker = sender.input_sender().clone();
        glib::timeout_add_local(ASK, move || match asker.send(InputsMsg::Ask) {
            Ok(()) => glib::ControlFlow::Continue,
            Err(_) => glib::ControlFlow::Break,
        });
        ComponentParts { model, widgets }
    }

    fn update(&mut self, msg: InputsMsg, sender: ComponentSender<Self>) {
        match msg {
            InputsMsg::Show(views) => self.show(views),
            InputsMsg::Room(room) => {
                self.room = room;
                self.place();
            }
            InputsMsg::Enlarge(input) => {
                self.details.emit(DetailsMsg::History(None));
                let left = std::mem::replace(&mut self.large, input).filter(|_| self.large.is_none());
                self.place();
                // The button that was pressed may be gone; whoever uses keys goes on at the tile.
                left.iter().chain(&self.large).for_each(|input| self.reveal(input));
                self.ask(&sender);
            }
            InputsMsg::History(history) => self.details.emit(DetailsMsg::History(history)),
            InputsMsg::Ask => self.ask(&sender),
            // The window lives as long as its grid.
            InputsMsg::ClearClip(input) => drop(sender.output(InputsOutput::ClearClip(input))),
            InputsMsg::Painted(took) => drop(sender.output(InputsOutput::Painted(took))),
            InputsMsg::Retry(input) => drop(sender.output(InputsOutput::Retry(input))),
            InputsMsg::Move(input, step) => {
                // It moves when the engine says so.
                if let Some(order) = self.wanted.step(&self.ids(), &input, &step) {
                    // The window lives as long as its grid.
                    let _ = sender.output(InputsOutput::Order(order));
                }
            }
            InputsMsg::NotMoved => self.wanted.forget(),
            InputsMsg::Focus => {
                let first = self.shown.first().map(|view| &view.input.id);
                self.large.iter().chain(first).take(1).for_each(|input| self.reveal(input));
            }
            InputsMsg::Look => (0..self.tiles.len()).for_each(|index| self.tiles.send(index, TileMsg::Look)),
        }
    }
}

impl Inputs {
    /// The input that is shown large.
    pub fn large(&self) -> Option<&InputId> {
        self.large.as_ref()
    }

    fn ids(&self) -> Vec<InputId> {
        self.shown.iter().map(|view| view.input.id.clone()).collect()
    }

    fn show(&mut self, views: Vec<TileView>) {
        let ids: Vec<InputId> = views.iter().map(|view| view.input.id.clone()).collect();
        // Without contact nobody hears the answer.
        let contact = views.iter().all(|view| view.contact);
        if contact {
            self.wanted.told(&ids)
        } else {
            self.wanted.forget()
        }
        self.arrange(&ids);
        if ids == self.ids() {
            for (index, (new, old)) in views.iter().zip(&self.shown).enumerate() {
                if new != old {
                    self.tiles.send(index, TileMsg::Show(Box::new(new.clone())));
                }
            }
            self.shown = views;
            self.show_details();
            return;
        }
        self.shown = views;
        self.large = self.large.take().filter(|large| self.shown.iter().any(|view| view.input.id == *large));
        let inits: Vec<_> = self.shown.iter().map(|view| self.init_of(view)).collect();
        let mut tiles = self.tiles.guard();
        tiles.clear();
        inits.into_iter().for_each(|init| drop(tiles.push_back(init)));
        drop(tiles);
        self.place();
    }

    /// Puts the tiles that are there in this order; their pictures go on.
    fn arrange(&mut self, ids: &[InputId]) {
        let mut tiles = self.tiles.guard();
        for (to, id) in ids.iter().enumerate() {
            let from = self.shown.iter().position(|view| view.input.id == *id);
            if let Some(from) = from.filter(|from| *from != to && to < self.shown.len()) {
                tiles.move_to(from, to);
                let view = self.shown.remove(from);
                self.shown.insert(to, view);
            }
        }
    }

    fn init_of(&self, view: &TileView) -> TileInit {
        let socket = self.runtime.worker_socket(&view.input.id);
        TileInit { view: view.clone(), socket, place: self.place_of(&view.input.id) }
    }

    fn place_of(&self, input: &InputId) -> Place {
        match &self.large {
            Some(large) if large == input => Place::Large,
            Some(_) => Place::Away,
            None if self.room == Room::Narrow => Place::Line,
            None => Place::Grid,
        }
    }

    /// A list may be longer than the panel; pictures never are.
    fn is_list(&self) -> bool {
        self.room == Room::Narrow && self.large.is_none()
    }

    fn place(&mut self) {
        self.layout.set_lines(self.is_list());
        for (index, view) in self.shown.iter().enumerate() {
            self.tiles.send(index, TileMsg::Place(self.place_of(&view.input.id)));
        }
        self.details.widget().set_visible(self.large.is_some());
        self.show_details();
    }

    fn ask(&self, sender: &ComponentSender<Self>) {
        if let Some(large) = &self.large {
            // The window lives as long as its grid.
            let _ = sender.output(InputsOutput::History(large.clone()));
        }
    }

    fn show_details(&self) {
        let large = self.large.as_ref().and_then(|large| self.shown.iter().find(|view| view.input.id == *large));
        if let Some(view) = large {
            self.details.emit(DetailsMsg::Show(Box::new(view.clone())));
        }
    }

    /// The focus is a frame that stands out, and whoever uses keys goes on from there.
    fn reveal(&self, input: &InputId) {
        let place = self.shown.iter().position(|view| view.input.id == *input);
        let tiles = self.tiles.widget().observe_children();
        let tile = place.and_then(|place| tiles.item(u32::try_from(place).ok()?)).and_downcast::<gtk::Widget>();
        if let Some(tile) = tile {
            tile.grab_focus();
        }
    }
}

//! The grid of inputs: one tile each, all visible at once (R-JOB-1); a list of lines on a small panel.

mod arrangement;
mod check;
mod face;
mod grid_layout;
mod message;
mod meter;
mod preview;
mod tile;

use crate::model::InputId;
use crate::sys::paths::Runtime;
use grid_layout::GridLayout;
use gtk::glib;
use gtk::prelude::*;
pub use preview::prepare as prepare_previews;
use relm4::factory::FactoryVecDeque;
use relm4::{ComponentParts, ComponentSender, SimpleComponent};
use std::time::Duration;
pub use tile::TileView;
use tile::{Tile, TileInit, TileMsg, TileOutput};

/// How often each preview is looked at: a frozen one is named within 2 s (R-FM-12).
const LOOK: Duration = Duration::from_millis(500);

/// To the grid.
#[derive(Debug)]
pub enum InputsMsg {
    /// Every input, in the order of the configuration.
    Show(Vec<TileView>),
    /// Lines instead of pictures.
    Lines(bool),
    /// Time to look at the previews.
    Look,
    /// The operator wants to see this input.
    Reveal(InputId),
}

/// From the grid.
#[derive(Debug)]
pub enum InputsOutput {
    /// Try an input again at once.
    Retry(InputId),
}

/// The grid.
pub struct Inputs {
    runtime: Runtime,
    tiles: FactoryVecDeque<Tile>,
    shown: Vec<TileView>,
    layout: GridLayout,
    lines: bool,
}

#[relm4::component(pub)]
impl SimpleComponent for Inputs {
    type Init = Runtime;
    type Input = InputsMsg;
    type Output = InputsOutput;

    view! {
        gtk::ScrolledWindow {
            set_vexpand: true,
            set_hscrollbar_policy: gtk::PolicyType::Never,
            #[watch]
            set_vscrollbar_policy: if model.lines { gtk::PolicyType::Automatic } else { gtk::PolicyType::Never },
            #[local_ref]
            grid -> gtk::Box {
                add_css_class: "inputs",
                set_layout_manager: Some(model.layout.clone()),
            },
        }
    }

    fn init(runtime: Runtime, root: Self::Root, sender: ComponentSender<Self>) -> ComponentParts<Self> {
        let tiles =
            FactoryVecDeque::builder().launch_default().forward(sender.output_sender(), |output| match output {
                TileOutput::Retry(input) => InputsOutput::Retry(input),
            });
        let model = Self { runtime, tiles, shown: Vec::new(), layout: GridLayout::default(), lines: false };
        let grid = model.tiles.widget();
        let widgets = view_output!();
        let looker = sender.input_sender().clone();
        glib::timeout_add_local(LOOK, move || match looker.send(InputsMsg::Look) {
            Ok(()) => glib::ControlFlow::Continue,
            // The grid is gone, and the timer with it.
            Err(_) => glib::ControlFlow::Break,
        });
        ComponentParts { model, widgets }
    }

    fn update(&mut self, msg: InputsMsg, _sender: ComponentSender<Self>) {
        match msg {
            InputsMsg::Show(views) => self.show(views),
            InputsMsg::Lines(lines) => self.set_lines(lines),
            InputsMsg::Reveal(input) => self.reveal(&input),
            InputsMsg::Look => (0..self.tiles.len()).for_each(|index| self.tiles.send(index, TileMsg::Look)),
        }
    }
}

impl Inputs {
    fn show(&mut self, views: Vec<TileView>) {
        let ids = |views: &[TileView]| views.iter().map(|v| v.input.id.clone()).collect::<Vec<_>>();
        if ids(&views) == ids(&self.shown) {
            for (index, (new, old)) in views.iter().zip(&self.shown).enumerate() {
                if new != old {
                    self.tiles.send(index, TileMsg::Show(Box::new(new.clone())));
                }
            }
        } else {
            let mut tiles = self.tiles.guard();
            tiles.clear();
            for view in &views {
                let socket = self.runtime.worker_socket(&view.input.id);
                tiles.push_back(TileInit { view: view.clone(), socket, line: self.lines });
            }
        }
        self.shown = views;
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

    fn set_lines(&mut self, lines: bool) {
        self.lines = lines;
        self.layout.set_lines(lines);
        (0..self.tiles.len()).for_each(|index| self.tiles.send(index, TileMsg::Line(lines)));
    }
}

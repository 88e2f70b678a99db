//! Beside a large picture: everything that is known of its input, and the way back.
//!
//! Contract: draws what it is shown; rows are renewed in place, so that whoever reads one keeps it.

mod face;
mod plot;

use super::tile::TileView;
use crate::model::InputId;
use crate::protocol::history::HistoryReply;
use crate::ui::l10n::gettext;
use crate::ui::table::Table;
use gtk::prelude::*;
use plot::{Plot, Quantity};
use relm4::{ComponentParts, ComponentSender, SimpleComponent};

/// To the panel.
#[derive(Debug)]
pub enum DetailsMsg {
    /// What is known of the input now.
    Show(Box<TileView>),
    /// Its last five minutes, `None` = they are not known.
    History(Option<HistoryReply>),
    /// "All inputs".
    BackClicked,
    /// "Retry now".
    RetryClicked,
    /// "Clear".
    ClearClicked,
}

/// From the panel.
#[derive(Debug)]
pub enum DetailsOutput {
    /// Show all inputs.
    All,
    /// Try the input again at once.
    Retry(InputId),
    /// Somebody has seen that its sound clipped.
    ClearClip(InputId),
}

/// Longer names of values take more lines, so that the values have room.
const NAME_CHARS: i32 = 16;

/// The panel.
pub struct Details {
    view: Option<TileView>,
    table: Table,
    plots: [Plot; 4],
}

#[relm4::component(pub)]
impl SimpleComponent for Details {
    type Init = ();
    type Input = DetailsMsg;
    type Output = DetailsOutput;

    view! {
        gtk::Box {
            add_css_class: "details",
            set_orientation: gtk::Orientation::Vertical,
            set_spacing: 12,
            set_hexpand: false,

            gtk::Box {
                set_spacing: 12,

                gtk::Button {
                    update_property: &[gtk::accessible::Property::Label(&gettext("All inputs"))],
                    connect_clicked => DetailsMsg::BackClicked,
                    gtk::Box {
                        set_spacing: 8,
                        gtk::Image { set_icon_name: Some("go-previous-symbolic") },
                        gtk::Label { set_label: &gettext("All inputs") },
                    },
                },
                gtk::Label {
                    add_css_class: "details-name",
                    set_hexpand: true,
                    set_xalign: 0.0,
                    set_ellipsize: gtk::pango::EllipsizeMode::End,
                    #[watch]
                    set_label: model.view.as_ref().map_or("", |view| view.input.name.as_str()),
                },
                gtk::Button {
                    set_label: &gettext("Retry now"),
                    #[watch]
                    set_visible: model.view.as_ref().is_some_and(super::tile::offers_retry),
                    connect_clicked => DetailsMsg::RetryClicked,
                },
            },

            gtk::Box {
                set_spacing: 12,
                #[watch]
                set_visible: model.has_clipped(),
                gtk::Image { add_css_class: "word-tally", set_icon_name: Some("audio-volume-overamplified-symbolic") },
                gtk::Label {
                    set_label: &gettext("The sound was too loud and has clipped."),
                    set_hexpand: true,
                    set_xalign: 0.0,
                    set_wrap: true,
                },
                gtk::Button { set_label: &gettext("Clear"), connect_clicked => DetailsMsg::ClearClicked },
            },

            gtk::ScrolledWindow {
                set_vexpand: true,
                set_hscrollbar_policy: gtk::PolicyType::Never,

                gtk::Box {
                    set_orientation: gtk::Orientation::Vertical,
                    set_spacing: 16,

                    // The last minutes first: how it goes is seen, not read.
                    #[name(lines)]
                    gtk::Grid {
                        set_column_homogeneous: true,
                        set_column_spacing: 12,
                        set_row_spacing: 8,
                    },

                    #[local_ref]
                    grid -> gtk::Grid {
                        set_column_spacing: 12,
                        set_row_spacing: 6,
                    },
                },
            },
        }
    }

    fn init((): (), root: Self::Root, sender: ComponentSender<Self>) -> ComponentParts<Self> {
        let model = Self { view: None, table: Table::wrapping(NAME_CHARS), plots: Quantity::ALL.map(Plot::new) };
        let grid = model.table.widget();
        let widgets = view_output!();
        for (plot, (column, row)) in model.plots.iter().zip([(0, 0), (1, 0), (0, 1), (1, 1)]) {
            widgets.lines.attach(plot.widget(), column, row, 1, 1);
        }
        ComponentParts { model, widgets }
    }

    fn update(&mut self, msg: DetailsMsg, sender: ComponentSender<Self>) {
        match msg {
            DetailsMsg::Show(view) => {
                self.table.show(face::rows(&view));
                self.view = Some(*view);
            }
            DetailsMsg::History(history) => {
                let of_this =
                    |history: &HistoryReply| self.view.as_ref().is_some_and(|view| view.input.id == history.input);
                let history = history.filter(of_this);
                self.plots.iter().for_each(|plot| plot.show(history.as_ref()));
            }
            // The grid lives as long as its panel.
            DetailsMsg::BackClicked => drop(sender.output(DetailsOutput::All)),
            DetailsMsg::RetryClicked => self.ask(DetailsOutput::Retry, &sender),
            DetailsMsg::ClearClicked => self.ask(DetailsOutput::ClearClip, &sender),
        }
    }
}

impl Details {
    fn has_clipped(&self) -> bool {
        self.view.as_ref().is_some_and(|view| view.contact && view.input.audio.iter().any(|meter| meter.clip))
    }

    fn ask(&self, what: fn(InputId) -> DetailsOutput, sender: &ComponentSender<Self>) {
        if let Some(view) = &self.view {
            // The grid lives as long as its panel.
            let _ = sender.output(what(view.input.id.clone()));
        }
    }
}

//! The health view: waiting times against what was promised, what each process uses, what was mended, and what priority
//! the recording really has (R-CMD-5, R-SUP-7).
//!
//! Contract: shows the engine's account and nothing else; without one it says so.

mod face;

use crate::model::snapshot::Snapshot;
use crate::protocol::health::HealthReply;
use crate::ui::l10n::gettext;
use crate::ui::table::{Cell, Table};
use crate::ui::transport::Room;
use face::Rows;
use gtk::prelude::*;
use relm4::{ComponentParts, ComponentSender, SimpleComponent};

/// The columns of each table a front panel has room for: what it is about, and what was found.
const ESSENTIAL: [&[usize]; 4] = [&[0, 1, 4], &[0, 1, 2], &[0, 1, 3], &[0, 1]];

/// Longer names take more lines.
const NAME_CHARS: i32 = 40;

/// To the view.
#[derive(Debug)]
pub enum HealthMsg {
    /// The engine's account and its state.
    Show(Box<(HealthReply, Snapshot)>),
    /// It is asked: there is contact.
    Asked,
    /// It was asked and has not answered; what it said last stands.
    Unanswered,
    /// There is no contact: what it said last is old.
    NoContact,
    /// How much room there is.
    Room(Room),
    /// "All inputs".
    BackClicked,
}

/// The view has been seen enough.
#[derive(Debug)]
pub struct Back;

/// The view.
#[derive(Debug)]
pub struct Health {
    tables: [Table; 4],
    rows: [Rows; 4],
    /// Why what is shown is not all there is to say.
    missing: Option<Missing>,
    room: Room,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Answer,
    Contact,
}

#[relm4::component(pub)]
impl SimpleComponent for Health {
    type Init = ();
    type Input = HealthMsg;
    type Output = Back;

    view! {
        gtk::Box {
            add_css_class: "health",
            set_orientation: gtk::Orientation::Vertical,
            set_spacing: 12,
            set_hexpand: true,

            gtk::Box {
                set_spacing: 12,
                gtk::Button {
                    update_property: &[gtk::accessible::Property::Label(&gettext("All inputs"))],
                    connect_clicked => HealthMsg::BackClicked,
                    gtk::Box {
                        set_spacing: 8,
                        gtk::Image { set_icon_name: Some("go-previous-symbolic") },
                        gtk::Label { set_label: &gettext("All inputs") },
                    },
                },
                gtk::Label { add_css_class: "details-name", set_label: &gettext("Health") },
                gtk::Label {
                    add_css_class: "word-amber",
                    #[watch]
                    set_label: &model.missing_words(),
                    #[watch]
                    set_visible: model.missing.is_some(),
                },
            },

            gtk::ScrolledWindow {
                set_vexpand: true,
                set_hscrollbar_policy: gtk::PolicyType::Never,
                #[name(column)]
                gtk::Box {
                    set_orientation: gtk::Orientation::Vertical,
                    set_spacing: 24,
                },
            },
        }
    }

    fn init((): (), root: Self::Root, sender: ComponentSender<Self>) -> ComponentParts<Self> {
        let tables = std::array::from_fn(|_| Table::wrapping(NAME_CHARS));
        let model = Self { tables, rows: Default::default(), missing: Some(Missing::Answer), room: Room::Wide };
        let widgets = view_output!();
        for table in &model.tables {
            table.widget().set_column_spacing(16);
            table.widget().set_row_spacing(6);
            widgets.column.append(table.widget());
        }
        ComponentParts { model, widgets }
    }

    fn update(&mut self, msg: HealthMsg, sender: ComponentSender<Self>) {
        match msg {
            HealthMsg::Show(account) => {
                self.missing = None;
                let (health, snapshot) = *account;
                self.rows = [
                    face::latencies(&health),
                    face::processes(&health, &snapshot.inputs),
                    face::recovery(&health, &snapshot.inputs),
                    face::priority(&snapshot.priority),
                ];
                self.fill();
            }
            HealthMsg::Asked if self.missing == Some(Missing::Contact) => self.missing = Some(Missing::Answer),
            HealthMsg::Asked => {}
            HealthMsg::Unanswered => self.missing = Some(Missing::Answer),
            HealthMsg::NoContact => {
                self.missing = Some(Missing::Contact);
                self.rows = Default::default();
                self.fill();
            }
            HealthMsg::Room(room) => {
                self.room = room;
                self.fill();
            }
            // The window lives as long as its views.
            HealthMsg::BackClicked => drop(sender.output(Back)),
        }
    }
}

impl Health {
    fn missing_words(&self) -> String {
        match self.missing {
            None => String::new(),
            Some(Missing::Answer) => gettext("the recorder has not answered yet"),
            Some(Missing::Contact) => gettext("no contact with the recorder"),
        }
    }

    fn fill(&mut self) {
        for ((table, rows), essential) in self.tables.iter_mut().zip(&self.rows).zip(ESSENTIAL) {
            let kept = |row: &Vec<Cell>| match self.room {
                Room::Narrow => essential.iter().filter_map(|column| row.get(*column).cloned()).collect(),
                Room::Wide | Room::Medium | Room::Small => row.clone(),
            };
            table.show(rows.iter().map(kept).collect());
        }
    }
}

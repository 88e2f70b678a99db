//! The health view: waiting times against what was promised, what each process uses, what was mended, and what priority
//! the recording really has (R-CMD-5, R-SUP-7).
//!
//! Contract: shows the engine's account and nothing else; without one it says so.

mod face;

use crate::model::snapshot::Snapshot;
use crate::protocol::health::HealthReply;
use crate::ui::l10n::gettext;
use crate::ui::table::Table;
use gtk::prelude::*;
use relm4::{ComponentParts, ComponentSender, SimpleComponent};

/// To the view.
#[derive(Debug)]
pub enum HealthMsg {
    /// The engine's account and its state; `None` = it does not answer.
    Show(Option<Box<(HealthReply, Snapshot)>>),
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
    known: bool,
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
                    set_label: &gettext("no contact with the recorder"),
                    #[watch]
                    set_visible: !model.known,
                },
            },

            gtk::ScrolledWindow {
                set_vexpand: true,
                #[name(column)]
                gtk::Box {
                    set_orientation: gtk::Orientation::Vertical,
                    set_spacing: 24,
                },
            },
        }
    }

    fn init((): (), root: Self::Root, sender: ComponentSender<Self>) -> ComponentParts<Self> {
        let model = Self { tables: Default::default(), known: false };
        let widgets = view_output!();
        for table in &model.tables {
            table.widget().set_column_spacing(24);
            table.widget().set_row_spacing(6);
            widgets.column.append(table.widget());
        }
        ComponentParts { model, widgets }
    }

    fn update(&mut self, msg: HealthMsg, sender: ComponentSender<Self>) {
        match msg {
            HealthMsg::Show(account) => {
                self.known = account.is_some();
                let rows = account.map_or_else(Default::default, |account| {
                    let (health, snapshot) = *account;
                    [
                        face::latencies(&health),
                        face::processes(&health, &snapshot.inputs),
                        face::recovery(&health, &snapshot.inputs),
                        face::priority(&snapshot.priority),
                    ]
                });
                self.tables.iter_mut().zip(rows).for_each(|(table, rows)| table.show(rows));
            }
            // The window lives as long as its views.
            HealthMsg::BackClicked => drop(sender.output(Back)),
        }
    }
}

//! The list of alerts, as a popover of the header: active before resolved, critical first, then newest (R-ALR-1).
//! A sidebar with acknowledging takes its place in a later issue.

use crate::model::incident::Severity;
use crate::model::snapshot::{Alert, AlertState};
use crate::ui::l10n::gettext;
use crate::ui::words;
use gtk::prelude::*;
use relm4::{ComponentParts, ComponentSender, SimpleComponent};

/// The alerts to show, in order.
#[derive(Debug)]
pub struct Show(pub Vec<Alert>);

/// The list.
pub struct Alerts {
    list: gtk::ListBox,
}

#[relm4::component(pub)]
impl SimpleComponent for Alerts {
    type Init = ();
    type Input = Show;
    type Output = ();

    view! {
        gtk::Popover {
            add_css_class: "alerts",

            gtk::ScrolledWindow {
                set_hscrollbar_policy: gtk::PolicyType::Never,
                set_propagate_natural_height: true,
                set_max_content_height: 420,
                set_width_request: 420,

                #[local_ref]
                list -> gtk::ListBox {
                    set_selection_mode: gtk::SelectionMode::None,
                    #[wrap(Some)]
                    set_placeholder = &gtk::Label {
                        add_css_class: "alerts-empty",
                        set_label: &gettext("✓ Nothing to report"),
                    },
                },
            },
        }
    }

    fn init((): (), root: Self::Root, _sender: ComponentSender<Self>) -> ComponentParts<Self> {
        let model = Self { list: gtk::ListBox::new() };
        let list = &model.list;
        let widgets = view_output!();
        ComponentParts { model, widgets }
    }

    fn update(&mut self, Show(alerts): Show, _sender: ComponentSender<Self>) {
        while let Some(row) = self.list.row_at_index(0) {
            self.list.remove(&row);
        }
        alerts.iter().for_each(|alert| self.list.append(&make_row(alert)));
    }
}

fn make_row(alert: &Alert) -> gtk::Box {
    let (icon, class) = match alert.severity {
        Severity::Critical => ("dialog-error-symbolic", "word-tally"),
        Severity::Warning => ("dialog-warning-symbolic", "word-amber"),
        Severity::Info => ("dialog-information-symbolic", "word-quiet"),
    };
    let icon = gtk::Image::builder().icon_name(icon).valign(gtk::Align::Start).css_classes([class]).build();
    let title = gtk::Label::builder().label(title(alert)).xalign(0.0).css_classes(["heading"]).build();
    let text = gtk::Label::builder().label(words::alert(alert)).xalign(0.0).wrap(true).build();
    let words = gtk::Box::new(gtk::Orientation::Vertical, 2);
    words.append(&title);
    words.append(&text);
    let row = gtk::Box::builder().spacing(12).css_classes(["alert"]).build();
    if alert.state == AlertState::Resolved {
        row.add_css_class("resolved");
    }
    row.append(&icon);
    row.append(&words);
    row
}

/// `20:31:07 · HDMI 3 (×3)`, in the operator's time zone.
fn title(alert: &Alert) -> String {
    let at = alert.at.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string();
    let count = if alert.count > 1 { format!(" (×{})", alert.count) } else { String::new() };
    let over = if alert.state == AlertState::Resolved { format!(" · {}", gettext("over")) } else { String::new() };
    format!("{at} · {}{count}{over}", alert.source)
}

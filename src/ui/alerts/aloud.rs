//! Tells critical alerts to somebody who does not look at the window: by sound, through the desktop, and to a screen
//! reader.

use super::face::CardFace;
use super::sound::Sound;
use crate::ui::announcer::{self, live_region};
use crate::ui::format;
use crate::ui::l10n::{gettext, ngettext};
use gtk::gio;
use gtk::prelude::*;

/// More at once are one notification: a desktop shows one at a time, and a flood helps nobody.
const EACH_UP_TO: usize = 3;
/// The notification of many.
const MANY: &str = "alerts";
/// What a click on a notification does (`app.…`).
pub const SHOW_ACTION: &str = "show-alerts";

/// See the module. Main thread only.
#[derive(Debug)]
pub struct Aloud {
    sound: Sound,
    announcer: gtk::Label,
}

impl Aloud {
    /// Tells nothing yet.
    pub fn new() -> Self {
        Self { sound: Sound::default(), announcer: live_region() }
    }

    /// Where it is read from aloud; must be in sight of assistive technology, whatever is folded.
    pub fn announcer(&self) -> &gtk::Label {
        &self.announcer
    }

    /// Tells these, oldest first.
    pub fn tell(&mut self, faces: &[&CardFace], audible: bool) {
        let Some(newest) = faces.last() else { return };
        tracing::info!(count = faces.len(), audible, "critical alerts are told");
        if audible {
            self.sound.play();
        }
        announcer::tell(&self.announcer, &newest.spoken());
        if faces.len() <= EACH_UP_TO {
            for face in faces {
                let body = [face.said.happened.as_str(), &face.said.done].join("\n");
                notify(&name(face.id), &format!("{} · {}", face.source, gettext("Critical")), &body);
            }
        } else {
            let n = u32::try_from(faces.len()).unwrap_or(u32::MAX);
            let words = ngettext("{n} critical alert", "{n} critical alerts", n);
            notify(MANY, &format::fill(&words, &[("n", &n.to_string())]), &newest.said.happened);
        }
    }

    /// These were seen; `none` are left.
    pub fn withdraw(&self, ids: &[u64], none: bool) {
        let application = relm4::main_application();
        ids.iter().for_each(|id| application.withdraw_notification(&name(*id)));
        if none && !ids.is_empty() {
            application.withdraw_notification(MANY);
            self.announcer.set_visible(false);
        }
    }
}

fn name(id: u64) -> String {
    format!("alert-{id}")
}

/// Without a session bus, or without anybody there who shows it, it is lost; the badge stands.
fn notify(name: &str, title: &str, body: &str) {
    let notification = gio::Notification::new(title);
    notification.set_body(Some(body));
    notification.set_priority(gio::NotificationPriority::Urgent);
    notification.set_icon(&gio::ThemedIcon::new("dialog-error-symbolic"));
    notification.set_default_action(&format!("app.{SHOW_ACTION}"));
    relm4::main_application().send_notification(Some(name), &notification);
}

//! Another language: what was said is said anew, in a new window of the same process; recordings do not notice.

use super::{App, AppCmd, AppInit, Shown};
use crate::ui::{l10n, theme};
use gtk::prelude::*;
use relm4::{ComponentController, ComponentSender};

impl App {
    /// Remembers the language, then speaks it. One that cannot be remembered is spoken until the window is closed.
    pub(super) fn keep_language(&self, code: String, sender: &ComponentSender<Self>) {
        let (starts, size) = (self.starts.clone(), self.size());
        sender.oneshot_command(async move {
            let language = Some(code.clone());
            starts.keep(move |known| (known.language, known.size) = (language, size.or(known.size))).await;
            AppCmd::LanguageKept(code)
        });
    }

    /// Builds the window anew. The new one stands before the old one goes: a program without a window ends. The disk is
    /// not asked what the window itself knows.
    pub(super) fn speak(&mut self, code: String) {
        if self.leaving {
            return;
        }
        l10n::choose(Some(&code));
        theme::direct();
        let mut own = self.alerts.model().own().clone();
        (own.size, own.language) = (self.size().or(own.size), Some(code));
        let init = AppInit {
            runtime: self.runtime.clone(),
            starter: self.starter.clone(),
            step_back: self.step_back.clone(),
            folder: self.starts.folder.clone(),
            own,
            shown: Shown {
                name: self.transport.model().typed(),
                large: self.inputs.model().large().cloned(),
                health: self.health.widget().is_visible(),
                notice: self.notice.take(),
                unread: self.saved.is_unread(),
                maximised: self.window.is_maximized(),
            },
            windows: self.windows.clone(),
        };
        let window = self.windows.open(init);
        if self.window.is_fullscreen() {
            window.fullscreen();
        }
        window.present();
        self.window.destroy();
    }
}

//! Another language: what was said is said anew, in a new window of the same process; recordings do not notice.

use super::{App, AppCmd, AppInit};
use crate::ui::{l10n, theme};
use gtk::prelude::*;
use relm4::{Component, ComponentController, ComponentSender};

impl App {
    /// Remembers the language, then speaks it. One that cannot be remembered is spoken until the window is closed.
    pub(super) fn keep_language(&self, code: String, sender: &ComponentSender<Self>) {
        let starts = self.starts.clone();
        sender.oneshot_command(async move {
            let language = Some(code.clone());
            starts.keep(move |known| known.language = language).await;
            AppCmd::LanguageKept(code)
        });
    }

    /// Builds the window anew. The new one stands before the old one goes: a program without a window ends.
    pub(super) fn speak(&mut self, code: &str) {
        self.remember_size();
        l10n::choose(Some(code));
        theme::direct();
        let init = AppInit {
            runtime: self.runtime.clone(),
            starter: self.starter.clone(),
            step_back: self.step_back.clone(),
            folder: self.starts.folder.clone(),
        };
        let mut next = App::builder().launch(init).detach();
        let window = next.widget().clone();
        // Lives as long as its window, like the first one.
        next.detach_runtime();
        relm4::main_application().add_window(&window);
        if self.window.is_fullscreen() {
            window.fullscreen();
        }
        window.present();
        self.window.destroy();
    }
}

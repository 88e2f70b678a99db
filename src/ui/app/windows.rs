//! The window that is open. Another one takes its place when another language is chosen, and nothing of the first goes on.
//!
//! Contract: Relm4 ends a component when its controller is dropped, and lets what [`relm4::RelmApp::run`] starts go on until
//! the program ends; so the window is started here, and its controller is kept here and nowhere else.

use super::{App, AppInit, AppMsg};
use gtk::gio::prelude::*;
use gtk::glib;
use gtk::prelude::*;
use relm4::{Component, ComponentController, Controller};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

/// Turns of the main loop in which what is closed last may end; each ends what is ready then.
const LAST_TURNS: usize = 16;

/// See the module. Main thread only.
#[derive(Clone, Default)]
pub struct Windows(Rc<RefCell<Option<Controller<App>>>>);

impl fmt::Debug for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Windows").field(&self.0.borrow().is_some()).finish()
    }
}

impl Windows {
    /// Opens a window. The one before ends with everything it has begun, once nobody works in it.
    pub(super) fn open(&self, init: AppInit) -> adw::ApplicationWindow {
        let next = App::builder().launch(init).detach();
        let window = next.widget().clone();
        relm4::main_application().add_window(&window);
        let before = self.0.replace(Some(next));
        drop(before);
        window
    }

    fn close(&self) {
        let last = self.0.take();
        drop(last);
        let main = glib::MainContext::default();
        for _ in 0..LAST_TURNS {
            if !main.iteration(false) {
                break;
            }
        }
    }
}

/// Shows the window until it is closed.
pub fn run(application: &adw::Application, init: AppInit) {
    // Makes it the application of Relm4, and no more.
    drop(relm4::RelmApp::<AppMsg>::from_app(application.clone()));
    let windows = init.windows.clone();
    let (open, init) = (windows.clone(), Cell::new(Some(init)));
    application.connect_startup(move |_| {
        if let Some(init) = init.take() {
            open.open(init);
        }
    });
    application.connect_activate(|application| application.windows().iter().for_each(GtkWindowExt::present));
    application.run_with_args::<&str>(&[]);
    windows.close();
}

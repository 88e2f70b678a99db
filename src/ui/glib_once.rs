//! A timer of the glib main loop that fires once, some time after the last (or the first) of several starts.

use gtk::glib;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// Fires once things have come to rest. Stops when dropped. Main thread only.
pub struct Debounce {
    rest: Duration,
    fire: Rc<dyn Fn()>,
    pending: Rc<RefCell<Option<glib::SourceId>>>,
}

impl Debounce {
    /// Calls `fire` when `rest` has passed since the last [`Debounce::start`].
    pub fn new(rest: Duration, fire: impl Fn() + 'static) -> Self {
        Self { rest, fire: Rc::new(fire), pending: Rc::default() }
    }

    /// Begins to wait, or begins anew.
    pub fn start(&self) {
        self.stop();
        let (fire, pending) = (Rc::clone(&self.fire), Rc::clone(&self.pending));
        let source = glib::timeout_add_local_once(self.rest, move || {
            // It has gone off and must not be removed any more.
            pending.borrow_mut().take();
            fire();
        });
        self.pending.replace(Some(source));
    }

    /// Begins to wait unless that was done already: however often it is called, it fires once in that time.
    pub fn start_once(&self) {
        if self.pending.borrow().is_none() {
            self.start();
        }
    }

    /// Forgets what was started.
    pub fn stop(&self) {
        if let Some(source) = self.pending.borrow_mut().take() {
            source.remove();
        }
    }
}

impl Drop for Debounce {
    fn drop(&mut self) {
        self.stop();
    }
}

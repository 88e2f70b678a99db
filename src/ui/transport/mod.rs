//! The header: what the recorder is doing, for how long, for how much longer it can, and the one big button.
//!
//! Contract: draws its [`TransportFace`] and nothing else; a press changes nothing on the screen until the engine's
//! event returns. Stop needs a deliberate act ([`stop_guard`]); it never opens a dialog.

mod face;
mod hands;
mod level;
mod name;
mod pill;
mod ring;
mod stop_guard;
mod view;

use crate::model::MonoNs;
use crate::model::naming::{NameFault, Template};
use crate::sys::clock::mono_now;
use crate::ui::l10n::gettext;
use face::Button;
pub use face::TransportFace;
use gtk::glib;
use gtk::prelude::*;
use pill::Pill;
use relm4::{ComponentSender, SimpleComponent};
use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::time::Duration;
use stop_guard::{SECOND_PRESS, StopGuard, Touch};

/// How often the ring of the Stop button is drawn while it fills.
const RING_STEP: Duration = Duration::from_millis(16);
/// Longest session name offered (DESIGN §4).
const NAME_MAX_CHARS: i32 = crate::model::id::SESSION_NAME_MAX_CHARS as i32;
/// The big button is busy for no longer before it is the other one.
const ANOTHER_ONE: Duration = Duration::from_secs(3);
/// What a state word may have beside the time and the button on 480 pixels, in the letters of the style sheet.
const LETTERS_IN_A_ROW: usize = 11;

/// How much room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// A desktop.
    Wide,
    /// A laptop: one row, the essentials.
    Medium,
    /// A small screen (1024×600): the same, smaller.
    Small,
    /// A front panel (480×640): two rows.
    Narrow,
}

/// To the header.
#[derive(Debug)]
pub enum TransportMsg {
    /// What it says now.
    Show(Box<TransportFace>),
    /// How much room there is.
    Room(Room),
    /// A key of the big button (F9, Ctrl+R; Space or Enter on it) went down.
    KeyDown,
    /// It was let go.
    KeyUp,
    /// A finger or button went down on Stop.
    PointerDown,
    /// It was lifted, or left the button.
    PointerUp,
    /// The ring fills.
    Tick,
    /// Record was pressed.
    RecordClicked,
    /// The marker button was pressed.
    MarkClicked,
    /// Something was typed into the name.
    NameTyped,
    /// Stop was chosen without a pointer and without keys: by assistive technology.
    StopActivated,
    /// "Stop recording" in the popover.
    StopConfirmed,
}

/// From the header.
#[derive(Debug)]
pub enum TransportOutput {
    /// Start a session of this name.
    Record(Option<String>),
    /// Stop the running session.
    Stop,
    /// Set a marker.
    Mark,
}

/// The header.
pub struct Transport {
    face: TransportFace,
    room: Room,
    guard: StopGuard,
    ticking: bool,
    fill: Rc<Cell<f64>>,
    pill: Pill,
    name: gtk::EntryBuffer,
    /// Since when files are being closed.
    closing_since: Option<MonoNs>,
    /// When the button became Record behind a recording.
    stopped_at: Option<MonoNs>,
    focus: Focus,
    /// Why the name that was typed cannot be one.
    name_refused: Option<String>,
    /// What placeholders in it become.
    becomes: Option<String>,
    confirm: gtk::Popover,
}

/// Whoever uses keys begins at the one big button, and stays there when it becomes the other one (DESK "Tab order").
struct Focus {
    buttons: Vec<gtk::Button>,
    wanted: Cell<bool>,
    given: OnceCell<Option<gtk::Widget>>,
    /// When it became another one while it had the focus.
    noted: Cell<Option<MonoNs>>,
}

impl Default for Focus {
    fn default() -> Self {
        Self { buttons: Vec::new(), wanted: Cell::new(true), given: OnceCell::new(), noted: Cell::new(None) }
    }
}

impl Focus {
    /// The button is about to become another one.
    fn note(&self) {
        if self.buttons.iter().any(gtk::prelude::WidgetExt::has_focus) {
            self.wanted.set(true);
            self.noted.set(Some(mono_now()));
        }
    }
}

impl Transport {
    fn keep_focus(&self, record: &gtk::Button, stop: &gtk::Button) {
        let focus = record.root().and_then(|root| root.focus());
        // What a new window gave the focus to by itself; nobody has gone there.
        let given = self.focus.given.get_or_init(|| focus.clone());
        let shown = [record, stop].into_iter().find(|button| button.is_mapped() && button.is_sensitive());
        let (Some(shown), true) = (shown, self.focus.wanted.get()) else { return };
        self.focus.wanted.set(false);
        // Whoever has gone elsewhere meanwhile stays there; but while the button is another one for a moment, GTK itself
        // gives the focus to whatever comes next.
        let moved = self.focus.noted.get().is_some_and(|at| mono_now().since(at) < ANOTHER_ONE);
        let ours =
            |focus: &gtk::Widget| self.focus.buttons.iter().any(|button| button.upcast_ref::<gtk::Widget>() == focus);
        if focus.as_ref().is_none_or(ours) || focus == *given || moved {
            shown.grab_focus();
        }
    }

    fn show(&mut self, face: TransportFace) {
        if std::mem::discriminant(&face.button) != std::mem::discriminant(&self.face.button) {
            // What was begun on the button that was there before does not count for the next one.
            self.guard.disarm();
            self.confirm.popdown();
            self.focus.note();
            self.closing_since = matches!(face.button, Button::Stopping(_)).then(mono_now);
            let ran = self.face.button.is_stop() || matches!(self.face.button, Button::Stopping(_));
            let ended = face.button.is_record() && ran;
            self.stopped_at = ended.then(mono_now);
        }
        self.face = face;
    }

    fn key_down(&mut self, sender: &ComponentSender<Self>) {
        if self.face.button.is_stop() {
            self.touch(Touch::KeyDown, sender);
        } else {
            let (fresh, now) = (!self.guard.is_key_down(), mono_now());
            self.guard.handle(now, Touch::KeyDown);
            self.guard.disarm();
            // A press too many of those that stop is none that records.
            let of_stop = self.stopped_at.is_some_and(|at| now.since(at) < SECOND_PRESS);
            if fresh && !of_stop {
                self.record(sender);
            }
        }
    }

    fn touch(&mut self, touch: Touch, sender: &ComponentSender<Self>) {
        if self.guard.handle(mono_now(), touch) {
            self.stop(sender);
        }
        self.fill.set(self.guard.fill(mono_now()));
        if !self.guard.is_idle() && !std::mem::replace(&mut self.ticking, true) {
            let ticks = sender.input_sender().clone();
            glib::timeout_add_local_once(RING_STEP, move || {
                // The header is gone with the window; then nothing is held any more.
                let _ = ticks.send(TransportMsg::Tick);
            });
        }
    }

    fn tick(&mut self, sender: &ComponentSender<Self>) {
        self.ticking = false;
        self.touch(Touch::Tick, sender);
    }

    fn record(&self, sender: &ComponentSender<Self>) {
        if self.may_record() {
            let name = self.name.text().trim().to_owned();
            // The window lives as long as its header.
            let _ = sender.output(TransportOutput::Record(Some(name).filter(|name| !name.is_empty())));
        }
    }

    fn stop(&self, sender: &ComponentSender<Self>) {
        self.confirm.popdown();
        if self.face.button.is_stop() {
            let _ = sender.output(TransportOutput::Stop);
        }
    }

    /// The name of the next session, as typed.
    pub fn typed(&self) -> String {
        self.name.text().into()
    }

    fn name_chars(&self) -> i32 {
        match self.room {
            Room::Wide => 40,
            Room::Medium => 16,
            Room::Small => 13,
            Room::Narrow => 16,
        }
    }

    fn may_record(&self) -> bool {
        self.face.button == Button::Record { refused: None } && self.name_refused.is_none()
    }

    /// Said while it is typed, not when it is too late.
    fn read_name(&mut self) {
        let name = self.name.text();
        let fault = Template::read(&name).err().filter(|fault| *fault != NameFault::Empty);
        self.name_refused = fault.as_ref().map(name::fault_words);
        self.becomes = name::becomes(&name);
    }

    fn refusal(&self) -> Option<&str> {
        match &self.face.button {
            Button::Record { refused } => self.name_refused.as_deref().or(refused.as_deref()),
            Button::Asked | Button::Starting(_) | Button::Stop | Button::Stopping(_) => None,
        }
    }

    fn record_hint(&self) -> String {
        self.refusal().map_or_else(|| gettext("Record (F9)"), str::to_owned)
    }

    /// A front panel has room for state, time and button side by side only where long words are put on two lines.
    fn wraps(&self, word: &str) -> bool {
        self.room == Room::Narrow && word.chars().count() > LETTERS_IN_A_ROW
    }

    fn stop_words(&self) -> String {
        match &self.face.button {
            _ if self.guard.is_armed() => gettext("Press again"),
            Button::Starting(progress) => progress.clone(),
            _ => gettext("Hold to stop"),
        }
    }

    fn busy_words(&self) -> String {
        match &self.face.button {
            Button::Stopping(progress) => {
                let seconds = self.closing_since.map_or(0, |since| mono_now().since(since).as_secs());
                let values = [("progress", &**progress), ("s", &*seconds.to_string())];
                crate::ui::format::fill(&gettext("{progress} · {s} s"), &values)
            }
            Button::Asked => gettext("Starting"),
            Button::Record { .. } | Button::Starting(_) | Button::Stop => String::new(),
        }
    }

    fn safe_words(&self) -> String {
        let safe = self.face.safe.as_deref().unwrap_or_default();
        crate::ui::format::fill(&gettext("safe {time}"), &[("time", safe)])
    }
}

//! One preview: a connection to the worker, the frame ring that came over it, and the screen it is shown on.
//!
//! Contract: costs nothing while unwatched (size 0×0); a worker that is gone, frozen or refuses is tried again with
//! backoff for as long as the tile lives (R-FM-12). Runs on the main loop, never blocks.

mod screen;
mod viewer;

pub use viewer::ViewerEvent;

use super::face::Sight;
use crate::media::frame_ring::RingReader;
use crate::model::snapshot::Meter;
use crate::model::{InputId, MonoNs};
use crate::sys::clock::mono_now;
use anyhow::Context;
use gtk::gdk;
use screen::Screen;
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use viewer::Viewer;

/// Frames that stay away this long are missed (R-FM-12: seen within 2 s; we look every half second).
const FROZEN_AFTER: Duration = Duration::from_millis(1500);
/// First pause before connecting anew; a worker that is replaced is back within a second.
const RETRY_FIRST: Duration = Duration::from_millis(200);
/// Longest pause: a preview that can come back should be there two seconds later.
const RETRY_LONGEST: Duration = Duration::from_secs(2);

/// To be called once, before the first preview is made.
pub fn prepare() -> anyhow::Result<()> {
    gst::init().context("GStreamer does not start")?;
    gstgtk4::plugin_register_static().context("the preview sink does not start")?;
    Ok(())
}

/// Hands the newest frame of the ring to the screen, once per display frame.
#[derive(Default)]
pub struct Pump {
    ring: Option<RingReader>,
    screen: Option<Screen>,
    last_frame: Option<MonoNs>,
    /// When the first frame came since frames are expected.
    first_frame: Option<MonoNs>,
    /// Number of the levels handed out last.
    levels_seen: u32,
    /// The frame clock has asked for a picture since somebody looked last.
    ticked: bool,
}

/// Whether pictures stay away. While the frame clock rests (nobody sees the window) nobody asks for any, and that says
/// nothing about where they come from. Pure.
#[derive(Debug, Default)]
struct Patience {
    rests: bool,
    /// When the clock went on.
    from: MonoNs,
}

impl Patience {
    /// `None` = nothing is known of it; `last` = the last picture, or since when some are expected.
    fn silent(&mut self, now: MonoNs, ticked: bool, last: MonoNs) -> Option<bool> {
        if !ticked {
            self.rests = true;
            return None;
        }
        if std::mem::take(&mut self.rests) {
            self.from = now;
        }
        Some(now.since(last.max(self.from)) >= FROZEN_AFTER)
    }
}

impl Pump {
    /// The audio levels when they were renewed since the last call (20 times a second).
    pub fn new_levels(&mut self) -> Option<Vec<Meter>> {
        let (number, levels) = self.ring.as_ref()?.meters();
        (std::mem::replace(&mut self.levels_seen, number) != number).then_some(levels)
    }

    /// Called from the frame clock. One atomic load when there is nothing new. Whether it was the first picture since
    /// pictures are expected.
    pub fn pull(&mut self) -> bool {
        let waited = self.first_frame.is_none();
        self.ticked = true;
        if let (Some(ring), Some(screen)) = (&mut self.ring, &mut self.screen)
            && let Some(frame) = ring.latest()
        {
            let now = mono_now();
            // What takes no picture shows none.
            if screen.show(frame) {
                self.first_frame.get_or_insert(now);
                self.last_frame = Some(now);
            }
        }
        waited && self.first_frame.is_some()
    }
}

fn make_screen(input: &InputId) -> Option<Screen> {
    Screen::new(input)
        .inspect_err(|error| tracing::error!(%input, "no preview: {error:#}; recording is not affected"))
        .ok()
}

/// One preview.
pub struct Preview {
    input: InputId,
    socket: PathBuf,
    pump: Rc<RefCell<Pump>>,
    viewer: Option<Viewer>,
    /// Device pixels; 0×0 = nobody looks.
    size: (u32, u32),
    pause: Duration,
    next_try: MonoNs,
    /// From when on frames are expected.
    expected_since: MonoNs,
    /// When the tile appeared whose first picture is waited for.
    appeared: Option<MonoNs>,
    patience: Patience,
    /// What was seen last.
    sight: Sight,
    on_event: Rc<dyn Fn(ViewerEvent)>,
}

impl Preview {
    /// A preview of `input`, whose worker listens on `socket`. What `on_event` gets belongs to [`Preview::on_event`].
    pub fn new(input: InputId, socket: PathBuf, on_event: impl Fn(ViewerEvent) + 'static) -> Self {
        let screen = make_screen(&input);
        let pump = Rc::new(RefCell::new(Pump { screen, ..Pump::default() }));
        let (now, on_event) = (mono_now(), Rc::new(on_event));
        Self {
            input,
            socket,
            pump,
            viewer: None,
            size: (0, 0),
            pause: RETRY_FIRST,
            next_try: now,
            expected_since: now,
            appeared: None,
            patience: Patience::default(),
            sight: Sight::Nothing,
            on_event,
        }
    }

    /// What to show in the tile.
    pub fn paintable(&self) -> Option<gdk::Paintable> {
        self.pump.borrow().screen.as_ref().map(|screen| screen.paintable().clone())
    }

    /// For the frame clock of the tile.
    pub fn pump(&self) -> Rc<RefCell<Pump>> {
        Rc::clone(&self.pump)
    }

    /// The tile shows pictures of this size in device pixels; 0×0 = it shows none.
    pub fn watch(&mut self, size: (u32, u32)) {
        if self.size == size {
            return;
        }
        if self.size == (0, 0) {
            self.expect();
            self.appeared = Some(self.expected_since);
        }
        self.size = size;
        match &self.viewer {
            Some(viewer) if viewer.watch(size).is_ok() => {}
            _ => self.connect(),
        }
    }

    /// Frames are expected from now on: the tile appeared, or its input went live. What was shown before is old.
    pub fn expect(&mut self) {
        self.expected_since = mono_now();
        self.sight = Sight::Nothing;
        let mut pump = self.pump.borrow_mut();
        (pump.first_frame, pump.last_frame) = (None, None);
    }

    /// The time to the first picture is not measured this time.
    pub fn forget_appearance(&mut self) {
        self.appeared = None;
    }

    /// How long the first picture took since the tile appeared, once (R-CMD-5); `None` = it is not there yet, or was told.
    pub fn first_paint(&mut self) -> Option<Duration> {
        let first = self.pump.borrow().first_frame?;
        Some(first.since(self.appeared.take()?))
    }

    /// Takes in what came from the worker.
    pub fn on_event(&mut self, event: ViewerEvent) {
        match event {
            ViewerEvent::Ring { memfd, reader } => match RingReader::open(memfd, reader) {
                Ok(ring) => self.pump.borrow_mut().ring = Some(ring),
                Err(error) => self.give_up(&error.to_string()),
            },
            ViewerEvent::Refused(reason) => self.give_up(&reason),
            ViewerEvent::Closed => self.give_up("the worker closed the connection"),
        }
    }

    /// To be called every half second: looks whether frames arrive, and tries again when they should and do not; `shed` =
    /// none should, to spare the machine.
    pub fn look(&mut self, shed: bool) -> Sight {
        if self.size == (0, 0) {
            self.sight = Sight::Nothing;
            return self.sight;
        }
        let now = mono_now();
        self.mend_screen(now);
        let (last_frame, ticked) = {
            let mut pump = self.pump.borrow_mut();
            (pump.last_frame, std::mem::take(&mut pump.ticked))
        };
        let Some(silent) = self.patience.silent(now, ticked, last_frame.unwrap_or(self.expected_since)) else {
            return self.sight;
        };
        if last_frame.is_some() && !silent {
            self.pause = RETRY_FIRST;
        } else if !shed && now >= self.next_try {
            self.connect();
        }
        self.sight = match (silent, last_frame) {
            (true, _) => Sight::Frozen,
            (false, Some(_)) => Sight::Moving,
            (false, None) => Sight::Nothing,
        };
        self.sight
    }

    /// A screen that has failed takes no picture any more: another one takes its place.
    fn mend_screen(&mut self, now: MonoNs) {
        let failed = self.pump.borrow().screen.as_ref().and_then(Screen::failed);
        if let Some(why) = &failed {
            tracing::warn!(input = %self.input, "the preview cannot be shown and is made anew: {why}");
            self.pump.borrow_mut().screen = None;
        }
        if self.pump.borrow().screen.is_none() && now >= self.next_try {
            self.pump.borrow_mut().screen = make_screen(&self.input);
            self.wait(self.pause);
        }
    }

    fn connect(&mut self) {
        self.viewer = None;
        if self.size == (0, 0) {
            return;
        }
        let on_event = Rc::clone(&self.on_event);
        let viewer = Viewer::connect(&self.socket, move |event| on_event(event));
        match viewer.and_then(|viewer| viewer.watch(self.size).map(|()| viewer)) {
            Ok(viewer) => {
                self.viewer = Some(viewer);
                self.wait(FROZEN_AFTER.max(self.pause));
            }
            Err(error) => self.give_up(&error.to_string()),
        }
    }

    fn give_up(&mut self, why: &str) {
        tracing::debug!(input = %self.input, "preview: {why}");
        self.viewer = None;
        self.wait(self.pause);
    }

    fn wait(&mut self, pause: Duration) {
        self.next_try = mono_now().plus(pause);
        self.pause = (self.pause * 2).min(RETRY_LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_nobody_asks_for_do_not_stay_away() {
        let ms = |ms: u64| MonoNs(ms * 1_000_000);
        let mut patience = Patience::default();
        assert_eq!(patience.silent(ms(1000), true, ms(900)), Some(false));
        assert_eq!(patience.silent(ms(2500), true, ms(900)), Some(true), "asked for, and not there");
        // The window is covered for an hour, and seen again.
        assert_eq!(patience.silent(ms(3000), false, ms(2900)), None);
        assert_eq!(patience.silent(ms(3_600_000), false, ms(2900)), None);
        assert_eq!(patience.silent(ms(3_600_500), true, ms(2900)), Some(false), "there was no time to come yet");
        assert_eq!(patience.silent(ms(3_602_000), true, ms(2900)), Some(true));
    }
}

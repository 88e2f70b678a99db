//! What of its face a tile has room for, and in which style. Pure but for the words.

use super::{Place, Tile};
use crate::ui::format::fill;
use crate::ui::inputs::face::{Picture, Sight};
use crate::ui::l10n::gettext;

/// Widths from which the words of a tile are set larger: legible from two metres where there is room.
const LARGE_FROM: i32 = 560;
const MEDIUM_FROM: i32 = 300;

/// Width and height of the level bars in pixels: in a small tile, in a large one, alone.
const SMALL_METER_SIZE: (i32, i32) = (80, 12);
const METER_SIZE: (i32, i32) = (150, 14);
const LARGE_METER_SIZE: (i32, i32) = (320, 30);

impl Tile {
    pub(super) fn meter_size(&self) -> (i32, i32) {
        match self.place {
            _ if self.size.0 < LARGE_FROM => SMALL_METER_SIZE,
            Place::Large => LARGE_METER_SIZE,
            Place::Grid | Place::Line | Place::Away => METER_SIZE,
        }
    }

    pub(super) fn large_icon(&self) -> &'static str {
        if self.place == Place::Large { "view-restore-symbolic" } else { "view-fullscreen-symbolic" }
    }

    pub(super) fn large_words(&self) -> String {
        if self.place == Place::Large {
            return gettext("Back to all inputs");
        }
        fill(&gettext("Show {name} large"), &[("name", &self.face.name)])
    }

    pub(super) fn classes(&self) -> Vec<&'static str> {
        let width = self.size.0;
        let size = if width >= LARGE_FROM || self.is_line() {
            "large"
        } else if width >= MEDIUM_FROM {
            "medium"
        } else {
            "small"
        };
        let kind = if self.is_line() { "tile-line" } else { "tile" };
        [Some(kind), Some(size), self.face.outline.class()].into_iter().flatten().collect()
    }

    /// Words of trouble are amber; those about the last files have their own tint.
    pub(super) fn check_classes(&self, class: &'static str) -> Vec<&'static str> {
        [Some(class), self.face.check.as_ref().map(|check| check.class)].into_iter().flatten().collect()
    }

    pub(super) fn check_words(&self) -> &str {
        self.face.check.as_ref().map_or("", |check| check.words.as_str())
    }

    pub(super) fn picture_opacity(&self) -> f64 {
        match self.face.picture {
            Picture::Live => 1.0,
            Picture::Dimmed => 0.35,
            Picture::Icon(_) => 0.0,
        }
    }

    pub(super) fn icon(&self) -> Option<&'static str> {
        match self.face.picture {
            Picture::Live => None,
            Picture::Dimmed => Some("media-playback-pause-symbolic"),
            Picture::Icon(name) => Some(name),
        }
    }

    pub(super) fn has_second_row(&self) -> bool {
        let shows = self.face.has_words() || self.face.retry || self.face.safe.is_some();
        !self.is_line() && (shows || !self.format_words().is_empty()) || self.is_line() && self.face.has_words()
    }

    /// A small tile has room for the most important words only.
    pub(super) fn has_room(&self) -> bool {
        self.is_line() || self.size.0 >= MEDIUM_FROM
    }

    /// Beside what is wrong, and what can be done, there is room for nothing else in a tile of middle size.
    pub(super) fn has_safe(&self) -> bool {
        self.face.safe.is_some() && !self.is_line() && (self.has_room_for_words() || !self.face.retry)
    }

    /// A large tile has room for everything.
    pub(super) fn has_room_for_words(&self) -> bool {
        self.is_line() || self.size.0 >= LARGE_FROM
    }

    /// A verdict stands beside the format where there is room for both.
    fn has_room_for_format(&self) -> bool {
        let verdict = self.face.check.is_some();
        self.face.words.is_none() && if verdict { self.size.0 >= LARGE_FROM } else { self.has_room() }
    }

    /// Levels come with the frames, and are shown where there is sound and room: in a small tile trouble needs it more.
    pub(super) fn has_meter(&self) -> bool {
        let room = self.size.0 >= LARGE_FROM
            || self.place == Place::Large
            || self.size.0 >= MEDIUM_FROM && !self.face.has_words();
        // What can be done needs the room more than both.
        !self.is_line() && room && !self.face.retry && !self.view.input.audio.is_empty() && self.sight == Sight::Moving
    }

    pub(super) fn format_words(&self) -> &str {
        // Words of trouble need the room more.
        self.face.format.as_deref().filter(|_| self.has_room_for_format()).unwrap_or("")
    }

    pub(super) fn safe_words(&self) -> String {
        let safe = self.face.safe.as_deref().unwrap_or_default();
        fill(&gettext("safe {time}"), &[("time", safe)])
    }
}

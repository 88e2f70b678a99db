//! What is said to a tile and by it.

use super::preview::ViewerEvent;
use crate::model::InputId;
use crate::model::snapshot::{InputView, SessionState};
use std::path::PathBuf;
use std::time::Duration;

/// What the engine says about an input, as far as its tile shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct TileView {
    /// The input.
    pub input: InputView,
    /// State of the running session.
    pub session: Option<SessionState>,
    /// Whether this is current.
    pub contact: bool,
    /// How far the proof of the last session is, in percent; `None` = none runs.
    pub proof: Option<u8>,
}

/// How a tile stands in the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A picture beside the others.
    Grid,
    /// A line instead of a picture, on a small panel.
    Line,
    /// Alone, as large as there is room.
    Large,
    /// Another one is large: not to be seen, and its picture costs nothing.
    Away,
}

/// How a tile is made.
#[derive(Debug)]
pub struct TileInit {
    /// What it shows first.
    pub view: TileView,
    /// Socket of its worker.
    pub socket: PathBuf,
    /// How it stands.
    pub place: Place,
}

/// To a tile.
#[derive(Debug)]
pub enum TileMsg {
    /// The engine said something new.
    Show(Box<TileView>),
    /// Half a second has passed: look at the preview.
    Look,
    /// It stands otherwise now.
    Place(Place),
    /// The picture has this size now, in device pixels; 0×0 = it is not visible.
    Resized(i32, i32),
    /// The size has come to rest.
    Settled,
    /// From the worker.
    Viewer(ViewerEvent),
    /// The operator asks for another attempt.
    RetryClicked,
    /// The operator wants it large, or not any more.
    LargeClicked,
    /// Another input was dropped on it.
    Dropped(InputId),
    /// The operator wants it elsewhere.
    Moved(Step),
}

/// Where a tile goes in the order of the inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// One place earlier.
    Earlier,
    /// One place later.
    Later,
    /// Where this one stands.
    To(InputId),
}

/// From a tile.
#[derive(Debug)]
pub enum TileOutput {
    /// Try the input again at once.
    Retry(InputId),
    /// Show this one large.
    Enlarge(InputId),
    /// Show all of them.
    All,
    /// So long its first picture took.
    Painted(Duration),
    /// This input goes elsewhere.
    Move(InputId, Step),
}

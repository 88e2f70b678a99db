//! What is said to a tile and by it.

use super::preview::ViewerEvent;
use crate::model::InputId;
use crate::model::snapshot::{InputView, SessionState};
use std::path::PathBuf;

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

/// How a tile is made.
#[derive(Debug)]
pub struct TileInit {
    /// What it shows first.
    pub view: TileView,
    /// Socket of its worker.
    pub socket: PathBuf,
    /// A line instead of a picture.
    pub line: bool,
}

/// To a tile.
#[derive(Debug)]
pub enum TileMsg {
    /// The engine said something new.
    Show(Box<TileView>),
    /// Half a second has passed: look at the preview.
    Look,
    /// A line instead of a picture.
    Line(bool),
    /// The picture has this size now, in device pixels; 0×0 = it is not visible.
    Resized(i32, i32),
    /// The size has come to rest.
    Settled,
    /// From the worker.
    Viewer(ViewerEvent),
    /// The operator asks for another attempt.
    RetryClicked,
}

/// From a tile.
#[derive(Debug)]
pub enum TileOutput {
    /// Try the input again at once.
    Retry(InputId),
}

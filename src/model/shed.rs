//! What a worker does without under load, and the load it tells of (R-DEG).
//!
//! Contract: nothing in here takes a frame from a recording. The previews are the engine's to reduce, whatever else runs;
//! of the recording only its bitrate.

use serde::{Deserialize, Serialize};

/// A recording as it was asked for.
pub const FULL_BITRATE: u8 = 100;

/// What one worker does without. The default = nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shed {
    /// Of its preview.
    pub preview: PreviewCap,
    /// Of its recording: percent of the bitrate that was asked for, from the next keyframe on, where its encoder can.
    pub bitrate_percent: u8,
}

impl Default for Shed {
    fn default() -> Self {
        Self { preview: PreviewCap::default(), bitrate_percent: FULL_BITRATE }
    }
}

impl Shed {
    /// Without what either of them does without.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let least = |one: Option<u32>, other: Option<u32>| [one, other].into_iter().flatten().min();
        let (one, two) = (self.preview, other.preview);
        let preview = PreviewCap {
            max_height: least(one.max_height, two.max_height),
            max_fps: least(one.max_fps, two.max_fps),
            off: one.off || two.off,
        };
        Self { preview, bitrate_percent: self.bitrate_percent.min(other.bitrate_percent) }
    }
}

/// Bounds of a preview; the smaller of tile and bound counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewCap {
    /// Pixels, `None` = not bounded.
    pub max_height: Option<u32>,
    /// Pictures per second, `None` = as without load.
    pub max_fps: Option<u32>,
    /// No pictures at all; who watches keeps the last one.
    pub off: bool,
}

/// How a recording process keeps up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WorkerLoad {
    /// How full the fullest queue on the way into the file is, in percent of where it begins to lose.
    pub queue_percent: u8,
    /// How far the newest encoded picture lies behind the newest that has arrived; `None` = nothing is encoded.
    pub late_ms: Option<u64>,
    /// The bitrate of what is being encoded can be lowered.
    pub bitrate_adjustable: bool,
}

//! What may be done without, and the names it has in the snapshot.

use crate::model::shed::{FULL_BITRATE, PreviewCap};
use crate::model::snapshot::LevelName;

/// Pixels that a preview may be high under load.
pub const PREVIEW_HEIGHT: u32 = 720;
/// Pictures per second that a preview may have under load.
pub const PREVIEW_FPS: u32 = 15;
/// Previews that go before all do.
pub const FEW: usize = 2;

/// One thing that is done under load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// No preview is higher than [`PREVIEW_HEIGHT`].
    PreviewHeight,
    /// No preview has more than [`PREVIEW_FPS`] pictures per second.
    PreviewRate,
    /// The [`FEW`] least important previews are off.
    FewPreviewsOff,
    /// Nothing is read again that was recorded before.
    JobsPaused,
    /// Every preview is off.
    PreviewsOff,
    /// The preview of an input whose recording runs late is off.
    LatePreviewOff,
    /// Its recording has three quarters of its bitrate.
    BitrateLower,
    /// It has half of it.
    BitrateHalf,
    /// Memory that was kept for later is given back.
    CachesDropped,
    /// The least important preview is off.
    LeastPreviewOff,
    /// The most important preview is the only one.
    OnePreview,
}

/// What a cause has done about it: a level, and what is done from there on, in this order.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The level.
    pub level: LevelName,
    /// What is done.
    pub actions: &'static [Action],
}

/// R-DEG-T2 and T3, as far as it concerns all inputs.
pub const CPU: [Row; 2] = [
    Row { level: LevelName::Degrade, actions: &[Action::PreviewHeight, Action::PreviewRate, Action::FewPreviewsOff] },
    Row { level: LevelName::Critical, actions: &[Action::JobsPaused, Action::PreviewsOff] },
];

/// R-DEG-T3 of one input: its recording runs late.
pub const LATE: [Row; 1] =
    [Row { level: LevelName::Critical, actions: &[Action::LatePreviewOff, Action::BitrateLower, Action::BitrateHalf] }];

/// R-DEG-T4 and T5. There are no publishers yet.
pub const MEMORY: [Row; 2] = [
    Row { level: LevelName::Degrade, actions: &[Action::CachesDropped, Action::PreviewHeight, Action::PreviewRate] },
    Row { level: LevelName::Critical, actions: &[Action::LeastPreviewOff, Action::PreviewsOff, Action::JobsPaused] },
];

/// R-DEG-5.
pub const LOW_MEMORY: [Row; 1] =
    [Row { level: LevelName::Warn, actions: &[Action::CachesDropped, Action::OnePreview] }];

impl Action {
    /// Its name in the snapshot.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreviewHeight => "previews_720p",
            Self::PreviewRate => "previews_15fps",
            Self::FewPreviewsOff => "two_previews_off",
            Self::JobsPaused => "jobs_paused",
            Self::PreviewsOff => "previews_off",
            Self::LatePreviewOff => "late_preview_off",
            Self::BitrateLower => "bitrate_75",
            Self::BitrateHalf => "bitrate_50",
            Self::CachesDropped => "caches_dropped",
            Self::LeastPreviewOff => "one_preview_off",
            Self::OnePreview => "one_preview",
        }
    }

    /// Whether it touches the recording itself.
    pub fn is_of_the_recording(self) -> bool {
        matches!(self, Self::BitrateLower | Self::BitrateHalf)
    }
}

/// Bounds of each preview, the most important first, where `has` says what is done about all of them.
pub fn previews(count: usize, has: impl Fn(Action) -> bool) -> Vec<PreviewCap> {
    let preview = |place| PreviewCap {
        max_height: has(Action::PreviewHeight).then_some(PREVIEW_HEIGHT),
        max_fps: has(Action::PreviewRate).then_some(PREVIEW_FPS),
        off: has(Action::PreviewsOff)
            || (has(Action::FewPreviewsOff) && is_of_the_few(place, count))
            || (has(Action::LeastPreviewOff) && place + 1 >= count)
            || (has(Action::OnePreview) && place > 0),
    };
    (0..count).map(preview).collect()
}

/// Whether it is one of the [`FEW`] least important; the most important never is, or there would be nothing left to do.
pub fn is_of_the_few(place: usize, count: usize) -> bool {
    place > 0 && place.saturating_add(FEW) >= count
}

/// Percent of its bitrate that a recording has, where `has` says what is done about it.
pub fn bitrate_percent(has: impl Fn(Action) -> bool) -> u8 {
    match () {
        () if has(Action::BitrateHalf) => 50,
        () if has(Action::BitrateLower) => 75,
        () => FULL_BITRATE,
    }
}

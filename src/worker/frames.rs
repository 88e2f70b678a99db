//! The frame counters of a part, from what was counted along the way. Pure.
//!
//! Contract: every number is measured where it happens; captured + duplicated = encoded + dropped.queue +
//! dropped.encoder once nothing is in flight (DESIGN §4).

use super::encoder::Counts;
use crate::model::session::PartFrames;
use crate::model::snapshot::{Dropped, Frames};

/// Frames an encoder holds while it works; only what exceeds them counts as dropped before it has ended.
const ENCODER_HOLDS: u64 = 4;

/// The counts where no frame ever was.
pub fn nothing() -> Frames {
    settle(Counts { lost: Some(0), ..Counts::default() }, 0)
}

/// The counts of a take in which frames are still on their way.
pub fn provisional(counts: Counts, written: u64) -> Frames {
    let encoder = counts.encoder;
    let encoder_dropped = (encoder.taken - encoder.made.min(encoder.taken)).saturating_sub(ENCODER_HOLDS);
    let dropped = Dropped { source: counts.lost, queue: Some(encoder.overflowed), encoder: Some(encoder_dropped) };
    Frames {
        captured: Some(counts.captured),
        encoded: Some(encoder.made),
        written: Some(written),
        duplicated: Some(counts.duplicated),
        dropped,
    }
}

/// The counts of a take in which nothing is in flight any more. Every number is measured; what came, left no queue
/// and is in no overflow was lost between two counters, and counts as dropped all the same. Pure.
pub fn settle(counts: Counts, written: u64) -> Frames {
    let Counts { captured, lost, duplicated, encoder } = counts;
    let missing = (captured + duplicated).saturating_sub(encoder.taken);
    Frames {
        captured: Some(captured),
        encoded: Some(encoder.made),
        written: Some(written),
        duplicated: Some(duplicated),
        dropped: Dropped {
            source: lost,
            queue: Some(missing.max(encoder.overflowed)),
            encoder: Some(encoder.taken.saturating_sub(encoder.made)),
        },
    }
}

/// The same with `lost` frames that were encoded and found no room behind the encoder: a full queue is a full queue, and
/// what the part never got is none of its frames.
pub fn lost_behind(frames: Frames, lost: u64) -> Frames {
    let lost = frames.encoded.map_or(0, |encoded| encoded.min(lost));
    let dropped = Dropped { queue: frames.dropped.queue.map(|queue| queue + lost), ..frames.dropped };
    Frames { encoded: frames.encoded.map(|encoded| encoded - lost), dropped, ..frames }
}

/// The counters as a manifest lists them: what was dropped is known only if it is known everywhere (R-TRU-3).
pub fn part_frames(frames: Frames) -> PartFrames {
    let Dropped { source, queue, encoder } = frames.dropped;
    let dropped = queue.and_then(|queue| Some(queue + encoder? + source?));
    PartFrames {
        captured: frames.captured,
        encoded: frames.encoded,
        written: frames.written,
        readable: None,
        duplicated: frames.duplicated,
        dropped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::encoder::EncoderFrames;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_frame_that_is_lost_anywhere_is_dropped_and_none_is_invented(
            fates in prop::collection::vec(0u8..6, 1..400), seen_by_the_queue: bool,
        ) {
            // Frames go from counter to counter as in a take; each meets one fate on its way.
            let mut counts = Counts::default();
            let (mut queue, mut encoder) = (0, 0);
            for fate in fates {
                counts.captured += 1;
                let copies = match fate {
                    0 => {
                        queue += 1;
                        counts.encoder.overflowed += u64::from(seen_by_the_queue);
                        0
                    }
                    1 => 2,
                    _ => 1,
                };
                counts.duplicated += u64::from(copies == 2);
                counts.encoder.taken += copies;
                let held = u64::from(fate == 2);
                encoder += held;
                counts.encoder.made += copies - held;
            }
            let frames = settle(counts, 0);
            prop_assert_eq!(frames.dropped.queue, Some(queue));
            prop_assert_eq!(frames.dropped.encoder, Some(encoder));
            prop_assert_eq!(frames.duplicated, Some(counts.duplicated));
        }
    }

    #[test]
    fn what_finds_no_room_behind_the_encoder_is_dropped_by_a_queue() {
        let encoder = EncoderFrames { taken: 10, made: 10, overflowed: 1 };
        let frames = lost_behind(settle(Counts { captured: 11, encoder, ..Counts::default() }, 0), 4);
        assert_eq!((frames.encoded, frames.dropped.queue, frames.dropped.encoder), (Some(6), Some(5), Some(0)));
        let unknown = lost_behind(Frames::default(), 4);
        assert_eq!((unknown.encoded, unknown.dropped.queue), (None, None));
    }

    #[test]
    fn drops_of_a_source_that_cannot_tell_are_unknown_not_none() {
        let dropped = |lost| part_frames(settle(Counts { lost, ..Counts::default() }, 0)).dropped;
        assert_eq!((dropped(None), dropped(Some(0)), dropped(Some(3))), (None, Some(0), Some(3)));
    }

    #[test]
    fn frames_nobody_captured_are_not_called_copies() {
        let encoder = EncoderFrames { taken: 12, made: 12, overflowed: 0 };
        let frames = settle(Counts { captured: 10, duplicated: 1, encoder, lost: None }, 0);
        assert_eq!((frames.duplicated, frames.dropped.queue), (Some(1), Some(0)));
    }
}

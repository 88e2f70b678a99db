//! What a closed file says of its part.
//!
//! Contract: a part that lacks something never ends as asked: what the sink met comes before the reason to close.

use crate::media::durable_sink::{Finished, Trouble};
use crate::model::session::{PartEnd, PartRecord};
use crate::worker::frames;
use crate::worker::state::PartClosing;
use crate::worker::take::Ended;
use std::time::Duration;

/// How a part has ended that `trouble` kept something out of.
fn end_by(trouble: &Trouble) -> Option<PartEnd> {
    match trouble {
        Trouble::DiskFull | Trouble::QuotaExceeded => Some(PartEnd::DiskFull),
        Trouble::Write(_) | Trouble::ReadOnly(_) | Trouble::Vanished(_) => Some(PartEnd::DiskError),
        Trouble::Stream(_) => Some(PartEnd::Cut),
        Trouble::Sync(_) | Trouble::Unsynced { .. } => None,
    }
}

/// A closed file as the state sees it.
pub(super) fn closing(ended: Ended) -> PartClosing {
    let Ended { plan, end, mut frames, origin, finished, progress } = ended;
    let (summary, bytes, trouble, unfinalised, payload) = match finished {
        Some(Finished { summary, bytes, trouble, unfinalised, payload }) => {
            (summary, bytes, trouble, unfinalised.map(|error| error.to_string()), payload)
        }
        None => (None, progress.bytes, None, None, None),
    };
    frames.written = Some(summary.as_ref().map_or(0, |summary| summary.video_samples));
    let duration = summary.as_ref().map_or(Duration::ZERO, |summary| summary.duration);
    let start = i128::from(plan.ticket.start_at_ns.0);
    let offset_ns = origin.filter(|_| summary.is_some()).map(|origin| (i128::from(origin.0) - start) as i64);
    // A clean finish syncs everything; without one, or once the disk was in doubt, only what was safe before counts.
    let doubt = trouble.clone().filter(Trouble::is_doubt);
    let safe = if summary.is_some() && unfinalised.is_none() && doubt.is_none() { duration } else { progress.safe };
    let end = match summary {
        None => PartEnd::Empty,
        // What a file lacks it lacks, however it was to end.
        Some(_) => match trouble.as_ref().and_then(end_by) {
            Some(end) => end,
            None if unfinalised.is_some() => PartEnd::DiskError,
            None => end,
        },
    };
    let record = PartRecord {
        offset_ns,
        duration_ns: duration.as_nanos() as u64,
        bytes,
        video: summary.as_ref().and_then(|summary| summary.video.clone()),
        audio: summary.as_ref().and_then(|summary| summary.audio.clone()),
        frames: frames::part_frames(frames),
        payload_blake3: payload.map(|payload| payload.to_hex().to_string()),
        ..PartRecord::new(plan.part, plan.file, plan.ticket.encoding.container, end)
    };
    PartClosing { session: plan.ticket.session, record, frames, safe, doubt, unfinalised }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::durable_sink::Progress;
    use crate::media::finalise::{FinaliseError, Summary};
    use crate::media::signal::VideoFormat;
    use crate::model::MonoNs;
    use crate::model::SessionId;
    use crate::model::encoding::Encoding;
    use crate::model::snapshot::Frames;
    use crate::protocol::worker::Ticket;
    use crate::worker::take::Plan;

    const MEDIA: Duration = Duration::from_secs(20);
    const SAFE: Duration = Duration::from_secs(7);

    fn closed(trouble: Option<Trouble>, unfinalised: Option<FinaliseError>) -> PartClosing {
        let ticket = Ticket {
            session: SessionId(uuid::Uuid::nil()),
            dir: "/library/session".into(),
            start_at_ns: MonoNs(0),
            boot_id: "boot".into(),
            first_part: 1,
            first_fact: 1,
            encoding: Encoding::default(),
            trace_id: String::new(),
        };
        let format = VideoFormat { width: 640, height: 360, pixels: "I420".into(), coding: None, rate: None };
        let (start_at, split_at, with_audio) = (MonoNs(0), None, false);
        let plan = Plan { part: 1, file: "a.mp4".into(), start_at, split_at, format, with_audio, ticket };
        let summary =
            Some(Summary { duration: MEDIA, bytes: 1, video_samples: 600, audio_samples: 0, video: None, audio: None });
        let finished = Some(Finished { summary, bytes: 1, trouble, unfinalised, payload: None });
        let progress = Progress { safe: SAFE, ..Progress::default() };
        let (frames, origin) = (Frames::default(), Some(MonoNs(0)));
        closing(Ended { plan, end: PartEnd::Completed, frames, origin, finished, progress })
    }

    /// The sync of a close may be the first to fail, and then the part ends as asked: nothing else says it (R-TRU-3).
    #[test]
    fn a_doubt_is_handed_on_and_a_disk_that_is_only_full_is_none() {
        let sync = || Trouble::Sync("EIO".into());
        let doubted = closed(Some(sync()), None);
        assert_eq!((doubted.doubt, doubted.record.end), (Some(sync()), PartEnd::Completed));
        assert_eq!(closed(Some(Trouble::DiskFull), None).doubt, None);
        assert_eq!(closed(None, None).doubt, None);
    }

    #[test]
    fn only_what_the_disk_confirmed_is_safe() {
        assert_eq!(closed(None, None).safe, MEDIA);
        assert_eq!(closed(Some(Trouble::DiskFull), None).safe, MEDIA, "the reserved room sufficed");
        assert_eq!(closed(Some(Trouble::QuotaExceeded), None).safe, MEDIA, "here as well");
        for trouble in [Trouble::ReadOnly("EROFS".into()), Trouble::Vanished("ENODEV".into())] {
            let closed = closed(Some(trouble), None);
            assert_eq!((closed.safe, closed.record.end), (SAFE, PartEnd::DiskError));
        }
        assert_eq!(closed(Some(Trouble::Sync("EIO".into())), None).safe, SAFE);
        assert_eq!(closed(Some(Trouble::Write("EIO".into())), None).safe, SAFE);
        assert_eq!(closed(Some(Trouble::Sync("EIO".into())), None).record.end, PartEnd::Completed);
        assert_eq!(closed(Some(Trouble::Write("EIO".into())), None).record.end, PartEnd::DiskError);
        let unfinalised = closed(None, Some(FinaliseError::Tables("too long".into())));
        assert_eq!((unfinalised.safe, unfinalised.record.end), (SAFE, PartEnd::DiskError));
        assert!(unfinalised.unfinalised.is_some());
    }
}

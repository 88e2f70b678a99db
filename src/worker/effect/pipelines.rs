//! The worker's pipelines: made, joined, thrown away.

use super::{OpenSource, Pending, Worker};
use crate::media::durable_sink::{self, Finished, OpenError, Progress, SinkOptions, Trouble};
use crate::media::encoder::{Chosen, Feed};
use crate::media::error::{self, BuildError};
use crate::media::pipeline::BusEvent;
use crate::media::source::{self, Source, Video};
use crate::media::stage::Stage;
use crate::model::MonoNs;
use crate::model::encoding::VideoChoice;
use crate::model::input::{AudioChoice, InputSpec, SourceSpec};
use crate::model::session::{PartEnd, PartRecord};
use crate::sys::lock;
use crate::worker::notice::Notice;
use crate::worker::state::{Event, PartClosing, PartRefusal};
use crate::worker::take::{self, Ended, OpenFile, Plan, SourceCounters, Take};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A repeated file continues at its own end unless that is longer ago than this; then it has lost its place.
const SEAMLESS_LIMIT: Duration = Duration::from_secs(1);

impl Worker {
    pub(super) fn prepare(&mut self, now: MonoNs, input: InputSpec) {
        let mailbox = self.mailbox.clone();
        let with_audio = input.audio != AudioChoice::Off;
        let copies = input.codec == Some(VideoChoice::Copy);
        let stage = Stage::start(input.id.as_str(), with_audio, move |event| mailbox.send(Notice::Stage(event)));
        let kept = |mut stage: Stage| if copies { stage.keep_sound().map(|()| stage) } else { Ok(stage) };
        match stage.and_then(kept) {
            Ok(stage) => self.stage = Some(stage),
            Err(error) => self.mailbox.send(Notice::Stage(BusEvent::Failed(error::Failure {
                element: String::new(),
                reason: error.to_string(),
            }))),
        }
        self.input = Some(input);
        self.refresh_viewers(now);
    }

    pub(super) fn open_source(&mut self, now: MonoNs, seamless: bool) {
        let Some(mut input) = self.input.clone() else { return };
        let first_at = match self.counters.frames.ends_at() {
            Some(end) if seamless && now.since(end) <= SEAMLESS_LIMIT => end,
            _ => now,
        };
        self.generation += 1;
        self.source_generation = self.generation;
        let generation = self.generation;
        let mailbox = self.mailbox.clone();
        let notify = |wrap: fn(u64, BusEvent) -> Notice| {
            let mailbox = mailbox.clone();
            move |event| mailbox.send(wrap(generation, event))
        };
        let opened = self.lock_device(&mut input).and_then(|()| {
            Source::open(&input, first_at, &self.counters, notify(Notice::Source), notify(Notice::Sound))
        });
        let joined = match opened {
            Ok(source) => {
                let joined = self.join_source(&source);
                let since = if seamless { first_at.min(now) } else { now };
                self.source = Some(OpenSource { source, since });
                joined
            }
            Err(error) => {
                // Nothing of it runs: what was begun stops by itself.
                self.fail_source(now, &error);
                return self.decide(now, Event::SourceReleased);
            }
        };
        if let Err(error) = joined {
            // Closed by the state, which waits for its device to be let go of.
            self.fail_source(now, &error);
        }
    }

    fn fail_source(&mut self, now: MonoNs, error: &BuildError) {
        let permanent = matches!(error, BuildError::Misconfigured(_) | BuildError::Missing(_));
        let reason = self.name_source(&error.to_string());
        self.decide(now, Event::SourceFailed { reason, permanent });
    }

    fn join_source(&mut self, source: &Source) -> Result<(), BuildError> {
        let Some(stage) = &mut self.stage else { return Ok(()) };
        // What is copied is decoded for viewers only.
        if let Video::Raw(video) = &source.video {
            stage.video_in.connect(video)?;
        }
        if let (Some(sound), Some(outlet)) = (&mut stage.audio, &source.audio) {
            sound.input.connect(outlet)?;
        }
        Ok(())
    }

    /// Two openers of one device crash some kernels, so a device is locked before it is touched. Names its node in
    /// `input`, so that what is locked is what is opened.
    fn lock_device(&mut self, input: &mut InputSpec) -> Result<(), BuildError> {
        let SourceSpec::V4l2 { device, .. } = &mut input.source else { return Ok(()) };
        *device = source::capture_device(device)?;
        let unlockable = |error| BuildError::Unreachable(format!("{device} cannot be locked: {error}"));
        let path = self.runtime.device_lock(Path::new(device)).map_err(unlockable)?;
        if self.device_lock.as_ref().is_some_and(|(held, _)| *held == path) {
            return Ok(());
        }
        let Some(lock) = lock::try_lock(&path).map_err(unlockable)? else {
            return Err(BuildError::Unreachable(format!(
                "{device} is used by another Holdfast, or by another input under another name; stop that one first"
            )));
        };
        self.device_lock = Some((path, lock));
        Ok(())
    }

    pub(super) fn close_source(&mut self, now: MonoNs) {
        self.close_viewfinder();
        if let Some(stage) = &mut self.stage {
            stage.video_in.disconnect();
            if let Some(sound) = &mut stage.audio {
                sound.input.disconnect();
            }
        }
        let Some(open) = self.source.take() else { return };
        self.releasing = Some(now);
        let (mailbox, generation) = (self.mailbox.clone(), self.source_generation);
        open.source.discard(move || mailbox.send(Notice::SourceReleased(generation)));
    }

    /// `reason` with the thing it is about in front, without credentials.
    pub(super) fn name_source(&self, reason: &str) -> String {
        match self.input.as_ref().map(|input| &input.source) {
            Some(SourceSpec::Rtsp { url, .. }) if !reason.contains("://") => {
                format!("{}: {reason}", error::redact(url))
            }
            Some(SourceSpec::File { path, .. }) if !reason.contains(&*path.to_string_lossy()) => {
                format!("{}: {reason}", path.display())
            }
            _ => error::redact(reason),
        }
    }

    /// Creates the file on a thread of its own, because that waits for the disk; but none that nobody could fill.
    pub(super) fn make_sink(&mut self, now: MonoNs, plan: Plan, path: PathBuf) {
        let chosen = match self.choose_encoders(&plan) {
            Ok(chosen) => chosen,
            Err(error) => {
                let reason = error.to_string();
                return self.decide(now, Event::PartRefused { refusal: PartRefusal::Pipeline { reason } });
            }
        };
        self.generation += 1;
        self.take_generation = self.generation;
        let generation = self.generation;
        let progress = Arc::new(Mutex::new(Progress::default()));
        let listener = take::listen(generation, progress.clone(), self.mailbox.clone());
        let mailbox = self.mailbox.clone();
        let options = SinkOptions { name: format!("{}-sink", plan.file.trim_end_matches(".mp4")), path };
        self.pending = Some(Pending { plan, chosen, progress });
        let spawned = std::thread::Builder::new().name("open-part".to_owned()).spawn(move || {
            mailbox.send(Notice::SinkMade(generation, durable_sink::make(options, listener)));
        });
        if let Err(error) = spawned {
            let error = OpenError::Io { path: PathBuf::new(), error };
            self.mailbox.send(Notice::SinkMade(generation, Err(error)));
        }
    }

    pub(super) fn on_sink_made(&mut self, now: MonoNs, made: Result<gst::Element, OpenError>) {
        let Some(Pending { plan, chosen, progress }) = self.pending.take() else { return };
        let (part, file) = (plan.part, plan.file.clone());
        let refusal = match made {
            Ok(sink) => match self.start_take(plan, &chosen, OpenFile { sink, progress }) {
                Ok(take) => {
                    self.take = Some(take);
                    return self.decide(now, Event::PartOpened { part, file });
                }
                Err(reason) => PartRefusal::Pipeline { reason },
            },
            Err(OpenError::Exists(_)) => PartRefusal::Exists,
            Err(OpenError::Io { error, .. }) => {
                let code = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
                let full = matches!(code, Some(rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT));
                PartRefusal::Disk { full, reason: format!("{file}: {error}") }
            }
        };
        self.decide(now, Event::PartRefused { refusal });
    }

    /// The encoders a part needs. Asked before its file exists, so that none is made that nobody could fill.
    fn choose_encoders(&mut self, plan: &Plan) -> Result<Chosen, BuildError> {
        self.encoders.choose(&plan.ticket.encoding, plan.with_audio)
    }

    fn start_take(&mut self, plan: Plan, chosen: &Chosen, file: OpenFile) -> Result<Take, String> {
        let stage = self.stage.as_ref().ok_or("the stage is gone")?;
        let coded = self.source.as_ref().and_then(|open| open.source.video.coded());
        let counters = SourceCounters {
            frames: self.counters.frames.clone(),
            lost: self.source.as_ref().and_then(|open| open.source.lost()),
        };
        let notices = (self.take_generation, &self.mailbox);
        Take::start(plan, file, chosen, Feed { stage, coded }, counters, notices).map_err(|error| error.to_string())
    }

    pub(super) fn on_part_ended(&mut self, now: MonoNs) {
        if self.take.as_ref().is_some_and(Take::is_part_ending) {
            self.finish_take();
            self.decide(now, Event::PartFlushed);
        } else {
            self.decide(now, Event::TakeFailed { reason: "the file ended by itself".to_owned() });
        }
    }

    pub(super) fn finish_take(&mut self) {
        if let (Some(take), Some(stage)) = (self.take.take(), &self.stage) {
            take.finish(stage, self.take_generation, self.mailbox.clone());
        }
    }
}

/// A closed file as the state sees it.
pub(super) fn closing(ended: Ended) -> PartClosing {
    let Ended { plan, end, mut frames, origin, finished, progress } = ended;
    let (summary, bytes, trouble, unfinalised) = match finished {
        Some(Finished { summary, bytes, trouble, unfinalised }) => {
            (summary, bytes, trouble, unfinalised.map(|error| error.to_string()))
        }
        None => (None, progress.bytes, None, None),
    };
    frames.written = Some(summary.as_ref().map_or(0, |summary| summary.video_samples));
    let duration = summary.as_ref().map_or(Duration::ZERO, |summary| summary.duration);
    let start = i128::from(plan.ticket.start_at_ns.0);
    let offset_ns = origin.filter(|_| summary.is_some()).map(|origin| (i128::from(origin.0) - start) as i64);
    // A clean finish syncs everything; without one, or once the disk was in doubt, only what was safe before counts.
    let in_doubt = unfinalised.is_some() || matches!(trouble, Some(Trouble::Sync(_) | Trouble::Write(_)));
    let safe = if summary.is_some() && !in_doubt { duration } else { progress.safe };
    let end = match summary {
        None => PartEnd::Empty,
        Some(_) if unfinalised.is_some() => PartEnd::DiskError,
        Some(_) => end,
    };
    let record = PartRecord {
        part: plan.part,
        file: plan.file,
        offset_ns,
        duration_ns: duration.as_nanos() as u64,
        bytes,
        container: plan.ticket.encoding.container,
        video: summary.as_ref().and_then(|summary| summary.video.clone()),
        audio: summary.as_ref().and_then(|summary| summary.audio.clone()),
        frames: take::part_frames(frames),
        gaps: Vec::new(),
        blake3: None,
        payload_blake3: None,
        end,
    };
    PartClosing { session: plan.ticket.session, record, frames, safe, unfinalised }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::finalise::{FinaliseError, Summary};
    use crate::media::signal::VideoFormat;
    use crate::model::SessionId;
    use crate::model::encoding::Encoding;
    use crate::model::snapshot::Frames;
    use crate::protocol::worker::Ticket;

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
        };
        let format = VideoFormat { width: 640, height: 360, pixels: "I420".into(), coding: None, rate: None };
        let plan = Plan { part: 1, file: "a.mp4".into(), start_at: MonoNs(0), format, with_audio: false, ticket };
        let summary =
            Some(Summary { duration: MEDIA, bytes: 1, video_samples: 600, audio_samples: 0, video: None, audio: None });
        let finished = Some(Finished { summary, bytes: 1, trouble, unfinalised });
        let progress = Progress { safe: SAFE, ..Progress::default() };
        let (frames, origin) = (Frames::default(), Some(MonoNs(0)));
        closing(Ended { plan, end: PartEnd::Completed, frames, origin, finished, progress })
    }

    #[test]
    fn only_what_the_disk_confirmed_is_safe() {
        assert_eq!(closed(None, None).safe, MEDIA);
        assert_eq!(closed(Some(Trouble::DiskFull), None).safe, MEDIA, "the reserved room sufficed");
        assert_eq!(closed(Some(Trouble::Sync("EIO".into())), None).safe, SAFE);
        assert_eq!(closed(Some(Trouble::Write("EIO".into())), None).safe, SAFE);
        let unfinalised = closed(None, Some(FinaliseError::Tables("too long".into())));
        assert_eq!((unfinalised.safe, unfinalised.record.end), (SAFE, PartEnd::DiskError));
        assert!(unfinalised.unfinalised.is_some());
    }
}

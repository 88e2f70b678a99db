//! The worker's pipelines: made, joined, thrown away.

use super::{OpenSource, Worker};
use crate::media::error::{self, BuildError};
use crate::media::pipeline::{BusEvent, TEARDOWN_DEADLINE};
use crate::media::source::{self, Source, Video};
use crate::media::stage::Stage;
use crate::model::MonoNs;
use crate::model::encoding::{Encoding, VideoChoice};
use crate::model::input::{AudioChoice, InputSpec, SourceSpec, Transport};
use crate::model::redact::redact;
use crate::sys::lock;
use crate::worker::notice::Notice;
use crate::worker::state::{Event, Patience};
use std::path::Path;
use std::time::Duration;

/// A repeated file continues at its own end unless that is longer ago than this; then it has lost its place.
const SEAMLESS_LIMIT: Duration = Duration::from_secs(1);

impl Worker {
    pub(super) fn prepare(&mut self, now: MonoNs, input: InputSpec) {
        let mailbox = self.mailbox.clone();
        let with_audio = input.audio != AudioChoice::Off;
        let codec = input.codec.unwrap_or(Encoding::default().codec);
        self.warm_up_encoders(codec, with_audio);
        let copies = codec == VideoChoice::Copy;
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

    /// Finds out which of the usual encoders work while the source is being opened, so that a start does not have to:
    /// loading a library or opening a device can take seconds. Whoever needs the answer sooner waits for it on a thread
    /// of its own ([`Worker::make_sink`]); the main loop never does, for a worker that is silent is taken for hung.
    fn warm_up_encoders(&self, codec: VideoChoice, with_audio: bool) {
        let encoders = self.encoders.clone();
        let spawned = std::thread::Builder::new().name("probe".to_owned()).spawn(move || {
            if let Err(error) = encoders.choose(&Encoding { codec, ..Encoding::default() }, with_audio) {
                tracing::warn!(%error, "the usual encoders do not work here");
            }
        });
        if let Err(error) = spawned {
            tracing::warn!(%error, "no thread to probe the encoders; the first start does it");
        }
    }

    pub(super) fn open_source(&mut self, now: MonoNs, seamless: bool, by_tcp: bool) {
        let Some(mut input) = self.input.clone() else { return };
        if let SourceSpec::Rtsp { transport: transport @ Transport::Auto, .. } = &mut input.source
            && by_tcp
        {
            *transport = Transport::Tcp;
        }
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
        self.releasing = Some(Patience::new(now, TEARDOWN_DEADLINE));
        let (mailbox, generation) = (self.mailbox.clone(), self.source_generation);
        open.source.discard(move || mailbox.send(Notice::SourceReleased(generation)));
    }

    /// `reason` with the thing it is about in front, without credentials.
    pub(super) fn name_source(&self, reason: &str) -> String {
        match self.input.as_ref().map(|input| &input.source) {
            Some(SourceSpec::Rtsp { url, .. }) if !reason.contains("://") => {
                format!("{}: {reason}", redact(url))
            }
            Some(SourceSpec::File { path, .. }) if !reason.contains(&*path.to_string_lossy()) => {
                format!("{}: {reason}", path.display())
            }
            _ => redact(reason),
        }
    }
}

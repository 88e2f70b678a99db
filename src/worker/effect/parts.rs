//! The worker's parts: files created, hung on the encoders, split, closed.

use super::{Pending, Worker};
use crate::media::boundary::Boundary;
use crate::media::durable_sink::{self, OpenError, Progress, SinkOptions, Trouble};
use crate::media::encoder::{Chosen, Feed};
use crate::media::error::BuildError;
use crate::media::pipeline::BusEvent;
use crate::media::stage::Stage;
use crate::model::MonoNs;
use crate::model::session::PartEnd;
use crate::worker::encoder::{Encoder, SourceCounters};
use crate::worker::notice::Notice;
use crate::worker::state::{Event, Evidence, PartRefusal};
use crate::worker::take::{self, Meters, OpenFile, Plan, Take};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A boundary lies at least this far ahead when it is armed: the request for a keyframe must reach the encoder before
/// the picture does, and no sound of the new part may have passed.
const ARM_AHEAD: Duration = Duration::from_millis(200);

/// What counts frames, if it is there.
fn meters<'a>(encoder: &'a Option<Encoder>, stage: &'a Option<Stage>) -> Option<Meters<'a>> {
    Some(Meters { encoder: encoder.as_ref()?, stage: stage.as_ref()? })
}

impl Worker {
    /// Before `now` the worker stood still for `held_up`, and its files had no chance for `files_held_up`.
    pub(super) fn tick_parts(&mut self, now: MonoNs, held_up: Duration, files_held_up: Duration) {
        if let Some(encoder) = &mut self.encoder {
            encoder.tick(now, held_up);
        }
        for take in [&mut self.take, &mut self.settling].into_iter().flatten() {
            take.tick(now, files_held_up);
        }
    }

    pub(super) fn look_at_parts(&mut self, evidence: &mut Evidence) {
        let meters = meters(&self.encoder, &self.stage);
        evidence.take = self.take.as_mut().map(|take| take.evidence(meters));
        evidence.settling = self.settling.as_mut().map(|take| take.evidence(meters));
    }

    /// The number of the part whose notices carry `generation`.
    fn part_of(&self, generation: u64) -> Option<u32> {
        let takes = [&self.take, &self.next, &self.settling].into_iter().flatten();
        takes.into_iter().find(|take| take.generation == generation).map(|take| take.plan.part)
    }

    pub(super) fn on_encode(&mut self, now: MonoNs, generation: u64, event: BusEvent) {
        let Some(encoder) = self.encoder.as_mut().filter(|encoder| encoder.generation == generation) else { return };
        match event {
            BusEvent::Failed(failure) => {
                encoder.give_up();
                self.decide(now, Event::TakeFailed { part: None, reason: failure.reason });
            }
            BusEvent::Ended if encoder.on_ended() => {
                if let Some(meters) = meters(&self.encoder, &self.stage) {
                    for take in [&mut self.take, &mut self.settling].into_iter().flatten() {
                        take.on_encode_ended(meters);
                    }
                }
            }
            BusEvent::Ended => {
                self.decide(
                    now,
                    Event::TakeFailed { part: None, reason: "the encoders ended by themselves".to_owned() },
                );
            }
            BusEvent::Meters(_) | BusEvent::Format(_) | BusEvent::Silent => {}
        }
    }

    pub(super) fn on_part(&mut self, now: MonoNs, generation: u64, event: BusEvent) {
        let Some(part) = self.part_of(generation) else { return };
        match event {
            BusEvent::Failed(failure) => {
                self.decide(now, Event::TakeFailed { part: Some(part), reason: failure.reason });
            }
            BusEvent::Ended => self.on_part_ended(now, part),
            BusEvent::Meters(_) | BusEvent::Format(_) | BusEvent::Silent => {}
        }
    }

    pub(super) fn on_trouble(&mut self, now: MonoNs, generation: u64, trouble: Trouble) {
        if let Some(part) = self.part_of(generation) {
            self.decide(now, Event::PartTrouble { part, trouble });
        }
    }

    fn on_part_ended(&mut self, now: MonoNs, part: u32) {
        let is_it = |take: &&mut Option<Take>| take.as_ref().is_some_and(|take| take.plan.part == part);
        let slot = [&mut self.take, &mut self.settling].into_iter().find(is_it);
        let ended = slot.and_then(|slot| slot.take_if(Take::on_ended));
        if let Some(take) = ended {
            self.finish(take);
            self.decide(now, Event::PartFlushed { part });
        } else {
            self.decide(now, Event::TakeFailed { part: Some(part), reason: "the file ended by itself".to_owned() });
        }
    }

    /// Creates the file on a thread of its own, because that waits for the disk, and for the encoders to be known: there
    /// is no file that nobody could fill.
    pub(super) fn make_sink(&mut self, plan: Plan, path: PathBuf) {
        self.generation += 1;
        let generation = self.generation;
        let progress = Arc::new(Mutex::new(Progress::default()));
        let listener = take::listen(generation, progress.clone(), self.mailbox.clone());
        let mailbox = self.mailbox.clone();
        let options = SinkOptions { name: format!("{}-sink", plan.element_name()), path, watch: self.disk.clone() };
        let (encoders, encoding, with_audio) = (self.encoders.clone(), plan.ticket.encoding.clone(), plan.with_audio);
        self.pending.push(Pending { generation, plan, progress, dropped: false });
        let spawned = std::thread::Builder::new().name("open-part".to_owned()).spawn(move || {
            let chosen = encoders.choose(&encoding, with_audio);
            let chosen = chosen.map_err(unencodable);
            let made = chosen.and_then(|chosen| Ok((chosen, durable_sink::make(options, listener).map_err(refusal)?)));
            mailbox.send(Notice::SinkMade(generation, Box::new(made)));
        });
        if let Err(error) = spawned {
            let reason = format!("no thread to create the file: {error}");
            self.mailbox.send(Notice::SinkMade(generation, Box::new(Err(PartRefusal::Pipeline { reason }))));
        }
    }

    pub(super) fn on_sink_made(
        &mut self,
        now: MonoNs,
        generation: u64,
        made: Result<(Chosen, gst::Element), PartRefusal>,
    ) {
        let Some(place) = self.pending.iter().position(|pending| pending.generation == generation) else { return };
        let Pending { plan, progress, dropped, .. } = self.pending.swap_remove(place);
        let (part, file) = (plan.part, plan.file.clone());
        let refusal = match made {
            Ok((_, sink)) if dropped => {
                self.decide(now, Event::PartOpened { part, file });
                return take::close_unused(plan, sink, self.mailbox.clone());
            }
            Ok((chosen, sink)) => match self.start_take(now, plan, &chosen, OpenFile { sink, progress }, generation) {
                Ok(()) => return self.decide(now, Event::PartOpened { part, file }),
                Err(reason) => PartRefusal::Pipeline { reason },
            },
            Err(refusal) => refusal,
        };
        self.decide(now, Event::PartRefused { part, refusal });
    }

    fn start_take(
        &mut self,
        now: MonoNs,
        plan: Plan,
        chosen: &Chosen,
        file: OpenFile,
        generation: u64,
    ) -> Result<(), String> {
        let counters = SourceCounters {
            frames: self.counters.frames.clone(),
            lost: self.source.as_ref().map(|open| open.source.lost()),
        };
        let splits = plan.split_at.is_some();
        let began = if self.encoder.as_ref().is_some_and(|encoder| encoder.fits(&plan)) {
            self.join_take(now, plan, file, counters, generation)
        } else if splits {
            Err(BuildError::Refused("the encoders that would go on are gone".to_owned()))
        } else {
            self.begin_take(plan, chosen, file, counters, generation)
        };
        let take = Some(began.map_err(|error| error.to_string())?);
        if splits {
            self.next = take;
        } else {
            self.take = take;
        }
        Ok(())
    }

    /// A part that begins together with its encoders.
    fn begin_take(
        &mut self,
        plan: Plan,
        chosen: &Chosen,
        file: OpenFile,
        counters: SourceCounters,
        generation: u64,
    ) -> Result<Take, BuildError> {
        self.release_encoder();
        self.generation += 1;
        let encoder_generation = self.generation;
        let stage = self.stage.as_ref().ok_or_else(|| BuildError::Refused("the stage is gone".to_owned()))?;
        let coded = self.source.as_ref().and_then(|open| open.source.video.coded());
        let mut encoder = Encoder::build(&plan, chosen, Feed { stage, coded }, encoder_generation)?;
        let take = Take::start(plan, file, (&encoder, counters), None, (generation, &self.mailbox))?;
        // Last: from here on frames flow, and everything that takes them is there.
        encoder.start(&self.mailbox)?;
        encoder.encode.set_bitrate_percent(self.bitrate_percent);
        self.encoder = Some(encoder);
        Ok(take)
    }

    /// A part of encoders that run: it begins with the next keyframe they are asked for.
    fn join_take(
        &mut self,
        now: MonoNs,
        plan: Plan,
        file: OpenFile,
        counters: SourceCounters,
        generation: u64,
    ) -> Result<Take, BuildError> {
        let Some(encoder) = &self.encoder else {
            return Err(BuildError::Refused("there is no encoder to join".to_owned()));
        };
        let earliest = now.plus(ARM_AHEAD);
        let boundary = Boundary::new(plan.split_at.map_or(earliest, |at| at.max(earliest)));
        let splits = plan.split_at.is_some();
        let take = Take::start(plan, file, (encoder, counters), Some(&boundary), (generation, &self.mailbox))?;
        if splits && let Some(before) = &self.take {
            before.end_at(&boundary);
        }
        encoder.arm(&boundary, generation, &self.mailbox)?;
        Ok(take)
    }

    /// The boundary at which the take of `generation` begins is decided.
    pub(super) fn on_boundary(&mut self, now: MonoNs, generation: u64, at: MonoNs) {
        tracing::debug!(at = at.0, "a part begins");
        // A part that follows none has nobody to tell: its evidence does.
        let splits = |take: &&Take| take.generation == generation && take.plan.split_at.is_some();
        if let Some(part) = self.next.as_ref().filter(splits).map(|next| next.plan.part) {
            self.decide(now, Event::PartSplit { part });
        }
    }

    pub(super) fn advance_part(&mut self, now: MonoNs) {
        let Some(next) = self.next.take() else { return };
        if let (Some(mut before), Some(meters)) = (self.take.replace(next), meters(&self.encoder, &self.stage)) {
            before.split(now, meters);
            self.settling = Some(before);
        }
    }

    pub(super) fn drop_next(&mut self, now: MonoNs) {
        for pending in &mut self.pending {
            pending.dropped |= pending.plan.split_at.is_some();
        }
        // Behind a keyframe that has come in this very moment nothing reaches the part before it any more.
        if let Some(part) = self.next.as_ref().filter(|next| next.begins_after_all()).map(|next| next.plan.part) {
            return self.decide(now, Event::PartSplit { part });
        }
        if let Some(next) = self.next.take() {
            self.finish(next);
        }
    }

    pub(super) fn close_part(&mut self, now: MonoNs, at: MonoNs, end: PartEnd) {
        let Some(take) = &mut self.take else { return };
        take.end = end;
        match &mut self.encoder {
            // Without a signal no frame will come to show that the end is reached.
            Some(encoder) if encoder.is_running() => encoder.close(now, at, end == PartEnd::Completed),
            _ => self.cut_part(end),
        }
    }

    pub(super) fn cut_part(&mut self, end: PartEnd) {
        // Whether a stall is the encoder's fault nobody can tell.
        if let Some(encoder) = self.encoder.as_mut().filter(|_| end == PartEnd::Stalled) {
            encoder.give_up();
        }
        if let Some(mut take) = self.take.take() {
            take.end = end;
            self.finish(take);
        }
    }

    pub(super) fn cut_settling(&mut self) {
        if let Some(take) = self.settling.take() {
            self.finish(take);
        }
    }

    /// Throws `take` away as it is; and with it encoders that nobody needs any more.
    fn finish(&mut self, take: Take) {
        take.finish(meters(&self.encoder, &self.stage), self.mailbox.clone());
        if self.take.is_none() && self.encoder.as_ref().is_some_and(|encoder| !encoder.is_running()) {
            self.release_encoder();
        }
    }

    pub(super) fn release_encoder(&mut self) {
        if let Some(encoder) = self.encoder.take() {
            encoder.discard();
        }
    }
}

/// Why there are no encoders, for the state.
fn unencodable(error: BuildError) -> PartRefusal {
    let reason = error.to_string();
    match error {
        BuildError::NoneWorks { .. } => PartRefusal::Encoder { reason },
        BuildError::Missing(_) | BuildError::Refused(_) | BuildError::Misconfigured(_) | BuildError::Unreachable(_) => {
            PartRefusal::Pipeline { reason }
        }
    }
}

/// Why there is no file, for the state.
fn refusal(error: OpenError) -> PartRefusal {
    error.trouble().map_or(PartRefusal::Exists, PartRefusal::Disk)
}

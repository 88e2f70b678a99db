//! The worker's peers: engine and viewers.

use super::Worker;
use crate::model::MonoNs;
use crate::protocol::worker::{Command, Refusal, Report};
use crate::worker::link::{self, LinkEvent, Said};
use crate::worker::space::SpaceWatch;
use crate::worker::state::{Asked, Event, Reply};

impl Worker {
    pub(super) fn on_link(&mut self, now: MonoNs, event: LinkEvent) {
        let hello = link::hello(self.state.input(), self.started, self.state.session());
        let said = self.link.on_event(now, event, &hello);
        self.heed(now, said);
    }

    /// Turns what peers said into events.
    pub(super) fn heed(&mut self, now: MonoNs, said: Vec<Said>) {
        for said in said {
            match said {
                Said::EngineConnected(_) => {
                    self.answers.greet(self.link.engine_epoch());
                    self.decide(now, Event::EngineConnected);
                    self.publish_status(now);
                }
                Said::EngineGone => self.decide(now, Event::EngineGone),
                Said::Command(connection, command) => self.on_command(now, connection, *command),
                Said::Watch(connection, width, height) => {
                    self.viewers.watch(now, connection, width, height);
                    self.refresh_viewers(now);
                }
                Said::ViewerGone(connection) => {
                    self.viewers.forget(now, connection);
                    self.refresh_viewers(now);
                }
            }
        }
    }

    fn on_command(&mut self, now: MonoNs, connection: u64, command: Command) {
        let reply = |id| Reply { connection, id };
        match command.id().map(|id| (reply(id), self.answers.ask(reply(id)))) {
            Some((_, Asked::Begun)) => return,
            Some((reply, Asked::Answered(refused))) => return self.answer(now, reply, refused),
            Some((_, Asked::New)) | None => {}
        }
        let event = match command {
            Command::Configure { id, input, policy } => {
                Event::Configure { reply: reply(id), input: Box::new(input), policy }
            }
            Command::Start { id, ticket } => {
                tracing::info!(session = %ticket.session, trace_id = ticket.trace_id, "told to record");
                Event::Start { reply: reply(id), ticket: Box::new(ticket) }
            }
            Command::Stop { id, session } => Event::Stop { reply: reply(id), session },
            Command::Split { id, session, at_ns } => Event::Split { reply: reply(id), session, at: at_ns },
            Command::Retry { id } => Event::Retry { reply: reply(id) },
            Command::ClearClip { id } => Event::ClearClip { reply: reply(id) },
            Command::Shed { id, shed } => Event::Shed { reply: reply(id), shed },
            Command::Leave { id } => Event::Leave { reply: reply(id) },
            // The link has dealt with these.
            Command::Hello { .. } | Command::Watch { .. } => return,
        };
        self.decide(now, event);
    }

    /// Answers a command, to whoever asked last.
    pub(super) fn answer(&mut self, now: MonoNs, reply: Reply, refused: Option<Refusal>) {
        let reply = self.answers.answer(reply, &refused);
        let mut said = Vec::new();
        self.link.send(reply.connection, &Report::Ack { id: reply.id, refused }, None, &mut said);
        self.heed(now, said);
    }

    pub(super) fn tell_engine(&mut self, now: MonoNs, report: &Report) {
        let mut said = Vec::new();
        self.link.send_to_engine(report, &mut said);
        self.heed(now, said);
    }

    pub(super) fn publish_status(&mut self, now: MonoNs) {
        self.status_at = now;
        let status = self.state.status(now);
        self.tell_engine(now, &Report::Status(Box::new(status)));
    }

    /// Makes preview and ring fit those who watch.
    pub(super) fn refresh_viewers(&mut self, now: MonoNs) {
        self.refresh_viewfinder(now);
        let Some(stage) = &self.stage else { return };
        stage.watch_meters(self.viewers.any());
        let rings = self.viewers.refresh(now, self.state.input(), stage, self.state.picture());
        let mut said = Vec::new();
        for ring in rings {
            self.link.send(ring.connection, &ring.report, ring.memfd.as_ref().map(std::os::fd::AsFd::as_fd), &mut said);
        }
        self.heed(now, said);
    }

    /// Looks after the disk while, and only while, something is recorded.
    pub(super) fn watch_space(&mut self) {
        let wanted = self.state.recording_dir();
        if wanted.as_ref() == self.space.as_ref().map(|(dir, _)| dir) {
            return;
        }
        self.space =
            wanted.and_then(|dir| match SpaceWatch::start(dir.clone(), self.disk.clone(), self.mailbox.clone()) {
                Ok(watch) => Some((dir, watch)),
                Err(error) => {
                    tracing::warn!(%error, "neither the free space nor the files are watched");
                    None
                }
            });
    }

    /// Waits for the last facts, lets go of everything, and says with which code to exit.
    pub fn leave(&mut self) -> u8 {
        self.facts.finish();
        self.close_source(crate::sys::clock::mono_now());
        self.link.close();
        self.exit.unwrap_or(0)
    }
}

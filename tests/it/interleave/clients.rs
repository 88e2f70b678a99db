//! What clients ask of the engine of the simulated world, and what its answers promise them.
//!
//! Contract: a session whose start was refused is never recorded; after an answered Stop nobody goes on recording, and
//! `finished` is never said of a session that somebody records. A Stop that is on disk binds every later engine too.

use super::engine::SimEngine;
use super::world::World;
use holdfast::engine::event::{Event, Reply, StartCommand, Token};
use holdfast::model::SessionId;
use holdfast::model::session::{JournalKind, Line};
use holdfast::protocol::api::StartRequest;
use holdfast::storage::{journal, layout, recovery};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What clients were told.
#[derive(Debug, Default)]
pub struct Promises {
    /// The session each start would make.
    asked: BTreeMap<Token, SessionId>,
    /// Sessions whose start was refused.
    refused: BTreeSet<SessionId>,
    /// Sessions whose Stop was answered.
    stopped: BTreeSet<SessionId>,
    /// How many Stops were answered with `stopping`, and how many of those before it was known what ran.
    pub stops: [usize; 2],
    /// Stops that were asked of an engine that did not know what ran.
    early: BTreeSet<Token>,
}

impl Promises {
    /// Somebody was promised that this session ends.
    pub fn is_stopped(&self, session: SessionId) -> bool {
        self.stopped.contains(&session)
    }
}

impl World {
    /// A client asks to record with a key of its own.
    pub fn ask_start(&mut self, key: u8) {
        let (now, token) = (self.clock.mono, self.token());
        let ready = |engine: &&mut SimEngine| !engine.frozen;
        let Some(engine) = self.engines.first_mut().filter(ready) else { return };
        // Ordered by time like UUIDv7, and different for each request.
        let id = SessionId(uuid::Uuid::from_u64_pair(now.0, token));
        self.promises.asked.insert(token, id);
        engine.send(Event::Start(StartCommand {
            token,
            trace: format!("trace {token}"),
            key: format!("key {key}"),
            fresh: false,
            request: StartRequest::default(),
            digest: "same".to_owned(),
            id,
            name: Ok(format!("session {key}").parse().expect("a name")),
        }));
    }

    /// A client asks to stop the running session, or this one.
    pub fn ask_stop(&mut self, session: Option<SessionId>) {
        let token = self.token();
        if let Some(engine) = self.engines.first_mut().filter(|engine| !engine.frozen) {
            if !engine.state.is_settled() {
                self.promises.early.insert(token);
            }
            engine.send(Event::Stop { token, session });
        }
    }

    pub fn ask_split(&mut self) {
        let token = self.token();
        if let Some(engine) = self.engines.first_mut().filter(|engine| !engine.frozen) {
            engine.send(Event::Split { token, session: None });
        }
    }

    /// Looks at new answers, and whether what was promised holds.
    pub fn hold_to_promises(&mut self) {
        let written = self.written();
        let heard = self.engines.first_mut().map(|engine| std::mem::take(&mut engine.unheard)).unwrap_or_default();
        for (token, reply) in heard {
            match reply {
                Reply::Stopped(body) if body.status == "finished" => {
                    let id = body.session_id;
                    assert!(!written.contains(&id), "request {token}: {id} is called finished and is being recorded");
                }
                Reply::Stopped(body) => {
                    self.promises.stops[0] += 1;
                    self.promises.stops[1] += usize::from(self.promises.early.remove(&token));
                    self.promises.stopped.insert(body.session_id);
                }
                Reply::Refused(_) => self.promises.refused.extend(self.promises.asked.get(&token)),
                _ => {}
            }
        }
        let refused = self.promises.refused.intersection(&written).next();
        assert!(refused.is_none(), "{refused:?} was refused and is being recorded");
    }

    /// The engine died: what it had answered and not written binds nobody any more.
    pub fn forget_promises(&mut self) {
        self.hold_to_promises();
        let library = self.library();
        self.promises.stopped.retain(|session| is_stopped_on_disk(&library, *session));
    }
}

fn is_stopped_on_disk(library: &Path, session: SessionId) -> bool {
    let dirs = recovery::session_dirs(library).expect("a library");
    let journals = dirs.iter().map(|dir| library.join(dir).join(layout::JOURNAL));
    let mut read = journals.filter_map(|path| journal::read::<Line<JournalKind>>(&path).ok());
    let lines = read.find(|(lines, _)| {
        lines.iter().any(|line| matches!(&line.kind, JournalKind::Plan(plan) if plan.id == session))
    });
    let over = |kind: &JournalKind| matches!(kind, JournalKind::StopRequested | JournalKind::Closed { .. });
    lines.is_some_and(|(lines, _)| lines.iter().any(|line| over(&line.kind)))
}

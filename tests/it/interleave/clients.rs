//! What clients ask of the engine of the simulated world.

use super::engine::SimEngine;
use super::world::World;
use holdfast::engine::event::{Event, StartCommand};
use holdfast::model::SessionId;
use holdfast::protocol::api::StartRequest;

impl World {
    /// A client asks to record with a key of its own.
    pub fn ask_start(&mut self, key: u8) {
        let (now, token) = (self.clock.mono, self.token());
        let ready = |engine: &&mut SimEngine| !engine.frozen && engine.state.is_settled();
        let Some(engine) = self.engines.first_mut().filter(ready) else { return };
        // Ordered by time like UUIDv7, and different for each request.
        let id = SessionId(uuid::Uuid::from_u64_pair(now.0, token));
        engine.send(Event::Start(StartCommand {
            token,
            trace: format!("trace {token}"),
            key: format!("key {key}"),
            request: StartRequest::default(),
            digest: "same".to_owned(),
            id,
            default_name: format!("session {key}"),
        }));
    }

    pub fn ask_stop(&mut self) {
        let token = self.token();
        if let Some(engine) = self.engines.first_mut().filter(|engine| !engine.frozen) {
            engine.send(Event::Stop { token, session: None });
        }
    }

    pub fn ask_split(&mut self) {
        let token = self.token();
        if let Some(engine) = self.engines.first_mut().filter(|engine| !engine.frozen) {
            engine.send(Event::Split { token, session: None });
        }
    }
}

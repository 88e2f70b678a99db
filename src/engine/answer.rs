//! What a handler asks becomes an event, with everything that is not pure about it.

use super::Loop;
use super::event::{Event, MarkCommand, StartCommand, Token};
use super::server::{Request, Subscription};
use crate::model::MonoNs;
use crate::protocol::api::StartRequest;
use crate::sys::clock;

impl Loop {
    /// Turns a request into an event, or answers it.
    pub(super) fn answer(&mut self, request: Request) {
        match request {
            Request::Start { trace, key, clicked, name, body, reply } => {
                let token = self.shell.expect_reply(reply);
                self.press(token, clicked, &trace);
                let fresh = key.is_none();
                let key = key.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
                let id = crate::model::SessionId(uuid::Uuid::now_v7());
                let digest = digest(&body);
                let command = StartCommand { token, key, fresh, request: body, digest, id, name, trace };
                // A machine that has just woken up: what happened before is none of this session.
                clock::offsets().into_iter().for_each(|seen| self.handle(Event::Clocks(seen)));
                self.handle(Event::Start(command));
            }
            Request::Stop { trace, clicked, session, reply } => {
                let token = self.shell.expect_reply(reply);
                self.press(token, clicked, &trace);
                self.handle(Event::Stop { token, session });
            }
            Request::Split { session, reply } => {
                let token = self.shell.expect_reply(reply);
                self.handle(Event::Split { token, session });
            }
            Request::Mark { key, body, clicked, reply } => {
                let token = self.shell.expect_reply(reply);
                let key = key.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
                self.handle(Event::Mark(MarkCommand { token, key, request: body, clicked }));
            }
            Request::Retry { input, reply } => {
                let token = self.shell.expect_reply(reply);
                self.handle(Event::Retry { token, input });
            }
            Request::ClearClip { input, reply } => {
                let token = self.shell.expect_reply(reply);
                self.handle(Event::ClearClip { token, input });
            }
            Request::Order { body, reply } => {
                let token = self.shell.expect_reply(reply);
                self.handle(Event::Order { token, request: body });
            }
            Request::Acknowledge { alert, reply } => {
                let token = self.shell.expect_reply(reply);
                self.handle(Event::Acknowledge { token, alert });
            }
            Request::Cleanup { operation, reply } => {
                let token = self.shell.expect_reply(reply);
                self.handle(Event::Cleanup { token, operation });
                self.tell_health(super::now());
            }
            Request::Subscribe { since, reply } => {
                let first = self.publisher.begin(clock::wall_now(), since);
                // The client went away again.
                drop(reply.send(Subscription { first, events: self.clients.subscribe() }));
            }
        }
    }
}

impl Loop {
    /// What a start or stop takes is measured from the click, or from here on.
    fn press(&mut self, token: Token, clicked: Option<MonoNs>, trace: &str) {
        let at = clicked.unwrap_or_else(clock::mono_now);
        self.handle(Event::Pressed { token, at, trace: trace.to_owned() });
    }
}

/// Tells two bodies of one key apart, also after a restart.
fn digest(body: &StartRequest) -> String {
    blake3::hash(&serde_json::to_vec(body).unwrap_or_default()).to_hex().to_string()
}

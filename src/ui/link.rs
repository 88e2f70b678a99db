//! The window's line to the engine: follows its events, reconnects by itself, has an engine started when none runs.
//!
//! Contract: [`follow`] never ends by itself; what it hears begins with a whole state after every reconnection
//! (R-FM-3), and two seconds of silence are said aloud (R-TRU-8).

use super::engine::{EngineStarter, Started};
use crate::protocol::client::{Client, ClientError, EVENT_SILENCE, EventStream};
use crate::protocol::event::Event;
use std::pin::pin;
use std::time::Duration;

/// First pause before connecting again: an engine that restarts is back at once.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// Longest pause: a restarted engine is found within 2 s (R-SUP-1), also when it takes a second to come up.
const PAUSE_LONGEST: Duration = Duration::from_secs(1);
/// Pause after an engine could not be started (R-SUP-11: within 5 s).
const PAUSE_FAILED_START: Duration = Duration::from_secs(4);

/// What the line says.
#[derive(Debug)]
pub enum Heard {
    /// A message of the engine.
    Event(Event),
    /// Nothing for two seconds, or the connection broke.
    Silence,
    /// No engine runs and none can be started; why.
    NoEngine(String),
}

/// Follows the engine for ever; `hear` returns `false` when nobody listens any more.
pub async fn follow(client: Client, starter: Option<EngineStarter>, hear: impl Fn(Heard) -> bool) {
    let mut pause = PAUSE_FIRST;
    loop {
        match connect(&client, &hear).await {
            Ok(stream) => {
                pause = PAUSE_FIRST;
                if !listen(stream, &hear).await {
                    return;
                }
            }
            Err(ClientError::NoEngine { socket }) => match &starter {
                Some(starter) => {
                    if let Started::Failed(why) = starter.ensure().await {
                        if !hear(Heard::NoEngine(why)) {
                            return;
                        }
                        pause = PAUSE_FAILED_START;
                    }
                }
                None if !hear(Heard::NoEngine(socket.display().to_string())) => return,
                None => {}
            },
            Err(error) => {
                tracing::debug!("no contact with the engine: {error}");
                if !hear(Heard::Silence) {
                    return;
                }
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_LONGEST);
    }
}

/// Connects; says so when that takes as long as a silence, and goes on waiting to the client's own deadline.
async fn connect(client: &Client, hear: &impl Fn(Heard) -> bool) -> Result<EventStream, ClientError> {
    let mut connecting = pin!(client.events(None));
    tokio::select! {
        done = &mut connecting => return done,
        () = tokio::time::sleep(EVENT_SILENCE) => hear(Heard::Silence),
    };
    connecting.await
}

/// Passes on what is heard until the stream ends. `false` = nobody listens any more.
async fn listen(mut stream: EventStream, hear: &impl Fn(Heard) -> bool) -> bool {
    loop {
        let heard = match stream.next().await {
            Ok(Some(event)) => Heard::Event(event),
            // The stream can be read on: the engine may only be frozen.
            Err(ClientError::Silent) => Heard::Silence,
            Ok(None) => return hear(Heard::Silence),
            Err(error) => {
                tracing::debug!("the line to the engine broke: {error}");
                return hear(Heard::Silence);
            }
        };
        if !hear(heard) {
            return false;
        }
    }
}

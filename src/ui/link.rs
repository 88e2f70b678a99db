//! The window's line to the engine: follows its events, reconnects by itself, has an engine started when none answers.
//!
//! Contract: [`follow`] never ends by itself; after every reconnection it hears what it missed or the whole state
//! (R-FM-3); two seconds of silence are said aloud (R-TRU-8), and before three a new engine is asked for (R-SUP-11).
//! Silence is counted in steps of the window's own running time: a window that was stopped, or slept with its machine,
//! does not take that for the engine's silence.

use super::engine::{EngineStarter, Need, Started};
use crate::protocol::client::{Client, ClientError, EventStream};
use crate::protocol::event::Event;
use std::pin::pin;
use std::time::Duration;

/// First pause before connecting again: an engine that restarts is back at once.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// Longest pause: a restarted engine is found within 2 s (R-SUP-1), also when it takes a second to come up.
const PAUSE_LONGEST: Duration = Duration::from_secs(1);
/// Pause after an engine could not be started (R-SUP-11: within 5 s).
const PAUSE_FAILED_START: Duration = Duration::from_secs(4);
/// One step of waiting.
const STEP: Duration = Duration::from_millis(250);
/// Steps until silence is said: 2 s (R-TRU-8).
const QUIET: u32 = 8;
/// Steps until the engine counts as mute: 2.25 s, which leaves a new one half of the 5 s of R-SUP-11 to look for itself
/// and take over.
const MUTE: u32 = 9;

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
    let mut line = Line { client, starter, hear, silence: Silence::default(), since: None, pause: PAUSE_FIRST };
    while line.connect_and_listen().await.is_some() {}
}

/// How long nothing has been heard. Pure.
#[derive(Debug, Default)]
struct Silence {
    steps: u32,
}

/// What a step of silence means.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    /// It is time to say so.
    Quiet,
    /// It is time to have another engine started; again and again while the silence lasts.
    Mute,
}

impl Silence {
    fn step(&mut self) -> Step {
        self.steps = self.steps.saturating_add(1);
        match self.steps {
            QUIET => Step::Quiet,
            steps if steps.is_multiple_of(MUTE) => Step::Mute,
            _ => Step::Nothing,
        }
    }
}

struct Line<F> {
    client: Client,
    starter: Option<EngineStarter>,
    hear: F,
    silence: Silence,
    /// The number of the last change that was heard.
    since: Option<u64>,
    pause: Duration,
}

/// In every method `None` = nobody listens any more.
impl<F: Fn(Heard) -> bool> Line<F> {
    async fn connect_and_listen(&mut self) -> Option<()> {
        let client = self.client.clone();
        match self.patiently(client.events(self.since)).await? {
            Ok(stream) => {
                self.listen(stream).await?;
                self.pause = PAUSE_FIRST;
            }
            Err(ClientError::NoEngine { socket }) => self.start(Need::Absent, &socket.display().to_string()).await?,
            Err(error) => {
                tracing::debug!("no contact with the engine: {error}");
                self.say(Heard::Silence)?;
            }
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE_LONGEST);
        self.patiently(tokio::time::sleep(pause)).await
    }

    /// Passes on what is heard until the stream ends.
    async fn listen(&mut self, mut stream: EventStream) -> Option<()> {
        loop {
            match self.patiently(stream.next()).await? {
                Ok(Some(event)) => {
                    self.silence = Silence::default();
                    self.since = event.seq().or(self.since);
                    self.say(Heard::Event(event))?;
                }
                // The stream can be read on; the silence is counted here.
                Err(ClientError::Silent) => {}
                Ok(None) => return self.say(Heard::Silence),
                Err(error) => {
                    tracing::debug!("the line to the engine broke: {error}");
                    return self.say(Heard::Silence);
                }
            }
        }
    }

    /// Waits for `work`, and does meanwhile what silence demands.
    async fn patiently<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            if let Ok(done) = tokio::time::timeout(STEP, &mut work).await {
                return Some(done);
            }
            match self.silence.step() {
                Step::Nothing => {}
                Step::Quiet => self.say(Heard::Silence)?,
                Step::Mute => self.start(Need::Mute, "the engine does not answer").await?,
            }
        }
    }

    /// Has an engine started; `nobody` are the words where this window cannot.
    async fn start(&mut self, need: Need, nobody: &str) -> Option<()> {
        let started = match &self.starter {
            Some(starter) => starter.ensure(need).await,
            None => Started::Failed(nobody.to_owned()),
        };
        if let Started::Failed(why) = started {
            self.say(Heard::NoEngine(why))?;
            self.pause = PAUSE_FAILED_START;
        }
        Some(())
    }

    fn say(&self, heard: Heard) -> Option<()> {
        (self.hear)(heard).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_said_after_two_seconds_and_an_engine_asked_for_before_three() {
        let mut silence = Silence::default();
        let mut steps = (1..=40).map(|n| (STEP * n, silence.step())).filter(|(_, step)| *step != Step::Nothing);
        assert_eq!(steps.next(), Some((Duration::from_secs(2), Step::Quiet)));
        assert_eq!(steps.next(), Some((Duration::from_millis(2250), Step::Mute)));
        assert_eq!(steps.next(), Some((Duration::from_millis(4500), Step::Mute)));
    }
}

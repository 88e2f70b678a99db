//! The window's line to the engine: follows its events, reconnects by itself, has an engine started when none answers.
//!
//! Contract: [`follow`] never ends by itself; after every reconnection it hears what it missed or the whole state
//! (R-FM-3); two seconds of silence are said aloud (R-TRU-8), and before three a new engine is asked for (R-SUP-11).
//! Mute is only an engine that is there and says nothing: whatever it answers, also that it is full, is a sign of life.
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
    /// Steps since the last sign of life.
    steps: u32,
    /// Those of them in which somebody was there to answer.
    unanswered: u32,
    absent: bool,
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
    /// Nobody listens, until the next attempt: there is nobody to be mute.
    fn nobody(&mut self) {
        (self.unanswered, self.absent) = (0, true);
    }

    fn attempt(&mut self) {
        self.absent = false;
    }

    fn step(&mut self) -> Step {
        self.steps = self.steps.saturating_add(1);
        self.unanswered = self.unanswered.saturating_add(u32::from(!self.absent));
        match (self.steps, self.unanswered) {
            (QUIET, _) => Step::Quiet,
            (_, unanswered) if !self.absent && unanswered.is_multiple_of(MUTE) => Step::Mute,
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
        self.silence.attempt();
        match self.patiently(client.events(self.since)).await? {
            Ok(stream) => {
                self.silence = Silence::default();
                self.listen(stream).await?;
                self.pause = PAUSE_FIRST;
            }
            Err(ClientError::NoEngine { socket }) => {
                self.silence.nobody();
                self.start(Need::Absent, &socket.display().to_string()).await?;
            }
            Err(error) => {
                if matches!(error, ClientError::Api(_) | ClientError::Protocol(_)) {
                    self.silence = Silence::default();
                }
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

    /// What the first 40 steps mean, and when.
    fn told(mut silence: Silence) -> Vec<(Duration, Step)> {
        (1..=40).map(|n| (STEP * n, silence.step())).filter(|(_, step)| *step != Step::Nothing).collect()
    }

    #[test]
    fn silence_is_said_after_two_seconds_and_an_engine_asked_for_before_three() {
        let told = told(Silence::default());
        assert_eq!(told[0], (Duration::from_secs(2), Step::Quiet));
        assert_eq!(told[1], (Duration::from_millis(2250), Step::Mute));
        assert_eq!(told[2], (Duration::from_millis(4500), Step::Mute));
    }

    #[test]
    fn who_is_not_there_is_not_mute() {
        let mut silence = Silence::default();
        assert!((0..5).all(|_| silence.step() == Step::Nothing));
        silence.nobody();
        (0..20).for_each(|_| assert_ne!(silence.step(), Step::Mute));
        // Somebody came, and has the whole time to answer.
        silence.attempt();
        (1..MUTE).for_each(|_| assert_ne!(silence.step(), Step::Mute));
        assert_eq!(silence.step(), Step::Mute);
    }

    /// An engine all of whose places are taken says so; one that is mute says nothing.
    #[tokio::test]
    async fn a_full_engine_is_told_from_a_mute_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("socket");
        let listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        let full = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut stream, _) = listener.accept().expect("a client");
            let _ = stream.read(&mut [0; 4096]).expect("a request");
            let answer = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
            stream.write_all(answer.as_bytes()).expect("an answer");
        });
        let heard = Client::new(&socket).events(None).await.map(|_| ());
        full.join().expect("the engine");
        assert!(matches!(heard, Err(ClientError::Api(_) | ClientError::Protocol(_))), "{heard:?}");
    }
}

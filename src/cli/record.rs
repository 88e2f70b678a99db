//! `holdfast record start|split|mark|stop`: commands, and waiting for what they promised.

use super::{Outcome, RecordCommand, clock_time, failed, print_json};
use crate::model::snapshot::{InputState, InputView, RecordingState, SessionState, Snapshot};
use crate::model::{InputId, SessionId};
use crate::protocol::api::{MarkerRequest, SplitRequest, StartReply, StartRequest, StopReply, StopRequest};
use crate::protocol::client::{Client, ClientError};
use crate::sys::clock;
use std::path::Path;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long `record start` waits for evidence (DESIGN §4).
const START_WAIT: Duration = Duration::from_secs(8);
/// How long `record stop` waits for closed files: 15 s flush, 2 s SIGTERM, and the finalising of what is left.
const STOP_WAIT: Duration = Duration::from_secs(60);
/// First pause before connecting again (R-FM-3); it doubles.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// Longest pause: an engine that is started again is back within 2 s (R-SUP-1).
const PAUSE_LONGEST: Duration = Duration::from_secs(1);

pub(super) async fn run(client: Client, command: RecordCommand) -> Result<Outcome, ClientError> {
    match command {
        RecordCommand::Start { json, name, inputs, key, no_wait } => {
            let request = StartRequest { name, inputs: (!inputs.is_empty()).then_some(inputs) };
            let key = key.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
            let reply = client.clone().clicked(clock::mono_now()).start(&key, &request).await?;
            let outcome = if no_wait { Outcome::Done } else { wait_for_evidence(&client, &reply).await? };
            if json.json {
                print_json(&reply);
            } else {
                let (id, count) = (reply.session_id, reply.inputs.len());
                println!("session \"{}\" ({id}), {count} inputs: {}", reply.name, reply.status);
            }
            Ok(outcome)
        }
        RecordCommand::Split(json) => {
            let reply = client.split(&SplitRequest::default()).await?;
            if json.json {
                return Ok(print_json(&reply));
            }
            println!("session {}: {} inputs begin a new file", reply.session_id, reply.inputs.len());
            Ok(Outcome::Done)
        }
        RecordCommand::Mark { json, label, key } => {
            let key = key.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
            let reply =
                client.clicked(clock::mono_now()).mark(&key, &MarkerRequest { session_id: None, label }).await?;
            if json.json {
                return Ok(print_json(&reply));
            }
            let (n, at) = (reply.marker.n, u64::try_from(reply.marker.t_ns / 1_000_000).ok());
            println!("session {}: marker {n} at {}", reply.session_id, clock_time(at));
            Ok(Outcome::Done)
        }
        RecordCommand::Stop { json, no_wait } => {
            let clicked = clock::mono_now();
            // Named, so that a repeated request (a lost answer, a second stop) means this session and no other.
            let running = client.status().await?.session.map(|session| session.id);
            let reply = client.clone().clicked(clicked).stop(&StopRequest { session_id: running }).await?;
            if no_wait {
                return Ok(print_stop(&reply, None, json.json));
            }
            let last = wait_for(&client, STOP_WAIT, |snapshot| is_closed(snapshot, reply.session_id)).await?;
            Ok(match last {
                Reached::Yes(snapshot) if !is_last(&snapshot, reply.session_id) => failed(
                    "the recording has stopped, but its files could not be closed yet; `holdfast status` says why",
                ),
                Reached::Yes(snapshot) => {
                    let reply = StopReply { status: "finished".to_owned(), ..reply };
                    print_stop(&reply, Some(&snapshot), json.json)
                }
                Reached::Not(_) => failed("the files are still being closed; `holdfast status` shows when they are"),
            })
        }
    }
}

fn print_stop(reply: &StopReply, snapshot: Option<&Snapshot>, json: bool) -> Outcome {
    if json {
        return print_json(reply);
    }
    println!("session {}: {}", reply.session_id, reply.status);
    if let Some(last) =
        snapshot.and_then(|snapshot| snapshot.last_session.as_ref()).filter(|last| last.id == reply.session_id)
    {
        let files = if last.parts == 1 { "file" } else { "files" };
        println!("{} {files} in {}", last.parts, Path::new(&last.dir).display());
    }
    Outcome::Done
}

fn is_closed(snapshot: &Snapshot, id: SessionId) -> bool {
    snapshot.session.as_ref().is_none_or(|session| session.id != id)
}

/// The same from evidence: an engine that has just begun shows no session before it has looked for one.
fn has_closed(snapshot: &Snapshot, id: SessionId) -> bool {
    match &snapshot.session {
        Some(session) => session.id != id,
        None => is_last(snapshot, id),
    }
}

/// Nothing newer ended, so the last session is the one that was stopped.
fn is_last(snapshot: &Snapshot, id: SessionId) -> bool {
    snapshot.last_session.as_ref().is_some_and(|last| last.id >= id)
}

/// What one input of a started session came to.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Pending,
    Records,
    /// It does not, for this reason.
    Failed(String),
}

fn fate(snapshot: &Snapshot, id: &InputId) -> Fate {
    let Some(input) = snapshot.inputs.iter().find(|input| input.id == *id) else {
        return Fate::Failed("it is not configured any more".to_owned());
    };
    match input.recording.as_ref().map(|recording| recording.state) {
        Some(RecordingState::Recording) => Fate::Records,
        Some(RecordingState::Failed) => Fate::Failed(reason(input)),
        _ => match input.state {
            InputState::Live | InputState::Starting => Fate::Pending,
            _ => Fate::Failed(reason(input)),
        },
    }
}

fn reason(input: &InputView) -> String {
    input.detail.clone().unwrap_or_else(|| format!("it is {}", super::word(&input.state)))
}

async fn wait_for_evidence(client: &Client, reply: &StartReply) -> Result<Outcome, ClientError> {
    let settled = |snapshot: &Snapshot| {
        let pending = reply.inputs.iter().any(|id| fate(snapshot, id) == Fate::Pending);
        let stopping = snapshot.session.as_ref().is_some_and(|session| session.state == SessionState::Stopping);
        let here = snapshot.session.as_ref().is_some_and(|session| session.id == reply.session_id);
        here && (!pending || stopping) || has_closed(snapshot, reply.session_id)
    };
    let (Reached::Yes(snapshot) | Reached::Not(snapshot)) = wait_for(client, START_WAIT, settled).await?;
    Ok(came_to(&snapshot, reply))
}

/// What became of the session of `reply`, as `snapshot` shows it. Inputs that record for another session say nothing.
fn came_to(snapshot: &Snapshot, reply: &StartReply) -> Outcome {
    if is_closed(snapshot, reply.session_id) {
        return failed("the session has ended already");
    }
    let mut recording = 0;
    for id in &reply.inputs {
        match fate(snapshot, id) {
            Fate::Records => recording += 1,
            Fate::Failed(reason) => eprintln!("holdfast: input {id} does not record: {reason}"),
            Fate::Pending => eprintln!("holdfast: input {id} does not record yet after {} s", START_WAIT.as_secs()),
        }
    }
    if recording > 0 {
        return Outcome::Done;
    }
    let length = clock_time(snapshot.session.as_ref().and_then(|session| session.media_ms));
    failed(format!("nothing records (media time {length})"))
}

/// Whether a state was seen in time, and the last one seen.
enum Reached {
    Yes(Box<Snapshot>),
    Not(Box<Snapshot>),
}

/// Follows the engine's events until `reached`, at most for `limit`; an engine that goes away meanwhile is expected back.
async fn wait_for(
    client: &Client,
    limit: Duration,
    reached: impl Fn(&Snapshot) -> bool,
) -> Result<Reached, ClientError> {
    let mut held = None;
    let mut broken = None;
    let watching = async {
        let mut pause = PAUSE_FIRST;
        loop {
            let error = match follow(client, &mut held, &mut broken, &reached).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_worth_waiting() => error,
                Err(error) => return Err(error),
            };
            if broken.replace(error).is_none() {
                pause = PAUSE_FIRST;
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LONGEST);
        }
    };
    let ended = timeout(limit, watching).await;
    match (ended, broken, held) {
        (Ok(Err(error)), ..) | (Err(_), Some(error), _) => Err(error),
        (Ok(Ok(())), _, Some(snapshot)) => Ok(Reached::Yes(Box::new(snapshot))),
        (Err(_), None, Some(snapshot)) => Ok(Reached::Not(Box::new(snapshot))),
        (_, _, None) => Err(ClientError::Transport("no state arrived".to_owned())),
    }
}

/// Folds one connection's events into `held` until `reached`; `broken` is forgotten as soon as anything is heard.
async fn follow(
    client: &Client,
    held: &mut Option<Snapshot>,
    broken: &mut Option<ClientError>,
    reached: &impl Fn(&Snapshot) -> bool,
) -> Result<(), ClientError> {
    let mut events = client.events(held.as_ref().map(|held| held.seq)).await?;
    loop {
        match events.next().await {
            Ok(Some(event)) => {
                *broken = None;
                event.fold(held);
                if held.as_ref().is_some_and(reached) {
                    return Ok(());
                }
            }
            Ok(None) => return Err(ClientError::Transport("the event stream was closed".to_owned())),
            // The engine may be busy; the limit ends the wait.
            Err(ClientError::Silent) => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::event::Event;
    use futures_util::SinkExt;
    use jiff::Timestamp;
    use tokio::net::UnixListener;
    use tokio_tungstenite::tungstenite::Message;

    /// One input that records.
    fn snapshot() -> Snapshot {
        serde_json::from_str(include_str!("../../tests/golden/snapshot.json")).expect("a snapshot")
    }

    #[test]
    fn inputs_that_record_for_another_session_prove_nothing() {
        let reply: StartReply =
            serde_json::from_str(include_str!("../../tests/golden/reply_start.json")).expect("a reply");
        let mut snapshot = snapshot();
        let id = snapshot.session.as_ref().map(|session| session.id).expect("a session");
        let reply = StartReply { session_id: id, inputs: vec![snapshot.inputs[0].id.clone()], ..reply };
        assert_eq!(came_to(&snapshot, &reply), Outcome::Done);
        snapshot.session.as_mut().expect("a session").id = SessionId(uuid::Uuid::now_v7());
        assert_eq!(came_to(&snapshot, &reply), Outcome::Failed);
    }

    /// An engine that dies after it has taken the order; the next one carries it out.
    #[tokio::test]
    async fn a_wait_outlives_the_engine_it_began_with() {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("socket");
        let client = Client::new(&socket);
        let (running, mut closed) = (snapshot(), snapshot());
        closed.session = None;
        let engines = async {
            for state in [running, closed] {
                let listener = UnixListener::bind(&socket).expect("a socket");
                let (stream, _) = listener.accept().await.expect("a client");
                let mut events = tokio_tungstenite::accept_async(stream).await.expect("a client of events");
                let sync = serde_json::to_string(&Event::replicate(Timestamp::UNIX_EPOCH, &state)).expect("a message");
                events.send(Message::Text(sync.into())).await.expect("sent");
                drop((events, listener));
                std::fs::remove_file(&socket).expect("ours");
            }
        };
        let waiting = wait_for(&client, Duration::from_secs(20), |snapshot| snapshot.session.is_none());
        let both = async { tokio::join!(engines, waiting) };
        let (_, reached) = timeout(Duration::from_secs(30), both).await.expect("nobody came back");
        assert!(matches!(reached, Ok(Reached::Yes(_))));
        let gone = wait_for(&client, Duration::from_millis(300), |_| true).await;
        assert!(matches!(gone, Err(ClientError::NoEngine { .. })));
    }
}

//! Asking for a session so that it can be asked for again (R-CMD-3, R-FM-7).
//!
//! Contract: the key is remembered before the request goes out and forgotten once there is an answer that will not
//! change. A window that was killed in between, or whose engine was, repeats the key with the next Record, so that one
//! press never makes two sessions.

use super::own_state::{OwnState, PendingStart};
use crate::protocol::api::{StartReply, StartRequest};
use crate::protocol::client::{Client, ClientError};
use std::path::PathBuf;
use std::time::Duration;

/// Statuses of a session that an earlier press began and that still is what this one wants.
const BEGUN: [&str; 2] = ["starting", "recording"];
/// A home folder that does not take the key within this time shall not hold the recording up.
const REMEMBER: Duration = Duration::from_secs(1);

/// Where starts come from.
#[derive(Debug, Clone)]
pub struct Starts {
    /// The engine.
    pub client: Client,
    /// Where the window remembers, if anywhere.
    pub folder: Option<PathBuf>,
}

impl Starts {
    /// Starts a session called `name` (the engine makes a name without).
    pub async fn start(&self, name: Option<String>) -> Result<StartReply, ClientError> {
        let before = self.recall().await.pending_start.filter(|pending| pending.name == name);
        if let Some(pending) = before {
            match self.send(pending).await {
                // That session was made and is over, or about to be: this press means a new one.
                Ok(reply) if !BEGUN.contains(&reply.status.as_str()) => {}
                other => return other,
            }
        }
        let pending = PendingStart { key: uuid::Uuid::now_v7().to_string(), name };
        self.remember(Some(pending.clone())).await;
        self.send(pending).await
    }

    async fn send(&self, PendingStart { key, name }: PendingStart) -> Result<StartReply, ClientError> {
        let result = self.client.start(&key, &StartRequest { name, inputs: None }).await;
        if !matches!(&result, Err(error) if is_open(error)) {
            self.remember(None).await;
        }
        result
    }

    async fn recall(&self) -> OwnState {
        let Some(folder) = self.folder.clone() else { return OwnState::default() };
        let reading = tokio::task::spawn_blocking(move || OwnState::load(&folder));
        match tokio::time::timeout(REMEMBER, reading).await {
            Ok(Ok(state)) => state,
            _ => OwnState::default(),
        }
    }

    async fn remember(&self, pending_start: Option<PendingStart>) {
        self.keep(move |known| known.pending_start = pending_start).await;
    }

    /// Changes what the window remembers. One that cannot is said in the log and costs nothing else.
    pub async fn keep(&self, change: impl FnOnce(&mut OwnState) + Send + 'static) {
        let Some(folder) = self.folder.clone() else { return };
        let writing = tokio::task::spawn_blocking(move || OwnState::change(&folder, change));
        match tokio::time::timeout(REMEMBER, writing).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => {
                tracing::warn!("the window cannot remember what it should: {error}; recording is not affected")
            }
            _ => tracing::warn!("the window could not remember in time what it should; recording is not affected"),
        }
    }
}

/// Whether it is not known what became of the start. That nobody listens says nothing either: an engine that was killed
/// after it had taken the request leaves the session to the next one.
fn is_open(error: &ClientError) -> bool {
    match error {
        ClientError::Transport(_) | ClientError::Protocol(_) | ClientError::NoEngine { .. } | ClientError::Silent => {
            true
        }
        ClientError::Api(refusal) => refusal.retryable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;

    const REPLY: &str = include_str!("../../tests/golden/reply_start.json");

    #[tokio::test]
    async fn the_key_of_a_start_is_kept_until_its_fate_is_known() {
        let folder = tempfile::tempdir().expect("a folder");
        let starts =
            Starts { client: Client::new(folder.path().join("nobody")), folder: Some(folder.path().to_owned()) };
        let key = || OwnState::load(folder.path()).pending_start.map(|pending| pending.key);
        let failed = starts.start(None).await;
        assert!(matches!(failed, Err(ClientError::NoEngine { .. })), "{failed:?}");
        let first = key().expect("the engine may have been killed after it had taken the request");
        assert!(starts.start(None).await.is_err());
        assert_eq!(key(), Some(first), "the next press is the same wish");
    }

    /// An engine that answers starts with these statuses, one by one, and gives back the keys it was asked with. It
    /// counts a client that asks nothing, and hears no more than it has statuses.
    fn engine(listener: UnixListener, statuses: &[&'static str]) -> std::thread::JoinHandle<Vec<String>> {
        let statuses = statuses.to_vec();
        std::thread::spawn(move || {
            let answer = |status: &str| {
                let (mut stream, _) = listener.accept().expect("a client");
                let mut request = [0; 4096];
                let length = stream.read(&mut request).expect("a request");
                if length == 0 {
                    return None;
                }
                let mut body: serde_json::Value = serde_json::from_str(REPLY).expect("a reply");
                body["status"] = status.into();
                let body = body.to_string();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                stream.write_all((head + &body).as_bytes()).expect("an answer");
                let head = String::from_utf8_lossy(&request[..length]).into_owned();
                let key = head.lines().find_map(|line| line.strip_prefix("x-idempotency-key: "));
                Some(key.expect("every start has a key").to_owned())
            };
            statuses.into_iter().filter_map(answer).collect()
        })
    }

    #[tokio::test]
    async fn a_press_that_finds_its_session_over_begins_another() {
        for (status, requests) in [("starting", 1), ("recording", 1), ("stopping", 2), ("failed", 2), ("finished", 2)] {
            let folder = tempfile::tempdir().expect("a folder");
            let socket = folder.path().join("socket");
            let listener = UnixListener::bind(&socket).expect("a socket");
            let pending = PendingStart { key: "first".to_owned(), name: None };
            OwnState { pending_start: Some(pending), ..OwnState::default() }.save(folder.path()).expect("remembered");
            let statuses = [status, "starting"];
            let engine = engine(listener, &statuses);
            let starts = Starts { client: Client::new(&socket), folder: Some(folder.path().to_owned()) };
            let reply = starts.start(None).await.expect("an answer");
            // Lets it end that waits for a second request; one that has ended takes nobody.
            drop(std::os::unix::net::UnixStream::connect(&socket));
            let keys = engine.join().expect("the engine");
            assert_eq!((keys.len(), keys[0].as_str()), (requests, "first"), "{status}");
            assert!(keys.iter().skip(1).all(|key| key != "first"), "{status}: {keys:?}");
            assert_eq!(reply.status, statuses[requests - 1]);
            assert_eq!(OwnState::load(folder.path()).pending_start, None, "{status}");
        }
    }
}

//! Asking for a session so that it can be asked for again (R-CMD-3, R-FM-7).
//!
//! Contract: the key is remembered before the request goes out and forgotten once there is an answer. A window that
//! was killed in between repeats the key with the next Record, so that one press never makes two sessions.

use super::own_state::{OwnState, PendingStart};
use crate::protocol::api::{StartReply, StartRequest};
use crate::protocol::client::{Client, ClientError};
use std::path::PathBuf;
use std::time::Duration;

/// Status of a session that is over.
const FINISHED: &str = "finished";
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
                // That session was made and has ended since: this press means a new one.
                Ok(reply) if reply.status == FINISHED => {}
                other => return other,
            }
        }
        let pending = PendingStart { key: uuid::Uuid::now_v7().to_string(), name };
        self.remember(Some(pending.clone())).await;
        self.send(pending).await
    }

    async fn send(&self, PendingStart { key, name }: PendingStart) -> Result<StartReply, ClientError> {
        let result = self.client.start(&key, &StartRequest { name, inputs: None }).await;
        // Without an answer it is not known whether the session exists; only then the key is of use.
        if !matches!(result, Err(ClientError::Transport(_) | ClientError::Protocol(_))) {
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
        let Some(folder) = self.folder.clone() else { return };
        let writing =
            tokio::task::spawn_blocking(move || OwnState { pending_start, ..OwnState::load(&folder) }.save(&folder));
        match tokio::time::timeout(REMEMBER, writing).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => {
                tracing::warn!("the window cannot remember its start: {error}; recording is not affected")
            }
            _ => tracing::warn!("the window could not remember its start in time; recording is not affected"),
        }
    }
}

//! The typed client of the API over the engine's Unix socket; command line and window share it.
//!
//! Contract: one method per request; each has a deadline and is tried at most [`ATTEMPTS`] times, again only
//! after a transport error or a reply that says `retryable` (R-CMD-4). Needs a Tokio runtime.

use super::api::{
    AckReply, AlertsReply, ApiError, CLICKED_AT, CLIENT, CleanupReply, ClipReply, HealthReply, HistoryReply,
    IDEMPOTENCY_KEY, LatencyReport, LatencyView, MarkerReply, MarkerRequest, NameReply, OperationsReply, OrderReply,
    OrderRequest, RetryReply, SessionsReply, SplitReply, SplitRequest, StartReply, StartRequest, StopReply,
    StopRequest, TRACE_ID, WINDOW,
};
use super::event::Event;
use crate::model::snapshot::Snapshot;
use crate::model::{InputId, MonoNs};
use futures_util::StreamExt;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, ClientRequestBuilder, Message};

/// A request that takes longer is given up (R-CMD-4).
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// How often a request is tried (R-CMD-4).
pub const ATTEMPTS: usize = 3;
/// Pauses between attempts (R-CMD-4).
const PAUSES: [Duration; ATTEMPTS - 1] = [Duration::from_millis(100), Duration::from_millis(500)];
/// The engine sends a heartbeat every second; after this silence there is no contact (R-TRU-8).
pub const EVENT_SILENCE: Duration = Duration::from_secs(2);
/// Largest reply accepted: a page of sessions, the longest there is, ends at 4 MiB.
const REPLY_MAX_BYTES: usize = 8 * 1024 * 1024;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing listens on the socket.
    #[error("no engine is running ({}): start one with `holdfast` or `holdfast engine`", .socket.display())]
    NoEngine {
        /// The socket.
        socket: PathBuf,
    },
    /// The connection broke or the answer came too late.
    #[error("the engine did not answer: {0}")]
    Transport(String),
    /// The engine refused.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The answer is not of this version.
    #[error("the engine's answer is not understood: {0}")]
    Protocol(String),
    /// No event for [`EVENT_SILENCE`]; the stream can be read on.
    #[error("no contact with the engine for {} s", EVENT_SILENCE.as_secs())]
    Silent,
}

impl ClientError {
    fn is_worth_repeating(&self) -> bool {
        match self {
            ClientError::Transport(_) => true,
            ClientError::Api(error) => error.retryable,
            ClientError::NoEngine { .. } | ClientError::Protocol(_) | ClientError::Silent => false,
        }
    }

    /// Whether the engine, or one started in its place, may answer later.
    pub fn is_worth_waiting(&self) -> bool {
        matches!(self, ClientError::NoEngine { .. } | ClientError::Silent) || self.is_worth_repeating()
    }
}

/// A client of one engine.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
    window: bool,
    clicked: Option<MonoNs>,
}

impl Client {
    /// A client of the engine that listens on `socket`; connects only when asked something.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into(), window: false, clicked: None }
    }

    /// The same as a window: what it gives up for the recording is looked at.
    pub fn as_window(self) -> Self {
        Self { window: true, ..self }
    }

    /// The same for what somebody asked for by a click at this moment of CLOCK_MONOTONIC: markers lie there, and what a
    /// start or stop takes is measured from there.
    pub fn clicked(self, at: MonoNs) -> Self {
        Self { clicked: Some(at), ..self }
    }

    /// `GET /api/v1/status`.
    pub async fn status(&self) -> Result<Snapshot, ClientError> {
        self.get("/api/v1/status").await
    }

    /// `GET /api/v1/health`.
    pub async fn health(&self) -> Result<HealthReply, ClientError> {
        self.get("/api/v1/health").await
    }

    /// `GET /api/v1/alerts`, newest first, at most `limit`.
    pub async fn alerts(&self, limit: usize) -> Result<AlertsReply, ClientError> {
        self.get(&format!("/api/v1/alerts?limit={limit}")).await
    }

    /// `POST /api/v1/latencies`.
    pub async fn report_latency(&self, report: &LatencyReport) -> Result<LatencyView, ClientError> {
        self.send(Method::POST, "/api/v1/latencies", None, Some(report)).await
    }

    /// `POST /api/v1/alerts/{id}/ack`.
    pub async fn acknowledge(&self, alert: u64) -> Result<AckReply, ClientError> {
        self.send(Method::POST, &format!("/api/v1/alerts/{alert}/ack"), None, None::<&()>).await
    }

    /// `GET /api/v1/operations`.
    pub async fn operations(&self) -> Result<OperationsReply, ClientError> {
        self.get("/api/v1/operations").await
    }

    /// `POST /api/v1/operations/{id}/cleanup`.
    pub async fn clean_up(&self, operation: u64) -> Result<CleanupReply, ClientError> {
        self.send(Method::POST, &format!("/api/v1/operations/{operation}/cleanup"), None, None::<&()>).await
    }

    /// `GET /api/v1/sessions`, newest first, from `cursor` of the page before.
    pub async fn sessions(&self, cursor: Option<&str>, limit: usize) -> Result<SessionsReply, ClientError> {
        // The name of a folder, which somebody may have changed to anything.
        let escaped = |cursor| percent_encoding::utf8_percent_encode(cursor, percent_encoding::NON_ALPHANUMERIC);
        let cursor = cursor.map(|cursor| format!("&cursor={}", escaped(cursor))).unwrap_or_default();
        self.get(&format!("/api/v1/sessions?limit={limit}{cursor}")).await
    }

    /// `POST /api/v1/recorder/start`; repeating it with the same `key` gives the same session.
    pub async fn start(&self, key: &str, request: &StartRequest) -> Result<StartReply, ClientError> {
        self.send(Method::POST, "/api/v1/recorder/start", Some(key), Some(request)).await
    }

    /// `POST /api/v1/recorder/stop`; returns before the files are closed.
    pub async fn stop(&self, request: &StopRequest) -> Result<StopReply, ClientError> {
        self.send(Method::POST, "/api/v1/recorder/stop", None, Some(request)).await
    }

    /// `POST /api/v1/recorder/split`; returns before the next parts have begun.
    pub async fn split(&self, request: &SplitRequest) -> Result<SplitReply, ClientError> {
        self.send(Method::POST, "/api/v1/recorder/split", None, Some(request)).await
    }

    /// `GET /api/v1/recorder/name`: what a start with this name would make now.
    pub async fn name(&self, name: &str) -> Result<NameReply, ClientError> {
        let escaped = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
        self.get(&format!("/api/v1/recorder/name?name={escaped}")).await
    }

    /// `GET /api/v1/inputs/{id}/history`.
    pub async fn history(&self, input: &InputId) -> Result<HistoryReply, ClientError> {
        self.get(&format!("/api/v1/inputs/{input}/history")).await
    }

    /// `POST /api/v1/inputs/{id}/clip/clear`.
    pub async fn clear_clip(&self, input: &InputId) -> Result<ClipReply, ClientError> {
        self.send(Method::POST, &format!("/api/v1/inputs/{input}/clip/clear"), None, None::<&()>).await
    }

    /// `POST /api/v1/inputs/order`: the most important one first.
    pub async fn order(&self, request: &OrderRequest) -> Result<OrderReply, ClientError> {
        self.send(Method::POST, "/api/v1/inputs/order", None, Some(request)).await
    }

    /// `POST /api/v1/recorder/marker`; repeating it with the same `key` gives the same marker.
    pub async fn mark(&self, key: &str, request: &MarkerRequest) -> Result<MarkerReply, ClientError> {
        self.send(Method::POST, "/api/v1/recorder/marker", Some(key), Some(request)).await
    }

    /// `POST /api/v1/inputs/{id}/retry`.
    pub async fn retry(&self, input: &InputId) -> Result<RetryReply, ClientError> {
        self.send(Method::POST, &format!("/api/v1/inputs/{input}/retry"), None, None::<&()>).await
    }

    /// `GET /api/v1/events`: the whole state first, or what was missed `since` a number; then every change.
    pub async fn events(&self, since: Option<u64>) -> Result<EventStream, ClientError> {
        let since = since.map(|seq| format!("?since={seq}")).unwrap_or_default();
        let address = format!("ws://localhost/api/v1/events{since}").parse();
        let address = address.map_err(|error| ClientError::Protocol(format!("no address: {error}")))?;
        let mut request = ClientRequestBuilder::new(address);
        if self.window {
            request = request.with_header(CLIENT, WINDOW);
        }
        let connecting = async {
            let stream = self.connect().await?;
            let handshake = tokio_tungstenite::client_async(request, stream).await;
            let (socket, _) = handshake.map_err(handshake_error)?;
            Ok(EventStream { socket })
        };
        within_deadline(connecting).await
    }

    async fn get<R: DeserializeOwned>(&self, path: &str) -> Result<R, ClientError> {
        self.send(Method::GET, path, None, None::<&()>).await
    }

    async fn send<B: Serialize, R: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<&B>,
    ) -> Result<R, ClientError> {
        let body = match body {
            Some(body) => serde_json::to_vec(body).map_err(|error| ClientError::Protocol(error.to_string()))?,
            None => Vec::new(),
        };
        // One request, however often it is tried: one trace.
        let trace = uuid::Uuid::now_v7().simple().to_string();
        let mut pauses = PAUSES.into_iter();
        loop {
            let mut request = make_request(&method, path, key, &trace, &body)?;
            if let Some(at) = self.clicked {
                request.headers_mut().insert(CLICKED_AT, at.0.into());
            }
            match within_deadline(self.exchange(request)).await {
                Err(error) if error.is_worth_repeating() => match pauses.next() {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(error),
                },
                other => return other,
            }
        }
    }

    /// One request on a connection of its own: a broken one costs nothing else.
    async fn exchange<R: DeserializeOwned>(&self, request: Request<Full<Bytes>>) -> Result<R, ClientError> {
        let transport = |error: hyper::Error| ClientError::Transport(error.to_string());
        let stream = self.connect().await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(transport)?;
        let driver = tokio::spawn(connection);
        let reply = sender.send_request(request).await.map_err(transport);
        let outcome = match reply {
            Ok(reply) => {
                let status = reply.status();
                let body = Limited::new(reply.into_body(), REPLY_MAX_BYTES).collect().await;
                body.map_err(|error| ClientError::Transport(error.to_string()))
                    .and_then(|b| understand(status, &b.to_bytes()))
            }
            Err(error) => Err(error),
        };
        driver.abort();
        outcome
    }

    async fn connect(&self) -> Result<UnixStream, ClientError> {
        UnixStream::connect(&self.socket).await.map_err(|error| connect_error(&self.socket, &error))
    }
}

/// A refusal is an answer, in the words of the engine.
fn handshake_error(error: tungstenite::Error) -> ClientError {
    let tungstenite::Error::Http(refusal) = error else { return ClientError::Transport(error.to_string()) };
    let status = refusal.status();
    match refusal.body().as_deref().map(serde_json::from_slice::<ApiError>) {
        Some(Ok(error)) => ClientError::Api(error),
        _ => ClientError::Protocol(format!("status {status} without a reason")),
    }
}

fn connect_error(socket: &Path, error: &io::Error) -> ClientError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ClientError::NoEngine { socket: socket.to_owned() }
        }
        _ => ClientError::Transport(error.to_string()),
    }
}

async fn within_deadline<T>(work: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
    let late = |_| ClientError::Transport(format!("no answer within {} s", REQUEST_DEADLINE.as_secs()));
    tokio::time::timeout(REQUEST_DEADLINE, work).await.map_err(late)?
}

fn make_request(
    method: &Method,
    path: &str,
    key: Option<&str>,
    trace: &str,
    body: &[u8],
) -> Result<Request<Full<Bytes>>, ClientError> {
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost").header(TRACE_ID, trace);
    if let Some(key) = key {
        request = request.header(IDEMPOTENCY_KEY, key);
    }
    if !body.is_empty() {
        request = request.header("content-type", "application/json");
    }
    let body = Full::new(Bytes::copy_from_slice(body));
    request.body(body).map_err(|error| ClientError::Protocol(error.to_string()))
}

fn understand<R: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Result<R, ClientError> {
    if status.is_success() {
        return serde_json::from_slice(body).map_err(|error| ClientError::Protocol(error.to_string()));
    }
    match serde_json::from_slice::<ApiError>(body) {
        Ok(error) => Err(ClientError::Api(error)),
        Err(_) => Err(ClientError::Protocol(format!("status {status} without a reason"))),
    }
}

/// The events of one connection, in order.
#[derive(Debug)]
pub struct EventStream {
    socket: WebSocketStream<UnixStream>,
}

impl EventStream {
    /// The next event; `Ok(None)` = the engine closed the stream. After [`ClientError::Silent`] it may be called again.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            let message =
                tokio::time::timeout(EVENT_SILENCE, self.socket.next()).await.map_err(|_| ClientError::Silent)?;
            match message {
                None | Some(Ok(Message::Close(_))) => return Ok(None),
                Some(Ok(Message::Text(text))) => {
                    return serde_json::from_str(&text)
                        .map(Some)
                        .map_err(|error| ClientError::Protocol(error.to_string()));
                }
                // Pings are answered by the library itself; nothing else is sent by our engine.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(ClientError::Transport(error.to_string())),
            }
        }
    }
}

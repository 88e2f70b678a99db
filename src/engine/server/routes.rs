//! The routes of API version 1 and the form of every answer.

use super::{Api, Place, READ_DEADLINE, Request, events};
use crate::engine::event::{Refused, Reply};
use crate::model::snapshot::HealthVerdict;
use crate::protocol::api::{
    AlertsReply, ApiError, HealthReply, IDEMPOTENCY_KEY, RESPONSE_TIME_MS, SessionRow, SessionsReply, SplitRequest,
    StartRequest, StopRequest, TRACE_ID,
};
use crate::storage::recovery;
use crate::sys::clock;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, State, WebSocketUpgrade};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Largest body (R-CMD-7).
const BODY_MAX_BYTES: usize = 64 * 1024;
/// A command is answered within 8 s (R-CMD-2); later the client is told to ask again.
const COMMAND_DEADLINE: Duration = Duration::from_secs(8);
/// A library that does not answer a listing within this is frozen.
const LIST_DEADLINE: Duration = Duration::from_secs(8);
/// Sessions of a page when none are asked for.
const PAGE: usize = 50;
/// Most sessions of a page.
const PAGE_MAX: usize = 200;
/// Longest trace id or key taken from a client.
const NAME_MAX_BYTES: usize = 128;

/// Every route.
pub(super) fn make(api: Api) -> Router {
    Router::new()
        .route("/api/v1/status", get(status))
        .route("/api/v1/events", get(event_stream))
        .route("/api/v1/recorder/start", post(start))
        .route("/api/v1/recorder/stop", post(stop))
        .route("/api/v1/recorder/split", post(split))
        .route("/api/v1/inputs/{id}/retry", post(retry))
        .route("/api/v1/sessions", get(sessions))
        .route("/api/v1/health", get(health))
        .route("/api/v1/alerts", get(alerts))
        .fallback(|| async { refusal(404, "not_found", "there is no such address", false) })
        .method_not_allowed_fallback(|| async {
            refusal(405, "method_not_allowed", "this address takes another method", false)
        })
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
        .layer(middleware::from_fn(envelope))
        .with_state(api)
}

/// Puts the trace id and the time taken on every answer, and the trace id into every error.
async fn envelope(request: axum::extract::Request, next: Next) -> Response {
    let given = request.headers().get(TRACE_ID).and_then(|value| value.to_str().ok()).filter(|id| is_plain(id));
    let trace = given.map_or_else(|| uuid::Uuid::now_v7().simple().to_string(), str::to_owned);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let began = clock::mono_now();
    let mut response = next.run(request).await;
    if let Some(Refused { status, code, message, retryable }) = response.extensions_mut().remove() {
        tracing::info!(trace_id = trace, %method, path, status, code, message, "a request was refused");
        let error = ApiError { code: code.to_owned(), message, retryable, trace_id: trace.clone() };
        *response.body_mut() = Body::from(serde_json::to_vec(&error).unwrap_or_default());
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    } else if method == axum::http::Method::POST {
        tracing::info!(trace_id = trace, %method, path, status = response.status().as_u16(), "a command was accepted");
    }
    let took = format!("{:.1}", clock::mono_now().since(began).as_secs_f64() * 1000.0);
    for (name, value) in [(TRACE_ID, trace), (RESPONSE_TIME_MS, took)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_MAX_BYTES && text.bytes().all(|b| b.is_ascii_graphic())
}

/// An error on its way to [`envelope`], which writes its body.
fn refuse(refused: Refused) -> Response {
    let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = status.into_response();
    response.extensions_mut().insert(refused);
    response
}

fn refusal(status: u16, code: &'static str, message: impl Into<String>, retryable: bool) -> Response {
    refuse(Refused { status, code, message: message.into(), retryable })
}

async fn status(State(api): State<Api>) -> Response {
    let snapshot = api.board.snapshot.borrow().clone();
    Json(&*snapshot).into_response()
}

async fn alerts(State(api): State<Api>) -> Response {
    let alerts = (**api.board.alerts.borrow()).clone();
    let counts = api.board.snapshot.borrow().alerts;
    Json(AlertsReply { alerts, counts }).into_response()
}

async fn health(State(api): State<Api>) -> Response {
    let snapshot = api.board.snapshot.borrow().clone();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let inputs = snapshot.inputs.iter().map(|input| input.health.verdict).max();
    let storage = if snapshot.storage.free_bytes.is_some() { HealthVerdict::Healthy } else { HealthVerdict::Unhealthy };
    let reply = HealthReply {
        overall: inputs.unwrap_or(HealthVerdict::Healthy).max(storage),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_ms: u64::try_from(clock::mono_now().since(api.started).as_millis()).unwrap_or(u64::MAX),
        workers: count(snapshot.inputs.iter().filter(|input| input.worker.is_some()).count()),
        inputs: count(snapshot.inputs.len()),
        clients: count(api.clients.count()),
    };
    Json(reply).into_response()
}

async fn event_stream(
    State(api): State<Api>,
    Extension(place): Extension<Place>,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade.on_upgrade(move |socket| events::serve(socket, api, place))
}

async fn start(State(api): State<Api>, headers: HeaderMap, request: axum::extract::Request) -> Response {
    let key = match headers.get(IDEMPOTENCY_KEY).map(|key| key.to_str().ok().filter(|key| is_plain(key))) {
        None => None,
        Some(Some(key)) => Some(key.to_owned()),
        Some(None) => {
            let message = format!("the key must be 1 to {NAME_MAX_BYTES} printable characters without spaces");
            return refusal(422, "bad_key", message, false);
        }
    };
    match body::<StartRequest>(request).await {
        Ok(body) => ask(&api, |reply| Request::Start { key, body, reply }).await,
        Err(refused) => refused,
    }
}

async fn stop(State(api): State<Api>, request: axum::extract::Request) -> Response {
    match body::<StopRequest>(request).await {
        Ok(body) => ask(&api, |reply| Request::Stop { session: body.session_id, reply }).await,
        Err(refused) => refused,
    }
}

async fn split(State(api): State<Api>, request: axum::extract::Request) -> Response {
    match body::<SplitRequest>(request).await {
        Ok(body) => ask(&api, |reply| Request::Split { session: body.session_id, reply }).await,
        Err(refused) => refused,
    }
}

async fn retry(State(api): State<Api>, Path(input): Path<String>) -> Response {
    ask(&api, |reply| Request::Retry { input, reply }).await
}

/// The body as JSON; nothing at all is the default.
async fn body<T: DeserializeOwned + Default>(request: axum::extract::Request) -> Result<T, Response> {
    use axum::extract::FromRequest;
    let bytes = match timeout(READ_DEADLINE, Bytes::from_request(request, &())).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return Err(refusal(413, "too_large", format!("a body holds at most {BODY_MAX_BYTES} bytes"), false));
        }
        Ok(Err(_)) => return Err(refusal(400, "bad_body", "the body did not arrive whole", true)),
        Err(_) => return Err(refusal(408, "slow_body", "the body did not arrive in time", true)),
    };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| refusal(422, "bad_body", format!("the body is not understood: {error}"), false))
}

/// Asks the loop and waits for its answer.
async fn ask(api: &Api, make: impl FnOnce(oneshot::Sender<Reply>) -> Request) -> Response {
    let (reply, answer) = oneshot::channel();
    let asking = async {
        api.requests.send(make(reply)).await.ok()?;
        answer.await.ok()
    };
    match timeout(COMMAND_DEADLINE, asking).await {
        Ok(Some(reply)) => respond(reply),
        Ok(None) => refusal(503, "leaving", "the recorder is leaving; start it again", true),
        Err(_) => refusal(503, "busy", "the recorder did not answer in time; ask again with the same key", true),
    }
}

fn respond(reply: Reply) -> Response {
    match reply {
        Reply::Started { body, new: true } => (StatusCode::CREATED, Json(body)).into_response(),
        Reply::Started { body, new: false } => Json(body).into_response(),
        Reply::Stopped(body) if body.status == "finished" => Json(body).into_response(),
        Reply::Stopped(body) => (StatusCode::ACCEPTED, Json(body)).into_response(),
        Reply::Split(body) => (StatusCode::ACCEPTED, Json(body)).into_response(),
        Reply::Retried(body) => (StatusCode::ACCEPTED, Json(body)).into_response(),
        Reply::Refused(refused) => refuse(refused),
    }
}

/// A page of `GET /api/v1/sessions`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    cursor: Option<String>,
    limit: Option<usize>,
}

async fn sessions(
    State(api): State<Api>,
    page: Result<Query<Page>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let Ok(Query(page)) = page else {
        return refusal(422, "bad_query", "use cursor=… and limit=…", false);
    };
    let library = api.library.clone();
    let listing = tokio::task::spawn_blocking(move || list(&library, &page));
    match timeout(LIST_DEADLINE, listing).await {
        Ok(Ok(Ok(reply))) => Json(reply).into_response(),
        Ok(Ok(Err(error))) => {
            let library = api.library.display();
            refusal(503, "storage_failed", format!("the library {library} cannot be read: {error}"), true)
        }
        Ok(Err(_)) => refusal(500, "internal", "the listing failed", true),
        Err(_) => refusal(503, "storage_frozen", "the file system of the library does not answer", true),
    }
}

/// Newest first; the cursor is the name of the last folder of the page before.
fn list(library: &std::path::Path, page: &Page) -> std::io::Result<SessionsReply> {
    let limit = page.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let names = recovery::session_dirs(library)?;
    let after = names.into_iter().filter(|name| page.cursor.as_ref().is_none_or(|cursor| name < cursor));
    let mut names: Vec<String> = after.take(limit + 1).collect();
    let next_cursor = (names.len() > limit).then(|| names[limit - 1].clone());
    names.truncate(limit);
    let row = |dir: String| SessionRow { manifest: recovery::read_manifest(&library.join(&dir)).ok(), dir };
    Ok(SessionsReply { sessions: names.into_iter().map(row).collect(), next_cursor })
}

//! The routes that change something. Each asks the loop and waits for its answer, at most [`COMMAND_DEADLINE`].

use super::envelope::{NAME_MAX_BYTES, Trace, is_plain, refusal, refuse};
use super::names::name_of;
use super::{Api, READ_DEADLINE, Request};
use crate::engine::event::{Refused, Reply};
use crate::model::MonoNs;
use crate::protocol::api::{
    AckReply, ApiError, CLICKED_AT, CleanupReply, ClipReply, IDEMPOTENCY_KEY, Latency, LatencyReport, LatencyView,
    MarkerReply, MarkerRequest, OrderReply, OrderRequest, RetryReply, SplitReply, SplitRequest, StartReply,
    StartRequest, StopReply, StopRequest,
};
use crate::sys::clock;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Largest body (R-CMD-7).
pub(super) const BODY_MAX_BYTES: usize = 64 * 1024;
/// A command is answered within 8 s (R-CMD-2); later the client is told to ask again.
const COMMAND_DEADLINE: Duration = Duration::from_secs(8);

/// Longest time that a client can have measured: a tile that is dark for ten minutes.
const LONGEST_MS: f64 = 600_000.0;
/// A click that is older than this was none of this request: a client gives up after as long, with its last attempt.
const CLICK_AGE: Duration = Duration::from_secs(30);

/// Record the armed inputs (or those named) as one session.
///
/// Answered once the plan is on disk; while an earlier session is still being closed the answer waits up to 8 s.
/// Repeating it with the same key and body gives the same session for 24 h, also after Stop and across restarts.
#[utoipa::path(post, path = "/api/v1/recorder/start", request_body = Option<StartRequest>,
    params(
        ("x-idempotency-key" = Option<String>, Header, description = "Makes the start repeatable; one is made without it"),
        ("x-clicked-at-ns" = Option<u64>, Header, description = "When somebody clicked: CLOCK_MONOTONIC of this machine"),
    ),
    responses(
        (status = 201, description = "The session was made", body = StartReply),
        (status = 200, description = "The key made this session before", body = StartReply),
        (status = 400, description = "The body did not arrive whole (`bad_body`)", body = ApiError),
        (status = 408, description = "The body was not there in time (`slow_body`)", body = ApiError),
        (status = 409, description = "Another session runs (`session_running`)", body = ApiError),
        (status = 413, description = "The body is too large (`too_large`)", body = ApiError),
        (status = 422, description = "The key, the name, an input or the body is not acceptable, or the key was used for \
            another start", body = ApiError),
        (status = 503, description = "Nothing is there to be recorded, the disk does not answer (`storage_frozen`), is gone \
            (`storage_vanished`), is read-only (`disk_read_only`) or refuses otherwise, or the recorder is leaving or \
            busy", body = ApiError),
        (status = 507, description = "Too little space (`no_space`, `quota_exceeded`)", body = ApiError),
    ))]
pub(super) async fn start(
    State(api): State<Api>,
    Extension(Trace(trace)): Extension<Trace>,
    headers: HeaderMap,
    request: axum::extract::Request,
) -> Response {
    let key = match key(&headers) {
        Ok(key) => key,
        Err(refused) => return refuse(refused),
    };
    let clicked = clicked(&headers);
    match body::<StartRequest>(request).await {
        Ok(body) => {
            let name = name_of(&api, body.name.as_deref()).await;
            ask(&api, |reply| Request::Start { trace, key, clicked, name, body, reply }).await
        }
        Err(refused) => refused,
    }
}

/// Stop the running session (or the one named). Its files are closed when the event says so.
#[utoipa::path(post, path = "/api/v1/recorder/stop", request_body = Option<StopRequest>,
    params(("x-clicked-at-ns" = Option<u64>, Header, description = "When somebody clicked: CLOCK_MONOTONIC of this machine")),
    responses(
        (status = 202, description = "It is being stopped", body = StopReply),
        (status = 200, description = "It is finished", body = StopReply),
        (status = 400, description = "Nothing is being recorded (`not_recording`), or the body did not arrive whole", body = ApiError),
        (status = 404, description = "There is no such session", body = ApiError),
        (status = 408, description = "The body was not there in time (`slow_body`)", body = ApiError),
        (status = 413, description = "The body is too large (`too_large`)", body = ApiError),
        (status = 422, description = "The body is not understood (`bad_body`)", body = ApiError),
        (status = 503, description = "The recorder is leaving or busy", body = ApiError),
    ))]
pub(super) async fn stop(
    State(api): State<Api>,
    Extension(Trace(trace)): Extension<Trace>,
    headers: HeaderMap,
    request: axum::extract::Request,
) -> Response {
    let clicked = clicked(&headers);
    match body::<StopRequest>(request).await {
        Ok(body) => ask(&api, |reply| Request::Stop { trace, clicked, session: body.session_id, reply }).await,
        Err(refused) => refused,
    }
}

/// Begin a new part of every recording of the running session (or the one named); no frame is lost (R-JOB-7).
#[utoipa::path(post, path = "/api/v1/recorder/split", request_body = Option<SplitRequest>,
    responses(
        (status = 202, description = "The workers were asked; the parts show it, an alert `split_failed` says otherwise",
            body = SplitReply),
        (status = 400, description = "The session is not being recorded (`not_recording`), or no session is", body = ApiError),
        (status = 408, description = "The body was not there in time (`slow_body`)", body = ApiError),
        (status = 413, description = "The body is too large (`too_large`)", body = ApiError),
        (status = 422, description = "The body is not understood (`bad_body`)", body = ApiError),
        (status = 503, description = "The recorder is leaving or busy", body = ApiError),
    ))]
pub(super) async fn split(State(api): State<Api>, request: axum::extract::Request) -> Response {
    match body::<SplitRequest>(request).await {
        Ok(body) => ask(&api, |reply| Request::Split { session: body.session_id, reply }).await,
        Err(refused) => refused,
    }
}

/// Note this moment of the running session (or the one named): a line in its journal, a place in each of its files.
///
/// Answered once it is on the disk. Repeating it with the same key and label gives the same marker while its session runs
/// and for a while after.
#[utoipa::path(post, path = "/api/v1/recorder/marker", request_body = Option<MarkerRequest>,
    params(
        ("x-idempotency-key" = Option<String>, Header, description = "Makes the marker repeatable; one is made without it"),
        ("x-clicked-at-ns" = Option<u64>, Header, description = "When somebody clicked: CLOCK_MONOTONIC of this machine"),
    ),
    responses(
        (status = 201, description = "The marker was made", body = MarkerReply),
        (status = 200, description = "The key made this marker before", body = MarkerReply),
        (status = 400, description = "The session is not being recorded (`not_recording`), or no session is", body = ApiError),
        (status = 408, description = "The body was not there in time (`slow_body`)", body = ApiError),
        (status = 409, description = "The session has as many markers as it may (`too_many_markers`)", body = ApiError),
        (status = 413, description = "The body is too large (`too_large`)", body = ApiError),
        (status = 422, description = "The label (`bad_label`), the key or the body is not acceptable, or the key was used \
            for another marker", body = ApiError),
        (status = 503, description = "The disk does not take it (`storage_frozen`, `not_persisted` …), or the recorder is \
            leaving or busy", body = ApiError),
        (status = 507, description = "Too little space (`no_space`, `quota_exceeded`)", body = ApiError),
    ))]
pub(super) async fn mark(State(api): State<Api>, headers: HeaderMap, request: axum::extract::Request) -> Response {
    let key = match key(&headers) {
        Ok(key) => key,
        Err(refused) => return refuse(refused),
    };
    let clicked = clicked(&headers);
    match body::<MarkerRequest>(request).await {
        Ok(body) => ask(&api, |reply| Request::Mark { key, body, clicked, reply }).await,
        Err(refused) => refused,
    }
}

/// Try an input again that was given up, or that waits before its next attempt.
#[utoipa::path(post, path = "/api/v1/inputs/{id}/retry",
    params(("id" = String, Path, description = "The input")),
    responses(
        (status = 202, description = "It is tried again", body = RetryReply),
        (status = 400, description = "The address is not understood", body = ApiError),
        (status = 404, description = "There is no such input", body = ApiError),
        (status = 503, description = "The recorder is leaving or busy", body = ApiError),
    ))]
pub(super) async fn retry(State(api): State<Api>, Path(input): Path<String>) -> Response {
    ask(&api, |reply| Request::Retry { input, reply }).await
}

/// The meters of an input forget that they clipped.
#[utoipa::path(post, path = "/api/v1/inputs/{id}/clip/clear",
    params(("id" = String, Path, description = "The input")),
    responses(
        (status = 202, description = "They were told to", body = ClipReply),
        (status = 400, description = "The address is not understood", body = ApiError),
        (status = 404, description = "There is no such input", body = ApiError),
        (status = 503, description = "Its recording process is not there (`no_worker`), or the recorder is leaving or busy",
            body = ApiError),
    ))]
pub(super) async fn clear_clip(State(api): State<Api>, Path(input): Path<String>) -> Response {
    ask(&api, |reply| Request::ClearClip { input, reply }).await
}

/// Put the inputs in an order, the most important one first: its preview is kept longest, and it stands first in the window.
///
/// Inputs that are not named come behind, as the configuration has them; naming none goes back to it. Recording does not
/// notice. Kept across restarts.
#[utoipa::path(post, path = "/api/v1/inputs/order", request_body = OrderRequest,
    responses(
        (status = 200, description = "The order now", body = OrderReply),
        (status = 400, description = "The body did not arrive whole (`bad_body`)", body = ApiError),
        (status = 404, description = "There is no such input (`unknown_input`)", body = ApiError),
        (status = 408, description = "The body was not there in time (`slow_body`)", body = ApiError),
        (status = 413, description = "The body is too large (`too_large`)", body = ApiError),
        (status = 422, description = "An input stands in it twice (`bad_order`), or the body is not understood (`bad_body`)",
            body = ApiError),
        (status = 503, description = "The recorder is leaving or busy", body = ApiError),
    ))]
pub(super) async fn order(State(api): State<Api>, request: axum::extract::Request) -> Response {
    match body::<Option<OrderRequest>>(request).await {
        Ok(Some(body)) => ask(&api, |reply| Request::Order { body, reply }).await,
        Ok(None) => refusal(422, "bad_body", "say in which order", false),
        Err(refused) => refused,
    }
}

/// A client measured how long something took that the engine does not see: from a tile that is shown to its first picture.
#[utoipa::path(post, path = "/api/v1/latencies", request_body = LatencyReport,
    responses(
        (status = 200, description = "How it is now", body = LatencyView),
        (status = 400, description = "The body did not arrive whole", body = ApiError),
        (status = 408, description = "The body was not there in time (`slow_body`)", body = ApiError),
        (status = 413, description = "The body is too large (`too_large`)", body = ApiError),
        (status = 422, description = "The body is not understood (`bad_body`), or this is not for clients to measure \
            (`bad_latency`)", body = ApiError),
        (status = 503, description = "All places are taken (`busy`)", body = ApiError),
    ))]
pub(super) async fn report_latency(
    State(api): State<Api>,
    Extension(Trace(trace)): Extension<Trace>,
    request: axum::extract::Request,
) -> Response {
    let LatencyReport { kind, took_ms } = match body::<Option<LatencyReport>>(request).await {
        Ok(Some(report)) => report,
        Ok(None) => return refusal(422, "bad_body", "say what took how long", false),
        Err(refused) => return refused,
    };
    let took =
        Some(took_ms).filter(|ms| (0.0..=LONGEST_MS).contains(ms)).map(|ms| Duration::from_secs_f64(ms / 1000.0));
    let Some(took) = took.filter(|_| kind == Latency::Preview) else {
        let message = format!("clients measure `preview` only, 0 to {LONGEST_MS} ms");
        return refusal(422, "bad_latency", message, false);
    };
    let now = clock::mono_now();
    api.board.latencies.note(now, kind, took, &trace);
    Json(api.board.latencies.view_of(now, kind)).into_response()
}

/// An alert was seen. It stays so while its cause goes on; trouble that comes back wants to be seen again.
#[utoipa::path(post, path = "/api/v1/alerts/{id}/ack",
    params(("id" = u64, Path, description = "The alert")),
    responses(
        (status = 200, description = "It is acknowledged, or was so before", body = AckReply),
        (status = 404, description = "There is no such alert (`unknown_alert`)", body = ApiError),
        (status = 503, description = "The recorder is leaving or busy", body = ApiError),
    ))]
pub(super) async fn acknowledge(State(api): State<Api>, Path(id): Path<String>) -> Response {
    match id.parse() {
        Ok(alert) => ask(&api, |reply| Request::Acknowledge { alert, reply }).await,
        Err(_) => refusal(404, "unknown_alert", format!("{id:?} is no number of an alert"), false),
    }
}

/// Give up an operation that is stuck: it counts as failed, and nobody waits for it any more. Media is never touched.
#[utoipa::path(post, path = "/api/v1/operations/{id}/cleanup",
    params(("id" = u64, Path, description = "The operation")),
    responses(
        (status = 200, description = "It was given up, now or before", body = CleanupReply),
        (status = 404, description = "There is no such operation (`unknown_operation`)", body = ApiError),
        (status = 409, description = "It still has time (`not_stuck`), or has ended by itself (`operation_ended`)",
            body = ApiError),
        (status = 503, description = "The recorder is leaving or busy", body = ApiError),
    ))]
pub(super) async fn clean_up(State(api): State<Api>, Path(id): Path<String>) -> Response {
    match id.parse() {
        Ok(operation) => ask(&api, |reply| Request::Cleanup { operation, reply }).await,
        Err(_) => refusal(404, "unknown_operation", format!("{id:?} is no number of an operation"), false),
    }
}

/// The idempotency key of a request, if it has one.
fn key(headers: &HeaderMap) -> Result<Option<String>, Refused> {
    match headers.get(IDEMPOTENCY_KEY).map(|key| key.to_str().ok().filter(|key| is_plain(key))) {
        None => Ok(None),
        Some(Some(key)) => Ok(Some(key.to_owned())),
        Some(None) => {
            let message = format!("the key must be 1 to {NAME_MAX_BYTES} printable characters without spaces");
            Err(Refused { status: 422, code: "bad_key", message, retryable: false })
        }
    }
}

/// When somebody clicked, if that came with the request and may be true.
fn clicked(headers: &HeaderMap) -> Option<MonoNs> {
    let at = MonoNs(headers.get(CLICKED_AT)?.to_str().ok()?.parse().ok()?);
    let now = clock::mono_now();
    (at <= now && now.since(at) <= CLICK_AGE).then_some(at)
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
        Reply::Marked { body, new: true } => (StatusCode::CREATED, Json(*body)).into_response(),
        Reply::Marked { body, new: false } => Json(*body).into_response(),
        Reply::Retried(body) => (StatusCode::ACCEPTED, Json(body)).into_response(),
        Reply::ClipCleared(body) => (StatusCode::ACCEPTED, Json(body)).into_response(),
        Reply::Ordered(body) => Json(body).into_response(),
        Reply::Acknowledged(body) => Json(*body).into_response(),
        Reply::Cleaned(body) => Json(body).into_response(),
        Reply::Refused(refused) => refuse(refused),
    }
}

//! What every answer carries: a trace id, the time it took, and one form for every error.
//!
//! Contract: whatever a handler, an extractor or a layer says, a client sees either a body of [`crate::protocol::api`]
//! or an [`ApiError`]; both with the headers `X-Trace-ID` and `X-Response-Time-Ms`.

use super::CLIENTS;
use crate::engine::event::Refused;
use crate::engine::latency::Latencies;
use crate::engine::tally::Tally;
use crate::model::MonoNs;
use crate::protocol::api::{ApiError, Latency, RESPONSE_TIME_MS, TRACE_ID};
use crate::sys::clock;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::io::ErrorKind;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// One who has connected sends its request at once; somebody who does not is not waited for.
const ASKS_WITHIN: Duration = Duration::from_millis(100);
/// Longest trace id or key taken from a client.
pub(super) const NAME_MAX_BYTES: usize = 128;

/// What is counted of every answer.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    /// How many went well.
    pub tally: Tally,
    /// How long they took.
    pub latencies: Latencies,
}

/// The trace id of a request, for its handler.
#[derive(Debug, Clone)]
pub(super) struct Trace(pub String);

/// Puts the trace id and the time taken on every answer, and the trace id into every error.
pub(super) async fn envelope(State(measured): State<Measured>, mut request: Request, next: Next) -> Response {
    let given = request.headers().get(TRACE_ID).and_then(|value| value.to_str().ok()).filter(|id| is_plain(id));
    let trace = given.map_or_else(|| uuid::Uuid::now_v7().simple().to_string(), str::to_owned);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    request.extensions_mut().insert(Trace(trace.clone()));
    let began = clock::mono_now();
    let mut response = next.run(request).await;
    let status = response.status();
    let refused = response.extensions_mut().remove().or_else(|| foreign(status));
    measured.tally.note(!refused.as_ref().is_some_and(is_fault));
    if let Some(Refused { status, code, message, retryable }) = refused {
        tracing::info!(trace_id = trace, %method, path, status, code, message, "a request was refused");
        let error = ApiError { code: code.to_owned(), message, retryable, trace_id: trace.clone() };
        *response.body_mut() = Body::from(serde_json::to_vec(&error).unwrap_or_default());
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    } else if method == Method::POST {
        tracing::info!(trace_id = trace, %method, path, status = status.as_u16(), "a command was accepted");
    }
    let took = clock::mono_now().since(began);
    let kind = if method == Method::GET { Latency::Read } else { Latency::Write };
    // What is no address of ours is nobody's latency.
    if !matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
        measured.latencies.note(began.plus(took), kind, took, &trace);
    }
    let took = format!("{:.1}", took.as_secs_f64() * 1000.0);
    for (name, value) in [(TRACE_ID, trace), (RESPONSE_TIME_MS, took)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Whether a refusal is the recorder's own trouble: that there is nothing to record, no room or no engine any more is an
/// answer like any other.
fn is_fault(refused: &Refused) -> bool {
    refused.status >= 500 && !["nothing_to_record", "no_space", "leaving"].contains(&refused.code)
}

/// Whether a client's id may stand in headers, logs and journals.
pub(super) fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_MAX_BYTES && text.bytes().all(|b| b.is_ascii_graphic())
}

/// An error that no handler of ours worded.
fn foreign(status: StatusCode) -> Option<Refused> {
    let worded = status.is_client_error() || status.is_server_error();
    let message = status.canonical_reason().unwrap_or("the request is not understood").to_lowercase();
    let code = if status.is_server_error() { "internal" } else { "bad_request" };
    worded.then(|| Refused { status: status.as_u16(), code, message, retryable: status.is_server_error() })
}

/// An error on its way to [`envelope`], which writes its body.
pub(super) fn refuse(refused: Refused) -> Response {
    let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = status.into_response();
    response.extensions_mut().insert(refused);
    response
}

/// The same from its parts.
pub(super) fn refusal(status: u16, code: &'static str, message: impl Into<String>, retryable: bool) -> Response {
    refuse(Refused { status, code, message: message.into(), retryable })
}

/// Tells a client that there is no place for it, whatever it wants. What does not fit into its socket at once is not
/// said.
pub(super) async fn turn_away(stream: &UnixStream, accepted: MonoNs) {
    // Heard or not, it is answered.
    let mut request = [0; 8 * 1024];
    let read = timeout(ASKS_WITHIN, hear(stream, &mut request)).await.unwrap_or(0);
    let trace_id = given_trace(&request[..read]).unwrap_or_else(|| uuid::Uuid::now_v7().simple().to_string());
    let message = format!("{CLIENTS} clients are connected already; close one, or try again");
    let error = ApiError { code: "busy".to_owned(), message, retryable: true, trace_id };
    let body = serde_json::to_string(&error).unwrap_or_default();
    let took = clock::mono_now().since(accepted).as_secs_f64() * 1000.0;
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n\
         {TRACE_ID}: {}\r\n{RESPONSE_TIME_MS}: {took:.1}\r\nContent-Length: {}\r\n\r\n{body}",
        error.trace_id,
        body.len()
    );
    let written = stream.try_write(answer.as_bytes());
    tracing::warn!(trace_id = error.trace_id, read, ?written, "a client was turned away: all places are taken");
}

/// Takes a request in, as far as it comes at once: an answer before it would break the connection while the client
/// writes, closing on unread words would cost it the answer, and its trace id belongs into that.
async fn hear(stream: &UnixStream, request: &mut [u8]) -> usize {
    // A socket is called readable until it was tried.
    while stream.readable().await.is_ok() {
        match stream.try_read(request) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            result => return result.unwrap_or(0),
        }
    }
    0
}

/// The trace id in the head of a request that nobody has parsed.
fn given_trace(request: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(request);
    let lines = text.split("\r\n").skip(1).take_while(|line| !line.is_empty());
    let mut fields = lines.filter_map(|line| line.split_once(':'));
    let (_, id) = fields.find(|(name, _)| name.eq_ignore_ascii_case(TRACE_ID))?;
    Some(id.trim().to_owned()).filter(|id| is_plain(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_id_is_found_in_the_head_and_nowhere_else() {
        let of = |text: &str| given_trace(text.as_bytes());
        assert_eq!(of("GET / HTTP/1.1\r\nHost: x\r\nX-Trace-ID: click-7\r\n\r\n"), Some("click-7".to_owned()));
        assert_eq!(of("GET / HTTP/1.1\r\nX-Trace-ID: two words\r\n\r\n"), None);
        assert_eq!(of("POST / HTTP/1.1\r\n\r\nX-Trace-ID: body\r\n"), None);
    }
}

//! The routes that change nothing: state, events, alerts, health, the library's sessions. They never wait for the loop
//! (but an event stream asks it once where to begin).

use super::envelope::refusal;
use super::{Api, Place, events};
use crate::model::snapshot::Snapshot;
use crate::protocol::api::{
    AlertsReply, ApiError, CLIENT, HealthReply, HistoryReply, LiveReply, OperationsReply, SessionRow, SessionsReply,
    WINDOW,
};
use crate::storage::recovery;
use crate::sys::clock;
use axum::extract::rejection::QueryRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{self, Query, State, WebSocketUpgrade};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::time::timeout;

/// A library that does not answer a listing within this is frozen.
const LIST_DEADLINE: Duration = Duration::from_secs(8);
/// Alerts of a reply when none are asked for (R-ALR-7).
const ALERTS: usize = 20;
/// Sessions of a page when none are asked for.
const PAGE: usize = 50;
/// Most sessions of a page.
const PAGE_MAX: usize = 200;
/// A page that has grown to this ends there: half of what our client takes.
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// What the engine is sent on an event stream: pongs and a close.
const MESSAGE_MAX_BYTES: usize = 4096;

/// The whole state of the recorder.
#[utoipa::path(get, path = "/api/v1/status", responses(
        (status = 200, description = "The snapshot", body = Snapshot),
        (status = 503, description = "All places are taken (`busy`)", body = ApiError),
    ))]
pub(super) async fn status(State(api): State<Api>) -> Response {
    let snapshot = api.board.snapshot.borrow().clone();
    Json(&*snapshot).into_response()
}

/// How many alerts.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Newest {
    /// Alerts at most; 20 without it.
    limit: Option<usize>,
}

/// The newest alerts, newest first; the counts are over all that are kept.
#[utoipa::path(get, path = "/api/v1/alerts", params(Newest), responses(
        (status = 200, description = "The alerts", body = AlertsReply),
        (status = 422, description = "The query is not understood (`bad_query`)", body = ApiError),
        (status = 503, description = "All places are taken (`busy`)", body = ApiError),
    ))]
pub(super) async fn alerts(State(api): State<Api>, newest: Result<Query<Newest>, QueryRejection>) -> Response {
    let Ok(Query(Newest { limit })) = newest else {
        return refusal(422, "bad_query", "use limit=…, a number", false);
    };
    let all = api.board.alerts.borrow().clone();
    let counts = api.board.snapshot.borrow().alerts;
    let alerts = all.iter().take(limit.unwrap_or(ALERTS)).cloned().collect();
    Json(AlertsReply { alerts, counts, kept: u32::try_from(all.len()).unwrap_or(u32::MAX) }).into_response()
}

/// How the recorder is.
#[utoipa::path(get, path = "/api/v1/health", responses(
        (status = 200, description = "Its health", body = HealthReply),
        (status = 503, description = "All places are taken (`busy`)", body = ApiError),
    ))]
pub(super) async fn health(State(api): State<Api>) -> Response {
    let known = api.board.health.borrow().clone();
    let reply = HealthReply {
        pid: std::process::id(),
        uptime_ms: uptime_ms(&api),
        clients: u32::try_from(api.clients.count()).unwrap_or(u32::MAX),
        latencies: api.board.latencies.view(clock::mono_now()),
        ..(*known).clone()
    };
    Json(reply).into_response()
}

/// Whether the recorder lives; it asks nobody else.
#[utoipa::path(get, path = "/api/v1/health/live", responses(
        (status = 200, description = "It lives", body = LiveReply),
        (status = 503, description = "All places are taken (`busy`)", body = ApiError),
    ))]
pub(super) async fn live(State(api): State<Api>) -> Response {
    Json(LiveReply { status: "live".to_owned(), pid: std::process::id(), uptime_ms: uptime_ms(&api) }).into_response()
}

/// The last five minutes of an input in steps of two seconds: what arrived, what was lost, how full its queues were.
#[utoipa::path(get, path = "/api/v1/inputs/{id}/history",
    params(("id" = String, Path, description = "The input")),
    responses(
        (status = 200, description = "Its history", body = HistoryReply),
        (status = 400, description = "The address is not understood", body = ApiError),
        (status = 404, description = "There is no such input (`unknown_input`)", body = ApiError),
        (status = 503, description = "All places are taken (`busy`)", body = ApiError),
    ))]
pub(super) async fn history(State(api): State<Api>, extract::Path(input): extract::Path<String>) -> Response {
    let known = api.board.histories.borrow().clone();
    match known.iter().find(|history| history.input.as_str() == input) {
        Some(history) => Json(history).into_response(),
        None => refusal(404, "unknown_input", format!("there is no input {input:?}"), false),
    }
}

fn uptime_ms(api: &Api) -> u64 {
    u64::try_from(clock::mono_now().since(api.started).as_millis()).unwrap_or(u64::MAX)
}

/// Long operations that run, those that are stuck first.
#[utoipa::path(get, path = "/api/v1/operations", responses(
        (status = 200, description = "How many, and the first ten", body = OperationsReply),
        (status = 503, description = "All places are taken (`busy`)", body = ApiError),
    ))]
pub(super) async fn operations(State(api): State<Api>) -> Response {
    let known = api.board.health.borrow().clone();
    Json(&known.operations).into_response()
}

/// How an event stream begins.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Begin {
    /// The `seq` of the last event known: what was missed is sent instead of the whole state, if it is still kept.
    since: Option<u64>,
}

/// The event stream (WebSocket): each text message is one `Event`. `sync` comes first.
/// A client that is a window says so: its priority is looked at, and shown.
#[utoipa::path(get, path = "/api/v1/events",
    params(Begin, ("X-Client" = Option<String>, Header, description = "`window` = what it gives up for the recording is read back")),
    responses(
        (status = 101, description = "The stream begins; its messages are `Event`s"),
        (status = 422, description = "The query is not understood (`bad_query`)", body = ApiError),
        (status = 426, description = "This is no WebSocket handshake (`upgrade_required`)", body = ApiError),
        (status = 503, description = "All places are taken (`busy`)", body = ApiError),
    ))]
pub(super) async fn event_stream(
    State(api): State<Api>,
    Extension(place): Extension<Place>,
    begin: Result<Query<Begin>, QueryRejection>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(Query(Begin { since })) = begin else {
        return refusal(422, "bad_query", "use since=…, a sequence number", false);
    };
    let window = headers.get(CLIENT).is_some_and(|client| client == WINDOW);
    match upgrade {
        Ok(upgrade) => upgrade
            .max_message_size(MESSAGE_MAX_BYTES)
            .max_frame_size(MESSAGE_MAX_BYTES)
            .on_upgrade(move |socket| events::serve(socket, api, since, window, place)),
        Err(_) => refusal(426, "upgrade_required", "this address speaks WebSocket only", false),
    }
}

/// A page of the sessions.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// `next_cursor` of the page before; the newest without it.
    cursor: Option<String>,
    /// Sessions of the page, 1 to 200; 50 without it.
    limit: Option<usize>,
}

/// The sessions of the library, newest first.
#[utoipa::path(get, path = "/api/v1/sessions", params(Page),
    responses(
        (status = 200, description = "A page", body = SessionsReply),
        (status = 422, description = "The query is not understood (`bad_query`)", body = ApiError),
        (status = 503, description = "The library does not answer or cannot be read (`storage_frozen`, \
            `storage_failed`), or all places are taken (`busy`)", body = ApiError),
    ))]
pub(super) async fn sessions(State(api): State<Api>, page: Result<Query<Page>, QueryRejection>) -> Response {
    let Ok(Query(page)) = page else {
        return refusal(422, "bad_query", "use cursor=… and limit=…", false);
    };
    let library = api.library.clone();
    let listing = async {
        let thread = api.listings.clone().acquire_owned().await.map_err(io::Error::other)?;
        let listed = tokio::task::spawn_blocking(move || {
            // Whoever waits for the disk longer than its client keeps its place.
            let _held = thread;
            list(&library, &page, PAGE_BYTES)
        });
        listed.await.map_err(io::Error::other)?
    };
    match timeout(LIST_DEADLINE, listing).await {
        Ok(Ok(body)) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Ok(Err(error)) => {
            let library = api.library.display();
            refusal(503, "storage_failed", format!("the library {library} cannot be read: {error}"), true)
        }
        Err(_) => refusal(503, "storage_frozen", "the file system of the library does not answer", true),
    }
}

/// Newest first, as the JSON of a [`SessionsReply`] of about `most` bytes; the cursor is the name of the last folder of
/// the page before.
fn list(library: &Path, page: &Page, most: usize) -> io::Result<Vec<u8>> {
    let limit = page.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let names = recovery::session_dirs(library)?;
    let begin = page.cursor.as_ref().map_or(0, |cursor| {
        let found = names.iter().position(|name| name == cursor).map(|place| place + 1);
        // Somebody has removed it: names tell the order of almost all.
        found.or_else(|| names.iter().position(|name| name < cursor)).unwrap_or(names.len())
    });
    let mut left = names.into_iter().skip(begin).peekable();
    let mut body = br#"{"sessions":["#.to_vec();
    let (mut rows, mut last) = (0, None);
    while let Some(name) = left.next_if(|_| rows < limit) {
        let row = row(library, &name, most)?;
        if rows > 0 && body.len() + row.len() > most {
            return finish(body, last);
        }
        if rows > 0 {
            body.push(b',');
        }
        body.extend(row);
        (rows, last) = (rows + 1, Some(name));
    }
    finish(body, last.filter(|_| left.peek().is_some()))
}

/// A [`SessionRow`], without what makes it longer than `most`.
fn row(library: &Path, name: &str, most: usize) -> io::Result<Vec<u8>> {
    let manifest = recovery::read_manifest(&library.join(name)).ok();
    let mut row = SessionRow { dir: name.to_owned(), manifest, shortened: false };
    let text = serde_json::to_vec(&row)?;
    let Some(manifest) = row.manifest.as_mut().filter(|_| text.len() > most) else { return Ok(text) };
    manifest.incidents.clear();
    manifest.markers.clear();
    for input in &mut manifest.inputs {
        input.parts.clear();
        input.findings.clear();
    }
    row.shortened = true;
    Ok(serde_json::to_vec(&row)?)
}

/// Ends a page behind its last row.
fn finish(mut body: Vec<u8>, next_cursor: Option<String>) -> io::Result<Vec<u8>> {
    body.extend(br#"],"next_cursor":"#);
    serde_json::to_writer(&mut body, &next_cursor)?;
    body.push(b'}');
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SessionId;
    use crate::model::session::Manifest;
    use crate::storage::layout;

    #[test]
    fn a_page_ends_where_it_would_grow_too_long_and_no_session_is_lost() {
        let golden: SessionsReply =
            serde_json::from_str(include_str!("../../../tests/golden/reply_sessions.json")).expect("a reply");
        let golden = golden.sessions.into_iter().find_map(|row| row.manifest).expect("a manifest");
        let library = tempfile::tempdir().expect("a library");
        // Seven sessions of growing length; the fifth is longer than a page.
        for (n, parts) in (1u8..).zip([1, 1, 2, 3, 90, 2, 1]) {
            let mut manifest = Manifest { id: SessionId(uuid::Uuid::from_u128(n.into())), ..golden.clone() };
            let part = manifest.inputs[0].parts[0].clone();
            manifest.inputs[0].parts = vec![part; parts];
            let at = golden.started_at + Duration::from_secs(60 * u64::from(n));
            let dir = library.path().join(layout::session_dir(at, &manifest.name, manifest.id));
            std::fs::create_dir(&dir).expect("made");
            let text = serde_json::to_vec(&manifest).expect("a manifest");
            std::fs::write(dir.join(layout::MANIFEST), text).expect("ours");
        }
        let names = recovery::session_dirs(library.path()).expect("a library");
        assert_eq!(names.len(), 7);
        const MOST: usize = 4096;
        for limit in [None, Some(2)] {
            let (mut cursor, mut seen, mut shortened) = (None, Vec::new(), 0);
            loop {
                let page = list(library.path(), &Page { cursor, limit }, MOST).expect("a page");
                assert!(page.len() < MOST + 200, "{} bytes", page.len());
                let page: SessionsReply = serde_json::from_slice(&page).expect("a page");
                assert!(!page.sessions.is_empty());
                shortened += page.sessions.iter().filter(|row| row.shortened).count();
                seen.extend(page.sessions.into_iter().map(|row| row.dir));
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!((&seen, shortened), (&names, 1), "{limit:?}");
        }
    }
}

//! The routes that change nothing: state, events, alerts, health, the library's sessions. They never wait for the loop
//! (but an event stream asks it once where to begin).

use super::envelope::refusal;
use super::{Api, Place, events};
use crate::model::snapshot::{HealthVerdict, Snapshot};
use crate::protocol::api::{AlertsReply, ApiError, HealthReply, SessionRow, SessionsReply};
use crate::storage::recovery;
use crate::sys::clock;
use axum::extract::rejection::QueryRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Query, State, WebSocketUpgrade};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;
use tokio::time::timeout;

/// A library that does not answer a listing within this is frozen.
const LIST_DEADLINE: Duration = Duration::from_secs(8);
/// Sessions of a page when none are asked for.
const PAGE: usize = 50;
/// Most sessions of a page.
const PAGE_MAX: usize = 200;

/// The whole state of the recorder.
#[utoipa::path(get, path = "/api/v1/status", responses(
        (status = 200, description = "The snapshot", body = Snapshot),
        (status = "default", description = "Refused", body = ApiError),
    ))]
pub(super) async fn status(State(api): State<Api>) -> Response {
    let snapshot = api.board.snapshot.borrow().clone();
    Json(&*snapshot).into_response()
}

/// Every alert kept, newest first.
#[utoipa::path(get, path = "/api/v1/alerts", responses(
        (status = 200, description = "The alerts", body = AlertsReply),
        (status = "default", description = "Refused", body = ApiError),
    ))]
pub(super) async fn alerts(State(api): State<Api>) -> Response {
    let alerts = (**api.board.alerts.borrow()).clone();
    let counts = api.board.snapshot.borrow().alerts;
    Json(AlertsReply { alerts, counts }).into_response()
}

/// How the recorder is.
#[utoipa::path(get, path = "/api/v1/health", responses(
        (status = 200, description = "Its health", body = HealthReply),
        (status = "default", description = "Refused", body = ApiError),
    ))]
pub(super) async fn health(State(api): State<Api>) -> Response {
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

/// How an event stream begins.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Begin {
    /// The `seq` of the last event known: what was missed is sent instead of the whole state, if it is still kept.
    since: Option<u64>,
}

/// The event stream (WebSocket): each text message is one `Event`. `sync` comes first.
#[utoipa::path(get, path = "/api/v1/events", params(Begin),
    responses(
        (status = 101, description = "The stream begins; its messages are `Event`s"),
        (status = "default", description = "Refused", body = ApiError),
    ))]
pub(super) async fn event_stream(
    State(api): State<Api>,
    Extension(place): Extension<Place>,
    begin: Result<Query<Begin>, QueryRejection>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(Query(Begin { since })) = begin else {
        return refusal(422, "bad_query", "use since=…, a sequence number", false);
    };
    match upgrade {
        Ok(upgrade) => upgrade.on_upgrade(move |socket| events::serve(socket, api, since, place)),
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
        (status = "default", description = "Refused", body = ApiError),
    ))]
pub(super) async fn sessions(State(api): State<Api>, page: Result<Query<Page>, QueryRejection>) -> Response {
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
fn list(library: &Path, page: &Page) -> std::io::Result<SessionsReply> {
    let limit = page.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let names = recovery::session_dirs(library)?;
    let after = names.into_iter().filter(|name| page.cursor.as_ref().is_none_or(|cursor| name < cursor));
    let mut names: Vec<String> = after.take(limit + 1).collect();
    let next_cursor = (names.len() > limit).then(|| names[limit - 1].clone());
    names.truncate(limit);
    let row = |dir: String| SessionRow { manifest: recovery::read_manifest(&library.join(&dir)).ok(), dir };
    Ok(SessionsReply { sessions: names.into_iter().map(row).collect(), next_cursor })
}

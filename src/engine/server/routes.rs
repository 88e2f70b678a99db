//! Every route of API version 1, and the document that describes them: both are made from the same handlers, so that
//! neither can say what the other does not.

use super::commands::BODY_MAX_BYTES;
use super::envelope::{Measured, envelope, refusal};
use super::{Api, commands, names, reads};
use crate::protocol::event::Event;
use axum::extract::DefaultBodyLimit;
use axum::{Extension, Json, Router, middleware};
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What stands above the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Holdfast",
        description = "The recorder's API, version 1, on its Unix socket. Every answer carries `X-Trace-ID` (taken \
from the request if given) and `X-Response-Time-Ms`; every error is an `ApiError`."
    ),
    components(schemas(Event))
)]
struct Described;

/// The description, made once.
#[derive(Clone)]
struct Document(Arc<utoipa::openapi::OpenApi>);

/// Every route.
pub(super) fn make(api: Api) -> Router {
    let (router, document) = described().split_for_parts();
    let measured = Measured { tally: api.tally.clone(), latencies: api.board.latencies.clone() };
    router
        .fallback(|| async { refusal(404, "not_found", "there is no such address", false) })
        .method_not_allowed_fallback(|| async {
            refusal(405, "method_not_allowed", "this address takes another method", false)
        })
        .layer(Extension(Document(Arc::new(document))))
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
        .layer(middleware::from_fn_with_state(measured, envelope))
        .with_state(api)
}

fn described() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Described::openapi())
        .routes(routes!(reads::status))
        .routes(routes!(reads::event_stream))
        .routes(routes!(reads::alerts))
        .routes(routes!(reads::health))
        .routes(routes!(names::name))
        .routes(routes!(reads::live))
        .routes(routes!(reads::history))
        .routes(routes!(reads::operations))
        .routes(routes!(reads::sessions))
        .routes(routes!(commands::start))
        .routes(routes!(commands::stop))
        .routes(routes!(commands::split))
        .routes(routes!(commands::mark))
        .routes(routes!(commands::retry))
        .routes(routes!(commands::clear_clip))
        .routes(routes!(commands::order))
        .routes(routes!(commands::report_latency))
        .routes(routes!(commands::acknowledge))
        .routes(routes!(commands::clean_up))
        .routes(routes!(openapi))
}

/// This description.
#[utoipa::path(get, path = "/api/v1/openapi.json", responses(
        (status = 200, description = "OpenAPI 3.1", body = Object),
        (status = 503, description = "All places are taken (`busy`)", body = crate::protocol::api::ApiError),
    ))]
async fn openapi(Extension(Document(document)): Extension<Document>) -> Json<utoipa::openapi::OpenApi> {
    Json((*document).clone())
}

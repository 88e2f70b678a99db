//! What sessions are called: one way for a start and for whoever wants to know before.
//!
//! Contract: a library that does not answer holds nobody up for longer than [`LOOK_DEADLINE`]; numbers begin at 1 then.

use super::Api;
use super::envelope::refusal;
use crate::model::SessionName;
use crate::model::naming::{Moment, NameFault, Template};
use crate::protocol::api::{ApiError, NameReply};
use crate::storage::{layout, recovery};
use crate::sys::clock;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use jiff::tz::TimeZone;
use serde::Deserialize;
use std::io;
use std::time::Duration;
use tokio::time::timeout;

/// Names of ten thousand folders are read in 10 ms; Record waits no longer than this for them.
const LOOK_DEADLINE: Duration = Duration::from_millis(500);

/// The name to be looked at.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// As it was written, with placeholders; what a session is called that nobody names without it.
    name: Option<String>,
}

/// What a start with this name would make now: the session's name, its folder, and whether there are others.
#[utoipa::path(get, path = "/api/v1/recorder/name", params(Asked), responses(
        (status = 200, description = "So it would be called", body = NameReply),
        (status = 422, description = "The name is not acceptable (`bad_name`), or the query is not understood (`bad_query`)",
            body = ApiError),
        (status = 503, description = "All places are taken (`busy`)", body = ApiError),
    ))]
pub(super) async fn name(State(api): State<Api>, asked: Result<Query<Asked>, QueryRejection>) -> Response {
    let Ok(Query(Asked { name })) = asked else { return refusal(422, "bad_query", "use name=…", false) };
    match look(&api, name.as_deref(), true).await {
        Ok(reply) => Json(reply).into_response(),
        Err(fault) => refusal(422, "bad_name", fault.about(name.as_deref()), false),
    }
}

/// The name of a session that begins now; `None` = nobody has named it.
pub(super) async fn name_of(api: &Api, asked: Option<&str>) -> Result<SessionName, NameFault> {
    Ok(look(api, asked, false).await?.name)
}

async fn look(api: &Api, asked: Option<&str>, whole: bool) -> Result<NameReply, NameFault> {
    let template = match asked {
        Some(text) => Template::read(text)?,
        None => (*api.board.session_name).clone(),
    };
    let now = clock::wall_now();
    let moment = Moment::new(&now.to_zoned(TimeZone::system()), 1);
    let slugs = if whole || template.counts() { slugs(api).await } else { None };
    let known = || slugs.iter().flatten().map(String::as_str);
    let number = template.counts().then(|| template.next_number(&moment, known()));
    let name = template.name(&moment.numbered(number.unwrap_or(1)))?;
    let slug = name.slug();
    let taken =
        slugs.as_ref().map(|_| u32::try_from(known().filter(|known| *known == slug).count()).unwrap_or(u32::MAX));
    Ok(NameReply { folder: format!("{}…", layout::session_stem(now, &name)), name, number, taken })
}

/// The slugs of every folder in the library, `None` = it does not answer.
async fn slugs(api: &Api) -> Option<Vec<String>> {
    let library = api.library.clone();
    let listing = async {
        let thread = api.listings.clone().acquire_owned().await.map_err(io::Error::other)?;
        let listed = tokio::task::spawn_blocking(move || {
            // Whoever waits for the disk longer than this keeps its place.
            let _held = thread;
            recovery::session_dirs(&library)
        });
        listed.await.map_err(io::Error::other)?
    };
    let names = timeout(LOOK_DEADLINE, listing).await.ok()?.ok()?;
    Some(names.iter().filter_map(|name| layout::slug_of(name)).map(str::to_owned).collect())
}

//! What a session would be called, as the API tells it.

use crate::model::SessionName;
use serde::{Deserialize, Serialize};

/// Reply to `GET /api/v1/recorder/name`: what a start with this name would make now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NameReply {
    /// The session's name, placeholders filled in.
    pub name: SessionName,
    /// Its folder in the library, but for the last four characters, which are the end of its id (`…`). Time and id make it
    /// new, whatever it is called.
    pub folder: String,
    /// What `{n}` becomes, `null` without it.
    pub number: Option<u32>,
    /// Sessions of the library whose folders are called the same but for time and id; `null` = the library does not answer.
    pub taken: Option<u32>,
}

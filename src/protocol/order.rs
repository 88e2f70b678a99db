//! The order of the inputs: `POST /api/v1/inputs/order`.

use crate::model::InputId;
use serde::{Deserialize, Serialize};

/// Body of `POST /api/v1/inputs/order`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderRequest {
    /// Inputs, the most important one first; none = as the configuration has them.
    pub inputs: Vec<String>,
}

/// Reply to `POST /api/v1/inputs/order`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OrderReply {
    /// Every input, the most important one first.
    pub inputs: Vec<InputId>,
}

//! Errors of the admin API as RFC 9457 problems that say what to do.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

/// Why the admin API did not do what was asked.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Problem {
    /// In a few words.
    pub title: String,
    /// The HTTP status it is sent with.
    pub status: u16,
    /// What is wrong, and what would be right.
    pub detail: String,
}

impl Problem {
    /// A problem with the words of its status as the title.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Problem {
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (status, kind, Json(self)).into_response()
    }
}

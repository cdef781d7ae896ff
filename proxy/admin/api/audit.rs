//! `/v1/audit`.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::{Answer, Shared, query};
use crate::admin::Problem;
use crate::audit::Record;

/// Changes that one answer has unless more are asked for, and at most.
const LISTED: usize = 100;
const MOST: usize = 100_000;

#[derive(Debug, Deserialize)]
pub(super) struct ListQuery {
    limit: Option<usize>,
}

pub(super) async fn list(
    State(admin): Shared,
    asked: Result<Query<ListQuery>, QueryRejection>,
) -> Answer<Vec<Record>> {
    let most = query(asked)?.limit.unwrap_or(LISTED).min(MOST);
    // The files are read, which the disk may make long.
    let read = tokio::task::spawn_blocking(move || admin.audit.list(most)).await;
    read.map(Json)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

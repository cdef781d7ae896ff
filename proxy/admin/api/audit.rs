//! `/v1/audit`.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;

use super::{Answer, Shared, looked_up, query};
use crate::admin::Problem;
use crate::admin::wire::AuditQuery;
use crate::audit::Record;

/// Changes that one answer has unless more are asked for, and at most.
const LISTED: usize = 100;
const MOST: usize = 100_000;

pub(super) async fn list(
    State(admin): Shared,
    asked: Result<Query<AuditQuery>, QueryRejection>,
) -> Answer<Vec<Record>> {
    let most = query(asked)?.limit.unwrap_or(LISTED).min(MOST);
    let listed = looked_up(&admin, move |admin| admin.audit.list(most)).await?;
    listed.map(Json).map_err(|error| {
        let detail = format!("the audit log cannot be read: {error}");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    })
}

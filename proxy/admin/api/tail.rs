//! `/v1/tail`.

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{Shared, query};
use crate::admin::Problem;
use crate::tail::{Filter, TailQuery};

/// Lines a second, unless more or fewer are asked for, and at most.
const LINES: u32 = 100;
const MOST: u32 = 1000;

/// What is decided, a line each, as it happens.
pub(super) async fn follow(
    State(admin): Shared,
    asked: Result<Query<TailQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let asked = query(asked)?;
    let bad = |detail| Problem::new(StatusCode::BAD_REQUEST, detail);
    let filter = Filter::asked(&asked).map_err(bad)?;
    let rate = asked.lines.unwrap_or(LINES);
    if !(1..=MOST).contains(&rate) {
        return Err(bad(format!("lines: 1 to {MOST} a second")));
    }
    let lines = admin.tails.look(filter, rate).await.ok_or_else(|| {
        let detail = "as many look on as may: end another `tidegate tail`, and try again";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    })?;
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::new(lines)).into_response())
}

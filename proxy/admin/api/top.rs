//! `/v1/top`.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;

use super::{Answer, Shared, aside, query};
use crate::admin::Problem;
use crate::admin::wire::TopQuery;
use crate::top::{self, Measure, Sources, Window};

/// Sources of a kind that an answer names when it is not said how many, and at most.
const NAMED: usize = 10;
const MOST: usize = 100;

pub(super) async fn show(
    State(admin): Shared,
    asked: Result<Query<TopQuery>, QueryRejection>,
) -> Answer<Sources> {
    let asked = read(&query(asked)?);
    let asked = asked.map_err(|bad| Problem::new(StatusCode::BAD_REQUEST, bad))?;
    Ok(Json(
        aside(&admin, move |admin| admin.top.sources(asked)).await?,
    ))
}

fn read(asked: &TopQuery) -> Result<top::Query, String> {
    let window = asked
        .window
        .as_deref()
        .map_or(Ok(Window::TenSeconds), str::parse)?;
    let by = asked
        .by
        .as_deref()
        .map_or(Ok(Measure::Requests), str::parse)?;
    match asked.limit.unwrap_or(NAMED) {
        limit @ 1..=MOST => Ok(top::Query { window, by, limit }),
        limit => Err(format!("limit is {limit}; it can be 1 to {MOST}")),
    }
}

//! `/v1/report`.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;

use super::{Answer, Shared, looked_up, query};
use crate::admin::wire::ReportQuery;
use crate::admin::{Admin, Problem};
use crate::clock;
use crate::minutes::Report;

/// How far back it looks when it is not said, in seconds, and at most.
const USUAL: u64 = 2 * 60 * 60;
const MOST: u64 = 7 * 24 * 60 * 60;
/// Changes that it tells of, at most.
const CHANGES: usize = 10_000;

pub(super) async fn show(
    State(admin): Shared,
    asked: Result<Query<ReportQuery>, QueryRejection>,
) -> Answer<Report> {
    let seconds = query(asked)?.seconds.unwrap_or(USUAL);
    if !(1..=MOST).contains(&seconds) {
        let detail = format!("seconds is {seconds}; it can be 1 to {MOST}");
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    let made = looked_up(&admin, move |admin| make(admin, seconds)).await?;
    made.map(Json).map_err(|error| {
        let detail = format!("what was written down cannot be read: {error}");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    })
}

fn make(admin: &Admin, seconds: u64) -> std::io::Result<Report> {
    let until = clock::unix_seconds();
    let from = until.saturating_sub(seconds);
    let upstreams = admin.reloader.upstreams();
    let minutes = admin
        .minutes
        .since(from, &admin.gate, &admin.top, &upstreams)?;
    let mut changes = admin.audit.list(CHANGES)?;
    changes.retain(|change| change.time >= from);
    Ok(Report {
        from,
        until,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        minutes,
        changes,
    })
}

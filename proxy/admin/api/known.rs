//! `/v1/known`.

use std::net::IpAddr;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::{Answer, Shared, body, changed, query};
use crate::admin::Problem;
use crate::admin::wire::{Changed, KnownList, KnownRequest};
use crate::clock;
use crate::prefixes::Added;

/// Entries that one answer has unless more are asked for.
const LISTED: usize = 1000;

#[derive(Debug, Deserialize)]
pub(super) struct ListQuery {
    limit: Option<usize>,
    address: Option<IpAddr>,
}

pub(super) async fn list(
    State(admin): Shared,
    asked: Result<Query<ListQuery>, QueryRejection>,
) -> Answer<KnownList> {
    let asked = query(asked)?;
    let limit = asked.limit.unwrap_or(LISTED);
    Ok(Json(KnownList {
        prefixes: admin.gate.known_prefixes(),
        entries: admin.reloader.known.list(limit, asked.address),
    }))
}

pub(super) async fn add(
    State(admin): Shared,
    request: Result<Json<KnownRequest>, JsonRejection>,
) -> Answer<Changed<Added>> {
    let request = body(request)?;
    let until = request
        .seconds
        .map(|seconds| clock::unix_seconds().saturating_add(seconds));
    let added = admin
        .reloader
        .known
        .add(&request.prefix, until, request.reason);
    let now =
        added.map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    Ok(changed(now, move || admin.reloader.known.save()).await)
}

pub(super) async fn remove(
    State(admin): Shared,
    request: Result<Json<KnownRequest>, JsonRejection>,
) -> Answer<Changed<Added>> {
    let request = body(request)?;
    let removed = admin.reloader.known.remove(&request.prefix);
    let prefix = removed.map_err(|error| Problem::new(StatusCode::NOT_FOUND, error.to_string()))?;
    let now = Added::of(prefix);
    Ok(changed(now, move || admin.reloader.known.save()).await)
}

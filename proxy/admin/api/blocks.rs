//! `/v1/blocks`.

use std::net::IpAddr;
use std::time::Duration;

use axum::Json;
use axum::extract::connect_info::ConnectInfo;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::{Answer, Operator, Shared, body, changed_with, query};
use crate::admin::wire::{BlockList, BlockRequest, Changed, Unblock};
use crate::admin::{Change, Problem};
use crate::clock;
use crate::door::{BlockError, LONGEST_BLOCK, USUAL_BLOCK};
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
) -> Answer<BlockList> {
    let asked = query(asked)?;
    let address = asked.address.map(|address| address.to_canonical());
    Ok(Json(BlockList {
        blocks: admin.blocks.count(),
        entries: admin.blocks.list(asked.limit.unwrap_or(LISTED), address),
    }))
}

pub(super) async fn add(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    request: Result<Json<BlockRequest>, JsonRejection>,
) -> Answer<Changed<Added>> {
    let request = body(request)?;
    let lasting = lasting(request.seconds)?;
    let until = clock::unix_seconds().saturating_add(lasting.as_secs());
    let set_by = Some(operator.name().await);
    let adding = admin.clone();
    let (entry, note) = blocking(move || {
        let entry = |prefix| Added {
            prefix,
            until: Some(until),
            reason: request.reason,
            set_by,
        };
        adding.blocks.add(&request.prefix, entry, request.force)
    })
    .await?;
    tracing::warn!(
        by = entry.set_by,
        until = entry.until.map(clock::timestamp),
        reason = entry.reason,
        "blocked {}",
        entry.prefix
    );
    let change = Change {
        what: "block",
        to: entry.prefix.to_string(),
        until: entry.until,
        reason: entry.reason.clone(),
    };
    let by = entry.set_by.as_deref().unwrap_or_default();
    let unaudited = admin.audited(by, change).await;
    let note = note
        .into_iter()
        .chain(unaudited)
        .reduce(|a, b| format!("{a}; {b}"));
    Ok(changed_with(note, entry, move || admin.blocks.save()).await)
}

pub(super) async fn remove(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    request: Result<Json<Unblock>, JsonRejection>,
) -> Answer<Changed<Added>> {
    let request = body(request)?;
    let removing = admin.clone();
    let entry = blocking(move || removing.blocks.remove(&request.prefix)).await?;
    tracing::warn!("no longer blocked {}", entry.prefix);
    let change = Change {
        what: "unblock",
        to: entry.prefix.to_string(),
        until: None,
        reason: None,
    };
    let note = admin.audited(&operator.name().await, change).await;
    Ok(changed_with(note, entry, move || admin.blocks.save()).await)
}

fn lasting(seconds: Option<u64>) -> Result<Duration, Problem> {
    let lasting = seconds.map_or(USUAL_BLOCK, Duration::from_secs);
    let bad = |detail: &str| Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    match lasting {
        Duration::ZERO => bad("a block lasts at least a second"),
        lasting if lasting > LONGEST_BLOCK => {
            bad("a block lasts at most 30d, so that a forgotten one ends")
        }
        lasting => Ok(lasting),
    }
}

/// The set is built anew for each change, which many blocks make long.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BlockError> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?
        .map_err(|error| {
            let status = match error {
                BlockError::Dangerous(..) => StatusCode::CONFLICT,
                BlockError::Absent(..) => StatusCode::NOT_FOUND,
                BlockError::Full(_) | BlockError::Unfit(_) => StatusCode::UNPROCESSABLE_ENTITY,
            };
            Problem::new(status, error.to_string())
        })
}

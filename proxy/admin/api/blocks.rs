//! `/v1/blocks`.

use std::time::Duration;

use axum::Json;
use axum::extract::connect_info::ConnectInfo;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;

use super::{Answer, Operator, Shared, aside, body, changed, query};
use crate::admin::wire::{BlockList, BlockRequest, Changed, PrefixQuery, Unblock};
use crate::admin::{Admin, Problem};
use crate::audit::Change;
use crate::clock;
use crate::door::{BlockError, LONGEST_BLOCK, USUAL_BLOCK};
use crate::note::Note;
use crate::prefixes::Added;

/// Entries that one answer has unless more are asked for.
const LISTED: usize = 1000;

pub(super) async fn list(
    State(admin): Shared,
    asked: Result<Query<PrefixQuery>, QueryRejection>,
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
    let by = operator.name().await;
    let set_by = Some(by.clone());
    let added = aside(&admin, move |admin| {
        let entry = |prefix| Added {
            prefix,
            note: Note {
                until: Some(until),
                reason: request.reason,
                set_by,
            },
        };
        admin.blocks.add(&request.prefix, entry, request.force)
    });
    let (entry, note) = added.await?.map_err(refused)?;
    tracing::warn!(
        by = entry.note.set_by,
        until = entry.note.until.map(clock::timestamp),
        reason = entry.note.reason,
        "blocked {}",
        entry.prefix
    );
    let change = Change::noted("block", entry.prefix.to_string(), &entry.note);
    let save = |admin: &Admin| admin.blocks.save();
    let mut answer = changed(&admin, &by, change, entry, save).await;
    answer.warn(note);
    Ok(answer)
}

pub(super) async fn remove(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    request: Result<Json<Unblock>, JsonRejection>,
) -> Answer<Changed<Added>> {
    let request = body(request)?;
    let removed = aside(&admin, move |admin| admin.blocks.remove(&request.prefix));
    let entry = removed.await?.map_err(refused)?;
    tracing::warn!("no longer blocked {}", entry.prefix);
    let change = Change::plain("unblock", entry.prefix.to_string());
    let (by, save) = (operator.name().await, |admin: &Admin| admin.blocks.save());
    Ok(changed(&admin, &by, change, entry, save).await)
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

fn refused(error: BlockError) -> Problem {
    let status = match error {
        BlockError::Dangerous(..) => StatusCode::CONFLICT,
        BlockError::Absent(..) => StatusCode::NOT_FOUND,
        BlockError::Full(_) | BlockError::Unfit(_) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Problem::new(status, error.to_string())
}

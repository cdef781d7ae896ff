//! `/v1/upgrade`, and what it means for everything else.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::connect_info::ConnectInfo;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::OwnedRwLockWriteGuard;

use super::{Answer, Operator, Shared, body};
use crate::admin::wire::{MOST_UPGRADE_SECONDS, UPGRADE_SECONDS, UpgradeRequest};
use crate::admin::{Admin, Problem};
use crate::upgrade::{UpgradeError, Upgraded};

/// How long the listeners of this process may take to close.
const CLOSING: Duration = Duration::from_secs(1);

/// How long changes that are under way may take before an upgrade is refused for them.
const CHANGES: Duration = Duration::from_secs(5);

/// Lets no change happen while an upgrade is under way: it could be lost between two processes. A
/// change that was begun is completed, whether or not its operator waits for it.
pub(super) async fn hold_back(State(admin): Shared, request: Request, next: Next) -> Response {
    if request.method() == Method::GET || request.method() == Method::HEAD {
        return next.run(request).await;
    }
    let Ok(turn) = admin.changes.clone().try_read_owned() else {
        return under_way("nothing was changed").into_response();
    };
    let change = tokio::spawn(async move {
        let answer = next.run(request).await;
        drop(turn);
        answer
    });
    change.await.unwrap_or_else(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
    })
}

fn under_way(effect: &str) -> Problem {
    let detail = format!("an upgrade is under way, so {effect}: try again in a few seconds");
    Problem::new(StatusCode::CONFLICT, detail)
}

pub(super) async fn upgrade(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    request: Result<Json<UpgradeRequest>, JsonRejection>,
) -> Answer<Upgraded> {
    let seconds = body(request)?.seconds.unwrap_or(UPGRADE_SECONDS);
    if !(1..=MOST_UPGRADE_SECONDS).contains(&seconds) {
        let detail = format!("an upgrade may take 1 to {MOST_UPGRADE_SECONDS} seconds");
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    let Ok(one) = admin.upgrades.clone().try_lock_owned() else {
        return Err(under_way("this one was not begun"));
    };
    let changes = admin.changes.clone().write_owned();
    let Ok(turn) = tokio::time::timeout(CHANGES, changes).await else {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "a change is under way and takes long: try again when it is done",
        ));
    };
    tracing::warn!("upgrade: asked for by {}", operator.name().await);
    let done = tokio::task::spawn_blocking(move || {
        let upgraded = upgrade_now(&admin, Duration::from_secs(seconds), turn);
        drop(one);
        upgraded
    });
    let done = done.await;
    done.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?
        .map(Json)
        .map_err(refused)
}

fn upgrade_now(
    admin: &Arc<Admin>,
    within: Duration,
    turn: OwnedRwLockWriteGuard<()>,
) -> Result<Upgraded, UpgradeError> {
    // The other process reads from the disk what operators have set.
    crate::state::write_again().map_err(|error| {
        let detail = format!("{error}, nor an upgrade, which was not begun: see to the disk first");
        UpgradeError::Impossible(detail)
    })?;
    let (upgraded, takes_admin) = admin.upgrader.upgrade(within)?;
    // This process is not to be changed any more.
    std::mem::forget(turn);
    admin.ending.supersede(takes_admin);
    // Whoever is told of the new process meets no other one.
    let told_by = Instant::now() + CLOSING;
    while !admin.gate.closed.load(Relaxed) && Instant::now() < told_by {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(upgraded)
}

fn refused(error: UpgradeError) -> Problem {
    let status = match error {
        UpgradeError::Impossible(_) => StatusCode::CONFLICT,
        UpgradeError::Failed(_) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Problem::new(status, error.to_string())
}

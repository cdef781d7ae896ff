//! `/v1/passes`.

use axum::Json;
use axum::extract::State;
use axum::extract::connect_info::ConnectInfo;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;

use super::{Answer, Operator, Shared, aside, body, changed};
use crate::admin::wire::{Changed, PassRequest};
use crate::admin::{Admin, Problem};
use crate::audit::Change;
use crate::clock;
use crate::pass::{Id, RevokedList};

pub(super) async fn list(State(admin): Shared) -> Json<RevokedList> {
    Json(admin.revocations.get())
}

pub(super) async fn revoke(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    request: Result<Json<PassRequest>, JsonRejection>,
) -> Answer<Changed<PassRequest>> {
    let request = body(request)?;
    let id = match request.id.as_str() {
        "all" => None,
        id => Some(id.parse::<Id>()),
    };
    let id = id.transpose();
    let id = id.map_err(|right| Problem::new(StatusCode::BAD_REQUEST, right))?;
    let revoke = move |admin: &Admin| match id {
        Some(id) => admin.revocations.revoke(id, clock::unix_seconds()),
        None => {
            admin.revocations.revoke_all();
            Ok(())
        }
    };
    let revoked = aside(&admin, revoke).await?;
    revoked.map_err(|error| Problem::new(StatusCode::CONFLICT, error.to_string()))?;
    let by = operator.name().await;
    tracing::warn!(by, "passes revoked: {}", request.id);
    let change = Change::plain("pass", format!("revoked {}", request.id));
    let save = |admin: &Admin| admin.revocations.save();
    Ok(changed(&admin, &by, change, request, save).await)
}

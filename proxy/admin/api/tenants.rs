//! `/v1/tenants`.

use std::collections::HashMap;

use axum::Json;
use axum::extract::connect_info::ConnectInfo;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;

use super::{Answer, Operator, Shared, aside, body, changed, looked_up, query};
use crate::admin::wire::{
    Changed, ListedTenant, TenantList, TenantName, TenantQuery, TenantRequest,
};
use crate::admin::{Admin, Problem};
use crate::audit::Change;
use crate::clock;
use crate::note::Note;
use crate::reload::MoveError;
use crate::tenants::{Moved, Tenants, spellings};

/// Entries that one answer has unless more are asked for.
const LISTED: usize = 1000;

pub(super) async fn list(
    State(admin): Shared,
    asked: Result<Query<TenantQuery>, QueryRejection>,
) -> Answer<TenantList> {
    let asked = query(asked)?;
    let listed = move |admin: &Admin| {
        let moved = admin.reloader.moves();
        admin.reloader.with_tenants(|tenants| {
            let tenants = tenants.ok_or(MoveError::NoTenants)?;
            Ok(TenantList {
                from: tenants.from.to_string(),
                unlisted: tenants.unlisted.name.clone(),
                listed: tenants.len(),
                tenants: entries(tenants, &moved, &asked),
            })
        })
    };
    let listed = looked_up(&admin, listed).await?;
    listed.map(Json).map_err(refused)
}

/// In the order of their names, so that lists can be compared.
fn entries(tenants: &Tenants, moved: &[Moved], asked: &TenantQuery) -> Vec<ListedTenant> {
    let meant = asked
        .name
        .as_deref()
        .map(|name| spellings(&tenants.from, name));
    let is_meant = |told_by: &str, name: &str| {
        let meant = meant.as_deref().unwrap_or_default();
        asked.name.is_none() || meant.iter().any(|asked| asked == told_by || asked == name)
    };
    let moved: HashMap<&str, &Moved> = moved.iter().map(|moved| (&*moved.name, moved)).collect();
    let mut found: Vec<_> = tenants
        .listed()
        .filter(|(told_by, tenant)| is_meant(told_by, &tenant.name))
        .collect();
    found.sort_unstable_by_key(|(told_by, tenant)| (&tenant.name, *told_by));
    found.truncate(asked.limit.unwrap_or(LISTED));
    let entry = |(told_by, tenant): (&str, &crate::tenants::Tenant)| {
        let by_operator = moved.get(&*tenant.name);
        ListedTenant {
            name: tenant.name.to_string(),
            told_by: told_by.to_owned(),
            tier: tenant.tier.name.clone(),
            own: tenant.tier.own,
            source: tenant.source.to_string(),
            until: by_operator.and_then(|moved| moved.note.until),
            reason: by_operator.and_then(|moved| moved.note.reason.clone()),
        }
    };
    found.into_iter().map(entry).collect()
}

pub(super) async fn set(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    request: Result<Json<TenantRequest>, JsonRejection>,
) -> Answer<Changed<Moved>> {
    let request = body(request)?;
    let now = clock::unix_seconds();
    let by = operator.name().await;
    let to = Moved {
        name: request.name,
        tier: request.tier,
        note: Note {
            until: request
                .seconds
                .map(|seconds| now.saturating_add(seconds.max(1))),
            reason: request.reason,
            set_by: Some(by.clone()),
        },
    };
    // All tenants are gone through.
    let placed = aside(&admin, move |admin| admin.reloader.move_tenant(to)).await?;
    let placed = placed.map_err(refused)?;
    let moved = placed.moved;
    tracing::warn!(
        by = moved.note.set_by,
        until = moved.note.until.map(clock::timestamp),
        reason = moved.note.reason,
        "tenant {:?} is in tier {}",
        moved.name,
        moved.tier
    );
    let note = placed.unlisted.then(|| {
        format!(
            "{name:?} was not listed: it is a tenant of its own now, with its own budget; if that is a slip of the pen: tidegate tenant unset {name}",
            name = moved.name
        )
    });
    let to = format!("{} in tier {}", moved.name, moved.tier);
    let change = Change::noted("tenant", to, &moved.note);
    let save = |admin: &Admin| admin.reloader.save_moves();
    let mut answer = changed(&admin, &by, change, moved, save).await;
    answer.warn(note);
    Ok(answer)
}

pub(super) async fn unset(
    State(admin): Shared,
    ConnectInfo(operator): ConnectInfo<Operator>,
    request: Result<Json<TenantName>, JsonRejection>,
) -> Answer<Changed<Moved>> {
    let request = body(request)?;
    let unset = move |admin: &Admin| admin.reloader.return_tenant(&request.name);
    let returned = aside(&admin, unset).await?;
    let returned = returned.map_err(refused)?;
    tracing::warn!(
        "tenant {:?} is no longer in tier {} by an operator",
        returned.name,
        returned.tier
    );
    let to = format!("{} no longer in tier {}", returned.name, returned.tier);
    let (by, save) = (operator.name().await, |admin: &Admin| {
        admin.reloader.save_moves()
    });
    Ok(changed(&admin, &by, Change::plain("tenant", to), returned, save).await)
}

fn refused(error: MoveError) -> Problem {
    let status = match error {
        MoveError::NoTenants => StatusCode::CONFLICT,
        MoveError::Moves(crate::tenants::MovesError::Absent(_)) => StatusCode::NOT_FOUND,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Problem::new(status, error.to_string())
}

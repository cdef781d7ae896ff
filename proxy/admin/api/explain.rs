//! `/v1/explain`.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;

use super::{Answer, Shared, looked_up, query};
use crate::admin::wire::{ExplainQuery, Explanation};
use crate::admin::{Admin, Problem};
use crate::explain::{Asked, Listed, explain};
use crate::known::Entry;

/// Entries of the known set, and blocks, that are shown as the reason why a client is known or
/// blocked.
const NAMED: usize = 10;

pub(super) async fn show(
    State(admin): Shared,
    asked: Result<Query<ExplainQuery>, QueryRejection>,
) -> Answer<Explanation> {
    let asked = query(asked)?;
    let bad = |problem: String| Problem::new(StatusCode::BAD_REQUEST, problem);
    let address: IpAddr = asked
        .address
        .parse()
        .map_err(|_| bad(format!("{:?} is not an IP address", asked.address)))?;
    let address = address.to_canonical();
    let request = Asked {
        method: asked.method.as_deref().unwrap_or("GET"),
        path: asked.path.as_deref().unwrap_or("/"),
        host: asked.host.as_deref(),
        certificate: asked.certificate.as_deref(),
        fields: asked.fields.as_deref().unwrap_or_default(),
    };
    let listed_in = Listed {
        known_by: known_by(&admin, address).await?,
        blocked_by: admin.blocks.list(NAMED, Some(address)),
    };
    explain(&admin.gate, address, listed_in, &request)
        .map(Json)
        .map_err(bad)
}

/// All entries are gone through, and there may be a million.
async fn known_by(admin: &Arc<Admin>, address: IpAddr) -> Result<Vec<Entry>, Problem> {
    let list = move |admin: &Admin| admin.reloader.known.list(NAMED, Some(address));
    looked_up(admin, list).await
}

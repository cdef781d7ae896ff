//! `/v1/tenants`.

use serde::{Deserialize, Serialize};

/// `POST /v1/tenants`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantRequest {
    /// What it is called, or what requests tell it by.
    pub name: String,
    /// The tier to move it to.
    pub tier: String,
    /// For how long; until it is moved again when it is not said.
    #[serde(default)]
    pub seconds: Option<u64>,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// `DELETE /v1/tenants`.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantName {
    /// What it is called, or what requests tell it by.
    pub name: String,
}

/// `GET /v1/tenants`.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TenantList {
    /// Where a request says whose it is.
    pub from: String,
    /// The tier of those that are not listed.
    pub unlisted: String,
    /// How many names and credentials are listed.
    pub listed: usize,
    /// The first of them by name, at most as many as were asked for.
    pub tenants: Vec<ListedTenant>,
}

/// One tenant.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ListedTenant {
    /// What it is called.
    pub name: String,
    /// What requests tell it by.
    pub told_by: String,
    /// The tier it is in.
    pub tier: String,
    /// Whether it has numbers of its own.
    pub own: bool,
    /// Who says so: the configuration, a file, or an operator.
    pub source: String,
    /// When an operator's word ends, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Why the operator moved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

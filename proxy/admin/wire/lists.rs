//! What lists are asked.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Deserialize;

/// `GET /v1/known` and `GET /v1/blocks`.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
pub struct PrefixQuery {
    /// Entries at most; 1000 when it is not said.
    pub limit: Option<usize>,
    /// Only those that hold this address.
    pub address: Option<IpAddr>,
}

/// `GET /v1/tenants`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct TenantQuery {
    /// Entries at most; 1000 when it is not said.
    pub limit: Option<usize>,
    /// Only this one: what it is called, or what requests tell it by.
    pub name: Option<String>,
}

/// `GET /v1/audit`.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
pub struct AuditQuery {
    /// Changes at most, the latest ones; 100 when it is not said.
    pub limit: Option<usize>,
}

//! Whose traffic a request is, and what each tenant may use.

use std::{fmt, num::NonZeroU32, path::PathBuf};

use super::Limit;

/// How to tell which customer a request belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Where in a request the tenant's name stands.
    pub from: TenantFrom,
    /// The tier of a tenant that is not listed; it exists.
    pub tier: String,
    /// Glob patterns of files with one listed tenant a line, absolute. The files
    /// are not opened here.
    pub files: Vec<PathBuf>,
}

/// A tenant that is listed: the tier it is in, and its own numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The name of its tier; it exists.
    pub tier: String,
    /// What it is called, where that is not what requests tell it by: everything
    /// listed under one name is one tenant, with one budget.
    pub name: Option<String>,
    /// What it may request, instead of what its tier says.
    pub limit: Option<Limit>,
    /// Its requests that may be under way at a time, instead of what its tier says.
    pub in_flight: Option<NonZeroU32>,
}

impl Listed {
    /// Whether both may use the same, as all that is listed under one name must.
    #[must_use]
    pub fn agrees_with(&self, other: &Listed) -> bool {
        let Listed {
            tier,
            name: _,
            limit,
            in_flight,
        } = self;
        *tier == other.tier && *limit == other.limit && *in_flight == other.in_flight
    }
}

/// Where in a request the tenant's name stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenantFrom {
    /// The host, in lower case and without a port. Text form: `host`.
    Host,
    /// The value of this header, its name in lower case. Text form: `header:NAME`.
    Header(String),
    /// The value of this cookie, its name as it was written. Text form: `cookie:NAME`.
    Cookie(String),
    /// This segment of the path, counted from 1. Text form: `path:N`.
    Path(usize),
    /// The name in the certificate that the client proved to have. Text form: `client-cert`.
    ClientCert,
}

impl fmt::Display for TenantFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TenantFrom::Host => f.write_str("host"),
            TenantFrom::Header(name) => write!(f, "header:{name}"),
            TenantFrom::Cookie(name) => write!(f, "cookie:{name}"),
            TenantFrom::Path(segment) => write!(f, "path:{segment}"),
            TenantFrom::ClientCert => f.write_str("client-cert"),
        }
    }
}

/// The longest name or credential that tells a tenant, in bytes.
pub const LONGEST_TENANT: usize = 512;

/// What a credential begins with that is listed by its hash.
pub const SHA256: &str = "sha256:";

impl TenantFrom {
    /// A tenant as it is listed, in the form in which requests are compared with
    /// it: a host in lower case, a segment of a path as it is percent-decoded, the
    /// name in a certificate in lower case, a credential as it is or as `sha256:` and the 64 hexadecimal digits of its
    /// SHA-256 in lower case. It has 1 to [`LONGEST_TENANT`] bytes.
    ///
    /// # Errors
    ///
    /// When no request can tell such a tenant; the message says what would be right.
    pub fn listed(&self, text: &str) -> Result<String, String> {
        crate::literal::tenant(self, text)
    }
}

/// A named set of limits that tenants are put in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tier {
    /// What one tenant of this tier may request; `None` is without limit.
    pub limit: Option<Limit>,
    /// Requests of one tenant that may be under way at a time; `None` is without limit.
    pub in_flight: Option<NonZeroU32>,
}

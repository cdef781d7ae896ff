//! Who is a known customer, and who becomes one.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use super::limits::Limit;

/// Who is a known customer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Glob patterns of files with one address or CIDR a line, absolute.
    /// The files are not opened here.
    pub files: Vec<PathBuf>,
    /// How clients become known; `None` when none do.
    pub learn: Option<Learn>,
    /// The cookie for customers on new addresses; only where the app confirms customers.
    pub pass: Option<Pass>,
}

/// How the app confirms that a client is a customer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learn {
    /// The response header with which it says so, in lower case.
    pub header: Option<String>,
    /// Responses that say so by their status.
    pub rules: Vec<LearnRule>,
    /// How long a client stays known after it was last confirmed: from a minute to a year.
    pub keep: Duration,
    /// How many prefixes are kept: at most 1,000,000.
    pub max: u32,
    /// How many responses have to confirm a client before it is known.
    pub confirmations: NonZeroU32,
}

/// Responses that confirm their client by their status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnRule {
    /// To requests for this path and those below it.
    pub path: String,
    /// With these methods; empty for every one.
    pub methods: Vec<String>,
    /// The status: 200 to 599.
    pub status: u16,
}

/// The cookie that lets a customer in from any address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// The file with the keys, absolute. It is not opened here.
    pub key_file: PathBuf,
    /// The name of the cookie.
    pub cookie: String,
    /// How long a pass is valid: from a minute to a year.
    pub lifetime: Duration,
    /// What everybody who comes by one pass may request together.
    pub limit: Limit,
}

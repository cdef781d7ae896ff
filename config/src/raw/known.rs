//! Who becomes a known customer, as it is written.

use std::{num::NonZeroU32, path::PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Limit, Written};
use crate::literal::{FieldName, Keep, Method, PathPrefix, Token};

/// The addresses and prefixes of known customers.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Known {
    /// Files with one address or CIDR a line, or CSV with a column address, ip,
    /// cidr, prefix or network; a pattern may stand for several. A change is
    /// taken over by itself, unless a file is empty, cut, wrong, or has lost
    /// more than half of its entries. Default: none.
    #[serde(default)]
    #[schemars(example = serde_json::json!(["known.d/*.txt"]))]
    pub(crate) files: Vec<Written<PathBuf>>,
    /// How the app says whose client is a customer, who then becomes known.
    /// Without it nobody is learned.
    pub(crate) learn: Option<Learn>,
    /// A signed cookie for customers on new addresses. Without it there is none.
    pub(crate) pass: Option<Pass>,
}

/// How the app says whose client is a customer, who then becomes known.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({ "header": "x-tidegate-known" }))]
pub(crate) struct Learn {
    /// The response header with which the app says so: "1", "true" or "yes". It
    /// is removed before the client sees it, and from every client's request.
    /// Default: none.
    pub(crate) header: Option<Written<FieldName>>,
    /// Responses that say so by their status. Default: none.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub(crate) rules: Vec<LearnRule>,
    /// How long a client stays known after it was last confirmed. Default: "30d".
    pub(crate) keep: Option<Written<Keep>>,
    /// How many prefixes are kept; the least recently confirmed leave first. 0
    /// learns nobody, for passes alone. Default: 100_000.
    #[schemars(range(min = 0, max = 1_000_000), example = 100_000)]
    pub(crate) max: Option<u32>,
    /// How many responses have to confirm a client before it is known. Default: 1.
    #[schemars(range(min = 1, max = 1_000_000), example = 1)]
    pub(crate) confirmations: Option<NonZeroU32>,
}

/// Responses that confirm their client by their status.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({ "path": "/login", "methods": ["POST"], "status": 302 }))]
pub(crate) struct LearnRule {
    /// To requests for this path and those below it.
    pub(crate) path: Written<PathPrefix>,
    /// With these methods only. Default: every method.
    #[serde(default)]
    #[schemars(example = serde_json::json!(["POST"]))]
    pub(crate) methods: Vec<Written<Method>>,
    /// The status that the app gives to customers, and to nobody else.
    #[schemars(range(min = 200, max = 599), example = 302)]
    pub(crate) status: u16,
}

/// A signed cookie for customers on new addresses.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({ "key_file": "pass.key" }))]
pub(crate) struct Pass {
    /// The file with the key that signs passes, and below it the one before,
    /// whose passes are still believed: `tidegate pass new-key FILE` writes it.
    #[schemars(example = &"pass.key")]
    pub(crate) key_file: Written<PathBuf>,
    /// The name of the cookie. Default: "tidegate_pass".
    pub(crate) cookie: Option<Written<Token>>,
    /// How long a pass is valid. Default: "30d".
    pub(crate) lifetime: Option<Written<Keep>>,
    /// What everybody who comes by one pass may request together. Default: 10/s
    /// with a burst of 20.
    pub(crate) limit: Option<Limit>,
}

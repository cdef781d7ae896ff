//! The rules about passes: the part of the policy, with what a request presents.

use std::sync::Arc;

use pingora_error::Result;
use pingora_http::ResponseHeader;
use tidegate_limit::{Domain, Key, KeyHasher, QuotaError};

use super::cookie;
use super::{Keys, Pass, Passes, Revoked};
use crate::clock;
use crate::head::Head;
use crate::limits::{Limits, NamedLimit};

/// The space of keys in which passes are counted.
const DOMAIN: Domain = Domain::Numbered(1);

/// How passes are given and believed.
#[derive(Debug)]
pub struct Rules {
    /// The cookie's name.
    pub cookie: String,
    keys: Arc<Keys>,
    /// Seconds.
    lifetime: u64,
    /// What everybody who is let in by one pass may request together.
    pub limit: NamedLimit,
}

/// A pass that a request presents and that is believed.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// What it says.
    pub pass: Pass,
    /// The pass as it is counted.
    pub key: Key,
}

/// What a request presents.
#[derive(Clone, Copy, Debug)]
pub enum Presented {
    /// Nothing.
    Nothing,
    /// A cookie of that name which is no pass: expired, revoked, forged, cut, or two of them.
    Invalid,
    /// A pass.
    Valid(Held),
}

impl Presented {
    /// The pass, when it is one.
    pub fn held(&self) -> Option<Held> {
        match self {
            Presented::Valid(held) => Some(*held),
            Presented::Nothing | Presented::Invalid => None,
        }
    }
}

impl Rules {
    /// The rules that are configured, over these counters.
    ///
    /// # Errors
    /// When the counters cannot represent the limit.
    pub fn new(
        config: &tidegate_config::Pass,
        keys: Arc<Keys>,
        limits: &Limits,
    ) -> std::result::Result<Self, QuotaError> {
        Ok(Rules {
            cookie: config.cookie.clone(),
            keys,
            lifetime: config.lifetime.as_secs(),
            limit: NamedLimit::new("pass", &config.limit, limits)?,
        })
    }

    /// What a request presents. Allocates nothing; of two cookies none is believed.
    pub fn presented(&self, head: &Head, revoked: &Revoked, hasher: &KeyHasher) -> Presented {
        let mut named = head.cookies(&self.cookie);
        let Some(first) = named.next() else {
            return Presented::Nothing;
        };
        let text = std::str::from_utf8(first).ok();
        let text = text.filter(|_| named.next().is_none());
        let pass = text.and_then(|text| Pass::open(text, &self.keys, revoked.epoch));
        let pass = pass.filter(|pass| pass.expires > clock::unix_seconds());
        match pass.filter(|pass| !revoked.ids.contains(&pass.id)) {
            Some(pass) => Presented::Valid(Held {
                pass,
                key: hasher.key(DOMAIN, pass.id.bytes()),
            }),
            None => Presented::Invalid,
        }
    }

    /// Gives a pass with a response that confirms a customer, unless the one that was presented has
    /// more than half of its time left.
    ///
    /// # Errors
    /// When the cookie cannot be written, which the configuration rules out.
    pub fn give(
        &self,
        passes: &Passes,
        presented: Option<Pass>,
        secure: bool,
        response: &mut ResponseHeader,
    ) -> Result<()> {
        let now = clock::unix_seconds();
        if presented.is_some_and(|pass| pass.is_fresh(now)) {
            return Ok(());
        }
        let Some(pass) = Pass::issue(presented, now, self.lifetime) else {
            return Ok(());
        };
        let text = pass.seal(&self.keys, passes.revoked.load().epoch);
        passes.count_issued();
        cookie::give(response, &self.cookie, &text, self.lifetime, secure)
    }
}

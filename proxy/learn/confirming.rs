//! What makes a response confirm that its request's client is a customer's.

use std::sync::Arc;

use http::HeaderName;
use ipnet::IpNet;
use pingora_http::{RequestHeader, ResponseHeader};
use tidegate_config::{Learn, LearnRule};

use super::Bounds;
use crate::gate::Gate;
use crate::head::has_prefix;

/// The rules by which responses confirm.
#[derive(Debug)]
pub struct Confirming {
    /// The app's header.
    header: Option<HeaderName>,
    rules: Vec<LearnRule>,
    /// What bounds the set.
    pub bounds: Bounds,
}

/// A forwarded request whose response may confirm its client.
#[derive(Debug)]
pub struct Confirmable {
    /// The rules that it was judged by.
    pub by: Arc<Confirming>,
    /// What becomes known; `None` where the client is a trusted proxy that did not say for whom it
    /// asks: everybody behind it would be known.
    pub prefix: Option<IpNet>,
}

impl Confirming {
    /// The rules that are configured.
    ///
    /// # Errors
    /// When the header has no name that HTTP knows, which the configuration rules out.
    pub fn new(learn: &Learn) -> anyhow::Result<Self> {
        let header = learn.header.as_deref().map(HeaderName::try_from);
        Ok(Confirming {
            header: header.transpose()?,
            rules: learn.rules.clone(),
            bounds: Bounds {
                max: usize::try_from(learn.max).unwrap_or(usize::MAX),
                keep: learn.keep.as_secs(),
                least: learn.confirmations.get(),
            },
        })
    }

    /// The name of the app's header, which no request may have: nobody is believed who sends it.
    pub fn header(&self) -> Option<&str> {
        self.header.as_ref().map(HeaderName::as_str)
    }

    fn confirms(&self, request: &RequestHeader, response: &ResponseHeader) -> bool {
        let status = response.status;
        if status.is_informational() && status != http::StatusCode::SWITCHING_PROTOCOLS {
            return false;
        }
        self.is_said_in(response)
            || self
                .rules
                .iter()
                .any(|rule| applies(rule, request, response))
    }

    /// Whether the app says so. Of several words all have to agree.
    fn is_said_in(&self, response: &ResponseHeader) -> bool {
        let Some(name) = &self.header else {
            return false;
        };
        let mut words = response.headers.get_all(name).iter().peekable();
        words.peek().is_some() && words.all(|word| means_yes(word.as_bytes()))
    }
}

fn means_yes(word: &[u8]) -> bool {
    let word = word.trim_ascii();
    let yes: [&[u8]; 3] = [b"1", b"true", b"yes"];
    yes.iter().any(|yes| word.eq_ignore_ascii_case(yes))
}

fn applies(rule: &LearnRule, request: &RequestHeader, response: &ResponseHeader) -> bool {
    response.status.as_u16() == rule.status
        && (rule.methods.is_empty()
            || rule
                .methods
                .iter()
                .any(|one| request.method.as_str() == one))
        && has_prefix(request.uri.path(), &rule.path)
}

impl Confirmable {
    /// Looks whether a response confirms its client, who then becomes known, and takes the app's word
    /// out of it. Whether it did.
    pub fn look_at(
        &self,
        gate: &Gate,
        request: &RequestHeader,
        response: &mut ResponseHeader,
    ) -> bool {
        let confirmed = self.by.confirms(request, response);
        if confirmed {
            gate.learned.confirm(self.prefix);
        }
        if let Some(name) = &self.by.header {
            response.remove_header(name);
        }
        confirmed
    }
}

//! Which outcomes somebody wants to see.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::event::{Event, Of, Request};
use crate::cut::cut;
use crate::door::DoorReason;
use crate::head::has_prefix;
use crate::prefixes::parse_prefix;
use crate::reason::Reason;

/// What `GET /v1/tail` is asked: all that is said has to hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TailQuery {
    /// A client's address or a prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// A tenant's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// A path and those below it, as in a route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `forwarded`, `refused` or `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// A reason, such as `client_rate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A status, or a class of them: `429`, `5xx`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// How many lines a second at most: 1 to 1000, 100 when it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<u32>,
}

/// Which outcomes somebody wants to see.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    client: Option<IpNet>,
    tenant: Option<String>,
    path: Option<String>,
    outcome: Option<String>,
    reason: Option<String>,
    status: Option<(u16, u16)>,
}

impl Filter {
    /// As it is asked for.
    ///
    /// # Errors
    /// What would be right.
    pub fn asked(query: &TailQuery) -> Result<Self, String> {
        let client = query.client.as_deref().map(parse_prefix).transpose()?;
        let status = query.status.as_deref().map(statuses).transpose()?;
        let outcomes = ["forwarded", "refused", "failed"];
        if let Some(outcome) = &query.outcome
            && !outcomes.contains(&outcome.as_str())
        {
            return Err(format!(
                "there is no outcome {outcome:?}; there are forwarded, refused and failed"
            ));
        }
        if let Some(reason) = &query.reason
            && !is_reason(reason)
        {
            return Err(format!(
                "there is no reason {reason:?}; `reason` of tidegate_requests_total and tidegate_connections_total has them"
            ));
        }
        Ok(Filter {
            client,
            tenant: query.tenant.clone(),
            path: query.path.clone(),
            outcome: query.outcome.clone(),
            reason: query.reason.clone(),
            status,
        })
    }

    /// Whether this is one of them.
    pub fn takes(&self, event: &Event) -> bool {
        if self
            .client
            .is_some_and(|client| !client.contains(&event.client))
        {
            return false;
        }
        let (outcome, reason) = match &event.of {
            Of::Request(request) => request.outcome.labels(),
            Of::Connection(reason, _) => ("refused", reason.label()),
        };
        let is = |asked: &Option<String>, found: &str| asked.as_ref().is_none_or(|of| of == found);
        is(&self.outcome, outcome) && is(&self.reason, reason) && self.takes_request(&event.of)
    }

    fn takes_request(&self, of: &Of) -> bool {
        let Of::Request(Request {
            tenant,
            path,
            status,
            ..
        }) = of
        else {
            // No request was read.
            return self.tenant.is_none() && self.path.is_none() && self.status.is_none();
        };
        // What is kept of a name is its beginning.
        let of_tenant =
            |asked: &String| tenant.as_ref().is_some_and(|tenant| *tenant == cut(asked));
        self.tenant.as_ref().is_none_or(of_tenant)
            && self
                .path
                .as_ref()
                .is_none_or(|asked| has_prefix(path, asked))
            && self
                .status
                .is_none_or(|(first, last)| (first..=last).contains(status))
    }
}

fn is_reason(label: &str) -> bool {
    let of_requests = Reason::ALL.iter().map(|reason| reason.label());
    let of_connections = DoorReason::ALL.iter().map(|reason| reason.label());
    of_requests
        .chain(of_connections)
        .any(|known| known == label)
}

/// A status, or all of a class, as the first and the last one.
fn statuses(text: &str) -> Result<(u16, u16), String> {
    let wrong = || format!("{text:?} is no status; such as 429, or 5xx for all from 500 to 599");
    if let Some(class) = text.strip_suffix("xx") {
        let class: u16 = class.parse().map_err(|_| wrong())?;
        return match class {
            1..=5 => Ok((class * 100, class * 100 + 99)),
            _ => Err(wrong()),
        };
    }
    match text.parse() {
        Ok(status @ 100..=599) => Ok((status, status)),
        _ => Err(wrong()),
    }
}

//! Routes: which requests go to which app, what they cost, and the limits of the route itself.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use anyhow::Context;
use arrayvec::ArrayString;
use tidegate_config::Per;
use tidegate_limit::{Domain, Key, KeyHasher};

use crate::forward::Upstream;
use crate::head::{Head, has_prefix};
use crate::limits::{Limits, NamedLimit};
use crate::policy::Upstreams;

/// Where matching requests go, and what they may take.
#[derive(Debug)]
pub struct Route {
    /// Its place in the configuration, counted from 1.
    pub number: usize,
    host: Option<String>,
    path: Option<String>,
    methods: Vec<String>,
    /// The app behind it.
    pub upstream: Arc<Upstream>,
    /// Tokens a request takes from each limit.
    pub cost: NonZeroU32,
    /// The route's own limit, and who has one such budget each.
    pub limit: Option<(Per, NamedLimit)>,
    /// Requests at once, of all clients together.
    pub in_flight: Option<NonZeroU32>,
    /// Whether only the route's own limits apply.
    pub exempt: bool,
    /// The most bytes of a request's body.
    pub max_body: u64,
    /// As it is counted: by what it matches, so that a reload keeps its counters.
    pub key: Key,
}

impl Route {
    /// The route that `config` describes.
    ///
    /// # Errors
    /// When its upstream is not there, or its limit cannot be counted.
    pub fn new(
        config: &tidegate_config::Route,
        number: usize,
        upstreams: &Upstreams,
        limits: &Limits,
    ) -> anyhow::Result<Self> {
        let upstream = upstreams.get(&config.upstream).cloned();
        let limit = config.limit.map(|own| {
            let limit = NamedLimit::new("route", &own.limit, limits)?;
            anyhow::Ok((own.per, limit))
        });
        let mut route = Route {
            number,
            host: config.host.clone(),
            path: config.path.clone(),
            methods: config.methods.clone(),
            upstream: upstream
                .with_context(|| format!("no upstream is called {}", config.upstream))?,
            cost: config.cost,
            limit: limit
                .transpose()
                .with_context(|| format!("the limit of route {number} cannot be counted"))?,
            in_flight: config.in_flight,
            exempt: config.exempt,
            max_body: config.max_body,
            key: limits.hasher.key(Domain::Route, b""),
        };
        route.key = counted_as(&route, &limits.hasher);
        Ok(route)
    }

    /// Whether it takes requests of this path and method.
    fn matches(&self, head: &Head) -> bool {
        let path = self.path.as_deref();
        path.is_none_or(|prefix| has_prefix(head.path, prefix))
            && (self.methods.is_empty() || self.methods.iter().any(|method| method == head.method))
    }
}

/// All routes; the first that matches a request is its own.
///
/// Found by the host: who serves thousands of hosts does not pay for each of them with each request.
#[derive(Debug, Default)]
pub struct Routes {
    of_host: HashMap<Box<str>, Vec<Route>>,
    of_any: Vec<Route>,
}

impl Routes {
    /// These, in this order.
    pub fn new(routes: Vec<Route>) -> Self {
        let mut all = Routes::default();
        for route in routes {
            match route.host.as_deref() {
                Some(host) => all.of_host.entry(host.into()).or_default().push(route),
                None => all.of_any.push(route),
            }
        }
        all
    }

    /// The first route that matches.
    pub fn find(&self, head: &Head) -> Option<&Route> {
        let mut space = ArrayString::new();
        let host = head.lowercase_host(&mut space);
        let own = host.and_then(|host| self.of_host.get(host));
        let own = own.and_then(|routes| first(routes, head));
        match (own, first(&self.of_any, head)) {
            (Some(own), Some(any)) if any.number < own.number => Some(any),
            (own, any) => own.or(any),
        }
    }

    /// Whether a route names this host, so that it is one that the operator vouches for.
    pub fn name_host(&self, host: &str) -> bool {
        self.of_host.contains_key(host)
    }
}

fn first<'routes>(routes: &'routes [Route], head: &Head) -> Option<&'routes Route> {
    routes.iter().find(|route| route.matches(head))
}

fn counted_as(route: &Route, hasher: &KeyHasher) -> Key {
    hasher.key(Domain::Route, route.to_string().as_bytes())
}

/// What it matches.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Some(host) => write!(f, "host {host}, ")?,
            None => write!(f, "every host, ")?,
        }
        match &self.path {
            Some(path) => write!(f, "path {path}")?,
            None => write!(f, "every path")?,
        }
        match &self.methods[..] {
            [] => Ok(()),
            methods => write!(f, ", {}", methods.join(" ")),
        }
    }
}
